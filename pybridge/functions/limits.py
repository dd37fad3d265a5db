"""Limits: the memory and the processors that a run may have.

What counts against the memory is what a run takes beyond a Python with pandas and
pyarrow loaded. An allocation over the limit is a MemoryError, so that the user's code
says where; where there are control groups (see `cgroups`), all the processes of a run
share the limit.
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Limits", "apply", "explain", "of", "quantity", "words"]

_UNITS = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}
_QUANTITY = re.compile(
    r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?([A-Za-z]*)"
)
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


def quantity(text: object) -> float:
    """Return the number that Kubernetes reads in a quantity: "64Mi", "500m", 2.

    Raises:
        BadArgument: it is none.

    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text)
    found = _QUANTITY.fullmatch(str(text).strip())
    if found is None or found[3] not in _UNITS or (found[2] and found[3]):
        raise BadArgument(
            f"'{text}' is not a quantity; write a number such as 2, '500m' (half a "
            "processor) or '200Mi' (of memory)"
        )
    return float(found[1]) * 10.0 ** int(found[2] or 0) * _UNITS[found[3]]


def of(resources: Optional[Mapping[str, Any]]) -> Limits:
    """Return the limits that a run's `resources` set, in either spelling.

    `{"mem": {"requests": "64Mi", "limits": "200Mi"}}`, or `{"mem": "200Mi"}`; what is
    only requested is no limit.

    Raises:
        BadArgument: a limit is not a quantity.

    """
    memory = _limit(resources, "mem", "memory")
    cpu = _limit(resources, "cpu", "cpu")
    return Limits(
        None if memory is None else max(1, int(quantity(memory))),
        None if cpu is None else quantity(cpu),
        "" if memory is None else str(memory),
    )


def _limit(resources: Optional[Mapping[str, Any]], *names: str) -> Any:
    for name in names:
        value = (resources or {}).get(name)
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


def _limit_memory(size: int) -> None:
    import resource
    from importlib import import_module

    for name in _BASE:
        try:
            import_module(name)
        except Exception:  # noqa: S112 - then it takes no memory either
            continue
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
