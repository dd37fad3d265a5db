"""The C tests and the C example on every other Python that is installed.

On the Python that runs the tests they are those of test_c.py and test_examples.py.
"""

from __future__ import annotations

import functools
import os
import platform
from typing import TYPE_CHECKING

import pytest

from tests.programs import ROOT, build, c_tests, flags, run
from tools.matrix import environment, pythons

if TYPE_CHECKING:
    from pathlib import Path

PYTHONS = pythons()
PYTHONS.pop(platform.python_version(), None)


@functools.cache
def words_of(version: str) -> list[str]:
    """Build the package for a Python, and return the flags that it prints."""
    return flags(environment(version, PYTHONS[version]))


@pytest.mark.first
@pytest.mark.parametrize("version", PYTHONS)
def test_package_is_built_for_every_python(version: str) -> None:
    """It takes its time, in which the other worker need not stand still."""
    assert words_of(version)


@pytest.mark.parametrize("name", ["mean", *c_tests()])
@pytest.mark.parametrize("version", PYTHONS)
def test_c_programs_pass_on_every_python(
    version: str, name: str, tmp_path: Path
) -> None:
    """The package builds for each installed Python, and the C programs run with it."""
    folder = ROOT / ("examples/c" if name == "mean" else "tests/c")
    program = build(folder / f"{name}.c", tmp_path, words_of(version))

    ended = run(program, cwd=tmp_path, env={**os.environ, "PYB_QUICK": "1"})

    assert 0 == ended.returncode, ended.stdout + ended.stderr
