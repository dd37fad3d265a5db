"""The engine of the caller's own process: `local_execution=True`."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument, DeadlineExceeded, Interrupted
from pybridge.functions import attempts, capture
from pybridge.functions.engines.reader import Reader
from pybridge.functions.execution import Execution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pybridge.functions.run import Run

__all__ = ["Inline"]

_PAUSE = 0.1  # seconds between looks at a run of another process


class Inline:
    """Executes a run where it is submitted, before `submit` returns."""

    name = "inline"

    def submit(self, run: Run) -> None:
        """Execute a job, as often as its `backoff_limit` allows.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile; the run is in ERROR.

        """
        action = run.entry["spec"].get("action", "job")
        if action != "job":
            refused = _Inline(run, engine=self.name)
            refused.fail(
                BadArgument(f"a {action} cannot run with local_execution; leave it out")
            )
            return
        attempt = 1
        while True:
            execution = _Inline(run, attempt=attempt, engine=self.name)
            if execution.all() or execution.last or run.is_final:
                return
            attempt += 1

    def observe(self, run: Run, timeout: float | None) -> bool:
        """Wait for a run of another thread or process."""
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.001
        while not run.refresh().is_final:
            if end is not None and time.monotonic() >= end:
                return False
            time.sleep(pause)
            pause = min(pause * 2, _PAUSE)
        return True

    def stop(self, run: Run) -> None:
        """End a run of this process; one of another process ends as STOPPED."""
        if run.store.move(run.key, "STOP") is not None:
            execution = _active.get(run.id)
            if execution is not None:
                execution.end_from_outside(_Stopped("the run was stopped"))

    def resume(self, run: Run) -> None:
        """Refuse: what ran in a caller that has gone on cannot be taken up again.

        Raises:
            BadArgument: always.

        """
        raise BadArgument(
            f"'{run.key}' ran in its caller's process and cannot be resumed; run the "
            "function again"
        )

    def reload(self, run: Run, timeout: float | None) -> dict[str, Any] | None:
        """Refuse: there are no services here.

        Raises:
            BadArgument: always.

        """
        del timeout
        raise BadArgument(f"'{run.key}' is no service, and cannot be reloaded")

    def logs(self, run: Run, *, follow: bool) -> Iterator[str]:
        """Yield what it has written."""
        reader = Reader(_log_of(run))
        while follow and not run.refresh().is_final:
            yield from reader.lines()
            time.sleep(_PAUSE)
        yield from reader.rest()


def _log_of(run: Run) -> Path:
    """Return the path of a run's log; it is there when something was written."""
    return run.store.root / "runs" / run.id / "log"


_active: dict[str, _Inline] = {}


class _Stopped(BaseException):
    """Somebody has stopped the run."""


class _Expired(BaseException):
    """The run has lasted longer than it may."""


