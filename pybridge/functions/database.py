"""Tables of SQLite files, `sqlite:///file.db#table`, through pybridge's own columns.

Where the process is a host that has the file open already, it is that connection which
reads and writes: what is not committed yet is seen, and nothing waits for its lock.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from pybridge import _names
from pybridge.errors import BadArgument, HostError
from pybridge.functions import tables

if TYPE_CHECKING:
    from typing import Callable

__all__ = [
    "SCHEME",
    "Place",
    "absolute",
    "is_database",
    "parse",
    "query",
    "read",
    "write",
]

SCHEME = "sqlite:///"
_MODES = ("fail", "replace", "append")
_KINDS = {"pandas": "dataframe", "polars": "polars", "arrow": "arrow"}
_OLDEST = (3, 11)  # the Python that the columns need
# A parameter of SQL, or something else in which there may be what looks like one.
_PARAMETER = re.compile(
    r"(?P<other>'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^]]*\]|--[^\n]*|/\*.*?\*/|[^\W\d][\w$]*)"
    r"|\?\d*|[:@$][\w$]+",
    re.DOTALL,
)


class Place(NamedTuple):
    """A database file, and a table or view in it."""

    file: Path
    table: str

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{SCHEME}{quote(str(self.file))}#{quote(self.table)}"


def is_database(path: str) -> bool:
    """Tell whether a path means a table of a database."""
    return path.startswith("sqlite:")


def parse(path: str) -> Place:
    """Return the file and the table of a path.

    Raises:
        BadArgument: it has not the shape of one.

    """
    start, _, table = path.partition("#")
    file = start[len(SCHEME) :]
    if not path.startswith(SCHEME) or not file:
        raise BadArgument(
            f"'{path}' is no table; one looks like 'sqlite:///file.db#table', or "
            "'sqlite:////absolute/file.db#table'"
        )
    if not table:
        raise BadArgument(f"'{path}' names no table; write '{start}#table'")
    return Place(Path(unquote(file)).expanduser().absolute(), unquote(table))


def absolute(path: str) -> str:
    """Return a path as every process understands it."""
    return str(parse(path))


def read(path: str, *, engine: str | None = None, **options: Any) -> Any:
    """Return a table as a frame: numbers and text as they are, dates where declared.

    Raises:
        BadArgument: there is no such file, or no such table in it.

    """
    place = parse(path)
    columns = options.pop("columns", None)
    names = "*" if columns is None else ", ".join(_quoted(one) for one in columns)
    sql = f"select {names} from {_quoted(place.table)}"
    return query(place, sql, engine=engine, **options)


def query(
    place: Place,
    sql: str,
    params: Any = None,
    *,
    engine: str | None = None,
    **options: Any,
) -> Any:
    """Return the rows of a query on the file of a table.

    Raises:
        BadArgument: there is no such file, or SQLite refuses the query.

    """
    library = tables.checked(engine)
    if not place.file.exists():
        raise BadArgument(
            f"there is no database '{place.file}'; an absolute path has four slashes: "
            "'sqlite:////home/…'"
        )

    def fast() -> Any:
        from pybridge import host

        told = {"parse": True, **options}
        return host.query(sql, params, _KINDS[library], **told)

    try:
        answered, found = _with_host(place.file, fast, write=False)
        if answered:
            return found
        return tables.converted(_plain_query(place.file, sql, params), library)
    except (HostError, sqlite3.Error) as exc:
        raise BadArgument(_refused(place, exc)) from None


def write(frame: Any, path: str, *, mode: str = "replace") -> int:
    """Write a frame to a table, all or nothing, and return how many rows.

    mode is what to do where the table exists: "fail", "replace" it or "append" to it.

    Raises:
        BadArgument: SQLite refuses it; the table is as it was.

    """
    if mode not in _MODES:
        raise BadArgument(
            f"the mode '{mode}' is unknown; known are {', '.join(_MODES)}"
        )
    place = parse(path)
    place.file.parent.mkdir(parents=True, exist_ok=True)

    def fast() -> int:
        from pybridge import host

        return host.write(tables.to_arrow(frame), _quoted(place.table), mode)

    try:
        answered, count = _with_host(place.file, fast, write=True)
        if answered:
            return int(count)
        return _plain_write(place, tables.to_arrow(frame), mode)
    except (HostError, sqlite3.Error) as exc:
        raise BadArgument(_refused(place, exc)) from None


def _refused(place: Place, exc: Exception) -> str:
    """Return what went wrong in words, with the tables that there are."""
    text = str(exc)
    if "no such table" not in text:
        return f"'{place}': {text}"
    with sqlite3.connect(place.file) as connection:
        rows = connection.execute(
            "select name from sqlite_master where type in ('table', 'view') "
            "and name not like 'sqlite\\_%' escape '\\' order by 1 limit 20"
        ).fetchall()
    connection.close()
    names = ", ".join(name for (name,) in rows)
    return f"'{place.file}' has no table '{place.table}'; it has {names or 'none'}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# ---- With pybridge's columns ---------------------------------------------------------


def _with_host(
    file: Path, question: Callable[[], Any], *, write: bool
) -> tuple[bool, Any]:
    """Answer a question with the file as host; False where this Python cannot."""
    if sys.version_info < _OLDEST:
        return False, None
    try:
        from pybridge.beside import Beside, Unloadable
    except ImportError:
        return False, None
    if _is_open_in_host(file):
        return True, question()
    try:
        database = Beside(file, create=write, write=write)
    except Unloadable:
        return False, None
    with database:
        return True, database.call(question)


def _is_open_in_host(file: Path) -> bool:
    """Tell whether the host that is calling has this very file open."""
    from pybridge import host

    if not host.in_host():
        return False
    try:
        rows = host.query(
            "select file from pragma_database_list where name = 'main'", None, "list"
        )
    except HostError:
        return False  # a host without SQL
    return bool(rows and rows[0][0]) and Path(rows[0][0]).resolve() == file.resolve()


# ---- Without -------------------------------------------------------------------------


def _plain_query(file: Path, sql: str, params: Any) -> Any:
    """Return the rows of a query as an Arrow table, by Python's own module."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    try:
        cursor = connection.execute(sql, params or ())
        names = _names.unique([one[0] for one in cursor.description or ()])
        rows = cursor.fetchall()
        declared = _declared(connection, sql)
    finally:
        connection.close()
    import pyarrow

    columns = list(zip(*rows)) if rows else [()] * len(names)
    return pyarrow.table(
        {
            name: _column(values, declared.get(name, ""))
            for name, values in zip(names, columns)
        }
    )


