"""One line of Python: what it shows, what it leaves, how it fails."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.zpy.conftest import COMMAND, until

if TYPE_CHECKING:
    from tests.zpy.conftest import Zpy


def test_state_lives_between_calls(zpy: Zpy) -> None:
    """The lines of the original's manual work as they stand there."""
    assert "" == zpy.says("import random")
    assert "" == zpy.says("x=random.random()")

    shown = zpy.says("x")

    assert 0 <= float(shown) < 1
    assert shown == zpy.says("x")


def test_open_files_and_frames_live_on(zpy: Zpy) -> None:
    """A file is read on where the last call stopped; a frame is still there."""
    (zpy.here / "lines").write_text("one\ntwo\n")
    zpy.says("f = open('lines')")
    zpy.says("import pandas as pd; df = pd.DataFrame({'a': [1, 2]})")

    shown = zpy.says("f.readline()"), zpy.says("f.readline()"), zpy.says("df.a.sum()")

    assert ("'one\\n'\n", "'two\\n'\n", "np.int64(3)\n") == shown


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("1 + 1", "2\n"),
        ("x = 5; x * 2", "10\n"),
        ("'HELLO'", "'HELLO'\n"),
        ("None", ""),
        ("x = 1", ""),
        ("", ""),
        ("# nothing", ""),
        ("print('a'); 'b'", "a\n'b'\n"),
        ("for i in range(2):\n  print(i)\ni", "0\n1\n1\n"),
        ("-1", "-1\n"),
        ("'é€😀'", "'é€😀'\n"),
        ("import sys; sys.argv", "['']\n"),
        ("__name__", "'__main__'\n"),
    ],
)
def test_last_expression_is_shown_as_in_a_shell(
    code: str, shown: str, shared: Zpy
) -> None:
    """Whatever ends in an expression shows it, behind what it printed before."""
    assert shown == shared.says(code)


def test_value_is_shown_in_the_form_that_is_asked_for(shared: Zpy) -> None:
    """As the shell would, by str(), or as JSON for programs."""
    shared.says("x = {'a': 'é', 'b': [None, 1.5]}")

    assert "{'a': 'é', 'b': [None, 1.5]}\n" == shared.says("x")
    assert "é\n" == shared.says("--str", "x['a']")
    assert {"a": "é", "b": [None, 1.5]} == json.loads(shared.says("--json", "x"))


def test_form_may_be_a_setting(zpy: Zpy) -> None:
    """[zpy] show is what is done without an option."""
    zpy.settings('[zpy]\nshow = "str"\n')

    assert "HELLO\n" == zpy.says("'HELLO'")
    assert "'HELLO'\n" == zpy.says("--repr", "'HELLO'")


def test_namespace_has_only_the_users_names(zpy: Zpy) -> None:
    """Nothing of the bridge's is among the names, after calls of every kind."""
    zpy.says("x = 1")
    zpy.says("x")
    zpy.says("--json", "x")
    zpy("1/0")

    names = zpy.says("--json", "sorted(n for n in globals() if n[:2] != '__')")

    assert ["x"] == json.loads(names)


@pytest.mark.parametrize("words", [(), ("-",)])
def test_code_comes_from_stdin(words: tuple[str, ...], shared: Zpy) -> None:
    """Over a pipe with or without "-", and as long as it may be."""
    code = "total = 0\n" + "total += 1\n" * 30_000 + "total\n"

    assert "30000\n" == shared.says(*words, given=code)


def test_stdin_is_the_codes_own(shared: Zpy) -> None:
    """Code that came as an argument reads what is piped in, and no later call does."""
    assert "'first'\n" == shared.says("input()", given="first\nsecond\n")
    assert "'third'\n" == shared.says("input()", given="third\n")


def test_programs_that_the_code_starts_write_to_the_caller(shared: Zpy) -> None:
    """The descriptors themselves are the caller's, not only Python's streams."""
    ended = shared(
        "import os; print(1, flush=True); os.system('echo 2; echo 3 >&2'); print(4)"
    )

    assert ("1\n2\n4\n", "3\n") == (ended.stdout, ended.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-f", "no.py"), "zpy: 'no.py' cannot be read: No such file or directory\n"),
        (("--restore", "nix"), "zpy: there is no saved context 'nix'; nothing is"),
    ],
)
def test_what_the_command_cannot_do_is_said_as_its_own(
    zpy: Zpy, words: tuple[str, ...], said: str
) -> None:
    """It is no exception of the user's code, and has no class before it."""
    ended = zpy(*words)

    assert (1, "") == (ended.returncode, ended.stdout)
    assert ended.stderr.startswith(said)


