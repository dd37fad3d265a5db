"""Functions: a Python function for each row, and one for a whole column."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.data import table
from benchmarks.harness import (
    LIBRARY,
    Bar,
    Case,
    CaseError,
    Group,
    Host,
    Peer,
    quote,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["groups"]

OURS = "pybridge `py_define`, scalar"
APSW = "apsw"
THREADED = "apsw in a process with a second thread, as pybridge's always is"
SQLITE3 = "sqlite3 module"
ATTACHED = "pybridge, loaded into apsw's SQLite"
OPTIONS = '{"arity": 1, "deterministic": true}'
REPEATS = 3  # the best of so many is one round's figure: a net time is a difference

INTEGERS = (
    "create table u as with recursive s(x) as "
    "(select 1 union all select x + 1 from s limit {}) "
    "select x, 'text ' || x as s from s"
)


def _net(sql: Callable[[str], float], call: str, plain: str, rows: int) -> float:
    """Return what `call` costs above `plain`, in ns per row."""
    with_calls, without = [], []
    for _ in range(REPEATS):
        with_calls.append(sql(call))
        without.append(sql(plain))
    return (min(with_calls) - min(without)) / rows * 1e9


@dataclass
class Scalar:
    """A function f of one argument, a query that calls it, and one that does not."""

    name: str
    source: str
    call: str
    plain: str
    rows: int

    @property
    def title(self) -> str:
        """Return the group's title."""
        return f"`{self.call}` less `{self.plain}`, f = `{self.source}`"

    @property
    def define(self) -> str:
        """Return the SQL that defines f by the library."""
        return (
            f"select py_define('f', 'scalar', {quote(self.source)}, {quote(OPTIONS)})"
        )

    def net(self, sql: Callable[[str], float]) -> float:
        """Return what the calls cost above the query, in ns per row."""
        return _net(sql, self.call, self.plain, self.rows)


def _ours(scalar: Scalar) -> Case:
    worker = Host(":memory:")
    worker.sql(INTEGERS.format(scalar.rows))
    worker.sql(scalar.define)
    case = Case(
        OURS, lambda: scalar.net(lambda text: worker.sql(text)[0]), worker.close
    )
    case.note = worker.sql(scalar.call)[1]
    return case


def _theirs(name: str, peer: str, scalar: Scalar, wanted: str) -> Case:
    setup = [INTEGERS.format(scalar.rows)]
    if peer == "attached":
        worker = Peer(":memory:", peer, sys.executable)
        setup += [f"select load_extension({quote(str(LIBRARY))})", scalar.define]
    else:
        worker = Peer(":memory:", peer)
    worker.ask("define", source=f"f = {scalar.source}", setup=setup)
    came = str(worker.ask("sql", sql=scalar.call)["value"])
    if came != wanted:
        raise CaseError(f"another result: {came}, not {wanted}")

    def seconds(text: str) -> float:
        return float(worker.ask("sql", sql=text)["seconds"])

    return Case(name, lambda: scalar.net(seconds), worker.close)


def _scalar(scalar: Scalar) -> Group:
    group = Group(scalar.name, scalar.title, "ns a row")
    case = _ours(scalar)
    wanted, case.note = case.note, "the GIL is given back between rows"
    group.cases.append(case)
    peers = (
        (APSW, "apsw"),
        (THREADED, "threaded"),
        (SQLITE3, "sqlite3"),
        (ATTACHED, "attached"),
    )
    for title, peer in peers:
        start(group, title, partial(_theirs, title, peer, scalar, wanted))
    return group


def _aggregate(path: Path, column: str) -> Group:
    """Compare `sum` with numpy's, called once with the whole column."""
    group = Group(f"aggregate-{column}", f"`sum({column})` over table `t`", "ms")
    worker = Host(path)
    worker.python("import numpy as np")
    worker.sql("select py_define('vsum', 'aggregate', 'np.sum', '{\"arity\": 1}')")
    builtin, ours = f"select sum({column}) from t", f"select vsum({column}) from t"
    wanted, came = float(worker.sql(builtin)[1]), float(worker.sql(ours)[1])
    if abs(wanted - came) > 1e-9 * abs(wanted):
        raise CaseError(f"another result: {came}, not {wanted}")

    def case(name: str, sql: str) -> Case:
        def run() -> float:
            return min(worker.sql(sql)[0] for _ in range(REPEATS)) * 1e3

        return Case(name, run)

    group.cases = [case("pybridge, `numpy.sum`", ours), case("built-in", builtin)]
    group.cases[0].close = worker.close
    group.bars = [
        Bar(
            f"vectorised aggregate, built-in sum({column})",
            "pybridge, `numpy.sum`",
            ("built-in",),
            1.15,
            faster=False,
        )
    ]
    return group


def groups(rows: int) -> Iterable[Group]:
    """Return the groups of this file."""
    call, plain = "select sum(f(x)) from u", "select sum(x) from u"
    group = _scalar(Scalar("scalar", "lambda x: x + 1", call, plain, rows))
    group.bars = [
        Bar("scalar function, int → int, apsw", OURS, (APSW,), 1.05, faster=False),
        Bar("scalar function, int → int, sqlite3", OURS, (SQLITE3,), 0.9, faster=False),
        Bar("the same by apsw's SQLite, apsw", ATTACHED, (APSW,), 1.05, faster=False),
        Bar("the same, apsw beside a thread", ATTACHED, (THREADED,), 0, faster=False),
    ]
    yield group
    call, plain = "select sum(length(f(s))) from u", "select sum(length(s)) from u"
    group = _scalar(Scalar("scalar-text", "lambda s: s.upper()", call, plain, rows))
    group.bars = [
        Bar("the same, text → text, apsw", OURS, (APSW,), 0, faster=False),
        Bar("text → text by apsw's SQLite, apsw", ATTACHED, (APSW,), 0, faster=False),
        Bar("the same, text → text, sqlite3", OURS, (SQLITE3,), 0, faster=False),
    ]
    yield group
    path = table(rows)
    for column in ("k", "small", "ratio"):
        yield _aggregate(path, column)
