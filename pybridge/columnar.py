"""Arrow streams to frames and back: everything that crosses the bridge by columns.

A stream that the bridge built itself (its schema says so) has one batch, whose buffers
belong to nobody else: numpy arrays over them may be written to, so that a DataFrame
costs no copy. Buffers of any other stream may be shared, and are copied where pandas
would write to them.
"""

# ruff: noqa: A001, A002, ARG001, PLR0911 - names are those of the contract; one line a type
# ruff: noqa: E402 - numpy is imported in a thread, and only then here

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybridge import _packages

_packages.load("numpy", "pyarrow")

import numpy as np
import pyarrow as pa

from pybridge import _names, _parse
from pybridge.errors import BadArgument, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias, TypeVar

    Column: TypeAlias = Any  # pyarrow has no type information
    Cell = TypeVar("Cell")
    Load = Callable[["Rows", "Options"], Any]

__all__ = [
    "BACKENDS",
    "TYPES",
    "apply",
    "check",
    "load",
    "map",
    "to_schema",
    "to_stream",
]

BACKENDS = ("default", "numpy", "numpy_nullable", "pyarrow")
_DECLARED = b"pybridge.declared"
_PRIVATE = b"pybridge.private"
# Every integer up to here has a float64 of its own.
_EXACT = 2**53


class Options:
    """What a caller may say about how a frame is to be made."""

    __slots__ = ("backend", "parse")

    def __init__(self, options: Mapping[str, object] | None) -> None:
        """Check the options; None as a value means the default.

        Raises:
            BadArgument: an option is unknown, or its value is.

        """
        given = dict(options or {})
        given.pop("params", None)  # is for the host, which has bound them by now
        if not given.get("namespace"):  # the host itself, which has read the rows
            given.pop("namespace", None)
        backend = given.pop("dtype_backend", None) or "default"
        self.parse = given.pop("parse", None)
        if given:
            raise BadArgument(
                f"the option '{next(iter(given))}' is unknown; known are "
                "dtype_backend, namespace, params, parse"
            )
        if backend not in BACKENDS:
            raise BadArgument(
                f"dtype_backend {backend!r} is unknown; known are {', '.join(BACKENDS)}"
            )
        self.backend = str(backend)


class Rows:
    """The columns of a stream, each one array."""

    __slots__ = ("columns", "declared", "length", "names", "private")

    def __init__(self, table: pa.Table) -> None:
        """Take a table apart; columns of the same name get names of their own."""
        schema = table.schema
        self.length: int = table.num_rows
        self.names = _names.unique(schema.names)
        self.declared = [_declared(field) for field in schema]
        self.private = _PRIVATE in (schema.metadata or {})
        self.columns: list[Column] = [
            _one_array(table.column(i)) for i in range(table.num_columns)
        ]
        for name, column in zip(self.names, self.columns, strict=True):
            _check_text(name, column)

    def table(self) -> pa.Table:
        """Put the columns together again, without what the bridge noted in them."""
        return pa.table(self.columns, names=self.names)


def load(
    stream: object,
    type: str | None = None,
    options: Mapping[str, object] | None = None,
) -> tuple[Any, int]:
    """Return the frame that an Arrow stream makes, and how many rows it has.

    `stream` is a capsule, or an object with `__arrow_c_stream__`.

    Raises:
        BadArgument: the type or an option is unknown, or a value cannot be parsed.
        Unsupported: a column has no exact form of that type.

    """
    made, chosen = check(type, options)
    rows = Rows(_read(stream))
    _parse.parse(rows, chosen.parse)
    return made(rows, chosen), rows.length


def check(
    type: str | None, options: Mapping[str, object] | None
) -> tuple[Load, Options]:
    """Return what makes frames of a type, and what the options say.

    Raises:
        BadArgument: the type or an option is unknown.

    """
    made = _LOADS.get(type or "dataframe")
    if made is None:
        raise BadArgument(f"the type '{type}' is unknown; known are {', '.join(TYPES)}")
    return made, Options(options)


# ---- Reading a stream ---------------------------------------------------------------


class _Capsule:
    """What pyarrow takes a stream from."""

    __slots__ = ("capsule",)

    def __init__(self, capsule: object) -> None:
        self.capsule = capsule

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.capsule


