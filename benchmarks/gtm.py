"""GT.M: globals as frames and frames as globals, beside M's own bare loops."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.data import ROOT
from benchmarks.harness import Bar, Case, CaseError, Group, Worker
from pybridge.errors import BadArgument
from pybridge.gtm.install import install

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["groups"]

READ = "`$$ExecuteGlobal` to a DataFrame"
READ_FLOOR = "the bare M loop, `$order` and get"
NAIVE = "a Python call for each row"
CSV = "CSV from M, `pandas.read_csv`"
WRITE = "`$$WriteGlobal` of a DataFrame"
WRITE_FLOOR = "the bare M loop of sets"
PART = 20  # a call for each row is timed on one part of so many, and scaled

# What M holds as text, with the types that it means.
COLUMNS = "['k','name','a','b','c','d','city','e','f']"
EQUAL = (
    "(lambda x, y: x.equals(y) and len(x) > 0)"
    f"(csv.set_axis({COLUMNS}, axis=1), df.set_axis({COLUMNS}, axis=1))"
)
PREPARE = "[globals().__setitem__('fields', df.drop(columns='globalKey'))] and 1"


class _M(Worker):
    """A process of GT.M that runs benchmarks/gtm.m."""

    def __init__(self, directory: Path) -> None:
        database = install(directory)
        shutil.copy(ROOT / "benchmarks" / "gtm.m", database.routines)
        super().__init__("/bin/sh", "-c", f". {database.environment}; mumps -run gtm")

    def ask(self, line: str) -> float:
        """Run a label and return its milliseconds."""
        answer = self.line(line).strip()
        if answer.startswith("error"):
            raise CaseError(answer)
        return float(answer)


def groups(rows: int) -> Iterable[Group]:
    """Return the group of this file."""
    group = Group("gtm", f"GT.M, {rows:,} records of 8 fields", "ms")
    folder = Path(tempfile.mkdtemp(prefix="gtm-"))
    try:
        m = _M(folder)
    except BadArgument as missing:
        group.notes.append(str(missing))
        shutil.rmtree(folder)
        yield group
        return
    file = folder / "rows.csv"

    m.ask(f"fill({rows})")
    m.ask("execute")
    m.ask(f'csv("{file}")')
    m.ask(f'python("{EQUAL}")')
    m.ask(f'python("{PREPARE}")')
    m.ask("write")
    m.ask(f"same({rows})")

    def close() -> None:
        m.close()
        shutil.rmtree(folder)

    group.cases = [
        Case(READ, lambda: m.ask("execute"), close),
        Case(READ_FLOOR, lambda: m.ask("read")),
        Case(
            NAIVE,
            lambda: m.ask(f"naive({rows // PART})") * PART,
            note=f"1/{PART} of the rows, scaled",
        ),
        Case(CSV, lambda: m.ask(f'csv("{file}")')),
        Case(WRITE, lambda: m.ask("write")),
        Case(WRITE_FLOOR, lambda: m.ask(f"set({rows})")),
    ]
    group.bars = [
        Bar("global to DataFrame, M's floor", READ, (READ_FLOOR,), 1.75, faster=False),
        Bar("global to DataFrame, a call a row", READ, (NAIVE,), 8),
        Bar("global to DataFrame, through CSV", READ, (CSV,), 3),
        Bar("DataFrame to global, M's floor", WRITE, (WRITE_FLOOR,), 3.5, faster=False),
    ]
    yield group
