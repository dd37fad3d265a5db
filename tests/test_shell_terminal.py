"""The shell on a terminal, typed into as a person would."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.terminals import CTRL_C, CTRL_D, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELL = (sys.executable, "-m", "pybridge", "shell")
LOOP = r"exec('print(\"be\" \"gun\")\nwhile True: pass')"
# Python's own sleep misses a signal that comes just before it.
SLEEP = (
    "import threading, time; "
    "threading.Timer(0.2, print, ['be' 'gun']).start(); time.sleep(600)"
)
BEGUN = 'py_exec(\'print("be" "gun")\')'
ENDLESS = (
    f"with n as (select 1 as x, {BEGUN} as y union all select x + 1, y from n) "
    "select max(x) from n"
)
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")


def opened(home: Path, *words: str | Path, **env: str) -> Terminal:
    """Start a shell with a history and settings of its own; it has prompted."""
    home.mkdir(exist_ok=True)
    own = {"XDG_STATE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    terminal = Terminal(*SHELL, *words, env=own | env, cwd=home)
    try:
        terminal.expect(">>> ")
    except BaseException:
        terminal.close()
        raise
    return terminal


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Terminal]:
    """A shell that waits for its first input."""
    with opened(tmp_path / "home") as terminal:
        yield terminal


def test_value_is_shown_and_ctrl_d_leaves(shell: Terminal) -> None:
    """The plainest use."""
    assert "2" == shell.ask("1 + 1")

    shell.type(CTRL_D)

    assert 0 == shell.wait()


def test_quit_gives_the_exit_code(shell: Terminal) -> None:
    """As quit() does in Python."""
    shell.type("quit(3)\r")

    assert 3 == shell.wait()


def test_save_and_restore_show_a_percentage(tmp_path: Path) -> None:
    """Commands of the shell count the bytes too."""
    with opened(tmp_path / "home", XDG_DATA_HOME=str(tmp_path)) as shell:
        shell.ask("text = 'x' * 900_000")

        shell.type(":save large\r")
        shell.expect("100%")
        shell.expect("saved 1 name as 1")
        shell.type(":restore large\r")
        shell.expect("100%")
        shell.expect("restored 1")


def test_block_is_indented_and_ends_with_a_blank_line(shell: Terminal) -> None:
    """The user types no indentation."""
    for line in ("def f(x):", "if x:", "return x * 2", "return 5"):
        shell.type(line)
        shell.expect(line)
        shell.type("\r")
        shell.expect("... ")
    shell.type("\r")
    shell.type("f(2), f(0)\r")

    shell.expect("(4, 5)\n")


def test_pasted_block_runs_as_it_is(shell: Terminal) -> None:
    """Bracketed paste: blank lines and several statements in one input."""
    code = "def f(x):\n    y = x\n\n    return y * 2\nf(4)\nf(5)"

    shell.type(f"\x1b[200~{code}\x1b[201~\r")
    shell.expect("f(5)")
    shell.expect("8\n10\n")

    shell.expect(">>> ")


def test_pasted_lines_keep_their_indentation(shell: Terminal) -> None:
    """Also where the terminal does not say that they are pasted."""
    shell.type("def f(x):\r    if x:\r        return 1\r    return 2\r\r")
    shell.type("[f(1), f(0)]\r")

    shell.expect("[1, 2]\n")


def test_ctrl_c_clears_the_line(shell: Terminal) -> None:
    """And the block that was begun."""
    shell.type("abc" + CTRL_C)
    shell.expect("abc")
    shell.expect("\n")
    shell.expect(">>> ")
    shell.type("if True:\r")
    shell.expect("... ")
    shell.type("1 / 0" + CTRL_C)
    shell.expect("1 / 0")
    shell.expect("\n")
    shell.expect(">>> ")

    assert "3" == shell.ask("1 + 2")


@pytest.mark.parametrize(
    "code",
    [
        LOOP,
        SLEEP,
    ],
)
def test_ctrl_c_interrupts_the_code(shell: Terminal, code: str) -> None:
    """The shell goes on, with what it had; again and again."""
    shell.ask("x = 5")
    for _ in range(3):
        shell.type(code + "\r")
        shell.expect("begun\n")
        shell.type(CTRL_C)
        shell.expect("KeyboardInterrupt: the call was interrupted\n")
        shell.expect(">>> ")

    assert "5" == shell.ask("x")


def test_history_is_kept_across_sessions(tmp_path: Path) -> None:
    """The newest first; blocks whole; nobody else may read the file."""
    home = tmp_path / "home"
    with opened(home) as first:
        first.ask("x = 123")
        first.type("if x:\r    print(x)\r\r")
        first.expect("123\n")
        first.expect(">>> ")
        first.type(CTRL_D)
        assert 0 == first.wait()

    with opened(home) as second:
        second.type("\x10")  # Ctrl-P
        second.expect("print(x)")
        second.type("\x10\x10\x10")  # through the lines of the block
        second.expect("x = 123")

    assert 0o600 == (home / "pybridge/history").stat().st_mode & 0o777


def test_two_shells_write_one_history(tmp_path: Path) -> None:
    """Neither loses what the other has typed."""
    home = tmp_path / "home"
    with opened(home) as one, opened(home) as two:
        for number in range(5):
            one.ask(f"one{number} = 1")
            two.ask(f"two{number} = 2")

    kept = (home / "pybridge/history").read_text(encoding="utf-8")

    assert [f"{who}{n}" for n in range(5) for who in ("one", "two")] == re.findall(
        r"^\+(\w+) =", kept, re.MULTILINE
    )


def test_tab_completes(shell: Terminal) -> None:
    """Names, attributes, and a menu where there are several."""
    shell.ask("import math, pandas")
    shell.ask("df = pandas.DataFrame({'alpha': [7], 'beta': [8]})")
    shell.type("math.floo\t")
    shell.expect("math.floor")
    assert "2" == shell.ask("(2.5)")
    shell.type('df["al\t')
    shell.expect('df["alpha"]')
    assert "7" == shell.ask(".sum().item()")

    shell.type('df["\t')

    shell.expect("alpha")
    shell.expect("beta")


def test_commands_work_on_a_terminal(shell: Terminal) -> None:
    """Tables as wide as it."""
    shell.ask("numbers = list(range(100))")

    listed = shell.ask(":vars")

    assert "numbers" in listed
    assert "[0, 1, 2" in listed
    assert all(len(line) <= 100 for line in listed.splitlines())


def test_colours_are_there_and_can_be_turned_off(tmp_path: Path) -> None:
    """NO_COLOR means none at all, in what is typed and what is shown."""

    def used(**env: str) -> str:
        with opened(tmp_path / "home", **env) as terminal:
            terminal.ask("x = 'text'  # words")
            terminal.ask("1 / 0")
            terminal.ask(":vars")
            return terminal.raw

    assert COLOUR.search(used())
    assert [] == COLOUR.findall(used(NO_COLOR="1"))


def test_dumb_terminal_is_read_line_by_line(tmp_path: Path) -> None:
    """With prompts, and without moving about."""
    with opened(tmp_path / "home", TERM="dumb") as terminal:
        assert "2" == terminal.ask("1 + 1")
        terminal.type("quit(4)\r")
        assert 4 == terminal.wait()
        assert "\x1b" not in terminal.raw


def test_empty_line_leaves_where_that_is_set(tmp_path: Path) -> None:
    """As a setting; an unknown one is told."""
    home = tmp_path / "home"
    (home / "pybridge").mkdir(parents=True)
    settings = home / "pybridge/pybridge.toml"
    settings.write_text('[shell]\nleave = "empty-line"\n')
    with opened(home) as terminal:
        assert "2" == terminal.ask("1 + 1")
        terminal.type(CTRL_C)
        terminal.expect(">>> ")
        terminal.type("\r")
        assert 0 == terminal.wait()

    settings.write_text("[shell]\nleave = 5\n")
    env = {"XDG_STATE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    with Terminal(*SHELL, env=env, cwd=tmp_path) as terminal:
        terminal.expect("'leave' in [shell] of pybridge.toml is 5")
        assert 1 == terminal.wait()


@pytest.mark.parametrize(
    "end", [CTRL_D, "quit()\r", "import os; os.system('stty raw')"]
)
def test_terminal_is_as_it_was(tmp_path: Path, end: str) -> None:
    """Its modes after leaving, also after code was interrupted or has changed them."""
    with Terminal("sh", "-c", "echo go; cat", env={}) as other:
        other.expect("go")
        expected = other.attributes()
    with opened(tmp_path / "home") as terminal:
        terminal.type(LOOP + "\r")
        terminal.expect("begun\n")
        terminal.type(CTRL_C)
        terminal.expect("KeyboardInterrupt: the call was interrupted\n")
        terminal.expect(">>> ")
        if "stty" in end:
            terminal.ask(end)
            end = "quit()\r"
        terminal.type(end)

        assert 0 == terminal.wait()
        assert expected == terminal.attributes()


def test_query_beside_a_database_can_be_interrupted(tmp_path: Path) -> None:
    """And the connection works afterwards."""
    with opened(tmp_path / "home", "--db", tmp_path / "new.db") as terminal:
        terminal.ask("from pybridge import host")
        terminal.ask("host.execute('create table t (a)')")
        for _ in range(2):
            terminal.type(f":query {ENDLESS}\r")
            terminal.expect("begun\n")
            terminal.type(CTRL_C)
            terminal.expect("nterrupt")
            terminal.expect(">>> ")
        assert "1" == terminal.ask("host.execute('insert into t values (1)')")
        assert "1 row, 1 column" in terminal.ask(":query select * from t")


def test_shell_is_asked_for_again_and_again(tmp_path: Path) -> None:
    """In one process, on the main thread and another; nothing grows."""
    code = """
import os, threading
from pybridge import shell
def count():
    return len(os.listdir("/proc/self/fd")), threading.active_count()
shell.interact("c", banner=False)
before = count()
for _ in range(3):
    print("left")
    shell.interact("c", banner=False)
print("left")
thread = threading.Thread(target=shell.interact, args=("c",), kwargs={"banner": False})
thread.start(); thread.join()
print("same", before == count())
"""
    env = {"XDG_STATE_HOME": str(tmp_path)}
    with Terminal(sys.executable, "-c", code, env=env) as terminal:
        for number in range(5):
            if number:
                terminal.expect("left\n")
            terminal.expect("c >>> ")
            assert "2" == terminal.ask("1 + 1", "c >>> ")
            terminal.type(CTRL_D)
        terminal.expect("same True")
        assert 0 == terminal.wait()
