"""`pybridge context`, run as a person runs it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.programs import run
from tests.terminals import Terminal

if TYPE_CHECKING:
    import subprocess as sub
    from pathlib import Path

COMMAND = (sys.executable, "-m", "pybridge", "context")


class Line:
    """A command line with a store of its own."""

    def __init__(self, folder: Path) -> None:
        """Use a store in the folder."""
        self.folder = folder
        self.env = {
            **os.environ,
            "XDG_DATA_HOME": str(folder / "data"),
            "PYBRIDGE_STORE": str(folder / "store.db"),
        }

    def run(self, *words: str, given: str | None = None) -> sub.CompletedProcess[str]:
        """Run a verb to its end."""
        return run(*COMMAND, *words, cwd=self.folder, env=self.env, given=given)

    def done(self, *words: str) -> str:
        """Run a verb that must go well, and return what it prints."""
        ended = self.run(*words)
        assert 0 == ended.returncode, ended.stderr
        return ended.stdout

    def json(self, *words: str) -> Any:
        """Run a verb with --json and return what it prints."""
        return json.loads(self.done(*words, "--json"))


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A command line whose store is empty."""
    return Line(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A command line with two snapshots, for verbs that only look."""
    made = Line(tmp_path_factory.mktemp("filled"))
    made.done(
        "save",
        "first",
        "-c",
        "import math as m\nrate = 41\nword = 'text'\n"
        "def area(r):\n    'Of a circle.'\n    return m.pi * r * r\n"
        "import threading; lock = threading.Lock()",
        "--description",
        "before the change",
    )
    made.done("save", "second", "-c", "rate = 42\nword = 'text'")
    return made


def rows(printed: str) -> list[list[str]]:
    """Return the lines of a list, split at their tabs, without the heads."""
    return [text.split("\t") for text in printed.splitlines()][1:]


def test_save_runs_a_program_and_says_what_it_saved(line: Line) -> None:
    """The number, the name and how much; what cannot be saved goes to stderr."""
    (line.folder / "program.py").write_text("x = 1\nlock = __import__('_thread').lock")
    (line.folder / "program.py").write_text(
        "import threading\nx = 1\nlock = threading.Lock()\n"
    )

    ended = line.run("save", "first", "program.py")

    assert 0 == ended.returncode
    assert ended.stdout.startswith("saved 'first' as 1: 2 names, ")
    assert "not saved: variable lock: " in ended.stderr


def test_save_takes_code_from_stdin(line: Line) -> None:
    """`-` is the standard input."""
    ended = line.run("save", "first", "-", given="x = 6 * 7")

    assert 0 == ended.returncode, ended.stderr
    assert "42\n" == line.done("restore", "first", "-c", "print(x)")


@pytest.mark.parametrize(
    ("code", "exit_code", "says"),
    [
        ("x = 1\ny = x / 0", 1, "line 2, in <module>"),
        ("x = (", 1, "SyntaxError"),
        ("raise SystemExit(3)", 3, ""),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
    ],
)
def test_save_of_a_program_that_fails_saves_nothing(
    line: Line, code: str, exit_code: int, says: str
) -> None:
    """Its traceback is shown without the bridge's frames."""
    ended = line.run("save", "first", "-c", code)

    assert exit_code == ended.returncode
    assert says in ended.stderr
    assert "pybridge/" not in ended.stderr
    assert [] == line.json("list")


def test_save_of_a_program_that_leaves_with_0_saves(line: Line) -> None:
    """`sys.exit()` at the end of a program is no failure."""
    line.done("save", "first", "-c", "import sys; x = 1; sys.exit(0)")

    assert "first" == line.json("list")[0]["name"]


def test_save_takes_a_mask_and_a_length(line: Line) -> None:
    """Names outside the mask are not meant, larger ones are listed."""
    report = line.json(
        "save", "a", "-c", "a = 1; b = 2; c = 'x' * 9999", "--mask", "a,c",
        "--max-length", "1000",
    )  # fmt: skip

    assert ["a"] == [one["name"] for one in report["saved"]]
    assert ["c"] == [one["name"] for one in report["skipped"]]
    assert report["skipped"][0]["reason"]


@pytest.mark.parametrize(
    "words",
    [
        ("save", "x"),
        ("save", "x", "file.py", "-c", "1"),
        ("save", "x", "-c", "1", "--max-length", "-1"),
    ],
)
def test_wrong_use_is_exit_code_2(line: Line, words: tuple[str, ...]) -> None:
    """A wrong use says what is wrong with it."""
    ended = line.run(*words)

    assert 2 == ended.returncode
    assert "Error: " in ended.stderr


def test_restore_runs_a_program(filled: Line) -> None:
    """It finds functions with their globals, and modules under their aliases."""
    printed = filled.done(
        "restore", "first", "-c", "print(round(area(1), 2), m.pi > 3)"
    )

    assert "3.14 True\n" == printed


@pytest.mark.parametrize("words", [("restore", "first"), ("save", "again")])
def test_json_is_all_that_comes_on_stdout(line: Line, words: tuple[str, ...]) -> None:
    """What the program prints goes to standard error then."""
    line.done("save", "first", "-c", "x = 1")

    ended = line.run(*words, "-c", "print('hello')", "--json")

    assert words[1] == json.loads(ended.stdout)["name"]
    assert "hello" in ended.stderr


def test_program_that_is_not_there_is_a_wrong_use(line: Line) -> None:
    """The error names the file, not a number of the system."""
    ended = line.run("save", "x", "nowhere.py")

    assert 2 == ended.returncode
    assert "there is no file 'nowhere.py'" in ended.stderr


def test_help_says_of_every_verb_a_whole_sentence(line: Line) -> None:
    """None ends in the dots of what was cut off."""
    told = line.done("--help")

    assert "verify" in told
    assert "...\n" not in told.partition("Commands:")[2]


def test_restore_takes_a_mask(filled: Line) -> None:
    """Only what it means is restored."""
    report = filled.json("restore", "first", "--mask", "w*,rate")

    assert {"rate", "word"} == {one["name"] for one in report["restored"]}


def test_restore_without_a_program_opens_the_shell(filled: Line) -> None:
    """Its prompt has the names of the snapshot."""
    ended = filled.run("restore", "second", given="rate + 1\n")

    assert "43" in ended.stdout, ended.stderr
    assert "restored 2 names of 'second' (2)" in ended.stderr


def test_list_is_lines_with_tabs_where_there_is_no_terminal(filled: Line) -> None:
    """Programs can take it apart; the newest comes first."""
    printed = filled.done("list")

    assert printed.startswith("id\tname\tcreated\t")
    assert [["2", "second"], ["1", "first"]] == [row[:2] for row in rows(printed)]


def test_list_is_a_table_on_a_terminal(filled: Line) -> None:
    """People get columns."""
    mine, other = pty.openpty()
    subprocess.run(
        [*COMMAND, "list"], env=filled.env, stdout=other, check=True, timeout=60
    )
    os.close(other)

    printed = os.read(mine, 1 << 16).decode()
    os.close(mine)

    assert "\t" not in printed
    assert "second" in printed
    assert " B" in printed


def test_save_and_restore_show_a_percentage_on_a_terminal(
    filled: Line, tmp_path: Path
) -> None:
    """A bar counts bytes to the end, and is wiped away; the report stays."""
    store = ("--store", str(tmp_path / "own.db"))
    code = "import numpy as np; a = np.arange(900_000.0); b = 'word'"

    save = (*COMMAND, "save", "large", "-c", code, *store)
    with Terminal(*save, env=filled.env) as program:
        program.expect("saving large")
        program.expect("100%")
        program.expect("saved 'large' as 1: 3 names, 7.2 MB")
        assert 0 == program.wait()
    restore = (*COMMAND, "restore", "large", "-c", "", *store)
    with Terminal(*restore, env=filled.env) as program:
        program.expect("restoring large")
        program.expect("100%")
        assert 0 == program.wait()


def test_nothing_counts_where_there_is_no_terminal(
    filled: Line, tmp_path: Path
) -> None:
    """What is piped has the report alone."""
    ended = filled.run("save", "x", "-c", "x = 1", "--store", str(tmp_path / "own.db"))

    assert ("", 0) == (ended.stderr, ended.returncode)
    assert "%" not in ended.stdout


def test_show_lists_what_was_saved_and_what_was_not(filled: Line) -> None:
    """Each item with its kind, type and value; a reason where it was not saved."""
    printed = filled.done("show", "first")

    assert "before the change" in printed
    assert "module\tm\t" in printed
    assert "variable\trate\tint\t" in printed
    assert "function\tarea\tfunction\t" in printed
    assert "variable\tlock\t_thread.lock\t" in printed


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("r*",), {(1, "rate"), (2, "rate")}),
        (("--type", "str"), {(1, "word"), (2, "word")}),
        (("--text", "42"), {(2, "rate")}),
        (("--after", "2999-01-01"), set()),
        (("rate", "--before", "2999-01-01"), {(1, "rate"), (2, "rate")}),
    ],
)
def test_search_finds_items(
    filled: Line, words: tuple[str, ...], found: set[tuple[int, str]]
) -> None:
    """By name, type, text and time."""
    answer = filled.json("search", *words)

    assert found == {(one["id"], one["name"]) for one in answer}


