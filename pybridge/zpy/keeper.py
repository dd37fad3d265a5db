"""The keeper of a session: takes calls, gives them to the worker one at a time.

It runs none of the user's code, so it is there to tell how the worker ended, to pass
interrupts on whatever the worker does, and to end both when nothing comes any more.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from pybridge import __version__
from pybridge.zpy import place, wire

__all__ = ["run"]

_SECONDS_TO_STOP = 5.0  # what code is given to stop before a session is ended by force
_SHOWN = 60
_TAIL = 3
_LOG_LIMIT = 1 << 24


def run() -> None:
    """Be the keeper; in the worker, which is forked from it, be the worker."""
    told = json.loads(sys.argv[-1])
    _close_all_but({0, 1, 2, told["listener"], told["folder"]})
    os.chdir("/")  # keep nobody's disk from being taken away
    keeper = Keeper(told)
    try:
        keeper.serve()
        return
    except _Born as born:
        sock = born.sock
    # Behind the except: what the code raises is not in the context of anything here.
    del keeper
    from pybridge.zpy import worker

    worker.main(sock, told["name"], told["policy"])


class _Born(BaseException):
    """Raised in the new worker, so that nothing of the keeper's is on its stack."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock


class _Client:
    """A connection, and the request that came over it."""

    __slots__ = ("fds", "fields", "frames", "gone", "pid", "since", "sock", "told")

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self.sock = sock
        self.pid = pid
        self.frames = wire.Frames()
        self.fields: dict[str, bytes] = {}
        self.fds: list[int] = []
        self.since = time.time()
        self.gone = False
        self.told = False

    def send(self, kind: bytes, text: str = "") -> None:
        """Send a frame, to whoever is still there."""
        try:
            wire.send(self.sock, kind, text.encode("utf-8", "surrogateescape"))
        except (wire.Gone, OSError):
            self.gone = True

    def end(self, code: int, note: str = "") -> None:
        """Give the exit code, and close."""
        if note:
            self.send(wire.NOTE, note)
        self.send(wire.EXIT, str(code))
        self.drop()

    def drop(self) -> None:
        """Close what is open."""
        for fd in (*self.fds, *self.frames.fds):
            os.close(fd)
        self.fds = self.frames.fds = []
        self.sock.close()


