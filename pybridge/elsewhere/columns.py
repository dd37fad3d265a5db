"""Rows of a driver into columns: batches of Python's tuples become Arrow arrays.

A column has the type of its cells. Cells of one type, which is what databases give,
are made an array batch by batch; only mixtures are looked at one by one, by the rule
that pybridge.h states for tables.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pybridge.errors import Unsupported
from pybridge.status import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Cells = Sequence[Any]

__all__ = ["Column", "table"]

_NONE = type(None)
_DIGITS = 38  # of Arrow's smaller decimals
_MOST_DIGITS = 76
_EXACT = 2**53  # every integer up to here has a float64 of its own
_HUGE = 2**1023
_UTC = pa.timestamp("us", "UTC")
_NAIVE = pa.timestamp("us")
# The arrays here are made for one frame and belong to nobody else; columnar.py makes
# frames over their memory where the schema says so.
_PRIVATE = {b"pybridge.private": b"1"}


class Column:
    """One column that is being read: its name, its batches, the type it should have.

    `wanted` is what the driver says of it, and only that: what the cells are decides.
    `zone` is that in which its timestamps are told, where they are moments. `load` is
    applied to the cells of each batch.
    """

    __slots__ = ("chunks", "load", "name", "rows", "wanted", "zone")

    def __init__(
        self,
        name: str,
        wanted: pa.DataType | None = None,
        zone: str = "",
        load: Callable[[Cells], Cells] | None = None,
    ) -> None:
        self.name = name
        self.wanted = wanted
        self.zone = zone
        self.load = load
        self.rows = 0
        self.chunks: list[Any] = []  # arrays, and lists of cells where types are mixed

    def add(self, cells: Cells) -> int:
        """Append a batch; return about how many bytes it takes."""
        if self.load is not None:
            cells = self.load(cells)
        chunk = self._chunk(cells)
        self.rows += len(cells)
        self.chunks.append(chunk)
        return 64 * len(chunk) if isinstance(chunk, list) else int(chunk.nbytes)

    def append(self, array: pa.Array) -> None:
        """Append a batch that is an array already."""
        self.rows += len(array)
        self.chunks.append(array)

    def add_digits(self, digits: pa.Array) -> None:
        """Append a batch of decimals that came as text."""
        if digits.null_count == len(digits):
            self.append(pa.nulls(len(digits)))
            return
        try:
            self.append(digits.cast(self.wanted))
        except pa.ArrowException:
            # The driver knew less digits than there are, or it is no number at all.
            texts = digits.to_pylist()
            self.add([None if t is None else decimal.Decimal(t) for t in texts])

    def finish(self) -> pa.Array:
        """Return the whole column, and let go of the batches.

        Raises:
            Unsupported: there are timestamps that a zone has twice, or not at all.

        """
        chunks, self.chunks = self.chunks, []
        kinds = {
            None if isinstance(chunk, list) else chunk.type
            for chunk in chunks
            if isinstance(chunk, list) or not pa.types.is_null(chunk.type)
        }
        if not kinds:
            return pa.nulls(self.rows, self.wanted or pa.null())
        kind = kinds.pop() if len(kinds) == 1 else _common(kinds)
        if kind is None:
            array = self._mixed(chunks)
        else:
            for i, chunk in enumerate(chunks):
                if chunk.type != kind:
                    chunks[i] = chunk.cast(kind)
            array = pa.concat_arrays(chunks)
        del chunks
        return _nan_under_null(self._as_wanted(array))

    def _chunk(self, cells: Cells) -> Any:
        """Return a batch as an array, or as a list where no array can have it."""
        kinds = set(map(type, cells))
        kinds.discard(_NONE)
        if not kinds:
            return pa.nulls(len(cells))
        if len(kinds) > 1:
            return list(cells)
        kind = kinds.pop()
        make = _MAKES.get(kind)
        if make is None:
            return self._other(kind, cells)
        try:
            return make(self, cells)
        except UnicodeEncodeError:
            raise self._wrong(cells, _has_surrogate, "has a lone surrogate") from None

    def _other(self, kind: type, cells: Cells) -> Any:
        """Return cells of a class that is a subclass of a known one, or a container."""
        for base, plain in ((str, str), (int, int), (float, float), (bytes, bytes)):
            if issubclass(kind, base):
                return self._chunk([None if c is None else plain(c) for c in cells])
        try:
            return pa.array(cells, from_pandas=False)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            pass
        raise Unsupported(
            f"column '{self.name}': values of type {type_name(kind)} have no "
            "counterpart; cast the column to text in the query"
        )

    def _wrong(
        self, cells: Cells, is_wrong: Callable[[Any], bool], what: str
    ) -> Unsupported:
        row = next((i for i, cell in enumerate(cells) if is_wrong(cell)), 0)
        return Unsupported(
            f"column '{self.name}', row {self.rows + row}: {cells[row]!r:.60} {what}"
        )

    # ---- Cells of one type

    def _integers(self, cells: Cells) -> pa.Array:
        try:
            return pa.array(cells, pa.int64())
        except (OverflowError, pa.ArrowInvalid):
            pass
        try:
            return pa.array(cells, pa.uint64())
        except (OverflowError, pa.ArrowInvalid):
            pass
        return self._decimals(
            [None if cell is None else decimal.Decimal(cell) for cell in cells]
        )

    def _decimals(self, cells: Cells) -> pa.Array:
        if not all(cell is None or cell.is_finite() for cell in cells):
            # Arrow would take a decimal NaN for NULL.
            raise self._wrong(
                cells,
                lambda cell: cell is not None and not cell.is_finite(),
                "has no decimal counterpart; cast it to a float or to text",
            )
        wanted = self.wanted
        if wanted is not None and pa.types.is_decimal(wanted):
            try:
                return pa.array(cells, wanted)
            except (pa.ArrowException, ValueError):
                pass  # the driver knew less digits than there are
        try:
            return pa.array(cells)
        except (pa.ArrowException, ValueError):
            raise self._wrong(
                cells,
                _too_long,
                f"has more than {_MOST_DIGITS} digits; cast it to text",
            ) from None

    def _timestamps(self, cells: Cells) -> Any:
        zones = {cell.tzinfo is None for cell in cells if cell is not None}
        if len(zones) > 1:
            return list(cells)
        return pa.array(cells, _NAIVE if zones.pop() else _UTC)

    def _times(self, cells: Cells) -> Any:
        if any(cell is not None and cell.tzinfo is not None for cell in cells):
            return pa.array([_text(cell) for cell in cells], pa.large_string())
        return pa.array(cells, pa.time64("us"))

    # ---- Types

    def _mixed(self, chunks: list[Any]) -> pa.Array:
        cells: list[Any] = []
        for chunk in chunks:
            cells += chunk if isinstance(chunk, list) else chunk.to_pylist()
        return _widened(self, cells)

    def _as_wanted(self, array: pa.Array) -> pa.Array:
        """Return an array in the type that the driver says, where that is the same."""
        if self.zone and array.type == _NAIVE:
            return self._moments(array)
        wanted, types = self.wanted, pa.types
        if wanted is None or wanted == array.type:
            return array
        alike = (
            (types.is_integer(wanted) and types.is_integer(array.type))
            or (types.is_decimal(wanted) and types.is_decimal(array.type))
            or (types.is_decimal(wanted) and types.is_integer(array.type))
            or (types.is_floating(wanted) and types.is_integer(array.type))
        )
        if alike:
            try:
                return array.cast(wanted)
            except pa.ArrowInvalid:
                pass
        return array

    def _moments(self, array: pa.Array) -> pa.Array:
        try:
            return pc.assume_timezone(
                array, self.zone, ambiguous="raise", nonexistent="raise"
            ).cast(_UTC)
        except pa.ArrowInvalid as exc:
            raise Unsupported(
                f"column '{self.name}': the driver tells moments in the session's time "
                f"zone, and {exc}; run set time zone 'UTC' on the connection"
            ) from None


def table(columns: Iterable[Column]) -> pa.Table:
    """Return the columns as a table of which every array is one piece."""
    names, arrays = [], []
    for column in columns:
        names.append(column.name)
        arrays.append(column.finish())
    fields = [pa.field(n, a.type) for n, a in zip(names, arrays, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, _PRIVATE))


# ---- Cells --------------------------------------------------------------------------

_MAKES: dict[type, Callable[[Column, Cells], Any]] = {
    int: Column._integers,  # noqa: SLF001 (its own)
    float: lambda _, cells: pa.array(cells, pa.float64()),
    str: lambda _, cells: pa.array(cells, pa.large_string()),
    bytes: lambda _, cells: pa.array(cells, pa.large_binary()),
    bytearray: lambda _, cells: pa.array(_bytes(cells), pa.large_binary()),
    memoryview: lambda _, cells: pa.array(_bytes(cells), pa.large_binary()),
    bool: lambda _, cells: pa.array(cells, pa.bool_()),
    dt.date: lambda _, cells: pa.array(cells, pa.date32()),
    dt.datetime: Column._timestamps,  # noqa: SLF001
    dt.time: Column._times,  # noqa: SLF001
    dt.timedelta: lambda _, cells: pa.array(cells, pa.duration("us")),
    decimal.Decimal: Column._decimals,  # noqa: SLF001
    uuid.UUID: lambda _, cells: pa.array(map(_text, cells), pa.large_string()),
}


def _bytes(cells: Cells) -> list[bytes | None]:
    return [None if cell is None else bytes(cell) for cell in cells]


def _text(cell: Any) -> str | None:
    """Return the text of a value among text; a number's is its shortest exact one."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return bytes(cell).decode()
    if isinstance(cell, dt.datetime):
        return cell.isoformat(sep=" ")
    return cell.isoformat() if isinstance(cell, (dt.date, dt.time)) else str(cell)


