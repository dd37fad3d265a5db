"""How things are compared: workers, interleaved rounds, medians, ratios, tables.

What is compared runs in a process of its own, which lives as long as its group: it has
imported what it needs and warmed up before anything is timed. Then each round runs
every case of the group once, in random order, so that what disturbs the machine
disturbs all of them. A ratio is one of medians within one group; beside it stands how
far the ratio of single rounds went.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
from collections.abc import Callable  # noqa: TC003 (the dataclasses name it)
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.data import BUILD, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.progress import Progress

__all__ = [
    "LIBRARY",
    "PEERS",
    "Bar",
    "Case",
    "CaseError",
    "Group",
    "Host",
    "Limit",
    "Peer",
    "Worker",
    "quote",
    "start",
]

LIBRARY = ROOT / "pybridge" / "libpybridge"
PEERS = ROOT / ".venv-bench" / "bin" / "python"


class CaseError(Exception):
    """What was told to run has answered with an error, or not at all."""


def quote(text: str) -> str:
    """Return an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


# ---- Workers ----------------------------------------------------------------------


class Worker:
    """A process that answers each line with a line."""

    def __init__(self, *command: str | Path, cwd: Path = BUILD) -> None:
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )

    def line(self, request: str) -> str:
        """Send one line and return the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise CaseError(f"the process ended with {self.process.wait()}")
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Host(Worker):
    """The C program with SQLite and pybridge in it."""

    def __init__(self, database: str | Path) -> None:
        super().__init__(BUILD / "host", database, LIBRARY)

    def sql(self, text: str) -> tuple[float, str]:
        """Run one statement; return its seconds and its first cell."""
        assert "\n" not in text
        first, _, rest = self.line(text).rstrip("\n").partition("\t")
        if first == "error":
            raise CaseError(rest)
        return float(first), rest

    def python(self, code: str) -> None:
        """Run Python code, lines parted by semicolons."""
        self.sql(f"select py_exec({quote(code)})")


class Peer(Worker):
    """One of the other drivers."""

    def __init__(
        self, database: str | Path, peer: str, python: str | Path = PEERS
    ) -> None:
        super().__init__(python, ROOT / "benchmarks" / "peers.py", database, peer)

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer."""
        answer: dict[str, Any] = json.loads(
            self.line(json.dumps({"do": do, **request}))
        )
        if "error" in answer:
            raise CaseError(answer["error"])
        return answer


# ---- Cases, groups, bars ----------------------------------------------------------


@dataclass
class Case:
    """One thing that is timed: `run` does one round and returns its figure."""

    name: str
    run: Callable[[], float]
    close: Callable[[], None] = lambda: None
    note: str = ""
    figures: list[float] = field(default_factory=list)
    failure: str = ""

    @property
    def median(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.figures)


@dataclass
class Bar:
    """A limit on a ratio: at least so much faster than, or at most so much of."""

    what: str
    ours: str
    others: tuple[str, ...]
    limit: float  # 0 = no limit is set, the ratio is for information
    faster: bool = True

    def judge(self, group: Group) -> dict[str, Any]:
        """Return the ratio against the fastest of the others, and whether it holds."""
        cases = {case.name: case for case in group.cases if case.figures}
        others = [cases[name] for name in self.others if name in cases]
        row: dict[str, Any] = {
            "what": self.what,
            "limit": f"{'>=' if self.faster else '<='} {self.limit:g} x"
            if self.limit
            else "",
            "ours": self.ours,
        }
        if self.ours not in cases or not others:
            return {**row, "against": ", ".join(self.others), "pass": None}
        ours, other = cases[self.ours], min(others, key=lambda case: case.median)
        pairs = list(zip(ours.figures, other.figures, strict=True))
        ratios = [o / w if self.faster else w / o for w, o in pairs]
        ratio = (
            other.median / ours.median if self.faster else ours.median / other.median
        )
        holds = ratio >= self.limit if self.faster else ratio <= self.limit
        return {
            **row,
            "against": other.name,
            "ratio": ratio,
            "low": min(ratios),
            "high": max(ratios),
            "pass": holds,
        }


@dataclass
class Limit:
    """A limit on a figure by itself: a ratio already, a time, a number of things."""

    what: str
    ours: str
    limit: float
    unit: str = "x"

    def judge(self, group: Group) -> dict[str, Any]:
        """Return the figure, and whether it is low enough."""
        row = {
            "what": self.what,
            "limit": f"<= {self.limit:g} {self.unit}",
            "unit": self.unit,
            "ours": self.ours,
        }
        for case in group.cases:
            if case.name == self.ours and case.figures:
                return {
                    **row,
                    "against": "",
                    "ratio": case.median,
                    "low": min(case.figures),
                    "high": max(case.figures),
                    "pass": case.median <= self.limit,
                }
        return {**row, "against": "", "pass": None}


@dataclass
class Group:
    """Cases that are measured together, and the bars on them."""

    name: str
    title: str
    unit: str  # "ms", "ns", "MB"
    cases: list[Case] = field(default_factory=list)
    bars: list[Bar | Limit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def measure(self, rounds: int, progress: Progress) -> None:
        """Run all cases in random order, `rounds` times."""
        shuffler = random.Random(0)  # noqa: S311 (an order, no secret)
        task = progress.add_task(self.title, total=rounds)
        for _ in range(rounds):
            for case in shuffler.sample(self.cases, len(self.cases)):
                if case.failure:
                    continue
                try:
                    case.figures.append(case.run())
                except CaseError as problem:
                    case.failure = str(problem)
                    case.figures.clear()
            progress.advance(task)
        progress.remove_task(task)

    def close(self) -> None:
        """End what the cases keep running."""
        for case in self.cases:
            case.close()

    def as_json(self) -> dict[str, Any]:
        """Return figures and bars as plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "cases": [
                {
                    "name": case.name,
                    "note": case.note,
                    "failure": case.failure,
                    "figures": case.figures,
                    "median": case.median if case.figures else None,
                }
                for case in self.cases
            ],
            "bars": [bar.judge(self) for bar in self.bars],
            "notes": self.notes,
        }


def start(group: Group, name: str, make: Callable[[], Case | Iterable[Case]]) -> None:
    """Add what `make` returns; where that fails, add the failure."""
    try:
        made = make()
    except (CaseError, OSError) as problem:
        made = Case(name, lambda: 0.0, failure=str(problem))
    group.cases += [made] if isinstance(made, Case) else list(made)
