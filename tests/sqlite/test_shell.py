"""py_shell in the `sqlite3` shell: on a terminal, and in a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.programs import run
from tests.sqlite.hosts import TESTED
from tests.terminals import CTRL_C, CTRL_D, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGUN = 'py_exec(\'print("be" "gun")\')'
ENDLESS = (
    f"with n as (select 1 as x, {BEGUN} as y union all select x + 1, y from n) "
    "select max(x) from n"
)
LOOP = r"exec('print(\"be\" \"gun\")\nwhile True: pass')"
SLEEP = "import time; print('be' 'gun'); time.sleep(600)"
SIGNALS = "[l for l in open('/proc/self/status') if l[:3] == 'Sig' and l[:4] != 'SigQ']"


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Terminal]:
    """The shell of SQLite on a terminal, with pybridge loaded."""
    env = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with Terminal("sqlite3", "-init", "/dev/null", env=env, cwd=tmp_path) as terminal:
        terminal.expect("sqlite> ")
        terminal.type(f".load {TESTED.with_suffix('')}\n")
        terminal.expect("sqlite> ")
        terminal.type("create table t (a); insert into t values (1), (2);\n")
        terminal.expect("sqlite> ")
        yield terminal


def enter(terminal: Terminal) -> None:
    """Open the shell."""
    terminal.type("select py_shell();\n")
    terminal.expect(">>> ")


def leave(terminal: Terminal) -> None:
    """Leave it with Ctrl-D."""
    terminal.type(CTRL_D)
    terminal.expect("0\n")
    terminal.expect("sqlite> ")


def value(terminal: Terminal, expression: str) -> str:
    """Ask SQLite for a Python value."""
    terminal.type(f"select '<' || py_eval('{expression}', 'str') || '>';\n")
    terminal.expect("\n<")
    found = terminal.expect(">\n")
    terminal.expect("sqlite> ")
    return found


def test_shell_opens_in_the_hosts_process(sqlite: Terminal) -> None:
    """On the current context and the caller's own connection."""
    sqlite.type("begin; insert into t values (3); select py_set('x', 5);\n")
    sqlite.expect("sqlite> ")
    enter(sqlite)

    assert "5" == sqlite.ask("x")
    assert "3 rows, 1 column" in sqlite.ask(":query df = select * from t")
    assert "6" == sqlite.ask("total = df.a.sum().item(); total")
    leave(sqlite)

    assert "6" == value(sqlite, "total")


@pytest.mark.parametrize("code", [LOOP, SLEEP, f":query {ENDLESS}"])
def test_ctrl_c_interrupts_the_code_and_not_the_shell(
    sqlite: Terminal, code: str
) -> None:
    """Again and again; then the shell, the connection and SQLite go on."""
    enter(sqlite)
    for _ in range(3):
        sqlite.type(code + "\r")
        sqlite.expect("begun\n")
        sqlite.type(CTRL_C)
        sqlite.expect("nterrupted")
        sqlite.expect(">>> ")
    assert "2 rows" in sqlite.ask(":query select * from t")
    sqlite.type("half" + CTRL_C)
    sqlite.expect("half")
    sqlite.expect("\n")
    sqlite.expect(">>> ")
    assert "2" == sqlite.ask("1 + 1")
    leave(sqlite)

    assert "2" == value(sqlite, "1 + 1")
    sqlite.type("select count(*) + 40 from t;\n")
    sqlite.expect("42\n")


def test_code_may_handle_ctrl_c_itself(sqlite: Terminal) -> None:
    """One key is one KeyboardInterrupt, which the code may catch and go on from."""
    enter(sqlite)
    code = (
        r"exec('import time\ntry:\n  print(\"be\" \"gun\")\n  time.sleep(600)\n"
        r"except KeyboardInterrupt:\n  time.sleep(0.3); print(\"go\" \"es\")')"
    )
    sqlite.type(code + "\r")
    sqlite.expect("begun\n")

    sqlite.type(CTRL_C)

    sqlite.expect("goes\n")
    sqlite.expect(">>> ")
    leave(sqlite)


