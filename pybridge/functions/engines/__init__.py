"""Engines: where and how a run is executed, by name.

An engine takes runs that the store has, and tells what becomes of them. Everything
that a user sees of a run is read from the store, so an engine is no more than this: a
web page over the store needs none, and another engine changes nothing else.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union, runtime_checkable

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from typing import Callable, Iterator

    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["DEFAULT", "Asked", "Engine", "asked", "get", "names", "of", "register"]

DEFAULT = "local"


class Engine(Protocol):
    """What executes runs."""

    name: str

    def submit(self, run: Run) -> None:
        """Take a run that is READY in the store; return when it cannot be lost."""

    def observe(self, run: Run, timeout: float | None) -> bool:
        """Wait until a run is final or its service answers; False: it took too long."""

    def stop(self, run: Run) -> None:
        """End a run wherever it is: it is STOPPED then; a final one stays as it is."""

    def resume(self, run: Run) -> None:
        """Take up again a run that was stopped."""

    def reload(self, run: Run, timeout: float | None) -> dict[str, Any] | None:
        """Replace the replicas of a service; return why the old ones go on, if so."""

    def logs(self, run: Run, *, follow: bool) -> Iterator[str]:
        """Yield what a run has written; with `follow` until it is final."""


@runtime_checkable
class Asked(Engine, Protocol):
    """An engine whose runs no process leads that their owner names: it is asked.

    What it finds out it writes into the store.
    """

    def look(self, store: Store, entity: dict[str, Any]) -> Optional[dict[str, Any]]:
        """Return a run as it is now, or None where nobody leads it any more."""

    def forget(self, run: Run) -> None:
        """Remove what is left elsewhere of a run that is deleted."""


# Name -> module and class, imported when the engine is first asked for.
_KNOWN: dict[str, Union[str, Callable[[], Engine]]] = {
    "inline": "pybridge.functions.engines.inline:Inline",
    "local": "pybridge.functions.engines.local:Local",
    "kubernetes": "pybridge.functions.engines.kubernetes:Kubernetes",
}
_made: dict[str, Engine] = {}
_lock = threading.Lock()


def names() -> list[str]:
    """Return the names of the engines that there are."""
    return list(_KNOWN)


def register(name: str, maker: str | Callable[[], Engine]) -> None:
    """Add an engine: what makes it, or "module:class"."""
    with _lock:
        _KNOWN[name] = maker
        _made.pop(name, None)


def get(name: str) -> Engine:
    """Return the engine of that name.

    Raises:
        BadArgument: there is none.

    """
    found = _made.get(name)
    if found is not None:
        return found
    with _lock:
        if name not in _made:
            _made[name] = _make(name)
        return _made[name]


def asked(name: Optional[str]) -> Optional[Asked]:
    """Return the engine of that name, if it is one that is asked about its runs."""
    if name not in _KNOWN:
        return None
    engine = get(name)
    return engine if isinstance(engine, Asked) else None


def of(run: Run) -> Engine:
    """Return the engine of a run.

    Raises:
        BadArgument: it names one that there is not.

    """
    spec = run.spec
    if spec.get("local_execution"):
        return get("inline")
    return get(spec.get("engine") or DEFAULT)


def _make(name: str) -> Engine:
    maker = _KNOWN.get(name)
    if maker is None:
        raise BadArgument(
            f"'{name}' is not an engine; there are {', '.join(sorted(_KNOWN))}"
        )
    if callable(maker):
        return maker()
    from importlib import import_module

    module, _, attribute = maker.partition(":")
    made: Engine = getattr(import_module(module), attribute)()
    return made
