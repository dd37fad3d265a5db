"""Project: the entities that belong together, and the door to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from pybridge.errors import BadArgument
from pybridge.functions import keys
from pybridge.functions.entity import Entity, draft
from pybridge.functions.store import Store

if TYPE_CHECKING:
    import os

    from pybridge.functions.function import Function
    from pybridge.functions.run import Run

__all__ = ["Project", "entity_of", "get_or_create_project"]


def entity_of(data: dict[str, Any], store: Store) -> Entity:
    """Return the entity of an entry of the store."""
    from pybridge.functions import function, material, run

    classes: dict[str, type[Entity]] = {
        "project": Project,
        "function": function.Function,
        "task": function.Task,
        "run": run.Run,
        "dataitem": material.Dataitem,
        "artifact": material.Artifact,
        "model": material.Model,
    }
    return classes[keys.parse(data["key"]).type](data, store)


def get_or_create_project(
    name: str, *, store: Optional[Store] = None, root: Optional[os.PathLike[str]] = None
) -> Project:
    """Return the project of that name, made on first use."""
    if store is None:
        store = Store.open(root)
    key = str(keys.Key(keys.check_name(name, "project")))
    found = store.get(key)
    if found is None:
        found = draft("project", "project", project=name, name=name, uuid=None, spec={})
        found.update(key=key, id=name)
        store.create(found)
    return Project(found, store)


class Project(Entity):
    """Entities that belong together."""

    TYPE = "project"
    SPEC = ("context",)

    def new_function(self, name: str, kind: str, **given: Any) -> Function:
        """Make a function and store it.

        Raises:
            Faults: something given is unknown, missing or wrong.

        """
        from pybridge.functions import function

        fields = {"name": name, "kind": kind, **given}
        return function.new(self.store, self.name, fields)

    def get_run(self, identifier: str) -> Run:
        """Return a run by its key or id.

        Raises:
            BadArgument: there is none.

        """
        from pybridge.functions.run import Run, look

        if keys.is_key(identifier):
            found = self.store.get(identifier)
        else:
            found = next(iter(self.store.find(self.name, "run", id=identifier)), None)
        if found is None:
            raise BadArgument(f"there is no run '{identifier}' in '{self.name}'")
        return Run(look(self.store, found), self.store)
