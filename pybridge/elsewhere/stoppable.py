"""Calls that a stop reaches although the driver is waiting for its server.

The call runs in a thread of its own. The thread that asked for it waits in Python,
where a stop of any kind (Ctrl-C, a deadline, `pyb_interrupt`) is an exception, and then
tells the driver to cancel.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

__all__ = ["Task", "run"]

_TICK = 0.05  # a stop that is no signal is seen this late
_PATIENCE = 2.0  # how long a driver may take to let go of a cancelled query


class Task:
    """A call under way: how it is cancelled, and whether anybody still waits for it."""

    __slots__ = ("_cancel", "_lock", "stopped")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancel: Callable[[], object] | None = None
        self.stopped = False

    def cancel_by(self, cancel: Callable[[], object] | None) -> None:
        """Say what ends what the call waits for from now on; None: nothing does.

        Raises:
            InterruptedError: the call was stopped before.

        """
        with self._lock:
            self._cancel = cancel
            if self.stopped and cancel is not None:
                raise InterruptedError("the query was stopped")

    def stop(self) -> None:
        """Cancel what the call waits for."""
        with self._lock:
            self.stopped = True
            if self._cancel is None:
                return
            # Where that fails the query ends by itself, or is left behind.
            with contextlib.suppress(Exception):
                self._cancel()


def run(function: Callable[[Task], Result]) -> Result:
    """Return what `function(task)` returns, or raise what it raises, from its thread.

    Where the driver does not let go of a cancelled query the thread is left behind; it
    ends, and closes its connection, when the driver returns.
    """
    task = Task()
    results: list[Result] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def body() -> None:
        try:
            results.append(function(task))
        except BaseException as exc:
            errors.append(exc)
        finally:
            done.set()

    thread = threading.Thread(target=body, name="pybridge query", daemon=True)
    thread.start()
    try:
        while not done.wait(_TICK):
            pass
    except BaseException:
        task.stop()
        done.wait(_PATIENCE)
        raise
    if errors:
        raise errors.pop()
    return results.pop()