class Keeper:
    """The socket, the worker, the call that runs and those that wait."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.name: str = told["name"]
        self.folder: int = told["folder"]
        self.policy: dict[str, Any] = told["policy"]
        self.listener = socket.socket(fileno=told["listener"])
        for fd in (self.folder, told["listener"]):
            os.set_inheritable(fd, False)
        self.listener.setblocking(False)
        self.token = place.read_token(self.folder, self.name)
        self.began = time.time()
        self.files = _files()
        self.poll = select.poll()
        self.poll.register(self.listener, select.POLLIN)
        self.clients: dict[int, _Client] = {}
        self.queue: list[_Client] = []
        self.active: _Client | None = None
        self.worker: socket.socket | None = None
        self.worker_pid = 0
        self.frames = wire.Frames()
        self.names: dict[str, int] = {}
        self.quiet_since = time.monotonic()
        self.crash = ""
        # How the session is to end: None = not at all.
        self.ending: _Ending | None = None
        self.over = False
        self.told = ""
        self.log_begin = 0
        self.woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.waker = waker
        self.poll.register(self.woken, select.POLLIN)

    # ---- The loop -----------------------------------------------------------------

    def serve(self) -> None:
        """Serve until the session is over."""
        signal.set_wakeup_fd(self.waker)
        signal.signal(signal.SIGCHLD, _awake)
        signal.signal(signal.SIGTERM, self._told_to_end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.start_worker()
        while not self.over:
            for fd, _ in self.poll.poll(self._patience()):
                self._ready(fd)
            self._reap()
            self._look_at_the_clock()
            self._next()
        self._leave()

    def _ready(self, fd: int) -> None:
        if fd == self.listener.fileno():
            self._accept()
        elif fd == self.woken:
            try:
                os.read(self.woken, 512)
            except BlockingIOError:
                pass
        elif self.worker is not None and fd == self.worker.fileno():
            self._hear_worker()
        elif fd in self.clients:
            self._hear(self.clients[fd])

    def _patience(self) -> float | None:
        """Return for how many milliseconds there is nothing to do without a message."""
        waits: list[float] = []
        now = time.monotonic()
        if self.ending is not None and self.active is not None:
            waits.append(self.ending.force_at - now)
        elif self.ending is None and self._is_quiet() and self.policy["idle"]:
            waits.append(self.quiet_since + self.policy["idle"] - now)
        # Not more than an hour: the clock may be one that stops in sleep.
        return max(0.0, min(*waits, 3600.0) * 1000 + 1) if waits else None

    def _is_quiet(self) -> bool:
        return self.active is None and not self.queue

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if self.ending is not None:
            if self.active is not None and now >= self.ending.force_at:
                self._kill()
        elif (
            self._is_quiet()
            and self.policy["idle"]
            and now >= self.quiet_since + self.policy["idle"]
        ):
            self.end(_Ending("ended as nothing was asked of it", self._saves()))

    # ---- Clients --------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        pid, own = wire.own_peer(sock)
        if not own:
            _log(f"refused a connection of process {pid}, another user's")
            sock.close()
            return
        sock.setblocking(False)
        self.clients[sock.fileno()] = _Client(sock, pid)
        self.poll.register(sock, select.POLLIN)

    def _hear(self, client: _Client) -> None:
        try:
            frames = client.frames.read(client.sock)
        except wire.Gone:
            self._lost(client)
            return
        for kind, payload in frames:
            if kind == wire.REQUEST and not client.fields:
                self._take(client, payload)
            elif kind == wire.INTERRUPT:
                self._interrupt(client)
            elif kind == wire.RESIZED and client is self.active:
                self._signal(signal.SIGWINCH)

    def _take(self, client: _Client, payload: bytes) -> None:
        """Take a request, if it is one, and put it in the queue."""
        values = payload.split(b"\0", len(wire.FIELDS) - 1)
        client.fds, client.frames.fds = client.frames.fds, []
        client.fields = dict(zip(wire.FIELDS, values, strict=False))
        if len(values) < len(wire.FIELDS) or not hmac.compare_digest(
            client.fields["token"], self.token
        ):
            _log(f"refused a request of process {client.pid}: not the session's token")
            self._forget(client)
            # Without a word: the session may be another by now, and the client asks it.
            client.drop()
            return
        action = client.fields["action"].decode()
        if action == "info":
            client.send(wire.OUTPUT, json.dumps(self.info()))
            self._finish(client, 0)
        elif action == "stop":
            client.send(wire.ACCEPTED)
            client.send(wire.STARTED)
            save = client.fields["text"] == b"save"
            self.end(_Ending("was stopped", save, client))
        elif self.ending is None:  # else the client starts a new one when this is gone
            client.send(wire.ACCEPTED)
            if note := self._differs(client.fields["version"].decode(errors="replace")):
                client.send(wire.NOTE, note)
            self.queue.append(client)

    def _lost(self, client: _Client) -> None:
        """A client is gone: what it asked for is not wanted any more."""
        self._forget(client)
        if client in self.queue:
            self.queue.remove(client)
        if client is self.active:
            client.gone = True
            self._signal(signal.SIGINT)
        client.drop()

    def _interrupt(self, client: _Client) -> None:
        if client is self.active:
            self._signal(signal.SIGINT)
        elif client in self.queue:
            self.queue.remove(client)
            self._finish(client, 130)

    def _forget(self, client: _Client) -> None:
        fd = client.sock.fileno()
        if fd in self.clients:
            self.poll.unregister(fd)
            del self.clients[fd]

    def _finish(self, client: _Client, code: int, note: str = "") -> None:
        self._forget(client)
        if not client.gone:
            client.end(code, note)

    def _differs(self, version: str) -> str:
        """Say in what the session is not what its client would start now."""
        own = _version()
        again = f"zpy --stop -s {self.name} lets the next call start a new one"
        if version != own:
            return (
                f"session '{self.name}' runs with pybridge and Python {own}, "
                f"not {version}; {again}"
            )
        files = _files()
        if files != self.files:
            self.files = files  # told once
            return (
                f"the files of pybridge or Python have changed since session "
                f"'{self.name}' started; {again}"
            )
        return ""

    def info(self) -> dict[str, Any]:
        """Return what `zpy --list` shows."""
        active = self.active
        return {
            "name": self.name,
            "pid": self.worker_pid,
            "state": "busy" if active else "ending" if self.ending else "idle",
            "action": active.fields["action"].decode() if active else None,
            "code": _short(active.fields["text"]) if active else None,
            "client": active.pid if active else None,
            "waiting": len(self.queue),
            "seconds": round(
                time.time() - active.since
                if active
                else time.monotonic() - self.quiet_since,
                1,
            ),
            "started": self.began,
            "names": sum(self.names.values()),
            "save": self.policy["save"],
            "version": _version(),
        }

    # ---- The worker -----------------------------------------------------------------

    def start_worker(self) -> None:
        """Fork the worker."""
        ours, its = socket.socketpair()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.setpgid(0, 0)
            _close_all_but({0, 1, 2, its.fileno()})
            for sock in (self.listener, ours, *(c.sock for c in self.clients.values())):
                sock.detach()
            raise _Born(its)
        its.close()
        self.worker, self.worker_pid = ours, pid
        self.frames = wire.Frames()
        self.names = {}
        self.log_begin = os.fstat(2).st_size
        self.poll.register(ours, select.POLLIN)

    def _next(self) -> None:
        """Give the worker the next call, when it has none."""
        if self.active is not None or self.over:
            return
        if self.ending is not None:
            if self.worker is None:
                self._ended("")
            elif not self.ending.asked:
                self.ending.asked = True
                words = f"{self.ending.save:d}{bool(self.ending.clients):d}"
                wire.send(self.worker, wire.END, words.encode())
            return
        if not self.queue:
            return
        client = self.queue.pop(0)
        if self.worker is None:
            client.send(wire.NOTE, self.crash)
            self.start_worker()
        client.since = time.time()
        client.send(wire.STARTED)
        self.active = client
        fields = client.fields
        payload = b"\0".join(fields[name] for name in wire.FIELDS[2:])
        try:
            assert self.worker is not None  # noqa: S101 (it was started)
            wire.send(self.worker, wire.REQUEST, payload, client.fds)
        except (wire.Gone, OSError):
            pass  # its end is seen by _reap
        for fd in client.fds:
            os.close(fd)
        client.fds = []

    def _hear_worker(self) -> None:
        assert self.worker is not None  # noqa: S101 (it was polled)
        self.worker.setblocking(False)
        try:
            frames = self.frames.read(self.worker)
        except wire.Gone:
            # Children that it forked may live on; what counts is its own end.
            self._drop_worker()
            return
        finally:
            if self.worker is not None:
                self.worker.setblocking(True)
        for kind, payload in frames:
            if kind == wire.EXIT:
                self._done(payload.decode())
            elif kind == wire.BUSY:
                self.ending = None
                self.quiet_since = time.monotonic()
            elif kind == wire.ENDED:
                if self.ending is None:  # somebody told the worker itself
                    self.ending = _Ending("was told to end", True)
                self._ended(payload.decode("utf-8", "replace"))
            elif kind == wire.NOTE and self.active is not None:
                self.active.send(wire.NOTE, payload.decode("utf-8", "surrogateescape"))

    def _done(self, words: str) -> None:
        """A call is over."""
        code, _, names = words.partition("\0")
        self.names = json.loads(names)
        if os.fstat(2).st_size > _LOG_LIMIT:
            os.ftruncate(2, 0)
        self.quiet_since = time.monotonic()
        if self.active is not None:
            client, self.active = self.active, None
            self._finish(client, int(code))

    def _drop_worker(self) -> None:
        if self.worker is not None:
            self.poll.unregister(self.worker)
            self.worker.close()
            self.worker = None

    def _reap(self) -> None:
        """See whether the worker has ended, and tell who has to know."""
        if not self.worker_pid:
            return
        try:
            pid, status = os.waitpid(self.worker_pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.worker_pid, 0
        if not pid:
            return
        # Its last words may still be unread.
        while self.worker is not None and select.select([self.worker], [], [], 0)[0]:
            self._hear_worker()
        self._drop_worker()
        self.worker_pid = 0
        if self.over:
            return
        code, words = _how(status)
        if self.ending is not None:
            if self.ending.killed:
                words = "did not stop by itself and was killed"
            self._ended(f"what it had is gone: it {words}")
            return
        self._crashed(code, words)

    def _crashed(self, code: int, words: str) -> None:
        """The worker ended, and nobody had asked it to."""
        what = f"session '{self.name}' {words}"
        _log(what)
        self.crash = (
            f"{what}, and what it had is gone{self._last_lines()}\n"
            "this call starts anew"
        )
        if self.policy["restore"]:
            self.crash += " from what was saved last"
        if self.active is not None:
            client, self.active = self.active, None
            self._finish(
                client,
                code,
                f"{what}, and what it had is gone; the next call starts anew",
            )
        self.quiet_since = time.monotonic()

    def _last_lines(self) -> str:
        """Return the last that the worker wrote while it had no terminal."""
        with open("/proc/self/fd/2", encoding="utf-8", errors="replace") as log:
            log.seek(self.log_begin)
            lines = [line for line in log if not line.startswith("zpy ")][-_TAIL:]
        return "; its log ends with\n  " + "  ".join(lines).rstrip() if lines else ""

    def _signal(self, number: int) -> None:
        """Signal the worker and what it has started in front, as a terminal does."""
        if not self.worker_pid:
            return
        try:
            if number == signal.SIGINT:
                os.killpg(self.worker_pid, number)
            else:
                os.kill(self.worker_pid, number)
        except ProcessLookupError:
            pass

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self.ending is not None:
            self.ending.killed = True
            self.ending.force_at = time.monotonic() + _SECONDS_TO_STOP

    # ---- The end --------------------------------------------------------------------

    def _saves(self) -> bool:
        return bool(self.policy["save"] != "never")

    def _told_to_end(self, *_: object) -> None:
        self.end(_Ending("was told to end", self._saves()))

    def end(self, ending: _Ending) -> None:
        """Begin to end: stop what runs, save what there is, then leave.

        Who asks again has no patience left: then what runs, or saves, is killed.
        """
        before = self.ending
        if before is not None:
            if ending.clients:
                before.clients += ending.clients
                self._kill()
            return
        self.ending = ending
        if self.active is not None:
            self._signal(signal.SIGINT)

    def _ended(self, words: str) -> None:
        """The worker has saved what it had to, and is gone or about to go."""
        ending = self.ending
        if ending is None or self.over:
            return
        self.over = True
        if not words and not ending.clients and any(self.names.values()):
            words = "what it had was not saved"
        told = f"session '{self.name}' {ending.reason}"
        if words:
            told += f"; {words}"
        _log(told)
        if ending.clients:
            self.told = told
        elif words:
            from pybridge.zpy.begin import farewell

            when = time.strftime("%Y-%m-%d %H:%M")
            farewell(self.name).write_text(f"{told} ({when})", encoding="utf-8")

    def _leave(self) -> None:
        """Take the socket away, so that no client comes; then go."""
        lock = os.open(f"{self.name}.lock", os.O_RDWR, dir_fd=self.folder)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Files that somebody cleaned away may be another session's by now.
        if place.read_token(self.folder, self.name) == self.token:
            for end in ("sock", "token"):
                try:
                    os.unlink(f"{self.name}.{end}", dir_fd=self.folder)
                except FileNotFoundError:
                    pass
        self.listener.close()
        os.close(lock)
        self._wait_for_worker()
        for client in self.ending.clients if self.ending is not None else ():
            self._finish(client, 0, self.told)
        # Those that wait find no session any more, and start one.
        for client in [*self.clients.values()]:
            if client is self.active:
                client.end(130)
            else:
                client.drop()

    def _wait_for_worker(self) -> None:
        """Wait until the worker is gone; a thread of the user's may keep it."""
        until = time.monotonic() + _SECONDS_TO_STOP
        while self.worker_pid:
            if time.monotonic() > until:
                self._signal(signal.SIGKILL)
            select.select([], [], [], 0.005)
            self._reap()


