"""Tables over globals: which letters a frame's columns have, and SQL over frames."""

# ruff: noqa: A002 - names are those of the contract

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybridge import context, main
from pybridge.errors import BadArgument, HostError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["letters", "run"]

# The context in which the tables of a query are, while it runs.
CONTEXT = "pybridge tables"


def letters(frame: object) -> list[tuple[str, str]]:
    """Return the columns of a frame, each with the letter of a mask that reads it back.

    Raises:
        BadArgument: it is no frame, or a name has a comma, which labels cannot have.

    """
    import pyarrow as pa

    from pybridge import columnar

    schema = pa.schema(columnar.to_schema(frame))
    for name in schema.names:
        if "," in name:
            raise BadArgument(f"the column '{name}' has a comma in its name; rename it")
    return [(field.name, _letter(field.type)) for field in schema]


def _letter(kind: pa.DataType) -> str:
    from pyarrow import types

    if types.is_timestamp(kind) and kind.tz:
        return "s"  # M's timestamps have no zone, this one is written with its offset
    for is_kind, letter in (
        (types.is_boolean, "b"),
        (types.is_integer, "i"),
        (types.is_floating, "f"),
        (types.is_decimal, "n"),
        (types.is_date, "d"),
        (types.is_time, "t"),
        (types.is_timestamp, "m"),
        (types.is_large_binary, "x"),
        (types.is_null, "+"),
    ):
        if is_kind(kind):
            return letter
    return "s"


def run(
    sql: str,
    variable: str,
    type: str,
    options: str,
    at: str,
) -> int:
    """Run a query over the frames of CONTEXT; keep its rows in the context `at`.

    Returns how many rows there are.

    Raises:
        HostError: DuckDB refuses the query, or is not installed.

    """
    tables = context.get(CONTEXT).namespace
    rows = _query(sql, {n: t for n, t in tables.items() if not n.startswith("__")})
    return main.set_stream(variable, rows, type or None, options or None, context=at)


def _query(sql: str, tables: dict[str, Any]) -> Any:
    try:
        import duckdb
    except ImportError:
        raise HostError(
            "SQL over globals needs DuckDB; install it: pip install duckdb"
        ) from None
    import pyarrow as pa

    connection = duckdb.connect()
    try:
        for name, table in tables.items():
            connection.register(name, table)
        rows = connection.sql(sql)
        if rows is None:
            raise HostError("the statement has no rows; ExecuteQuery takes a query")
        return pa.table(rows)
    except duckdb.Error as exc:
        raise HostError(f"DuckDB: {exc}") from None
    finally:
        connection.close()