def _declared(connection: sqlite3.Connection, sql: str) -> dict[str, str]:
    """Return the declared types of the columns of a query, by name.

    What is no select, as a pragma, has none.
    """
    # A view has no parameters; types do not depend on what they are.
    asked = _PARAMETER.sub(lambda found: found["other"] or "null", sql)
    try:
        connection.execute(
            f"create temp view pybridge_declared as {asked.rstrip().rstrip(';')}"
        )
    except sqlite3.Error:
        return {}
    rows = connection.execute("pragma table_info(pybridge_declared)").fetchall()
    return {row[1]: row[2].upper() for row in rows}


def _column(values: Any, declared: str) -> Any:
    """Return cells of SQLite as one Arrow array that holds all of them exactly."""
    import pyarrow

    kinds = {type(one) for one in values} - {type(None)}
    parsed = _parsed(values, kinds, declared)
    if parsed is not None:
        return parsed
    if not kinds:
        return pyarrow.nulls(len(values))
    if kinds == {int, float} and all(
        type(one) is not int or abs(one) <= 2**53 for one in values
    ):
        return pyarrow.array(values, pyarrow.float64(), from_pandas=False)
    if bytes in kinds:
        return pyarrow.array(
            [
                str(one).encode() if type(one) in {int, float, str} else one
                for one in values
            ],
            pyarrow.large_binary(),
        )
    if len(kinds) > 1:
        return pyarrow.array(
            [one if one is None else str(one) for one in values], pyarrow.large_string()
        )
    return pyarrow.array(values, _ARROW[kinds.pop()]())