class _Ending:
    """How the session is to end."""

    __slots__ = ("asked", "clients", "force_at", "killed", "reason", "save")

    def __init__(self, reason: str, save: bool, client: _Client | None = None) -> None:
        self.reason = reason
        self.save = save
        self.clients = [] if client is None else [client]
        self.asked = self.killed = False
        self.force_at = time.monotonic() + _SECONDS_TO_STOP


def _close_all_but(kept: set[int]) -> None:
    """Close what was inherited: a pipe that is held here never ends for its reader."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                pass


def _awake(*_: object) -> None:
    """Do nothing: what counts is that the loop wakes up."""


def _version() -> str:
    return f"{__version__} {sys.version.partition(' ')[0]} {sys.prefix}"


def _files() -> dict[str, int]:
    """Return when the files that a session runs on were last written."""
    package = os.path.dirname(place.__file__)
    files = [os.path.join(package, name) for name in os.listdir(package)]
    files += [os.path.join(os.path.dirname(package), "__init__.py"), os.__file__]
    files.append(sys.executable)
    return {
        path: os.stat(path).st_mtime_ns
        for path in files
        if not os.path.isdir(path) and os.path.exists(path)
    }


def _how(status: int) -> tuple[int, str]:
    """Return the exit code for a call in which the worker ended, and how it did."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code or 1, f"ended with exit status {code} (os._exit, or a C library)"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "an unknown one"
    why = ""
    if name == "SIGKILL":
        why = "; somebody killed it, or the system was out of memory"
    core = ", core dumped" if os.WCOREDUMP(status) else ""
    return 128 - code, f"was ended by signal {-code} ({name}{core}{why})"


def _short(code: bytes) -> str:
    text = " ".join(code.decode("utf-8", "replace").split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _log(text: str) -> None:
    """Write a line of our own to the log; they all begin alike."""
    print(
        f"zpy {time.strftime('%Y-%m-%d %H:%M:%S')} {text}", file=sys.stderr, flush=True
    )
