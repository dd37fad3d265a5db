"""The JSON of values that come back from it exactly; others have none."""

from __future__ import annotations

import json
from typing import Any

from pybridge.errors import BadArgument

__all__ = ["LONGEST", "dumps", "loads"]

LONGEST = 1024 * 1024  # a longer text would only be the value a second time
_LEAVES = {type(None), bool, int, str}


def dumps(value: Any) -> str | None:
    """Return the JSON text of a value, or None where it would come back as another."""
    try:
        if not _is_exact(value, [0]):
            return None
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                text = json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):  # too long an integer, a cycle, too deep
        return None
    # SQLite takes a NUL for the end of a text; JSON writes it as an escape anyway.
    return text if len(text) <= LONGEST else None


def _is_exact(value: Any, count: list[int]) -> bool:
    kind = type(value)
    if kind in _LEAVES:
        return kind is not str or len(value) <= LONGEST
    if kind is float:
        return bool(value - value == 0)
    if kind is list:
        count[0] += len(value)
        return count[0] <= LONGEST and all(_is_exact(one, count) for one in value)
    if kind is dict:
        count[0] += len(value)
        return count[0] <= LONGEST and all(
            type(key) is str and _is_exact(one, count) for key, one in value.items()
        )
    return False


def loads(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        BadArgument: it is not JSON.

    """

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON; null is")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as exc:
        raise BadArgument(f"it is not JSON: {exc}") from None
