"""The names of a live context: of which kind each is, and what is to be said of it."""

from __future__ import annotations

import datetime
import functools
import inspect
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pybridge import context as contexts
from pybridge._words import counted
from pybridge.errors import DeadlineExceeded
from pybridge.snapshot import exact
from pybridge.snapshot.pickler import importable, importable_module
from pybridge.snapshot.report import Description, Entry
from pybridge.status import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "PREVIEW",
    "Imports",
    "describe_live",
    "entry_of",
    "names_of",
    "now",
    "origin",
]

PREVIEW = 1000  # characters of a repr that are kept
_MANY = 200  # elements of a container that are shown

# What every module has, and no user has put there.
_MODULE_NAMES = frozenset({
    "__annotations__", "__builtins__", "__cached__", "__doc__", "__file__",
    "__loader__", "__name__", "__package__", "__path__", "__spec__",
    "__warningregistry__",
})  # fmt: skip
_CACHE = type(functools.lru_cache(len))
# Values of these are the user's own, wherever else they may be found.
_DATA = frozenset({
    bool, int, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset,
    type(None), memoryview, range, slice,
})  # fmt: skip
_DATA_PACKAGES = frozenset({
    "numpy", "pandas", "pyarrow", "polars", "datetime", "decimal", "collections",
})  # fmt: skip


def now() -> str:
    """Return the time: UTC, ISO 8601 with milliseconds."""
    time = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    return time.isoformat(timespec="milliseconds") + "Z"


def names_of(context: contexts.Context) -> dict[str, Any]:
    """Return the user's names of a context."""
    return {
        name: value
        for name, value in list(context.namespace.items())
        if type(name) is str and name not in _MODULE_NAMES
    }


# ---- Where imported objects come from -----------------------------------------------


class Imports:
    """Finds the modules that objects were imported from."""

    def __init__(self) -> None:
        """Look at nothing yet."""
        self._index: dict[int, tuple[str, str]] | None = None

    def find(self, value: Any) -> tuple[str, str] | None:  # noqa: PLR0911 (a rule each)
        """Return module and name of an object that is no plain data, if it has any."""
        kind = type(value)
        if isinstance(value, FunctionType | type):
            return importable(value)
        if kind in _DATA:
            return None
        package = kind.__module__.partition(".")[0]
        called = callable(value) and not isinstance(value, _CACHE)
        if package in _DATA_PACKAGES and not called:
            return None
        if not importable_module(kind.__module__):
            return None  # an instance of a class of the context's own
        by_name = importable(value)
        if by_name is not None:
            return by_name
        for near in (kind.__module__, getattr(value, "__module__", None)):
            found = _inside(near, value)
            if found is not None:
                return found
        return self.anywhere(value) if called else None

    def anywhere(self, value: Any) -> tuple[str, str] | None:
        """Return module and name of an object that any module has."""
        if self._index is None:
            self._index = _index()
        found = self._index.get(id(value))
        if found is None or vars(sys.modules[found[0]]).get(found[1]) is not value:
            return None
        return found


def _inside(module: Any, value: Any) -> tuple[str, str] | None:
    if not importable_module(module):
        return None
    for name, one in list(vars(sys.modules[module]).items()):
        if one is value:
            return module, name
    return None


def _index() -> dict[int, tuple[str, str]]:
    """Return module and name of everything; of what several have, the public one."""
    index: dict[int, tuple[str, str]] = {}

    def rank(name: str) -> tuple[bool, int, int]:
        return "_" in name, name.count("."), len(name)

    names = [name for name in list(sys.modules) if importable_module(name)]
    for module in sorted(names, key=rank, reverse=True):
        for name, value in list(vars(sys.modules[module]).items()):
            if type(value) not in _DATA and isinstance(name, str):
                index[id(value)] = module, name
    return index


