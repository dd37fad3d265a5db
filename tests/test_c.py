"""Each program tests/c/test_*.c, built with the printed flags, on this Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.programs import ROOT, build, c_tests, flags, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", c_tests())
def test_c_program_passes(name: str, tmp_path: Path) -> None:
    """A C test ends with 0 and has printed a line for each of its tests."""
    program = build(ROOT / "tests/c" / f"{name}.c", tmp_path, flags())

    ended = run(program, cwd=tmp_path)

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert ended.stdout.strip()