def test_terminal_and_signals_are_as_they_were(sqlite: Terminal) -> None:
    """The host's own handlers, blocked signals, and the modes of its terminal."""
    assert "1" == value(sqlite, "1")  # Python has started
    before = value(sqlite, SIGNALS.replace("'", "''"))
    modes = sqlite.attributes()
    enter(sqlite)
    sqlite.type(LOOP + "\r")
    sqlite.expect("begun\n")
    sqlite.type(CTRL_C)
    sqlite.expect("nterrupted\n")
    sqlite.expect(">>> ")
    sqlite.ask("import asyncio; asyncio.run(asyncio.sleep(0))")
    sqlite.ask("import os; os.system('stty -echo') and None")
    leave(sqlite)

    assert modes == sqlite.attributes()
    assert before == value(sqlite, SIGNALS.replace("'", "''"))
    # And SIGINT is SQLite's own again: it interrupts its query.
    sqlite.type(f"{ENDLESS};\n")
    sqlite.expect("begun\n")
    sqlite.type(CTRL_C)
    sqlite.expect("nterrupted")
    sqlite.expect("sqlite> ")


def test_streams_are_the_hosts_again(sqlite: Terminal) -> None:
    """Inside they are a terminal; outside what they were."""
    enter(sqlite)
    assert "(True, True, True)" == sqlite.ask(
        "import sys; tuple(s.isatty() for s in (sys.stdin, sys.stdout, sys.stderr))"
    )
    leave(sqlite)

    assert "Stream" == value(sqlite, "type(__import__(''sys'').stdout).__name__")
    assert "False" == value(sqlite, "hasattr(__import__(''builtins''), ''_'')")


def test_input_and_pdb_work(sqlite: Terminal) -> None:
    """They read the terminal, line by line."""
    enter(sqlite)
    sqlite.type("input('na' 'me? ')\r")
    sqlite.expect("name? ")
    sqlite.type("Ann\r")
    sqlite.expect("'Ann'\n")
    sqlite.expect(">>> ")
    sqlite.type("y = 5; breakpoint()\r")
    sqlite.expect("(Pdb) ")
    sqlite.type("p y * 100\r")
    sqlite.expect("500\n")
    sqlite.expect("(Pdb) ")
    sqlite.type("q\r")
    sqlite.expect(">>> ")
    leave(sqlite)


def test_quit_gives_its_code_and_context_is_chosen(sqlite: Terminal) -> None:
    """py_shell(context) works on that one, and the connection keeps its own."""
    sqlite.type("select 'code ' || py_shell('other');\n")
    sqlite.expect("other >>> ")
    sqlite.type("z = 7; quit(3)\r")
    sqlite.expect("code 3\n")
    sqlite.expect("sqlite> ")

    assert "False" == value(sqlite, "''z'' in globals()")


def test_script_has_python_between_its_sql() -> None:
    """Without a terminal the shell reads the lines that follow, up to quit()."""
    script = """
select 1;
select py_shell();
x = 3
for i in range(2):
    print(i)

print(input())
a line
1 / 0
:query select x from (select 5 as x)
quit()
select 'two', py_eval('x');
"""
    ended = run("sqlite3", ":memory:", "-cmd", f".load {TESTED}", given=script)

    assert "1\n0\n1\na line\nx\n─\n5\n1 row, 1 column\n0\ntwo|3\n" == ended.stdout
    assert "ZeroDivisionError: division by zero\n" in ended.stderr


def test_options_are_checked() -> None:
    """An unknown one is an error; code runs instead of lines."""
    ended = run(
        "sqlite3",
        ":memory:",
        f".load {TESTED}",
        """select py_shell(null, '{"code": ["1 + 1", "quit(4)"]}')""",
        """select py_shell('main', '{"nothing": 1}')""",
    )

    assert "2\n4\n" == ended.stdout
    assert (
        "py_shell: pybridge.BadArgument: the shell has no option 'nothing'; it has "
        "code, banner, prompts" in ended.stderr
    )


def test_time_limit_does_not_count_in_the_shell() -> None:
    """The user takes their time; a call after it has its limit again."""
    ended = run(
        "sqlite3",
        ":memory:",
        f".load {TESTED}",
        "select py_option('timeout_ms', 50)",
        """select py_shell(null, '{"code": ["import time; time.sleep(0.2); 5"]}')""",
        "select py_exec('while True: pass')",
    )

    assert "50\n5\n0\n" == ended.stdout
    assert "DeadlineExceeded" in ended.stderr or "deadline" in ended.stderr