def _read(stream: object) -> pa.Table:
    if isinstance(stream, pa.Table):
        return stream
    if isinstance(stream, pa.RecordBatchReader):
        return stream.read_all()
    if not hasattr(stream, "__arrow_c_stream__"):
        if type(stream).__name__ != "PyCapsule":
            raise BadArgument(
                f"an Arrow stream is wanted, this is of type {type(stream).__name__}"
            )
        stream = _Capsule(stream)
    return pa.RecordBatchReader.from_stream(stream).read_all()


def _declared(field: pa.Field) -> str | None:
    metadata = field.metadata
    text = metadata.get(_DECLARED) if metadata else None
    return None if text is None else text.decode("utf-8", "replace")


def _one_array(column: pa.ChunkedArray) -> Column:
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pa.array([], column.type)
    array = column.combine_chunks()
    return array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)


def _check_text(name: str, column: Column) -> None:
    """Refuse text that is not UTF-8: hosts store any bytes as text.

    Raises:
        Unsupported: names the column and the row.

    """
    if not _is_text(column.type) or _is_ascii(column):
        return
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as exc:
        raise Unsupported(f"column '{name}'{_wrong_text(column, exc)}") from None


def _is_ascii(column: Column) -> bool:
    """Look at all bytes at once: an order of magnitude faster than to validate them."""
    if not pa.types.is_large_string(column.type):
        return False
    text = column.buffers()[2]
    return (
        text is None or not len(text) or bool(np.frombuffer(text, np.int8).min() >= 0)
    )


def _wrong_text(column: Column, exc: Exception) -> str:
    """Say which row is not UTF-8."""
    for row, data in enumerate(column.cast(pa.large_binary())):
        try:
            (data.as_py() or b"").decode()
        except UnicodeDecodeError as wrong:
            return (
                f", row {row}: the text is not UTF-8 (byte "
                f"0x{wrong.object[wrong.start]:02x} at {wrong.start}); cast it to blob"
            )
    return f": {exc}"


# ---- Arrays over buffers ------------------------------------------------------------


