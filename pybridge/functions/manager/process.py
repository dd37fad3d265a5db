"""The processes of one attempt: their pipes, their limits, their end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pybridge.errors import BadArgument
from pybridge.functions import limits, memory, processes, trail
from pybridge.functions.manager import outcome
from pybridge.functions.manager.output import Masker, Pump
from pybridge.functions.manager.policy import KEY

if TYPE_CHECKING:
    from pybridge.functions import cgroups
    from pybridge.functions.manager.life import Life
    from pybridge.functions.manager.nursery import Child, Ended, Nursery

__all__ = ["Process"]

_CRASHES = {
    signal.SIGSEGV,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
}
_CRASH = 1 << 16  # bytes at the end of a log that tell of a crash
_ANSWER = 0.2  # seconds that a process has to say where its code is
_GLANCE = 0.002
_READS_TOML = 11  # the first Python 3 that does
_MEASURE = 0.1  # seconds between looks at the memory of a run
_KILLED = 2.0  # seconds that a killed process is waited for


class Process:
    """The processes of one attempt: their pipes, their limits, their end."""

    child: Child
    masker: Masker

    def __init__(self, life: Life, group: cgroups.Group, bounds: limits.Limits) -> None:
        self.life = life
        self.manager = life.manager
        self.group = group
        self.bounds = bounds
        self.loop = asyncio.get_running_loop()
        self.over = asyncio.Event()  # the run is final, its process not yet gone
        self.killed_for_memory = False
        self.pump: Optional[Pump] = None
        self.channel = -1
        self.trail = trail.make()
        self.verdict: Optional[dict[str, Any]] = None  # why it was ended
        self.meter: Optional[asyncio.Task[None]] = None

    async def start(self, nursery: Nursery) -> None:
        """Have the process forked."""
        work = os.path.join(self.life.folder, "work")
        os.makedirs(work, mode=0o700, exist_ok=True)
        memory_limit = self.bounds.memory
        its: list[int] = []  # what is only the process's own
        try:
            its.append(self._open_output())
            its.append(self._open_channel())
            fds = [*its, self.trail]
            heavy = memory_limit is not None
            self.child = await nursery.fork(self._request(work), fds, heavy=heavy)
        finally:
            for fd in its:
                os.close(fd)
        if memory_limit is not None:
            self.meter = asyncio.ensure_future(self._measure(memory_limit))

    def _open_output(self) -> int:
        """Begin to read a pipe; return the end that the process writes into."""
        key = self.life.origin.environ.get(KEY)  # as secret as the others
        secrets = [*self.life.secrets.values(), *([key] if key else [])]
        self.masker = Masker(secrets)
        out, its_out = os.pipe2(os.O_CLOEXEC)
        self.pump = Pump(self.loop, out, self.life.log, self.masker)
        return its_out

    def _open_channel(self) -> int:
        """Begin to hear the process; return the end that it writes its news to."""
        self.channel, its_channel = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.loop.add_reader(self.channel, self._hear)
        return its_channel

    def _request(self, work: str) -> dict[str, Any]:
        """Return what the nursery is told of the process."""
        return {
            "run": self.life.id,
            "cwd": work,
            "environ": self._environ(),
            "argv": self._argv(),
            "limits": list(self.bounds),
            "groups": [str(path) for path in self.group.paths],
        }

    def _environ(self) -> dict[str, str]:
        """Return the environment of the run."""
        life = self.life
        declared = {e["name"]: str(e["value"]) for e in life.spec.get("envs") or ()}
        return {
            **life.origin.environ,
            **_settings_of(life),
            **declared,
            **life.secrets,
            processes.MARK: life.id,
            "RUN_ID": life.id,
            "PROJECT_NAME": life.project,
            "PYBRIDGE_FUNCTIONS": str(life.store.root),
        }

    def _argv(self) -> list[str]:
        life = self.life
        words = ["--role", life.action, "--store", str(life.store.root)]
        words += ["--run", life.key, "--attempt", str(life.attempt)]
        return words if life.attempt >= life.last else [*words, "--more"]

    def _hear(self) -> None:
        """The process has written something into the store that others wait for."""
        try:
            heard = os.read(self.channel, 512)
        except BlockingIOError:
            return
        if not heard:
            self.loop.remove_reader(self.channel)
            return
        if self.pump is not None:
            self.pump.read()  # what was written before belongs before
        self.manager.announce(self.life.key)
        if not self.life.is_service and self.manager.is_final(self.life.key):
            self.over.set()

    # ---- Its end ---------------------------------------------------------------------

    async def _measure(self, limit: int) -> None:
        """Kill it when all of it takes more memory than it may, as the system would."""
        pause = _MEASURE
        while not self.child.ended.done():
            await asyncio.sleep(pause)
            base, pid = trail.base_of(self.trail), self.child.pid
            if base is None or pid is None:
                continue
            if self.group.counts_memory and pid in self.group.processes():
                return  # the system does
            began = self.loop.time()
            taken = await asyncio.to_thread(memory.taken, pid, memory.Base(*base))
            if taken > limit:
                message = (
                    f"the processes of the run took {taken >> 20}Mi together: the "
                    f"{limits.words(self.bounds)} was reached"
                )
                self.verdict = await self.failure("ProcessDied", message)
                self.child.kill()
                return
            # Pages are counted one by one: of many that takes a while.
            pause = max(_MEASURE, 10 * (self.loop.time() - began))

    async def failure(self, kind: str, message: str) -> dict[str, Any]:
        """Return how it fails, with the stage that it is in and where its code is."""
        if self.life.is_service:
            return outcome.failure(kind, message, "execute", self.life.attempt)
        await self._ask()
        left = trail.read(self.trail)
        places = left.places
        if self._crashed:
            places = trail.of_crash(self.life.log.end(_CRASH)) or places
        frames: list[dict[str, Any]] = []
        if places and left.root:
            from pybridge.functions.failure import located

            secrets = tuple(self.life.secrets.values())
            frames = located(places, tree=left.root, secrets=secrets)
        stage = left.stage or "start"
        return outcome.failure(kind, message, stage, self.life.attempt, frames)

    async def _ask(self) -> None:
        """Have it write where its code is, if it still can."""
        child = getattr(self, "child", None)
        if child is None or child.ended.done() or not trail.answers(child.pid):
            return
        size = os.fstat(self.trail).st_size
        child.signal(trail.ASK, group=False)
        until = self.loop.time() + _ANSWER
        while os.fstat(self.trail).st_size == size:
            if self.loop.time() > until:
                return
            await asyncio.sleep(_GLANCE)

    @property
    def _crashed(self) -> bool:
        """Was it ended by a signal of its own making?"""
        child = getattr(self, "child", None)
        if child is None or not child.ended.done():
            return False
        status = child.ended.result().status
        return (
            status is not None
            and os.WIFSIGNALED(status)
            and os.WTERMSIG(status) in _CRASHES
        )

    async def end(self) -> Ended:
        """End all that is left of it, and take what it has written last."""
        if self.meter is not None:
            self.meter.cancel()
        try:
            return await self._end()
        finally:
            if self.pump is not None:
                self.pump.finish()
            if self.channel >= 0:
                self.loop.remove_reader(self.channel)
                os.close(self.channel)
            self.killed_for_memory = self.group.killed_for_memory()
            if self.group:
                await asyncio.to_thread(self.group.remove)
            await self._tidy()

    async def _end(self) -> Ended:
        from pybridge.functions.manager.nursery import Ended

        if not hasattr(self, "child"):
            return Ended(reason="was not started")
        child, policy = self.child, self.manager.policy
        forced = False
        if not child.ended.done():
            service = self.life.is_service
            # A service ends its own processes, when they have answered all.
            child.signal(signal.SIGTERM, group=not service)
            child.signal(signal.SIGCONT)
            grace = policy.drain if service else policy.grace
            await asyncio.wait({child.ended}, timeout=grace)
        if not child.ended.done():
            forced = True
            child.kill()
            await asyncio.wait({child.ended}, timeout=_KILLED)
        how = child.ended.result() if child.ended.done() else Ended(reason="is stuck")
        if forced or how.left or how.status is None or self.group.processes():
            also = {*how.left, *self.group.processes()}
            await asyncio.to_thread(processes.end, child.run_id, child.pid, also)
        return how

    async def _tidy(self) -> None:
        """Remove the directory that the run has worked in, if it did what it should."""
        work = os.path.join(self.life.folder, "work")
        try:
            os.rmdir(work)
        except OSError:
            entity = self.life.store.get(self.life.key)
            if entity is None or entity["status"]["state"] == "COMPLETED":
                await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)

    def epitaph(self, how: Ended) -> str:
        """Say how the process ended, where it has not done so itself."""
        words = f"the process of the run {how.words}"
        told = limits.words(self.bounds)
        if self.killed_for_memory:
            return f"{words}: the {told} was reached"
        return words if how.status is None else self._cause(words, told, how.status)

    def _cause(self, words: str, told: str, status: int) -> str:
        """Say what may be behind an exit status; `told` is the memory limit, if any."""
        if os.WIFEXITED(status):
            return f"{words} before the function had returned (os._exit, or a library)"
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL:
            return f"{words}: somebody killed it, or the system was out of memory"
        if told and number in {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS}:
            return f"{words}; it may be that the {told} was reached"
        return words


def _settings_of(life: Life) -> dict[str, str]:
    """Return what a run is told of the settings, whose Python cannot read them."""
    from pybridge import settings
    from pybridge.functions.pythons import version_of

    path = life.origin.environ.get(settings.VARIABLE)
    version = version_of(life.spec.get("python_version") or life.origin.version)
    if not path or int(version.partition(".")[2]) >= _READS_TOML:
        return {}
    try:
        whole = settings.read(Path(path))
    except (BadArgument, OSError):  # it has changed since the run was begun
        return {}
    table = {"functions": whole.get("functions", {})}
    return {settings.READ: json.dumps(table, default=str)}
