"""Recovery: what a manager that was killed has left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybridge.functions import processes, states
from pybridge.functions.manager import outcome

if TYPE_CHECKING:
    from pybridge.functions.manager.server import Manager

__all__ = ["recover"]

_LIVE = tuple(name for name in states.MOVES if name not in states.FINAL)


def recover(manager: Manager) -> None:
    """End what still runs of a manager that is gone, and take up its runs again.

    A job that was at work has lost an attempt; one that waited still waits. Services
    are started again.
    """
    left = set(processes.marked().values())
    if left:
        for entity in manager.store.runs():
            if entity["id"] in left and _is_ours(entity):
                processes.end(entity["id"])
    for entity in manager.store.runs(_LIVE):
        if _is_ours(entity):
            _take_up(manager, entity)


def _is_ours(entity: dict[str, Any]) -> bool:
    """Is it a run that no manager leads any more, and was led by one?"""
    owner = entity["status"].get("owner") or {}
    return owner.get("engine") == "local"


def _take_up(manager: Manager, entity: dict[str, Any]) -> None:
    key, status = entity["key"], entity["status"]
    if status["state"] == "STOP":
        manager.move(key, "STOPPED")
        return
    first = int(status.get("first") or 1)
    if status["state"] == "RUNNING" and entity["spec"].get("action") != "serve":
        attempt = int(status.get("attempt") or 1)
        failure = outcome.failure(
            "ProcessDied",
            "the manager of the store was killed while the function ran, and the "
            "process with it",
            "execute",
            attempt,
        )
        last = attempt >= first + int(entity["spec"].get("backoff_limit") or 0)
        manager.keep(lambda: outcome.record(manager.store, key, failure, last))
        if last:
            return
    python, version = status.get("python") or manager.origin[1:3]
    origin = manager.origin._replace(
        python=python, version=version, group=entity["project"]
    )
    manager.begin(key, origin, first)
