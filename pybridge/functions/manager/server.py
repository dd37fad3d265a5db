"""The server of a store: takes runs from clients, tells them what became of those."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Optional

import pybridge
from pybridge import wire
from pybridge.errors import BridgeError, HostError
from pybridge.functions import spare, states
from pybridge.functions.manager import recovery, start
from pybridge.functions.manager.builds import Builds
from pybridge.functions.manager.life import Life, Origin
from pybridge.functions.manager.nursery import Nursery
from pybridge.functions.manager.policy import Policy, handed_on
from pybridge.functions.manager.queue import Queue
from pybridge.functions.pythons import own_version
from pybridge.functions.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NEWS", "REPLY", "REQUEST", "Manager", "run"]

REQUEST = b"R"  # from the client: JSON
REPLY = b"A"  # to the client: JSON, one for each request
NEWS = b"N"  # to the client: a log that it follows has grown

_TICK = 1.0  # seconds between looks at what nobody tells
_HANDOVER = 5.0  # seconds in which a manager that is called takes its place back
_GLANCE = 0.02
_UNUSED = 60.0  # seconds that the forkservers of an environment are kept for


def run() -> None:
    """Be the manager."""
    told = json.loads(sys.argv[-1])
    os.chdir("/")  # keep nobody's disk from being taken away
    lock = _lock(told["folder"])
    if lock is None:
        _call_the_other(told["folder"])
        return
    listener = socket.socket(fileno=told["listener"])
    store = Store.open(told["store"])
    policy = Policy(*told["policy"])
    asyncio.run(Manager(store, policy, told["folder"]).serve(listener))
    os.close(lock)


def _call_the_other(folder: str) -> None:
    """Have the manager that there is take its place back, which somebody removed."""
    path = f"{folder}/socket"
    mine = _number_of(path)
    try:
        with open(f"{folder}/lock", encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGUSR1)
    except (OSError, ValueError):
        return
    until = time.monotonic() + _HANDOVER
    while _number_of(path) == mine and time.monotonic() < until:
        time.sleep(_GLANCE)


def _number_of(path: str) -> int:
    """Return what tells a file from another one of its name; 0 where there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _lock(folder: str) -> Optional[int]:
    """Take the lock that only one manager of a store has; None if another has it."""
    fd = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    os.ftruncate(fd, 0)
    os.write(fd, str(os.getpid()).encode())
    return fd


class _Client(asyncio.Protocol):
    """A connection: one request after the other."""

    transport: asyncio.Transport

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self.frames = wire.Frames()
        self.follows = ""
        self.told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self.transport = transport
        pid, own = wire.own_peer(transport.get_extra_info("socket"))
        if not own:
            sys.stderr.write(f"refused process {pid}, another user's\n")
            transport.abort()
            return
        self.manager.clients.add(self)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        del exc
        self.manager.lost(self)

    def data_received(self, data: bytes) -> None:
        for kind, payload in self.frames.feed(data):
            if kind == REQUEST:
                self.manager.hear(self, json.loads(payload))

    def reply(self, **fields: Any) -> None:
        """Answer the request at hand."""
        self.transport.write(wire.pack(REPLY, json.dumps(fields).encode()))

    def news(self) -> None:
        """Tell that a log has grown, unless it was told and has not read that yet."""
        if not self.transport.get_write_buffer_size():
            self.transport.write(wire.pack(NEWS))


