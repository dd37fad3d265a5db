"""The log of a replica: lines on its standard output, where the run's log begins."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["AccessLog", "say"]

_DELAY = 0.05  # access lines wait for each other: one write for many requests
_PRINTABLE = str.maketrans({code: f"\\x{code:02x}" for code in (*range(32), 34, 127)})


def say(text: str) -> None:
    """Write lines to the log at once, after what was printed before."""
    sys.stdout.flush()
    _write(text.encode("utf-8", "backslashreplace") + b"\n")


def _write(data: bytes) -> None:
    with contextlib.suppress(OSError):  # that nobody reads it must not end a service
        while data:
            data = data[os.write(1, data) :]


class AccessLog:
    """A line for each request, with its id, status and time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write when `loop` has time."""
        self._loop = loop
        self._lines: list[str] = []
        self._lock = threading.Lock()

    def add(
        self,
        request: str,
        client: str,
        method: str,
        target: str,
        status: int,
        seconds: float,
    ) -> None:
        """Keep a line for the next write."""
        if not self._lines:
            self._loop.call_later(_DELAY, self.flush)
        now = time.time()
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        self._lines.append(
            f"{clock}.{int(now * 1000) % 1000:03d}Z {client} "
            f'"{method} {target.translate(_PRINTABLE)}" {status} '
            f"{seconds * 1000:.1f}ms {request}\n"
        )

    def flush(self) -> None:
        """Write what is there."""
        with self._lock:
            lines, self._lines = self._lines, []
        if lines:
            _write("".join(lines).encode("utf-8", "backslashreplace"))
