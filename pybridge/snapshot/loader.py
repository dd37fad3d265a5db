"""Making objects of pickles: what pickles of ours call, and what stands behind it.

A pickle of ours begins with three objects in its memo: the namespace that it is loaded
for, its module, and the loader. So functions get the globals of the new context, and an
object that another pickle holds is asked for by its name.
"""

from __future__ import annotations

import abc
import builtins
import functools
import importlib
import io
import marshal
import pickle
import sys
import types
import weakref
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import CellType, CodeType, FunctionType, ModuleType

__all__ = ["PREAMBLE", "Definitions", "Unpickler", "load"]

_PROTOCOL = b"\x80\x05"
# Pushes the persistent objects 0, 1, 2, puts each into the memo, and drops it.
PREAMBLE = _PROTOCOL + b"K\x00Q\x940K\x01Q\x940K\x02Q\x940"


class Definitions:
    """What a loader is asked for: items by name, and source texts by number."""

    module = ""  # the name that the context's module had when it was saved

    def item(self, name: str) -> Any:
        """Return the object that is saved under a name."""
        raise NotImplementedError

    def code(self, key: tuple[int, str, int, int]) -> CodeType | None:
        """Compile a code object anew from its source; None where there is none."""
        raise NotImplementedError

    def adopt(self, code: CodeType, number: int) -> CodeType:
        """Return a code object with a file name under which its source is known."""
        raise NotImplementedError

    def globals(self, key: int) -> dict[str, Any]:
        """Return the globals that are nobody's but some functions'."""
        raise NotImplementedError


class Unpickler(pickle.Unpickler):
    """Loads one pickle into a namespace."""

    def __init__(
        self,
        data: bytes,
        buffers: Iterable[Any],
        module: ModuleType,
        loader: Definitions,
    ) -> None:
        """Take a pickle with its buffers, and where its objects are going to live.

        Raises:
            UnpicklingError: the data does not begin as a pickle of ours does.

        """
        if not data.startswith(_PROTOCOL):
            raise pickle.UnpicklingError("it is no pickle of protocol 5")
        super().__init__(io.BytesIO(PREAMBLE + data[len(_PROTOCOL) :]), buffers=buffers)
        self._roots = (module.__dict__, module, loader)
        self._loader = loader

    def persistent_load(self, number: Any) -> Any:
        """Return one of the objects that every pickle begins with.

        Raises:
            UnpicklingError: there is none of that number.

        """
        if number not in {0, 1, 2}:
            raise pickle.UnpicklingError(f"unknown persistent object {number!r}")
        return self._roots[number]

    def find_class(self, module: str, name: str) -> Any:
        """Return a global; those of the saved context are its items."""
        if module == self._loader.module:
            first, _, rest = name.partition(".")
            found = self._loader.item(first)
            for part in rest.split(".") if rest else ():
                found = getattr(found, part)
            return found
        return super().find_class(module, name)


def load(
    data: bytes, buffers: Iterable[Any], module: ModuleType, loader: Definitions
) -> Any:
    """Return the object of a pickle."""
    return Unpickler(data, buffers, module, loader).load()


# ---- What pickles call --------------------------------------------------------------


def item(loader: Definitions, name: str) -> Any:
    """Return an object that another pickle holds."""
    return loader.item(name)


def foreign_globals(loader: Definitions, key: int) -> dict[str, Any]:
    """Return globals that several pickles share."""
    return loader.globals(key)


def module_globals(name: str) -> dict[str, Any]:
    """Return the globals of an importable module."""
    return importlib.import_module(name).__dict__


def make_code(
    loader: Definitions,
    magic: bytes,
    data: bytes,
    key: tuple[int, str, int, int],
) -> CodeType:
    """Return a code object; compiled anew where another Python has made it.

    Raises:
        BadArgument: another Python has made it, and its source is not known.

    """
    if magic == MAGIC_NUMBER:
        code: CodeType = marshal.loads(data)  # noqa: S302  (signed, like all of it)
        return loader.adopt(code, key[0]) if key[0] >= 0 else code
    made = loader.code(key)
    if made is None:
        raise BadArgument(
            f"the code of '{key[1]}' was compiled by another Python, and its source is "
            "not known; define it again"
        )
    return made


def make_function(
    code: CodeType,
    namespace: dict[str, Any],
    name: str,
    closure: tuple[CellType, ...] | None,
) -> FunctionType:
    """Return a function that `set_function` is going to complete."""
    return types.FunctionType(code, namespace, name, None, closure)


def set_function(function: FunctionType, state: dict[str, Any]) -> None:
    """Complete a function."""
    function.__globals__.update(state.pop("globals", ()))
    function.__dict__.update(state.pop("__dict__", ()))
    for name, value in state.items():
        setattr(function, name, value)


def make_cell() -> CellType:
    """Return an empty cell."""
    return types.CellType()


def set_cell(cell: CellType, contents: tuple[Any]) -> None:
    """Fill a cell."""
    (cell.cell_contents,) = contents


class _Quiet:
    """A base for a moment: keeps the bases' `__init_subclass__` from running again."""

    __slots__ = ()

    def __init_subclass__(cls, **_: object) -> None:
        """Do nothing."""


