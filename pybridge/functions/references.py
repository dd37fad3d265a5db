"""References: what a short text means that somebody has typed, or written in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Sequence, cast

from pybridge.errors import BadArgument, Undefined
from pybridge.functions import keys, lookup
from pybridge.functions.store import created

if TYPE_CHECKING:
    from pybridge.functions.entity import Entity
    from pybridge.functions.function import Function
    from pybridge.functions.project import Project
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["default_project", "entity", "function", "project_of", "run"]

_DEFAULT = "default"
_SHORTEST = 4  # characters of an id that are enough, where they are those of one


def default_project() -> str:
    """Return the project that is meant where none is named.

    Raises:
        BadArgument: `project` of [functions] in the settings is no name.

    """
    from pybridge import settings

    named = settings.section("functions").get("project", _DEFAULT)
    return keys.check_name(named, "[functions] project")


def function(store: Store, text: str, project: Optional[str] = None) -> Function:
    """Return the function that a text means.

    That is its key, `python://project/name:id`, `project/name`, or a name in the
    project given or the default one; each may end in `:id`, or means the newest.

    Raises:
        Undefined: there is none.
        BadArgument: the text is no such thing.

    """
    if keys.is_key(text):
        key = keys.parse(text)
        if key.type == "run":
            return _function_of(_found(store, key.project, "run", text))
        return cast("Function", _found(store, key.project, "function", text))
    if "://" in text:
        key = keys.parse_executable(text)
        found = _found(store, key.project, "function", key.name, key.id or None)
        return cast("Function", found)
    owner, name = _split(text, project)
    return cast("Function", _found(store, owner, "function", name))


def project_of(store: Store, name: str) -> Project:
    """Return the project of that name.

    Raises:
        BadArgument: that is no name.
        Undefined: there is none.

    """
    entry = store.get(str(keys.Key(keys.check_name(name, "project"))))
    if entry is None:
        known = store.projects()
        told = f"there are {', '.join(known)}" if known else "there is none"
        raise Undefined(f"there is no project '{name}'; {told}")
    return cast("Project", lookup.entity_of(entry, store))


def run(
    store: Store,
    text: str,
    project: Optional[str] = None,
    states: Optional[Sequence[str]] = None,
) -> Run:
    """Return the run that a text means.

    That is its key or id, the beginning of an id, or a function: its newest run, if
    there is one the newest that is in one of `states`.

    Raises:
        Undefined: there is none.
        BadArgument: the text is no such thing, or the beginning of several ids.

    """
    if keys.is_key(text) and keys.parse(text).type == "run":
        key = keys.parse(text)
        return cast("Run", _found(store, key.project, "run", text))
    found = [] if "/" in text else store.beginning("run", text)
    whole = [one for one in found if keys.parse(one).id == text]
    if not whole and (len(text) < _SHORTEST or _is_function(store, text, project)):
        return _newest_run(store, text, project, states)
    found = whole or found
    if len(found) > 1:
        raise BadArgument(
            f"'{text}' is the beginning of {len(found)} runs; give more of the id"
        )
    if found:
        key = keys.parse(found[0])
        return cast("Run", _found(store, key.project, "run", found[0]))
    return _newest_run(store, text, project, states)


def _is_function(store: Store, text: str, project: Optional[str]) -> bool:
    """Is it a function's name, which wins over an id that begins so by chance?"""
    try:
        function(store, text, project)
    except (BadArgument, Undefined):
        return False
    return True


def entity(store: Store, text: str, project: Optional[str] = None) -> Entity:
    """Return what a text means, of any type: a key, a run's id, or a name.

    Raises:
        Undefined: there is nothing of that name.
        BadArgument: there are several things of that name.

    """
    if keys.is_key(text):
        key = keys.parse(text)
        if key.type != "project":
            return _found(store, key.project, key.type, text)
        return project_of(store, key.project)
    if "://" not in text:
        owner, name = _split(text, project)
        kinds = [one for one in keys.TYPES[1:] if one not in keys.NAMELESS]
        word, _, identity = name.partition(":")
        found = [
            one
            for one in kinds
            if store.find(owner, one, name=word, id=identity or None)
        ]
        if len(found) > 1:
            raise BadArgument(f"'{text}' is a {' and a '.join(found)}; give the key")
        if found:
            return _found(store, owner, found[0], name)
        if "/" not in text and text in store.projects():
            return project_of(store, text)
    return run(store, text, project)


def _newest_run(
    store: Store, text: str, project: Optional[str], states: Optional[Sequence[str]]
) -> Run:
    try:
        its = function(store, text, project)
    except Undefined as exc:
        raise Undefined(
            f"'{text}' is neither the id of a run nor a function: {exc}"
        ) from None
    found = [
        one
        for version in store.find(its.project, "function", name=its.name)
        for one in store.find(
            its.project,
            "run",
            function=_executable(version),
            newest=1 if states is None else None,
        )
    ]
    if not found:
        raise Undefined(f"function '{its.project}/{its.name}' has no run yet")
    if states is not None:
        found = [one for one in found if one["status"].get("state") in states] or found
    newest = max(found, key=created)
    return cast("Run", lookup.entity_of(newest, store))


def _executable(entry: dict[str, Any]) -> str:
    return keys.executable(entry["project"], entry["name"], entry["id"], entry["kind"])


def _function_of(its: Entity) -> Function:
    """Return the function of a run."""
    key = keys.parse_executable(its.spec.get("function"))
    return cast("Function", _found(its.store, key.project, "function", str(key)))


def _split(text: str, project: Optional[str]) -> tuple[str, str]:
    """Return the project and the name of `project/name`, or of a name alone."""
    owner, slash, name = text.rpartition("/")
    if not slash:
        owner = project or default_project()
    keys.check_name(owner, "project")
    keys.check_name(name.partition(":")[0], "name")
    return owner, name


def _found(
    store: Store,
    project: str,
    type_: str,
    identifier: str,
    entity_id: Optional[str] = None,
) -> Entity:
    try:
        return lookup.get(store, project, type_, identifier, entity_id)
    except BadArgument as exc:
        raise Undefined(str(exc)) from None
