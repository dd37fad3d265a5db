"""Limits: the memory and the processors that a run may have.

What counts against the memory is what a run takes beyond a Python with pandas and
pyarrow loaded. An allocation over the limit is a MemoryError, so that the user's code
says where. All the processes of a run share the limit: where there are control groups
(see `cgroups`) by these, elsewhere the manager adds up what they take (see `memory`).
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Limits", "apply", "explain", "load_base", "of", "words"]

# Loaded before the limit is set, so that it means the same however a run is started.
_BASE = ("pandas", "pyarrow")


class Limits(NamedTuple):
    """What a run may have; None is as much as there is."""

    memory: Optional[int] = None  # bytes
    cpu: Optional[float] = None  # processors
    memory_as_given: str = ""

    def __bool__(self) -> bool:
        return self.memory is not None or self.cpu is not None


_applied = Limits()


def of(resources: Optional[Mapping[str, Any]]) -> Limits:
    """Return the limits that a run's `resources` set, in either spelling.

    `{"mem": {"requests": "64Mi", "limits": "200Mi"}}`, or `{"mem": "200Mi"}`; what is
    only requested is no limit.

    Raises:
        ValueError: a limit is not a quantity.

    """
    if not resources:
        return Limits()
    from pybridge.functions.resources import quantity

    memory = _limit(resources, "mem", "memory")
    cpu = _limit(resources, "cpu", "cpu")
    return Limits(
        None if memory is None else max(1, int(quantity(str(memory)))),
        None if cpu is None else float(quantity(str(cpu))),
        "" if memory is None else str(memory),
    )


def _limit(resources: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        value = resources.get(name)
        if isinstance(value, dict):
            value = value.get("limits")
        if value is not None and value != "":
            return value
    return None


def apply(limits: Limits) -> None:
    """Set the limits for this process and all that it will start."""
    global _applied  # noqa: PLW0603 - a process has one set of them
    if limits.memory is not None:
        _limit_memory(limits.memory)
    if limits.cpu is not None:
        _limit_processors(limits.cpu)
    _applied = limits


def load_base() -> None:
    """Load what does not count, so that the limit means the same in every process."""
    from importlib import import_module

    for name in _BASE:
        try:
            import_module(name)
        except Exception:  # noqa: S112 - then it takes no memory either
            continue


def _limit_memory(size: int) -> None:
    import resource

    load_base()
    wanted = _data() + size
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, wanted))


def _data() -> int:
    """Return how much memory this process has that RLIMIT_DATA counts."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def _limit_processors(count: float) -> None:
    """Keep this process on as many processors as it may have, on those least chosen."""
    own = sorted(os.sched_getaffinity(0))
    wanted = max(1, math.ceil(count))
    if wanted < len(own):
        first = os.getpid() % len(own)
        os.sched_setaffinity(0, [*own[first:], *own[:first]][:wanted])


def words(limits: Optional[Limits] = None) -> str:
    """Return "memory limit of 200Mi"; empty without one. None: of this process."""
    limits = _applied if limits is None else limits
    return f"memory limit of {limits.memory_as_given}" if limits.memory else ""


def explain(exc: BaseException) -> str:
    """Return why there was no memory, where it was for the limit of this process."""
    told = words()
    return f"the {told} was reached" if told and isinstance(exc, MemoryError) else ""
