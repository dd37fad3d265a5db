"""Words: how numbers of things read in messages."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, what: str) -> str:
    """Return a number of things, one or many: "1 row", "2,000 rows"."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")
