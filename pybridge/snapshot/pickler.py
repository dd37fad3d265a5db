"""Pickling what a context defines: functions, classes and closures by value.

Functions and classes that an import finds are named; those of a context are written
out, with the namespace itself in place of their globals, so that after a restore they
see the globals of the new context. A function or class that has a name in the context
is written once, under that name, and asked for by name everywhere else.
"""

from __future__ import annotations

import abc
import collections
import copyreg
import dataclasses
import dis
import enum
import functools
import importlib
import io
import marshal
import pickle
import sys
import types
import typing
import weakref
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING, Any

from pybridge.snapshot import loader

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FunctionType, ModuleType

    from pybridge.snapshot.sources import Sources

__all__ = [
    "IN_BAND",
    "Pickler",
    "Scope",
    "TooLong",
    "class_state",
    "importable",
    "importable_module",
]

# A buffer of at least so many bytes is kept out of the pickle, in a file of its own.
IN_BAND = 64 * 1024
_MAIN = ("__main__", "__mp_main__", "pybridge_main")
_CONTEXT = "pybridge_context_"

_BUILTIN_TYPES = {
    value: name for name, value in vars(types).items() if type(value) is type
}
_CELL = types.CellType


class TooLong(Exception):  # noqa: N818  (no error: a limit that was asked for)
    """The pickle has become longer than was asked for."""


def is_context(module: str) -> bool:
    """Is this the name of a context's module, or of a program's `__main__`?"""
    return module in _MAIN or module.startswith(_CONTEXT)


def importable_module(name: object) -> bool:
    """Would an import find the module in another process?"""
    if not isinstance(name, str) or is_context(name):
        return False
    module = sys.modules.get(name)
    return module is not None and getattr(module, "__spec__", None) is not None


def importable(value: Any, name: str | None = None) -> tuple[str, str] | None:
    """Return module and qualified name by which an import finds an object."""
    module = getattr(value, "__module__", None)
    path = name or getattr(value, "__qualname__", None)
    if not isinstance(path, str) or "<" in path or not importable_module(module):
        return None
    found: Any = sys.modules[str(module)]
    try:
        for part in path.split("."):
            found = getattr(found, part)
    except Exception:
        return None
    return (str(module), path) if found is value else None


class Globals:
    """Stands for the globals of functions that belong to no module."""

    def __init__(self, key: int, namespace: dict[str, Any]) -> None:
        """Keep the dict alive, so that its id stays its own."""
        self.key = key
        self.namespace = namespace


class Scope:
    """What all pickles of one context have in common."""

    def __init__(self, module: ModuleType, sources: Sources) -> None:
        """Begin with nothing defined."""
        self.module = module
        self.namespace = module.__dict__
        self.name: str = str(self.namespace.get("__name__", ""))
        self.sources = sources
        self.token = loader.Definitions()
        self.definitions: dict[int, str] = {}  # id -> name
        self.foreign: dict[int, Globals] = {}
        self._importable: dict[int, tuple[Any, bool]] = {}

    def by_name(self, value: Any) -> bool:
        """Does an import find this function or class? Asked again and again."""
        known = self._importable.get(id(value))
        if known is None:
            found = importable(value) is not None or value in _BUILTIN_TYPES
            known = self._importable[id(value)] = value, found
        return known[1]

    def roots(self) -> dict[int, tuple[int, Any]]:
        """Return the memo that every pickle begins with."""
        roots = (self.namespace, self.module, self.token)
        return {id(one): (number, one) for number, one in enumerate(roots)}


