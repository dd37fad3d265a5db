"""Verbs: what a project does with entities of a type, one form for all types.

Each function here returns the method of a type; the classes say how it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Protocol, TypeVar

from pybridge.functions import lookup
from pybridge.functions.entity import Entity

if TYPE_CHECKING:
    import os
    from typing import Union

    PathLike = Union[str, os.PathLike[str]]

__all__ = [
    "MISSING",
    "Delete",
    "Get",
    "Import",
    "List",
    "Log",
    "New",
    "Update",
    "Versions",
    "deletes",
    "fields_of",
    "gets",
    "imports",
    "lists",
    "logs",
    "makes",
    "updates",
    "versions",
]

MISSING: Any = object()
E = TypeVar("E", bound=Entity)
E_co = TypeVar("E_co", bound=Entity, covariant=True)


class New(Protocol[E_co]):
    """How an entity is made of what lies at a path."""

    def __call__(self, name: Any = ..., kind: Any = ..., **given: Any) -> E_co:
        """Make it."""


class Log(Protocol[E_co]):
    """How an entity is made of a file or data."""

    def __call__(
        self, name: Any = ..., kind: Any = ..., source: Any = ..., **given: Any
    ) -> E_co:
        """Make it."""


class Get(Protocol[E_co]):
    """How an entity is found."""

    def __call__(self, identifier: str, entity_id: Optional[str] = ...) -> E_co:
        """Find it."""


class Versions(Protocol[E]):
    """How all versions of a name are found."""

    def __call__(self, identifier: str) -> list[E]:
        """Find them."""


class List(Protocol[E]):
    """How entities are listed."""

    def __call__(self, **filters: Any) -> list[E]:
        """List them."""


class Import(Protocol[E_co]):
    """How an entity is made of a file that `export` wrote."""

    def __call__(self, file: PathLike, reset_id: bool = ...) -> E_co:
        """Make it."""


class Update(Protocol[E]):
    """How an entity that was changed is written."""

    def __call__(self, entity: E) -> E:
        """Write it."""


class Delete(Protocol):
    """How entities are deleted."""

    def __call__(
        self,
        identifier: str,
        entity_id: Optional[str] = ...,
        delete_all_versions: bool = ...,
    ) -> int:
        """Delete them."""


def makes(type_: str) -> Any:
    """Return the method that makes one of what lies at a path."""

    def method(
        self: Any, name: Any = MISSING, kind: Any = MISSING, **given: Any
    ) -> Entity:
        made: Entity = self._new(type_, fields_of(name, kind, given))
        return made

    return _told(
        method,
        f"new_{type_}",
        f"Make {_one(type_)} of what lies at a path already, and store it.",
        "Faults: something given is unknown, missing or wrong.",
    )


def logs(type_: str, what: str) -> Any:
    """Return the method that makes one of a file or data; `what` are its words."""

    def method(
        self: Any,
        name: Any = MISSING,
        kind: Any = MISSING,
        source: Any = None,
        **given: Any,
    ) -> Entity:
        made: Entity = self._log(type_, fields_of(name, kind, given), source)
        return made

    return _told(
        method,
        f"log_{type_}",
        f"Make {_one(type_)} of {what}, and store both.",
        "Faults: something given is unknown, missing or wrong.",
    )


def gets(type_: str, by: str = "key, name (the newest), name:id or id") -> Any:
    """Return the method that finds one."""

    def method(self: Any, identifier: str, entity_id: Optional[str] = None) -> Entity:
        return lookup.get(self.store, self.name, type_, identifier, entity_id)

    return _told(
        method,
        f"get_{type_}",
        f"Return {_one(type_)} by its {by}.",
        "BadArgument: there is none.",
    )


def versions(type_: str) -> Any:
    """Return the method that finds all versions of a name."""

    def method(self: Any, identifier: str) -> list[Entity]:
        return lookup.versions(self.store, self.name, type_, identifier)

    words = "Return all versions of a name, the oldest first."
    return _told(method, f"get_{type_}_versions", words)


def lists(type_: str, words: str = "") -> Any:
    """Return the method that lists them."""

    def method(self: Any, **filters: Any) -> list[Entity]:
        found: list[Entity] = self._list(type_, filters)
        return found

    return _told(
        method,
        f"list_{type_}s",
        words
        or "Return the newest of each name, narrowed by name, kind, state or labels.",
    )


def imports(type_: str) -> Any:
    """Return the method that makes one of a file."""

    def method(self: Any, file: PathLike, reset_id: bool = False) -> Entity:
        from pybridge.functions import archive

        return archive.load(self.store, file, type_, self.name, reset_id=reset_id)

    return _told(
        method,
        f"import_{type_}",
        f"Make {_one(type_)} of a YAML file, and store it; with another id if wanted.",
        "BadArgument: the file has none, or one that is here already.",
    )


def updates(type_: str) -> Any:
    """Return the method that writes one."""

    def method(self: Any, entity: Entity) -> Entity:
        written: Entity = self._update(type_, entity)
        return written

    return _told(
        method,
        f"update_{type_}",
        f"Write {_one(type_)} that was changed to the store.",
        f"BadArgument: it is no {type_} of this project.",
    )


def deletes(type_: str) -> Any:
    """Return the method that deletes them."""

    def method(
        self: Any,
        identifier: str,
        entity_id: Optional[str] = None,
        delete_all_versions: bool = False,
    ) -> int:
        return lookup.delete(
            self.store, self.name, type_, identifier, entity_id, delete_all_versions
        )

    return _told(
        method,
        f"delete_{type_}",
        f"Delete {_one(type_)} and return how many that were.",
        "BadArgument: there is none, or it is not said which.",
    )


def fields_of(name: Any, kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that was given, under names."""
    fields = dict(given)
    for key, value in (("kind", kind), ("name", name)):
        if value is not MISSING:
            fields = {key: value, **fields}
    return fields


def _one(type_: str) -> str:
    return f"an {type_}" if type_[0] in "aeiou" else f"a {type_}"


def _told(
    method: Callable[..., Any], name: str, words: str, raises: str = ""
) -> Callable[..., Any]:
    """Give a method its name, and what it says of itself."""
    method.__name__, method.__qualname__ = name, f"Project.{name}"
    more = f"\n\n        Raises:\n            {raises}\n\n        " if raises else ""
    method.__doc__ = words + more
    return method
