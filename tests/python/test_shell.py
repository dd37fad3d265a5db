"""The shell over a pipe, and what it does with each input."""

from __future__ import annotations

import builtins
import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pybridge import context
from pybridge.shell.console import Console, Leave
from tests.programs import run

if TYPE_CHECKING:
    from pathlib import Path

SHELL = (sys.executable, "-m", "pybridge", "shell")


def piped(text: str, *words: str | Path, **env: str) -> tuple[str, str, int]:
    """Return what the shell prints, its errors, and its exit code."""
    ended = run(*SHELL, *words, given=text, env={**os.environ, **env})
    return ended.stdout, ended.stderr, ended.returncode


@pytest.fixture
def console() -> Console:
    """A console on an empty context."""
    context.reset()
    return Console("shell")


# ---- Inputs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", True),
        ("x = 1", True),
        ("1 + 1", True),
        ("if x:", False),
        ("if x: y", False),
        ("if x: y\n", True),
        ("if x:\n    y", False),
        ("if x:\n    y\n", True),
        ("if x:\n    y\nelse:", False),
        ("def f():\n", True),  # an error, as in Python's own
        ("def f():\n    return 1\nf()", True),
        ("@d", False),
        ("x = (", False),
        ("x = (\n\n1,", False),
        ("x = (\n\n1,\n)", True),
        ("x = '''a", False),
        ("x = '''a\n\nb", False),
        ("x = 1 + \\", False),
        ("x = 1 +", True),
        ("for i in x:\n    # nothing", False),
        ("match x:\n    case 1: pass", False),
        ("with open(f) as g:\n    g\n", True),
        (":vars", True),
        (":query select \\", False),
    ],
)
def test_input_is_complete_where_pythons_own_shell_runs_it(
    console: Console, text: str, complete: bool
) -> None:
    """Blocks end with a blank line; brackets and quotes have to be closed."""
    assert complete is console.is_complete(text)


def test_values_of_expressions_are_shown() -> None:
    """Each expression statement, in blocks too, but not None."""
    said = piped("1 + 1\nNone\nx = 5\nx; 'a'\nfor i in range(2):\n  i\n\nprint(x)\n")

    assert ("2\n5\n'a'\n0\n1\n5\n", "", 0) == said


def test_last_value_is_kept_outside_the_context() -> None:
    """`_` is the last value, as in Python, and no name of the context."""
    said = piped("6 * 7\n_ + 1\nsorted(n for n in globals() if n[:2] != '__')\n")

    assert ("42\n43\n[]\n", "", 0) == said


def test_last_input_needs_no_end() -> None:
    """The end of input ends a block, and a line."""
    assert ("0\n1\n", "", 0) == piped("for i in range(2):\n    i")


def test_blocks_run_without_blank_lines_between() -> None:
    """A line at the margin that does not go on with a block begins the next input."""
    said = piped(
        "def f(x):\n    return x * 2\nf(2)\nif f(1) == 3:\n  1\nelse:\n  5\n\n"
    )

    assert ("4\n5\n", "", 0) == said


def test_error_shows_the_users_lines_and_the_shell_goes_on() -> None:
    """The traceback has the code that was typed, and nothing of the shell."""
    said, errors, code = piped("def f(x):\n    return 1 / x\n\nf(0)\n'on'\n")

    assert ("'on'\n", 1) == (said, code)
    assert (
        "Traceback (most recent call last):\n"
        '  File "<pybridge:2>", line 1, in <module>\n'
        "    f(0)\n"
        '  File "<pybridge:1>", line 2, in f\n'
        "    return 1 / x\n"
        "ZeroDivisionError: division by zero\n"
    ) == errors


def test_syntax_error_shows_the_place() -> None:
    """And the input that follows is run."""
    said, errors, code = piped("x = = 1\n7\n")

    assert ("7\n", 1) == (said, code)
    assert "    x = = 1\n        ^\nSyntaxError: invalid syntax\n" in errors


def test_sys_exit_is_an_error_of_the_code() -> None:
    """It is told, and the shell stays."""
    said, errors, code = piped("import sys\nsys.exit(3)\n1\n")

    assert ("1\n", 1) == (said, code)
    assert "SystemExit: the code called sys.exit(3)\n" in errors


@pytest.mark.parametrize(
    ("text", "code"),
    [("quit()", 0), ("exit(3)", 3), ("quit", 0), (":quit", 0), ("quit('bye')", 1)],
)
def test_quit_leaves_with_its_code(text: str, code: int) -> None:
    """What follows is not run."""
    said, errors, ended = piped(f"{text}\n1\n")

    assert ("", code) == (said, ended)
    assert errors == ("bye\n" if "bye" in text else "")


def test_input_reads_the_lines_that_follow() -> None:
    """The code and the shell read one standard input."""
    assert ("'abc'\n2\n", "", 0) == piped("x = input()\nabc\nx\n1 + 1\n")


def test_prompts_are_shown_where_asked_for() -> None:
    """Over a pipe there are none otherwise."""
    said, _, _ = piped("1\nif 1:\n  2\n\n", "--prompts")

    assert ">>> 1\n>>> ... ... 2\n>>> " == said