class _Memory:
    """What numpy takes an array from: an address, and who keeps it alive."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, owner: object, address: int, length: int, kind: str) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),  # False: may be written to
            "shape": (length,),
            "typestr": kind,
        }


def _values(column: Column, private: bool) -> Any:
    """Return the int64 or float64 cells of a column as an array to write to.

    Without a copy only where the buffer is nobody else's. What stands under a NULL is
    NaN in a float column; in an integer column it means nothing.
    """
    length = len(column)
    buffer = column.buffers()[1]
    integer = pa.types.is_integer(column.type)
    if length == 0 or buffer is None:
        return np.zeros(length, np.int64 if integer else np.float64)
    # The bridge writes NaN under a NULL, so its float buffers serve as they are.
    memory = _Memory(
        buffer, buffer.address + 8 * column.offset, length, "<i8" if integer else "<f8"
    )
    view = np.asarray(memory)
    if private:
        return view
    view = view.copy()
    if column.null_count and not integer:
        view[_mask(column)] = np.nan
    return view


def _mask(column: Column) -> Any:
    """Return an array that is True where the column is NULL."""
    length, offset = len(column), column.offset
    if pa.types.is_null(column.type):
        return np.ones(length, np.bool_)
    validity = column.buffers()[0]
    if validity is None or column.null_count == 0:
        return np.zeros(length, np.bool_)
    bits = np.frombuffer(validity, np.uint8)
    cells = np.unpackbits(bits, count=offset + length, bitorder="little")[offset:]
    return np.logical_not(cells.view(np.bool_), out=cells.view(np.bool_))


def _objects(column: Column) -> Any:
    """Return the cells as Python objects in an array, None where NULL."""
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), None, object)
    if pa.types.is_date(kind):
        return column.to_pandas(date_as_object=True).to_numpy()
    if _is_bytes(kind) or _is_text(kind) or pa.types.is_decimal(kind):
        return column.to_numpy(zero_copy_only=False)
    array = np.empty(len(column), object)
    array[:] = column.to_pylist()
    return array


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


# ---- pandas -------------------------------------------------------------------------


def _dataframe(rows: Rows, options: Options) -> Any:
    _packages.load("pandas")
    import pandas as pd

    arrays = {
        name: _pandas_array(pd, rows, i, options.backend)
        for i, name in enumerate(rows.names)
    }
    # copy=False also keeps pandas from gathering columns into blocks, which is a copy.
    return pd.DataFrame(arrays, index=pd.RangeIndex(rows.length), copy=False)


def _pandas_array(pd: Any, rows: Rows, i: int, backend: str) -> Any:
    """Return one column as what a DataFrame keeps."""
    column = rows.columns[i]
    if pa.types.is_null(column.type):
        column = _typed_nothing(column, rows.declared[i])
    kind = column.type
    if backend == "pyarrow":
        return pd.arrays.ArrowExtensionArray(pa.chunked_array([column]))
    nullable = backend == "numpy_nullable"
    if kind == pa.int64():
        return _pandas_integers(pd, rows, i, column, backend)
    if kind == pa.float64():
        values = _values(column, rows.private)
        return pd.arrays.FloatingArray(values, _mask(column)) if nullable else values
    if _is_text(kind):
        dtype = (
            pd.StringDtype("pyarrow") if nullable else pd.StringDtype(na_value=np.nan)
        )
        return dtype.__from_arrow__(column)
    if pa.types.is_boolean(kind):
        if nullable or (column.null_count and backend == "default"):
            return pd.BooleanDtype().__from_arrow__(column)
        return (
            column.to_numpy(zero_copy_only=False)
            if not column.null_count
            else _objects(column)
        )
    if pa.types.is_timestamp(kind):
        return (
            column.to_pandas().array
            if kind.tz
            else np.array(column.to_numpy(zero_copy_only=False))
        )
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _pandas_numbers(pd, rows.names[i], column, backend)
    return _objects(column)


def _pandas_integers(pd: Any, rows: Rows, i: int, column: Column, backend: str) -> Any:
    if backend == "numpy_nullable" or (column.null_count and backend == "default"):
        return pd.arrays.IntegerArray(_values(column, rows.private), _mask(column))
    if not column.null_count:
        return _values(column, rows.private)
    return _floats(rows.names[i], column)


def _floats(name: str, column: Column) -> Any:
    """Return integers as floats, NaN where NULL.

    Raises:
        Unsupported: an integer would be rounded.

    """
    integers = _values(column, True)
    mask = _mask(column)
    floats = integers.astype(np.float64)
    floats[mask] = np.nan
    rounded = (np.abs(integers) > _EXACT) | (integers == np.iinfo(np.int64).min)
    rounded &= ~mask
    for row in np.flatnonzero(rounded):
        value = int(integers[row])
        if int(float(value)) != value:
            raise Unsupported(
                f"column '{name}', row {row}: {value} would be rounded in the float "
                "column that NULLs make of it; use another dtype_backend than 'numpy'"
            )
    return floats


def _pandas_numbers(pd: Any, name: str, column: Column, backend: str) -> Any:
    """Return numbers of other widths, which only other people's streams have."""
    kind = column.type
    integer = pa.types.is_integer(kind)
    if backend == "numpy_nullable" or (
        integer and column.null_count and backend == "default"
    ):
        bits = (
            f"{'U' if str(kind).startswith('u') else ''}{'Int' if integer else 'Float'}"
        )
        dtype = pd.api.types.pandas_dtype(f"{bits}{kind.bit_width}")
        return dtype.__from_arrow__(column)
    if integer and column.null_count:
        return _floats(name, column.cast(pa.int64()))
    return np.array(column.to_numpy(zero_copy_only=False))


def _typed_nothing(column: Column, declared: str | None) -> Column:
    """Give a column without any value the type that it was declared with.

    The rule is that of SQL hosts that go by parts of the name, so it fits any of them.
    """
    name = (declared or "").upper()
    kind = None
    if "INT" in name:
        kind = pa.int64()
    elif any(part in name for part in ("CHAR", "CLOB", "TEXT", "STRING")):
        kind = pa.large_string()
    elif any(part in name for part in ("REAL", "FLOA", "DOUB")):
        kind = pa.float64()
    if kind is None:
        return column
    array = pa.nulls(len(column), kind)
    if kind == pa.float64() and len(column):
        array = pa.Array.from_buffers(
            kind,
            len(column),
            [array.buffers()[0], pa.py_buffer(np.full(len(column), np.nan))],
        )
    return array


# ---- The other frames ---------------------------------------------------------------


def _arrow(rows: Rows, options: Options) -> Any:
    return rows.table()


def _polars(rows: Rows, options: Options) -> Any:
    _packages.load("polars")
    try:
        import polars
    except ImportError:
        raise BadArgument(
            "the type 'polars' needs the package polars, which is not installed"
        ) from None
    return polars.from_arrow(rows.table())


def _list(rows: Rows, options: Options) -> list[tuple[Any, ...]]:
    return _without_gc(lambda: list(zip(*_python_lists(rows), strict=True)))