def origin(value: Any, imports: Imports) -> tuple[str, str] | None:
    """Return the module that a name stands for, or a module and what it has of it."""
    if isinstance(value, ModuleType):
        name = value.__name__
        known = importable_module(name) and sys.modules[name] is value
        return (name, "") if known else None
    return imports.find(value)


# ---- What is said of them -----------------------------------------------------------


def entry_of(name: str, value: Any, imports: Imports) -> Entry:
    """Return what there is to say about a name, whatever its value does when asked."""
    try:
        return _entry_of(name, value, imports)
    except (KeyboardInterrupt, DeadlineExceeded):
        raise
    except BaseException:
        return Entry("variable", name, type_name(type(value)), repr=preview(value))


def _entry_of(name: str, value: Any, imports: Imports) -> Entry:
    found = origin(value, imports)
    shown = type_name(type(value))
    if found is not None:
        module = f"{found[0]}.{found[1]}" if found[1] else found[0]
        return Entry("module", name, shown, module=module, repr=preview(value))
    kind = "variable"
    if isinstance(value, FunctionType | _CACHE):
        kind = "function"
    elif isinstance(value, type):
        kind = "class"
    entry = Entry(kind, name, shown, repr=preview(value))
    if kind != "variable":
        entry.signature = _quietly(lambda: str(inspect.signature(value)), "")
        entry.docs = _quietly(lambda: _own_docs(value), "")
    return entry


def _own_docs(value: Any) -> str:
    docs = value.__doc__
    return inspect.cleandoc(docs) if isinstance(docs, str) else ""


def _quietly(do: Callable[[], str], otherwise: str) -> str:
    """Return a text that the user's code makes, whatever that code does."""
    try:
        text = do()
    except (KeyboardInterrupt, DeadlineExceeded):
        raise
    except BaseException:
        return otherwise
    return text.encode(errors="backslashreplace").decode()


def preview(value: Any) -> str:
    """Return the beginning of a repr, at a price that does not depend on the size."""
    text = _quietly(lambda: _shown(value), f"<{type_name(type(value))}: repr failed>")
    return text if len(text) <= PREVIEW else text[: PREVIEW - 3] + "..."


def _shown(value: Any) -> str:
    kind = type(value)
    if kind in {str, bytes, bytearray} and len(value) > PREVIEW:
        return repr(value[:PREVIEW]) + "..."
    if kind in {list, tuple, set, frozenset} and len(value) > _MANY:
        from itertools import islice

        some = kind(islice(value, _MANY))
        return repr(some)[:-1] + ", ..."
    if kind is dict and len(value) > _MANY:
        from itertools import islice

        return repr(dict(islice(value.items(), _MANY)))[:-1] + ", ...}"
    if hasattr(kind, "columns") and hasattr(kind, "shape"):
        frame = _frame(value)
        if frame:
            return frame
    return repr(value)


def _frame(value: Any) -> str:
    """Return the columns of a frame: its own repr takes longer than saving it."""
    rows, width = value.shape
    types = getattr(value, "dtypes", None)
    if (isinstance(rows, int) and rows * width <= _MANY) or types is None:
        return ""
    names = list(value.columns)[:_MANY]
    kinds = list(types)[:_MANY]
    columns = ", ".join(f"{n} {k}" for n, k in zip(names, kinds, strict=False))
    size = f"{counted(rows, 'row')} x {counted(width, 'column')}"
    return f"<{type(value).__name__} of {size}: {columns}>"


def describe_live(name: str | None) -> Description:
    """Return what a live context holds, without touching it."""
    at = contexts.get(name)
    found = Description(None, at.name, python=sys.version.partition(" ")[0])
    imports = Imports()
    for one, value in names_of(at).items():
        entry = entry_of(one, value, imports)
        if entry.kind == "variable":
            entry.json = exact.dumps(value)
        place = {"module": found.modules, "variable": found.variables}
        place.get(entry.kind, found.functions).append(entry)
    return found
