"""Frames of any library as Arrow streams of the few types that every host knows."""

# ruff: noqa: C901, PLR0911, PLR0124 - one line a type; NaN differs from itself

from __future__ import annotations

import datetime as dt
import decimal
import sys
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pybridge import _names
from pybridge._words import counted
from pybridge.errors import BadArgument, Undefined, Unsupported
from pybridge.status import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # Makes the Arrow array of a column: of all rows, or where only the type is wanted
    # and known without looking at them, of none.
    Make = Callable[[bool], Any]

__all__ = ["schema_of", "stream_of", "stream_of_result"]

_SHOWN = 10  # names in a message
_MATRIX = 2  # dimensions
_DOUBLE = 8  # bytes
_DIGITS = 38  # of a decimal128
_MOST_DIGITS = 76  # of a decimal256
_BYTES = (bytes, bytearray, memoryview)
_SCALARS = (str, *_BYTES, int, float, complex, type(None), np.generic)


class Columns:
    """The columns of a frame, by name, each made only when it is asked for."""

    __slots__ = ("length", "makes", "names")

    def __init__(self, names: Sequence[object], makes: list[Make], length: int) -> None:
        """Take names of any kind; a repeated one is numbered: x, x_1."""
        self.names = _told(_names.unique([_names.text(name) for name in names]))
        self.makes = makes
        self.length = length

    def array(self, i: int, typed_only: bool = False) -> Any:
        """Return one column, of a type that every host knows.

        Raises:
            Unsupported: it has no exact counterpart; names it.

        """
        name = self.names[i]
        try:
            return normal(name, self.makes[i](typed_only))
        except (pa.ArrowException, OverflowError, UnicodeEncodeError) as exc:
            raise Unsupported(f"column '{name}': {_reason(exc)}") from None

    def chosen(self, columns: Sequence[str] | None) -> list[int]:
        """Return the positions of the named columns, or of all.

        Raises:
            Undefined: there is no such column.

        """
        if columns is None:
            return list(range(len(self.names)))
        places = {name: i for i, name in enumerate(self.names)}
        for name in columns:
            if name not in places:
                some = ", ".join(f"'{one}'" for one in self.names[:_SHOWN])
                more = ", ..." if len(self.names) > _SHOWN else ""
                raise Undefined(
                    f"the frame has no column '{name}'; it has {some}{more}"
                )
        return [places[name] for name in columns]


def _told(names: list[str]) -> list[str]:
    """Return the names, all of which can be told to a host.

    Raises:
        Unsupported: one has a NUL or a lone surrogate in it.

    """
    for name in names:
        if "\0" in name or not (name.isascii() or _is_utf8(name)):
            what = "a NUL" if "\0" in name else "a lone surrogate"
            raise Unsupported(f"column {name!a}: the name has {what} in it; rename it")
    return names


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# Readers whose rows were asked for: they have none any more.
_read: weakref.WeakSet[Any] = weakref.WeakSet()


def stream_of(frame: object, columns: Sequence[str] | None = None) -> Any:
    """Return the rows of a frame: an object with `__arrow_c_stream__`.

    Raises:
        BadArgument: it is no frame, or a reader whose rows are gone.

    """
    reader = _reader(frame)
    if reader is frame and reader in _read:
        raise BadArgument(
            "the rows of a RecordBatchReader can be had once only, and they were; make "
            "a table of it with read_all()"
        )
    if reader is not None:
        return _normal_reader(reader, columns)
    return _table(columns_of(frame), columns)


def schema_of(frame: object) -> pa.Schema:
    """Return the columns of a frame: an object with `__arrow_c_schema__`.

    Raises:
        BadArgument: it is no frame, or its rows would be gone by that.

    """
    if isinstance(frame, pa.RecordBatchReader):
        return _normal_schema(frame.schema)
    if hasattr(frame, "__next__"):
        raise BadArgument(
            f"the rows of a {type_name(type(frame))} can be had once only; make a list "
            "of it"
        )
    reader = _reader(frame)
    if reader is not None:
        return _normal_schema(reader.schema)
    columns = columns_of(frame)
    return pa.schema(
        [
            pa.field(name, columns.array(i, typed_only=True).type)
            for i, name in enumerate(columns.names)
        ]
    )