def test_file_is_run_in_the_context(zpy: Zpy) -> None:
    """A file leaves its names behind, and its name is in tracebacks."""
    (zpy.here / "setup.py").write_text("y = 7\n\ndef broken():\n    return 1 / 0\n")

    assert "" == zpy.says("-f", "setup.py")
    ended = zpy("broken()")

    assert "7\n" == zpy.says("y")
    assert f'File "{zpy.here}/setup.py", line 4, in broken' in ended.stderr
    assert "return 1 / 0" in ended.stderr


def test_file_is_compiled_as_python_does(zpy: Zpy) -> None:
    """No `from __future__` of ours reaches the user's code."""
    (zpy.here / "typed.py").write_text("def f(x: int): pass\n")

    zpy.says("-f", "typed.py")

    assert "<class 'int'>\n" == zpy.says("f.__annotations__['x']")


def test_code_runs_in_the_callers_folder(zpy: Zpy) -> None:
    """The working directory follows the caller, from call to call."""
    other = zpy.folder / "other"
    other.mkdir()
    (other / "beside.py").write_text("z = 1\n")

    here = zpy.says("import os; os.getcwd()")
    there = zpy("import beside; os.getcwd()", cwd=other)

    assert (f"'{zpy.here}'\n", f"'{other}'\n") == (here, there.stdout)


def test_folder_that_is_gone_is_said(zpy: Zpy) -> None:
    """Where the caller's folder cannot be entered the code runs all the same."""
    gone = zpy.folder / "gone"
    gone.mkdir()
    code = f"cd {gone} && rmdir {gone} && exec '{COMMAND[0]}' '{COMMAND[1]}' 1+1"

    ended = subprocess.run(
        ["sh", "-c", code], env=zpy.env, capture_output=True, text=True, check=False
    )

    assert ("2\n", "") == (ended.stdout, ended.stderr)
    assert "2\n" == zpy.says("1 + 1")


def test_error_shows_the_users_lines_only(shared: Zpy) -> None:
    """Errors go to stderr with exit code 1; the state is as it was."""
    shared.says("def f(n):\n    return 1 / n\nx = 1")

    ended = shared("x = 2\nf(0)")

    lines = ended.stderr.splitlines()
    assert (1, "") == (ended.returncode, ended.stdout)
    assert "Traceback (most recent call last):" == lines[0]
    assert ["    f(0)", "    return 1 / n"] == lines[2:5:2]
    assert "ZeroDivisionError: division by zero" == lines[-1]
    assert 6 == len(lines)
    assert "2\n" == shared.says("x")


def test_syntax_error_says_where(zpy: Zpy) -> None:
    """Code that is not Python runs not at all."""
    ended = zpy("x = 1\ny = = 2")

    assert 1 == ended.returncode
    assert "line 2\n    y = = 2\n" in ended.stderr
    assert "SyntaxError: invalid syntax" in ended.stderr
    assert "NameError" in zpy("x").stderr


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("sys.exit('enough')", 1, "enough\n"),
        ("exit(3)", 3, ""),
    ],
)
def test_exit_ends_the_call_and_not_the_session(
    code: str, exit_code: int, said: str, shared: Zpy
) -> None:
    """sys.exit gives the exit code of that call; what there was is still there."""
    shared.says("import sys; x = 1")

    ended = shared(code)

    assert (exit_code, said) == (ended.returncode, ended.stderr)
    assert "1\n" == shared.says("x")


def test_contexts_of_one_session_are_apart(zpy: Zpy) -> None:
    """-c names a namespace inside the same process."""
    zpy.says("import os; x = 1")

    assert 1 == zpy("-c", "other", "x").returncode
    zpy.says("-c", "other", "import os; x = 2")

    assert "1\n" == zpy.says("x")
    assert zpy.says("os.getpid()") == zpy.says("-c", "other", "os.getpid()")


