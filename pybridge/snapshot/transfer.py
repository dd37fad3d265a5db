"""Names carried from one live context to another; nothing is pickled."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from pybridge import context as contexts
from pybridge.errors import BadArgument
from pybridge.snapshot import loader
from pybridge.snapshot.items import Imports, entry_of, names_of
from pybridge.snapshot.mask import matcher
from pybridge.snapshot.pickler import class_state
from pybridge.snapshot.report import Report

if TYPE_CHECKING:
    from types import CellType, FunctionType

__all__ = ["transfer"]


def transfer(variables: str, source: str | None, target: str | None) -> Report:
    """Carry the names that a mask means from one live context to another.

    The objects are the same ones in both, but for functions and plain classes that the
    source defines: those are made anew, with the globals of the target; their defaults,
    closures and class variables are the same objects. An instance keeps its class.

    Raises:
        BadArgument: the two contexts are the same, or a class cannot be made anew.

    """
    here, there = contexts.get(source), contexts.get(target)
    if here is there:
        raise BadArgument(f"source and target are both the context '{here.name}'")
    meant = matcher(variables)
    values = {name: one for name, one in names_of(here).items() if meant(name)}
    bound = _Binder(here.namespace, there.namespace)
    made = {name: bound(one) for name, one in values.items()}
    there.namespace.update(made)
    imports = Imports()
    report = Report(0, there.name)
    report.restored = [entry_of(name, one, imports) for name, one in made.items()]
    return report


class _Binder:
    """Makes functions and classes anew for other globals, each once."""

    def __init__(self, source: dict[str, Any], target: dict[str, Any]) -> None:
        self.source = source
        self.target = target
        self.made: dict[int, tuple[Any, Any]] = {}  # id -> old, new

    def __call__(self, value: Any) -> Any:
        """Return what stands for a value in the target."""
        known = self.made.get(id(value))
        if known is not None:
            return known[1]
        if isinstance(value, types.FunctionType):
            return self.function(value)
        if isinstance(value, classmethod | staticmethod):
            return type(value)(self(value.__func__))
        if type(value) is property:
            return property(
                self(value.fget), self(value.fset), self(value.fdel), value.__doc__
            )
        if isinstance(value, type) and self.is_plain(value):
            return self.class_(value)
        return value

    def is_plain(self, value: type) -> bool:
        """Is it a class of the source that is nothing but its dict?"""
        own = value.__module__ == self.source.get("__name__")
        special = hasattr(value, "__members__") or hasattr(value, "_field_defaults")
        return own and not special

    def function(self, old: FunctionType) -> FunctionType:
        if old.__globals__ is not self.source:
            return old
        new = types.FunctionType(
            old.__code__, self.target, old.__name__, old.__defaults__, old.__closure__
        )
        self.made[id(old)] = old, new
        if old.__closure__ and any(self.holds_class(one) for one in old.__closure__):
            cells = tuple(self.cell(one) for one in old.__closure__)
            new = types.FunctionType(
                old.__code__, self.target, old.__name__, old.__defaults__, cells
            )
            self.made[id(old)] = old, new
        for name in ("__kwdefaults__", "__annotations__", "__doc__", "__qualname__"):
            setattr(new, name, getattr(old, name))
        new.__dict__.update(old.__dict__)
        if old.__module__ != self.source.get("__name__"):
            new.__module__ = old.__module__
        return new

    def holds_class(self, cell: CellType) -> bool:
        """Is it the `__class__` of a class that is being made anew?"""
        try:
            known = self.made.get(id(cell.cell_contents))
        except ValueError:
            return False
        return known is not None and isinstance(known[0], type)

    def cell(self, cell: CellType) -> CellType:
        if not self.holds_class(cell):
            return cell
        return types.CellType(self.made[id(cell.cell_contents)][1])

    def class_(self, old: type) -> type:
        first: dict[str, Any] = {"__qualname__": old.__qualname__}
        for name in ("__slots__", "__orig_bases__"):
            if name in vars(old):
                first[name] = vars(old)[name]
        bases = tuple(self(base) for base in old.__bases__)
        meta = self(type(old))
        try:
            new = loader.make_class(self.target, meta, old.__name__, bases, first)
        except TypeError as exc:
            raise BadArgument(
                f"the class '{old.__name__}' cannot be made anew: {exc}"
            ) from None
        self.made[id(old)] = old, new
        state = class_state(old, {"__slots__", "__orig_bases__"})
        loader.fill_class(new, {name: self(value) for name, value in state.items()})
        return new
