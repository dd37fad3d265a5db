"""Many calls leave nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.programs import ROOT, build, flags, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_million_mixed_calls_leave_nothing(tmp_path: Path) -> None:
    """Nothing is live after 10⁶ calls of seven kinds, and memory has not grown."""
    program = build(ROOT / "tests/c/soak.c", tmp_path, flags())

    ended = run(program, "1000000")

    assert 0 == ended.returncode, ended.stdout + ended.stderr
