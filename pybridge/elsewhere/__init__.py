"""Queries on other databases: any connection's rows as columns."""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

from pybridge import connections
from pybridge.elsewhere import bulk, odbc, stoppable
from pybridge.elsewhere.columns import Column, table
from pybridge.errors import BadArgument, BridgeError, DatabaseError, Unsupported
from pybridge.masking import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    Params = Sequence[object] | Mapping[str, object] | None

__all__ = ["query"]

_FIRST_ROWS = 64  # then as many as make a batch of the size below
_BATCH_BYTES = 4 << 20
_BATCH_ROWS = (16, 1000)
_CALLERS_THREAD = "created in a thread"  # what sqlite3 says of a connection


def query(
    sql: str, params: Params, namespace: object, at: str | None = None
) -> tuple[pa.Table, int]:
    """Return the rows of a query as a table, and how many they are.

    A statement without rows gives a table without columns, and how many rows it has
    changed. `at` is the context in which a name is looked up.

    Raises:
        BadArgument: the namespace is of no use, or the parameters are not.
        DatabaseError: the other database or its driver refuses; in its own words.
        Undefined: there is no connection of that name.
        Unsupported: there is more than one result, or a value has no counterpart.

    """
    found = connections.find(namespace, at) if isinstance(namespace, str) else namespace
    if isinstance(found, connections.Source):
        source = found
        return _guarded(
            f"connection {source.name}",
            lambda: stoppable.run(
                lambda task: _read(connections.lease(source), sql, params, task, source)
            ),
            lambda: source.secrets,
        )
    if not hasattr(found, "cursor"):
        raise BadArgument(
            "a namespace is a name, a connection string or a connection, which has a "
            f"method cursor(); this is of type {type(found).__name__}"
        )
    name = f"the connection of {type(found).__module__}"
    return _guarded(name, lambda: _on_given(found, sql, params), tuple)


def _on_given(connection: Any, sql: str, params: Params) -> tuple[pa.Table, int]:
    """Read from a connection that is the caller's: nothing of it is changed."""
    if isinstance(connection, sqlite3.Connection):
        # It may be bound to the thread that made it.
        try:
            stoppable.run(lambda _: connection.cursor().close())
        except sqlite3.ProgrammingError as exc:
            if _CALLERS_THREAD not in str(exc):
                raise
            return _read(nullcontext(connection), sql, params, stoppable.Task())
    return stoppable.run(lambda task: _read(nullcontext(connection), sql, params, task))


def _guarded(
    name: str,
    call: Callable[[], tuple[pa.Table, int]],
    secrets: Callable[[], tuple[str, ...]],
) -> tuple[pa.Table, int]:
    """Return what a call returns; a driver's exception becomes one of ours.

    The exception itself is let go of: its traceback knows the connection string.
    """
    try:
        return call()
    except (BridgeError, MemoryError) as exc:
        exc.__traceback__ = None
        raise
    except Exception as exc:
        message, sqlstate = _words(exc)
        hint = odbc.install_hint(sqlstate, message)
        text = mask(f"{name}: {message}", secrets()) + hint
    raise DatabaseError(text, sqlstate)


def _words(exc: Exception) -> tuple[str, str]:
    """Return what a driver's exception says, and its SQLSTATE."""
    args = exc.args
    states = [getattr(exc, "sqlstate", None), getattr(exc, "pgcode", None)]
    words = str(exc)
    if len(args) > 1 and isinstance(args[0], str) and isinstance(args[1], str):
        # pyodbc's own complaints have the two the other way round.
        first, words = args[:2] if _is_sqlstate(args[0]) else args[1::-1]
        states.append(first)
    sqlstate = next((str(state) for state in states if _is_sqlstate(state)), "")
    words = " ".join(words.split()) or type(exc).__name__
    return words if sqlstate in words else f"[{sqlstate}] {words}", sqlstate


