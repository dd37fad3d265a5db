"""Inputs: the entities that a run is given, and what a parameter gets of them."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument
from pybridge.functions import database, files, keys
from pybridge.functions.entity import Entity
from pybridge.functions.faults import nearest
from pybridge.functions.material import CLASSES, KINDS, Dataitem, Material, drafted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pybridge.functions.store import Store

__all__ = ["Unfit", "anchored", "find", "given"]


class Unfit(TypeError):  # noqa: N818 - it is an answer: this cannot be had as that
    """An entity cannot be had as what a parameter wants."""


def find(given: Any, *, store: Store, project: str) -> Entity:
    """Return the entity that an input means: a key, an entity, a name, or a place.

    Raises:
        BadArgument: there is no such, or it is no data.

    """
    if isinstance(given, Material):
        return given
    if isinstance(given, Entity):
        raise BadArgument(f"is a {given.TYPE}; wanted is a dataitem, artifact or model")
    if isinstance(given, PurePath):
        given = str(given)
    if isinstance(given, dict) and keys.is_key(given.get("key")):
        given = given["key"]
    if not isinstance(given, str) or not given:
        raise BadArgument(
            f"is {type(given).__name__} {given!r:.60}; wanted is a key "
            "'store://…', an entity, a name, 'name:id', or where data is"
        )
    if keys.is_key(given):
        return _by_key(given, store)
    found = None if "/" in given else _by_name(given, store, project)
    if found is None:
        found = _by_place(given, store, project)
    if found is None:
        raise BadArgument(_unknown(given, store, project))
    return found


def anchored(inputs: Mapping[str, str], store: Store, project: str) -> dict[str, str]:
    """Return inputs of which those that are paths mean the same everywhere.

    A run works in a directory of its own.
    """
    return {name: _anchored(given, store, project) for name, given in inputs.items()}


def _anchored(given: str, store: Store, project: str) -> str:
    if database.is_database(given):
        try:
            return database.absolute(given)
        except BadArgument:  # told when the run looks for it
            return given
    if keys.is_key(given) or files.is_url(given):
        return given
    place = files.local(given)
    if place.is_absolute() or not place.exists():
        return given
    named = "/" not in given and any(
        store.find(project, type_, name=given) for type_ in KINDS
    )
    return given if named else str(place.absolute())


def _by_key(key: str, store: Store) -> Entity:
    parsed = keys.parse(key)
    if parsed.type not in KINDS:
        raise BadArgument(
            f"'{key}' is a {parsed.type}; wanted is a dataitem, artifact or model"
        )
    data = store.get(key)
    if data is None:
        raise BadArgument(
            f"there is no '{key}' in the store '{store.root}'; "
            f"{_known(store, parsed.project, parsed.name)}"
        )
    return CLASSES[parsed.type](data, store)


def _by_name(given: str, store: Store, project: str) -> Entity | None:
    """Return the newest entity of a name, or the one with that id."""
    name, _, identity = given.partition(":")
    found = []
    for type_ in KINDS:
        rows = store.find(project, type_, name=name, id=identity or None)
        if rows:
            found.append((type_, rows[-1]))
    if len(found) > 1:
        several = ", ".join(row["key"] for _, row in found)
        raise BadArgument(f"'{given}' can be several: {several}; give the key")
    return CLASSES[found[0][0]](found[0][1], store) if found else None


def _by_place(given: str, store: Store, project: str) -> Entity | None:
    """Return an entity for data that is somewhere and was never logged."""
    from pybridge.functions import tables

    if not files.is_url(given) and not files.local(given).exists():
        return None
    plain = given.partition("#")[0].rstrip("/")
    try:
        tables.format_of(plain)
        type_ = "dataitem"
    except BadArgument:
        type_ = "dataitem" if given.startswith("sqlite:") else "artifact"
    letters = (
        one if one.isalnum() and one.isascii() else "-" for one in files.name_of(plain)
    )
    name = "".join(letters).strip("-")[:256] or "data"
    made: Entity = drafted(type_, store, project, name, None, path=given, uuid=None)
    return made


def _unknown(given: str, store: Store, project: str) -> str:
    return f"there is no '{given}' in project '{project}'; " + _known(
        store, project, given
    )


def _known(store: Store, project: str, name: str) -> str:
    """Say which data there is, and which was most likely meant."""
    names = sorted(
        {one["name"] for type_ in KINDS for one in store.find(project, type_)}
    )
    near = nearest(name.partition(":")[0], names)
    if near and near != name:
        return f"did you mean '{near}'?"
    if not names:
        return f"project '{project}' has no data yet"
    more = ", …" if len(names) > 10 else ""
    return f"there are {', '.join(names[:10])}{more}"


def given(entity: Any, choices: Sequence[Any]) -> Any:
    """Return an entity as one of the types that a parameter takes.

    Raises:
        Unfit: it cannot be had as any of them.

    """
    from pybridge.functions import tables

    for choice in choices:
        if choice is Any or choice is object:
            return entity
        if isinstance(choice, type) and isinstance(entity, choice):
            return entity
    for choice in choices:
        library = tables.library_of(choice)
        if library and isinstance(entity, Dataitem):
            return _frame(entity, library, choice)
        maker = _MADE.get(getattr(choice, "__origin__", choice))
        if maker is not None and not (
            choice is list and not isinstance(entity, Dataitem)
        ):
            return maker(entity)
    if not isinstance(entity, Dataitem) and entity.path.endswith((".pickle", ".pkl")):
        return _object(entity, choices)
    names = " or ".join(getattr(one, "__name__", str(one)) for one in choices)
    raise Unfit(f"should be {names}, and is a {entity.TYPE}")


def _frame(entity: Dataitem, library: str, choice: Any) -> Any:
    """Return the table as a frame or, of one column, as a series."""
    if library == "numpy":
        return entity.as_df().to_numpy()
    frame = entity.as_df(engine=library)
    if choice.__name__ == "LazyFrame":
        return frame.lazy()
    if choice.__name__ == "Series":
        if len(frame.columns) != 1:
            raise Unfit(f"should be a Series, and has {len(frame.columns)} columns")
        return frame[frame.columns[0]]
    if choice.__name__ == "RecordBatch":
        return frame.combine_chunks().to_batches()[0]
    return frame


def _rows(entity: Any) -> Any:
    if not isinstance(entity, Dataitem):
        raise Unfit(f"should be rows, and is a {entity.TYPE}")
    return entity.as_df(engine="arrow").to_pylist()


def _object(entity: Any, choices: Sequence[Any]) -> Any:
    """Return the object of a pickle, if it is of one of the classes."""
    found = entity.as_object()
    names = [getattr(one, "__qualname__", "") for one in choices]
    # A class that was pickled with its code is never the same as one of this load.
    if any(one.__qualname__ in names for one in type(found).__mro__):
        return found
    raise Unfit(f"should be {' or '.join(names)}, and is {type(found).__qualname__}")


_MADE: Mapping[Any, Any] = {
    Path: lambda entity: entity.local(),
    PurePath: lambda entity: entity.local(),
    os.PathLike: lambda entity: entity.local(),
    str: lambda entity: str(entity.local()),
    bytes: lambda entity: files.read(entity.path),
    list: _rows,
}
