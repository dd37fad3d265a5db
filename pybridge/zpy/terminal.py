"""The client's stdin, stdout and stderr in place of the session's own, for one call."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Terminal"]

_UNBUFFERED = bool(os.environ.get("PYTHONUNBUFFERED"))


class Terminal:
    """File descriptors 0, 1 and 2, and the streams of `sys` over them.

    Whatever writes to these numbers reaches the client during a call, and the log at
    all other times: the code, C libraries, programs that the code starts.
    """

    def __init__(self) -> None:
        """Take what the session was started with for the time between calls."""
        self._null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._log = os.dup(1)
        self._out, self._err = _writer(1), _writer(2)
        sys.stdin = sys.__stdin__ = _reader()  # type: ignore[misc]
        sys.stdout = sys.__stdout__ = self._out  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._err  # type: ignore[misc]

    def take(self, fds: Sequence[int]) -> None:
        """Put a client's descriptors in place."""
        self._flush()
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        # What an earlier client typed ahead is not this one's.
        reader = _reader()
        if sys.stdin is sys.__stdin__:
            sys.stdin = reader
        sys.__stdin__ = reader  # type: ignore[misc]
        if self._out.closed or self._err.closed:  # by the code
            self._renew()
        # The same objects for ever: a logging handler may have kept them.
        self._out.reconfigure(line_buffering=os.isatty(1) or _UNBUFFERED)

    def give_back(self) -> bool:
        """Write what is still to be written and let go; False = that cannot be."""
        whole = self._flush()
        os.dup2(self._null, 0)
        os.dup2(self._log, 1)
        os.dup2(self._log, 2)
        if not whole:
            self._renew()
        # A thread may print later, and its lines belong in the log at once.
        self._out.reconfigure(line_buffering=True)
        return whole

    def _flush(self) -> bool:
        whole = True
        for stream in (sys.stdout, sys.stderr, self._out, self._err):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                whole = whole and stream not in {self._out, self._err}
        return whole

    def _renew(self) -> None:
        """Give up streams that hold what their client does not want any more."""
        for name, number in (("_out", 1), ("_err", 2)):
            old: io.TextIOWrapper = getattr(self, name)
            new = _writer(number)
            word = "stdout" if number == 1 else "stderr"
            for place in (word, f"__{word}__"):
                if getattr(sys, place) is old:
                    setattr(sys, place, new)
            setattr(self, name, new)
            try:
                # Closed below the buffer, so that nothing can write what is in it.
                old.buffer.raw.close()  # type: ignore[attr-defined]
            except (OSError, ValueError):
                pass


def _writer(number: int) -> io.TextIOWrapper:
    raw = io.FileIO(number, "w", closefd=False)
    raw.name = "<stdout>" if number == 1 else "<stderr>"
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        errors="strict" if number == 1 else "backslashreplace",
        line_buffering=True,
    )


def _reader() -> io.TextIOWrapper:
    raw = io.FileIO(0, "r", closefd=False)
    raw.name = "<stdin>"
    return io.TextIOWrapper(io.BufferedReader(raw))
