"""Lanes: the threads in which plain functions run, beside the loop of a replica.

The way to another thread and back takes longer than a quick function does. So where
there is one lane, and the function has long been quick, the loop moves into that thread
and calls the function itself; it moves out again with the first call that is not quick,
or with anything else of the user's that may take its time. The function always runs in
the same thread.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import queue
import threading
from asyncio import tasks
from contextvars import copy_context
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pybridge.functions.serve.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Lanes"]

# What has been this quick of late is waited for by the loop itself: waking it through
# its selector would take longer than the call does. What is slower is waited for in the
# selector, so that the loop is never held up for longer than this.
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

    def result(self) -> Any:
        """Return what it returned, or raise what it raised."""
        value, error = self.done or _NOTHING
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        return value


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Lanes:
    """Threads that live as long as the replica; as many as there are calls at once."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, moving: bool = False
    ) -> None:
        """Be beside `loop`, which may move into a lane where it is run by `host`."""
        self.held: float | None = None  # since when a call holds up the loop
        self._loop = loop
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._idle = 0
        self._opened = 0
        self._late = 0.0  # how long calls took of late
        self._pace = Pace()
        self._moving = moving
        self._bound = False  # the loop is to be in the lane
        self._inside = False  # it is there

    # ---- Calls ----

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call `function` in a lane; return what it returns, or raise what it raises.

        Who is cancelled while he waits leaves the lane to the call, for as long as it
        runs; other calls get another lane.
        """
        if self._bound:
            self._leave()
        call = _Call(function)
        if self._idle == 0:
            self._open()
        self._idle -= 1
        started = perf_counter()
        self._calls.put(call)
        if (
            self._late > _QUICK
            or self._inside
            or not call.finished.acquire(timeout=_QUICK)
        ):
            await self._wait(call)
        self._idle += 1
        self._late += (perf_counter() - started - self._late) * _NEWEST
        return call.result()

    async def call(self, function: Callable[[], Any]) -> Any:
        """Call the function of the service: as `run` does, or with the loop moved."""
        if self._inside and self._bound:
            return self._here(function)
        if not self._moving:
            return await self.run(function)
        started = perf_counter()
        try:
            return await self.run(function)
        finally:
            self._pace.add(perf_counter() - started)
            if self._pace.quick:
                self._enter()

    def stay(self) -> None:
        """Keep the loop out of the lane from now on: what runs there takes its time."""
        self._moving = False
        if self._bound:
            self._leave()

    def _here(self, function: Callable[[], Any]) -> Any:
        """Call in this thread, hiding from the function that there is a loop in it."""
        loop = self._loop
        task: Any = asyncio.current_task(loop)
        self.held = started = perf_counter()
        tasks._leave_task(loop, task)  # noqa: SLF001 - documented for who makes loops
        asyncio._set_running_loop(None)  # noqa: SLF001 - documented so too
        try:
            return copy_context().run(function)
        finally:
            asyncio._set_running_loop(loop)  # noqa: SLF001
            tasks._enter_task(loop, task)  # noqa: SLF001
            self.held = None
            self._pace.add(perf_counter() - started)
            if not self._pace.quick:
                self._leave()

    async def _wait(self, call: _Call) -> None:
        # Whichever of the two sides comes second sees what the first has written.
        future = call.future = self._loop.create_future()
        if call.done is None:
            try:
                await future
            except BaseException:
                call.left = True
                self._moving = False  # whose thread would it be?
                raise

    # ---- Threads ----

    def _open(self) -> None:
        # A daemon: a call that never ends must not keep the replica from ending.
        thread = threading.Thread(target=self._work, name="function", daemon=True)
        thread.start()
        self._idle += 1
        self._opened += 1

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

    # ---- The loop's thread ----

    def host(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run the loop until `main` has ended, here or in a lane; return its result."""
        loop = self._loop
        task = loop.create_task(main)
        task.add_done_callback(lambda _: loop.stop())
        while not task.done():
            if self._bound:
                turn = _Call(self._run_inside)
                self._calls.put(turn)
                turn.finished.acquire()
                turn.result()
            else:
                loop.run_forever()
        return task.result()

    def _run_inside(self) -> None:
        self._inside = True
        try:
            self._loop.run_forever()
        finally:
            self._inside = False

    def _enter(self) -> None:
        if self._moving and self._idle == self._opened == 1:
            self._bound = True
            self._idle -= 1
            self._loop.stop()

    def _leave(self) -> None:
        self._bound = False
        self._idle += 1
        self._loop.stop()
