"""Text streams for sys.stdout and sys.stderr that write to the host, or are captured.

Each write goes to the host at once, so that the host's own output and Python's keep
their order. A capture holds what one thread writes, until it ends.
"""

# ruff: noqa: PLW0603, SLF001 - the streams are the process's, and two classes are one

from __future__ import annotations

import sys
from _thread import _local, allocate_lock
from io import BufferedIOBase, TextIOBase, UnsupportedOperation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol, Self

    from pybridge.status import Status

    class Sink(Protocol):
        """Where the text goes: stream 1 or 2, UTF-8."""

        def __call__(self, stream: int, text: bytes, /) -> object:
            """Take the text."""


__all__ = ["Capture", "Stream", "install", "reopen_input"]

STDOUT = 1
STDERR = 2


class _Captures(_local):
    """The captures of one thread, innermost last."""

    def __init__(self) -> None:
        self.stack: list[Capture] = []


_captures = _Captures()
# How many captures are open, in all threads, over streams that are not ours.
_borrowed: list[tuple[Any, Any, Stream, Stream]] = []
_open = 0
_lock = allocate_lock()


class Stream(TextIOBase):
    """A text stream over a sink; from any thread, unbuffered."""

    def __init__(self, number: int, sink: Sink, original: Any = None) -> None:
        """Write stream `number` to `sink`; `original` answers what a sink cannot."""
        self._number = number
        self._sink = sink
        self._original = original
        self._buffer = _Bytes(self)
        self.mode = "w"

    @property
    def name(self) -> str:
        """The name that Python gives this stream."""
        return "<stdout>" if self._number == STDOUT else "<stderr>"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Always UTF-8."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What happens to a lone surrogate: on stderr it becomes its escape."""
        return "strict" if self._number == STDOUT else "backslashreplace"

    @property
    def newlines(self) -> None:  # type: ignore[override]
        """Line ends are written as they come."""

    @property
    def line_buffering(self) -> bool:
        """Nothing is held back."""
        return True

    @property
    def write_through(self) -> bool:
        """Nothing is held back."""
        return True

    @property
    def buffer(self) -> BufferedIOBase:
        """The same stream for bytes."""
        return self._buffer

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return False: the host may put the text anywhere."""
        return False

    def fileno(self) -> int:
        """Return the file of the process's own stream, for subprocess and the like."""
        if self._original is not None:
            return int(self._original.fileno())
        return self._number

    def flush(self) -> None:
        """Do nothing: nothing is held back."""
        if self._original is not None and not _captures.stack:
            self._original.flush()

    def close(self) -> None:
        """Do nothing: the host's stream is not ours to close."""

    def reconfigure(self, **_: object) -> None:
        """Take the options of a TextIOWrapper, and go on as before."""

    def write(self, text: str) -> int:
        """Write text and return its length."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            stack = _captures.stack
            if stack:
                stack[-1].take(self._number, text)
            elif self._original is not None:
                self._original.write(text)
            else:
                self._sink(self._number, text.encode("utf-8", self.errors))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        """Write each of the texts."""
        for line in lines:
            self.write(line)

    def read(self, *_: object) -> str:
        """Refuse."""
        raise UnsupportedOperation("not readable")


class _Bytes(BufferedIOBase):
    """The bytes side of a Stream."""

    def __init__(self, text: Stream) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()

    def write(self, data: Any) -> int:
        data = bytes(data)
        text = self._text
        if _captures.stack:
            _captures.stack[-1].take(text._number, data.decode("utf-8", "replace"))
        elif text._original is not None:
            text._original.buffer.write(data)
        elif data:
            text._sink(text._number, data)
        return len(data)

    def close(self) -> None:
        """Do nothing, as for the text."""


class Capture:
    """Keep what this thread prints while it is entered.

    >>> with Capture() as captured:
    ...     print("hello")
    >>> captured.stdout.strip()
    'hello'
    """

    __slots__ = ("_stderr", "_stdout", "status", "stderr", "stdout")

    def __init__(self, status: Status | None = None) -> None:
        """Keep it also in `status`, where one is given."""
        self.status = status
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self.stdout = ""
        self.stderr = ""

    def take(self, number: int, text: str) -> None:
        """Take what was written."""
        (self._stdout if number == STDOUT else self._stderr).append(text)

    def __enter__(self) -> Self:
        """Begin; captures nest, and the innermost gets the text."""
        _borrow()
        _captures.stack.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """End; the text is in `stdout` and `stderr`."""
        stack = _captures.stack
        if self in stack:
            # With it go those that were opened inside and never closed.
            del stack[stack.index(self) :]
        _give_back()
        self.stdout = "".join(self._stdout)
        self.stderr = "".join(self._stderr)
        if self.status is not None:
            self.status.stdout = _encodable(self.stdout)
            self.status.stderr = _encodable(self.stderr)


def install(sink: Sink) -> None:
    """Put streams over `sink` in place of sys.stdout and sys.stderr, for good."""
    sys.stdout = sys.__stdout__ = Stream(STDOUT, sink)  # type: ignore[assignment, misc]
    sys.stderr = sys.__stderr__ = Stream(STDERR, sink)  # type: ignore[assignment, misc]


def reopen_input() -> None:
    """Open sys.stdin again where exit() or quit() has closed it: the host goes on."""
    closed: Any = sys.stdin
    is_own = closed is sys.__stdin__
    if closed is None or not is_own or not closed.closed:
        return
    try:
        opened = open(0, encoding=closed.encoding, closefd=False)  # noqa: SIM115 (kept)
    except OSError:  # the process has no standard input
        return
    sys.stdin = sys.__stdin__ = opened  # type: ignore[misc] # as Python itself does


def _borrow() -> None:
    """Where the streams are somebody else's, put ours over them."""
    global _open
    with _lock:
        _open += 1
        if not (isinstance(sys.stdout, Stream) and isinstance(sys.stderr, Stream)):
            over_out = Stream(STDOUT, _nowhere, sys.stdout)
            over_err = Stream(STDERR, _nowhere, sys.stderr)
            _borrowed.append((sys.stdout, sys.stderr, over_out, over_err))
            sys.stdout, sys.stderr = over_out, over_err


def _give_back() -> None:
    """With the last capture, put back what was there, unless the user changed it."""
    global _open
    with _lock:
        _open -= 1
        while _borrowed and _open == 0:
            out, err, over_out, over_err = _borrowed.pop()
            if sys.stdout is over_out:
                sys.stdout = out
            if sys.stderr is over_err:
                sys.stderr = err


def _nowhere(stream: int, text: bytes) -> None:
    """Take the text where there is no stream at all."""


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
