"""What the data plane calls in Python: names, rare values, failures.

The library looks these up once at its start, and then calls them without cffi.
"""

from __future__ import annotations

import _imp
import sys

from pybridge import __version__, _plane, context, output, source, status
from pybridge.errors import (
    BadArgument,
    DeadlineExceeded,
    Interrupted,
    Unsupported,
    status_of,
)
from pybridge.source import EXPRESSIONS, compile_expression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "EXPRESSIONS",
    "VERSION",
    "DeadlineExceeded",
    "Interrupted",
    "Unsupported",
    "apply",
    "at_exit",
    "capture",
    "compile_expression",
    "complicate",
    "fail",
    "map",
    "namespace_of",
    "nothing",
    "proxy",
    "resolve",
    "simplify",
    "take_over",
    "to_json",
    "unresolved",
]

VERSION = __version__

# The numbers of pyb_type in pybridge.h.
NULL, BOOL, INT64, FLOAT64, TEXT, BLOB, DATE, TIME, TIMESTAMP, DECIMAL, JSON = range(11)


def _begin(at: context.Context) -> None:
    from pybridge import initializer

    initializer.begin(at)


# Also where the first call is one that needs no more of the package.
context.BEGIN = _begin
source.COMPILE = _plane.compile_text


def take_over() -> None:
    """Make this interpreter the host's: the library has started it, nobody else."""
    context.OWNED = True
    output.install(_plane.output)
    _keep_signals()
    # What users import at their first call is what they find; argv[0] is wanted by
    # multiprocessing and argparse.
    sys.argv[:] = [""]


def _keep_signals() -> None:
    """Let what sets a handler, of SIGINT as asyncio.run does, set it for one call."""
    import _signal

    set_handler = _signal.signal

    def signal(signalnum: Any, handler: Any, /) -> Any:
        if isinstance(signalnum, int):
            _plane.take_signal(signalnum)
        return set_handler(signalnum, handler)

    signal.__doc__ = set_handler.__doc__
    _signal.signal = signal


def at_exit() -> None:
    """Do what Python code has asked for at the end of the process."""
    import atexit

    atexit._run_exitfuncs()  # noqa: SLF001 (there is no public way)


def nothing() -> None:
    """Do nothing: the place for an exception that is only to be had out of the way."""


def namespace_of(name: str) -> dict[str, Any]:
    """Return the namespace of a context, made on first use."""
    return context.get(name).namespace


def resolve(name: str, path: str) -> object:
    """Return the object that a path names in a context."""
    from pybridge import main

    return main.resolve(path, name)


def unresolved(name: str, path: str, exc: Exception) -> None:
    """Raise what is to be said of a path whose evaluation has raised `exc`."""
    from pybridge import main

    raise main.unresolved(path, exc, name)


def apply(function: object, stream: object) -> object:
    """Call a function with the columns of a stream, for one value."""
    from pybridge import main

    return main.apply(function, stream)


def map(function: object, stream: object) -> object:  # noqa: A001 (as in main)
    """Call a function with the columns of a stream, for columns."""
    from pybridge import main

    return main.map(function, stream)


def proxy(verb: str, *args: Any) -> object:
    """Do what few calls want of the objects that a host keeps; by the verb's name."""
    from pybridge import proxy

    return getattr(proxy, verb)(*args)


def capture(name: str) -> object:
    """Begin to keep what is printed, for the status of a context."""
    return output.Capture(context.get(name).status).__enter__()


def fail(exc: BaseException, name: str) -> tuple[int, str, str, str, int]:
    """Record a failure; return its status number, type, message, file and line."""
    if _imp.lock_held():
        from pybridge import _packages

        _packages.unlock()
    if issubclass(type(exc), SystemExit):  # isinstance() may ask the user's code
        output.reopen_input()
    kind, message, file, line = status.record(exc, context.get(name))
    return status_of(exc), kind, message, file, line


# ---- Values that C does not know ----------------------------------------------------


def simplify(value: object) -> tuple[int, object]:
    """Return the type number and the plain object for any object that has one.

    Numpy scalars, subclasses of the plain types, dates, decimals and missing values
    have; a date's plain object is its number of days, a time's of microseconds.

    Raises:
        Unsupported: it has none; the message names the serializations that would do.

    """
    for kind, number, plain in _PLAIN:
        if isinstance(value, kind):
            return number, plain(value)
    module = type(value).__module__.partition(".")[0]
    convert = _FOREIGN.get(module)
    found = convert(value) if convert is not None else None
    if found is None and hasattr(type(value), "__index__"):
        import operator

        try:
            found = INT64, operator.index(value)  # type: ignore[arg-type]
        except TypeError:  # an array has the method, and only some are numbers
            found = None
    if found is None:
        raise Unsupported(_no_counterpart(value))
    return found


