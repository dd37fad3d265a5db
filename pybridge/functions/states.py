"""States: the life of a run, and whether the process that leads it still lives."""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional

__all__ = [
    "FINAL",
    "MOVES",
    "NAMES",
    "allows",
    "is_final",
    "lives",
    "owner",
    "started",
]

NAMES = (
    "BUILT",
    "CANCELLED",
    "COMPLETED",
    "CREATED",
    "CREATING",
    "DELETED",
    "DELETING",
    "ERROR",
    "FSM_ERROR",
    "IDLE",
    "NONE",
    "ONLINE",
    "PENDING",
    "READY",
    "RESUME",
    "RUN_ERROR",
    "RUNNING",
    "STOP",
    "STOPPED",
    "SUCCESS",
    "UNKNOWN",
    "UPLOADING",
)
# Nothing moves on by itself from these; a stopped service can be resumed.
FINAL = frozenset({"COMPLETED", "ERROR", "STOPPED", "DELETED"})

# From a state, the states that may follow. A run goes back from RUNNING to PENDING when
# it waits for its next attempt, and from RUNNING to RUNNING when that begins.
_ONWARD: dict[str, tuple[str, ...]] = {
    "CREATED": ("BUILT", "READY", "PENDING", "RUNNING"),
    "BUILT": ("READY", "PENDING", "RUNNING"),
    "READY": ("PENDING", "RUNNING"),
    "PENDING": ("PENDING", "READY", "RUNNING"),
    "RUNNING": ("RUNNING", "PENDING", "COMPLETED"),
    "STOP": ("STOPPED",),
    "RESUME": ("READY", "PENDING", "RUNNING"),
}
MOVES: dict[str, frozenset[str]] = {
    state: frozenset({*onward, "ERROR", "STOP", "DELETING"})
    for state, onward in _ONWARD.items()
}
MOVES["STOP"] -= {"STOP"}  # it is being stopped already
MOVES["STOPPED"] = frozenset({"RESUME", "ERROR", "DELETING"})
MOVES["COMPLETED"] = MOVES["ERROR"] = frozenset({"DELETING"})
MOVES["DELETING"] = frozenset({"DELETED"})
MOVES["DELETED"] = frozenset()


def allows(state: str, following: str) -> bool:
    """Tell whether a run may go from one state into another."""
    return following in MOVES.get(state, frozenset())


def is_final(state: Optional[str]) -> bool:
    """Tell whether a run in that state has come to its end."""
    return state in FINAL


def started(pid: int) -> Optional[int]:
    """Return when a process began, in clock ticks since boot; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - a hot path
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # A zombie has ended; only its parent has not noticed yet.
    return None if fields[0] in {b"Z", b"X"} else int(fields[19])


_own: Optional[tuple[int, Optional[int]]] = None


def owner(engine: str) -> dict[str, Any]:
    """Return this process as the owner of a run, for its status."""
    global _own  # noqa: PLW0603 - asked for at each run
    pid = os.getpid()
    if _own is None or _own[0] != pid:
        _own = (pid, started(pid))
    return {"engine": engine, "pid": pid, "started": _own[1]}


def lives(who: Optional[Mapping[str, Any]]) -> bool:
    """Tell whether the owner of a run is still there: that process, not its number."""
    if not who or not isinstance(who.get("pid"), int):
        return False
    began = started(who["pid"])
    return began is not None and who.get("started") in {None, began}