def _has_surrogate(cell: object) -> bool:
    return (
        isinstance(cell, str)
        and not cell.isascii()
        and "\\u" in ascii(cell)
        and any("\ud800" <= letter <= "\udfff" for letter in cell)
    )


def _too_long(cell: decimal.Decimal | None) -> bool:
    _, digits, exponent = decimal.Decimal(0 if cell is None else cell).as_tuple()
    if not isinstance(exponent, int):
        return False
    scale = max(-exponent, 0)
    return max(len(digits) + exponent, 0) + scale > _MOST_DIGITS


def _common(kinds: set[Any]) -> pa.DataType | None:
    """Return the type that arrays of several types have together; None: none."""
    if None in kinds:
        return None
    if all(pa.types.is_decimal(kind) for kind in kinds):
        scale = max(kind.scale for kind in kinds)
        digits = scale + max(kind.precision - kind.scale for kind in kinds)
        if digits > _MOST_DIGITS:
            return None
        make = pa.decimal128 if digits <= _DIGITS else pa.decimal256
        return make(digits, scale)
    return None


def _widened(column: Column, cells: list[Any]) -> pa.Array:
    """Return a column of mixed cells, by the rule that pybridge.h states."""
    kinds = set(map(type, cells)) - {_NONE}
    if kinds <= {bool, int}:
        return column._integers([None if c is None else int(c) for c in cells])  # noqa: SLF001
    if kinds <= {bool, int, float} and all(map(_is_exact, cells)):
        floats = [None if c is None else float(c) for c in cells]
        return pa.array(floats, pa.float64())
    if kinds <= {int, decimal.Decimal}:
        numbers = [None if c is None else decimal.Decimal(c) for c in cells]
        return column._decimals(numbers)  # noqa: SLF001
    if kinds & {bytes, bytearray, memoryview}:
        blobs = [c if c is None or isinstance(c, bytes) else _blob(c) for c in cells]
        return pa.array(blobs, pa.large_binary())
    return pa.array([_text(cell) for cell in cells], pa.large_string())


def _is_exact(cell: Any) -> bool:
    if not isinstance(cell, int) or abs(cell) <= _EXACT:
        return True
    return abs(cell) < _HUGE and int(float(cell)) == cell


def _blob(cell: Any) -> bytes:
    if isinstance(cell, (bytearray, memoryview)):
        return bytes(cell)
    return (_text(cell) or "").encode()


def _nan_under_null(array: pa.Array) -> pa.Array:
    """Write NaN where a float is NULL: a frame over this memory then shows it so."""
    if array.type != pa.float64() or not array.null_count:
        return array
    values = pc.fill_null(array, float("nan")).buffers()[1]
    valid = pc.is_valid(array).buffers()[1]
    return pa.Array.from_buffers(pa.float64(), len(array), [valid, values])
