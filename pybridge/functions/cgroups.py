"""Control groups: limits that the processes of a run share, where there are any.

Both versions are used, wherever this process may make a group. Where it may not, what
`limits` sets for each process is all there is.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.functions.limits import Limits

__all__ = ["Group", "join", "make"]

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_PERIOD = 100_000  # microseconds
_LEAST = 1_000  # the kernel refuses quotas below this
_TRIES = 50


class Group:
    """The control groups of one run: a directory, or one for each controller."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.counts_memory = False

    def __bool__(self) -> bool:
        return bool(self.paths)

    def processes(self) -> set[int]:
        """Return the processes that are in it."""
        found: set[int] = set()
        for path in self.paths:
            try:
                found |= {int(n) for n in (path / "cgroup.procs").read_text().split()}
            except OSError:
                continue
        return found

    def killed_for_memory(self) -> bool:
        """Tell whether the kernel has killed one of its processes for its memory."""
        for path in self.paths:
            for name in ("memory.oom_control", "memory.events"):
                try:
                    lines = (path / name).read_text().splitlines()
                except OSError:
                    continue
                counts = dict(line.split(" ", 1) for line in lines if " " in line)
                if int(counts.get("oom_kill", 0)):
                    return True
        return False

    def remove(self) -> None:
        """Remove it; its last process may be on its way out still."""
        for path in self.paths:
            for _ in range(_TRIES):
                try:
                    path.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.002)
                else:
                    break


def make(name: str, limits: Limits) -> Group:
    """Make the groups of a run, as far as that is allowed."""
    group = Group([])
    wanted: dict[str, str] = {}  # controller -> limit
    if limits.memory is not None:
        wanted["memory"] = str(limits.memory)
    if limits.cpu is not None:
        wanted["cpu"] = str(max(_LEAST, int(limits.cpu * _PERIOD)))
    for controller, value in wanted.items():
        made = _make_first(controller, name, value)
        if made is not None and made not in group.paths:
            group.paths.append(made)
        group.counts_memory |= made is not None and controller == "memory"
    return group


def join(paths: list[str]) -> None:
    """Put this process into groups."""
    for path in paths:
        try:
            Path(path, "cgroup.procs").write_text("0", encoding="ascii")
        except OSError:  # the limits of the process itself hold
            continue


def _make_first(controller: str, name: str, value: str) -> Optional[Path]:
    """Make a group below the first one where that is allowed and has an effect."""
    for parent, version in _parents(controller):
        path = parent / f"pybridge-{name}"
        new = not path.exists()
        try:
            path.mkdir(exist_ok=True)
        except OSError:
            continue
        try:
            for file, text in _settings(controller, version, value):
                if file.startswith("?") and not (path / file[1:]).exists():
                    continue
                (path / file.lstrip("?")).write_text(text, encoding="ascii")
        except OSError:
            if new:
                Group([path]).remove()
            continue
        return path
    return None


def _settings(controller: str, version: int, value: str) -> list[tuple[str, str]]:
    """Return what is written into which files; those with "?" may be missing."""
    if controller == "memory":
        if version == 1:
            return [
                ("memory.limit_in_bytes", value),
                ("?memory.memsw.limit_in_bytes", value),
            ]
        return [
            ("memory.max", value),
            ("?memory.swap.max", "0"),
            ("?memory.oom.group", "1"),
        ]
    if version == 1:
        return [("cpu.cfs_period_us", str(_PERIOD)), ("cpu.cfs_quota_us", value)]
    return [("cpu.max", f"{value} {_PERIOD}")]


def _parents(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the groups that a run's could be made below, and the version of each."""
    try:
        lines = _OWN.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, names, own = line.split(":", 2)
        if controller in names.split(","):
            place = _ROOT / names
            if not place.is_dir():
                place = _ROOT / controller
            yield place / own.lstrip("/"), 1
        elif number == "0" and not names:
            # A group with processes of its own lends no controllers: go up to one that
            # does, which is where a user's own part of the tree begins.
            for place in (_ROOT, _ROOT / "unified"):
                path = place / own.lstrip("/")
                while path != _ROOT.parent:
                    try:
                        lent = (path / "cgroup.subtree_control").read_text().split()
                    except OSError:
                        break
                    if controller in lent and os.access(path, os.W_OK):
                        yield path, 2
                    path = path.parent