def stream_of_result(result: Any) -> Any:
    """Return what a function of columns gave back, as a stream.

    Columns come as an array, a Series, a tuple of them, a dict or a frame; a scalar
    among columns counts for every row.
    """
    if isinstance(result, tuple):
        names = getattr(result, "_fields", None) or [
            f"c{i}" for i in range(len(result))
        ]
        result = dict(zip(names, result, strict=True))
    elif _is_scalar(result):
        result = {"c0": result}
    return stream_of(result)


def columns_of(frame: Any) -> Columns:
    """Return the columns of a frame of any known kind.

    Raises:
        BadArgument: it is no frame.

    """
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(frame, (pandas.DataFrame, pandas.Series)):
        return _of_pandas(pandas, frame)
    if pandas is not None and isinstance(frame, pandas.MultiIndex):
        return _of_pandas(pandas, frame.to_frame(index=False, allow_duplicates=True))
    if pandas is not None and isinstance(frame, pandas.Index):
        return _of_pandas(pandas, frame.to_series(index=pandas.RangeIndex(len(frame))))
    if polars is not None and isinstance(frame, polars.Series):
        frame = frame.to_frame(frame.name or "c0")
    if polars is not None and isinstance(frame, (polars.DataFrame, polars.LazyFrame)):
        return _of_polars(polars, frame)
    if isinstance(frame, (pa.Table, pa.RecordBatch)):
        return _of_arrow(frame)
    if isinstance(frame, (pa.Array, pa.ChunkedArray)):
        return Columns(["c0"], [lambda _: frame], len(frame))
    if isinstance(frame, np.ndarray):
        return _of_ndarray(frame)
    if callable(getattr(frame, "keys", None)) and hasattr(frame, "__getitem__"):
        return _of_dict({key: frame[key] for key in frame.keys()})  # noqa: SIM118
    if isinstance(frame, _SCALARS) or not hasattr(frame, "__iter__"):
        raise BadArgument(
            f"a frame is wanted, this is of type {type_name(type(frame))}; frames are "
            "those of pandas, polars and pyarrow, dicts of arrays, lists of tuples or "
            "dicts, numpy arrays"
        )
    return _of_rows(list(frame))


# ---- What has a stream of its own ---------------------------------------------------


def _reader(frame: Any) -> Any:
    """Return a reader of what is a stream itself, so that it need not fit in memory."""
    if isinstance(frame, pa.RecordBatchReader):
        return frame
    for library in ("pandas", "polars", "pyarrow"):
        if type(frame).__module__.partition(".")[0] == library:
            return None
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(frame)
    return None


def _normal_schema(schema: pa.Schema) -> pa.Schema:
    names = _told(_names.unique(schema.names))
    return pa.schema(
        [
            pa.field(name, normal(name, pa.array([], field.type)).type)
            for name, field in zip(names, schema, strict=True)
        ]
    )


def _normal_reader(reader: Any, columns: Sequence[str] | None) -> Any:
    schema = _normal_schema(reader.schema)
    chosen = Columns(schema.names, [], 0).chosen(columns)
    wanted = pa.schema([schema.field(i) for i in chosen])

    def batches() -> Any:
        _read.add(reader)
        for batch in reader:
            arrays = [normal(schema.names[i], batch.column(i)) for i in chosen]
            yield pa.RecordBatch.from_arrays(arrays, schema=wanted)

    return pa.RecordBatchReader.from_batches(wanted, batches())


def _table(columns: Columns, wanted: Sequence[str] | None) -> Any:
    chosen = columns.chosen(wanted)
    if not chosen:
        # A table without columns has no rows either; a struct without fields has.
        empty = pa.StructArray.from_buffers(pa.struct([]), columns.length, [None])
        batch = pa.RecordBatch.from_struct_array(empty)
        return pa.RecordBatchReader.from_batches(batch.schema, [batch])
    arrays = [columns.array(i) for i in chosen]
    return pa.table(arrays, names=[columns.names[i] for i in chosen])


# ---- Frames by kind -----------------------------------------------------------------