def test_diff_is_exit_code_1_where_something_differs(filled: Line) -> None:
    """As that of files."""
    ended = filled.run("diff", "first", "second", "--json")
    same = filled.run("diff", "first", "first")
    changes = {one["name"]: one["change"] for one in json.loads(ended.stdout)}

    assert (1, 0, "") == (ended.returncode, same.returncode, same.stdout)
    assert {"rate": "changed", "area": "removed", "m": "removed"} == {
        name: change for name, change in changes.items() if name != "threading"
    }


def test_unknown_snapshot_is_exit_code_4_and_names_what_is_there(filled: Line) -> None:
    """The error helps to find the right one."""
    for words in (
        ("restore", "99", "-c", "1"),
        ("diff", "first", "nope"),
        ("trust", "nope"),
    ):
        ended = filled.run(*words)

        assert 4 == ended.returncode, (words, ended.stderr)
        assert "second" in ended.stderr
        assert 1 == len(ended.stderr.splitlines())


def test_store_that_is_not_there_is_an_error(filled: Line) -> None:
    """A typing error makes no new empty store."""
    ended = filled.run("list", "--store", "nope.db")

    assert 1 == ended.returncode
    assert "there is no store 'nope.db'" in ended.stderr
    assert not (filled.folder / "nope.db").exists()


