"""What a function returns becomes outputs, which are entities, and results."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from pybridge._words import counted
from pybridge.errors import BadArgument, BridgeError
from pybridge.functions import keys, material, tables
from pybridge.functions.entity import Entity
from pybridge.functions.marks import Declared
from pybridge.functions.results import NotPlain, decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pybridge.functions.running import Running

__all__ = ["Collected", "collect", "decode", "encode", "spread"]


class Collected(NamedTuple):
    """What a function has returned: entities by key, values as JSON has them."""

    outputs: dict[str, str]
    results: dict[str, Any]
    warnings: list[str]


def collect(
    value: Any,
    names: Sequence[Declared | str] | None,
    *,
    strict: bool = False,
    project: Any,
    run: Running,
) -> Collected:
    """Keep what a function has returned, each value under its name.

    A tuple is several values; so is a list of as many as there are names, or one that
    is no plain data. Values without a name are `output_0`, `output_1` … Tables become
    dataitems, data becomes results, any other object an artifact.

    Raises:
        BadArgument: with strict, there are more or fewer values than names; or a value
            cannot be kept.

    """
    declared = [
        one if isinstance(one, Declared) else Declared(one) for one in names or ()
    ]
    values = spread(value, len(declared))
    collected = Collected({}, {}, [])
    _count(len(values), declared, strict, collected.warnings)
    taken = {one.name for one in declared}
    for place, one in enumerate(values):
        if place < len(declared):
            named = declared[place]
        else:
            named = Declared(f"output_{place}")
            if named.name in taken:
                raise BadArgument(
                    f"value {place} has no name, and '{named.name}' is taken; name it"
                )
        _keep(named, one, collected, project, run)
    return collected


def spread(value: Any, names: int) -> list[Any]:
    """Return the values that a function has returned, one or several."""
    if value is None:
        return [None] if names == 1 else []
    if isinstance(value, tuple):
        return list(value)
    if type(value) is list and value and names != 1:
        if names == len(value):
            return list(value)
        try:
            encode(value)
        except NotPlain:  # of tables, say: each is kept by itself
            return list(value)
    return [value]


def _count(
    values: int, declared: Sequence[Declared], strict: bool, warnings: list[str]
) -> None:
    """Say that there are more or fewer values than names.

    Raises:
        BadArgument: that is an error here.

    """
    if not declared or values == len(declared):
        return
    names = ", ".join(f"'{one.name}'" for one in declared)
    came, were = counted(values, "value"), "was" if values == 1 else "were"
    told = f"{came} {were} returned for {counted(len(declared), 'name')}: {names}"
    if strict:
        raise BadArgument(f"{told}; the handler is strict")
    warnings.append(told)


def _keep(
    named: Declared, value: Any, collected: Collected, project: Any, run: Running
) -> None:
    """Keep one value under its name."""
    name = named.name
    try:
        if named.kind:
            collected.outputs[name] = _declared(named, value, project, run)
            return
        if isinstance(value, material.Material):
            collected.outputs[name] = _returned(value, run)
            return
        if isinstance(value, Entity):  # a run or a function: named, not kept again
            collected.results[name] = value.key
            return
        if tables.is_table(value):
            key = _log("dataitem", name, "table", {"data": value}, project, run)
            collected.outputs[name] = key
            return
        if isinstance(value, PurePath) and Path(value).exists():
            key = _log("artifact", name, None, {"source": value}, project, run)
            collected.outputs[name] = key
            return
        with suppress(NotPlain):
            collected.results[name] = encode(value)
            return
        if isinstance(value, type):
            collected.warnings.append(
                f"output '{name}' is the class {value.__qualname__}, not an instance "
                f"of it: was {value.__qualname__}(…) meant?"
            )
        collected.outputs[name] = _log(
            "artifact", name, None, {"data": value}, project, run
        )
    except BridgeError as exc:
        if f"'{name}'" in str(exc)[: len(name) + 12]:
            raise
        raise BadArgument(f"output '{name}': {exc}") from exc


def _returned(entity: material.Material, run: Running) -> str:
    """Note that a run has made an entity that it returned."""
    before = list(entity.metadata.get("relationships") or ())
    entity.relate("produced_by", run.run.key)
    if entity.store.get(entity.key) is None or before != entity.metadata.get(
        "relationships"
    ):
        entity.save()
    return entity.key


def _declared(named: Declared, value: Any, project: Any, run: Running) -> str:
    """Keep a value as the kind that was declared."""
    type_ = material.type_of_kind(named.kind)
    if isinstance(value, material.Material) and type_ == value.TYPE:
        return _returned(value, run)
    if value is None:
        raise BadArgument(f"is None; what is kept as {named.kind} has to be there")
    given: dict[str, Any] = dict(named.spec)
    if isinstance(value, (str, PurePath)) or (
        isinstance(value, list)
        and value
        and all(isinstance(one, (str, PurePath)) for one in value)
    ):
        given["source"] = value
    else:
        given["data"] = value
    return _log(type_, named.name, named.kind, given, project, run)


def _log(
    type_: str,
    name: str,
    kind: str | None,
    given: dict[str, Any],
    project: Any,
    run: Running,
) -> str:
    """Keep something as an entity of the run, and return its key."""
    try:
        keys.check_name(name)
    except BadArgument as exc:
        raise BadArgument(f"{exc}, and what is returned is kept by it") from None
    entity = material.log(type_, run.run.store, project, name, kind, run=run, **given)
    return str(entity.key)
