"""The trail of an attempt: how far its process has come, for who finds it dead.

It is memory that the manager shares with the process: it outlives that, and no disk is
too full for it. It has a line for each stage, and the stack if somebody asked for that.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ASK",
    "Place",
    "Trail",
    "answers",
    "base_of",
    "inode",
    "make",
    "note",
    "note_base",
    "of_crash",
    "read",
    "take",
]

ASK = signal.SIGRTMAX - 3  # has a process write its stack into its trail
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')
_STACKS = ("Stack (", "Current thread ")
_LONGEST = 1 << 20
_own: tuple[int, int, int] = (-1, -1, -1)  # the trail, its inode, and whose it is


class Place(NamedTuple):
    """A line of code that was being executed."""

    path: str
    line: int
    function: str


class Trail(NamedTuple):
    """What a trail says: the stage, where the source is, the outermost place first."""

    stage: str = ""
    root: str = ""
    places: tuple[Place, ...] = ()


# ---- In the process ------------------------------------------------------------------


def take(fd: int) -> None:
    """Take the trail that this process has been given."""
    global _own  # noqa: PLW0603 - a process has one
    _own = fd, inode(fd), os.getpid()
    faulthandler.register(ASK, file=fd, all_threads=False)


def note(stage: str, root: object = "", function: object = None) -> None:
    """Note a stage; `function` is the one that is called in it. No trail: nothing."""
    fd, its, process = _own
    if process != os.getpid():  # nobody's, or what user code has forked
        return
    if inode(fd) != its:  # user code has closed it, and may have another file there
        return
    while hasattr(function, "__wrapped__"):  # what it was decorated with is not meant
        function = function.__wrapped__
    code: Any = getattr(function, "__code__", None)
    place = code and [code.co_filename, code.co_firstlineno, code.co_name]
    os.write(fd, (json.dumps([stage, str(root), place]) + "\n").encode())


def inode(fd: int) -> int:
    """Return what tells the file of a descriptor from others; 0 of a closed one."""
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0


def note_base(fd: int, base: tuple[int, int]) -> None:
    """Note the memory that the process was born with, see `memory`."""
    os.write(fd, "base {} {}\n".format(*base).encode())


# ---- In the manager ------------------------------------------------------------------


def make() -> int:
    """Return a new trail, as the descriptor of a file that is in memory."""
    return os.memfd_create("pybridge-trail")


def read(fd: int) -> Trail:
    """Return what a trail says."""
    lines = os.pread(fd, _LONGEST, 0).decode("utf-8", "replace").splitlines()
    trail = Trail()
    for line in lines:
        if line.startswith("["):
            stage, root, place = json.loads(line)
            trail = Trail(stage, root, (Place(*place),) if place else ())
    asked = _stack(lines)
    return trail._replace(places=asked) if asked else trail


def base_of(fd: int) -> Optional[tuple[int, int]]:
    """Return the memory that the process was born with, once it is at work."""
    word, _, rest = os.pread(fd, 100, 0).decode("utf-8", "replace").partition(" ")
    numbers = rest.partition("\n")[0].split()
    return (int(numbers[0]), int(numbers[1])) if word == "base" else None


def of_crash(log: str) -> tuple[Place, ...]:
    """Return where the process was that has written the end of a log, if it crashed."""
    _, crashed, told = log.rpartition("Fatal Python error: ")
    return _stack(told.splitlines()) if crashed else ()


def answers(pid: Optional[int]) -> bool:
    """Tell whether a process writes its stack when it is asked."""
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().splitlines()
        caught = next(line for line in lines if line.startswith(b"SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(caught.split()[1], 16) >> (ASK - 1) & 1)


def _stack(lines: Iterable[str]) -> tuple[Place, ...]:
    """Return the last stack among some lines, as faulthandler writes it."""
    found: list[Place] = []
    inside = False
    for line in lines:
        if line.startswith(_STACKS):
            found, inside = [], True
        elif inside and (match := _FRAME.fullmatch(line)):
            found.append(Place(match[1], int(match[2]), match[3]))
        elif not line.startswith("  "):
            inside = False
    return tuple(reversed(found))
