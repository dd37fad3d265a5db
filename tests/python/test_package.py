"""The package as such: what importing it gives and costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pybridge
from pybridge import columnar, errors

HEADER = Path(__file__).parents[2] / "c/include/pybridge.h"
# What the library imports to give its first result.
AT_START = ["errors", "source", "status", "context", "main", "host", "output"]
# Their being imported at start would cost more than all else.
HEAVY = [
    "argparse",
    "ast",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "enum",
    "functools",
    "inspect",
    "json",
    "keyword",
    "linecache",
    "numpy",
    "pandas",
    "pickle",
    "polars",
    "pyarrow",
    "re",
    "string",
    "textwrap",
    "threading",
    "tokenize",
    "traceback",
    "types",
    "typing",
    "warnings",
    "weakref",
]


def run(code: str) -> str:
    """Run code in a bare interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, '.')\n{code}"],
        cwd=HEADER.parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_import_loads_nothing_heavy() -> None:
    """Starting the library costs a few files of its own and nothing else."""
    imports = "; ".join(f"import pybridge.{name}" for name in AT_START)

    loaded = run(f"{imports}; print(*sys.modules)").split()

    assert {f"pybridge.{name}" for name in AT_START} <= set(loaded)
    assert [] == sorted(set(loaded) & set(HEAVY))


def test_evaluate_loads_nothing_heavy() -> None:
    """A first expression imports nothing either."""
    code = "import pybridge.main as m; m.evaluate('1 + 1'); print(*sys.modules)"

    assert [] == sorted(set(run(code).split()) & set(HEAVY))


def test_names_are_loaded_on_first_use() -> None:
    """Modules and errors are attributes of the package without an import of theirs."""
    code = "import pybridge as p; print(p.main.evaluate('1 + 1'), p.Undefined.__name__)"

    assert "2 Undefined\n" == run(code)


def test_all_is_sorted_and_there() -> None:
    """__all__ is sorted, and every name in it can be had."""
    assert sorted(pybridge.__all__) == pybridge.__all__
    assert all(getattr(pybridge, name) is not None for name in pybridge.__all__)
    assert set(pybridge.__all__) <= set(dir(pybridge))
    assert pybridge.Undefined is errors.Undefined
    assert pybridge.columnar is columnar


def test_unknown_attribute_is_an_attribute_error() -> None:
    """What is not there is missing in the usual way."""
    with pytest.raises(
        AttributeError, match="module 'pybridge' has no attribute 'nope'"
    ):
        _ = pybridge.nope


def test_version_is_that_of_the_contract() -> None:
    """The package and the header tell the same version."""
    found = re.search(r'#define PYB_VERSION "(.*)"', HEADER.read_text())

    assert found is not None
    assert found[1] == pybridge.__version__
