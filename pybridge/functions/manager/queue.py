"""Places for jobs: so many at once, and those that wait have them in turn."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

__all__ = ["Queue"]


class Queue:
    """A number of places; who wait for one are served in turn, group by group.

    A group is whatever a crowd comes from: a thousand runs of one client do not keep
    waiting the one of another.
    """

    def __init__(self, places: int) -> None:
        """Take the number of places."""
        self.free = places
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def take_now(self) -> bool:
        """Take a place if there is one that nobody waits for."""
        if self.free < 1 or self._waiting:
            return False
        self.free -= 1
        return True

    async def take(self, group: str) -> None:
        """Wait for a place."""
        if self.take_now():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(group, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came at the same moment
                self.give()
            else:
                self._forget(group, turn)
            raise

    def give(self) -> None:
        """Give a place back, or lend one out."""
        self.free += 1
        while self.free > 0 and self._waiting:
            group, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[group] = turns  # behind all the others
            if not turn.done():
                self.free -= 1
                turn.set_result(None)

    def take_back(self) -> None:
        """Take back a place that was lent out, at once: there may be too few then."""
        self.free -= 1

    def _forget(self, group: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(group)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[group]
