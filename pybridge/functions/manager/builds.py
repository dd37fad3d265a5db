"""The environments that runs wait for: each is made once, however many want it."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pybridge.errors import BridgeError
from pybridge.functions import processes
from pybridge.functions.manager import outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pybridge.functions.manager.life import Life
    from pybridge.functions.store import Store

__all__ = ["Builds"]

_AT_ONCE = 4


class _Build:
    """One that is being made, and the runs that wait for it."""

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self.stopped = threading.Event()
        self.future: asyncio.Future[str]


class Builds:
    """All that are being made."""

    def __init__(self, store: Store) -> None:
        """Take the store, where they are kept."""
        self._store = store
        self._making: dict[str, _Build] = {}
        self._threads = ThreadPoolExecutor(_AT_ONCE, "environment")

    async def python_of(self, life: Life) -> str:
        """Return the Python that a run's processes are to be of.

        Raises:
            Failed: it cannot be had.

        """
        from pybridge.functions import environments

        spec = life.spec
        if life.action == "build":
            return sys.executable
        if not environments.is_needed(spec, life.origin.version):
            return life.origin.python
        try:
            wanted = environments.request(spec, store=self._store)
            ready = environments.find(wanted, store=self._store)
            if ready is not None:
                return str(ready.python)
            return await self._join(life, wanted)
        except BridgeError as exc:
            failure = outcome.describe(exc, "environment", life.attempt)
            raise outcome.Failed(failure) from None

    async def _join(self, life: Life, wanted: Any) -> str:
        """Wait for an environment, made for this run or for another."""
        life.manager.move(life.key, "PENDING", message="its environment is being made")
        build = self._making.get(wanted.digest)
        if build is None or build.stopped.is_set():
            # What uv starts is found by the run, should this manager be killed.
            environ = {**life.origin.environ, processes.MARK: life.id}
            build = self._making[wanted.digest] = self._start(wanted, environ)
        build.lives.append(life)
        try:
            return await asyncio.shield(build.future)
        finally:
            build.lives.remove(life)
            if not build.lives:  # nobody wants it any more
                build.stopped.set()

    def _start(self, wanted: Any, environ: Mapping[str, str]) -> _Build:
        from pybridge.functions import environments

        loop = asyncio.get_running_loop()
        build = _Build()

        def say(text: str) -> None:
            for life in list(build.lives):
                life.log.say(text)

        def progress(text: str) -> None:
            loop.call_soon_threadsafe(say, text)

        def make() -> str:
            made = environments.make(
                wanted,
                store=self._store,
                progress=progress,
                stopped=build.stopped.is_set,
                environ=environ,
            )
            return str(made.python)

        def done(future: asyncio.Future[str]) -> None:
            if self._making.get(wanted.digest) is build:
                del self._making[wanted.digest]
            if not future.cancelled():
                future.exception()  # nobody may be there to hear it

        build.future = asyncio.ensure_future(loop.run_in_executor(self._threads, make))
        build.future.add_done_callback(done)
        return build