def _of_pandas(pandas: Any, frame: Any) -> Columns:
    """Return the columns of a DataFrame or Series; named parts of its index first."""
    if isinstance(frame, pandas.Series):
        frame = frame.to_frame("c0" if frame.name is None else frame.name)
    names: list[object] = []
    makes: list[Make] = []
    for level, name in enumerate(frame.index.names):
        if name is not None:
            names.append(name)
            makes.append(_index_level(frame.index, level))
    for i, name in enumerate(frame.columns):
        names.append(name)
        makes.append(_pandas_column(frame, i))
    return Columns(names, makes, len(frame))


def _index_level(index: Any, level: int) -> Make:
    return lambda typed: _pandas_cells(index.get_level_values(level), typed)


def _pandas_column(frame: Any, i: int) -> Make:
    return lambda typed: _pandas_cells(frame.iloc[:, i], typed)


def _pandas_cells(cells: Any, typed_only: bool) -> Any:
    """Return the cells of a Series or Index as Arrow; NaN, NaT and NA are NULL."""
    dtype = cells.dtype
    if typed_only and str(dtype) != "object":
        cells = cells[:0]
    if isinstance(dtype, np.dtype):
        return _numpy_cells(cells.to_numpy(), nan_is_null=True)
    kind = str(getattr(getattr(dtype, "categories", None), "dtype", dtype))
    if kind.startswith("period"):
        raise pa.ArrowTypeError(
            f"{kind} has no counterpart; turn it into text or timestamps with "
            ".astype(str) or .dt.to_timestamp()"
        )
    if kind.startswith("interval"):
        raise pa.ArrowTypeError(f"{kind} has no counterpart; use .astype(str)")
    if kind.startswith("Sparse"):
        return _numpy_cells(np.asarray(cells), nan_is_null=True)
    return pa.array(cells.array, from_pandas=True)


def _of_polars(polars: Any, frame: Any) -> Columns:
    if isinstance(frame, polars.LazyFrame):
        frame = frame.collect()

    def column(i: int) -> Make:
        return lambda typed: _polars_cells(frame.to_series(i), typed)

    return Columns(frame.columns, [column(i) for i in range(frame.width)], frame.height)


def _polars_cells(series: Any, typed_only: bool) -> Any:
    if type(series.dtype).__name__ == "Object" or str(series.dtype) == "Object":
        return _object_cells(series.to_list(), nan_is_null=False)
    try:
        return (series.head(0) if typed_only else series).to_arrow()
    except pa.ArrowInvalid:  # a type that Arrow has not
        raise pa.ArrowTypeError(
            f"{series.dtype} has no counterpart; turn it into text or other numbers"
        ) from None


def _of_arrow(table: Any) -> Columns:
    def column(i: int) -> Make:
        return lambda typed: table.column(i).slice(0, 0 if typed else None)

    makes = [column(i) for i in range(table.num_columns)]
    return Columns(table.schema.names, makes, table.num_rows)


def _of_ndarray(array: Any) -> Columns:
    """Return the fields of a structured array, or the columns of a matrix."""
    if isinstance(array, np.matrix):  # of which no column has one dimension
        array = np.asarray(array)
    if array.dtype.names is not None:
        return _of_dict({name: array[name] for name in array.dtype.names})
    if array.ndim == 1:
        return _of_dict({"c0": array})
    if array.ndim == _MATRIX:
        return _of_dict({f"c{i}": array[:, i] for i in range(array.shape[1])})
    raise BadArgument(f"an array of {array.ndim} dimensions is no frame; 1 or 2 are")


def _of_dict(columns: dict[Any, Any]) -> Columns:
    """Return a dict's values as columns; a scalar counts for every row.

    Raises:
        BadArgument: the columns are not equally long, or one has no order.

    """
    for key, value in columns.items():
        if isinstance(value, (dict, set, frozenset)):
            raise BadArgument(
                f"column '{_names.text(key)}' is a {type_name(type(value))}, whose "
                "cells have no order; make a list of them"
            )
    lengths = {
        key: len(value) for key, value in columns.items() if not _is_scalar(value)
    }
    length = next(iter(lengths.values())) if lengths else int(bool(columns))
    for key, other in lengths.items():
        if other != length:
            first = _names.text(next(iter(lengths)))
            raise BadArgument(
                f"column '{_names.text(key)}' has {other} rows and column '{first}' "
                f"has {length}; columns of one frame are equally long"
            )
    makes = [_dict_column(value, length) for value in columns.values()]
    return Columns(list(columns), makes, length)