def test_code_runs_instead_of_input() -> None:
    """With -c, as often as it stands there."""
    assert ("3\n", "", 0) == piped("7\n", "-c", "x = 1", "-c", "x + 2")
    assert 1 == piped("", "-c", "1 / 0")[2]


def test_future_statements_hold_for_what_follows(console: Console) -> None:
    """As in Python's own shell."""
    assert console.run("from __future__ import annotations")
    assert console.run("def f(x: nobody) -> None: pass\n")

    assert {"x": "nobody", "return": "None"} == console.namespace["f"].__annotations__


def test_last_failure_can_be_looked_into(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """pdb.pm() finds the frames, and they are the user's."""
    assert not console.run("def f():\n    inner = 5\n    1 / 0\nf()")
    capsys.readouterr()

    trace = sys.last_traceback
    assert trace is not None
    assert trace.tb_next is not None
    assert 5 == trace.tb_next.tb_frame.f_locals["inner"]


def test_excepthook_of_the_user_is_called(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was put in place of Python's shows the errors."""
    try:
        console.run("import sys\nsys.excepthook = lambda *e: print('hook', e[1])")
        console.run("1 / 0")
    finally:
        sys.excepthook = sys.__excepthook__

    assert "hook division by zero\n" == capsys.readouterr().out


def test_exception_that_cannot_be_shown_is_shown(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the exception's own methods do."""
    text = "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E"

    assert not console.run(text)
    assert console.run("1")

    assert "E" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["x\0y", "\ud800", "(" * 300, ": ", ":nobody", ":c"])
def test_bad_input_is_an_error(
    console: Console, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """NUL, lone surrogates, nesting, unknown commands."""
    assert console.is_complete(text) or "(" in text
    assert not console.run(text)

    assert capsys.readouterr().err


def test_nothing_stays_behind(tmp_path: Path) -> None:
    """After the shell builtins, streams and sys are as they were before."""
    code = """
import builtins, sys
from pybridge import shell
def state():
    return (dict(vars(builtins)), sys.stdin, sys.stdout, sys.stderr, sys.displayhook,
            [n for n in vars(sys) if n.startswith("last_")])
before = state()
shell.interact("c", code=["1 + 1", "1 / 0", "quit(3)"])
print(before == state())
"""
    ended = run(sys.executable, "-c", code)

    assert "2\nTrue\n" == ended.stdout, ended.stderr


def test_many_shells_leave_no_threads_and_files() -> None:
    """A thousand in one process, one after the other."""
    code = """
import os, threading
from pybridge import shell
def count():
    return len(os.listdir("/proc/self/fd")), threading.active_count()
shell.interact("c", code=["1 / 1"])
before = count()
codes = {shell.interact("c", code=["x = 1", f"quit({i % 3})"]) for i in range(1000)}
print(codes, before == count())
"""
    ended = run(sys.executable, "-c", code)

    assert "1.0\n{0, 1, 2} True\n" == ended.stdout, ended.stderr


def test_shell_runs_on_any_thread() -> None:
    """Also on one that is not Python's main thread."""
    code = """
import threading
from pybridge import shell
ended = []
thread = threading.Thread(target=lambda: ended.append(shell.interact("c")))
thread.start(); thread.join()
print(ended)
"""
    ended = run(sys.executable, "-c", code, given="1 + 1\nquit(2)\n")

    assert "2\n[2]\n" == ended.stdout, ended.stderr


def test_closed_input_is_an_error() -> None:
    """There is nothing to read from: said in a sentence."""
    ended = run("sh", "-c", f"{sys.executable} -m pybridge shell <&-")

    assert 1 == ended.returncode
    assert (
        "Error: the shell needs standard input, and this process has it closed\n"
        == ended.stderr
    )


# ---- Commands -----------------------------------------------------------------------


def said(console: Console, capsys: pytest.CaptureFixture[str], text: str) -> str:
    """Return what an input prints."""
    console.run(text)
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_vars_lists_the_variables(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """Name, type, shape, size and a preview; a mask picks some."""
    console.run("import numpy, pandas\nabc = [1, 2]\narr = numpy.zeros((2, 3))")
    console.run("df = pandas.DataFrame({'a': [1], 'b': ['x']})\ndef f(x=1): pass\n")

    lines = said(console, capsys, ":vars").splitlines()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[2:]}

    assert ["abc", "arr", "df", "f", "numpy", "pandas"] == list(rows)
    assert rows["abc"].startswith("list 2 ")
    assert rows["abc"].endswith("[1, 2]")
    assert rows["arr"].startswith("numpy.ndarray 2 x 3 48 B ")
    assert rows["df"].startswith("pandas.DataFrame 1 x 2 ")
    assert rows["df"].endswith("columns a, b")
    assert rows["f"].endswith("f(x=1)")
    assert ["abc", "arr"] == [
        line.split()[0] for line in said(console, capsys, ":vars a*").splitlines()[2:]
    ]


def test_vars_survives_what_objects_do(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repr that fails, or moves the cursor, is a preview like others."""
    console.run("class A:\n    def __repr__(self): raise ValueError\na = A()")
    console.run("b = '\\x1b[2J\\n'")

    text = said(console, capsys, ":vars")

    assert "\x1b" not in text
    assert 5 == len(text.splitlines())


def test_context_switches(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    """Each context has its own variables; :contexts counts them."""
    console.run("x = 1")
    console.run(":context other")
    console.run("y = 2\nz = 3")

    assert (
        "True\n" == said(console, capsys, "'x' not in globals()").splitlines(True)[-1]
    )
    rows = said(console, capsys, ":contexts").splitlines()[2:]
    assert [["*", "other", "2"], ["shell", "1"]] == [row.split() for row in rows]


def test_clear_deletes_what_the_mask_means(console: Console) -> None:
    """And nothing that Python itself has put there."""
    console.run("xa = xb = y = 1")
    console.run(":clear x*")
    assert ["y"] == [name for name in console.namespace if not name.startswith("__")]

    console.run(":clear")

    assert "__builtins__" in console.namespace
    assert "y" not in console.namespace


def test_time_shows_value_and_time(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """The value first."""
    shown = said(console, capsys, ":time sum(range(10))").splitlines()

    assert "45" == shown[0]
    assert shown[1].endswith(" of CPU)")


def test_load_runs_a_file(
    console: Console, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Blank lines in it mean nothing."""
    path = tmp_path / "a b.py"
    path.write_text("def f():\n    x = 1\n\n    return x\n")

    assert console.run(f":load '{path}'")
    assert "1\n" == said(console, capsys, "f()")
    assert "cannot read" in said(console, capsys, ":load nowhere.py")


def test_save_and_restore(
    console: Console,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was saved comes back; what cannot be saved is listed with its reason."""
    monkeypatch.setenv("PYBRIDGE_STORE", str(tmp_path / "contexts.db"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    console.run("import threading\nlock = threading.Lock()\nx = [1, 2]\ny = 5")

    saved = said(console, capsys, ":save mine --mask x,lock")
    console.run("x = None")
    restored = said(console, capsys, ":restore mine")

    assert saved.startswith("saved 1 name as 1\n")
    assert "lock" in saved
    assert restored.startswith("restored 1 name\n")
    assert [1, 2] == console.namespace["x"]
    listed = said(console, capsys, ":saved").splitlines()
    assert ["id", "name", "created", "names", "signature"] == listed[0].split()[:5]
    assert ["1", "mine"] == listed[2].split()[:2]
    assert "no '--foo'" in said(console, capsys, ":restore mine --foo")


def test_query_needs_a_host(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence says how to have one."""
    assert "--db FILE" in said(console, capsys, ":query select 1")


def test_help_tells_each_command(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them in a list, and each with its own words."""
    listed = said(console, capsys, ":help")

    for name in ("vars", "save", "restore", "context", "query", "time", "help"):
        assert f":{name}" in listed
        assert said(console, capsys, f":help {name}").startswith(f":{name}")


def test_beginning_of_a_command_is_enough(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where only one begins so."""
    assert said(console, capsys, ":va").startswith("no variables")
    assert "could be" in said(console, capsys, ":sav")
    with pytest.raises(Leave):
        console.run(":qui")


# ---- A database beside --------------------------------------------------------------


def test_database_is_beside_the_shell(tmp_path: Path) -> None:
    """Queries give frames, and pybridge.host works on the same connection."""
    text = """from pybridge import host
host.execute("create table t (a, b)")
host.execute("insert into t values (1, 'x'), (2, null)")
:query select * from t
:query df = select a \\
  from t
df.a.tolist()
with host.transaction():
    host.write(df, "copy")

:query select count(*) as n from copy
:query select nobody from t
"""
    shown, errors, code = piped(text, "--db", tmp_path / "new.db")

    assert (
        "0\n2\na   b\n─────\n1   x\n2\n2 rows, 2 columns\n"
        "a\n─\n1\n2\ndf: 2 rows, 1 column\n[1, 2]\n2\nn\n─\n2\n1 row, 1 column\n"
    ) == shown
    assert "no such column: nobody" in errors
    assert 1 == code
    assert "2\n" == run("sqlite3", tmp_path / "new.db", "select count(*) from t").stdout


def test_database_that_is_none_is_an_error(tmp_path: Path) -> None:
    """SQLite's own words."""
    path = tmp_path / "no.db"
    path.write_text("this is no database, and long enough to be looked at as one" * 9)

    said, errors, code = piped("1\n", "--db", path)

    assert ("", 1) == (said, code)
    assert f"Error: SQLite cannot open '{path}': file is not a database\n" == errors


def test_threads_and_builtins_after_a_shell_in_this_process() -> None:
    """In-process: no thread stays, and quit is Python's own again."""
    from pybridge import shell

    before = threading.active_count(), vars(builtins).get("quit")

    assert 0 == shell.interact("shell", code=["x = 1"])
    assert before == (threading.active_count(), vars(builtins).get("quit"))
