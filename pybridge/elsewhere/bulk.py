"""Results by arrow-odbc: which ones, and how they become the same columns.

arrow-odbc fetches blocks of rows, where pyodbc asks for each cell, but it believes what
a driver says of a column: it cuts what is longer, tells unsigned numbers as signed, and
ends the process at a date that is none. So a query is described before it runs, and is
left to pyodbc unless every column is of a type that is known to come right. Dates and
decimals are fetched as text, and read here, where a wrong one is an error.
"""

from __future__ import annotations

import ctypes
import functools
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from pybridge import connections
from pybridge.elsewhere import odbc
from pybridge.elsewhere.columns import Column, table
from pybridge.errors import BadArgument, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.connections import Source
    from pybridge.elsewhere.stoppable import Task

    Result = tuple[pa.Table, int]

__all__ = ["Session", "connect", "read"]

# The part of the name of a driver for which it was measured to be faster: what `direct`
# reads takes no longer.
_FASTER = ("maodbc",)
# What ends the query of a session, from another one, and what a session is asked first:
# its number, and whether its server knows all its text to be Unicode.
_CANCELS = {
    "psqlodbcw": "select pg_cancel_backend({})",
    "maodbc": "kill query {}",
}
_NUMBERS = {
    "psqlodbcw": "select pg_backend_pid() as n, "
    "case current_setting('server_encoding') when 'UTF8' then 1 else 0 end as known",
    "maodbc": "select connection_id() as n, 1 as known",
}
_LONGEST = 1000  # characters of a cell, for each of which there is room in every row
_BATCH_BYTES = 4 << 20
_BATCH_ROWS = (64, 16384)
_PRECISION = 38

# ---- Which queries ------------------------------------------------------------------

# Another session answers than the one that ran what came before: that is the same for
# a query that reads tables, and only where nothing has changed the session.
_GAP = r"(?:\s|--[^\n]*\n|/\*(?!!)(?:[^*]|\*(?!/))*\*/)*"
_READS = re.compile(_GAP + r"(?:select|with|values|table)\b", re.IGNORECASE)
_LEAVES_NOTHING = re.compile(
    _GAP + r"(?:select|with|values|table|insert|update|delete|merge|replace|show|"
    r"explain|truncate|(?:create|drop|alter)\s+(?:table|index|view))\b",
    re.IGNORECASE,
)
_CHANGES = re.compile(
    r"@|/\*!|;\s*\S|\b(?:\w*temp(?:orary)?|into|set_config|\w*advisory\w*|\w+_lock)\b",
    re.IGNORECASE,
)
_OF_SESSION = re.compile(
    r"\b(?:current_setting|currval|lastval|nextval|setval|last_insert_id|found_rows|"
    r"row_count|\w*backend_pid|connection_id|for\s+update|for\s+share)\b",
    re.IGNORECASE,
)


@functools.cache
def _is_installed() -> bool:
    return find_spec("arrow_odbc") is not None


def read(
    source: Source, connection: Any, sql: str, params: object, task: Task
) -> Result | None:
    """Return the rows of a query by arrow-odbc; None where pyodbc has to read it.

    `connection` is the one that pyodbc has, on which nothing is executed.

    Raises:
        Unsupported: the settings ask for arrow-odbc, which cannot read a column.

    """
    twin = source.twin
    if source.reader == "pyodbc" or twin is None:
        return None
    forced = source.reader == "arrow-odbc"
    if not (forced or _may_read(source, connection, sql)):
        return None
    # Where there is nothing to describe pyodbc has the driver's words for why.
    described = _describe(connection, sql) if _READS.match(sql) and not params else []
    kinds = _kinds(odbc.driver(connection), described) if described else []
    if forced and isinstance(kinds, str):
        raise Unsupported(f'{kinds}; write reader = "auto" for this connection')
    if isinstance(kinds, str) or not kinds:
        return None
    try:
        return _fetch(twin, connection, sql, kinds, task)
    except Exception:
        if forced or task.stopped:
            raise
        # A cell that is longer than its driver has said, a date that is none, a server
        # that takes no second session: pyodbc reads it, or says what is wrong.
        source.mark_changed()
        return None


def _may_read(source: Source, connection: Any, sql: str) -> bool:
    """Is another session, by arrow-odbc, faster, and the same for this query?"""
    faster = any(word in odbc.driver(connection) for word in _FASTER)
    if not faster or not _is_installed() or source.is_changed():
        return False
    if not _LEAVES_NOTHING.match(sql) or _CHANGES.search(sql):
        source.mark_changed()
        return False
    return _OF_SESSION.search(sql) is None


