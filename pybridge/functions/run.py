"""Run: one execution of a function, as its status in the store tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator, Optional

from pybridge.errors import BadArgument, RunFailed
from pybridge.functions import states
from pybridge.functions.entity import Entity

if TYPE_CHECKING:
    from pybridge.functions.store import Store

__all__ = ["Run", "engine_of", "look"]


def look(store: Store, entity: dict[str, Any]) -> dict[str, Any]:
    """Return a run's entry as it is now: in ERROR if the process that led it is gone.

    Nothing else would ever move such a run on.
    """
    status = entity["status"]
    if states.is_final(status.get("state")) or states.lives(status.get("owner")):
        return entity
    # Between the reading and this look the owner may have ended it, and then itself.
    newest = store.get(entity["key"])
    if newest is None or states.is_final(newest["status"].get("state")):
        return newest or entity
    if newest["status"].get("owner") != status.get("owner"):
        return newest
    message = "the process that ran it is gone; see the log, and run it again"
    moved = store.move(entity["key"], "ERROR", message=message)
    return moved or store.get(entity["key"]) or entity


def engine_of(run: Run) -> Any:
    """Return the engine that a run is for."""
    import importlib

    return importlib.import_module("pybridge.functions.engines").of(run)


class Run(Entity):
    """One execution of a function."""

    TYPE = "run"
    SPEC = (
        "action",
        "function",
        "task",
        "local_execution",
        "source",
        "handler",
        "init_function",
        "python_version",
        "image",
        "requirements",
        "inputs",
        "parameters",
        "init_parameters",
        "envs",
        "secrets",
        "resources",
        "backoff_limit",
        "timeout",
        "replicas",
        "service_type",
        "instructions",
        "start_context",
        "engine",
    )
    STATUS = (
        *Entity.STATUS,
        "error",
        "attempts",
        "outputs",
        "results",
        "metrics",
        "service",
        "owner",
        "engine",
        "k8s",
    )

    @property
    def state(self) -> str:
        """The state, as it was when last read."""
        return str(self._data["status"].get("state"))

    @property
    def is_final(self) -> bool:
        """Has it come to its end, as far as was read?"""
        return states.is_final(self.state)

    def refresh(self) -> Run:
        """Read it again from the store, and return it."""
        super().refresh()
        self._data = look(self.store, self._data)
        return self

    def wait(
        self,
        timeout: Optional[float] = None,
        raise_on_error: bool = False,
        log_info: bool = True,
    ) -> Run:
        """Wait until it has ended, or its service answers, and return it.

        Raises:
            RunFailed: it ended in ERROR, and raise_on_error is true.

        """
        del log_info
        self.refresh()
        if not self.is_final:
            engine_of(self).observe(self, timeout)
            self.refresh()
        if raise_on_error and self.state == "ERROR":
            raise RunFailed(str(self.status.message), self.status.error)
        return self

    def stop(self) -> Run:
        """Stop it, and return it."""
        engine_of(self.refresh()).stop(self)
        return self.refresh()

    def resume(self) -> Run:
        """Let a stopped run go on, and return it."""
        engine_of(self.refresh()).resume(self)
        return self.refresh()

    def logs(self, follow: bool = False) -> Iterator[str]:
        """Yield the lines of its log."""
        return iter(engine_of(self.refresh()).logs(self, follow=follow))

    def outputs(self, as_key: bool = False, as_dict: bool = False) -> dict[str, Any]:
        """Return the entities that it made, by name."""
        found = self._data["status"].get("outputs") or {}
        if as_key:
            return dict(found)
        entities = {name: self._entity(key) for name, key in found.items()}
        if as_dict:
            return {name: entity.to_dict() for name, entity in entities.items()}
        return dict(entities)

    def output(self, name: str, as_key: bool = False, as_dict: bool = False) -> Any:
        """Return an entity that it made, or None."""
        found = (self._data["status"].get("outputs") or {}).get(name)
        if found is None or as_key:
            return found
        entity = self._entity(found)
        return entity.to_dict() if as_dict else entity

    def results(self) -> dict[str, Any]:
        """Return the values that it gave, by name."""
        from pybridge.functions.results import decode

        found = self._data["status"].get("results") or {}
        return {name: decode(value) for name, value in found.items()}

    def result(self, name: str) -> Any:
        """Return a value that it gave, or None."""
        return self.results().get(name)

    def values(self) -> dict[str, Any]:
        """Return outputs and results together, by name."""
        return {**self.outputs(), **self.results()}

    def _entity(self, key: str) -> Entity:
        """Return the entity of a key."""
        from pybridge.functions.project import entity_of

        data = self.store.get(key)
        if data is None:
            raise BadArgument(f"'{key}' is not in the store '{self.store.root}'")
        return entity_of(data, self.store)