_PLAIN: tuple[tuple[Any, int, Callable[[Any], object]], ...] = (
    (bool, BOOL, int),
    (int, INT64, int.__index__),
    (float, FLOAT64, float.__float__),
    (str, TEXT, str.__str__),
    (bytes, BLOB, lambda value: value[:]),
    ((bytearray, memoryview), BLOB, bytes),
)


def _numpy(value: Any) -> tuple[int, object] | None:  # noqa: PLR0911 (a kind each)
    import numpy

    if isinstance(value, numpy.generic) and not isinstance(
        value, (numpy.void, numpy.complexfloating)
    ):
        if isinstance(value, numpy.datetime64):
            return _datetime64(value)
        if isinstance(value, numpy.timedelta64):
            return None
        if isinstance(value, numpy.longdouble):
            return _longdouble(value)
        return simplify(value.item())
    if value is numpy.ma.masked:
        return NULL, None
    if isinstance(value, numpy.ndarray) and value.ndim == 0:
        return simplify_or_null(value[()])
    return None


def _longdouble(value: Any) -> tuple[int, object]:
    plain = float(value)
    if plain != value and value == value:  # noqa: PLR0124 (NaN is exact)
        raise Unsupported(
            f"the number {value!s} has more digits than a float; make it one, or use "
            'serialization "str"'
        )
    return FLOAT64, plain


def _datetime64(value: Any) -> tuple[int, object]:
    import numpy

    if numpy.isnat(value):
        return NULL, None
    day = numpy.datetime_data(value.dtype)[0] in ("Y", "M", "W", "D")
    try:
        known = value.astype("datetime64[D]" if day else "datetime64[us]")
        # Before numpy 2.5 what is too large comes round to the other end, where it may
        # compare equal in its new unit.
        exact = known.astype(value.dtype) == value and known == value
    except OverflowError:
        exact = False
    if not exact:
        raise Unsupported(
            f"the time {value} is finer than a microsecond or too far from today; "
            'round it, or use serialization "str"'
        )
    return (DATE if day else TIMESTAMP), int(known.astype("int64"))


def _pandas(value: Any) -> tuple[int, object] | None:
    import pandas

    if value is pandas.NA or value is pandas.NaT:
        return NULL, None
    if isinstance(value, pandas.Timestamp):
        if value.tzinfo is not None:
            return TEXT, value.isoformat(sep=" ")
        if value.nanosecond:
            return _datetime64(value.to_datetime64())
        return _datetime(value)
    return None


def _datetime(value: Any) -> tuple[int, object] | None:
    import datetime

    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            return TEXT, value.isoformat(sep=" ")
        since = value - datetime.datetime(1970, 1, 1)
        return TIMESTAMP, since // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return DATE, value.toordinal() - 719163
    if isinstance(value, datetime.time):
        if value.tzinfo is not None:
            return TEXT, value.isoformat()
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        return TIME, seconds * 1_000_000 + value.microsecond
    return None


def _decimal(value: Any) -> tuple[int, object] | None:
    import decimal

    return (DECIMAL, str(value)) if isinstance(value, decimal.Decimal) else None


def _pyarrow(value: Any) -> tuple[int, object] | None:
    import pyarrow

    return (
        simplify_or_null(value.as_py()) if isinstance(value, pyarrow.Scalar) else None
    )


def simplify_or_null(value: object) -> tuple[int, object]:
    """Return what `simplify` returns, for None too."""
    return (NULL, None) if value is None else simplify(value)


_FOREIGN = {
    "numpy": _numpy,
    "pandas": _pandas,
    "datetime": _datetime,
    "decimal": _decimal,
    "pyarrow": _pyarrow,
}


def _no_counterpart(value: object) -> str:
    kind = status.type_name(type(value))
    if hasattr(type(value), "__arrow_c_stream__"):
        return (
            f"an object of type {kind} is rows, not a value; use py_write, py_frame or "
            'serialization "json", "arrow"'
        )
    return (
        f"an object of type {kind} has no counterpart; make a plain value of it, or "
        'use serialization "str", "repr", "json" or "pickle"'
    )


def complicate(kind: int, plain: object) -> object:
    """Return the Python object for a date, a time, a decimal or JSON of the host."""
    if kind == JSON:
        return _from_json(plain)
    if kind == DECIMAL:
        import decimal

        return decimal.Decimal(plain)  # type: ignore[arg-type]
    import datetime

    number: int = plain  # type: ignore[assignment]
    if kind == DATE:
        return datetime.date.fromordinal(number + 719163)
    if kind == TIME and not 0 <= number < 86_400_000_000:
        raise BadArgument(
            f"the time of day {number} us is not between 0 and 86399999999"
        )
    since = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=number)
    return since.time() if kind == TIME else since


def to_json(value: object) -> str | bytes:
    """Return the JSON text of an object that is no scalar."""
    from pybridge import serialization

    return serialization.dumps(value, "json")


def _from_json(text: Any) -> object:
    from pybridge import serialization

    try:
        return serialization.loads(text, "json")
    except ValueError as exc:
        raise BadArgument(f"the argument is not JSON: {exc}") from None