def test_store_that_is_no_database_is_an_error(line: Line) -> None:
    """It is said, and the file stays as it is."""
    (line.folder / "text.db").write_text(
        "this is text, and long enough for a header\n" * 9
    )

    ended = line.run("list", "--store", "text.db")

    assert 1 == ended.returncode
    assert "text.db" in ended.stderr
    assert 1 == len(ended.stderr.splitlines())


def test_delete_removes(line: Line) -> None:
    """Several at once, by number or name."""
    for name in ("a", "b", "c"):
        line.done("save", name, "-c", "x = 1")

    assert "deleted 1, 2\n" == line.done("delete", "a", "2")
    assert ["c"] == [one["name"] for one in line.json("list")]


def test_export_is_imported_elsewhere(line: Line) -> None:
    """One file has all of it; an import of one's own needs no trust."""
    line.done("save", "first", "-c", "def f(x): return x + 1")
    line.done("export", "first", "first.pyb")
    line.done("delete", "first")

    assert "imported as 2\n" == line.done("import", "first.pyb")
    assert "42\n" == line.done("restore", "first", "-c", "print(f(41))")


def test_export_does_not_overwrite(line: Line) -> None:
    """A file that is there stays."""
    line.done("save", "first", "-c", "x = 1")
    (line.folder / "there").write_text("mine")

    ended = line.run("export", "first", "there")

    assert 1 == ended.returncode
    assert "mine" == (line.folder / "there").read_text()


def test_import_of_something_else_is_an_error(line: Line) -> None:
    """It is one line, and nothing is imported."""
    (line.folder / "text").write_text("no snapshot\n" * 100)

    ended = line.run("import", "text")

    assert 1 == ended.returncode
    assert 1 == len(ended.stderr.splitlines()), ended.stderr
    assert [] == line.json("list")


def test_snapshot_of_another_user_is_exit_code_3_until_it_is_trusted(
    line: Line,
) -> None:
    """What another key has signed is refused, with what to do."""
    line.done("save", "first", "-c", "def f(): return 42")
    line.env["XDG_DATA_HOME"] = str(line.folder / "other")

    refused = line.run("restore", "first", "-c", "print(f())")
    once = line.done("restore", "first", "--trust", "-c", "print(f())")
    line.done("trust", "first")
    after = line.done("restore", "first", "-c", "print(f())")

    assert 3 == refused.returncode
    assert "trust" in refused.stderr
    assert 1 == len(refused.stderr.splitlines())
    assert ("42\n", "42\n") == (once, after)


def test_restore_safe_runs_no_code(line: Line) -> None:
    """Functions are left out, data comes."""
    line.done("save", "first", "-c", "x = [1, 2]\ndef f(): return 42")

    report = line.json("restore", "first", "--safe", "--lenient")

    assert ["x"] == [one["name"] for one in report["restored"]]
    assert ["f"] == [one["name"] for one in report["skipped"]]


def test_inspect_lists_what_would_be_imported(line: Line) -> None:
    """The imports of a pickle are found without loading it."""
    line.done(
        "save", "first", "-c", "from fractions import Fraction\nx = Fraction(1, 3)"
    )

    found = line.json("inspect", "first")

    assert ("x", "fractions", "Fraction") in {
        (one["item"], one["module"], one["name"]) for one in found
    }


def test_verify_is_exit_code_1_where_something_was_changed(line: Line) -> None:
    """All of the snapshots are read, or those that are named."""
    import sqlite3

    line.done("save", "first", "-c", "x = 12345")
    line.done("save", "second", "-c", "x = 12345")
    assert 0 == line.run("verify").returncode
    with sqlite3.connect(line.env["PYBRIDGE_STORE"]) as db:
        db.execute("update pybridge_pickle set data = x'00' where context = 1")
    db.close()

    ended = line.run("verify")

    assert 1 == ended.returncode
    assert 0 == line.run("verify", "second").returncode