class Pickler(pickle.Pickler):
    """Writes one pickle; large buffers and names asked for are noted beside it."""

    def __init__(self, scope: Scope, own: frozenset[str], limit: int = 0) -> None:
        """Write the items of the names `own`; others are asked for by name."""
        self.file = io.BytesIO()
        super().__init__(self.file, 5, buffer_callback=self._buffer)
        self.scope = scope
        self.own = own
        self.limit = limit
        self.buffers: list[pickle.PickleBuffer] = []
        self.size = 0  # of the buffers
        self.asked: set[str] = set()
        self.memo = scope.roots()

    def write(self, value: Any) -> bytes:
        """Return the pickle of an object.

        Raises:
            TooLong: it has more bytes, with its buffers, than the limit.

        """
        self.dump(value)
        data = self.file.getvalue()
        self.size += len(data)
        self._check()
        return data

    def _check(self) -> None:
        if self.limit and self.size > self.limit:
            raise TooLong

    def _buffer(self, buffer: pickle.PickleBuffer) -> bool:
        size = buffer.raw().nbytes
        if size < IN_BAND:
            return True
        self.buffers.append(buffer)
        self.size += size
        self._check()
        return False

    def reducer_override(self, value: Any) -> Any:  # noqa: PLR0911 (a kind each)
        """Say how an object is written; NotImplemented leaves it to its own class."""
        kind = type(value)
        if kind is types.FunctionType:
            return self._function(value)
        reduce = _REDUCERS.get(kind)
        if reduce is not None:
            return reduce(self, value)
        if issubclass(kind, type):
            return self._class(value)
        if kind.__module__ == "numpy":
            return _numpy(value)
        if kind.__module__ == "pyarrow.lib" and kind.__name__.endswith("Array"):
            return _arrow(value)
        if "_pa_array" in getattr(value, "__dict__", ()):
            return _pandas(value)
        return NotImplemented

    def _asked_for(self, value: Any) -> Any:
        """Return how an item of another pickle is asked for; None of an own one."""
        name = self.scope.definitions.get(id(value))
        if name is None or name in self.own:
            return None
        self.asked.add(name)
        return loader.item, (self.scope.token, name)

    # ---- Functions -------------------------------------------------------------------

    def _function(self, function: FunctionType) -> Any:
        if self.scope.by_name(function):
            return NotImplemented
        asked = self._asked_for(function)
        if asked is not None:
            return asked
        place, needed = self._globals(function)
        state: dict[str, Any] = {
            name: getattr(function, name)
            for name in (
                "__defaults__", "__kwdefaults__", "__annotations__", "__doc__",
                "__type_params__",
            )
            if getattr(function, name, None)
        }  # fmt: skip
        state["__qualname__"] = function.__qualname__
        if function.__module__ != self.scope.name:
            state["__module__"] = function.__module__
        if function.__dict__:
            state["__dict__"] = dict(function.__dict__)
        if needed:
            state["globals"] = needed
        made = (function.__code__, place, function.__name__, function.__closure__)
        return loader.make_function, made, state, None, None, loader.set_function

    def _globals(self, function: FunctionType) -> tuple[Any, dict[str, Any]]:
        """Return what stands for a function's globals, and what of them goes along."""
        namespace = function.__globals__
        if namespace is self.scope.namespace:
            return namespace, {}
        name = str(namespace.get("__name__"))
        if importable_module(name) and sys.modules[name].__dict__ is namespace:
            return _Module(name), {}
        foreign = self.scope.foreign.get(id(namespace))
        if foreign is None:
            foreign = Globals(len(self.scope.foreign), namespace)
            self.scope.foreign[id(namespace)] = foreign
        wanted = {"__name__", *_globals_of(function.__code__)}
        return foreign, {
            one: namespace[one] for one in sorted(wanted) if one in namespace
        }

    def _cell(self, cell: Any) -> Any:
        try:
            contents = cell.cell_contents
        except ValueError:
            return loader.make_cell, ()
        return loader.make_cell, (), (contents,), None, None, loader.set_cell

    def _code(self, code: CodeType) -> Any:
        key = self.scope.sources.key(code)
        made = (self.scope.token, MAGIC_NUMBER, marshal.dumps(code), key)
        return loader.make_code, made

    # ---- Classes ---------------------------------------------------------------------

    def _class(self, one: type) -> Any:
        if one in _BUILTIN_TYPES and importable(one) is None:
            return loader.builtin_type, (_BUILTIN_TYPES[one],)
        if self.scope.by_name(one):
            return NotImplemented
        asked = self._asked_for(one)
        if asked is not None:
            return asked
        if issubclass(one, enum.Enum):
            return self._enum(one)
        if _is_namedtuple(one):
            return self._namedtuple(one)
        first: dict[str, Any] = {"__qualname__": one.__qualname__}
        if one.__module__ != self.scope.name:
            first["__module__"] = one.__module__
        for name in ("__slots__", "__orig_bases__"):
            if name in vars(one):
                first[name] = vars(one)[name]
        args = (self.scope.namespace, type(one), one.__name__, one.__bases__, first)
        state = class_state(one, {"__orig_bases__", "__slots__"})
        return loader.make_class, args, state, None, None, loader.fill_class

    def _enum(self, one: Any) -> Any:
        kept = {"_name_", "__objclass__", "_sort_order_"}
        members = [
            (
                name,
                _raw(member, one._member_type_),
                {key: value for key, value in vars(member).items() if key not in kept},
            )
            for name, member in one.__members__.items()
        ]
        head = (one.__name__, one.__bases__, one.__qualname__, self._module(one))
        keywords = {}
        if issubclass(one, enum.Flag):
            keywords["boundary"] = one._boundary_
        made = (self.scope.namespace, type(one), head, members, keywords)
        state = class_state(one, {*_ENUM_OWN, *one.__members__})
        if "__init__" not in vars(one):
            state[" removed"] = ("__init__",)
        return loader.make_enum, made, state, None, None, loader.fill_class

    def _namedtuple(self, one: Any) -> Any:
        plain = vars(collections.namedtuple(one.__name__, one._fields))  # noqa: PYI024
        state = class_state(one, set())
        for name, value in list(state.items()):
            function = getattr(value, "__func__", value)
            generated = name in plain and not (
                isinstance(function, types.FunctionType)
                and function.__globals__ is self.scope.namespace
            )
            if generated and name != "__doc__":
                del state[name]
        state["__qualname__"] = one.__qualname__
        made = (
            self.scope.namespace, one.__name__, one._fields, one._field_defaults,
            self._module(one),
        )  # fmt: skip
        return loader.make_namedtuple, made, state, None, None, loader.fill_class

    def _module(self, one: Any) -> str | None:
        return None if one.__module__ == self.scope.name else one.__module__