def _dict_column(value: Any, length: int) -> Make:
    if _is_scalar(value):
        if isinstance(value, np.ndarray):
            value = value[()]
        return lambda typed: _object_cells([value] * (1 if typed else length), False)
    return lambda typed: _cells(value, typed)


def _cells(values: Any, typed_only: bool) -> Any:
    """Return a column of any kind as Arrow."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if isinstance(values, np.ndarray):
        if typed_only and values.dtype != object:
            values = values[:0]
        return _numpy_cells(values, nan_is_null=False)
    library = type(values).__module__.partition(".")[0]
    if library == "pandas" and hasattr(values, "dtype"):
        pandas = sys.modules["pandas"]
        return _pandas_cells(pandas.Series(values), typed_only)
    if library == "polars":
        return _polars_cells(values, typed_only)
    return _object_cells(list(values), nan_is_null=False)


def _of_rows(rows: list[Any]) -> Columns:
    """Return the columns of a list of tuples, dicts, objects with fields or scalars.

    Raises:
        BadArgument: the rows are not alike.

    """
    if not rows:
        raise BadArgument("an empty list has no columns; an empty DataFrame has")
    first = rows[0]
    if not _has_fields(first):
        return _of_dict({"c0": rows})
    if isinstance(first, dict):
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise BadArgument(_unlike(number, row, "dict"))
        names = list(dict.fromkeys(key for row in rows for key in row))
        return _of_dict({name: [row.get(name) for row in rows] for name in names})
    fields = getattr(type(first), "__dataclass_fields__", None)
    if fields is not None:
        try:
            return _of_dict(
                {name: [getattr(row, name) for row in rows] for name in fields}
            )
        except AttributeError as exc:
            raise BadArgument(f"the rows are not alike: {exc}") from None
    width = len(first)
    for number, row in enumerate(rows):
        if not isinstance(row, (tuple, list)):
            raise BadArgument(_unlike(number, row, "tuple"))
        if len(row) != width:
            raise BadArgument(
                f"row {number} has {counted(len(row), 'cell')}, row 0 has {width}"
            )
    named = getattr(first, "_fields", None) or [f"c{i}" for i in range(width)]
    cells = list(zip(*rows, strict=True))
    return Columns(
        named,
        [_dict_column(list(column), len(rows)) for column in cells],
        len(rows),
    )


def _has_fields(row: Any) -> bool:
    return isinstance(row, (tuple, list, dict)) or hasattr(
        type(row), "__dataclass_fields__"
    )


def _unlike(number: int, row: object, wanted: str) -> str:
    return f"row {number} is of type {type_name(type(row))}, row 0 is a {wanted}"


# ---- Cells --------------------------------------------------------------------------


def _numpy_cells(array: Any, nan_is_null: bool) -> Any:
    """Return a numpy array as Arrow, without a copy where the types agree."""
    if array.ndim != 1:
        raise pa.ArrowTypeError(f"an array of {array.ndim} dimensions is no column")
    mask = None
    if isinstance(array, np.ma.MaskedArray):
        mask, array = np.ma.getmaskarray(array), np.ma.getdata(array)
    kind = array.dtype.kind
    if kind == "O":
        cells = array.tolist()
        if mask is not None:
            cells = [None if off else one for one, off in zip(cells, mask, strict=True)]
        return _object_cells(cells, nan_is_null)
    if kind == "m":
        raise pa.ArrowTypeError(
            "a duration has no counterpart; turn it into a number with "
            ".dt.total_seconds()"
        )
    if kind in "cV":
        advice = "take .real and .imag" if kind == "c" else "make columns of its fields"
        raise pa.ArrowTypeError(f"{array.dtype} has no counterpart; {advice}")
    if kind == "f" and array.dtype.itemsize > _DOUBLE:
        array = _doubles(array, mask)
    if kind == "M":
        array = _known_unit(array)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if kind in "SU":
        text = pa.large_binary() if kind == "S" else pa.large_string()
        cells = array.tolist()
        try:
            return pa.array(cells, text, mask=mask)
        except UnicodeEncodeError as exc:
            raise pa.ArrowTypeError(_surrogate(cells, exc)) from None
    return pa.array(array, mask=mask, from_pandas=nan_is_null)


def _doubles(array: Any, mask: Any) -> Any:
    """Return longer floats as such of 64 bits.

    Raises:
        ArrowInvalid: one has more digits.

    """
    with np.errstate(over="ignore"):
        known = array.astype(np.float64)
    wrong = (known != array) & ~np.isnan(array)
    if mask is not None:
        wrong &= ~mask
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise pa.ArrowInvalid(
            f"row {row}: {array[row]!s} of {array.dtype} has more digits than a "
            "float64; round it with .astype(float)"
        )
    return known


# Units of datetime64 that Arrow has not, and those that hold the same.
_UNITS = {"generic": "us", "Y": "D", "M": "D", "W": "D", "h": "s", "m": "s"}
_UNITS |= {"ps": "ns", "fs": "ns", "as": "ns"}


def _known_unit(array: Any) -> Any:
    """Return dates with a unit that Arrow has.

    Raises:
        ArrowInvalid: one is out of range, or finer, there.

    """
    unit, step = np.datetime_data(array.dtype)
    known = array
    if step != 1 or unit in _UNITS:
        known = array.astype(f"datetime64[{_UNITS.get(unit, unit)}]")
        # Before numpy 2.5 what is too large comes round to the other end.
        wrong = (known.astype(array.dtype) != array) & ~np.isnat(array)
        _refuse_first(array, wrong)
    if np.datetime_data(known.dtype)[0] == "D":
        days = known.astype(np.int64)  # of which Arrow takes the lower half
        _refuse_first(array, (days != days.astype(np.int32)) & ~np.isnat(array))
    return known


def _refuse_first(array: Any, wrong: Any) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise pa.ArrowInvalid(
            f"row {row}: {array.dtype} of {int(array[row].astype(np.int64))} has no "
            "exact counterpart"
        )


def _object_cells(cells: list[Any], nan_is_null: bool) -> Any:
    """Return Python objects as Arrow, if they are all of one type.

    Arrow takes some mixtures and changes them silently: those are refused here. And it
    goes down into lists without end, until the process dies: those it does not see.
    """
    _refuse_nested(cells)
    try:
        array = pa.array(cells, from_pandas=nan_is_null)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as exc:
        if any(one is np.ma.masked for one in cells):
            cells = [None if one is np.ma.masked else one for one in cells]
        if (dates := _datetime64_cells(cells)) is not None:
            return dates
        # Arrow takes numpy's integers of several widths in one column for a mixture.
        cells = [int(one) if isinstance(one, np.integer) else one for one in cells]
        try:
            array = pa.array(cells, from_pandas=True)  # takes pandas.NA too
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            raise pa.ArrowTypeError(_mixture(cells, exc)) from None
    wanted = _WANTED.get(array.type.id)
    if wanted is not None:
        _check_kinds(cells, *wanted)
        return _checked_times(cells, array)
    return array


_NESTED = (list, tuple, set, frozenset, dict)


def _refuse_nested(cells: list[Any]) -> None:
    """Refuse cells that hold others.

    Raises:
        ArrowTypeError: names the first one's row and type.

    """
    kinds = set(map(type, cells))
    if not any(issubclass(kind, (*_NESTED, np.ndarray)) for kind in kinds):
        return
    for row, one in enumerate(cells):
        if isinstance(one, _NESTED) or (isinstance(one, np.ndarray) and one.ndim):
            raise pa.ArrowTypeError(
                f"row {row}: {type_name(type(one))} has no counterpart; turn it into "
                "JSON text"
            )


def _checked_times(cells: list[Any], array: Any) -> Any:
    """Return dates and times; Arrow takes some that it changes, which are refused."""
    kinds = {kind.__name__: kind for kind in set(map(type, cells))}
    if pa.types.is_date(array.type) and "NaTType" in kinds:
        return pa.array(cells, from_pandas=True)  # else it is the first of January 1
    if pa.types.is_time(array.type):
        for row, one in enumerate(cells):
            if getattr(one, "tzinfo", None) is not None:
                raise pa.ArrowTypeError(
                    f"row {row}: a time of day with a zone has no counterpart; turn it "
                    "into text"
                )
    if not pa.types.is_timestamp(array.type):
        return array
    if np.datetime64 in kinds.values():
        dates = _datetime64_cells(cells)
        if dates is None:
            raise pa.ArrowTypeError(_mixture(cells, None))
        return dates
    zones = {getattr(one, "tzinfo", None) is None for one in cells if _is_there(one)}
    if len(zones) > 1:
        raise pa.ArrowTypeError("timestamps with and without a zone are mixed")
    if "Timestamp" in kinds:
        for row, one in enumerate(cells):
            if getattr(one, "nanosecond", 0) or not _is_year(one):
                raise pa.ArrowTypeError(f"row {row}: {one} has no exact counterpart")
    return array


def _datetime64_cells(cells: list[Any]) -> Any:
    """Return dates of numpy, or None where there are other values.

    Raises:
        ArrowTypeError: they are of several units.

    """
    there = [one for one in cells if _is_there(one)]
    if not there or not all(isinstance(one, np.datetime64) for one in there):
        return None
    kinds = sorted({str(one.dtype) for one in there})
    if len(kinds) > 1:
        raise pa.ArrowTypeError(f"{kinds[0]} and {kinds[1]} are mixed; take one unit")
    cells = [one if _is_there(one) else None for one in cells]
    return _numpy_cells(np.array(cells, there[0].dtype), nan_is_null=True)


def _is_year(one: Any) -> bool:
    """Is it of a year that Python's own datetime has?"""
    return not _is_there(one) or dt.MINYEAR <= one.year <= dt.MAXYEAR


