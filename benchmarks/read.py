"""Reading: a query, or a whole table, as a pandas DataFrame."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.data import BUILD, flights, logged, table
from benchmarks.harness import Bar, Case, CaseError, Group, Host, Peer, quote, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = [
    "GENERIC",
    "QUERY",
    "TABLE",
    "best_batch",
    "groups",
    "host",
    "open_peer",
    "peak",
]

ALL = "select * from t"
QUERY = "pybridge `py_query`"
GENERIC = "pybridge `py_query`, `pages` off"
TABLE = "pybridge `py_table`"
ADBC = "ADBC"
PANDAS = "`pandas.read_sql` on sqlite3"
PYODBC = "`pandas.read_sql` on pyodbc"
CONNECTORX = ("connectorx", "connectorx, by way of Arrow", "connectorx, 2 partitions")
DRIVERS = (ADBC, *CONNECTORX, "arrow-odbc", "turbodbc")
SLOW = (PYODBC, "arrow-odbc", "turbodbc")  # known to be, from the first group
BATCHES = (1024, 16_384, 65_536, 262_144)


# ---- Equality ---------------------------------------------------------------------


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the values in the dtypes that all peers can show them in.

    An integer column with NULLs is Int64 for one and float64 for the other, text is
    `str` or `object`, a missing value None, NaN or NA.
    """
    columns = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any():
            columns[name] = pd.Series(column.to_numpy(dtype=np.int64))
        elif pd.api.types.is_numeric_dtype(column.dtype):
            cells = column.to_numpy(dtype=np.float64, na_value=np.nan)
            columns[name] = pd.Series(cells)
        else:
            text = column.astype(object)
            columns[name] = pd.Series(text.where(column.notna(), None).astype(object))
    return pd.DataFrame(columns)


def check(wanted: Path, came: Path, order: str = "") -> str:
    """Compare two pickled frames; return what is not quite the same.

    With `order`, the rows may come in any order and are put in that of this column.
    SQLite's ODBC driver hands floats over with 15 digits: that is let pass, and said.

    Raises:
        CaseError: They differ by more.
    """
    left = plain(pd.read_pickle(wanted))  # noqa: S301 (made a moment ago)
    right = plain(pd.read_pickle(came))  # noqa: S301
    came.unlink()
    if order:
        left = left.sort_values(order, ignore_index=True)
        right = right.sort_values(order, ignore_index=True)
    if left.equals(right):
        return ""
    try:
        pd.testing.assert_frame_equal(left, right, rtol=1e-14, atol=0)
    except AssertionError as problem:
        words = " ".join(str(problem).split())
        raise CaseError(f"another result: {words[:160]}") from None
    return "floats have 15 digits only"


# ---- Cases ------------------------------------------------------------------------


def host(path: Path, sql: str, save: Path | None = None, *, pages: bool = True) -> Case:
    """Return the case of one SQL statement that makes the frame `df`."""
    worker = Host(path)
    worker.sql(f"select py_option('pages', {int(pages)})")
    worker.sql(sql)
    if save is not None:
        worker.python(f"df.to_pickle({str(save)!r})")

    def run() -> float:
        worker.python("del df")
        return worker.sql(sql)[0] * 1e3

    _, way = worker.sql("select py_option('scanned')")
    return Case("", run, worker.close, f"by {way}")


def _alike(name: str, case: Case, wanted: Path, came: Path) -> Case:
    """Return another case of ours, whose frame must be the one that is wanted."""
    case.name = name
    check(wanted, came)
    return case


def open_peer(path: Path, peer: str, **options: Any) -> Peer:
    """Start a peer and connect it."""
    worker = Peer(path, peer)
    worker.ask("open", options=options)
    return worker


def _theirs(
    name: str, path: Path, query: str, wanted: Path, peer: str, **options: Any
) -> Case:
    worker = open_peer(path, peer, **options)
    came = wanted.with_suffix(".came")
    worker.ask("read", sql=query, save=str(came))
    return Case(
        name,
        lambda: float(worker.ask("read", sql=query)["seconds"]) * 1e3,
        worker.close,
        check(wanted, came, options.get("partition", [""])[0]),
    )


def best_batch(path: Path, query: str, rounds: int = 2) -> int:
    """Return the batch size at which ADBC is fastest here."""
    seconds = {}
    for batch in BATCHES:
        worker = open_peer(path, "adbc", batch=batch)
        times = [worker.ask("read", sql=query)["seconds"] for _ in range(rounds + 1)]
        seconds[batch] = min(times[1:])
        worker.close()
    return min(seconds, key=lambda batch: seconds[batch])


def _makers(
    path: Path, query: str, wanted: Path, partition: str
) -> Iterable[tuple[str, Callable[[], Case]]]:
    def theirs(name: str, peer: str, **options: Any) -> tuple[str, Callable[[], Case]]:
        return name, partial(_theirs, name, path, query, wanted, peer, **options)

    def adbc() -> Case:
        batch = best_batch(path, query)
        case = _theirs(ADBC, path, query, wanted, "adbc", batch=batch)
        case.note = f"batches of {batch:,} rows, the best of {len(BATCHES)} sizes"
        return case

    yield ADBC, adbc
    yield theirs(CONNECTORX[0], "connectorx")
    yield theirs(CONNECTORX[1], "connectorx", arrow=True)
    if partition:
        yield theirs(CONNECTORX[2], "connectorx", partition=(partition, 2))
    yield theirs("arrow-odbc", "arrow-odbc")
    yield theirs("turbodbc", "turbodbc")
    yield theirs(PYODBC, "pyodbc")
    yield theirs(PANDAS, "pandas")


