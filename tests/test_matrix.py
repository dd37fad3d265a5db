"""The C tests and the C example on every Python that is installed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.programs import ROOT, build, flags, run
from tools.matrix import environment, pythons

if TYPE_CHECKING:
    from pathlib import Path

PYTHONS = pythons()
PROGRAMS = [ROOT / "examples/c/mean.c", *sorted((ROOT / "tests/c").glob("test_*.c"))]


@pytest.mark.parametrize("version", PYTHONS)
def test_c_programs_pass_on_every_python(version: str, tmp_path: Path) -> None:
    """The package builds for each installed Python, and the C programs run with it."""
    python = environment(version, PYTHONS[version])
    words = flags(python)
    quick = {**os.environ, "PYB_QUICK": "1"}

    ended = {
        source.name: run(build(source, tmp_path, words), cwd=tmp_path, env=quick)
        for source in PROGRAMS
    }

    failed = {
        name: program.stdout + program.stderr
        for name, program in ended.items()
        if program.returncode != 0
    }
    assert {} == failed