# ---- Which columns ------------------------------------------------------------------


class _Described(NamedTuple):
    """A column as its driver describes it."""

    name: str
    type: int
    size: int
    digits: int
    unsigned: bool
    word: str


class _Kind(NamedTuple):
    """How a column is fetched, how much room a cell takes, and what it becomes."""

    name: str
    fetched: pa.DataType
    room: int
    wanted: pa.DataType


_SHORT, _TINY, _INTEGER, _BIG, _BIT = 5, -6, 4, -5, -7
_REAL, _FLOAT, _DOUBLE = 7, 6, 8
_NUMERIC, _DECIMAL = 2, 3
_CHAR, _VARCHAR, _WCHAR, _WVARCHAR = 1, 12, -8, -9
_DATE, _TIMESTAMP = 91, 93
_TEXT = pa.string()
# PostgreSQL's own names of what is one of these; others are something else in disguise.
_POSTGRES_WORDS = {
    "int2", "int4", "int8", "float4", "float8", "bool", "numeric", "varchar", "char",
    "bpchar", "date", "timestamp", "timestamp without time zone",
}  # fmt: skip
_POSTGRES_ANY_TEXT = 255  # what its driver says of text without a limit
_POSTGRES_ANY_NUMBER = 28  # and of numbers


def _describe(connection: Any, sql: str) -> list[_Described]:
    """Return the columns that a query is going to have; none where nobody knows."""
    library = odbc.library()
    cursor = connection.cursor()
    try:
        handle = getattr(cursor, "hstmt", None)
        words = sql.encode("utf-16le", "surrogatepass")
        count = ctypes.c_short()
        if (
            handle is None
            or "\0" in sql
            or library.SQLPrepareW(handle, words, ctypes.c_int(len(words) // 2)) != 0
            or library.SQLNumResultCols(handle, ctypes.byref(count)) != 0
        ):
            return []
        return [_column(library, handle, i + 1) for i in range(count.value)]
    finally:
        cursor.close()


def _column(library: Any, handle: Any, i: int) -> _Described:
    room = ctypes.create_string_buffer(1024)
    length, kind, digits, nullable = (ctypes.c_short() for _ in range(4))
    size = ctypes.c_size_t()
    code = library.SQLDescribeColW(
        handle, ctypes.c_ushort(i), room, ctypes.c_short(512), ctypes.byref(length),
        ctypes.byref(kind), ctypes.byref(size), ctypes.byref(digits),
        ctypes.byref(nullable),
    )  # fmt: skip
    name = room.raw[: 2 * length.value].decode("utf-16le", "replace")
    if code != 0:
        return _Described(name, 0, 0, 0, False, "")
    return _Described(
        name, kind.value, size.value, digits.value, odbc.is_unsigned(handle, i),
        odbc.type_word(handle, i),
    )  # fmt: skip


def _kinds(driver: str, columns: list[_Described]) -> list[_Kind] | str:
    """Return how each column is read, or why one of them cannot be."""
    if not any(word in driver for word in _NUMBERS):
        return f"arrow-odbc is not known to be exact with the driver '{driver}'"
    made = []
    for one in columns:
        kind = _kind(driver, one)
        if kind is None:
            return (
                f"column '{one.name}' is of the type '{one.word or one.type}', which "
                "arrow-odbc is not known to read exactly"
            )
        made.append(kind)
    return made


def _kind(  # noqa: C901, PLR0911 (a type each)
    driver: str, one: _Described
) -> _Kind | None:
    postgres, size = "psqlodbc" in driver, one.size
    if postgres and one.word not in _POSTGRES_WORDS:
        return None
    number = one.type in {_SHORT, _TINY, _INTEGER, _BIG}
    if number and not one.unsigned:
        return _Kind(one.name, pa.int64(), 8, pa.int64())
    if one.type in {_FLOAT, _DOUBLE} or (one.type == _REAL and postgres):
        return _Kind(one.name, pa.float64(), 8, pa.float64())
    if one.type == _BIT and postgres:  # others give wider ones the same name
        return _Kind(one.name, pa.bool_(), 1, pa.bool_())
    if one.type in {_NUMERIC, _DECIMAL}:
        limited = 1 <= size <= _PRECISION and 0 <= one.digits <= size
        if not limited or (postgres and size == _POSTGRES_ANY_NUMBER):
            return None
        return _Kind(one.name, _TEXT, size + 3, pa.decimal128(size, one.digits))
    if one.type == _DATE:
        return _Kind(one.name, _TEXT, 20, pa.date32())
    # Of a fraction of MariaDB's it takes the length for that without one.
    if one.type == _TIMESTAMP and (postgres or one.digits == 0):
        return _Kind(one.name, _TEXT, 40, pa.timestamp("us"))
    if one.type in {_CHAR, _VARCHAR, _WCHAR, _WVARCHAR} and 1 <= size <= _LONGEST:
        if postgres and size == _POSTGRES_ANY_TEXT:
            return None
        return _Kind(one.name, _TEXT, 4 * size, pa.large_string())
    return None


# ---- Reading ------------------------------------------------------------------------


class _Complaint(Exception):  # noqa: N818 (it becomes a DatabaseError)
    """What arrow-odbc says, with the SQLSTATE in it."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        found = re.search(r"State: (\w{5})", words)
        self.sqlstate = found[1] if found else ""


class Session:
    """A connection of arrow-odbc."""

    def __init__(self, connection: Any) -> None:
        """Take the connection."""
        self._connection = connection
        self._wide = True
        self._is_new = True
        self.cancel = ""  # what ends its query, run on another connection

    def meet(self, driver: str) -> None:
        """Ask, once, for what the session is known by to its server."""
        if not self._is_new:
            return
        self._wide = "maodbc" not in driver  # as wide text that one ends it at a NUL
        for word, sql in _NUMBERS.items():
            if word in driver:
                row = self.batches(sql, None)[0].to_pylist()[0]
                if not row["known"]:
                    raise _Complaint("the server's text may be no Unicode")
                self.cancel = _CANCELS[word].format(int(row["n"]))
        self._is_new = False

    def batches(self, sql: str, kinds: list[_Kind] | None) -> list[pa.RecordBatch]:
        """Return the rows of a query."""
        import arrow_odbc

        encoding = arrow_odbc.TextEncoding
        schema, rows = None, _BATCH_ROWS[0]
        if kinds is not None:
            schema = pa.schema([pa.field(one.name, one.fetched) for one in kinds])
            least, most = _BATCH_ROWS
            width = sum(one.room for one in kinds)
            rows = min(most, max(least, _BATCH_BYTES // width))
        try:
            return list(
                self._connection.read_arrow_batches(
                    sql,
                    batch_size=rows,
                    max_text_size=_LONGEST,
                    schema=schema,
                    fetch_concurrently=False,
                    falliable_allocations=True,
                    payload_text_encoding=(
                        encoding.UTF16 if self._wide else encoding.UTF8
                    ),
                )
            )
        except arrow_odbc.Error as exc:
            raise _Complaint(" ".join(str(exc).split())) from None

    def answers(self) -> bool:
        """Does the server answer?"""
        try:
            return len(self.batches("select 1", None)) == 1
        except _Complaint:
            return False

    def close(self) -> None:
        """Let go of the connection."""
        self._connection = None


def connect(string: str, timeout: int = 0) -> Session:
    """Return a session by a whole connection string; its driver is still to be told.

    Raises:
        BadArgument: arrow-odbc is not installed.

    """
    if not _is_installed():
        raise BadArgument(
            'reader = "arrow-odbc" needs arrow-odbc; run pip install "pybridge[odbc]"'
        )
    import arrow_odbc

    try:
        made = arrow_odbc.connect(string, login_timeout_sec=timeout or None)
    except arrow_odbc.Error as exc:
        raise _Complaint(" ".join(str(exc).split())) from None
    return Session(made)


def _fetch(
    twin: Source, connection: Any, sql: str, kinds: list[_Kind], task: Task
) -> Result:
    with connections.lease(twin) as session:
        session.meet(odbc.driver(connection))
        if session.cancel:
            task.cancel_by(_canceller(connection, session.cancel))
        try:
            batches = session.batches(sql, kinds)
        finally:
            task.cancel_by(None)
        made = _table(batches, kinds)
    return made, made.num_rows


def _canceller(connection: Any, sql: str) -> Callable[[], object]:
    """Return what ends the query of a session, by the connection that is idle."""

    def cancel() -> None:
        cursor = connection.cursor()
        try:
            cursor.execute(sql)
        finally:
            cursor.close()

    return cancel


def _table(batches: list[pa.RecordBatch], kinds: list[_Kind]) -> pa.Table:
    columns = [Column(one.name, one.wanted) for one in kinds]
    for batch in batches:
        for column, array in zip(columns, batch.columns, strict=True):
            wanted = column.wanted
            if wanted is not None and pa.types.is_decimal(wanted):
                column.add_digits(array)
            else:
                column.append(array.cast(wanted))
    batches.clear()
    return table(columns)
