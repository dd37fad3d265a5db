"""Objects that a host holds by number: what is done with them, and their handles.

>>> with Handles() as handles:
...     ada = handles.new("Person", ["Ada", 36])
...     handles.call(ada, "greet", "hi")
'hi, Ada'

The numbers are those of `pyb_handle` in pybridge.h. The library keeps them, so handles
work only where it is loaded; the verbs below that take an object work anywhere.
"""

# ruff: noqa: A002 - names are those of the contract, and objects the user's

from __future__ import annotations

import operator

from pybridge.errors import BadArgument, HostError
from pybridge.status import type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Self

__all__ = [
    "Handle",
    "Handles",
    "apply",
    "dumps",
    "info",
    "info_json",
    "loads",
    "module",
    "names",
    "names_json",
    "rows",
    "stream",
]

# ---- Verbs that take the object: what the library asks for, by name -----------------


def module(name: str) -> Any:
    """Import a module and return it; no context gets a variable of it."""
    from pybridge import _describe

    return _describe.load_module(name)


def loads(data: object, serialization: str) -> Any:
    """Return the object of a serialization.

    Raises:
        BadArgument: there is no such serialization, or the data is not of it.

    """
    from pybridge import serialization as forms

    if not isinstance(data, (str, bytes)):
        kind = type_name(type(data))
        raise BadArgument(f"{serialization} is read from text or bytes, not {kind}")
    return forms.loads(data, serialization)


def dumps(object: object, serialization: str) -> str | bytes:
    """Return an object's serialization."""
    from pybridge import serialization as forms

    return forms.dumps(object, serialization)


def apply(
    object: Any,
    method: str | None = None,
    args: str | Sequence[object] | None = None,
    kwargs: str | Mapping[str, object] | None = None,
) -> Any:
    """Call an object, or its method, with arguments as JSON text or Python's own."""
    from pybridge import main

    positional = main.arguments(args)
    keywords = main.keywords(kwargs)
    callee = object if method is None else getattr(object, method)
    return callee(*positional, **keywords)


def stream(frame: object, columns: Sequence[str] | None = None) -> Any:
    """Return the rows of a frame: an object with `__arrow_c_stream__`."""
    from pybridge import main

    return main.to_stream(frame, columns)


def rows(frame: object, *columns: str) -> Any:
    """Return the rows of a frame and, in one column more, each of them as JSON text."""
    import pyarrow as pa

    from pybridge import main

    table = pa.table(main.to_stream(frame, columns or None))
    texts = [dumps(row, "json") for row in table.to_pylist()]
    return table.append_column("row", pa.array(texts, pa.large_string()))


def info(object: Any) -> dict[str, Any]:
    """Return what there is to say of an object, without an exception of its own."""
    from pybridge import _describe

    kind = type(object)
    return {
        "type": type_name(kind),
        "class": isinstance(object, type),
        "module": _text_of(object, "__module__"),
        "name": _text_of(object, "__qualname__") or _text_of(object, "__name__"),
        "callable": callable(object),
        "iterable": hasattr(kind, "__iter__"),
        "length": _length(object),
        "docs": _text_of(object, "__doc__"),
        "repr": _describe.short_repr(object),
    }


def info_json(object: Any) -> str:
    """Return `info` as JSON text."""
    return str(dumps(info(object), "json"))


def names(object: Any) -> list[str]:
    """Return the names of an object's attributes."""
    return [str(name) for name in dir(object)]


def names_json(object: Any) -> str:
    """Return `names` as JSON text."""
    return str(dumps(names(object), "json"))


def _text_of(object: Any, name: str) -> str | None:
    try:
        text = getattr(object, name, None)
    except Exception:
        return None
    return text if isinstance(text, str) else None


def _length(object: Any) -> int | None:
    if isinstance(object, type):
        return None
    try:
        return len(object)
    except Exception:
        return None


# ---- Handles ------------------------------------------------------------------------

# pyb_as in pybridge.h
_AS = {"fits": 0, "value": 1, "handle": 2}

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "is": operator.is_,
}


class Handle(int):
    """The number of an object that a host holds; an argument that is one stands for it.

    Other integers are never taken for handles.
    """

    __slots__ = ()


