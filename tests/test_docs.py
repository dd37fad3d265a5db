"""What is public is documented, and what is documented exists."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from pybridge import errors, main
from pybridge.cli import COMMANDS
from pybridge.location import LIBRARY, PLACES
from tests.programs import ROOT, build, flags, run

if TYPE_CHECKING:
    from pathlib import Path

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CHANGELOG.md",
    ROOT / "benchmarks/README.md",
    *DOCS,
]


def page(name: str) -> str:
    """Return the text of a page in docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_every_c_function_is_in_the_c_api_page() -> None:
    """The page names what the header declares, and nothing else."""
    header = (ROOT / "c/include/pybridge.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"^PYB_API\b[^;(]*?\b(pyb_\w+)\(", header, re.MULTILINE))
    declared |= set(
        re.findall(r"^static inline .*?\b(pyb_\w+)\(", header, re.MULTILINE)
    )
    types = {"pyb_status", "pyb_value", "pyb_error", "pyb_session", "pyb_services"}
    types |= {"pyb_config"}

    named = set(re.findall(r"`(pyb_[a-z_0-9]+)[^`]*`", page("c-api.md")))

    assert declared == named - types


def test_every_status_is_in_the_errors_page() -> None:
    """Each status stands there with its number."""
    header = (ROOT / "c/include/pybridge.h").read_text(encoding="utf-8")
    statuses = re.findall(r"X\((\w+), (\d+), ", header)

    rows = re.findall(r"^\| `PYB_(\w+)` \| (\d+) ", page("errors.md"), re.MULTILINE)

    assert statuses == rows


def test_every_error_class_is_in_the_errors_page() -> None:
    """Each class stands there."""
    classes = {name for name in errors.__all__ if name[0].isupper()}

    rows = re.findall(r"^\| `([A-Z][a-z]\w+)` \|", page("errors.md"), re.MULTILINE)

    assert classes == set(rows)


def test_every_sql_function_is_in_the_sqlite_page() -> None:
    """The page names what the library registers, and nothing else."""
    listed = run(
        "sqlite3",
        ":memory:",
        f".load {LIBRARY}",
        "select distinct name from pragma_function_list where name glob 'py_*'"
        " union select name from pragma_module_list where name glob 'py_*'",
    )
    assert 0 == listed.returncode, listed.stderr

    named = set(re.findall(r"`(py_[a-z_]+)", page("sqlite.md")))

    assert set(listed.stdout.split()) == named


def test_every_command_is_in_the_command_line_page() -> None:
    """Each command has its section, and each word of `path` its row."""
    text = page("command-line.md")

    sections = set(re.findall(r"^## ([\w-]+)$", text, re.MULTILINE))
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))

    assert set(COMMANDS) == sections
    assert set(PLACES) == rows


def test_every_page_is_in_the_index() -> None:
    """A page that the index does not name would not be found."""
    linked = set(re.findall(r"\]\((\w[\w-]*\.md)\)", page("index.md")))

    assert {path.name for path in DOCS} - {"index.md"} == linked


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """A link inside the repository names a file that is there."""
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text)

    missing = [target for target in targets if not (path.parent / target).exists()]

    assert [] == missing


def test_makefile_help_names_every_target() -> None:
    """`make help` shows each public target with its words."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", text, re.MULTILINE)

    said = run("make", "help", cwd=ROOT).stdout

    assert targets == re.findall(r"^  make (\w+) +\S", said, re.MULTILINE)
    assert "help" == targets[0]


def test_c_program_of_the_page_runs(tmp_path: Path) -> None:
    """The program in the C API page does what it shows."""
    source = tmp_path / "page.c"
    blocks = re.findall(r"```c\n(.*?)```", page("c-api.md"), re.DOTALL)
    source.write_text(blocks[0], encoding="utf-8")

    ended = run(build(source, tmp_path, flags(sys.executable)), cwd=tmp_path)

    assert "45\n" == ended.stdout
    assert 1 == len(blocks)


# The methods of the original's README; a page that loses one is not whole.
ORIGINAL = """
    Setup Initialize Finalize Unload
    ImportModule SimpleString ExecuteCode ExecuteFunction ExecuteFunctionArgs
    GetVariable GetVariableJson GetVariablePickle
    ExecuteQuery ExecuteGlobal ExecuteClass ExecuteTable
    GetVariableInfo GetVariableDefined GetVariableType GetStatus GetModuleInfo
    GetFunctionInfo SerializationStr SerializationRepr Shell SaveContext DisplayContext
    RestoreContext Operation Initializer PythonLib GetAnnotation BPEmulator zpy Jupyter
    TestSimpleString TestLimit TestPassSpeedIn TestPassSpeedOut TestSetCallSpeed
    TestUnicode TestStreams TestMultiline TestPassSpeedInStream TestStream
    TestGetVariableInfo TestModules TestGetStatus TestJSON TestExecuteFunction
    TestExecuteFunctionArgs TestProxyObject
"""


def test_parity_page_has_every_method_of_the_original() -> None:
    """Each stands in a row, with what it is here."""
    rows = [line for line in page("parity.md").splitlines() if line.startswith("| ")]

    missing = [
        name
        for name in ORIGINAL.split()
        if not any(re.search(rf"\b{name}\b", row.split(" | ")[0]) for row in rows)
    ]

    assert [] == missing


def test_parity_page_names_tests_that_exist() -> None:
    """Each row that says something is there names a test, and the test is there."""
    text = page("parity.md")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)

    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists()
        or not re.search(
            rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE
        )
    ]

    assert [] == missing
    assert 60 < len(named) == text.count("::test_")


def test_parity_page_names_functions_that_exist() -> None:
    """What it says of C, SQL and Python is in the header, the guide and the API."""
    text = page("parity.md")
    header = (ROOT / "c/include/pybridge.h").read_text(encoding="utf-8")

    c_names = set(re.findall(r"`(pyb_\w+)", text))
    sql_names = set(re.findall(r"`(py_\w+)", text))
    python_names = {
        name
        for name in re.findall(r"\| `([a-z]+_[a-z_]+)` \| `py_", text)
        if not name.startswith("pyb")
    }

    assert [] == [name for name in sorted(c_names) if name not in header]
    assert [] == [name for name in sorted(sql_names) if name not in page("sqlite.md")]
    assert [] == [name for name in sorted(python_names) if name not in main.__all__]