# Arrow type -> the classes of which its values must be, and those they must not be. It
# takes more: a number for a date, text for bytes.
_WANTED: dict[int, tuple[tuple[type, ...], tuple[type, ...]]] = {
    pa.date32().id: ((dt.date,), (dt.datetime,)),
    pa.timestamp("us").id: ((dt.datetime, np.datetime64), ()),
    pa.time64("us").id: ((dt.time,), ()),
    pa.binary().id: (_BYTES, ()),
    pa.decimal128(1).id: ((decimal.Decimal, int), (bool,)),
    pa.decimal256(1).id: ((decimal.Decimal, int), (bool,)),
}


def _check_kinds(
    cells: list[Any], wanted: tuple[type, ...], unwanted: tuple[type, ...]
) -> None:
    """Refuse values of a class that Arrow takes and changes."""
    for kind in set(map(type, cells)):
        if issubclass(kind, wanted) and not issubclass(kind, unwanted or ()):
            continue
        for one in cells:
            if type(one) is kind and _is_there(one):
                raise pa.ArrowTypeError(_mixture(cells, None))


def _is_there(one: object) -> bool:
    """Is it a value, and not None, NaN, NaT or NA?"""
    if one is None or type(one).__name__ in ("NAType", "NaTType"):
        return False
    return not (isinstance(one, (float, np.floating, np.datetime64)) and one != one)


