r"""What code prints and reads, kept in an object of its own instead of the streams.

from pybridge.redirect import Redirect

with Redirect(stdin="Ann\n") as streams:
    main.execute_code("print('Hello', input())")
streams.stdout  # "Hello Ann\n"
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident
from io import TextIOBase, UnsupportedOperation

from pybridge.errors import BadArgument
from pybridge.output import Capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

__all__ = ["Redirect"]

_lock = allocate_lock()


class Redirect:
    """The standard streams of one thread, while it is enabled.

    Code of any context that runs on the thread is meant, and only on that thread. They
    nest: the innermost has what is printed. What was kept stays after the end.
    """

    def __init__(self, stdin: str | None = None, *, limit: int = 0) -> None:
        """Feed `stdin` to what reads; None = standard input is left as it is.

        limit is the most characters that are kept of each stream, the newest; 0 is no
        limit.
        """
        if limit < 0:
            raise BadArgument(f"the limit is {limit}; it is a number of characters")
        self.limit = limit
        self.dropped = 0
        self._kept: list[tuple[int, str]] = []
        self._sizes = {1: 0, 2: 0}
        self._source = None if stdin is None else _Source(stdin)
        self._input: _Input | None = None
        self._capture: _Capture | None = None
        self._thread = 0

    @property
    def enabled(self) -> bool:
        """Does it take what is printed now?"""
        return self._capture is not None

    @property
    def stdout(self) -> str:
        """What was printed to standard output so far, and has not been read."""
        return self._text(1)

    @property
    def stderr(self) -> str:
        """What was printed to standard error so far, and has not been read."""
        return self._text(2)

    @property
    def text(self) -> str:
        """Both, in the order of printing."""
        return self._text(1, 2)

    def read(self) -> str:
        """Return what `text` is, and forget it."""
        with _lock:
            text = "".join(piece for _, piece in self._kept)
            self._forget()
        return text

    def clear(self) -> None:
        """Forget what was printed so far."""
        with _lock:
            self._forget()

    def feed(self, text: str) -> None:
        """Add text to what can be read from standard input.

        Raises:
            BadArgument: standard input is not redirected.

        """
        if self._source is None:
            raise BadArgument(
                'standard input is not redirected; make it with Redirect(stdin="")'
            )
        with _lock:
            self._source.text += text

    def enable(self) -> None:
        """Begin, on this thread.

        Raises:
            BadArgument: it is enabled already.

        """
        if self._capture is not None:
            raise BadArgument("the redirect is enabled already; disable it first")
        capture = _Capture(self)
        capture.__enter__()
        self._capture, self._thread = capture, get_ident()
        if self._source is not None:
            self._input = _Input(self._source)
            self._input.install()

    def disable(self) -> None:
        """End, and put everything back; harmless where it is not enabled.

        Raises:
            BadArgument: it was enabled on another thread.

        """
        capture = self._capture
        if capture is None:
            return
        if self._thread != get_ident():
            raise BadArgument(
                "the redirect was enabled on another thread; disable it there"
            )
        self._capture = None
        if self._input is not None:
            self._input.remove()
            self._input = None
        capture.__exit__()

    def __enter__(self) -> Self:
        """Enable it."""
        self.enable()
        return self

    def __exit__(self, *_: object) -> None:
        """Disable it."""
        self.disable()

    def _text(self, *numbers: int) -> str:
        with _lock:
            return "".join(text for number, text in self._kept if number in numbers)

    def _forget(self) -> None:
        self._kept.clear()
        self._sizes = {1: 0, 2: 0}
        self.dropped = 0

    def _take(self, number: int, text: str) -> None:
        with _lock:
            self._kept.append((number, text))
            self._sizes[number] += len(text)
            if self.limit and self._sizes[number] > self.limit:
                self._cut(number)

    def _cut(self, number: int) -> None:
        """Drop the oldest of a stream."""
        excess = self._sizes[number] - self.limit
        self._sizes[number] = self.limit
        self.dropped += excess
        kept: list[tuple[int, str]] = []
        for one, text in self._kept:
            if one == number and excess:
                cut = min(excess, len(text))
                excess -= cut
                if cut == len(text):
                    continue
                kept.append((one, text[cut:]))
            else:
                kept.append((one, text))
        self._kept = kept


class _Capture(Capture):
    """A capture that hands on at once what it takes."""

    __slots__ = ("_to",)

    def __init__(self, to: Redirect) -> None:
        super().__init__()
        self._to = to

    def take(self, number: int, text: str) -> None:
        self._to._take(number, text)  # noqa: SLF001 (two halves of one thing)


class _Source:
    """What is left to be read."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _Input(TextIOBase):
    """Standard input that is a text for one thread, and what it was for the others."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._thread = 0
        self._before: Any = None

    def install(self) -> None:
        with _lock:
            self._thread = get_ident()
            self._before, sys.stdin = sys.stdin, self

    def remove(self) -> None:
        """Put back what was there; one that another thread has put over it goes on."""
        with _lock:
            self._thread = 0
            now: Any = sys.stdin
            while isinstance(now, _Input) and not now._thread:  # noqa: SLF001 (its kind)
                now = now._before  # noqa: SLF001
            sys.stdin = now

    def readable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return not self._is_meant() and bool(self._before.isatty())

    def fileno(self) -> int:
        if self._is_meant():
            raise UnsupportedOperation("the text of a redirect has no file")
        return int(self._before.fileno())

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        if not self._is_meant():
            return str(self._before.readline(-1 if size is None else size))
        text = self._source.text
        end = text.find("\n") + 1 or len(text)
        return self._take(end if size is None or size < 0 else min(end, size))

    def read(self, size: int | None = -1, /) -> str:
        if not self._is_meant():
            return str(self._before.read(size))
        return self._take(len(self._source.text) if size is None or size < 0 else size)

    def _take(self, size: int) -> str:
        with _lock:
            text = self._source.text
            self._source.text = text[size:]
        return text[:size]

    def _is_meant(self) -> bool:
        return self._thread == get_ident()
