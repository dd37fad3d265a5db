"""The processes of a run: how they are found, and how all of them are ended.

Every process of a run has the run's id in its environment. What a run started with
another environment is found by its kinship: its process group, session and parents.
"""

from __future__ import annotations

import os
import signal
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = [
    "MARK",
    "adopt_orphans",
    "children",
    "descendants",
    "describe_exit",
    "die_with",
    "end",
    "fields_of",
    "left_behind",
    "libc",
    "marked",
    "members",
]

MARK = "PYBRIDGE_RUN"
_PAUSE = 0.01
_PATIENCE = 5.0  # a process in the middle of a disk's work dies when that is done
_DEAD = "ZX"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def marked(run_id: str | None = None) -> dict[int, str]:
    """Return the processes of a run, or of all runs: number -> run id."""
    found: dict[int, str] = {}
    for pid in _pids():
        whose = _mark_of(pid)
        if whose and run_id in {None, whose}:
            found[pid] = whose
    return found


def _mark_of(pid: int) -> str:
    """Return the id of the run that a process belongs to by its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            data = b"\0" + file.read()
    except OSError:  # gone, or another user's
        return ""
    _, found, rest = data.partition(f"\0{MARK}=".encode())
    value = rest.split(b"\0", 1)[0] if found else b""
    # A forkserver keeps room for an id, and belongs to no run itself.
    return "" if not value.strip(b"-") else value.decode("utf-8", "replace")


def members(
    run_id: str, leader: int | None = None, also: Iterable[int] = ()
) -> set[int]:
    """Return the processes that belong to a run, whatever they did to hide it.

    `leader` is the number of the run's first process, whether it lives or not; `also`
    are others that are known to be of the run.
    """
    table = {pid: stat for pid in _pids() if (stat := fields_of(pid)) is not None}
    # Fields of stat from the third on: state, ppid, pgrp, session.
    found = {*marked(run_id), *also}
    if leader is not None:
        found |= {
            pid
            for pid, stat in table.items()
            if leader in {pid, int(stat[2]), int(stat[3])}
        }
    while True:
        more = {
            pid
            for pid, stat in table.items()
            if int(stat[1]) in found and pid not in found
        }
        if not more:
            break
        found |= more
    found.discard(os.getpid())
    return {pid for pid in found if pid in table and table[pid][0] not in _DEAD}


def end(run_id: str, leader: int | None = None, also: Iterable[int] = ()) -> set[int]:
    """Kill what belongs to a run until nothing of it is left; return what still is.

    Only a process that waits for a disk can be left, and it dies when that answers.
    """
    until = time.monotonic() + _PATIENCE
    first, beyond = set(also), set[int]()
    while True:
        left = members(run_id, leader, first) - beyond
        if not left or time.monotonic() > until:
            return left
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                first.discard(pid)
            except PermissionError:  # it has become another user
                beyond.add(pid)
        time.sleep(_PAUSE)


def adopt_orphans() -> None:
    """Become the parent of what loses its own among all that this process starts."""
    libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(parent: int) -> None:
    """Have the system kill this process when the one that started it is gone."""
    libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended before the system could be asked
        os._exit(1)


@lru_cache(maxsize=1)
def libc() -> Any:
    """Return the C library, which is looked for once."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def left_behind(others: Collection[int]) -> list[int]:
    """Return what runs that have ended left behind, in the process that adopted it.

    `others` are the first processes of the runs that still go on: each of them adopts
    what is its own, so all else here is of runs that have ended.
    """
    found: set[int] = set()
    while True:
        here = set(children(os.getpid(), all_threads=False)) - set(others)
        more = here.union(*map(descendants, here)) - found
        # One that ends while this looks hands its children on, to this process.
        if not more:
            break
        found |= more
    return [
        pid
        for pid in found
        if (stat := fields_of(pid)) is not None and stat[0] not in _DEAD
    ]


def descendants(pid: int) -> set[int]:
    """Return all that a process has started, and what has come to it of that."""
    found: set[int] = set()
    left = [pid]
    while left:
        more = set(children(left.pop())) - found
        found |= more
        left += more
    return found


def children(pid: int, *, all_threads: bool = True) -> list[int]:
    """Return the children of a process, or those of its main thread only."""
    try:
        threads = os.listdir(f"/proc/{pid}/task") if all_threads else [str(pid)]
        found: list[int] = []
        for thread in threads:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:  # it is gone, or the system was built without
        return [
            each
            for each in _pids()
            if (stat := fields_of(each)) is not None and int(stat[1]) == pid
        ]
    return found


def describe_exit(status: int) -> str:
    """Say in words how a process ended, from what `waitpid` gave."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = "an unknown one"
        core = ", core dumped" if os.WCOREDUMP(status) else ""
        return f"was ended by signal {number} ({name}{core})"
    return f"ended with exit status {os.WEXITSTATUS(status)}"


def _pids() -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def fields_of(pid: int) -> list[str] | None:
    """Return the fields of a process from its state on; its name may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
    except OSError:
        return None
    return data[data.rfind(b")") + 2 :].decode("ascii").split()
