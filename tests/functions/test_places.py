"""Places for jobs: as many as there are, whoever waits for whom and however it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pybridge.functions.manager import policy, start
from pybridge.functions.manager.server import Manager
from tests.functions.calls import declared

if TYPE_CHECKING:
    from pybridge.functions.project import Project


class Seat:
    """What the manager looks at of a run's life."""

    def __init__(self, id: str) -> None:  # noqa: A002 - as lives have it
        self.id = id
        self.has_place = False


class Asks:
    """A client that waits, and is gone before its answer."""

    def reply(self, **fields: object) -> None:
        """Be told nothing."""
        raise AssertionError(fields)


def test_place_that_was_lent_comes_back_however_its_run_ends(
    project: Project,
) -> None:
    """A run that waits for another lends its place; none is left over if it dies."""
    function = declared(project, "def f():\n    return 1\n")
    waiting, awaited = function.new_run(), function.new_run()

    async def places() -> int:
        folder = start.folder_of(project.store)
        manager = Manager(project.store, policy.Policy(parallel=1), folder)
        manager.queue.free = 0
        seats: Any = {run.key: Seat(run.id) for run in (waiting, awaited)}
        manager.lives = seats
        seats[waiting.key].has_place = True
        asks: Any = Asks()

        manager.hear(asks, {"do": "wait", "key": awaited.key, "by": waiting.id})
        assert 1 == manager.queue.free
        # Its process is killed: the place is given back first, then its client is gone.
        seats[waiting.key].has_place = False
        manager.queue.give()
        manager.lost(asks)
        return manager.queue.free

    assert 1 == asyncio.run(places())
