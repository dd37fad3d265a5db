"""Records of requests: their numbers for the metrics, their lines for the log.

They are made a moment after the answers, for several requests at once: few clients wait
for them, none for long, and there is one write for all.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

from pybridge.functions.serve.log import write

if TYPE_CHECKING:
    import asyncio

    from pybridge.functions.serve.app import Request
    from pybridge.functions.serve.metrics import Metrics

__all__ = ["Records"]

_DELAY = 0.01
_MANY = 32  # are not left to wait: the next request would wait for all of them
_PRINTABLE = str.maketrans({code: f"\\x{code:02x}" for code in (*range(32), 34, 127)})


class Records:
    """What is still to be written down."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, metrics: Metrics, *, log: bool
    ) -> None:
        """Count in `metrics`, and write lines if `log` says so."""
        self._loop = loop
        self._metrics = metrics
        self._log = log
        self._done: list[tuple[Request, int, float, float]] = []
        self._due = False  # they will be written when the delay is over

    def add(self, request: Request, status: int, seconds: float) -> None:
        """Keep a request that has been answered."""
        self._done.append((request, status, seconds, time.time()))
        if not self._due:
            self._due = True
            self._loop.call_later(_DELAY, self._on_time)
        elif len(self._done) == _MANY:
            self._loop.call_soon(self.flush)

    def _on_time(self) -> None:
        self._due = False
        self.flush()

    def flush(self) -> None:
        """Write down what is there."""
        done, self._done = self._done, []
        alike: dict[tuple[str, int], list[float]] = {}
        for request, status, seconds, _ in done:
            alike.setdefault((request.method, status), []).append(seconds)
        for (method, status), several in alike.items():
            self._metrics.answered(method, status, several)
        if self._log and done:
            text = "".join(_line(*one) for one in done)
            write(text.encode("utf-8", "backslashreplace"))


def _line(request: Request, status: int, seconds: float, now: float) -> str:
    """Return the line of a request in the log."""
    query = request.scope["query_string"]
    target = f"{request.path}?{query.decode('latin-1')}" if query else request.path
    client = request.scope.get("client")
    return (
        f"{_clock(int(now))}.{int(now * 1000) % 1000:03d}Z "
        f"{client[0] if client else '-'} "
        f'"{request.method} {target.translate(_PRINTABLE)}" {status} '
        f"{seconds * 1000:.1f}ms {request.id}\n"
    )


@lru_cache(maxsize=4)
def _clock(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
