"""The processes of an attempt, where the system has no descriptors left."""

from __future__ import annotations

import asyncio
import os
import resource
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from pybridge.functions import cgroups, limits
from pybridge.functions.manager.output import Log
from pybridge.functions.manager.policy import Policy
from pybridge.functions.manager.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.functions.manager.life import Life
    from pybridge.functions.manager.nursery import Nursery

TOO_MANY = "Too many open files"


def opened() -> set[str]:
    """Return the descriptors of this process."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@contextmanager
def few_descriptors(count: int) -> Iterator[None]:
    """Leave so many descriptors that can still be opened."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(opened()) + 20, most))
    held = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(held.pop())
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))


@pytest.mark.parametrize("left", range(4))
def test_start_that_fails_leaves_no_descriptor_open(tmp_path: Path, left: int) -> None:
    """The pipes are opened one after the other, and any may be one too many."""
    log = Log(str(tmp_path / "log"), 1 << 20, lambda: None)
    life = SimpleNamespace(
        id="r", folder=str(tmp_path), secrets={}, log=log, manager=None
    )
    life.origin = SimpleNamespace(environ={})
    life.manager = SimpleNamespace(policy=Policy())

    async def started() -> tuple[set[str], set[str]]:
        given = cast("Life", life)
        process = Process(given, cgroups.Group([]), limits.Limits())
        before = opened()
        with few_descriptors(left), pytest.raises(OSError, match=TOO_MANY):
            await process.start(cast("Nursery", None))
        await process.end()
        after = opened()
        os.close(process.trail)
        return before, after

    before, after = asyncio.run(started())

    assert before == after
