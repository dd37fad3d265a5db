"""SQL over a dataitem: in its database, by DuckDB, or in an SQLite of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument
from pybridge.functions import database, tables

if TYPE_CHECKING:
    from pybridge.functions.material import Dataitem

__all__ = ["NAME", "query"]

NAME = "dataitem"  # what the table is called in any query


def query(item: Dataitem, sql: str, params: Any, engine: str | None) -> Any:
    """Return the rows that SQL gives, as a frame.

    Raises:
        BadArgument: the query is refused.

    """
    library = tables.checked(engine)
    if database.is_database(item.path):
        place = database.parse(item.path)
        if place.table.lower() != NAME:
            sql = f"{_with(place.table)} {sql}" if _selects(sql) else sql
        return database.query(place, sql, params, engine=library)
    try:
        import duckdb
    except ImportError:
        return _in_sqlite(item, sql, params, library)
    names = {NAME, item.name}
    table = item.as_df(engine="arrow")
    with duckdb.connect(":memory:") as connection:
        for name in names:
            connection.register(name, table)
        try:
            found = connection.sql(sql, params=params)
            return tables.converted(found.to_arrow_table(), library)
        except duckdb.Error as exc:
            raise BadArgument(f"the query on '{item.key}' is refused: {exc}") from None


def _selects(sql: str) -> bool:
    return sql.lstrip().lower().startswith("select")


def _with(table: str) -> str:
    quoted = table.replace('"', '""')
    return f'with {NAME} as (select * from "{quoted}")'


def _in_sqlite(item: Dataitem, sql: str, params: Any, library: str) -> Any:
    """Return what a query gives on a copy of the table in SQLite."""
    with tempfile.TemporaryDirectory(prefix="pybridge-") as directory:
        place = database.Place(Path(directory) / "query.db", item.name)
        database.write(item.as_df(engine="arrow"), str(place))
        if item.name.lower() != NAME and _selects(sql):
            sql = f"{_with(item.name)} {sql}"
        return database.query(place, sql, params, engine=library)
