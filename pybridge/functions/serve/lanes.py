"""Lanes: the threads in which plain functions run, beside the loop of a replica."""

from __future__ import annotations

import _thread
import contextlib
import queue
import threading
from contextvars import copy_context
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Lanes"]

# A function that has been this quick of late is waited for by the loop itself: waking
# it through its selector would take longer than the function does. What is slower is
# waited for in the selector, so that the loop is never held up for longer than this.
_QUICK = 0.0003
_NOTHING = None, None
_NEWEST = 0.125  # the weight of the newest duration in what is "of late"


class _Call:
    """One call, on its way to a lane and back."""

    __slots__ = ("context", "done", "error", "finished", "function", "future", "left")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.context = copy_context()
        self.finished = _thread.allocate_lock()
        self.finished.acquire()
        self.done: tuple[Any, BaseException | None] | None = None
        self.future: asyncio.Future[None] | None = None
        self.left = False  # nobody waits for it any more


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Lanes:
    """Threads that live as long as the replica; as many as there are calls at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._idle = 0
        self._late = 0.0  # how long calls took of late

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call `function` in a lane; return what it returns, or raise what it raises.

        Who is cancelled while he waits leaves the lane to the call, for as long as it
        runs; other calls get another lane.
        """
        call = _Call(function)
        if self._idle == 0:
            self._open()
        self._idle -= 1
        started = perf_counter()
        self._calls.put(call)
        if self._late > _QUICK or not call.finished.acquire(timeout=_QUICK):
            await self._wait(call)
        self._idle += 1
        self._late += (perf_counter() - started - self._late) * _NEWEST
        value, error = call.done or _NOTHING
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        return value

    async def _wait(self, call: _Call) -> None:
        # Whichever of the two sides comes second sees what the first has written.
        future = call.future = self._loop.create_future()
        if call.done is None:
            try:
                await future
            except BaseException:
                call.left = True
                raise

    def _open(self) -> None:
        # A daemon: a call that never ends must not keep the replica from ending.
        thread = threading.Thread(target=self._work, name="function", daemon=True)
        thread.start()
        self._idle += 1

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            try:
                call.done = call.context.run(call.function), None
            except BaseException as exc:  # also SystemExit: it ends no replica
                call.done = None, exc
            call.finished.release()
            if call.left:
                return
            if call.future is not None:
                with contextlib.suppress(RuntimeError):  # the loop has been closed
                    self._loop.call_soon_threadsafe(_wake, call.future)
            del call  # so that nothing of it lives on while the next one is awaited
