"""Report: a run as JSON, for people, programs and SQL: what it is, what it gave."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any, Mapping, Optional

from pybridge.functions import keys

if TYPE_CHECKING:
    from pybridge.functions.run import Run

__all__ = ["outcome", "plain", "seconds", "summary"]


def outcome(run: Run) -> dict[str, Any]:
    """Return what became of a run: key, state, results, outputs, what went wrong."""
    status = run.status
    told: dict[str, Any] = {
        "key": run.key,
        "state": run.state,
        "results": {name: plain(value) for name, value in run.results().items()},
        "outputs": dict(status.get("outputs") or {}),
    }
    for name in ("message", "error", "service", "metrics", "build"):
        if status.get(name):
            told[name] = status[name]
    return told


def summary(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return one line about a run, from its entry in the store."""
    spec, status = entry["spec"], entry["status"]
    began = _time(status, "RUNNING")
    over = None
    if status.get("state") in {"COMPLETED", "ERROR", "STOPPED"}:
        over = _time(status, status["state"], last=True)
    return {
        "id": entry["id"],
        "key": entry["key"],
        "project": entry["project"],
        "function": keys.executed_name(spec.get("function")),
        "action": spec.get("action") or "job",
        "state": status.get("state"),
        "created": entry["metadata"].get("created"),
        "started": began,
        "ended": over,
        "seconds": seconds(began, over),
        "attempts": max(len(status.get("attempts") or ()), status.get("attempt") or 0),
        "message": status.get("message"),
    }


def seconds(began: Optional[str], over: Optional[str]) -> Optional[float]:
    """Return how long something has lasted, until now where it is not over."""
    if began is None:
        return None
    start = dt.datetime.fromisoformat(began)
    end = dt.datetime.now(start.tzinfo) if over is None else None
    if over is not None:
        end = dt.datetime.fromisoformat(over)
    return None if end is None else round((end - start).total_seconds(), 3)


def _time(status: Mapping[str, Any], state: str, last: bool = False) -> Optional[str]:
    """Return when a state was entered: first, or last."""
    found = [
        one.get("time")
        for one in status.get("transitions") or ()
        if one.get("status") == state
    ]
    return found[-1 if last else 0] if found else None


def plain(value: Any) -> Any:  # noqa: PLR0911 - a table
    """Return a result as plain JSON has it.

    NaN and infinities are null, bytes are base64, what has an ISO text is that; what
    else JSON has not stays in the form that the store keeps it in.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    if isinstance(value, (bytes, bytearray)):
        import base64

        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):  # numpy's scalars
        return plain(value.item())
    return str(value)
