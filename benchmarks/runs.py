"""Runs of declared functions, beside the original: digitalhub 0.10 with its runtime."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.data import ROOT
from benchmarks.harness import Bar, Case, CaseError, Group, Limit, Worker, start
from benchmarks.start import PYTHON as BARE_PYTHON
from benchmarks.start import case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["groups"]

ORIGINAL = ROOT / ".venv-bench-digitalhub" / "bin" / "python"
SCRIPT = ROOT / "benchmarks" / "runtime.py"
BARE = "from benchmarks import bare; bare.main()"
OURS, THEIRS = "pybridge.functions", "digitalhub 0.10"
FORK = "multiprocessing's forkserver, pandas loaded, nothing of ours"


class _Runtime(Worker):
    """One of the two, in an environment and a folder of its own."""

    def __init__(self, which: str, python: str | Path) -> None:
        self.folder = tempfile.mkdtemp(prefix=f"runs-{which}-")
        if not Path(python).exists():
            raise CaseError(f"{python} is not there; benchmarks/setup.sh makes it")
        super().__init__(python, SCRIPT, which, self.folder, cwd=ROOT)

    def ask(self, what: str) -> Any:
        """Ask for something, and return it."""
        answer = json.loads(self.line(json.dumps(what)))
        if "error" in answer:
            raise CaseError(answer["error"])
        return answer["answer"]

    def close(self) -> None:
        """End the process, and remove what it kept."""
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _missing(problem: str) -> Callable[[], float]:
    def run() -> float:
        raise CaseError(problem)

    return run


def _once(ask: Callable[[], float]) -> Callable[[], float]:
    """Return what asks one time only: the rounds have the figure of the first."""
    figures: list[float] = []

    def run() -> float:
        if not figures:
            figures.append(ask())
        return figures[0]

    return run


class _Both:
    """The two runtimes; the original may not be there."""

    def __init__(self) -> None:
        self.ours = _Runtime("ours", sys.executable)
        self.problem = ""
        wanted = self.ours.ask("check")
        try:
            self.theirs: _Runtime | None = _Runtime("original", ORIGINAL)
            found = self.theirs.ask("check")
        except CaseError as problem:
            self.theirs, self.problem = None, str(problem)
            return
        if wanted != found:
            raise CaseError(f"ours gives {wanted}, the original {found}")

    def cases(self, what: str) -> list[Case]:
        """Return the cases of one thing that both can do."""
        return [
            Case(OURS, partial(self.ours.ask, what)),
            Case(THEIRS, self.of_original(what)),
        ]

    def of_original(self, what: str) -> Callable[[], float]:
        """Return what asks the original for something."""
        if self.theirs is None:
            return _missing(self.problem)
        return partial(self.theirs.ask, what)

    def close(self) -> None:
        """End both."""
        self.ours.close()
        if self.theirs is not None:
            self.theirs.close()


def _trivial(both: _Both) -> Group:
    group = Group("runs trivial", "a run of `x + 1` in the caller's process", "ms")
    group.cases = both.cases("run_trivial")
    group.bars = [
        Bar("trivial run in process", OURS, (THEIRS,), 1, faster=False),
    ]
    group.notes = [
        "Ours is in a store on disk when it ends; the original's is nowhere."
    ]
    return group


def _table(both: _Both) -> Group:
    group = Group("runs table", "a run with 1000 x 2 as csv in, parquet out", "ms")
    group.cases = both.cases("run_table")
    group.bars = [Bar("1000 x 2 table in and out", OURS, (THEIRS,), 2.5)]
    group.notes = ["The original wants an S3: moto's, on this machine."]
    return group


def _isolated(both: _Both) -> Group:
    group = Group("runs isolated", "a run of `x + 1` in a process of its own", "ms")
    bare = Worker(sys.executable, "-c", BARE, cwd=ROOT)
    bare.line("")
    both.ours.ask("isolated")
    group.cases = [
        Case(OURS, partial(both.ours.ask, "isolated")),
        Case(FORK, lambda: float(bare.line("")), bare.close),
    ]
    group.bars = [Bar("isolated warm run", OURS, (FORK,), 2, faster=False)]
    group.notes = ["Ours has the run's log, directory, limits and states besides."]
    return group


def _wait(both: _Both) -> Group:
    group = Group("runs wait", "`wait()` on a run that has ended", "ms")
    group.cases = both.cases("wait")
    group.cases[1].run = _once(group.cases[1].run)
    group.cases[1].note = "measured once"
    group.bars = [
        Limit("`wait()` on a run that has ended", OURS, 10, "ms"),
        Bar("the same, original", OURS, (THEIRS,), 0),
    ]
    return group


def _race(both: _Both) -> Group:
    group = Group("runs race", "4 threads x 50 runs of four functions", "wrong of 200")
    group.cases = both.cases("race")
    for one in group.cases:
        one.run = partial(_wrong, one, one.run)
    group.cases[1].run = _once(group.cases[1].run)
    group.bars = [Limit("4 threads x 50 runs of four functions", OURS, 0, "wrong")]
    return group


def _wrong(one: Case, ask: Callable[[], Any]) -> float:
    found = ask()
    one.note = ", ".join(f"{name} {number}" for name, number in found.items())
    return float(found["of"] - found["right"])


def _import(both: _Both) -> Group:
    group = Group("runs import", "import, a whole process", "ms")
    ours, every = "import pybridge.functions", "the same, and every name of it used"
    theirs = "import digitalhub"
    names = (
        "import pybridge.functions as dh; [getattr(dh, name) for name in dh.__all__]"
    )
    group.cases = [
        case(ours, sys.executable, "-c", ours, each=3),
        case(every, sys.executable, "-c", names, each=3),
        case(theirs, str(ORIGINAL), "-c", theirs, each=1),
        case(BARE_PYTHON, sys.executable, "-c", "pass", each=3),
    ]
    if both.theirs is None:
        group.cases[2].run = _missing(both.problem)
    group.bars = [
        Bar(ours, ours, (theirs,), 0.15, faster=False),
        Bar("every name of it", every, (theirs,), 0.15, faster=False),
    ]
    return group


def _build(both: _Both) -> Group:
    group = Group("runs build", "a build that has been made before", "ms")

    def first() -> Case:
        both.ours.ask("build")
        return Case(OURS, partial(both.ours.ask, "build"))

    start(group, OURS, first)
    group.bars = [Limit("second identical build", OURS, 100, "ms")]
    return group


def groups(rows: int) -> Iterable[Group]:  # noqa: ARG001 (each file's has it)
    """Return the groups of this file."""
    both = _Both()
    try:
        for make in (_trivial, _table, _isolated, _wait, _race, _import, _build):
            yield make(both)
    finally:
        both.close()
