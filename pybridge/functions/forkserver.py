"""The forkserver: a process with the heavy modules loaded, forked once for each run.

One is always forked in advance: the run that comes next does not wait for its process.

It talks to the manager alone, over one socket: it is told what to fork, with the
descriptors that the run writes to, and tells how each ended. When the manager is gone
it ends what it has forked and all that came of it.

It runs in the environments of runs too, so it stays with what Python 3.9 knows.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import io
import json
import os
import select
import signal
import socket
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Optional

from pybridge import wire
from pybridge.functions import cgroups, limits, memory, processes, trail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "ENDED",
    "FORK",
    "READY",
    "STARTED",
    "placeholder",
    "run",
]

# From the manager: JSON, with the descriptors of output, channel and trail.
FORK = b"F"
# To the manager: JSON.
READY = b"R"
STARTED = b"S"
ENDED = b"E"

_ROOM = 256  # for the id of a run, in the environment that the system shows


def placeholder() -> str:
    """Return what keeps room for a run's id in the environment of a forkserver.

    The system shows the environment that a program was started with; what is forked
    from it writes its own run's id over this.
    """
    return "-" * _ROOM


def run(fd: int, modules: Sequence[str]) -> None:
    """Be the forkserver; in what it forks, be that run's process, and never return."""
    server = _Server(fd)
    try:
        server.serve(modules)
        return
    except _Born as born:
        told = born.told
    # Behind the except: what the run raises is not in the context of anything here.
    del server
    _be(told)


class _Told(NamedTuple):
    """What a process is told at its birth: its request, or the socket it comes by."""

    parent: int
    request: Mapping[str, Any] = {}
    fds: Sequence[int] = ()
    sock: Optional[socket.socket] = None


class _Born(BaseException):
    """Raised in what was forked, so that nothing of the server's is on its stack."""

    def __init__(self, told: _Told) -> None:
        self.told = told


class _Next(NamedTuple):
    """The process of the run that comes next, and where it is told which that is."""

    pid: int
    sock: socket.socket