class _Inline(Execution):
    """One attempt in the caller's thread, which goes on afterwards."""

    def __init__(self, run: Run, **given: Any) -> None:
        super().__init__(run, **given)
        self.out = capture.Log(_log_of(run), self.secrets)
        self.thread = threading.get_ident()
        self.guard: _Guard | None = None
        self._lock = threading.Lock()
        self._open = False  # may be ended from outside
        self.wanted: BaseException | None = None  # what it was ended by

    def all(self) -> bool:
        """Do all that there is to do, and tell whether the run has completed.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile.

        """
        timeout = self.spec.get("timeout")
        timer = None
        if timeout:
            timer = threading.Timer(float(timeout), self.expire, [timeout])
            timer.daemon = True
        if threading.current_thread() is threading.main_thread():
            self.guard = _Guard()
        if self.attempt > 1:
            self.out.say(f"{attempts.OWN}{attempts.begins(self.attempt)}")
        self.tell()
        try:
            with capture.captured(self.out), self.guard or _NO_GUARD:
                if timer is not None:
                    timer.start()
                completed = self.go()
        except BaseException as exc:  # between what is shielded
            if not self.run.refresh().is_final:
                self.fail(exc)
            if not isinstance(exc, (_Stopped, _Expired)):
                raise
            return False
        finally:
            if timer is not None:
                timer.cancel()
        self.pass_on()
        return completed

    def tell(self) -> None:
        """Say in the log what does not hold for a run in its caller's process."""
        own = f"PYTHON3_{sys.version_info.minor}"
        wanted = self.spec.get("python_version") or own
        if wanted != own:
            self.out.write(f"[pybridge] this is {own}, its caller's, not {wanted}\n")
        if self.spec.get("requirements"):
            self.out.write("[pybridge] its requirements are not looked at here\n")

    def pass_on(self) -> None:
        """Raise again what was meant for the caller too: it is not ours to keep.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, or a host wants its call to end.

        """
        if isinstance(self.exc, (Interrupted, DeadlineExceeded)):
            raise self.exc
        if self.guard is not None and self.guard.pressed:
            if isinstance(self.exc, KeyboardInterrupt):
                raise self.exc
            if self.guard.kept:
                raise KeyboardInterrupt

    def stages(self) -> Any:
        """Do the stages; only meanwhile can the run be ended from outside."""
        with self._lock:
            self._open = True
            _active[self.run.id] = self
        try:
            return super().stages()
        finally:
            with self._lock:
                self._open = False
                _active.pop(self.run.id, None)
            if self.wanted is not None:
                self.await_it()

    def await_it(self) -> None:
        """Let arrive what is still on its way: not in the caller's own code.

        It cannot be taken back: Python 3.11 would then look for it for ever.
        """
        try:
            for _ in range(100):
                pass
        except (_Stopped, _Expired):
            return

    def expire(self, timeout: float) -> None:
        """End it, because it has lasted too long."""
        self.end_from_outside(
            _Expired(f"the run took longer than its timeout of {timeout:g} s")
        )

    def end_from_outside(self, exc: BaseException) -> None:
        """Have something raised in its thread, if it is still at it."""
        with self._lock:
            if not self._open:
                return
            if self.guard is not None and self.guard.works:
                # A signal ends what waits in C, such as a sleep.
                self.guard.wanted = exc
                signal.pthread_kill(self.thread, signal.SIGINT)
                return
            self.wanted = exc
            _raise_in(self.thread, type(exc))

    def fail(self, exc: BaseException) -> None:
        """Write what went wrong; that it took too long is said as Python would."""
        if isinstance(exc, _Expired):
            words = str(exc) or str(self.wanted or exc)
            exc = self.exc = TimeoutError(words)
        super().fail(exc)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Let Ctrl-C wait until a state is written."""
        if self.guard is None:
            yield
            return
        self.guard.shielding = True
        try:
            yield
        finally:
            self.guard.shielding = False

    def log(self, told: Mapping[str, Any]) -> None:
        """Write what went wrong into the log only: the caller gets it as status."""
        self.out.write(told["traceback"] + "\n")


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    """Have an exception raised in a thread."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(kind)
    )


class _Guard:
    """Ctrl-C noted on its way to the run, in the main thread."""

    def __init__(self) -> None:
        self.pressed = False
        self.kept = False  # it came while states were written
        self.shielding = False
        self.wanted: BaseException | None = None
        self.works = False
        self._before: Any = None

    def __enter__(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        if callable(before):
            self._before = before
            signal.signal(signal.SIGINT, self._came)
            self.works = True

    def __exit__(self, *_: object) -> None:
        if self.works:
            self.works = False
            if signal.getsignal(signal.SIGINT) == self._came:
                signal.signal(signal.SIGINT, self._before)

    def _came(self, number: int, frame: Any) -> None:
        if self.wanted is not None:
            exc, self.wanted = self.wanted, None
            raise exc
        self.pressed = True
        if self.shielding:
            self.kept = True
            return
        self._before(number, frame)


class _NoGuard:
    """Nothing: in threads other than the main one no signal arrives."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


_NO_GUARD = _NoGuard()
