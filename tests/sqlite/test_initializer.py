"""The initializer in the SQLite host: run when SQL first uses a context."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pybridge.location import LIBRARY
from tests.programs import run

if TYPE_CHECKING:
    from pathlib import Path

TOML = """
[initializer]
modules = [{name = "math", alias = "m"}]
code = '''
def area(r):
    return m.pi * r * r
broken = 1 / 0
'''
"""


def shell(folder: Path, *sql: str, **variables: str) -> tuple[list[str], str]:
    """Run SQL in the sqlite3 shell, in a folder; return lines and errors."""
    env = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), **variables}
    ended = run("sqlite3", ":memory:", f".load {LIBRARY}", *sql, cwd=folder, env=env)
    return ended.stdout.splitlines(), ended.stderr


def test_first_use_initializes_the_context(tmp_path: Path) -> None:
    """The statement finds what the settings define; what failed is on stderr."""
    (tmp_path / "pybridge.toml").write_text(TOML)
    (tmp_path / "pybridge.toml").chmod(0o644)

    lines, errors = shell(
        tmp_path,
        "select py_eval('round(area(1), 2)')",
        "select py_initialize()",
        "select py_reset(); select py_eval('round(area(2), 2)')",
    )

    report = json.loads(lines[1])
    assert ["3.14", "12.57"] == [lines[0], lines[-1]]
    assert [True, False] == [step["ok"] for step in report["steps"]]
    assert 3 == report["steps"][1]["error"]["line"]
    assert "initializer: code 'def area(r):': ZeroDivisionError" in errors


def test_argument_names_a_file_of_its_own(tmp_path: Path) -> None:
    """py_initialize(file) runs it once, whatever the settings say."""
    (tmp_path / "own.py").write_text("n = globals().get('n', 0) + 1\n")

    lines, errors = shell(
        tmp_path,
        "select py_initialize() is null",
        "select json_extract(py_initialize('own.py'), '$.ok')",
        "select json_extract(py_initialize('own.py'), '$.ok')",
        "select py_eval('n')",
        "select py_initialize('none.py')",
    )

    assert ["1", "1", "1", "1"] == lines
    assert (
        "py_initialize: pybridge.BadArgument: 'none.py', which is not a file" in errors
    )


def test_variable_turns_it_off(tmp_path: Path) -> None:
    """A program that must run none of it says so in its environment."""
    (tmp_path / "pybridge.toml").write_text(TOML)
    (tmp_path / "pybridge.toml").chmod(0o644)

    lines, errors = shell(
        tmp_path,
        "select py_info('area') ->> 'defined'",
        PYBRIDGE_INITIALIZER="off",
    )

    assert (["0"], "") == (lines, errors)
