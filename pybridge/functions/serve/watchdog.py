"""The watchdog of a replica: sees that its loop stands still, and ends it decently.

An `async def` that never awaits, a thread that keeps the interpreter to itself for a
while, a function that had been quick for long: nothing on the loop could answer any
more. A thread of its own still can.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from pybridge.functions.serve.server import raw_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.functions.serve.lanes import Lanes
    from pybridge.functions.serve.server import Protocol, Server

__all__ = ["watch", "watch_calls"]

_PERIOD = 0.25
_GRACE = 1.0  # above the time limit of a request; the loop turns twice a second
_HELD = 0.5  # seconds for which a call may hold up the loop
STUCK = 4  # the exit status


def watch(server: Server, limit: float, tell: Callable[[str], None]) -> None:
    """Watch the loop of `server` from now on; `tell` is told before the end."""

    def look() -> None:
        while True:
            time.sleep(_PERIOD)
            late = time.monotonic() - server.row.beat
            if late > limit + _GRACE and not server.draining:
                tell(f"its loop has stood still for {late:.1f} s")
                _say_goodbye(server, limit)
                os._exit(STUCK)

    threading.Thread(target=look, name="watchdog", daemon=True).start()


def watch_calls(lanes: Lanes, tell: Callable[[], None]) -> None:
    """Watch the calls that hold up the loop; tell once of each that takes too long.

    Where calls have no time limit it goes on, and has its answer however late; what the
    loop would do meanwhile somebody else has to do.
    """

    def look() -> None:
        told = None
        while True:
            time.sleep(_PERIOD)
            held = lanes.held
            if held is None or held == told or time.perf_counter() - held <= _HELD:
                continue
            told = held
            tell()

    threading.Thread(target=look, name="watchdog", daemon=True).start()


def _say_goodbye(server: Server, limit: float) -> None:
    """Answer those who wait: 504 to who has waited too long, 503 to the others."""
    now = time.monotonic()
    for connection in list(server.connections):
        cycle: Any = connection.cycle
        if cycle is None or cycle.response_complete or cycle.response_started:
            continue
        if now - connection.since >= limit:
            error = f"the function gave no answer within {limit:g} s"
            _write(connection, raw_answer(504, error))
        else:
            error = "the service is busy: a call has to be ended by force"
            _write(connection, raw_answer(503, error, "retry-after: 1"))


def _write(connection: Protocol, data: bytes) -> None:
    """Write past the transport, whose loop does not turn."""
    try:
        os.write(connection.transport.get_extra_info("socket").fileno(), data)
    except (OSError, AttributeError):  # it has gone
        return
