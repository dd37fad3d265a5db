"""Capture: what runs in this process print, also in their own logs."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pybridge.masking import mask

if TYPE_CHECKING:
    from contextvars import Token
    from pathlib import Path

__all__ = ["Log", "captured"]


class Log:
    """The log of a run: a file that is there when something was written."""

    def __init__(self, path: Path, secrets: list[str]) -> None:
        """Take the path, and what is never to be seen in it."""
        self.path = path
        self.secrets = secrets
        self._rest = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Add a text; what stands in a line is masked when the line is whole."""
        with self._lock:
            whole, newline, rest = (self._rest + text).rpartition("\n")
            self._rest = rest
            if newline:
                self._append(whole + newline)

    def say(self, line: str) -> None:
        """Add a line of our own, also where the last one has no end."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                line = f"\n{line}"
        self.write(f"{line}\n")

    def close(self) -> None:
        """Add what is left of a last line."""
        with self._lock:
            if self._rest:
                self._append(self._rest)
                self._rest = ""

    def _append(self, text: str) -> None:
        shown = mask(text, tuple(self.secrets)).encode("utf-8", "backslashreplace")
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.open("ab") as file:
            file.write(shown)


_log: ContextVar[Log | None] = ContextVar("pybridge_log", default=None)
_lock = threading.Lock()
_count = 0
_tees: dict[str, _Tee] = {}


class captured:  # noqa: N801 - a context manager, read as a word
    """Have what this thread prints written to a log, beside where it goes."""

    def __init__(self, log: Log) -> None:
        """Take the log."""
        self.log = log
        self._token: Token[Log | None] | None = None

    def __enter__(self) -> Log:
        """Begin."""
        global _count  # noqa: PLW0603 - the streams are the process's
        self._token = _log.set(self.log)
        with _lock:
            _count += 1
            if _count == 1:
                for name in ("stdout", "stderr"):
                    _tees[name] = _Tee(getattr(sys, name))
                    setattr(sys, name, _tees[name])
        return self.log

    def __exit__(self, *_: object) -> None:
        """End; the streams are what they were, unless somebody has changed them."""
        global _count  # noqa: PLW0603 - the same
        with _lock:
            _count -= 1
            if _count == 0:
                for name, tee in _tees.items():
                    if getattr(sys, name) is tee:
                        setattr(sys, name, tee.stream)
                _tees.clear()
        if self._token is not None:
            _log.reset(self._token)
        self.log.close()


class _Tee:
    """A stream that writes to another one, and to the log of the run that writes."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        log = _log.get()
        if log is not None:
            log.write(text)
        if self.stream is None:  # as in a process without a terminal
            return len(text)
        return int(self.stream.write(text) or 0)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __iter__(self) -> Any:
        return iter(self.stream)
