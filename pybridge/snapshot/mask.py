"""Masks: which names are meant; a comma list in which `*` and `?` stand for others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["matcher"]


def matcher(mask: str) -> Callable[[str], bool]:
    """Return a function that tells whether a name is meant.

    Elements are trimmed, empty ones ignored; upper and lower case differ. A mask
    without any element means no name.
    """
    words = [word.strip() for word in mask.split(",")]
    patterns = [_pattern(word) for word in words if word]
    if not patterns:
        return lambda _: False
    meant = re.compile("|".join(patterns), re.DOTALL).fullmatch
    return lambda name: meant(name) is not None


def _pattern(word: str) -> str:
    # Runs of stars are one: otherwise "*****x" takes exponential time.
    parts = re.sub(r"\*+", "*", word)
    wild = {"*": ".*", "?": "."}
    return "".join(wild.get(char) or re.escape(char) for char in parts)
