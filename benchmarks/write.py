"""Writing: a DataFrame into a new table of a new database file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from benchmarks.data import BUILD, table
from benchmarks.harness import Bar, Case, CaseError, Group, Host, Peer, quote, start

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["groups"]

OURS = "pybridge `py_write`"
ADBC = "ADBC ingest"
PANDAS = "`DataFrame.to_sql` on sqlite3"


def check(original: Path, written: Path) -> None:
    """Raise unless table `w` holds what table `t` of `original` holds."""
    with closing(sqlite3.connect(written)) as connection:
        connection.execute("attach ? as o", (str(original),))
        counts = {
            connection.execute(f"select count(*) from {name}").fetchone()[0]
            for name in ("w", "o.t")
        }
        other = connection.execute(
            "select count(*) from (select * from w except select * from o.t)"
        ).fetchone()[0]
    if len(counts) != 1 or other:
        raise CaseError(f"another result: {counts} rows, {other} of them different")


def _new() -> Path:
    """Return the path of a database that does not exist.

    A new file each time: writing over one that has been synced takes twice as long.
    """
    path = BUILD / "written.sqlite"
    for end in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    return path


def _ours(original: Path, pickle: Path) -> Case:
    """One host for all rounds; each round attaches a new database file."""
    worker = Host(original)
    worker.sql("select py_query('select * from t', 'df')")
    worker.python(f"df.to_pickle({str(pickle)!r})")

    def run() -> float:
        path = _new()
        worker.sql(f"attach {quote(str(path))} as d")
        worker.sql("pragma d.synchronous = off")
        seconds, _ = worker.sql("select py_write('df', 'd.w', 'fail')")
        worker.sql("detach d")
        return seconds * 1e3

    run()
    check(original, BUILD / "written.sqlite")
    return Case(OURS, run, worker.close)


def _theirs(name: str, peer: str, original: Path, pickle: Path) -> Case:
    worker = Peer("", peer)
    worker.ask("load", pickle=str(pickle))

    def run() -> float:
        return float(worker.ask("write", path=str(_new()))["seconds"]) * 1e3

    run()
    check(original, BUILD / "written.sqlite")
    return Case(name, run, worker.close)


def groups(rows: int) -> Iterable[Group]:
    """Return the group of this file."""
    path = table(rows)
    pickle = BUILD / "write.pickle"
    group = Group("write", f"a frame of {rows:,} rows x 10 columns → table", "ms")
    group.cases.append(_ours(path, pickle))
    start(group, ADBC, lambda: _theirs(ADBC, "adbc", path, pickle))
    start(group, PANDAS, lambda: _theirs(PANDAS, "pandas", path, pickle))
    group.bars = [
        Bar("py_write, ADBC ingest", OURS, (ADBC,), 1.5),
        Bar("py_write, DataFrame.to_sql", OURS, (PANDAS,), 5),
    ]
    group.notes = ["A new file each round, `synchronous = off`, the commit included."]
    yield group