class _Module:
    """Stands for the globals of an importable module."""

    def __init__(self, name: str) -> None:
        self.name = name


_ENUM_OWN = frozenset({
    "__new__", "_member_names_", "_member_map_", "_value2member_map_", "_member_type_",
    "_use_args_", "_value_repr_", "_hashable_values_", "_unhashable_values_",
    "_unhashable_values_map_", "_flag_mask_", "_singles_mask_", "_all_bits_",
    "_boundary_", "_inverted_",
})  # fmt: skip


def _raw(member: Any, kind: Any) -> tuple[Any, ...]:
    """Return the arguments that make what a member of a mixed enum is besides."""
    if kind is object:
        return ()
    arguments = getattr(kind, "__getnewargs__", None)
    return (member.value,) if arguments is None else tuple(arguments(member))


def class_state(one: type, without: set[str]) -> dict[str, Any]:
    """Return what a class has in its dict, but what its making gives it."""
    state = {}
    for name, value in vars(one).items():
        if name in without or name in {
            "__dict__", "__weakref__", "__module__", "_abc_impl", "__qualname__",
        }:  # fmt: skip
            continue
        if (
            isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType)
            and value.__objclass__ is one
        ):
            continue  # of __slots__
        state[name] = value
    if isinstance(one, abc.ABCMeta):
        found = [ref() for ref in abc._get_dump(one)[0]]  # type: ignore[attr-defined]  # noqa: SLF001
        registered = [sub for sub in found if sub is not None]
        if registered:
            state[" registered"] = registered
    return state


def _is_namedtuple(one: type) -> bool:
    return (
        one.__bases__ == (tuple,)
        and isinstance(getattr(one, "_fields", None), tuple)
        and hasattr(one, "_field_defaults")
        and type(one) is type
    )


def _globals_of(code: CodeType) -> set[str]:
    """Return the names of the globals that a code object may use."""
    names = {
        one.argval
        for one in dis.get_instructions(code)
        if one.opname in {"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"}
    }
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            names |= _globals_of(inner)
    return names


