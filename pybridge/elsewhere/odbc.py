"""ODBC through pyodbc: connecting, and what a driver says of the columns of a result.

pyodbc tells the Python class of a column only. What more is needed (a time zone, an
unsigned integer) is asked of the driver itself, by the statement handle that pyodbc
gives out.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import struct
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pybridge.elsewhere import direct
from pybridge.elsewhere.columns import Column
from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "columns",
    "completed",
    "connect",
    "driver",
    "fill",
    "install_hint",
    "is_odbc",
    "is_unsigned",
    "library",
    "prepared",
    "secrets",
    "type_word",
]

# What SQLColAttribute is asked for, and some of what it answers: numbers of sqlext.h.
_CONCISE_TYPE, _UNSIGNED, _TYPE_NAME = 2, 8, 14
_INTEGER, _BIGINT, _GUID, _TIME, _OFFSET = 4, -5, -11, 92, -155
_DECIMALS = (2, 3)
_UINT32 = 2**32

# What drivers have to be told so that nothing is changed or cut on the way, and that
# rows come as they are fetched, not all at once: part of a driver's name or file ->
# (keyword, value). Words of the connection string itself win.
_DEFAULTS: tuple[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], ...] = (
    (("sqlite",), (("BigInt", "1"),)),
    (
        ("postgres", "psqlodbc"),
        (
            ("BoolsAsChar", "0"),
            ("ByteaAsLongVarBinary", "1"),
            ("UseDeclareFetch", "1"),
            ("Fetch", "5000"),
            ("ConnSettings", "set time zone 'UTC'"),
        ),
    ),
    (("mariadb", "maodbc", "mysql"), (("Charset", "utf8mb4"),)),
)
_READ_ONLY: tuple[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], ...] = (
    (
        ("postgres", "psqlodbc"),
        (
            ("ReadOnly", "1"),
            (
                "ConnSettings",
                "set time zone 'UTC';set default_transaction_read_only = on",
            ),
        ),
    ),
    (
        ("mariadb", "maodbc", "mysql"),
        (("InitStmt", "set session transaction read only"),),
    ),
)
# Drivers that give text as UTF-8, and of these those that take it as nothing else.
_UTF8 = ("psqlodbca", "sqlite", "maodbc", "myodbc")
_NARROW = ("psqlodbca", "sqlite")
_POSTGRES_NARROW = "psqlodbca"
# Drivers whose times pyodbc cuts to seconds, and which give them as text.
_MARIA = ("maodbc", "myodbc")
_PASSWORDS = ("pwd", "password", "passwd", "sslpassword", "access_token")


def completed(string: str, password: str = "", readonly: bool = False) -> str:
    """Return the string with the password, and with what its driver has to be told.

    Raises:
        BadArgument: pyodbc cannot be loaded, or the string has a NUL.

    """
    pyodbc = _pyodbc()
    if "\0" in string or "\0" in password:
        raise BadArgument("the connection string has a NUL")
    return _completed(pyodbc, string, password, readonly)


def connect(
    string: str, *, password: str = "", readonly: bool = False, timeout: int = 0
) -> Any:
    """Return a connection of pyodbc, in autocommit.

    timeout is of the login, in seconds; 0 leaves it to the driver.

    Raises:
        BadArgument: pyodbc cannot be loaded, or the string has a NUL.

    """
    whole = completed(string, password, readonly)
    import pyodbc

    connection = pyodbc.connect(
        whole, autocommit=True, readonly=readonly, timeout=timeout
    )
    name = driver(connection)
    if any(word in name for word in _UTF8):
        connection.setdecoding(pyodbc.SQL_CHAR, "utf-8")
    if any(word in name for word in _MARIA):
        # As wide text its driver ends a text at the first NUL.
        connection.setdecoding(pyodbc.SQL_WCHAR, "utf-8")
    if any(word in name for word in _NARROW):
        connection.setencoding("utf-8", pyodbc.SQL_CHAR)
    if _POSTGRES_NARROW in name:
        connection.decimal_mode = "binary"  # as text it would have to be wide
    return connection


def is_odbc(connection: object) -> bool:
    """Is it a connection of pyodbc?"""
    pyodbc = sys.modules.get("pyodbc")
    return pyodbc is not None and isinstance(connection, pyodbc.Connection)


def secrets(string: str) -> tuple[str, ...]:
    """Return the passwords in a connection string."""
    return tuple(
        value for key, value in _parts(string) if key.lower() in _PASSWORDS and value
    )


def install_hint(sqlstate: str, words: str) -> str:
    """Return what to do about a driver or a data source that is not there, or ''."""
    absent = "Can't open lib" in words
    if sqlstate not in ("IM002", "IM003") and not absent:
        return ""
    pyodbc = _pyodbc()
    drivers = ", ".join(f"'{name}'" for name in sorted(pyodbc.drivers())) or "none"
    sources = ", ".join(f"'{name}'" for name in sorted(pyodbc.dataSources())) or "none"
    return (
        f"; installed drivers: {drivers}; data sources: {sources}; a driver comes as a "
        "package, on Debian odbc-postgresql, odbc-mariadb, libsqliteodbc or tdsodbc, "
        "and is named as Driver={NAME}, a data source of odbc.ini as DSN=NAME"
    )


def prepared(connection: Any) -> Callable[[], None]:
    """Let a connection give exact values; return what puts it back as it was."""
    mode = getattr(connection, "decimal_mode", None)
    if _POSTGRES_NARROW in driver(connection):
        mode = None
    if mode == "binary":  # of at most 38 digits
        connection.decimal_mode = "text"
    converters: dict[int, Callable[[bytes], object]] = {_OFFSET: _moment}
    if any(word in driver(connection) for word in _MARIA):
        converters[_TIME] = _time
    ours = [
        code for code in converters if connection.get_output_converter(code) is None
    ]
    for code in ours:
        connection.add_output_converter(code, converters[code])

    def restore() -> None:
        if mode == "binary":
            connection.decimal_mode = mode
        for code in ours:
            connection.remove_output_converter(code)

    return restore


def columns(connection: Any, cursor: Any) -> list[Column]:
    """Return the columns of a result, each with the type that it is said to have."""
    handle = getattr(cursor, "hstmt", None)
    made, zone = [], None
    for i, described in enumerate(cursor.description, 1):
        name, cls = described[0], described[1]
        column = Column(name, _wanted(cls, described[4], described[5]))
        if handle is not None:
            code = _number(handle, i, _CONCISE_TYPE)
            unsigned = is_unsigned(handle, i)
            if code == _BIGINT and unsigned and not _is_postgres_word(handle, i):
                column.wanted = pa.uint64()
            elif code == _INTEGER and unsigned:
                column.load = _unsigned
            elif code == _GUID:
                column.load = _lower
            elif cls is dt.datetime and type_word(handle, i) == "timestamptz":
                zone = zone or _zone(connection)
                column.zone = zone
                column.wanted = pa.timestamp("us", "UTC")
        made.append(column)
    return made


def fill(connection: Any, cursor: Any, columns: list[Column]) -> bool:
    """Read all rows the fast way; False where nobody knows that it is exact."""
    return direct.fill(library(), driver(connection), cursor, columns)


def driver(connection: Any) -> str:
    """Return the name of a connection's driver, in small letters; '' if it has none."""
    import pyodbc

    try:
        return str(connection.getinfo(pyodbc.SQL_DRIVER_NAME)).lower()
    except pyodbc.Error:
        return ""


