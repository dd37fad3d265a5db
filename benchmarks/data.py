"""The data: a table of a million rows and ten columns, and the flights of 2013."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BUILD", "COLUMNS", "ROOT", "flights", "logged", "table"]

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
FLIGHTS = ROOT / "examples" / "flights"

SEED = 2013
NULLS = 0.05
WORDS = ("alpha", "beta", "gamma", "delta", "épsilon", "zeta", "eta", "theta")

# 4 int64, 3 float64, 2 short texts, 1 timestamp as ISO text; all but two have NULLs.
# Integers stay below 2**53, because most peers make floats of those with NULLs, and are
# declared bigint, because SQLite's ODBC driver cuts "integer" down to 32 bits.
COLUMNS = {
    "id": "integer primary key",
    "k": "bigint",
    "small": "bigint",
    "large": "bigint",
    "price": "real",
    "ratio": "real",
    "noise": "real",
    "word": "text",
    "code": "text",
    "at": "text",
}
WHOLE = ("id", "k")


def table(rows: int) -> Path:
    """Return a database with table `t` of so many rows, made when it is not there."""
    path = BUILD / f"t-{rows}.sqlite"
    if not path.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(unfinished)) as connection, connection:
            _fill(connection, rows)
        unfinished.replace(path)
    return path


def _fill(connection: sqlite3.Connection, rows: int) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    connection.execute(f"create table t ({columns})")
    connection.executemany(
        f"insert into t values ({', '.join('?' * len(COLUMNS))})", _rows(rows)
    )


def logged(rows: int) -> tuple[Path, sqlite3.Connection]:
    """Return the same in WAL mode, all rows in the log until the connection closes.

    The last connection to close copies the log into the file.
    """
    path = BUILD / f"t-{rows}-logged.sqlite"
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    keeper = sqlite3.connect(path, isolation_level=None)
    keeper.execute("pragma journal_mode = wal")
    keeper.execute("pragma wal_autocheckpoint = 0")
    keeper.execute("attach ? as other", (str(table(rows)),))
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    keeper.execute(f"create table main.t ({columns})")
    keeper.execute("insert into main.t select * from other.t")
    keeper.execute("detach other")
    return path, keeper


def _rows(rows: int) -> Iterator[tuple[Any, ...]]:
    random = np.random.default_rng(SEED)
    columns: dict[str, Any] = {
        "id": np.arange(1, rows + 1),
        "k": random.integers(-100_000, 100_000, rows),
        "small": random.integers(0, 100, rows),
        "large": random.integers(-(2**45), 2**45, rows),
        "price": np.round(random.gamma(2.0, 50.0, rows), 2),
        "ratio": random.random(rows),
        "noise": random.normal(0.0, 1e6, rows),
        "word": np.array(WORDS, dtype=object)[random.integers(0, len(WORDS), rows)],
        "code": [f"c{n:06d}" for n in random.integers(0, 1_000_000, rows).tolist()],
        "at": _times(random, rows),
    }
    cells = []
    for name in COLUMNS:
        column = list(columns[name].tolist() if name in WHOLE else columns[name])
        if name not in WHOLE:
            column = [getattr(cell, "item", lambda c=cell: c)() for cell in column]
            for i in np.flatnonzero(random.random(rows) < NULLS).tolist():
                column[i] = None
        cells.append(column)
    return zip(*cells, strict=True)


def _times(random: np.random.Generator, rows: int) -> list[str]:
    seconds = random.integers(0, 10 * 365 * 86_400, rows)
    times = np.datetime64("2015-01-01T00:00:00") + seconds.astype("timedelta64[s]")
    return [str(time) for time in np.datetime_as_string(times).tolist()]


def flights() -> Path:
    """Return the database of the demo, made when it is not there."""
    path = BUILD / "flights.sqlite"
    if not path.exists():
        sys.path.insert(0, str(FLIGHTS))
        from load import load

        load(path)
    return path
