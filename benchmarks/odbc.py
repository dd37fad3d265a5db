"""Other databases: a query through pyodbc as a DataFrame, beside pandas.read_sql.

Time: both on the same connection, in one process. Memory: a new process each, on a
connection of the same string. That the rows are the same, to the last bit, is asserted
first, against what pyodbc itself fetches.

    python -m benchmarks.odbc STRING < requests     answers one request a line
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.data import ROOT, table
from benchmarks.harness import Bar, Case, CaseError, Group, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["groups"]

OURS, PANDAS = "pybridge `host.query`", "pandas.read_sql"
LITE = "select * from t limit {}"
POSTGRES = (
    "select i as id, i::int8 * 1000000007 as k, i % 100 as small, "
    "case when i % 20 > 0 then i * 1.25::float8 end as price, "
    "(i * 0.01)::numeric(12,2) as amount, 'word ' || i % 1000 as word, "
    "case when i % 7 > 0 then 'note ' || i end as note, i % 3 = 0 as flag, "
    "date '2000-01-01' + i % 9000 as day, "
    "timestamp '2000-01-01' + i * interval '1 second' as at "
    "from generate_series(1, {}) i"
)
MARIADB = (
    "select seq as id, cast(seq * 1000000007 as signed) as k, "
    "cast(seq % 100 as int) as small, "
    "if(seq % 20 > 0, cast(seq * 1.25 as double), null) as price, "
    "cast(seq * 0.01 as decimal(12,2)) as amount, "
    "concat('word ', seq % 1000) as word, "
    "if(seq % 7 > 0, concat('note ', seq), null) as note, seq % 3 = 0 as flag, "
    "date '2000-01-01' + interval seq % 9000 day as day, "
    "timestamp '2000-01-01 00:00:00' + interval seq second as at "
    "from seq_1_to_{}"
)
# What pybridge itself tells these drivers: pandas is to have the same connection. And
# that SQLite's driver is to give rows as it steps: it would hold the whole result.
TOLD = {
    "SQLite3": ";BigInt=1;StepAPI=1",
    "PostgreSQL": ";BoolsAsChar=0;UseDeclareFetch=1;Fetch=5000",
    "MariaDB": ";Charset=utf8mb4",
}


def _string(string: str) -> str:
    return string + next(more for name, more in TOLD.items() if name in string)


class _Odbc(Worker):
    """A process with one connection, which reads by either way."""

    def __init__(self, string: str) -> None:
        super().__init__(sys.executable, "-m", "benchmarks.odbc", string, cwd=ROOT)

    def ask(self, do: str, sql: str) -> float:
        """Send a request and return its figure."""
        answer = json.loads(self.line(json.dumps([do, sql])))
        if isinstance(answer, str):
            raise CaseError(answer)
        return float(answer)


def _times(name: str, string: str, sql: str, title: str) -> Group:
    group = Group(name, title, "ms")
    worker = _Odbc(string)
    worker.ask("check", sql)
    group.cases = [
        Case(OURS, partial(worker.ask, "ours", sql), worker.close),
        Case(PANDAS, partial(worker.ask, "pandas", sql)),
    ]
    group.bars = [Bar(f"{title}: time", OURS, (PANDAS,), 1)]
    return group


def _peak(string: str, sql: str, way: str) -> float:
    worker = _Odbc(string)
    try:
        return worker.ask(f"peak {way}", sql)
    finally:
        worker.close()


def _peaks(name: str, string: str, sql: str, title: str) -> Group:
    """Return how much memory both take; no bar where the driver takes as much again."""
    group = Group(f"{name} memory", f"peak memory of {title}", "MB")
    group.cases = [
        Case(OURS, partial(_peak, string, sql, "ours")),
        Case(PANDAS, partial(_peak, string, sql, "pandas")),
    ]
    group.notes = [
        "Above what the process had after a read of 1,000 rows; a new process a round."
    ]
    if "MariaDB" in string:
        group.notes.append(
            "No bar: this driver gives no rows as they come, it holds the whole result."
        )
    else:
        bar = Bar(f"{title}: peak memory", OURS, (PANDAS,), 0.5, faster=False)
        group.bars = [bar]
    return group


def groups(rows: int) -> Iterable[Group]:
    """Return the groups of this file."""
    from tests.databases import MariaDB, Postgres

    rows = min(rows, 200_000)
    words = f"{rows:,} rows x 10 columns"
    string = _string(f"Driver=SQLite3;Database={table(rows)}")
    yield _times("odbc sqlite", string, LITE.format(rows), f"ODBC, SQLite, {words}")
    yield _peaks("odbc sqlite", string, LITE.format(rows), f"ODBC, SQLite, {words}")
    for kind, name, query in (
        (Postgres, "PostgreSQL", POSTGRES),
        (MariaDB, "MariaDB", MARIADB),
    ):
        server = kind()
        group = f"odbc {kind.__name__.lower()}"
        try:
            string, sql = _string(server.string()), query.format(rows)
            yield _times(group, string, sql, f"ODBC, {name}, {words}")
            yield _peaks(group, string, sql, f"ODBC, {name}, {words}")
        finally:
            server.close()


# ---- The worker -------------------------------------------------------------------


def _readers(connection: Any) -> dict[str, Callable[[str], Any]]:
    import pandas as pd

    from pybridge import host

    return {
        "ours": lambda sql: host.query(sql, namespace=connection),
        "pandas": lambda sql: pd.read_sql(sql, connection),
    }


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def _measured(read: Callable[[str], Any], sql: str) -> float:
    begun = time.perf_counter()
    frame = read(sql)
    seconds = time.perf_counter() - begun
    assert len(frame)
    return seconds * 1e3


def _measured_peak(read: Callable[[str], Any], sql: str) -> float:
    """Return the peak in MB above what was there after a short read."""
    import gc

    read(f"select * from ({sql}) few limit 1000")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS:")
    frame = read(sql)
    assert len(frame)
    return (_status("VmHWM:") - before) * 1024 / 1e6


def _check(connection: Any, sql: str) -> float:
    """Assert that all cells are those that pyodbc fetches."""
    from pybridge import host

    wanted = list(map(tuple, connection.execute(sql).fetchall()))
    assert wanted == host.query(sql, None, "list", connection), "the rows differ"
    return 0.0


def _answer(connection: Any, do: str, sql: str) -> float:
    if do == "check":
        return _check(connection, sql)
    peak, _, way = do.rpartition(" ")
    read = _readers(connection)[way]
    return _measured_peak(read, sql) if peak else _measured(read, sql)


def _serve(string: str) -> None:
    import pyodbc

    warnings.simplefilter("ignore")  # pandas would rather have SQLAlchemy
    connection = pyodbc.connect(string, autocommit=True)
    for line in sys.stdin:
        try:
            answer: Any = _answer(connection, *json.loads(line))
        except Exception as exc:
            answer = f"{type(exc).__name__}: {exc}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
