"""Which items are pickled together: those that hold one object between them.

Each item is pickled alone at first, so that what cannot be pickled stops nothing else.
What the pickles have written shows what they share: items in which the same mutable
object occurs are one group, and are pickled again as one. Functions and classes with a
name are asked for across groups; groups that ask for each other become one. So identity
is kept within a snapshot, a group is whole by itself, and most groups are one item.
"""

from __future__ import annotations

import functools
import operator
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pybridge.errors import DeadlineExceeded
from pybridge.snapshot.pickler import IN_BAND, Globals, Pickler, TooLong, Whole
from pybridge.status import type_name

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from pickle import PickleBuffer

    from pybridge.snapshot.pickler import Scope

__all__ = ["Group", "Pickled", "pickle_all"]


_LARGEST = 999_000_000  # of a blob


@dataclass
class Group:
    """Items of one pickle, in the order in which it lists them."""

    names: list[str]
    data: bytes
    buffers: list[PickleBuffer]
    asked: set[str] = field(default_factory=set)


@dataclass
class Pickled:
    """All groups, the size of each item, and why some are in no group."""

    groups: list[Group] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)  # size, reason
    notes: list[str] = field(default_factory=list)


@dataclass
class _Piece:
    """An item pickled alone."""

    group: Group
    memo: dict[int, tuple[int, Any]]  # keeps what was written alive: ids stay unique


def pickle_all(
    scope: Scope,
    definitions: dict[str, Any],
    variables: dict[str, Any],
    limit: int,
) -> Pickled:
    """Pickle the items that are defined, then the others, and put them into groups."""
    made = Pickled()
    pieces: dict[str, _Piece] = {}
    for name, value in definitions.items():
        known = scope.definitions.get(id(value))
        if known is None or name == getattr(value, "__name__", None):
            scope.definitions[id(value)] = name
    waiting = list(definitions)
    while waiting:
        failed = {
            name
            for name in waiting
            if not _try(scope, name, definitions[name], limit, made, pieces)
        }
        for name in failed:
            pieces.pop(name, None)
            if scope.definitions.get(id(definitions[name])) == name:
                del scope.definitions[id(definitions[name])]
        # Who has asked for one that failed has to hold it itself, and may fail too.
        waiting = [name for name, piece in pieces.items() if piece.group.asked & failed]
    for name, value in variables.items():
        _try(scope, name, value, limit, made, pieces)
    _regroup(scope, {**definitions, **variables}, pieces, made)
    return made


def _try(
    scope: Scope,
    name: str,
    value: Any,
    limit: int,
    made: Pickled,
    pieces: dict[str, _Piece],
) -> bool:
    """Pickle one item alone; note the reason where that fails."""
    pickler = Pickler(scope, frozenset([name]), limit)
    if type(value) in {bytes, str} and len(value) >= IN_BAND:
        value = Whole(value)
    try:
        data = pickler.write([value])
    except TooLong:
        made.failures[name] = (
            pickler.size,
            f"its pickle has more than {limit} bytes, which is the max_length",
        )
        return False
    except (KeyboardInterrupt, DeadlineExceeded):
        raise
    except BaseException as exc:
        made.failures[name] = 0, _reason(exc)
        return False
    if len(data) > _LARGEST:
        made.failures[name] = (
            pickler.size,
            f"its pickle has {len(data)} bytes, more than fit into SQLite's {_LARGEST}",
        )
        return False
    made.sizes[name] = pickler.size
    group = Group([name], data, pickler.buffers, pickler.asked)
    pieces[name] = _Piece(group, pickler.memo.copy())
    return True


def _reason(exc: BaseException) -> str:
    if isinstance(exc, RecursionError):
        return "it is nested too deeply for a pickle"
    try:
        text = " ".join(str(exc).split())
    except Exception:
        text = ""
    text = text.encode(errors="backslashreplace").decode()
    kind = type_name(type(exc))
    known = kind in {"TypeError", "_pickle.PicklingError", "pickle.PicklingError"}
    return text if text and known else f"{kind}: {text}" if text else kind


# ---- Groups -------------------------------------------------------------------------


