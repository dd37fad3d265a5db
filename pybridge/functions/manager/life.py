"""The life of a run in the manager: its environment, its place, its attempts, its end.

What happened is always written into the store first, and then the processes are ended:
what they may still have to say about it is refused there.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from pybridge.errors import BridgeError, HostError
from pybridge.functions import attempts, cgroups, limits, states
from pybridge.functions.manager import outcome
from pybridge.functions.manager.output import Log
from pybridge.functions.manager.process import Process

if TYPE_CHECKING:
    from pybridge.functions.manager.nursery import Ended, Nursery
    from pybridge.functions.manager.server import Manager

__all__ = ["Life", "Origin"]

_MANY = 3  # times that a service which was ready once is started again
_LONG = 60.0  # seconds after which a service that answered has proved itself
_LOOK = 0.05  # seconds between looks whether a service answers
_PAUSE = 0.25  # seconds between tries to write into a store that refuses


class Origin(NamedTuple):
    """Where a run comes from: its client's variables, its Python, its crowd."""

    environ: dict[str, str]
    python: str
    version: str
    group: str


class _Finished(Exception):  # noqa: N818 - how the attempts end
    """The run is final, or somebody else has it now."""


class Life:
    """One run, from when the manager takes it until it is final."""

    def __init__(
        self,
        manager: Manager,
        entity: dict[str, Any],
        origin: Origin,
    ) -> None:
        """Take the run as the store has it, and where it comes from."""
        self.manager = manager
        self.store = manager.store
        self.key: str = entity["key"]
        self.id: str = entity["id"]
        self.project: str = entity["project"]
        self.spec: dict[str, Any] = entity["spec"]
        self.action: str = self.spec.get("action") or "job"
        self.origin = origin
        self.began = time.monotonic()
        self.attempt = len(entity["status"].get("attempts") or ()) + 1
        self.first: int = entity["status"]["first"]
        self.last = self.first + self._retries()
        self.stopping = False
        self.leaving = False
        self.has_place = False
        self.failure: Optional[dict[str, Any]] = None  # of the attempt at hand
        self.secrets: dict[str, str] = {}
        self.process: Optional[Process] = None
        self.reloading = asyncio.Lock()
        self.folder = str(self.store.run_directory(self.id))
        self.log = Log(
            os.path.join(self.folder, "log"),
            manager.policy.log_size,
            lambda: manager.news(self.key),
            rolls=self.is_service,
        )
        self.task = asyncio.get_running_loop().create_task(self._live())

    @property
    def is_service(self) -> bool:
        """Does it run until it is stopped?"""
        return self.action == "serve"

    def _retries(self) -> int:
        given = self.spec.get("backoff_limit")
        if given is None:
            return _MANY if self.is_service else 0
        return int(given)

    # ---- From outside ---------------------------------------------------------------

    async def stop(self) -> None:
        """End it wherever it is; it is STOPPED then, unless it was final before."""
        if self.manager.move(self.key, "STOP") is not None:
            self.stopping = True
            self.manager.announce(self.key)
            self.task.cancel()
        await asyncio.wait({self.task})

    async def reload(self) -> Optional[dict[str, Any]]:
        """Have a service replace its replicas; return why it has not, if so.

        Raises:
            HostError: it does not answer yet, or not any more.

        """
        async with self.reloading:
            process = self.process
            if process is None or not self.manager.is_ready(self.key):
                raise HostError("the service does not answer; wait() for it first")
            self.secrets |= outcome.secrets_of(self.store, self.project, self.spec)
            process.masker.add(self.secrets.values())
            before = self._reloaded()
            process.child.signal(signal.SIGHUP, group=False)
            while (now := self._reloaded()) == before:
                done, _ = await asyncio.wait({process.child.ended}, timeout=_LOOK)
                if done:
                    raise HostError("the service ended while it was reloaded")
            return (now or {}).get("error")

    def _reloaded(self) -> Optional[dict[str, Any]]:
        """Return what the service says of its last reload."""
        entity = self.store.get(self.key)
        return None if entity is None else entity["status"].get("reload")

    async def leave(self) -> None:
        """End its processes, and leave it to the next manager."""
        self.leaving = True
        self.task.cancel()
        await asyncio.wait({self.task})

    # ---- The whole ------------------------------------------------------------------

    async def _live(self) -> None:
        try:
            await self._lead()
        except (_Finished, asyncio.CancelledError):
            pass
        except outcome.Failed as failed:
            self._fail(failed.failure, last=True)
        except Exception as exc:  # a fault of ours must not leave it as it is
            traceback.print_exc()
            self.failure = outcome.describe(exc, "manager", self.attempt)
        finally:
            if not self.leaving:
                await self._be_final()
            elif self.is_service and not self.stopping:
                # It has stopped as it was told to; the next manager starts it again.
                self.manager.move(self.key, "RESUME")
            self.log.close()
            if not self.leaving:
                self.manager.finished(self)

    async def _be_final(self) -> None:
        """See to it that the store knows the end, however long it takes nothing in."""
        while True:
            try:
                if self.stopping:
                    self.manager.move(self.key, "STOPPED")
                if self.manager.is_final(self.key):
                    return
                failure = self.failure or outcome.failure(
                    "ProcessDied",
                    "the run ended, nobody knows how",
                    "manager",
                    self.attempt,
                )
                self._fail(failure, last=True)
            except BridgeError as exc:
                sys.stderr.write(f"{self.key}: its end cannot be stored: {exc}\n")
                await asyncio.sleep(_PAUSE)

    async def _lead(self) -> None:
        try:
            self.secrets = outcome.secrets_of(self.store, self.project, self.spec)
        except BridgeError as exc:
            failure = outcome.describe(exc, "environment", self.attempt)
            raise outcome.Failed(failure) from None
        while True:
            nursery = await self.manager.nursery(self)
            await self._take_place()
            try:
                failure = await self._attempt(nursery)
            finally:
                self._give_place()
            await self._pause(failure)
            self.attempt += 1

    async def _take_place(self) -> None:
        if not self.is_service:
            await self.manager.queue.take(self.origin.group)
            self.has_place = True

    def _give_place(self) -> None:
        if self.has_place:
            self.has_place = False
            self.manager.queue.give()

    async def _pause(self, failure: dict[str, Any]) -> None:
        """Wait between two attempts."""
        self._fail(failure, last=False)
        chance = random.random()  # noqa: S311 - nobody gains by guessing it
        seconds = self.manager.policy.delay(self.attempt - self.first + 1, chance)
        self.log.say(
            f"attempt {self.attempt} failed ({outcome.line(failure)}); the next one "
            f"begins in {seconds:.1f} s, and {self.last - self.attempt} may follow"
        )
        await asyncio.sleep(seconds)

    # ---- An attempt -----------------------------------------------------------------

    async def _attempt(self, nursery: Nursery) -> dict[str, Any]:
        """Make an attempt; return how it failed, where another one may follow.

        Raises:
            _Finished: none may.

        """
        self.failure = None
        if self.attempt > 1:
            self.log.say(attempts.begins(self.attempt))
        bounds = limits.of(self.spec.get("resources"))
        shared = bounds if self.manager.policy.control_groups else limits.Limits()
        group = cgroups.make(f"{self.id}-{self.attempt}", shared)
        process = Process(self, group, bounds)
        try:
            try:
                await process.start(nursery)
                self.process = process
                how = await self._watch(process)
            finally:
                self.process = None
                ended = await process.end()
            failure = await self._verdict(how or ended, process)
        finally:
            os.close(process.trail)
        if failure is None or self.attempt >= self.last:
            raise _Finished
        return failure

    async def _watch(self, process: Process) -> Optional[Ended]:
        """Wait until the process ends, or its time is over; None: it is."""
        if self.is_service:
            await self._watch_service(process)
            return process.child.ended.result()
        timeout = self.spec.get("timeout")
        over = asyncio.ensure_future(process.over.wait())
        ends: set[asyncio.Future[Any]] = {process.child.ended, over}
        try:
            done, _ = await asyncio.wait(
                ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            over.cancel()
        if done:
            # Its threads, and what it registered for its end, are given some time.
            ended = process.child.ended
            await asyncio.wait({ended}, timeout=self.manager.policy.grace)
            return ended.result() if ended.done() else None
        self._fail(
            await process.failure(
                "TimeoutError",
                f"attempt {self.attempt} took longer than its timeout of {timeout:g} s",
            ),
            last=self.attempt >= self.last,
        )
        return None

    async def _watch_service(self, process: Process) -> None:
        """Tell when the service answers, and forgive it what is long ago."""
        ended = process.child.ended
        began = time.monotonic()
        while not self.manager.is_ready(self.key):
            done, _ = await asyncio.wait({ended}, timeout=_LOOK)
            if done and not self.manager.is_ready(self.key):
                self.last = self.attempt  # it never came up, and never will
                return
        self.manager.announce(self.key)
        await asyncio.wait({ended})
        if time.monotonic() - began > _LONG:
            self.first = self.attempt
            self.last = self.first + self._retries()

    async def _verdict(self, how: Ended, process: Process) -> Optional[dict[str, Any]]:
        """Return how the attempt failed; None where the run is final or stopped."""
        entity = self.store.get(self.key)
        if entity is None:
            return None
        status = entity["status"]
        if states.is_final(status["state"]) or status["state"] == "STOP":
            return None
        attempts = status.get("attempts") or []
        if attempts and attempts[-1].get("attempt") == self.attempt:
            failed: dict[str, Any] = attempts[-1]
            return failed
        failed = process.verdict or await process.failure(
            "ProcessDied", process.epitaph(how)
        )
        self._fail(failed, last=self.attempt >= self.last)
        return failed

    def _fail(self, failure: dict[str, Any], *, last: bool) -> None:
        """Write a failure into the store, and into the log."""
        self.failure = failure = outcome.mask(failure, self.secrets)
        self.manager.keep(lambda: outcome.record(self.store, self.key, failure, last))
        if last:
            self.log.say(outcome.line(failure))
        self.manager.announce(self.key)
