"""Rows by ODBC's own calls, past pyodbc and Python's objects, into arrays.

Only for drivers of which it is known that this gives what pyodbc gives, and only where
all columns are of types that it knows. c/elsewhere/rows.c does the work; it asks for
each cell as pyodbc does, so that what a driver makes of it is the same.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pybridge.errors import Unsupported

if TYPE_CHECKING:
    from pybridge.elsewhere.columns import Column

__all__ = ["fill"]

_INTEGER, _REAL, _FLAG, _DATE, _MOMENT, _TIME, _NARROW, _WIDE, _BINARY = range(9)
_FULL, _END, _FAILED, _ROOM, _CELL_ROOM, _NO_DATE, _NO_TEXT = range(7)
_ROWS = 4096
_ENOUGH = 2 << 20  # bytes of text in a batch
_FIRST_ROOM = 64 << 10
_OF_STATEMENT = 3  # SQL_HANDLE_STMT
_MOST_WORDS = 8192  # UTF-16 units of a driver's complaint
_LIBRARY = Path(__file__).with_name("librows.so")
# The SQL types that are read here, of which a connection may have a converter.
_CONVERTIBLE = (*range(-10, 10), 12, 91, 93)
# Driver -> how it gives text exactly: as UTF-8, or as UTF-16.
_TEXTS = {"sqlite3odbc.so": _NARROW, "psqlodbcw.so": _WIDE}
_KINDS: dict[Any, tuple[int, pa.DataType]] = {
    int: (_INTEGER, pa.int64()),
    float: (_REAL, pa.float64()),
    bool: (_FLAG, pa.bool_()),
    dt.date: (_DATE, pa.date32()),
    dt.datetime: (_MOMENT, pa.timestamp("us")),
    dt.time: (_TIME, pa.time64("us")),
    bytes: (_BINARY, pa.large_binary()),
    bytearray: (_BINARY, pa.large_binary()),
    decimal.Decimal: (_NARROW, pa.large_string()),  # digits, for now
}


class _Cells(ctypes.Structure):
    """`column` of rows.c."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("is_whole", ctypes.c_int32),
        ("validity", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("ends", ctypes.c_void_p),
        ("bytes", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        ("used", ctypes.c_int64),
        ("cell", ctypes.c_void_p),
        ("cell_size", ctypes.c_int64),
        ("part", ctypes.c_int64),
    )


class _Reader(ctypes.Structure):
    """`reader` of rows.c."""

    _fields_ = (
        ("fetch", ctypes.c_void_p),
        ("get", ctypes.c_void_p),
        ("statement", ctypes.c_void_p),
        ("columns", ctypes.c_void_p),
        ("n_columns", ctypes.c_int32),
        ("at_column", ctypes.c_int32),
        ("rows", ctypes.c_int64),
        ("most", ctypes.c_int64),
        ("enough", ctypes.c_int64),
    )


def fill(library: Any, driver: str, cursor: Any, columns: list[Column]) -> bool:
    """Read all rows of a result into its columns; False: none are, this cannot.

    `library` is the driver manager, `driver` the driver's file.

    Raises:
        pyodbc.Error: the driver's complaint.
        Unsupported: a date is none of Python's, or a text is no Unicode.

    """
    handle = getattr(cursor, "hstmt", None)
    text = _TEXTS.get(driver)
    if handle is None or text is None or _is_converted(cursor.connection):
        return False
    kinds = {**_KINDS, str: (text, pa.large_string())}
    batches = []
    for described, column in zip(cursor.description, columns, strict=True):
        cls = described[1]
        if cls not in kinds or column.wanted == pa.uint64():
            return False
        batches.append(_Batch(column, *kinds[cls]))
    _read(library, handle, batches)
    return True


def _is_converted(connection: Any) -> bool:
    """Has the connection's owner said how to read values of some type?"""
    return any(
        connection.get_output_converter(code) is not None for code in _CONVERTIBLE
    )


def _read(library: Any, handle: Any, batches: list[_Batch]) -> None:
    cells = (_Cells * len(batches))()
    reader = _Reader(
        ctypes.cast(library.SQLFetch, ctypes.c_void_p),
        ctypes.cast(library.SQLGetData, ctypes.c_void_p),
        handle,
        ctypes.addressof(cells),
        len(batches),
        len(batches),
        0,
        _ROWS,
        _ENOUGH,
    )
    read = ctypes.CDLL(str(_LIBRARY)).pyb_odbc_read
    state = _FULL
    while state == _FULL:
        for batch, into in zip(batches, cells, strict=True):
            batch.begin(into)
        reader.rows = 0
        while (state := read(ctypes.byref(reader))) in (_ROOM, _CELL_ROOM):
            i = reader.at_column
            batches[i].grow(cells[i], state)
        if state in (_NO_DATE, _NO_TEXT):
            raise _wrong(batches[reader.at_column].column, reader.rows, state)
        if state == _FAILED:
            raise _complaint(library, handle)
        for batch, into in zip(batches, cells, strict=True):
            batch.end(into, reader.rows)


def _wrong(column: Column, row: int, state: int) -> Unsupported:
    what = (
        "a date or time that Python has not"
        if state == _NO_DATE
        else "a lone surrogate"
    )
    return Unsupported(
        f"column '{column.name}', row {column.rows + row} has {what}; cast the column "
        "in the query"
    )


def _complaint(library: Any, handle: Any) -> Exception:
    """Return what the driver says of the statement, as pyodbc would raise it."""
    import pyodbc

    state = ctypes.create_string_buffer(12)
    words = ctypes.create_string_buffer(2 * _MOST_WORDS)
    native, size = ctypes.c_int(), ctypes.c_short()
    code = library.SQLGetDiagRecW(
        ctypes.c_short(_OF_STATEMENT), handle, ctypes.c_short(1), state,
        ctypes.byref(native), words, ctypes.c_short(_MOST_WORDS), ctypes.byref(size),
    )  # fmt: skip
    if code not in (0, 1):
        sqlstate, text = "HY000", "the driver has failed without a word"
    else:
        sqlstate = _utf16(state, 5)
        text = _utf16(words, size.value)
    made: Exception = pyodbc.Error(
        sqlstate, f"[{sqlstate}] {text} ({native.value}) (SQLFetch)"
    )
    return made


def _utf16(room: Any, units: int) -> str:
    most = len(room) // 2 - 1
    return str(room.raw[: 2 * max(0, min(units, most))].decode("utf-16le", "replace"))


def _zeros(size: int) -> pa.Buffer:
    return pa.py_buffer(bytearray(size))


class _Batch:
    """The buffers of a column: those of the rows at hand, and the room for its text."""

    __slots__ = ("_bytes", "_cell", "_kind", "_type", "_validity", "_values", "column")

    def __init__(self, column: Column, kind: int, type_: pa.DataType) -> None:
        self.column = column
        self._kind = kind
        self._type = type_
        # Of a cell of text: where it ends; of any other its value.
        self._validity: Any = None
        self._values: Any = None
        self._bytes: Any = None
        self._cell: Any = None
        if kind >= _NARROW:
            self._bytes = pa.allocate_buffer(_FIRST_ROOM, resizable=True)
        if kind == _WIDE:
            self._cell = pa.allocate_buffer(_FIRST_ROOM, resizable=True)

    def begin(self, cells: _Cells) -> None:
        """Give the reader empty buffers."""
        cells.kind = self._kind
        self._validity = _zeros(_ROWS // 8)
        cells.validity = self._validity.address
        self._values = _zeros((_ROWS + 1) * 8)
        cells.values = self._values.address
        cells.ends = self._values.address + 8
        cells.used = 0
        self._place(cells)

    def _place(self, cells: _Cells) -> None:
        if self._bytes is not None:
            cells.bytes, cells.size = self._bytes.address, self._bytes.size
        if self._cell is not None:
            cells.cell, cells.cell_size = self._cell.address, self._cell.size

    def grow(self, cells: _Cells, state: int) -> None:
        """Make the room larger that is too small."""
        room = self._bytes if state == _ROOM else self._cell
        room.resize(room.size * 2)
        self._place(cells)

    def end(self, cells: _Cells, rows: int) -> None:
        """Append what was read to the column."""
        if rows == 0:
            return
        buffers = [self._validity, self._values]
        if self._bytes is not None:
            used = self._bytes.slice(0, cells.used)
            buffers.append(pa.py_buffer(used.to_pybytes()))
        array = pa.Array.from_buffers(self._type, rows, buffers)
        if self._kind == _NARROW:
            self._check(array)
        wanted = self.column.wanted
        if wanted is not None and pa.types.is_decimal(wanted):
            self.column.add_digits(array)
        elif self.column.load is not None:
            self.column.add(array.to_pylist())
        else:
            self.column.append(array)

    def _check(self, texts: pa.Array) -> None:
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid as exc:
            raise Unsupported(
                f"column '{self.column.name}': {exc}; cast it to a blob in the query"
            ) from None