def _is_sqlstate(text: object) -> bool:
    return isinstance(text, str) and len(text) == 5 and text.isalnum()


# ---- One query ----------------------------------------------------------------------


def _read(
    lent: AbstractContextManager[Any],
    sql: str,
    params: Params,
    task: stoppable.Task,
    source: connections.Source | None = None,
) -> tuple[pa.Table, int]:
    with lent as connection:
        is_odbc = odbc.is_odbc(connection)
        if is_odbc and source is not None:
            made = bulk.read(source, connection, sql, params, task)
            if made is not None:
                return made
        restore = odbc.prepared(connection) if is_odbc else None
        try:
            with closing(connection.cursor()) as cursor:
                task.cancel_by(_canceller(connection, cursor))
                try:
                    _execute(cursor, sql, params, is_odbc)
                    return _result(connection, cursor, is_odbc)
                finally:
                    task.cancel_by(None)
        finally:
            if restore is not None:
                restore()


def _canceller(connection: Any, cursor: Any) -> Callable[[], object] | None:
    """Return what ends, from another thread, what the cursor waits for."""
    for owner, name in (
        (cursor, "adbc_cancel"),
        (cursor, "cancel"),
        (connection, "interrupt"),
        (connection, "cancel_safe"),
        (connection, "cancel"),
    ):
        cancel: Callable[[], object] | None = getattr(owner, name, None)
        if callable(cancel):
            return cancel
    return None


def _execute(cursor: Any, sql: str, params: Params, is_odbc: bool) -> None:
    if params is None:
        cursor.execute(sql)
        return
    if isinstance(params, (str, bytes)) or not hasattr(params, "__len__"):
        raise BadArgument(
            "the parameters are a list, a tuple or a dict, not of type "
            f"{type(params).__name__}"
        )
    if hasattr(params, "keys"):
        if is_odbc:
            raise BadArgument("ODBC knows ? only: give the parameters as a list")
        cursor.execute(sql, dict(params))
    elif len(params):
        cursor.execute(sql, tuple(params))
    else:
        cursor.execute(sql)


def _result(connection: Any, cursor: Any, is_odbc: bool) -> tuple[pa.Table, int]:
    """Return the one result of a query; results without columns are counts."""
    changed = 0
    while not cursor.description:
        changed += max(0, _count(cursor))
        if not _next(cursor):
            return table([]), changed
    if hasattr(cursor, "fetch_record_batch"):
        made = cursor.fetch_record_batch().read_all()
    else:
        columns = _columns(connection, cursor, is_odbc)
        if not (is_odbc and odbc.fill(connection, cursor, columns)):
            _fetch(cursor, columns)
        made = table(columns)
    while _next(cursor):
        if cursor.description:
            raise Unsupported(
                "the query has more than one result with columns; run them one by one"
            )
    return made, made.num_rows


def _next(cursor: Any) -> bool:
    """Go on to the next result, where the driver has more than one."""
    go_on = getattr(cursor, "nextset", None)
    if go_on is None:
        return False
    try:
        return bool(go_on())
    except NotImplementedError:
        return False
    except Exception as exc:
        if type(exc).__name__ == "NotSupportedError":
            return False
        raise


def _count(cursor: Any) -> int:
    count = getattr(cursor, "rowcount", -1)
    return count if isinstance(count, int) else -1


def _columns(connection: Any, cursor: Any, is_odbc: bool) -> list[Column]:
    if is_odbc:
        return odbc.columns(connection, cursor)
    return [Column(str(described[0])) for described in cursor.description]


def _fetch(cursor: Any, columns: list[Column]) -> None:
    """Read all rows, in batches of about the same size in memory."""
    n = _FIRST_ROWS
    least, most = _BATCH_ROWS
    while rows := cursor.fetchmany(n):
        size = 0
        for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
            size += column.add(cells)
        n = min(most, max(least, _BATCH_BYTES * len(rows) // max(size, 1)))