class Handles:
    """The objects that one part of a host holds: released together, at the latest.

    What comes out is the value where the object has a counterpart, else a `Handle`;
    `form="value"` or "handle" makes it the one or the other.
    """

    __slots__ = ("_own", "context")

    def __init__(self, context: str | None = None) -> None:
        """Hold nothing yet; names are those of `context`, none is "main"."""
        self.context = context
        self._own: set[int] = set()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release all that is held."""
        self.close()

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._own)

    def __iter__(self) -> Iterator[Handle]:
        """Yield the handles."""
        return iter([Handle(number) for number in sorted(self._own)])

    # Making

    def keep(self, object: object) -> Handle:
        """Hold an object."""
        return self._kept(_plane().handle_keep(object))

    def of(self, expression: str) -> Handle:
        """Hold what an expression gives: a variable, a path, any expression."""
        from pybridge import main

        return self.keep(main.resolve(expression, self.context))

    def new(
        self,
        callable: str,
        args: str | Sequence[object] | None = None,
        kwargs: str | Mapping[str, object] | None = None,
    ) -> Handle:
        """Call what an expression names, a class or a function, and hold the result."""
        from pybridge import main

        found = main.resolve(callable, self.context)
        return self.keep(self._apply(found, None, args, kwargs))

    def module(self, name: str) -> Handle:
        """Import a module and hold it."""
        return self.keep(module(name))

    def loads(self, data: str | bytes, serialization: str) -> Handle:
        """Hold the object of a serialization; a pickle is code."""
        return self.keep(loads(data, serialization))

    # Reaching

    def reach(self, handle: int) -> Any:
        """Return the object of a handle.

        Raises:
            Undefined: it was released, or is from before a reset, or never was one.

        """
        return _plane().handle_object(handle)

    def get(self, handle: int, name: str, form: str = "fits") -> Any:
        """Return an attribute."""
        return self._given(getattr(self.reach(handle), name), form)

    def set(self, handle: int, name: str, value: object) -> None:
        """Set an attribute, a new one too."""
        setattr(self.reach(handle), name, self._plain(value))

    def delete(self, handle: int, name: str) -> None:
        """Delete an attribute."""
        delattr(self.reach(handle), name)

    def call(
        self, handle: int, method: str | None = None, /, *args: object, **kwargs: object
    ) -> Any:
        """Call a method, or the object itself, with Python's own arguments."""
        return self.apply(handle, method, args, kwargs)

    def apply(
        self,
        handle: int,
        method: str | None = None,
        args: str | Sequence[object] | None = None,
        kwargs: str | Mapping[str, object] | None = None,
        form: str = "fits",
    ) -> Any:
        """Call a method, or the object itself, with JSON text or Python's arguments."""
        result = self._apply(self.reach(handle), method, args, kwargs)
        return self._given(result, form)

    def item(self, handle: int, key: object, form: str = "fits") -> Any:
        """Return the item under a key."""
        return self._given(self.reach(handle)[self._plain(key)], form)

    def set_item(self, handle: int, key: object, value: object) -> None:
        """Set the item under a key."""
        self.reach(handle)[self._plain(key)] = self._plain(value)

    def delete_item(self, handle: int, key: object) -> None:
        """Delete the item under a key."""
        del self.reach(handle)[self._plain(key)]

    def iterate(self, handle: int, form: str = "fits") -> Iterator[Any]:
        """Yield the items of an object; closed early, it closes its generator."""
        for item in self.reach(handle):
            yield self._given(item, form)

    def length(self, handle: int) -> int:
        """Return len() of an object."""
        return len(self.reach(handle))

    def contains(self, handle: int, value: object) -> bool:
        """Tell whether a value is in an object."""
        return self._plain(value) in self.reach(handle)

    def compare(self, handle: int, op: str, other: object, form: str = "fits") -> Any:
        """Compare: "==", "!=", "<", "<=", ">", ">=", or "is" (the same object)."""
        compare = _COMPARISONS.get(op)
        if compare is None:
            known = ", ".join(_COMPARISONS)
            raise BadArgument(f'there is no comparison "{op}"; known: {known}')
        return self._given(compare(self.reach(handle), self._plain(other)), form)

    def value(self, handle: int, serialization: str | None = None) -> Any:
        """Return an object serialized, or its value."""
        if serialization:
            return dumps(self.reach(handle), serialization)
        return self._given(self.reach(handle), "value")

    def info(self, handle: int) -> dict[str, Any]:
        """Return what there is to say of an object."""
        return info(self.reach(handle))

    def names(self, handle: int) -> list[str]:
        """Return the names of an object's attributes."""
        return names(self.reach(handle))

    # Letting go

    def release(self, handle: int) -> None:
        """Let go of an object; no variable and no attribute goes with it.

        Raises:
            Undefined: it is not held here, or from before a reset.

        """
        self._own.discard(int(handle))
        _plane().handle_release(handle)

    def close(self) -> None:
        """Release all that is held."""
        from pybridge.errors import Undefined

        while self._own:
            try:
                _plane().handle_release(self._own.pop())
            except Undefined:  # from before a reset
                continue

    # Arguments and results

    def _kept(self, number: int) -> Handle:
        self._own.add(number)
        return Handle(number)

    def _plain(self, value: object) -> Any:
        return self.reach(value) if isinstance(value, Handle) else value

    def _apply(
        self,
        callee: object,
        method: str | None,
        args: str | Sequence[object] | None,
        kwargs: str | Mapping[str, object] | None,
    ) -> Any:
        from pybridge import main

        positional = [self._plain(value) for value in main.arguments(args)]
        keywords = {
            name: self._plain(value) for name, value in main.keywords(kwargs).items()
        }
        return apply(callee, method, positional, keywords)

    def _given(self, object: object, form: str) -> Any:
        if form not in _AS:
            raise BadArgument(f'there is no form "{form}"; known: {", ".join(_AS)}')
        kept, value = _plane().handle_give(object, _AS[form])
        return self._kept(value) if kept else value


def _plane() -> Any:
    """Return the C side.

    Raises:
        HostError: the library is not loaded.

    """
    try:
        from pybridge import _plane as plane
    except ImportError:
        raise HostError(
            "there is no host here: handles are kept by the library, which a host "
            "process loads"
        ) from None
    return plane