# ---- Connection strings -------------------------------------------------------------


def _pyodbc() -> Any:
    first = "pyodbc" not in sys.modules
    try:
        import pyodbc
    except ImportError as exc:
        raise BadArgument(
            f"pyodbc cannot be loaded: {exc}; install it with pip, and unixODBC, on "
            "Debian the package libodbc2"
        ) from None
    if first:
        # A connection that is closed is to be closed; the driver manager would keep it.
        pyodbc.pooling = False
    return pyodbc


def _parts(string: str) -> Iterator[tuple[str, str]]:
    """Yield the keywords and values of a connection string."""
    at, end = 0, len(string)
    while at < end:
        equals = string.find("=", at)
        if equals < 0:
            return
        key = string[at:equals].strip(" ;\t\n")
        at = equals + 1
        while at < end and string[at] == " ":
            at += 1
        if string.startswith("{", at):
            close = at + 1
            while (close := string.find("}", close)) >= 0:
                if not string.startswith("}}", close):
                    break
                close += 2
            if close < 0:
                close = end
            yield key, string[at + 1 : close].replace("}}", "}")
            semicolon = string.find(";", close)
            at = end if semicolon < 0 else semicolon + 1
            continue
        semicolon = string.find(";", at)
        semicolon = end if semicolon < 0 else semicolon
        yield key, string[at:semicolon].strip()
        at = semicolon + 1


def _completed(pyodbc: Any, string: str, password: str, readonly: bool) -> str:
    given = {key.lower(): value for key, value in _parts(string)}
    driver = given.get("driver") or ""
    if not driver and "dsn" in given:
        driver = f"{pyodbc.dataSources().get(given['dsn'], '')} {given['dsn']}"
    driver = driver.lower()
    added = {"PWD": password} if password else {}
    for words, pairs in _DEFAULTS + (_READ_ONLY if readonly else ()):
        if any(word in driver for word in words):
            added |= dict(pairs)
    missing = [
        f"{key}={_braced(value)}"
        for key, value in added.items()
        if key.lower() not in given
    ]
    return ";".join([string.rstrip("; \n"), *missing])


