"""The forkservers of one Python, and the processes that they have forked.

One that has loaded little is there at once; one with pandas takes its place as soon as
that is loaded. Who cannot do with the first waits for the second.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from signal import SIGKILL
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from pybridge import wire
from pybridge.functions import forkserver, processes, states

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Child", "Ended", "Nursery"]

_LIGHT = (
    "tomllib",
    "pybridge.settings",
    "pybridge.functions.worker",
    "pybridge.functions.execution",
    "pybridge.functions.loading",
    "pybridge.functions.sources",
    "pybridge.functions.project",
)
_HEAVY = (
    "pandas",
    "pyarrow",
    "pyarrow.parquet",
    "pydantic",
    "cloudpickle",
    "fsspec",
    *_LIGHT,
    "pybridge.functions.arguments",
    "pybridge.functions.outputs",
    "pybridge.functions.material",
    "pybridge.functions.tables",
    "pybridge.functions.pickles",
    "pybridge.functions.nuclio",
    "pybridge.functions.build",
    "pybridge.functions.dockerfile",
    "pybridge.functions.environments",
)
_PROGRAM = (
    "import sys; sys.path[:] = [place for place in sys.path if place]; "
    "from pybridge.functions.forkserver import run; run(int(sys.argv[1]), sys.argv[2:])"
)
_SHOWN = 2000  # of what a forkserver wrote before it failed


class Ended(NamedTuple):
    """How a process ended; without a status nobody saw it."""

    status: Optional[int] = None
    memory: int = 0
    left: tuple[int, ...] = ()
    reason: str = ""

    @property
    def words(self) -> str:
        """Say it."""
        if self.status is None:
            return self.reason
        return processes.describe_exit(self.status)


class Child:
    """A process of a run: its number once it is born, and its end."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.pid: Optional[int] = None
        self.began: Optional[int] = None
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.wanted: list[tuple[int, bool]] = []
        self.server: Optional[_Server] = None

    def signal(self, number: int, *, group: bool = True) -> None:
        """Signal the process, or its group; one that is not born yet gets it then."""
        if self.ended.done():
            return
        if self.pid is None:
            self.wanted.append((number, group))
            return
        # The number may be another process's by now, when its end is on its way here.
        if states.started(self.pid) != self.began:
            return
        try:
            (os.killpg if group else os.kill)(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def kill(self) -> None:
        """Kill its group; where it is not born yet, what does not come to it."""
        if self.pid is not None:
            self.signal(SIGKILL)
        elif self.server is not None:
            self.server.process.kill()

    def is_born(self, pid: int) -> None:
        """Take the number."""
        self.pid, self.began = pid, states.started(pid)
        for number, group in self.wanted:
            self.signal(number, group=group)

    def has_ended(self, how: Ended) -> None:
        """Take the end."""
        if not self.ended.done():
            self.ended.set_result(how)


class _Server:
    """One forkserver, seen from the manager."""

    def __init__(
        self,
        python: str,
        modules: Sequence[str],
        environ: Mapping[str, str],
        log: str,
        gone: Callable[[_Server], None],
    ) -> None:
        self.children: dict[int, Child] = {}
        self.ready = False
        self.alive = True
        self.frames = wire.Frames()
        self.gone = gone
        self.log = log
        self.loop = asyncio.get_running_loop()
        self.woken = asyncio.Event()
        ours, its = socket.socketpair()
        with open(log, "wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [python, "-c", _PROGRAM, str(its.fileno()), *modules],
                env={**environ, processes.MARK: forkserver.placeholder()},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[its.fileno()],
                start_new_session=True,
            )
        its.close()
        self.sock = ours
        self.loop.add_reader(ours.fileno(), self._hear)

    def fork(
        self, number: int, child: Child, request: Mapping[str, Any], fds: Sequence[int]
    ) -> None:
        """Have a process forked."""
        self.children[number] = child
        child.server = self
        payload = json.dumps({**request, "number": number}).encode()
        try:
            wire.send(self.sock, forkserver.FORK, payload, fds)
        except (wire.Gone, OSError):
            self._lost()

    def close(self) -> None:
        """End it, and with it all that it has forked."""
        if self.alive:
            self._lost()

    def _hear(self) -> None:
        try:
            self.sock.setblocking(False)
            frames = self.frames.read(self.sock)
            self.sock.setblocking(True)
        except wire.Gone:
            self._lost()
            return
        for kind, payload in frames:
            fields = json.loads(payload)
            if kind == forkserver.READY:
                self.ready = True
                self.woken.set()
            elif kind == forkserver.STARTED:
                self.children[fields["number"]].is_born(fields["pid"])
            elif kind == forkserver.ENDED:
                child = self.children.pop(fields["number"])
                if "refused" in fields:
                    how = Ended(reason=f"could not be started: {fields['refused']}")
                else:
                    left = tuple(fields["left"])
                    how = Ended(fields["status"], fields["memory"], left)
                child.has_ended(how)

    def _lost(self) -> None:
        if not self.alive:
            return
        self.alive = self.ready = False
        self.loop.remove_reader(self.sock.fileno())
        self.sock.close()
        self.woken.set()
        reason = self._why()
        children, self.children = self.children, {}
        for child in children.values():
            child.has_ended(Ended(reason=reason))
        self.gone(self)

    def _why(self) -> str:
        """Say why there is no forkserver any more."""
        try:
            with open(self.log, "rb") as file:
                told = file.read().decode("utf-8", "replace").strip()
        except OSError:  # it was removed with the store
            told = ""
        words = "was ended with the process that had started it"
        return f"{words}:\n{told[-_SHOWN:]}" if told else words


class Nursery:
    """The forkservers of one Python."""

    def __init__(
        self,
        python: str,
        environ: Mapping[str, str],
        folder: str,
        name: str,
        preload: Optional[Sequence[str]] = (),
    ) -> None:
        """Take the program, what of the environment it starts with, and a folder.

        `preload` is what else is loaded for runs to share; None: nothing at all.
        """
        self.python = python
        self._heavy_ones = None if preload is None else (*_HEAVY, *preload)
        self._environ = dict(environ)
        self._log = os.path.join(folder, f"forkserver-{name}")
        self._count = 0
        self._light: Optional[_Server] = None
        self._heavy: Optional[_Server] = None
        self._all: set[_Server] = set()
        self.used = time.monotonic()

    @property
    def busy(self) -> bool:
        """Is something of it still running?"""
        return any(server.children for server in self._all)

    @property
    def warmed(self) -> bool:
        """Is what is heavy loaded?"""
        return self._heavy is not None and self._heavy.ready

    def warm(self) -> None:
        """Begin to load what is heavy."""
        if self._heavy is None and self._heavy_ones is not None:
            self._heavy = self._start(self._heavy_ones, "heavy")

    async def fork(
        self, request: Mapping[str, Any], fds: Sequence[int], *, heavy: bool = False
    ) -> Child:
        """Have the process of a run forked; `heavy` waits until pandas is loaded."""
        self.used = time.monotonic()
        if heavy:
            self.warm()
        while heavy and self._heavy is not None and not self._heavy.ready:
            await self._heavy.woken.wait()
        server = self._heavy if self._heavy is not None and self._heavy.ready else None
        if server is None:
            if self._light is None:
                self._light = self._start(_LIGHT, "light")
            server = self._light
        self._count += 1
        child = Child(request["run"])
        server.fork(self._count, child, request, fds)
        self._tidy()
        return child

    def close(self) -> None:
        """End all."""
        for server in list(self._all):
            server.close()
        for server in list(self._all):
            server.process.wait()

    def _start(self, modules: Sequence[str], name: str) -> _Server:
        server = _Server(
            self.python, modules, self._environ, f"{self._log}-{name}", self._gone
        )
        self._all.add(server)
        return server

    def _tidy(self) -> None:
        """End the light one when the heavy one has taken its place."""
        light = self._light
        if light is not None and self._heavy is not None and self._heavy.ready:
            self._light = None
            if not light.children:
                light.close()
            # else it is closed when its last child has ended, see `rest`

    def rest(self) -> None:
        """End what is not needed any more; called every now and then."""
        for server in list(self._all):
            if server.children or server in {self._light, self._heavy}:
                continue
            server.close()
            if server.process.poll() is not None:
                self._all.discard(server)

    def _gone(self, server: _Server) -> None:
        """A forkserver is no more."""
        if server is self._light:
            self._light = None
        if server is self._heavy:
            self._heavy = None