def _numpy(value: Any) -> Any:
    """Keep arrays out of the pickle that numpy itself would copy into it."""
    numpy = sys.modules["numpy"]
    kind = type(value)
    if kind.__name__ == "memmap":
        # What a snapshot holds is the values, not the file they were mapped from.
        return numpy.ascontiguousarray(value.view(numpy.ndarray)).__reduce_ex__(5)
    if kind.__name__ == "ndarray" and value.nbytes >= IN_BAND:
        flags = value.flags
        if not (flags.c_contiguous or flags.f_contiguous or value.dtype.hasobject):
            return numpy.ascontiguousarray(value).__reduce_ex__(5)
    return NotImplemented


def _pandas(value: Any) -> Any:
    """Take a column of Arrow's as it is, where its own pickle copies it."""
    array = getattr(value, "_pa_array", None)
    if getattr(array, "num_chunks", 0) != 1 or not hasattr(value, "__setstate__"):
        return NotImplemented
    state = {**vars(value), "_pa_array": array.chunk(0)}  # type: ignore[union-attr]
    return copyreg.__newobj__, (type(value),), state  # type: ignore[attr-defined]


def _arrow(value: Any) -> Any:
    """Take an Arrow array's buffers as they are, where its own pickle copies them."""
    if not hasattr(value, "buffers") or type(value).__name__ == "ExtensionArray":
        return NotImplemented
    kind = value.type
    if kind.num_fields or hasattr(kind, "value_type") or hasattr(kind, "storage_type"):
        return NotImplemented
    buffers = value.buffers()
    size = sum(one.size for one in buffers if one is not None)
    if size < IN_BAND or size > value.nbytes + value.nbytes // 8 + 1024:
        return NotImplemented  # small, or a slice of more
    return loader.make_array, (
        kind, len(value), buffers, value.null_count, value.offset,
    )  # fmt: skip


# ruff: noqa: ARG001 - all reducers are called alike

# ---- Other types whose own class does not know, or says something else --------------


def _imported(pickler: Pickler, module: ModuleType) -> Any:
    if importable_module(module.__name__) and sys.modules[module.__name__] is module:
        return importlib.import_module, (module.__name__,)
    if is_context(module.__name__):
        raise pickle.PicklingError(
            f"it holds the module '{module.__name__}' of another context"
        )
    state = {k: v for k, v in vars(module).items() if k not in _MODULE_OWN}
    made = (module.__name__, module.__doc__)
    return loader.make_module, made, state, None, None, loader.set_module


_MODULE_OWN = {"__builtins__", "__loader__", "__spec__", "__name__", "__doc__"}


def _wrapper(pickler: Pickler, value: Any) -> Any:
    return type(value), (value.__func__,)


def _property(pickler: Pickler, value: Any) -> Any:
    return type(value), (value.fget, value.fset, value.fdel, value.__doc__)


def _cached_property(pickler: Pickler, value: Any) -> Any:
    # Until Python 3.12 it has a lock, which its making gives it anew.
    state = {k: v for k, v in vars(value).items() if k not in {"lock", "func"}}
    return type(value), (value.func,), state


def _cache(pickler: Pickler, value: Any) -> Any:
    if importable(value) is not None:
        return NotImplemented
    asked = pickler._asked_for(value)  # noqa: SLF001
    if asked is not None:
        return asked
    state = {k: v for k, v in vars(value).items() if k != "__wrapped__"}
    return loader.make_cache, (value.__wrapped__, value.cache_parameters()), state


def _method(pickler: Pickler, value: Any) -> Any:
    if getattr(value.__self__, value.__func__.__name__, None) == value:
        return NotImplemented
    return types.MethodType, (value.__func__, value.__self__)


def _proxy(pickler: Pickler, value: Any) -> Any:
    return types.MappingProxyType, (dict(value),)


def _view(pickler: Pickler, value: memoryview) -> Any:
    return loader.make_view, (value.tobytes(), value.format, value.shape)


def _keys(pickler: Pickler, value: Any) -> Any:
    return loader.make_keys, (list(value),)


def _values(pickler: Pickler, value: Any) -> Any:
    return loader.make_values, (list(value),)