@dataclass
class Reading:
    """What is read: a query, and for py_table the table that it is all of."""

    name: str
    path: Path
    query: str
    size: str = ""
    whole: str = ""
    partition: str = ""
    leave_out: tuple[str, ...] = ()

    def group(self, *bars: Bar) -> Group:
        """Start ours and all peers, and compare their results with ours."""
        group = Group(self.name, f"`{self.query}`{self.size}", "ms", bars=list(bars))
        wanted = BUILD / f"{self.name}.pickle"
        came = wanted.with_suffix(".came")
        sql = f"select py_query({quote(self.query)}, 'df')"
        group.cases.append(host(self.path, sql, wanted))
        group.cases[0].name = QUERY
        case = host(self.path, sql, came, pages=False)
        group.cases.append(_alike(GENERIC, case, wanted, came))
        if self.whole:
            sql = f"select py_table({quote(self.whole)}, 'df')"
            case = host(self.path, sql, came)
            group.cases.append(_alike(TABLE, case, wanted, came))
        for peer, make in _makers(self.path, self.query, wanted, self.partition):
            if peer not in self.leave_out:
                start(group, peer, make)
        return group


def groups(rows: int) -> Iterable[Group]:
    """Return the groups of this file."""
    path = table(rows)
    size = f", {rows:,} rows x 10 columns"
    yield Reading("read", path, ALL, size, "t", "id").group(
        Bar("py_query → DataFrame, fastest driver", QUERY, DRIVERS, 2.5),
        Bar("py_query → DataFrame, pyodbc + pandas", QUERY, (PYODBC,), 18),
        Bar("py_query → DataFrame, pandas.read_sql", QUERY, (PANDAS,), 10),
        Bar("py_query not by pages, fastest driver", GENERIC, DRIVERS, 2.5),
        Bar("py_query not by pages, pyodbc + pandas", GENERIC, (PYODBC,), 18),
        Bar("py_query not by pages, pandas.read_sql", GENERIC, (PANDAS,), 10),
        Bar("py_table, fastest driver", TABLE, DRIVERS, 6),
        Bar("py_table, pyodbc + pandas", TABLE, (PYODBC,), 40),
    )
    size = ", 336,776 rows x 19 columns"
    yield Reading(
        "flights", flights(), "select * from flights", size, "flights", leave_out=SLOW
    ).group(
        Bar("the same, flights", QUERY, DRIVERS, 2.5),
        Bar("py_query not by pages, flights", GENERIC, DRIVERS, 2.5),
        Bar("py_table, flights", TABLE, DRIVERS, 6),
    )
    query = "select id, k, price, word, at from t where small < 30"
    yield Reading("where", path, query, leave_out=SLOW).group(
        Bar("py_query, a filter", QUERY, DRIVERS, 2.5),
        Bar("py_query not by pages, a filter", GENERIC, DRIVERS, 0),
    )
    query = "select id, k, price, word, at from t where word in ('delta', 'x', 'y')"
    query += " or code like 'c10%'"
    yield Reading("chosen", path, query, leave_out=SLOW).group(
        Bar("py_query, IN and LIKE", QUERY, DRIVERS, 2.5),
        Bar("py_query not by pages, IN and LIKE", GENERIC, DRIVERS, 0),
    )
    query = "select * from t order by noise, id limit 200000"
    yield Reading("sorted", path, query, leave_out=SLOW).group(
        Bar("py_query, a sort", QUERY, DRIVERS, 2.5),
        Bar("py_query not by pages, a sort", GENERIC, DRIVERS, 0),
    )
    path, keeper = logged(rows)
    with closing(keeper):
        size = f", {rows:,} rows x 10 columns, all in the write-ahead log"
        yield Reading("logged", path, ALL, size, "t", leave_out=SLOW).group(
            Bar("py_query, a write-ahead log", QUERY, DRIVERS, 2.5),
            Bar("py_query not by pages, a log", GENERIC, DRIVERS, 0),
            Bar("py_table, a write-ahead log", TABLE, DRIVERS, 6),
        )


# ---- Memory -----------------------------------------------------------------------

# One line, because the host takes a statement per line.
_STATUS = (
    "[int(l.split()[1]) * 1024 for l in open('/proc/self/status') "
    "if l.startswith('{}:')][0]"
)


def peak(path: Path, sql: str, warm: str, *, pages: bool = True) -> dict[str, int]:
    """Return the peak above the base, and the frame's size, of one statement."""
    worker = Host(path)
    worker.sql(f"select py_option('pages', {int(pages)})")
    worker.sql(warm)
    worker.python("del df; import gc; gc.collect()")
    base = f"select py_eval({quote(_STATUS.format('VmRSS'))})"
    high = f"select py_eval({quote(_STATUS.format('VmHWM'))})"
    worker.sql(high)
    worker.sql(base)
    worker.python("open('/proc/self/clear_refs', 'w').write('5')")
    before = int(worker.sql(base)[1])
    worker.sql(sql)
    top = int(worker.sql(high)[1])
    size = "select py_eval('int(df.memory_usage(deep=True).sum())')"
    answer = {"peak": top - before, "frame": int(worker.sql(size)[1])}
    worker.close()
    return answer
