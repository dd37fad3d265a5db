"""The pace of a function: whether it has long been so quick that it is trusted."""

from __future__ import annotations

__all__ = ["Pace"]

_QUICK = 0.0003  # seconds, on average: what the way to a thread and back may take
_LONG = 0.02  # seconds; one call that took longer ends the trust
_FIRST, _MOST = 256, 16384  # calls in a row that must not be long
_NEWEST = 1 / 256  # the weight of the newest call in the average


class Pace:
    """What is known of how long calls take."""

    __slots__ = ("_average", "_calm", "_wanted", "quick")

    def __init__(self) -> None:
        """Know nothing yet."""
        self.quick = False
        self._wanted = _FIRST
        self._calm = 0
        self._average = 0.0

    def add(self, seconds: float) -> None:
        """Add a call; trust that was disappointed takes twice as long to come again."""
        self._average += (seconds - self._average) * _NEWEST
        self._calm = 0 if seconds > _LONG else self._calm + 1
        quick = self._calm >= self._wanted and self._average < _QUICK
        if self.quick and not quick:
            self._wanted = min(2 * self._wanted, _MOST)
            self._calm = 0
        self.quick = quick
