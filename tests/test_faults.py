"""Without memory, and under the sanitizers: the short form."""

from __future__ import annotations

import pytest

from tests.programs import ROOT, run

PARTS = [
    "faults",
    "gtm_faults",
    "test_calls",
    "test_gtm",
    "test_nomemory",
    "test_table",
    "test_values",
    "sqlite",
]


@pytest.mark.parametrize("part", PARTS)
def test_each_allocation_may_fail_and_no_access_is_wrong(part: str) -> None:
    """Every allocation fails in turn: an error or nothing, no leak, no wrong access."""
    ended = run(ROOT / "tools/checked.sh", "faults", part)

    assert 0 == ended.returncode, ended.stdout + ended.stderr
