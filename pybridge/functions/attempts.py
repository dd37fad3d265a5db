"""Attempts: how they are told apart in a run's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybridge._words import counted
from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["OWN", "begins", "check", "part"]

OWN = "pybridge: "  # what our own lines in a log begin with


def begins(attempt: int) -> str:
    """Return the words before what an attempt writes; the first has none."""
    return f"attempt {attempt} begins"


def check(attempt: int, status: Mapping[str, Any]) -> None:
    """Refuse an attempt that a run has not made.

    Raises:
        BadArgument: it has not.

    """
    made = max(len(status.get("attempts") or ()), int(status.get("attempt") or 1))
    if not 1 <= attempt <= made:
        raise BadArgument(
            f"the run has made {counted(made, 'attempt')}; there is no attempt "
            f"{attempt}"
        )


def part(lines: Iterable[str], attempt: int) -> Iterator[str]:
    """Yield the lines of one attempt."""
    inside = attempt == 1
    first, end = (f"{OWN}{begins(number)}" for number in (attempt, attempt + 1))
    for line in lines:
        if line == first:
            inside = True
        elif line == end:
            return
        elif inside:
            yield line
