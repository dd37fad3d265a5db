"""The standard streams while the shell runs: those at file descriptors 0, 1 and 2."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from io import TextIOBase
from typing import TYPE_CHECKING, Any

from pybridge import context
from pybridge.output import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Reader",
    "is_terminal",
    "kept_terminal",
    "opened",
    "standard",
    "wants_colours",
]


class Reader:
    """Where the lines of a shell without a terminal come from: sys.stdin."""

    def line(self) -> str:
        """Return the next line with its end; "" = there are no more."""
        return sys.stdin.readline()


class _Lines(TextIOBase):
    """Standard input read through C's stdio, of which the host reads too.

    A host such as the `sqlite3` shell has taken more from the pipe than it has used.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self) -> None:
        import ctypes

        self._libc = libc = ctypes.CDLL(None, use_errno=True)
        self._file = ctypes.c_void_p.in_dll(libc, "stdin")
        libc.getline.restype = ctypes.c_ssize_t
        libc.free.argtypes = (ctypes.c_void_p,)
        libc.free.restype = libc.clearerr.restype = None

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        import ctypes

        del size  # a line comes whole
        line, capacity = ctypes.c_void_p(), ctypes.c_size_t()
        try:
            length = self._libc.getline(
                ctypes.byref(line), ctypes.byref(capacity), self._file
            )
            if length < 0:
                # A signal that cuts it short is no end of input for the host.
                self._libc.clearerr(self._file)
                return ""
            return ctypes.string_at(line.value or 0, length).decode("utf-8", "replace")
        finally:
            self._libc.free(line)

    def read(self, size: int | None = -1, /) -> str:
        del size
        return "".join(iter(self.readline, ""))


def opened(number: int) -> Any:
    """Return a text stream over a file descriptor, which it does not close."""
    mode = "r" if number == 0 else "w"
    errors = ("surrogateescape", "surrogateescape", "backslashreplace")[number]
    return open(number, mode, 1, encoding="utf-8", errors=errors, closefd=False)


@contextmanager
def standard() -> Iterator[Reader]:
    """Have sys.stdin, sys.stdout and sys.stderr be the process's own for a while.

    Those of a host write to wherever the host wants, and are no terminals.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    ours: list[Any] = [None, None, None]
    if isinstance(sys.stdout, Stream):
        ours[1] = sys.stdout = opened(1)
    if isinstance(sys.stderr, Stream):
        ours[2] = sys.stderr = opened(2)
    if sys.stdin is None or (context.OWNED and not os.isatty(0)):
        ours[0] = sys.stdin = _Lines() if context.OWNED else opened(0)
    try:
        yield Reader()
    finally:
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        # What the user has put in their place stays.
        if ours[0] is not None and sys.stdin is ours[0]:
            sys.stdin = before[0]
        if ours[1] is not None and sys.stdout is ours[1]:
            sys.stdout = before[1]
        if ours[2] is not None and sys.stderr is ours[2]:
            sys.stderr = before[2]


@contextmanager
def kept_terminal() -> Iterator[None]:
    """Put the terminal at standard input back as it was, whatever happens."""
    if not os.isatty(0):
        yield
        return
    import termios

    before = termios.tcgetattr(0)
    try:
        yield
    finally:
        with suppress(termios.error):  # it has gone
            if termios.tcgetattr(0) != before:
                termios.tcsetattr(0, termios.TCSADRAIN, before)


def is_terminal() -> bool:
    """Can the shell be edited: are input and output a terminal that can move about?"""
    return (
        os.isatty(0)
        and os.isatty(1)
        and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    )


def wants_colours(number: int) -> bool:
    """Is a file descriptor a terminal, and does its user want colours?"""
    return (
        os.isatty(number)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "dumb") != "dumb"
    )


def _flush(stream: Any) -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads it
        stream.flush()
