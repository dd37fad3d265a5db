"""Engines: where and how a run is executed, by name.

An engine takes runs that the store has, and tells what becomes of them. Everything
that a user sees of a run is read from the store, so an engine is no more than this.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, Union

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from typing import Callable, Iterator

    from pybridge.functions.run import Run

__all__ = ["DEFAULT", "Engine", "get", "names", "of", "register"]

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

    def logs(self, run: Run, *, follow: bool) -> Iterator[str]:
        """Yield what a run has written; with `follow` until it is final."""


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