def _regroup(
    scope: Scope, values: Mapping[str, Any], pieces: dict[str, _Piece], made: Pickled
) -> None:
    sets = _Sets(pieces)
    owners: dict[int, str] = {}
    for name, piece in pieces.items():
        for key, (_, value) in piece.memo.items():
            if _has_identity(scope, value):
                owner = owners.setdefault(key, name)
                if owner is not name:
                    sets.join(owner, name)
    _join_cycles(sets, pieces)
    for names in sets.all():
        if len(names) == 1:
            made.groups.append(pieces[names[0]].group)
            continue
        pickler = Pickler(scope, frozenset(names))
        try:
            data = pickler.write([values[name] for name in names])
        except (KeyboardInterrupt, DeadlineExceeded):
            raise
        except BaseException as exc:
            made.notes.append(
                f"{', '.join(names)} share objects, but cannot be pickled together: "
                f"{_reason(exc)}; each gets its own"
            )
            made.groups += [pieces[name].group for name in names]
        else:
            made.groups.append(Group(names, data, pickler.buffers, pickler.asked))


_ATOMS = frozenset({
    str, bytes, int, float, complex, bool, tuple, frozenset, type(None), types.CodeType,
    types.BuiltinFunctionType, types.ModuleType, types.MethodType, Globals, Whole,
    operator.itemgetter, operator.attrgetter, functools.partial, range, slice,
})  # fmt: skip


def _has_identity(scope: Scope, value: Any) -> bool:
    """Does it matter whether two have the same one, or one each?"""
    kind = type(value)
    if kind in {list, dict, set, bytearray}:
        return value is not scope.namespace
    if kind in _ATOMS or value is scope.token or kind.__name__ == "_Module":
        return False
    if isinstance(value, types.FunctionType | type):
        return id(value) not in scope.definitions and not scope.by_name(value)
    if id(value) in scope.definitions:
        return False
    return not _is_value(cast("Hashable", kind))


@functools.cache
def _is_value(one: Hashable) -> bool:
    kind = cast("type", one)
    package = kind.__module__.partition(".")[0]
    if package in {
        "datetime",
        "decimal",
        "fractions",
        "uuid",
        "zoneinfo",
        "re",
        "_thread",
    }:
        return True
    if package == "numpy":
        return (
            "dtype" in {one.__name__ for one in kind.__mro__}
            or kind.__name__ == "ufunc"
        )
    if package == "pandas":
        names = {one.__name__ for one in kind.__mro__}
        return bool(names & {"ExtensionDtype", "BaseOffset"})
    if package == "pyarrow":
        return kind.__name__.endswith(("Type", "Field", "Schema"))
    return package in {
        "abc",
        "typing",
        "builtins",
        "polars",
    } and kind.__name__.endswith(("Type", "function_or_method", "descriptor", "Alias"))


class _Sets:
    """Disjoint sets of names, in the order of their first."""

    def __init__(self, names: Iterable[str]) -> None:
        self.above = {name: name for name in names}

    def top(self, name: str) -> str:
        while self.above[name] != name:
            self.above[name] = self.above[self.above[name]]
            name = self.above[name]
        return name

    def join(self, one: str, other: str) -> None:
        self.above[self.top(other)] = self.top(one)

    def all(self) -> list[list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.above:
            found.setdefault(self.top(name), []).append(name)
        return list(found.values())


def _join_cycles(  # noqa: C901 (the algorithm is one)
    sets: _Sets, pieces: dict[str, _Piece]
) -> None:
    """Make one group of groups that ask for each other (Tarjan's algorithm)."""
    asks: dict[str, set[str]] = {}
    for name, piece in pieces.items():
        own = asks.setdefault(sets.top(name), set())
        own |= {sets.top(one) for one in piece.group.asked if one in pieces}
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    for root, asked in asks.items():
        if root in number:
            continue
        # A chain of definitions may be longer than Python's own stack.
        work = [(root, iter(asked))]
        number[root] = low[root] = len(number)
        stack.append(root)
        while work:
            node, rest = work[-1]
            for one in rest:
                if one not in number:
                    number[one] = low[one] = len(number)
                    stack.append(one)
                    work.append((one, iter(asks.get(one, ()))))
                    break
                if one in stack:
                    low[node] = min(low[node], number[one])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    while (one := stack.pop()) != node:
                        sets.join(node, one)