def test_sessions_are_processes_of_their_own(zpy: Zpy) -> None:
    """-s names another process; the list knows both."""
    zpy.says("x = 1")
    zpy.says("-s", "other", "import os; x = 2; y = 3")

    assert "1\n" == zpy.says("x")
    assert ["main", "other"] == [one["name"] for one in zpy.sessions()]
    assert [1, 2] == [one["names"] for one in zpy.sessions()]
    assert zpy.says("-s", "other", "os.getpid()") == f"{zpy.session('other')['pid']}\n"
    assert {"NAME", "main", "other"} <= set(zpy.says("--list").split())


@pytest.mark.parametrize("name", ["../x", ".x", "a/b", "", "x" * 65, "a b"])
def test_session_names_are_plain(name: str, shared: Zpy) -> None:
    """A name that could lead out of the folder is refused."""
    ended = shared(f"--session={name}", "1")

    assert 1 == ended.returncode
    assert "cannot be the name of a session" in ended.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lst",), "the option '--lst' is unknown; did you mean '--list'?"),
        (("--qqq",), "the option '--qqq' is unknown; see zpy --help"),
        (("-s",), "-s wants a value"),
        (("a", "b"), "one piece of code at a time, but 'b' follows"),
    ],
)
def test_wrong_words_are_explained(
    words: tuple[str, ...], message: str, zpy: Zpy
) -> None:
    """What the command line does not know is exit code 2, and starts no session."""
    ended = zpy(*words)

    assert 2 == ended.returncode
    assert message in ended.stderr
    assert [] == zpy.processes()


def test_help_and_version_start_no_session(zpy: Zpy) -> None:
    """They only tell."""
    assert zpy.says("--help").startswith("Usage: zpy ")
    assert zpy.says("--version").startswith("zpy ")
    assert [] == zpy.processes()


def test_reader_that_leaves_is_an_error_of_that_call_alone(shared: Zpy) -> None:
    """A pipe that nobody reads any more does not follow the session around."""
    call = shared.start("print('x' * 1000000)\nprint('again')")
    assert call.stdout is not None
    call.stdout.close()
    call.communicate()

    assert 1 == call.returncode
    assert "5\n" == shared.says("print(5)")


def test_fork_in_the_code_leaves_one_session(zpy: Zpy) -> None:
    """A child that the code forks ends with the code, and serves nobody."""
    zpy("import os\npid = os.fork()")
    zpy.says("_ = pid and os.waitpid(pid, 0)")

    assert "True\n" == zpy.says("pid == _[0]")


def test_streams_that_code_closes_come_back(zpy: Zpy) -> None:
    """Whatever a call does to its streams, the next has its own."""
    zpy("import sys, os; sys.stdout.close(); sys.stdin.close(); os.close(2)")

    assert "'more'\n" == zpy.says("input()", given="more\n")


def test_context_begins_with_what_the_settings_say(zpy: Zpy) -> None:
    """[initializer] runs before the first line; what fails is said to its caller."""
    zpy.settings('[initializer]\nmodules = ["math", "no_such"]\ncode = "x = math.pi"\n')

    first = zpy("round(x, 2)")

    assert "3.14\n" == first.stdout
    assert "pybridge: initializer: module 'no_such': ModuleNotFound" in first.stderr
    assert "" == zpy("x").stderr


def test_streams_that_code_keeps_stay_good(zpy: Zpy) -> None:
    """A logging handler writes to whoever calls, not to who called first."""
    zpy("import logging; logging.basicConfig(); logging.warning('one')")

    ended = zpy("logging.warning('two')")

    assert "WARNING:root:two\n" == ended.stderr


def test_threads_print_to_the_log_after_the_call(zpy: Zpy) -> None:
    """What comes when nobody calls is in the session's log."""
    zpy.says("import threading; threading.Timer(0.2, print, ['later']).start()")

    until(lambda: "later\n" in zpy.log())
    assert "1\n" == zpy.says("1")


def test_last_traceback_is_kept_for_the_debugger(shared: Zpy) -> None:
    """pdb.pm() works in the next call, over the caller's own terminal."""
    shared("def f():\n    secret = 42\n    1 / 0\nf()")

    ended = shared("import pdb; pdb.pm()", given="p secret\nq\n")

    assert "42" in ended.stdout
