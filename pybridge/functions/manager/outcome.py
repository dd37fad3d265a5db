"""What became of an attempt, where its own process cannot say so any more."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument, BridgeError
from pybridge.functions import states
from pybridge.functions.store import enter
from pybridge.masking import mask as mask_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pybridge.functions.store import Store

__all__ = [
    "Failed",
    "describe",
    "failure",
    "line",
    "mask",
    "record",
    "secrets_of",
]


_LONGEST = 1000  # characters of a line


class Failed(Exception):  # noqa: N818 - a state of the run, no fault of the manager
    """The run has failed before it could begin."""

    def __init__(self, failure: dict[str, Any]) -> None:
        """Take the failure."""
        super().__init__(line(failure))
        self.failure = failure


def failure(
    kind: str,
    message: str,
    stage: str,
    attempt: int,
    frames: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return a failure as runs have them."""
    told = f"{kind}: {message}"
    if frames:
        from pybridge.functions.failure import text

        told = text(frames, told)
    return {
        "type": kind,
        "message": message,
        "frames": list(frames),
        "traceback": told,
        "stage": stage,
        "attempt": attempt,
    }


def describe(exc: BaseException, stage: str, attempt: int) -> dict[str, Any]:
    """Return an exception as a failure; with our own frames where it is our fault."""
    found = failure(type(exc).__name__, str(exc), stage, attempt)
    if not isinstance(exc, BridgeError):
        found["traceback"] = "".join(traceback.format_exception(exc)).strip()
    return found


def line(found: Mapping[str, Any]) -> str:
    """Return a failure as a line, which is the message of the status of a run."""
    told = str(found.get("message") or "")
    words = "; ".join(filter(None, map(str.strip, told.split("\n"))))
    if len(words) > _LONGEST:
        words = f"{words[:_LONGEST]}…"
    return f"{found.get('type')}: {words}" if words else str(found.get("type"))


def mask(found: dict[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """Take secrets out of a failure."""
    values = tuple(secrets.values())
    if not values:
        return found
    return {
        name: mask_text(value, values) if isinstance(value, str) else value
        for name, value in found.items()
    }


def record(store: Store, key: str, found: dict[str, Any], last: bool) -> None:
    """Write a failed attempt into the store; nothing where the run is final already."""

    def edit(entity: dict[str, Any]) -> None:
        status = entity["status"]
        if states.is_final(status["state"]) or status["state"] == "STOP":
            return
        attempts = status.setdefault("attempts", [])
        known = bool(attempts) and attempts[-1].get("attempt") == found["attempt"]
        if not known:
            attempts.append(found)
        elif status["state"] == "PENDING" and not last:
            return
        if last:
            status["error"] = found
        status.pop("service", None)
        enter(status, "ERROR" if last else "PENDING", line(found))

    store.change(key, edit)


def secrets_of(store: Store, project: str, spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the secrets of a run by name.

    Raises:
        BadArgument: the project has not all of them.

    """
    found = {name: store.secret(project, name) for name in spec.get("secrets") or ()}
    missing = [name for name, value in found.items() if value is None]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        raise BadArgument(
            f"project '{project}' has no secret {names}; make it with "
            "project.new_secret(name, secret_value=...)"
        )
    return {name: value for name, value in found.items() if value is not None}