def _mixture(cells: list[Any], exc: Exception | None) -> str:
    """Say which two types are mixed, or which value has no counterpart."""
    kinds: dict[str, int] = {}
    for row, one in enumerate(cells):
        if not _is_there(one):
            continue
        if isinstance(one, int) and not -(2**63) <= one < 2**63:
            return (
                f"row {row}: an integer of {one.bit_length()} bits does not fit into "
                "64; make it text or a float"
            )
        kinds.setdefault(type_name(type(one)), row)
    if len(kinds) > 1:
        (one_kind, one_row), (two_kind, two_row) = list(kinds.items())[:2]
        return (
            f"{one_kind} (row {one_row}) and {two_kind} (row {two_row}) are mixed; a "
            "column has one type: make them all text, for example"
        )
    if isinstance(exc, UnicodeEncodeError):
        return _surrogate(cells, exc)
    if kinds == {"decimal.Decimal": next(iter(kinds.values()), 0)}:
        return _long_decimal(cells)
    if kinds:
        return f"{next(iter(kinds))} has no counterpart; turn it into text or numbers"
    return _reason(exc) if exc is not None else "the values have no counterpart"


def _long_decimal(cells: list[Any]) -> str:
    """Say which decimal is none for Arrow, or that they have too many digits."""
    for row, one in enumerate(cells):
        if isinstance(one, decimal.Decimal) and not (one.is_finite() or one.is_nan()):
            return f"row {row}: {one} is no number of digits; make it text or a float"
    return (
        f"the decimals have more than {_MOST_DIGITS} digits; make them text or floats"
    )


