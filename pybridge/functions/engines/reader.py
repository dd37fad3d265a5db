"""Reader: the lines of a log that still grows."""

from __future__ import annotations

import codecs
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Reader"]

_CHUNK = 1 << 16


class Reader:
    """A log that is read as it grows, a line at a time."""

    def __init__(self, path: Path) -> None:
        """Take the path; the file may not be there yet."""
        self._path = path
        self._offset = 0
        self._begun: list[str] = []  # a line that has no end yet

    def lines(self) -> Iterator[str]:
        """Yield the lines that have come to their end."""
        for text in self._chunks():
            *whole, rest = text.split("\n")
            for line in whole:
                yield "".join((*self._begun, line))
                self._begun = []
            if rest:
                self._begun.append(rest)

    def rest(self) -> Iterator[str]:
        """Yield what is left, as nothing more comes."""
        yield from self.lines()
        if self._begun:
            yield "".join(self._begun)

    def _chunks(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:  # it has rolled
                    self._offset = 0
                file.seek(self._offset)
                while data := file.read(_CHUNK):
                    self._offset += len(data)
                    yield decoder.decode(data)
        except FileNotFoundError:  # it has not begun
            return
        # The first bytes of a character whose others are not there yet.
        self._offset -= len(decoder.getstate()[0])
