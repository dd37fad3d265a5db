"""Names of columns: as text, and each its own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["text", "unique"]


def text(name: object) -> str:
    """Return the name of a column as text; the parts of a tuple are joined by "_"."""
    if isinstance(name, str):
        return name
    if isinstance(name, tuple):
        return "_".join(str(part) for part in name if part != "")
    return str(name)


def unique(names: Sequence[str]) -> list[str]:
    """Return the names with each repeated one numbered: x, x becomes x, x_1."""
    if len(set(names)) == len(names):
        return list(names)
    taken = set(names)
    seen: set[str] = set()
    found = []
    for name in names:
        one, number = name, 0
        while one in seen or (number and one in taken):
            number += 1
            one = f"{name}_{number}"
        seen.add(one)
        found.append(one)
    return found
