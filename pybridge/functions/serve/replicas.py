"""The master of a service: starts its replicas, replaces them, ends them.

It binds the listener and forks, so that all replicas take from one queue of the kernel:
what waits there is nobody's, and is not lost when a replica goes. It has no threads and
runs nothing of the user's.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pybridge._words import counted
from pybridge.errors import BadArgument, BridgeError, HostError
from pybridge.functions import states, worker
from pybridge.functions.manager import outcome
from pybridge.functions.processes import describe_exit
from pybridge.functions.serve import listening, metrics
from pybridge.functions.serve.board import Board
from pybridge.functions.serve.log import say
from pybridge.functions.serve.replica import FAILED, Replica
from pybridge.functions.store import now

if TYPE_CHECKING:
    from pybridge.functions.run import Run
    from pybridge.functions.serve.board import Row
    from pybridge.functions.serve.options import Options

__all__ = ["SHARED", "Master"]

_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGCHLD,
)
_DIED = "ProcessDied"
# What each replica would import by itself; forks have it already, and share it.
SHARED = (
    "pydantic",
    "pybridge.functions.arguments",
    "pybridge.functions.library",
    "pybridge.functions.loading",
    "pybridge.functions.serve.docs",
    "pybridge.functions.serve.event",
    "pybridge.functions.serve.schema",
    "pybridge.functions.sources",
    "starlette.formparsers",
)
_TICK = 0.1
_IDLE = 2.0
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0
_STUCK = 5.0  # how far the loop of a replica may be behind a request's time limit
_GRACE = 2.0  # above what a replica takes itself to drain


class _Child:
    """A replica, as the master knows it."""

    def __init__(self, pid: int, channel: int, row: Row, number: int) -> None:
        self.pid = pid
        self.channel = channel
        self.row = row
        self.number = number
        self.born = time.monotonic()
        self.ready = False
        self.retiring = False
        self.held = False  # a call without a time limit holds up its loop
        self.deadline: float | None = None  # when it is killed
        self.failure: dict[str, Any] | None = None
        self.replaces: _Child | None = None
        self._text = b""

    def hear(self) -> list[dict[str, Any]]:
        """Return what it has said since it was last heard."""
        try:
            data = os.read(self.channel, 1 << 20)
        except BlockingIOError:
            return []
        *lines, self._text = (self._text + data).split(b"\n")
        return [json.loads(line) for line in lines]


class Master:
    """What keeps a service going."""

    def __init__(
        self,
        run: Run,
        options: Options,
        *,
        attempt: int = 1,
        signals: list[int] | None = None,
    ) -> None:
        """Serve `run`; `signals` are those that have come already."""
        self.run = run
        self.options = options
        self.attempt = attempt
        self.store = run.store
        self._engine = run.spec.get("engine") or "local"
        self.children: dict[int, _Child] = {}
        self.serving = False  # it has been told in the store that it serves
        self.stopping = False
        self.failed: dict[str, Any] | None = None
        self._selector = selectors.DefaultSelector()
        self._rolling: deque[_Child] = deque()
        self._reloading = False
        self._kept: dict[str, Any] | None = None  # why a reload was given up
        self._crashes: deque[float] = deque()
        self._births: list[float] = []  # when replicas are to be started again
        self._numbers = 0
        self._signals = [] if signals is None else signals

    def main(self) -> int:
        """Serve until stopped or failed; return the exit status."""
        self._own()
        self._token = self._secret()
        self._listener = listening.bind(self.options, self._remembered())
        self._board = Board(2 * self.options.replicas + 2)
        directory = self.store.run_directory(self.run.id)
        metrics.prepare(directory / "metrics")
        self._metrics = metrics.Metrics(self._board)
        for name in SHARED:
            import_module(name)
        self._take_signals()
        host, port = self._listener.getsockname()[:2]
        (directory / "port").write_text(str(port), encoding="ascii")
        many = counted(self.options.replicas, "replica")
        say(f"service: {many} on {host} port {port}, process {os.getpid()}")
        for _ in range(self.options.replicas):
            self._start()
        while self.children or self._births:
            self._turn()
        return self._finish()

    # ---- Before anything is served ----

    def _secret(self) -> str | None:
        name = self.options.token
        if name is None:
            return None
        value = self.store.secret(self.run.project, name)
        if not value:
            raise BadArgument(
                f'the service wants the secret "{name}" of project '
                f'"{self.run.project}" as its token, and there is none of that name'
            )
        return value

    def _remembered(self) -> int:
        """Return the port that the service had when it last ran, or 0."""
        try:
            path = self.store.run_directory(self.run.id) / "port"
            return int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _take_signals(self) -> None:
        """Have signals come through the selector, as everything else does."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._wakeup = reader, writer
        for number in _SIGNALS:
            signal.signal(number, lambda number, _: self._signals.append(number))
        self._selector.register(reader, selectors.EVENT_READ)

    # ---- Turning ----

    def _turn(self) -> None:
        """Wait for something to happen, and see to it."""
        for key, _ in self._selector.select(self._patience()):
            if key.data is None:
                self._wakeup[0].recv(4096)
            else:
                self._hear(key.data)
        while self._signals:
            self._on_signal(self._signals.pop(0))
        self._reap()
        self._on_time(time.monotonic())
        if self._reloading and not (self._rolling or self._is_replacing()):
            # One that is held up takes no connections, whatever its row says.
            former = [
                one for one in self.children.values() if one.retiring and not one.held
            ]
            if not any(one.row.serving for one in former):
                self._tell_reloaded()
        up = sum(one.ready for one in self.children.values())
        if up >= self.options.replicas and not (self.serving or self.stopping):
            self._announce()

    def _patience(self) -> float:
        busy = self._births or any(
            not child.ready or child.retiring for child in self.children.values()
        )
        return _TICK if busy else _IDLE

    def _on_signal(self, number: int) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._stop()
        elif number == signal.SIGHUP and self.serving and not self.stopping:
            self._reload()

    def _reload(self) -> None:
        """Begin to replace all replicas, one after the other."""
        say("service: restarts its replicas, one after the other")
        self._reloading, self._kept = True, None
        try:
            self._token = self._secret()
        except BadArgument as exc:
            self._kept = self._failure("BadArgument", str(exc))
            return
        self._rolling = deque(
            child
            for child in self.children.values()
            if child.ready and not (child.retiring or child.held)
        )
        if not self._is_replacing():
            self._roll()

    def _is_replacing(self) -> bool:
        """Return whether a replica is to take the place of another one."""
        return any(child.replaces for child in self.children.values())

    def _tell_reloaded(self) -> None:
        """Tell in the store that a reload is over."""
        self._reloading = False
        told = {"time": now(), "error": self._kept}
        with contextlib.suppress(BridgeError):  # the run has been deleted
            self.run.change(reload=told)
        worker.changed()

    def _hear(self, child: _Child) -> None:
        for words in child.hear():
            if "failed" in words:
                child.failure = words["failed"]
            elif "retiring" in words and not child.retiring:
                say(f"service: replaces replica {child.number}: {words['retiring']}")
                self._metrics.restarted("timeout")
                self._retire(child, tell=False)
                if not self.stopping:
                    self._start()
            elif "held" in words:
                self._relieve(child)
            elif "ready" in words:
                child.ready = True
                self._on_ready(child)

    def _relieve(self, child: _Child) -> None:
        """Start another replica beside one whose loop is held up by a call."""
        taken = child.retiring or child in self._rolling or self._successor(child)
        if self.stopping or taken:
            return
        say(f"service: replaces replica {child.number}: a call holds up its loop")
        self._metrics.restarted("held")
        child.held = True
        self._start(replaces=child)

    def _on_ready(self, child: _Child) -> None:
        if child.replaces is not None:
            self._retire(child.replaces)
            child.replaces = None
        self._roll()

    def _on_time(self, now: float) -> None:
        due = [when for when in self._births if when <= now]
        self._births = [when for when in self._births if when > now]
        for _ in due:
            self._start()
        for child in list(self.children.values()):
            if child.deadline is not None and now > child.deadline:
                self._kill(child, "took too long to end")
            elif not child.ready and now - child.born > self.options.start_timeout:
                told = f"was not ready within {self.options.start_timeout:g} s"
                child.failure = self._failure(
                    "TimeoutError", f"replica {child.number} {told}"
                )
                self._kill(child, told)
            elif child.ready and not child.retiring and self._is_stuck(child, now):
                self._kill(child, "does not answer any more")

    def _is_stuck(self, child: _Child, now: float) -> bool:
        """Return whether a request with a time limit must have passed it long ago."""
        limit = self.options.request_timeout
        beat = child.row.beat
        return limit is not None and beat > 0 and now - beat > limit + _STUCK

    # ---- Replicas ----

    def _start(self, replaces: _Child | None = None) -> None:
        row = self._board.take()
        if row is None:  # all taken by those that are on their way out
            self._hurry()
            self._births.append(time.monotonic() + _TICK)
            return
        self._numbers += 1
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            self._become(row, writer)
        os.close(writer)
        os.set_blocking(reader, False)
        child = _Child(pid, reader, row, self._numbers)
        child.replaces = replaces
        self.children[pid] = child
        self._selector.register(reader, selectors.EVENT_READ, child)

    def _hurry(self) -> None:
        """End the replica that has been retiring for the longest."""
        retiring = [c for c in self.children.values() if c.deadline is not None]
        if retiring:
            oldest = min(retiring, key=lambda child: child.deadline or 0)
            self._kill(oldest, "has to make room for another one")

    def _become(self, row: Row, channel: int) -> None:
        """Be the replica, in the fork; it does not return."""
        status = FAILED
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            for end in self._wakeup:
                end.close()
            for child in self.children.values():
                os.close(child.channel)
            status = Replica(
                self.run,
                options=self.options,
                listener=self._listener,
                row=row,
                metrics=self._metrics,
                channel=channel,
                number=self._numbers,
                attempt=self.attempt,
                token=self._token,
            ).main()
            atexit._run_exitfuncs()  # noqa: SLF001 - those of the user's code
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            # Threads that never end would keep the interpreter from ending.
            os._exit(status)

    def _reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is not None:
                self._hear(child)
                self._selector.unregister(child.channel)
                os.close(child.channel)
                child.row.free()
                self._gone(child, status)

    def _gone(self, child: _Child, status: int) -> None:
        """See to what follows from the end of a replica."""
        told = f"replica {child.number} {describe_exit(status)}"
        if child.retiring or self.stopping:
            return
        if child.replaces is not None:
            say(f"service: {told}; the others stay, and the restart is given up")
            self._kept = child.failure or self._failure(_DIED, told)
            child.replaces.held = False
            self._rolling.clear()
            return
        say(f"service: {told}")
        if child in self._rolling:
            self._rolling.remove(child)
        self._metrics.restarted("crash")
        now = time.monotonic()
        self._crashes.append(now)
        while now - self._crashes[0] > self.options.crash_window:
            self._crashes.popleft()
        if not self.serving:
            died = self._failure(_DIED, f"{told} before the service was ready")
            self._fail(child.failure or died)
        elif len(self._crashes) > self.options.crash_limit:
            often = counted(len(self._crashes), "time")
            often += f" in {self.options.crash_window:g} s"
            died = self._failure(_DIED, f"{told}; replicas ended {often}")
            self._fail(child.failure or died)
        else:
            successor = self._successor(child)
            if successor is not None:
                successor.replaces = None
                return
            delay = _FIRST_DELAY * 2 ** (len(self._crashes) - 1)
            self._births.append(now + min(delay, _LONGEST_DELAY))

    def _successor(self, child: _Child) -> _Child | None:
        """Return the replica that is to take the place of this one."""
        others = self.children.values()
        return next((one for one in others if one.replaces is child), None)

    def _roll(self) -> None:
        """Start the replica that takes the place of the next to be replaced."""
        while self._rolling and not self.stopping:
            old = self._rolling.popleft()
            if old.pid in self.children and not old.retiring:
                self._metrics.restarted("reload")
                self._start(replaces=old)
                return

    def _retire(self, child: _Child, *, tell: bool = True) -> None:
        """Let a replica finish what it has begun, and end.

        The call that holds one up has no time limit, until the service ends.
        """
        if child.deadline is None and (self.stopping or not child.held):
            child.deadline = time.monotonic() + self.options.drain_timeout + _GRACE
        if child.retiring:
            return
        child.retiring = True
        if tell:
            _send(child, signal.SIGTERM)

    def _kill(self, child: _Child, why: str) -> None:
        say(f"service: replica {child.number} {why}, and is killed")
        child.deadline = None
        child.born = time.monotonic()  # not again before it is gone
        _send(child, signal.SIGKILL)

    # ---- The run ----

    def _announce(self) -> None:
        """Tell in the store that the service answers, once it does."""
        try:
            listening.ask(self.options, self._listener, self._is_needed)
        except HostError as exc:
            self._fail(self._failure("HostError", str(exc)))
            return
        if self._is_needed():
            return
        service = listening.service(self.run, self.options, self._listener)
        moved = self.store.move(
            self.run.key,
            "RUNNING",
            service=service,
            engine=self._engine,
            attempt=self.attempt,
        )
        self.serving = True
        if moved is None:  # stopped in the meantime
            self._stop()
        else:
            say(f"service: answers at {service['url']}")
            worker.changed()

    def _status(self) -> dict[str, Any]:
        """Return the status of the run as the store has it, whoever else has looked."""
        entity = self.store.get(self.run.key)
        return {} if entity is None else dict(entity["status"])

    def _own(self) -> None:
        """Lead the run, unless a manager does: it outlives this process."""
        owner = self._status().get("owner") or {}
        if owner.get("engine") != "local" or not states.lives(owner):
            self.run.change(owner=states.owner(self._engine))

    def _is_needed(self) -> bool:
        """Return whether there is something to be seen to first."""
        return any(number != signal.SIGHUP for number in self._signals)

    def _stop(self) -> None:
        if self.stopping:
            return
        say("service: ends when the requests in progress have been answered")
        self.stopping = True
        self._births.clear()
        self._rolling.clear()
        self._listener.close()
        self._withdraw()
        for child in list(self.children.values()):
            self._retire(child)
            if not child.ready:  # it is still in code that does not know of ending
                _send(child, signal.SIGKILL)

    def _withdraw(self) -> None:
        """Tell in the store that the service does not answer any more."""

        def without(entity: dict[str, Any]) -> None:
            entity["status"].pop("service", None)

        with contextlib.suppress(BridgeError):  # the run has been deleted
            self.store.change(self.run.key, without)
            if self.failed is None and self._status().get("state") != "STOP":
                self.store.move(self.run.key, "STOP")

    def _failure(self, kind: str, message: str) -> dict[str, Any]:
        return outcome.failure(kind, message, "serve", self.attempt)

    def _fail(self, failure: dict[str, Any]) -> None:
        """End the run in ERROR: first in the store, and then what there is of it."""
        if self.failed is not None:
            return
        self.failed = failure
        told = outcome.line(failure)
        say(f"service: failed: {told}")
        self._stop()
        attempts = [*(self.run.status.attempts or ()), self.failed]
        with contextlib.suppress(BridgeError):
            self.store.move(
                self.run.key,
                "ERROR",
                message=told,
                error=self.failed,
                attempts=attempts,
            )
        worker.changed()

    def _finish(self) -> int:
        """Tell in the store that it has ended."""
        if self.failed is not None:
            return 1
        with contextlib.suppress(BridgeError):
            self.store.move(self.run.key, "STOPPED")
        say("service: stopped")
        return 0


def _send(child: _Child, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it is waiting to be reaped
        os.kill(child.pid, number)