def _items(pickler: Pickler, value: Any) -> Any:
    return loader.make_items, (list(value),)


def _descriptor(pickler: Pickler, value: Any) -> Any:
    return getattr, (value.__objclass__, value.__name__)


def _reference(pickler: Pickler, value: Any) -> Any:
    target = value()
    return loader.make_reference, () if target is None else (target,)


def _weak_set(pickler: Pickler, value: Any) -> Any:
    return type(value), (list(value),)


def _weak_dict(pickler: Pickler, value: Any) -> Any:
    return type(value), (dict(value.items()),)


def _typevar(pickler: Pickler, value: Any) -> Any:
    if importable(value, value.__name__) is not None:
        return NotImplemented
    options: dict[str, Any] = {}
    args: tuple[Any, ...] = (value.__name__,)
    if not isinstance(value, typing.TypeVarTuple):
        options = {
            "bound": value.__bound__,
            "covariant": value.__covariant__,
            "contravariant": value.__contravariant__,
        }
    if isinstance(value, typing.TypeVar):
        args += value.__constraints__
    made = (pickler.scope.namespace, type(value), args, options)
    return loader.make_typevar, made


def _new_type(pickler: Pickler, value: Any) -> Any:
    if importable(value) is not None:
        return NotImplemented
    args = (value.__name__, value.__supertype__)
    return loader.make_typevar, (pickler.scope.namespace, typing.NewType, args, {})


def _marker(pickler: Pickler, value: Any) -> Any:
    for name, one in vars(dataclasses).items():
        if one is value:
            return loader.attribute, ("dataclasses", name)
    return NotImplemented


def _text_file(pickler: Pickler, value: Any) -> Any:
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is value:
            return loader.stream, (name,)
    raise pickle.PicklingError(
        f"cannot pickle an open file ({getattr(value, 'name', None)!r})"
    )


def _foreign(pickler: Pickler, value: Globals) -> Any:
    return loader.foreign_globals, (pickler.scope.token, value.key)


def _module_dict(pickler: Pickler, value: _Module) -> Any:
    return loader.module_globals, (value.name,)


class Whole:
    """Bytes or a text so long that they go out of the pickle."""

    def __init__(self, value: Any) -> None:
        """Take the value."""
        self.value = value


def _whole(pickler: Pickler, one: Whole) -> Any:
    value = one.value
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return loader.make_whole, (type(value), pickle.PickleBuffer(data))


_REDUCERS: dict[type, Callable[[Pickler, Any], Any]] = {
    types.CellType: Pickler._cell,  # noqa: SLF001
    types.CodeType: Pickler._code,  # noqa: SLF001
    types.ModuleType: _imported,
    types.MethodType: _method,
    types.MappingProxyType: _proxy,
    types.GetSetDescriptorType: _descriptor,
    types.MemberDescriptorType: _descriptor,
    classmethod: _wrapper,
    staticmethod: _wrapper,
    abc.abstractclassmethod: _wrapper,
    abc.abstractstaticmethod: _wrapper,
    abc.abstractproperty: _property,
    property: _property,
    functools.cached_property: _cached_property,
    type(functools.lru_cache(len)): _cache,
    memoryview: _view,
    type({}.keys()): _keys,
    type({}.values()): _values,
    type({}.items()): _items,
    type(collections.OrderedDict().keys()): _keys,
    type(collections.OrderedDict().values()): _values,
    type(collections.OrderedDict().items()): _items,
    weakref.ref: _reference,
    weakref.WeakSet: _weak_set,
    weakref.WeakKeyDictionary: _weak_dict,
    weakref.WeakValueDictionary: _weak_dict,
    typing.TypeVar: _typevar,
    typing.ParamSpec: _typevar,
    typing.TypeVarTuple: _typevar,
    typing.NewType: _new_type,
    io.TextIOWrapper: _text_file,
    **dict.fromkeys(
        {
            type(vars(dataclasses)[name])
            for name in ("_FIELD", "MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")
        },
        _marker,
    ),
    Globals: _foreign,
    _Module: _module_dict,
    Whole: _whole,
}
