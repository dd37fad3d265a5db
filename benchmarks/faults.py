"""Faults of runs: how long after one the store has the state that it ends in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.data import ROOT
from benchmarks.faulty import FAULTS, FULL
from benchmarks.harness import Case, CaseError, Group, Limit, Worker

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["groups"]

BAR = 1000  # ms


class _Faulty(Worker):
    """A client that makes the faults, with a store on a disk of its own."""

    def __init__(self, disk: str) -> None:
        super().__init__(sys.executable, "-m", "benchmarks.faulty", disk, cwd=ROOT)

    def ask(self, fault: str) -> float:
        """Make a fault, and return the ms until the run had ended."""
        answer = json.loads(self.line(fault))
        if "error" in answer:
            raise CaseError(answer["error"])
        return float(answer["ms"])


def _mounted(folder: Path) -> bool:
    """Mount a small disk; tell whether that is allowed."""
    words = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", str(folder)]
    return not subprocess.run(words, capture_output=True, check=False).returncode


def groups(rows: int) -> Iterable[Group]:  # noqa: ARG001 (each file's has it)
    """Return the groups of this file."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    small = folder / "small"
    small.mkdir()
    mounted = _mounted(small)
    large, full = _Faulty(str(folder)), _Faulty(str(small))
    group = Group(
        "faults", "from a fault of a run to its last state in the store", "ms"
    )
    for fault in FAULTS:
        ask = (full if fault == FULL else large).ask
        case = Case(fault, partial(ask, fault))
        if fault == FULL and not mounted:
            case.failure = "a small disk can be mounted by root alone"
        else:
            case.run()
        group.cases.append(case)
        group.bars.append(Limit(f"ends after: {fault}", fault, BAR, "ms"))
    group.notes = [
        "Each run is checked: its error's words, stage, attempt; no process is left."
    ]
    try:
        yield group
    finally:
        for worker in (large, full):
            worker.close()
        if mounted:
            subprocess.run(["umount", "--lazy", str(small)], check=False)
        shutil.rmtree(folder, ignore_errors=True)
