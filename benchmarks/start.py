"""Start: a whole process, from nothing to its first result."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.data import BUILD
from benchmarks.harness import LIBRARY, Bar, Case, CaseError, Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["PYTHON", "case", "groups"]

OURS = "sqlite3 shell, `.load`, `select py_eval('1+1')`"
PYTHON = "`python -c pass` of the same environment"
EACH = 5  # the best of so many is one round's figure


def _run(*command: str, env: Mapping[str, str]) -> float:
    """Run a program to its end and return its wall time in ms."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, nowhere, fd) for fd in (0, 1)]
    begun = time.perf_counter()
    child = os.posix_spawnp(command[0], command, env, file_actions=actions)
    _, status = os.waitpid(child, 0)
    seconds = time.perf_counter() - begun
    os.close(nowhere)
    if status != 0:
        raise CaseError(f"{' '.join(command)}: ended with {status}")
    return seconds * 1e3


def case(
    name: str, *command: str, env: Mapping[str, str] = os.environ, each: int = EACH
) -> Case:
    """Return a case that runs a program to its end: the best of some runs, in ms."""
    return Case(name, lambda: min(_run(*command, env=env) for _ in range(each)))


def groups(rows: int) -> Iterable[Group]:  # noqa: ARG001 (each file's has it)
    """Return the group of this file."""
    group = Group("start", "whole process", "ms")
    load = f".load {LIBRARY}"
    first = "select py_eval('1+1')"
    group.cases = [
        case(OURS, "sqlite3", ":memory:", load, first),
        case("sqlite3 shell, `.load` only", "sqlite3", ":memory:", load, "select 1"),
        case("sqlite3 shell alone", "sqlite3", ":memory:", "select 1"),
        case(PYTHON, sys.executable, "-c", "pass"),
        case("the C calls' program, `pyb_evaluate` once", str(BUILD / "calls"), "once"),
    ]
    group.bars = [
        Bar("load and start to the first result", OURS, (PYTHON,), 1.3, faster=False)
    ]
    yield group