class _Server:
    """The socket, and the processes that were forked."""

    def __init__(self, fd: int) -> None:
        self.sock = socket.socket(fileno=fd)
        os.set_inheritable(fd, False)
        self.frames = wire.Frames()
        self.runs: dict[int, dict[str, Any]] = {}  # by process
        self.next: Optional[_Next] = None
        self.is_next_wanted = True
        self.woken, self.waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self, modules: Sequence[str]) -> None:
        """Fork what is asked for, until the manager is gone."""
        processes.adopt_orphans()
        signal.set_wakeup_fd(self.waker)
        signal.signal(signal.SIGCHLD, _awake)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        _load(modules)
        self.sock.setblocking(False)
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(self.woken, select.POLLIN)
        self._tell(READY, {"pid": os.getpid(), "version": sys.version.split()[0]})
        try:
            while True:
                for fd, _ in poll.poll():
                    if fd == self.woken:
                        self._drain()
                    else:
                        self._hear()
                self._reap()
                if self.is_next_wanted:
                    self._prepare()
        except wire.Gone:
            self._leave()

    def _hear(self) -> None:
        for kind, payload in self.frames.read(self.sock):
            if kind == FORK:
                fds, self.frames.fds = self.frames.fds[:3], self.frames.fds[3:]
                self._fork(json.loads(payload), fds)

    def _fork(self, request: dict[str, Any], fds: list[int]) -> None:
        """Begin a run, in the process that waits for one or in a new one."""
        parent, refused = os.getpid(), ""
        try:
            pid = self._handed_over(request, fds) or _forked()
        except OSError as exc:
            pid, refused = -1, str(exc.strerror)
        if pid == 0:
            raise _Born(_Told(parent, request, fds))
        for fd in fds:
            os.close(fd)
        if refused:
            self._tell(ENDED, {"number": request["number"], "refused": refused})
            return
        self.runs[pid] = request
        self.is_next_wanted = True
        self._tell(STARTED, {"number": request["number"], "pid": pid})

    def _prepare(self) -> None:
        """Fork what will be the next run's process; where that fails, it is late."""
        self.is_next_wanted = False
        if self.next is not None:
            return
        parent = os.getpid()
        ours, its = socket.socketpair()
        try:
            pid = _forked()
        except OSError:
            ours.close()
            its.close()
            return
        if pid == 0:
            ours.close()
            raise _Born(_Told(parent, sock=its))
        its.close()
        self.next = _Next(pid, ours)

    def _handed_over(self, request: dict[str, Any], fds: list[int]) -> Optional[int]:
        """Tell the process that waits what to be; None where there is none."""
        if self.next is None:
            return None
        (pid, sock), self.next = self.next, None
        with sock:
            try:
                wire.send(sock, FORK, json.dumps(request).encode(), fds)
            except (wire.Gone, OSError):  # somebody has killed it
                return None
        return pid

    def _reap(self) -> None:
        """Tell of the processes that have ended, and of what they left behind."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if self.next is not None and pid == self.next.pid:
                self.next.sock.close()
                self.next = None
            request = self.runs.pop(pid, None)
            if request is None:  # of one that had lost its parent
                continue
            own = {*self.runs, self.next.pid} if self.next else self.runs
            left = processes.left_behind(own)
            self._tell(
                ENDED,
                {
                    "number": request["number"],
                    "status": status,
                    "memory": usage.ru_maxrss * 1024,
                    "seconds": usage.ru_utime + usage.ru_stime,
                    "left": left,
                },
            )

    def _tell(self, kind: bytes, fields: dict[str, Any]) -> None:
        data = wire.pack(kind, json.dumps(fields).encode())
        self.sock.setblocking(True)
        try:
            self.sock.sendall(data)
        except OSError:
            raise wire.Gone from None
        finally:
            self.sock.setblocking(False)

    def _drain(self) -> None:
        try:
            os.read(self.woken, 512)
        except BlockingIOError:
            pass

    def _leave(self) -> None:
        """The manager is gone: end what was forked, and all that came of it."""
        for pid, request in self.runs.items():
            processes.end(request["run"], pid)
        # All that is still here has been left by runs that ended before.
        orphans = processes.left_behind(())
        if orphans:
            processes.end("", also=orphans)


def _awake(*_: object) -> None:
    """Do nothing: what counts is that the loop wakes up."""


def _load(modules: Sequence[str]) -> None:
    """Load what runs will need; one that cannot be loaded is their matter."""
    from importlib import import_module

    for name in modules:
        try:
            import_module(name)
        except Exception:  # noqa: S112 - the run that needs it will tell
            continue
    # The collector never looks at what is here now, in no fork: its pages stay shared.
    gc.collect()
    gc.freeze()


def _forked() -> int:
    """Fork; return the number of the new process, and 0 in it."""
    with warnings.catch_warnings():
        # Libraries have threads that wait; none of them holds a lock here.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
    return pid


# ---- In what was forked -----------------------------------------------------------


def _be(told: _Told) -> NoReturn:
    """Become the process of a run, do what is asked, and end."""
    code = 1
    try:
        _detach(told.parent)
        request, fds = _request(told)
        _settle(request, fds)
        code = _do(request["argv"])
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:  # the log is the only one who can be told
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                continue
        os._exit(code & 0xFF)


def _detach(parent: int) -> None:
    """Make this process one of its own: session, signals, randomness."""
    os.setsid()
    processes.die_with(parent)
    processes.adopt_orphans()
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _forget_randomness()


def _request(told: _Told) -> tuple[Mapping[str, Any], Sequence[int]]:
    """Return what is to be run, once that is known; end where it never will be."""
    if told.sock is None:
        return told.request, told.fds
    try:
        _, payload, fds = wire.receive(told.sock)
    except (wire.Gone, OSError):
        os._exit(0)
    return json.loads(payload), fds


def _settle(request: Mapping[str, Any], fds: Sequence[int]) -> None:
    """Take what is the run's: streams, environment, folder, limits."""
    _take_streams(fds)
    _take_environment(request)
    os.chdir(request["cwd"])
    bounds = limits.Limits(*request["limits"])
    if bounds.memory is not None:
        limits.load_base()  # before the group counts it
    cgroups.join(request["groups"])
    if bounds.memory is not None:
        trail.note_base(4, memory.Base.here())
    limits.apply(bounds)


def _take_streams(fds: Sequence[int]) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    # None of the three may be where another one goes.
    output, channel, trail = (fcntl.fcntl(fd, fcntl.F_DUPFD, 5) for fd in fds)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(channel, 3)
    os.dup2(trail, 4)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 4:
            try:
                os.close(int(name))
            except OSError:  # that of the list itself
                continue
    os.set_inheritable(3, False)
    os.set_inheritable(4, False)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(number, "w", closefd=False)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _take_environment(request: Mapping[str, Any]) -> None:
    """Take the run's environment, also where the system shows it."""
    if _mark is not None:
        name = request["run"].encode("utf-8", "replace")[:_ROOM]
        ctypes.memset(_mark, 0, _ROOM)
        ctypes.memmove(_mark, name, len(name))
    wanted = request["environ"]
    for name in [name for name in os.environ if name not in wanted]:
        del os.environ[name]
    for name, value in wanted.items():
        if os.environ.get(name) != value:  # each one written is a page of memory more
            os.environ[name] = value
    for place in reversed(os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        if place and place not in sys.path:
            sys.path.insert(0, place)
    time.tzset()


def _find_mark() -> Optional[int]:
    """Return where in this process's memory the room for a run's id is."""
    processes.libc().getenv.restype = ctypes.c_void_p
    place = processes.libc().getenv(processes.MARK.encode())
    if not place or ctypes.string_at(place) != placeholder().encode():
        return None
    return int(place)


_mark = _find_mark()


def _forget_randomness() -> None:
    """Have each run draw numbers of its own; Python's random does so by itself."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _do(argv: list[str]) -> int:
    """Do what the role is there for."""
    from pybridge.functions import worker

    return int(worker.main(argv))
