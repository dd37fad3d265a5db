"""The folder of large buffers beside a store: files named by what is in them.

A file is written under another name and renamed when it is whole, before the row that
refers to it is committed; it is never changed afterwards. What no row refers to is
collected later, by whoever holds the store's write lock. A save looks again, under that
lock, whether all its files are there.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import xxhash

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Folder", "digest"]

_NAME = re.compile(r"([0-9a-f]{32})-([0-9]{1,19})")
_PART = re.compile(r"\.([0-9]+)-[0-9a-f]+\.part")
# Each mapping keeps a file open until its object goes; smaller ones are read instead.
_MAPPED = 256
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE
_PIECE = 1 << 20  # what fits into the cache of a processor


def digest(data: Any) -> str:
    """Return the name of some content."""
    return xxhash.xxh3_128(data).hexdigest()


class Folder:
    """Buffers by hash and size."""

    def __init__(self, path: Path, durable: bool = False) -> None:
        """Take the path; the folder itself is made by the first buffer.

        durable writes to the disk itself, so that a power cut loses nothing.
        """
        self.path = path
        self.durable = durable
        self.written = 0
        self._sizes: set[int] | None = None
        self._least = 0

    def _file(self, name: str, size: int) -> Path:
        """Return where a buffer is; a row of a database is not to be believed.

        Raises:
            BadArgument: that is no name of a buffer.

        """
        if _NAME.fullmatch(f"{name}-{size}") is None:
            raise BadArgument(f"'{name}' is not the name of a buffer")
        return self.path / f"{name}-{size}"

    def has(self, name: str, size: int) -> bool:
        """Tell whether a buffer is there, whole."""
        try:
            return self._file(name, size).stat().st_size == size
        except OSError:
            return False

    # ---- Writing ---------------------------------------------------------------------

    def write_all(
        self, views: Sequence[memoryview], note: Callable[[int], object] = int
    ) -> list[str]:
        """Write what is not there yet, and return all names.

        `note` is told how many bytes more are done.

        Raises:
            BadArgument: one cannot be written.

        """
        names: dict[tuple[int, int], str] = {}  # the same memory is written once
        for view in views:
            place = _place(view)
            if place in names:
                note(view.nbytes)
                continue
            try:
                names[place] = self._write(view, note)
            except OSError as exc:
                raise BadArgument(
                    f"a buffer cannot be written to '{self.path}': {exc.strerror}"
                ) from None
        return [names[_place(view)] for view in views]

    def _write(self, view: memoryview, note: Callable[[int], object]) -> str:
        name = ""
        if view.nbytes in self._known_sizes():
            name = digest(view)
            if self.has(name, view.nbytes):
                note(view.nbytes)
                return name
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self.path / f".{os.getpid()}-{secrets.token_hex(8)}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        try:
            try:
                name = _put(descriptor, view, name, note)
                if self.durable:
                    os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            part.replace(self._file(name, view.nbytes))
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        if self.durable:
            _sync_folder(self.path)
        self.written += view.nbytes
        self._known_sizes().add(view.nbytes)
        return name

    def _known_sizes(self) -> set[int]:
        if self._sizes is None:
            self._sizes = {size for _, size in self._all()}
        return self._sizes

    def _all(self) -> Iterable[tuple[str, int]]:
        try:
            names = [one.name for one in self.path.iterdir()]
        except OSError:
            return
        for one in names:
            found = _NAME.fullmatch(one)
            if found is not None:
                yield found[1], int(found[2])

    # ---- Reading ---------------------------------------------------------------------

    def expect(self, wanted: Mapping[int, list[tuple[str, int]]]) -> None:
        """Choose which of all buffers that may be opened are worth a mapping."""
        sizes = sorted(
            (size for all_ in wanted.values() for _, size in all_), reverse=True
        )
        self._least = sizes[_MAPPED] + 1 if len(sizes) > _MAPPED else 0

    def open(self, wanted: list[tuple[str, int]]) -> list[Any]:
        """Return buffers: the largest mapped, so that only what is used is read.

        A mapping is private: it may be written to, and the file stays as it is.

        Raises:
            BadArgument: one is missing, or not as long as it was.

        """
        return [self._open(name, size, size >= self._least) for name, size in wanted]

    def _open(self, name: str, size: int, map_it: bool) -> Any:
        path = self._file(name, size)
        try:
            with path.open("rb", buffering=0) as file:
                actual = os.fstat(file.fileno()).st_size
                if actual != size:
                    raise BadArgument(
                        f"the buffer '{path}' has {actual} bytes instead of {size}; it "
                        "was cut short"
                    )
                if map_it:
                    return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
                data = bytearray(size)
                view = memoryview(data)
                while view.nbytes:
                    count = file.readinto(view)
                    if not count:
                        raise BadArgument(f"the buffer '{path}' was cut short")
                    view = view[count:]
                return data
        except OSError as exc:
            raise BadArgument(
                f"the buffer '{path}' cannot be read: {exc.strerror}; restore it from "
                "where the store was copied"
            ) from None

    def check(self, name: str, size: int) -> str:
        """Return what is wrong with a buffer; "" where nothing is."""
        try:
            (data,) = self.open([(name, size)])
        except BadArgument as exc:
            return str(exc)
        if digest(data) != name:
            return f"the buffer '{self._file(name, size)}' holds something else"
        return ""

    # ---- Cleaning up -----------------------------------------------------------------

    def collect(self, kept: set[str]) -> int:
        """Delete all buffers but those kept, and return how many those were.

        To be called by who holds the write lock of the store.
        """
        gone = 0
        for name, size in list(self._all()):
            if name not in kept:
                with suppress(OSError):
                    self._file(name, size).unlink()
                    gone += 1
        with suppress(OSError):
            for one in self.path.iterdir():
                part = _PART.fullmatch(one.name)
                if part is not None and not _lives(int(part[1])):
                    one.unlink(missing_ok=True)
        return gone


def _put(
    descriptor: int, view: memoryview, name: str, note: Callable[[int], object]
) -> str:
    """Write a buffer into a new file; return its name, made on the way if not known.

    What was hashed just now is still in the processor's cache when it is written, so
    that the hash costs next to nothing. A thread for either takes longer: both wait for
    the same memory.
    """
    _reserve(descriptor, view.nbytes)
    state = xxhash.xxh3_128()
    rest = view
    while rest.nbytes:
        piece = rest[:_PIECE]
        if not name:
            state.update(piece)
        while piece.nbytes:
            count = os.write(descriptor, piece)
            piece, rest = piece[count:], rest[count:]
            note(count)
    return name or state.hexdigest()


def _place(view: memoryview) -> tuple[int, int]:
    """Return address and size of a buffer."""
    import numpy as np

    return np.frombuffer(view, np.uint8).ctypes.data, view.nbytes


def _reserve(descriptor: int, size: int) -> None:
    """Have the file system find all the room of a file at once, where it can.

    Block by block, as a write does it, costs a third of the write. The size of the
    file still grows with what is written, so that one cut short is known as such.
    What fails here is no error: a write that has no room says so itself.
    """
    allocate = _fallocate()
    if allocate is not None:
        allocate(descriptor, _KEEP_SIZE, 0, size)


@functools.cache
def _fallocate() -> Any:
    """Return C's function: that of os emulates it by a write to each block."""
    import ctypes

    found = getattr(ctypes.CDLL(None), "fallocate64", None)
    if found is not None:
        offset = ctypes.c_int64
        found.argtypes = (ctypes.c_int, ctypes.c_int, offset, offset)
    return found


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
