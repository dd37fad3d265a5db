"""Faults: everything that is wrong with what was given, told at once."""

from __future__ import annotations

from typing import Any, Iterable, NamedTuple, Optional, Sequence

from pybridge.errors import BadArgument

__all__ = ["Fault", "Faults", "nearest", "shown"]

_LONGEST = 80


class Fault(NamedTuple):
    """One thing that is wrong: where, what came, and what to do."""

    field: str
    value: object
    message: str


class Faults(BadArgument):
    """Arguments that are wrong, all of them; `faults` has each with its field."""

    __module__ = "pybridge.functions"

    def __init__(self, what: str, faults: Iterable[Fault]) -> None:
        """Take what was asked for, and the faults."""
        found = list(faults)
        self.what = what
        self._given = found
        self.faults: list[dict[str, Any]] = [fault._asdict() for fault in found]
        lines = [f"{fault.field}: {fault.message}" for fault in found]
        if len(lines) == 1:
            super().__init__(f"{what}: {lines[0]}")
        else:
            told = "\n".join(f"  {line}" for line in lines)
            super().__init__(f"{what}: {len(lines)} faults\n{told}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with all of them; what was given goes as it is shown."""
        told = [Fault(one.field, shown(one.value), one.message) for one in self._given]
        return (Faults, (self.what, told))


def shown(value: object) -> str:
    """Return a value as messages show it: short, whatever it is."""
    try:
        text = repr(value)
    except Exception:
        return f"<{type(value).__name__}>"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def nearest(name: str, known: Sequence[str]) -> Optional[str]:
    """Return the known name that was most likely meant, or None."""
    import difflib

    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return found[0] if found else None