def _surrogate(cells: list[Any], exc: UnicodeEncodeError) -> str:
    """Say which text is not UTF-8."""
    row = next(
        (
            i
            for i, one in enumerate(cells)
            if isinstance(one, str) and not _is_utf8(one)
        ),
        0,
    )
    return f"row {row}: {_reason(exc)}"


def _reason(exc: Exception) -> str:
    if isinstance(exc, UnicodeEncodeError):
        return (
            f"the text has the lone surrogate {exc.object[exc.start]!a}, which UTF-8 "
            "has not; encode it, or replace it"
        )
    return " ".join(str(exc).split())


def _is_scalar(value: Any) -> bool:
    if isinstance(value, _SCALARS):
        return True
    return not hasattr(value, "__len__") or (
        isinstance(value, np.ndarray) and value.ndim == 0
    )


# ---- Types --------------------------------------------------------------------------

_KNOWN = {
    pa.null(),
    pa.bool_(),
    pa.int64(),
    pa.float64(),
    pa.large_string(),
    pa.large_binary(),
    pa.date32(),
    pa.time64("us"),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
}


def normal(name: str, array: Any) -> Any:
    """Return an array in one of the types that every host knows, exactly.

    Raises:
        Unsupported: it has no exact counterpart; names the column.

    """
    kind = array.type
    if kind in _KNOWN or (pa.types.is_decimal128(kind) and kind.scale >= 0):
        return array
    if pa.types.is_dictionary(kind):
        return normal(name, array.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        import pyarrow.compute as pc

        return normal(name, pc.run_end_decode(array))
    target = _target(kind)
    if target is None:
        raise Unsupported(
            f"column '{name}': {kind} has no counterpart; {_advice(kind)}"
        )
    try:
        return array.cast(target)
    except pa.ArrowInvalid:
        row = _first_wrong(array, target)
        raise Unsupported(
            f"column '{name}', row {row}: {_cell_text(array[row])} of {kind} cannot be "
            f"made {target} exactly; {_rounding(target)}"
        ) from None


def _first_wrong(array: Any, target: pa.DataType) -> int:
    """Return the first row that cannot be cast, where some cannot."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            array.slice(low, middle - low).cast(target)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _cell_text(cell: Any) -> str:
    """Return a cell as text, also where Python has no object for it."""
    try:
        return str(cell.cast(pa.string()).as_py())
    except (pa.ArrowException, ValueError, OverflowError):
        return str(getattr(cell, "value", cell))


def _rounding(target: pa.DataType) -> str:
    if pa.types.is_timestamp(target) or pa.types.is_time(target):
        return "round it to microseconds, or make it text"
    return "make it text or a float"


def _target(kind: pa.DataType) -> pa.DataType | None:
    """Return the known type that holds another one exactly."""
    types = pa.types
    if types.is_integer(kind):
        return pa.int64()
    if types.is_floating(kind):
        return pa.float64()
    if types.is_string(kind) or types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary(kind) or types.is_fixed_size_binary(kind):
        return pa.large_binary()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_date(kind):
        return pa.date32()
    if types.is_time(kind):
        return pa.time64("us")
    if types.is_timestamp(kind):
        # The moment is the same in any zone; which zone it was told in is dropped.
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if types.is_decimal(kind) and kind.precision - min(kind.scale, 0) <= _DIGITS:
        return pa.decimal128(kind.precision - min(kind.scale, 0), max(kind.scale, 0))
    return None


def _advice(kind: pa.DataType) -> str:
    if pa.types.is_duration(kind):
        return "turn it into a number of seconds"
    if pa.types.is_nested(kind):
        return "turn it into JSON text"
    if pa.types.is_decimal(kind):
        return f"{_DIGITS} digits are the most: turn it into text"
    return "turn it into text"
