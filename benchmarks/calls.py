"""Calls: what calls.c measures, brought into the form of the other groups."""

from __future__ import annotations

import subprocess
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.data import BUILD
from benchmarks.harness import LIBRARY, Bar, Case, CaseError, Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["groups"]

FLOOR = "PyEval_RestoreThread, vectorcall, PyEval_SaveThread"
CALL = "`pyb_call`, int → int"
FOREIGN = "`pyb_call`, from a thread that Python has never seen"
OBJECT = "`pyb_object_call` of a function"
HANDLE = "`pyb_handle_call` of a method"
RUN = 'PyRun_SimpleString("1+1")'
EVAL = "SQL `py_eval('1+1')`, stepping the prepared statement included"
NAMES = {
    "floor": FLOOR,
    "pyb_call": CALL,
    "foreign_ensure": "PyGILState_Ensure, vectorcall, Release, from such a thread",
    "foreign_pyb_call": FOREIGN,
    "pyb_object_call": OBJECT,
    "pyb_handle_call": HANDLE,
    "PyRun_SimpleString": RUN,
    "pyb_evaluate": '`pyb_evaluate("1+1")`',
    "py_eval": EVAL,
}
CALLS = 200_000


class Program:
    """calls.c, run for as many rounds as are asked for, a round at a time."""

    def __init__(self, calls: int) -> None:
        self.lines = self._run(calls)
        self.rounds: dict[str, list[float]] = {name: [] for name in NAMES}

    @staticmethod
    def _run(calls: int) -> Iterator[str]:
        while True:
            done = subprocess.run(
                [BUILD / "calls", str(calls), "3", LIBRARY],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise CaseError(done.stderr.strip())
            yield from done.stdout.splitlines()

    def figure(self, name: str) -> float:
        """Return the next figure of one way."""
        while not self.rounds[name]:
            way, _, figure = next(self.lines).partition("\t")
            self.rounds[way].append(float(figure))
        return self.rounds[name].pop(0)


def groups(rows: int) -> Iterable[Group]:
    """Return the group of this file."""
    program = Program(min(CALLS, rows))
    group = Group("calls", "calls from C, GIL taken and dropped in each", "ns")
    for name, title in NAMES.items():
        group.cases.append(Case(title, partial(program.figure, name)))
    group.bars = [
        Bar("pyb_call, bare CPython API", CALL, (FLOOR,), 1.5, faster=False),
        Bar(
            "pyb_call from a foreign thread, pyb_call",
            FOREIGN,
            (CALL,),
            1.3,
            faster=False,
        ),
        Bar("a method by handle, an object", HANDLE, (OBJECT,), 1.5, faster=False),
        Bar("py_eval('1+1'), PyRun_SimpleString", EVAL, (RUN,), 0.5, faster=False),
    ]
    yield group
