"""Following: a run watched from a terminal until it ends, and stopped by Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from pybridge.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pybridge.functions.run import Run

__all__ = ["COLOURS", "Screen", "follow", "lasted", "stop", "terminated"]

COLOURS = {
    "COMPLETED": "green",
    "READY": "green",
    "RUNNING": "cyan",
    "PENDING": "yellow",
    "STOP": "yellow",
    "STOPPED": "yellow",
    "ERROR": "red",
}
_TICK = 0.2  # seconds between two looks
_REST = 2.0  # seconds that the last lines of a log are waited for


def lasted(seconds: float | None) -> str:
    """Return a time for people."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"


class Screen:
    """Standard error: lines, and on a terminal a line below them that changes."""

    def __init__(self) -> None:
        """Write lines as they come, until `spinning`."""
        self._status: Any = None
        self._console: Any = None
        self.is_terminal = sys.stderr.isatty()
        self.lines = 0  # of a run's log that were shown

    @contextmanager
    def spinning(self, words: str) -> Iterator[None]:
        """Show on a terminal that something lasts; `say` tells what."""
        if not self.is_terminal:
            yield
            return
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status(_safe(words))
        try:
            with self._status:
                yield
        finally:
            self._status = None

    def say(self, words: str) -> None:
        """Change what the last line says."""
        if self._status is not None:
            self._status.update(_safe(words))

    def line(self, text: str) -> None:
        """Write a line above it."""
        if self._status is None:
            click.echo(text, err=True)
            return
        from rich.text import Text

        self._console.print(Text.from_ansi(text), soft_wrap=True)


def _safe(words: str) -> str:
    """Return words in which rich sees no markup."""
    from rich.markup import escape

    return escape(words)


def follow(
    run: Run,
    screen: Screen,
    *,
    logs: bool = True,
    over: Callable[[Run], bool] | None = None,
) -> Run:
    """Show how a run goes on until it ends, or is `over` in another way; return it."""
    from pybridge.functions import engines

    name = run.function_name
    began = time.monotonic()
    engine = engines.of(run)
    with screen.spinning(f"{name}: {_words(run)}"), _logged(run, screen, wanted=logs):
        while not run.refresh().is_final and not (over and over(run)):
            engine.observe(run, _TICK)
            passed = lasted(time.monotonic() - began)
            screen.say(f"{name}: {_words(run)} {passed}")
            if over is not None and run.state == "RUNNING" and not run.is_final:
                time.sleep(_TICK / 4)  # what answers already is observed at once
    return run.refresh()


@contextmanager
def _logged(run: Run, screen: Screen, *, wanted: bool) -> Iterator[None]:
    """Write what a run writes, as long as the block lasts and until it has all come."""
    if not wanted:
        yield
        return
    own = type(run)(run.to_dict(), run.store)  # this one is read in another thread
    leaving = threading.Event()

    def pump() -> None:
        with suppress(BridgeError, OSError):
            for number, line in enumerate(own.logs(follow=True)):
                if leaving.is_set():
                    return
                if number >= screen.lines:
                    screen.lines += 1
                    screen.line(line)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        leaving.set()
        raise
    if run.is_final:
        thread.join(_REST)
    leaving.set()


def _words(run: Run) -> str:
    """Say in words how a run is."""
    status = run.status
    attempt = status.get("attempt") or 1
    if run.state == "PENDING":
        waits = "waiting for its turn" if run.action == "job" else "starting"
        return str(status.get("message") or waits)
    if run.state == "RUNNING" and status.get("service"):
        return "answering"
    words = {"READY": "about to begin", "STOP": "stopping"}.get(
        run.state, run.state.lower()
    )
    return f"{words}, attempt {attempt}" if attempt > 1 else words


def stop(run: Run, screen: Screen, words: str = "stopping") -> Run:
    """Stop a run; once more Ctrl-C leaves it as it is."""
    name = run.function_name
    screen.line(f"{words} {name}; Ctrl-C once more leaves it running")
    try:
        with screen.spinning(f"{name}: {words}"):
            return run.stop()
    except KeyboardInterrupt:
        screen.line(
            f"left running; pybridge function logs -f {run.id}, "
            f"pybridge function stop {run.id}"
        )
        return run.refresh()


@contextmanager
def terminated() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C: the run ends with the command that has begun it."""

    def came(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, came)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