class _QuietToo:
    """The same, with the layout of a class that has no `__slots__`."""

    def __init_subclass__(cls, **_: object) -> None:
        """Do nothing."""


def make_class(
    namespace: dict[str, Any],
    meta: type[type],
    name: str,
    bases: tuple[type, ...],
    members: dict[str, Any],
) -> type:
    """Return a class that `fill_class` is going to complete.

    Neither the metaclass nor a base gets to see that it is made: what they did when it
    was first made is in its state.
    """
    members.setdefault("__module__", namespace["__name__"])
    new = abc.ABCMeta.__new__ if issubclass(meta, abc.ABCMeta) else type.__new__
    listens = any(
        "__init_subclass__" in vars(one)
        for base in bases
        for one in base.__mro__
        if one is not object
    )
    for quiet in (_Quiet, _QuietToo) if listens else ():
        try:
            made = new(meta, name, (quiet, *bases), dict(members))
            type.__setattr__(made, "__bases__", bases)
        except TypeError:
            continue  # the layouts differ
        return made
    return new(meta, name, bases, members)


def fill_class(made: type, state: dict[str, Any]) -> None:
    """Complete a class."""
    registered = state.pop(" registered", ())
    removed = state.pop(" removed", ())
    for name in removed:
        if name in vars(made):
            type.__delattr__(made, name)
    for name, value in state.items():
        type.__setattr__(made, name, value)
    for one in registered:
        made.register(one)  # type: ignore[attr-defined]


def make_enum(
    namespace: dict[str, Any],
    meta: Any,
    head: tuple[str, tuple[type, ...], str, str | None],
    members: list[tuple[str, Any, dict[str, Any]]],
    keywords: dict[str, Any],
) -> type:
    """Return an enum with its members, whatever its `__new__` makes of values."""
    name, bases, qualname, module = head
    prepared = meta.__prepare__(name, bases, **keywords)

    def new(cls: Any, index: int) -> Any:
        kind = cls._member_type_
        _, raw, state = members[index]
        member = object.__new__(cls) if kind is object else kind.__new__(cls, *raw)
        member.__dict__.update(state)
        return member

    prepared["__new__"] = new
    prepared["__init__"] = lambda *_: None
    prepared["__module__"] = namespace["__name__"] if module is None else module
    prepared["__qualname__"] = qualname
    for index, (member, _, _) in enumerate(members):
        prepared[member] = index
    made: type = meta.__new__(meta, name, bases, prepared, **keywords)
    return made


def make_namedtuple(
    namespace: dict[str, Any],
    name: str,
    fields: tuple[str, ...],
    defaults: dict[str, Any],
    module: str | None,
) -> type:
    """Return a named tuple's class."""
    from collections import namedtuple

    return namedtuple(  # noqa: PYI024
        name,
        fields,
        defaults=[*defaults.values()],
        module=namespace["__name__"] if module is None else module,
    )


def make_module(name: str, docs: str | None) -> ModuleType:
    """Return a module that was made by hand."""
    return types.ModuleType(name, docs)


def set_module(module: ModuleType, state: dict[str, Any]) -> None:
    """Fill a module."""
    module.__dict__.update(state)


def make_cache(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    """Return a function with an `lru_cache`, empty."""
    return functools.lru_cache(**parameters)(function)


def make_typevar(namespace: dict[str, Any], kind: Any, args: Any, options: Any) -> Any:
    """Return a type variable of the context."""
    made = kind(*args, **options)
    made.__module__ = namespace["__name__"]
    return made


def make_keys(values: list[Any]) -> Any:
    """Return the keys of a dict."""
    return dict.fromkeys(values).keys()


def make_values(values: list[Any]) -> Any:
    """Return the values of a dict."""
    return dict(enumerate(values)).values()


def make_items(values: list[Any]) -> Any:
    """Return the items of a dict."""
    return dict(values).items()


def make_view(data: bytes, form: str, shape: Sequence[int]) -> Any:
    """Return a memoryview of bytes of its own."""
    flat: Any = memoryview(data)
    return flat if form == "B" and len(shape) == 1 else flat.cast(form, shape)


def make_reference(*target: Any) -> Any:
    """Return a weak reference; to nothing where its target was gone."""
    if target:
        return weakref.ref(target[0])

    class Gone:
        pass

    return weakref.ref(Gone())


def make_whole(kind: type, buffer: Any) -> Any:
    """Return bytes, a bytearray or a text from a buffer."""
    return str(buffer, "utf-8", "surrogatepass") if kind is str else kind(buffer)


def make_array(
    kind: Any, length: int, buffers: list[Any], nulls: int, offset: int
) -> Any:
    """Return an Arrow array over its buffers."""
    import pyarrow

    return pyarrow.Array.from_buffers(kind, length, buffers, nulls, offset)


def attribute(module: str, path: str) -> Any:
    """Return what a module has under a path: how imported objects are named."""
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def stream(name: str) -> Any:
    """Return the process's own stdin, stdout or stderr."""
    return getattr(sys, name)


def builtin_type(name: str) -> Any:
    """Return a class that only the module `types` has a name for."""
    return getattr(types, name, None) or getattr(builtins, name)