def _dicts(rows: Rows, options: Options) -> list[dict[str, Any]]:
    def make() -> list[dict[str, Any]]:
        cells = zip(*_python_lists(rows), strict=True)
        return [dict(zip(rows.names, row, strict=True)) for row in cells]

    return _without_gc(make)


def _python_lists(rows: Rows) -> list[list[Any]]:
    return [_python_list(column) for column in rows.columns]


def _without_gc(make: Callable[[], list[Cell]]) -> list[Cell]:
    """Make very many small objects without the collector looking at them meanwhile."""
    import gc

    enabled = gc.isenabled()
    gc.disable()
    try:
        return make()
    finally:
        if enabled:
            gc.enable()


def _python_list(column: Column) -> list[Any]:
    """Return the cells as Python objects, None where NULL."""
    kind = column.type
    if kind == pa.int64() or kind == pa.float64():
        cells: list[Any] = _values(column, True).tolist()
        if column.null_count:
            for row in np.flatnonzero(_mask(column)).tolist():
                cells[row] = None
        return cells
    if _is_text(kind) or _is_bytes(kind):
        return list(column.to_numpy(zero_copy_only=False).tolist())
    return list(column.to_pylist())


def _numpy(rows: Rows, options: Options) -> dict[str, Any]:
    return dict(zip(rows.names, _numpy_arrays(rows), strict=True))


def _numpy_arrays(rows: Rows) -> list[Any]:
    return [_numpy_array(column, rows.private) for column in rows.columns]


def _numpy_array(column: Column, private: bool) -> Any:
    """Return a column as an array, as a masked one where it has NULLs."""
    kind = column.type
    if kind == pa.int64() or kind == pa.float64():
        array = _values(column, private)
    elif pa.types.is_boolean(kind) and column.null_count:
        array = column.fill_null(False).to_numpy(zero_copy_only=False)
    elif pa.types.is_integer(kind) and column.null_count:
        array = column.fill_null(0).to_numpy(zero_copy_only=False)
    elif _is_number_like(kind):
        array = column.to_numpy(zero_copy_only=False)
        array = array if array.flags.writeable else array.copy()
    else:
        array = _objects(column)
    if column.null_count or pa.types.is_null(kind):
        return np.ma.MaskedArray(array, _mask(column))
    return array


def _is_number_like(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_timestamp(kind)
        or types.is_date(kind)
        or types.is_duration(kind)
    )


_LOADS: dict[str, Load] = {
    "dataframe": _dataframe,
    "arrow": _arrow,
    "polars": _polars,
    "list": _list,
    "dicts": _dicts,
    "numpy": _numpy,
}
TYPES = tuple(_LOADS)


# ---- The way back, and functions of columns -----------------------------------------


def to_stream(frame: object, columns: Sequence[str] | None = None) -> Any:
    """Return the rows of a frame: an object with `__arrow_c_stream__`.

    The types in it are those of pybridge.h: null, bool, int64, float64, large text,
    large blob, date32, time64[us], timestamp[us], decimal.

    Raises:
        BadArgument: it is no frame.
        Undefined: it has no such column.
        Unsupported: a column has no exact counterpart; names it.

    """
    from pybridge import _frames

    return _frames.stream_of(frame, columns)


def to_schema(frame: object) -> Any:
    """Return the columns of a frame: an object with `__arrow_c_schema__`."""
    from pybridge import _frames

    return _frames.schema_of(frame)


def apply(function: Callable[..., Any], stream: object) -> Any:
    """Call a function with the columns of a stream as arrays, and return a scalar."""
    result = _called(function, stream)
    if result is np.ma.masked:
        return None
    if isinstance(result, np.ndarray) and result.ndim == 0:
        result = result[()]
    if isinstance(result, np.generic) and result.dtype.kind not in "mM":
        return result.item()
    return result  # dates are not changed here: item() cuts them or makes them numbers


def map(function: Callable[..., Any], stream: object) -> Any:
    """Call a function with the columns of a stream as arrays; return columns.

    Raises:
        BadArgument: the columns that come back are not equally long.

    """
    from pybridge import _frames

    return _frames.stream_of_result(_called(function, stream))


def _called(function: Callable[..., Any], stream: object) -> Any:
    if not callable(function):
        raise BadArgument(
            f"a function is wanted, this is of type {type(function).__name__}"
        )
    return function(*_numpy_arrays(Rows(_read(stream))))