def _braced(value: str) -> str:
    if not set(value) & set("[]{}(),;?*=!@ '"):
        return value
    return "{" + value.replace("}", "}}") + "}"


# ---- Columns ------------------------------------------------------------------------

_TYPES: dict[Any, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.large_string(),
    bytes: pa.large_binary(),
    bytearray: pa.large_binary(),
    bool: pa.bool_(),
    dt.date: pa.date32(),
    dt.datetime: pa.timestamp("us"),
    dt.time: pa.time64("us"),
}


def _wanted(cls: Any, precision: object, scale: object) -> pa.DataType | None:
    if cls in _TYPES:
        return _TYPES[cls]
    if cls.__name__ != "Decimal":
        return None
    digits = precision if isinstance(precision, int) and 1 <= precision <= 76 else 38
    after = scale if isinstance(scale, int) and 0 <= scale <= digits else 0
    return (pa.decimal128 if digits <= 38 else pa.decimal256)(digits, after)


def library() -> Any:
    """Return the driver manager, as the one that pyodbc is linked to."""
    import pyodbc

    return ctypes.CDLL(pyodbc.__file__)


def _number(handle: Any, i: int, field: int) -> int | None:
    """Return what SQLColAttribute says as a number."""
    value = ctypes.c_ssize_t()
    code = library().SQLColAttributeW(
        handle, ctypes.c_ushort(i), ctypes.c_ushort(field), None, ctypes.c_short(0),
        None, ctypes.byref(value),
    )  # fmt: skip
    return value.value if code in (0, 1) else None


def is_unsigned(handle: Any, i: int) -> bool:
    """Does the driver say that a column is of unsigned numbers?"""
    return _number(handle, i, _UNSIGNED) == 1


def type_word(handle: Any, i: int) -> str:
    """Return the driver's own name of a column's type."""
    room, size = ctypes.create_string_buffer(256), ctypes.c_short()
    code = library().SQLColAttributeW(
        handle, ctypes.c_ushort(i), ctypes.c_ushort(_TYPE_NAME), room,
        ctypes.c_short(256), ctypes.byref(size), None,
    )  # fmt: skip
    if code not in (0, 1):
        return ""
    return room.raw[: max(0, min(size.value, 254))].decode("utf-16le", "replace")


def _is_postgres_word(handle: Any, i: int) -> bool:
    return type_word(handle, i) in ("int8", "oid", "xid", "bigserial")


def _zone(connection: Any) -> str:
    """Return the time zone in which PostgreSQL's session tells moments."""
    cursor = connection.cursor()
    try:
        return str(cursor.execute("show timezone").fetchone()[0])
    finally:
        cursor.close()


# ---- Cells that pyodbc gives in another form ----------------------------------------


def _unsigned(cells: Sequence[Any]) -> Sequence[Any]:
    """Make 32 bits unsigned, which pyodbc reads as signed."""
    return [cell + _UINT32 if cell is not None and cell < 0 else cell for cell in cells]


def _lower(cells: Sequence[Any]) -> Sequence[Any]:
    """Write GUIDs as databases do, not in pyodbc's capitals."""
    return [cell.lower() if isinstance(cell, str) else cell for cell in cells]


def _time(data: bytes) -> dt.time:
    """Read a time that the driver gives as text.

    Raises:
        ValueError: it is a duration: negative, or a day and more.

    """
    try:
        return dt.time.fromisoformat(data.decode())
    except ValueError:
        raise ValueError(
            f"the time '{data.decode('utf-8', 'replace')}' is no time of day; cast it "
            "to char"
        ) from None


def _moment(data: bytes) -> dt.datetime:
    """Read SQL Server's datetimeoffset: SQL_SS_TIMESTAMPOFFSET_STRUCT.

    Raises:
        ValueError: it is finer than a microsecond.

    """
    year, month, day, hour, minute, second, nanoseconds, east, east_minutes = (
        struct.unpack("<6hI2h", data)
    )
    if nanoseconds % 1000:
        raise ValueError(
            "a datetimeoffset is finer than a microsecond; cast it to datetimeoffset(6)"
        )
    zone = dt.timezone(dt.timedelta(hours=east, minutes=east_minutes))
    return dt.datetime(
        year, month, day, hour, minute, second, nanoseconds // 1000, zone
    )