def _parsed(values: Any, kinds: set[type], declared: str) -> Any:
    """Return cells as what their column is declared; None where they are not that."""
    import datetime as dt
    from decimal import Decimal, InvalidOperation

    import pyarrow

    if declared == "BOOLEAN" and kinds <= {int} and {0, 1, None} >= set(values):
        return pyarrow.array(
            [None if one is None else bool(one) for one in values], pyarrow.bool_()
        )
    makers: dict[str, tuple[Any, Any]] = {
        "DATE": (dt.date.fromisoformat, pyarrow.date32()),
        "TIME": (dt.time.fromisoformat, pyarrow.time64("us")),
        "TIMESTAMP": (dt.datetime.fromisoformat, None),
        "DATETIME": (dt.datetime.fromisoformat, None),
        "DECIMAL TEXT": (Decimal, None),
    }
    if declared not in makers or kinds != {str}:
        return None
    maker, kind = makers[declared]
    try:
        made = [None if one is None else maker(one) for one in values]
        return pyarrow.array(made, kind)
    except (ValueError, InvalidOperation, pyarrow.ArrowException):
        return None


def _plain_write(place: Place, table: Any, mode: str) -> int:
    """Write an Arrow table by Python's own module, all or nothing."""
    name = _quoted(place.table)
    connection = sqlite3.connect(place.file, isolation_level=None)
    try:
        connection.execute("begin immediate")
        there = connection.execute(
            "select 1 from sqlite_master where type in ('table', 'view') and name = ?",
            (place.table,),
        ).fetchone()
        if there and mode == "fail":
            raise HostError(f"table {name} exists already; use replace or append")
        if there and mode == "replace":
            connection.execute(f"drop table {name}")
            there = None
        fields = [_quoted(field.name) for field in table.schema]
        if not there:
            kinds = (_declaration(field.type) for field in table.schema)
            told = ", ".join(f"{one} {kind}" for one, kind in zip(fields, kinds))
            connection.execute(f"create table {name} ({told})")
        marks = ", ".join("?" * len(fields))
        cells = [[_cell(one) for one in column.to_pylist()] for column in table.columns]
        connection.executemany(
            f"insert into {name} ({', '.join(fields)}) values ({marks})", zip(*cells)
        )
        connection.execute("commit")
    finally:
        connection.close()  # what was not committed is rolled back
    return int(table.num_rows)


def _declaration(kind: Any) -> str:
    """Return the declared type of a column."""
    from pyarrow import types

    for known, name in (
        (types.is_boolean, "BOOLEAN"),
        (types.is_integer, "INTEGER"),
        (types.is_floating, "REAL"),
        (types.is_date, "DATE"),
        (types.is_timestamp, "TIMESTAMP"),
        (types.is_time, "TIME"),
        (types.is_decimal, "DECIMAL TEXT"),
        (types.is_binary, "BLOB"),
        (types.is_large_binary, "BLOB"),
    ):
        if known(kind):
            return name
    return "TEXT"


def _cell(value: Any) -> Any:
    """Return a cell as SQLite has it."""
    if value is None or isinstance(value, (int, float, str, bytes)):
        return int(value) if isinstance(value, bool) else value
    if hasattr(value, "isoformat"):
        return (
            value.isoformat(" ")
            if hasattr(value, "hour") and hasattr(value, "year")
            else value.isoformat()
        )
    return str(value)


def _arrow(name: str) -> Callable[[], Any]:
    def kind() -> Any:
        import pyarrow

        return getattr(pyarrow, name)()

    return kind


_ARROW: dict[type, Callable[[], Any]] = {
    int: _arrow("int64"),
    float: _arrow("float64"),
    str: _arrow("large_string"),
}