class Manager:
    """The runs that live, those who wait for them, and what they are made with."""

    def __init__(self, store: Store, policy: Policy, folder: str) -> None:
        self.store = store
        self.policy = policy
        self.folder = folder
        self.owner = states.owner("local")
        self.queue = Queue(policy.slots)
        self.lives: dict[str, Life] = {}  # by key
        self.clients: set[_Client] = set()
        self.waiting: dict[str, dict[_Client, bool]] = {}  # key -> client -> has lent
        self.environ = handed_on(os.environ, policy.handed_on)
        self.origin = Origin(self.environ, sys.executable, own_version(), "")
        self.own = Nursery(sys.executable, self.environ, folder, "own", policy.preload)
        self.others: dict[str, Nursery] = {}
        self.builds = Builds(store)
        self.quiet_since = time.monotonic()
        self.ending = asyncio.Event()
        self.began = time.time()
        self.server: asyncio.AbstractServer
        self.place = 0  # which file its socket is

    # ---- The loop -------------------------------------------------------------------

    async def serve(self, listener: socket.socket) -> None:
        """Serve until nothing was asked for long enough, or a signal says so."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ending.set)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        spare.keep(self.store)
        recovery.recover(self)
        loop.add_signal_handler(
            signal.SIGUSR1, lambda: asyncio.ensure_future(self._listen_anew())
        )
        await self._listen(listener)
        self.own.warm()
        while not self.ending.is_set():
            try:
                await asyncio.wait_for(self.ending.wait(), _TICK)
            except asyncio.TimeoutError:
                self._look_around()
                if _number_of(f"{self.folder}/socket") != self.place:
                    await self._listen_anew()
        await self._leave()

    async def _listen(self, listener: socket.socket) -> None:
        """Take clients from a socket."""
        self.place = _number_of(f"{self.folder}/socket")
        # Not create_unix_server: from 3.13 on that looks for the file at the socket's
        # name, which begins with a descriptor that means something else by now.
        self.server = await asyncio.get_running_loop().create_server(
            lambda: _Client(self), sock=listener
        )

    async def _listen_anew(self) -> None:
        """Take the place back that somebody has removed, or another has taken."""
        if not self._is_ours():
            return
        starting = os.open(f"{self.folder}/starting", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(starting, fcntl.LOCK_EX | fcntl.LOCK_NB)
            listener = start.listen(self.folder)
        except OSError:  # a client is at it, and its manager will call
            return
        finally:
            os.close(starting)
        self.server.close()
        await self._listen(listener)

    def _look_around(self) -> None:
        """Do what nothing else gives rise to."""
        now = time.monotonic()
        if not self._is_ours():
            self.ending.set()
        elif self.lives or self.waiting:
            self.quiet_since = now
        elif self.policy.idle and now > self.quiet_since + self.policy.idle:
            self.ending.set()
        spare.keep(self.store)
        self.own.rest()
        for python, nursery in list(self.others.items()):
            nursery.rest()
            if not nursery.busy and now > nursery.used + _UNUSED:
                nursery.close()
                del self.others[python]

    def _is_ours(self) -> bool:
        """Is the store still there, and this its manager?"""
        try:
            with open(f"{self.folder}/lock", encoding="ascii") as file:
                found = file.read()
        except OSError:
            return False
        return found == str(os.getpid())

    async def _leave(self) -> None:
        """Take the socket away, so that no client comes; then end what is left."""
        try:
            starting = os.open(f"{self.folder}/starting", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(starting, fcntl.LOCK_EX)
            if self._is_ours():
                os.unlink(f"{self.folder}/socket")
            os.close(starting)
        except OSError:  # the store is gone, and all with it
            pass
        self.server.close()
        await asyncio.gather(*(life.leave() for life in list(self.lives.values())))
        for nursery in (self.own, *self.others.values()):
            nursery.close()
        for client in list(self.clients):
            client.transport.abort()

    # ---- Requests -------------------------------------------------------------------

    def hear(self, client: _Client, fields: dict[str, Any]) -> None:
        """Do what a client asks for."""
        self.quiet_since = time.monotonic()
        name = str(fields.pop("do", None))
        action = getattr(self, f"_do_{name}", None)
        try:
            if action is None:
                raise HostError(f"the manager does not know what '{name}' is")
            action(client, **fields)
        except (BridgeError, TypeError) as exc:
            client.reply(error=str(exc))

    def lost(self, client: _Client) -> None:
        """A client is gone: what it has submitted goes on."""
        self.clients.discard(client)
        for key in [key for key, clients in self.waiting.items() if client in clients]:
            self._unwait(key, client)

    def _do_submit(self, client: _Client, key: str, origin: list[Any]) -> None:
        if key not in self.lives:
            self.begin(key, Origin(*origin))
        client.reply()

    def _do_wait(self, client: _Client, key: str, by: str = "") -> None:
        if self._is_over(key):
            client.reply()
            return
        if key not in self.lives:  # of a client that did not come to submit it
            self.begin(key, self.origin)
        lends = self._has_place(by)
        self.waiting.setdefault(key, {})[client] = lends
        if lends:
            self.queue.give()  # it does nothing but wait, maybe for its own turn

    def _do_stop(self, client: _Client, key: str) -> None:
        life = self.lives.get(key)
        if life is None:
            self.move(key, "STOP")
            self.move(key, "STOPPED")
            client.reply()
            return
        task = asyncio.ensure_future(life.stop())
        task.add_done_callback(lambda _: client.reply())

    def _do_reload(self, client: _Client, key: str) -> None:
        life = self.lives.get(key)
        if life is None or not life.is_service:
            raise HostError("there is no such service")

        def over(task: asyncio.Future[Any]) -> None:
            exc = None if task.cancelled() else task.exception()
            if exc is not None or task.cancelled():
                client.reply(error=str(exc or "the manager ends"))
            else:
                client.reply(failure=task.result())

        asyncio.ensure_future(life.reload()).add_done_callback(over)

    def _do_follow(self, client: _Client, key: str) -> None:
        if key not in self.lives:
            if self.is_final(key):
                client.reply()
                return
            self.begin(key, self.origin)
        client.follows = key
        client.news()

    def _do_info(self, client: _Client) -> None:
        client.reply(
            pid=os.getpid(),
            version=pybridge.__version__,
            began=self.began,
            running=sorted(life.id for life in self.lives.values() if life.has_place),
            waiting=len(self.queue),
            runs=sorted(life.id for life in self.lives.values()),
            places=self.policy.slots,
            warm=self.own.warmed,
        )

    def _do_end(self, client: _Client) -> None:
        client.reply(pid=os.getpid())
        self.ending.set()

    # ---- Runs -----------------------------------------------------------------------

    def begin(self, key: str, origin: Origin, first: int = 0) -> None:
        """Take a run, unless it is final; `first` is the attempt it began with."""
        entity = self.store.get(key)
        if entity is None:
            return
        spare.keep(self.store)  # the disk may have been full meanwhile
        known = {
            "owner": self.owner,
            "engine": "local",
            # For a manager after this one:
            "python": [origin.python, origin.version],
            "first": first or len(entity["status"].get("attempts") or ()) + 1,
        }
        entity = self.move(key, "PENDING", **known)
        if entity is not None:
            self.lives[key] = Life(self, entity, origin)

    def finished(self, life: Life) -> None:
        """A run is over, as far as the manager can tell."""
        self.lives.pop(life.key, None)
        self.quiet_since = time.monotonic()
        self.announce(life.key, over=True)
        for client in self.clients:
            if client.follows == life.key:
                client.follows = ""
                client.reply()

    def announce(self, key: str, *, over: bool = False) -> None:
        """Tell those who wait for a run that it is over, if it is."""
        if key in self.waiting and (over or self._is_over(key)):
            for client in list(self.waiting.get(key, ())):
                self._unwait(key, client)
                client.reply()

    def _unwait(self, key: str, client: _Client) -> None:
        clients = self.waiting[key]
        has_lent = clients.pop(client)
        if not clients:
            del self.waiting[key]
        if has_lent:
            self.queue.take_back()

    def _has_place(self, run_id: str) -> bool:
        """Is it a run that has one of the places?"""
        return bool(run_id) and any(
            life.id == run_id and life.has_place for life in self.lives.values()
        )

    def news(self, key: str) -> None:
        """Tell those who follow a log that it has grown."""
        for client in self.clients:
            if client.follows == key:
                client.news()

    def is_ready(self, key: str) -> bool:
        """Does the service of a run answer?"""
        entity = self.store.get(key)
        status = {} if entity is None else entity["status"]
        return bool(status.get("service")) and status.get("state") == "RUNNING"

    def is_final(self, key: str) -> bool:
        """Has a run come to its end?"""
        entity = self.store.get(key)
        return entity is None or states.is_final(entity["status"]["state"])

    def _is_over(self, key: str) -> bool:
        """Is there nothing more to wait for?"""
        entity = self.store.get(key)
        if entity is None or states.is_final(entity["status"]["state"]):
            return True
        return entity["spec"].get("action") == "serve" and self.is_ready(key)

    async def nursery(self, life: Life) -> Nursery:
        """Return where the processes of a run come from, its environment made."""
        python = await self.builds.python_of(life)
        if python == sys.executable:
            return self.own
        if python not in self.others:
            name = f"{len(self.others)}-{time.monotonic_ns()}"
            self.others[python] = Nursery(
                python, self.environ, self.folder, name, self.policy.preload
            )
        else:
            self.others[python].warm()
        return self.others[python]

    # ---- The store ------------------------------------------------------------------

    def move(self, key: str, state: str, **status: Any) -> Optional[dict[str, Any]]:
        """Move a run into a state; None where what it is in does not allow that."""
        moved: Optional[dict[str, Any]] = self.keep(
            lambda: self.store.move(key, state, **status)
        )
        return moved

    def keep(self, write: Callable[[], Any]) -> Any:
        """Write into the store, also where the disk is full."""
        return spare.kept(self.store, write)
