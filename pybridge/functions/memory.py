"""Memory: what the processes of a run take together, where no control group counts it.

A page that several processes share is counted once. What the run was born with is not
counted; it is shared with the forkserver, and with each process that the run forks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Optional

from pybridge.functions import processes

__all__ = ["Base", "taken"]


class Base(NamedTuple):
    """What a run was born with: bytes of its own, and those shared with others."""

    own: int = 0
    shared: int = 0

    @classmethod
    def here(cls) -> Base:
        """Return what this process has; nothing where the system does not tell."""
        found = _rollup(os.getpid())
        own = found.get("Private_Dirty", 0)
        return cls(own, max(0, found.get("Anonymous", 0) - own))


def taken(leader: int, base: Base) -> int:
    """Return the bytes that a process and all that it has started take beyond a base.

    It is never too much: who else has the shared part of the base is not known.
    """
    total = forked = 0
    stack = _stack_of(leader)
    for pid in {leader, *processes.descendants(leader)}:
        found = _rollup(pid)
        total += found.get("Pss_Anon", found.get("Private_Dirty", 0))
        total += found.get("Pss_Shmem", 0)
        # What was started as another program has none of the base.
        forked += stack is not None and _stack_of(pid) == stack
    return max(0, total - base.own - base.shared * forked // (forked + 1))


def _rollup(pid: int) -> dict[str, int]:
    """Return the bytes of a process of each kind; nothing of one that is gone."""
    found: dict[str, int] = {}
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words[1:] == ["kB"]:
            found[name] = int(words[0]) * 1024
    return found


def _stack_of(pid: int) -> Optional[str]:
    """Return where the stack of a process begins: a fork has its parent's place."""
    found = processes.fields_of(pid)
    return None if found is None else found[_START_STACK]


_START_STACK = 25  # of the fields from the state on
