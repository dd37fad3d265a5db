"""Without memory, and under the sanitizers: the short form."""

from __future__ import annotations

from tests.programs import ROOT, run


def test_each_allocation_may_fail_and_no_access_is_wrong() -> None:
    """Every allocation fails in turn: an error or nothing, no leak, no wrong access."""
    ended = run(ROOT / "tools/checked.sh", "faults")

    assert 0 == ended.returncode, ended.stdout + ended.stderr
