"""The gate of a replica: so many requests at once, so many that wait, the rest go."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Full", "Gate"]


class Full(Exception):  # noqa: N818 - it is what it says
    """There is no place, or there was none in time; `reason` says which."""

    def __init__(self, reason: str) -> None:
        """Keep the word that metrics count."""
        super().__init__(reason)
        self.reason = reason


class Gate:
    """Places for requests, given out in the order in which they were asked for."""

    def __init__(self, places: int, limit: int, timeout: float) -> None:
        """Have `places`, and let at most `limit` wait for at most `timeout` seconds."""
        self._free = places
        self._limit = limit
        self._timeout = timeout
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a place if one is free; the way that costs next to nothing."""
        if self._free > 0:
            self._free -= 1
            return True
        return False

    async def wait(self) -> None:
        """Wait for a place and take it.

        Raises:
            Full: too many wait, or it took too long.
        """
        if self.waiting >= self._limit:
            raise Full("queue")
        loop = asyncio.get_running_loop()
        place = loop.create_future()
        self._waiting.append(place)
        late = loop.call_later(self._timeout, _turn_away, place)
        try:
            await place
        except BaseException:
            if place in self._waiting:
                self._waiting.remove(place)
            elif place.done() and not place.cancelled() and not place.exception():
                self.give()  # it was given in the moment of the cancellation
            raise
        finally:
            late.cancel()

    def give(self) -> None:
        """Give a place back: to who waits longest, or to nobody."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1


def _turn_away(place: asyncio.Future[None]) -> None:
    if not place.done():
        place.set_exception(Full("wait"))
