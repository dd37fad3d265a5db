"""Lookup: entities of a project found by key, name or id; one way for all types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Mapping, Optional, Sequence

from pybridge.errors import BadArgument
from pybridge.functions import keys, states
from pybridge.functions.faults import Fault, Faults, nearest, shown

if TYPE_CHECKING:
    from pybridge.functions.entity import Entity
    from pybridge.functions.store import Store

__all__ = [
    "FILTERS",
    "check_filters",
    "delete",
    "entity_of",
    "find",
    "get",
    "several",
    "versions",
]

# What a list may be narrowed by.
FILTERS = ("kind", "name", "state", "labels", "function", "all_versions")


def entity_of(data: dict[str, Any], store: Store) -> Entity:
    """Return the entity of an entry of the store, as it is now."""
    type_ = keys.parse(data["key"]).type
    if type_ == "run":
        from pybridge.functions.run import Run, look

        return Run(look(store, data), store)
    return _class_of(type_)(data, store)


def _class_of(type_: str) -> type[Entity]:
    """Return the class of a type."""
    if type_ == "project":
        from pybridge.functions.project import Project

        return Project
    if type_ in {"function", "task"}:
        from pybridge.functions.function import Function, Task

        return Function if type_ == "function" else Task
    if type_ == "secret":
        from pybridge.functions.secret import Secret

        return Secret
    from pybridge.functions.material import Artifact, Dataitem, Model

    known: dict[str, type[Entity]] = {
        "dataitem": Dataitem,
        "artifact": Artifact,
        "model": Model,
    }
    return known[type_]


def find(
    store: Store,
    project: str,
    type_: str,
    identifier: str,
    entity_id: Optional[str] = None,
) -> dict[str, Any]:
    """Return an entry by key, name, name:id or id; by name the newest.

    Raises:
        BadArgument: there is none, or the key is that of another type.

    """
    if keys.is_key(identifier):
        return _by_key(store, type_, identifier)
    name, _, inner = str(identifier).partition(":")
    identity = entity_id or inner or None
    if type_ in keys.NAMELESS:
        found = store.find(project, type_, id=identity or name)
    else:
        found = store.find(project, type_, name=name, id=identity)
        found = found or (store.find(project, type_, id=name) if not identity else [])
    if not found:
        raise BadArgument(_absent(store, project, type_, identifier, entity_id))
    return found[-1]


def _by_key(store: Store, type_: str, key: str) -> dict[str, Any]:
    """Return an entry by its key.

    Raises:
        BadArgument: there is none, or it is of another type.

    """
    parsed = keys.parse(key)
    if parsed.type != type_:
        raise BadArgument(f"'{key}' is the key of a {parsed.type}, not of a {type_}")
    found = store.get(key)
    if found is None:
        raise BadArgument(_absent(store, parsed.project, type_, key))
    return found


def _absent(
    store: Store,
    project: str,
    type_: str,
    identifier: object,
    entity_id: Optional[str] = None,
) -> str:
    """Return the message about something that is not there, and what may be meant."""
    wanted = f"'{identifier}'" + (f" with id '{entity_id}'" if entity_id else "")
    start = f"there is no {type_} {wanted} in project '{project}'"
    if store.get(str(keys.Key(project))) is None:
        return f"{start}: there is no such project in the store '{store.root}'"
    names = sorted({entry["name"] for entry in store.find(project, type_)})
    if type_ in keys.NAMELESS or not names:
        return f"{start}; it has {len(names) or 'none'}"
    name = str(identifier)
    if keys.is_key(identifier):
        name = keys.parse(identifier).name
    meant = nearest(name.partition(":")[0], names)
    if meant is not None:
        return f"{start}; the nearest is '{meant}'"
    return f"{start}; there are {', '.join(names[:10])}"


def get(
    store: Store,
    project: str,
    type_: str,
    identifier: str,
    entity_id: Optional[str] = None,
) -> Entity:
    """Return an entity by key, name, name:id or id; by name the newest.

    Raises:
        BadArgument: there is none.

    """
    return entity_of(find(store, project, type_, identifier, entity_id), store)


def versions(store: Store, project: str, type_: str, identifier: str) -> list[Entity]:
    """Return all versions of a name, the oldest first; none where there are none."""
    if keys.is_key(identifier):
        parsed = keys.parse(identifier)
        project, identifier = parsed.project, parsed.name
    name = str(identifier).partition(":")[0]
    return [entity_of(one, store) for one in store.find(project, type_, name=name)]


def check_filters(
    what: str, given: Mapping[str, Any], known: Sequence[str] = FILTERS
) -> None:
    """Refuse filters that there are not, and a state that nothing can be in.

    Raises:
        Faults: there are some; the nearest of each is told.

    """
    faults = []
    for name, value in given.items():
        if name not in known:
            meant = nearest(name, known)
            there = f"there are {', '.join(known)}"
            hint = f"did you mean '{meant}'?" if meant else there
            faults.append(Fault(name, value, f"unknown; {hint}"))
    state = given.get("state")
    if state is not None and state not in states.NAMES:
        meant = nearest(str(state), states.NAMES)
        hint = f"; did you mean '{meant}'?" if meant else ""
        faults.append(Fault("state", state, f"{shown(state)} is no state{hint}"))
    if faults:
        raise Faults(what, faults)


def several(
    store: Store,
    project: str,
    type_: str,
    *,
    kind: Optional[str] = None,
    name: Optional[str] = None,
    state: Optional[str] = None,
    labels: Optional[Iterable[str]] = None,
    function: Optional[str] = None,
    all_versions: bool = False,
) -> list[Entity]:
    """Return the entities of a type that fit, the oldest first.

    Of each name that is the newest, or all versions where that is asked for.
    """
    found = store.find(project, type_, kind=kind, name=name, function=function)
    if type_ not in keys.NAMELESS and not all_versions:
        newest = {entry["name"]: entry for entry in found}
        found = [entry for entry in found if newest[entry["name"]] is entry]
    if labels is not None:
        wanted = {labels} if isinstance(labels, str) else set(labels)
        found = [e for e in found if wanted <= set(e["metadata"].get("labels") or ())]
    entities = [entity_of(entry, store) for entry in found]
    if state is None:
        return entities
    return [entity for entity in entities if entity.status.state == state]


def delete(
    store: Store,
    project: str,
    type_: str,
    identifier: str,
    entity_id: Optional[str] = None,
    delete_all_versions: bool = False,
) -> int:
    """Delete an entity, or all versions of its name, and return how many there were.

    Raises:
        BadArgument: there is none; or there are several of that name, and which one is
            meant, or that all are, is not said.

    """
    one = find(store, project, type_, identifier, entity_id)
    if type_ in keys.NAMELESS:
        return int(entity_of(one, store).delete())
    all_of_name = store.find(one["project"], type_, name=one["name"])
    if delete_all_versions:
        return sum(entity_of(entry, store).delete() for entry in all_of_name)
    if len(all_of_name) > 1 and not (entity_id or _names_one(identifier, one)):
        raise BadArgument(
            f"{type_} '{one['name']}' has {len(all_of_name)} versions; name one by its "
            "key or entity_id, or say delete_all_versions=True"
        )
    return int(entity_of(one, store).delete())


def _names_one(identifier: str, one: dict[str, Any]) -> bool:
    """Tell whether an identifier means this version, and not the newest of a name."""
    if keys.is_key(identifier):
        return bool(keys.parse(identifier).id)
    return one["id"] in {identifier, str(identifier).partition(":")[2]}
