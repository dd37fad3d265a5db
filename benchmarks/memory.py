"""Memory: how high a process goes while it reads the table into a frame."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.data import table
from benchmarks.harness import Case, CaseError, Group, Limit, quote
from benchmarks.read import GENERIC, QUERY, TABLE, best_batch, open_peer, peak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["groups"]

ALL = "select * from t"
WARM = "select * from t limit 1000"
PEERS = ("connectorx", "arrow-odbc", "turbodbc", "pyodbc", "pandas")


def _theirs(path: Path, peer: str, batch: int) -> dict[str, int]:
    worker = open_peer(path, peer, batch=batch)
    answer = worker.ask("peak", warm=WARM, sql=ALL)
    worker.close()
    return answer


def _case(name: str, measure: Callable[[], dict[str, int]]) -> Case:
    """Return a case whose figure is the peak as a multiple of the frame's size."""
    case = Case(name, lambda: 0.0)

    def run() -> float:
        answer = measure()
        case.note = f"frame of {answer['frame'] / 1e6:.0f} MB"
        return answer["peak"] / answer["frame"]

    case.run = run
    return case


def groups(rows: int) -> Iterable[Group]:
    """Return the group of this file; each round is a new process."""
    path = table(rows)
    group = Group("memory", f"peak memory of `{ALL}`", "x frame")
    warm = f"select py_query({quote(WARM)}, 'df')"
    query = f"select py_query({quote(ALL)}, 'df')"
    whole = "select py_table('t', 'df')"
    group.cases = [
        _case(QUERY, partial(peak, path, query, warm)),
        _case(GENERIC, partial(peak, path, query, warm, pages=False)),
        _case(TABLE, partial(peak, path, whole, warm)),
    ]
    try:
        batch = best_batch(path, ALL, 1)
    except CaseError:
        batch = 0
    for name in ("adbc", *PEERS):
        group.cases.append(_case(name, partial(_theirs, path, name, batch)))
    group.bars = [
        Limit("peak memory of py_query, in frames", QUERY, 1.2),
        Limit("the same not by pages, in frames", GENERIC, 1.2),
    ]
    group.notes = [
        "Above what the process had after a read of 1,000 rows; a new process a round."
    ]
    yield group
