"""The folder of large buffers beside a store: files named by what is in them.

A file is written under another name and renamed when it is whole, before the row that
refers to it is committed; it is never changed afterwards. What no row refers to is
collected later, by whoever holds the store's write lock. A save looks again, under that
lock, whether all its files are there.
"""

from __future__ import annotations

import mmap
import os
import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import xxhash

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

__all__ = ["Folder", "Writing", "digest"]

_NAME = re.compile(r"([0-9a-f]{32})-([0-9]{1,19})")
_PART = re.compile(r"\.([0-9]+)-[0-9a-f]+\.part")
# Each mapping keeps a file open until its object goes; smaller ones are read instead.
_MAPPED = 256
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE


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

    def write_all(self, views: list[memoryview]) -> list[str]:
        """Write what is not there yet, and return all names."""
        with Writing(self) as writing:
            for view in views:
                writing.begin(view)
            return [writing.name(view) for view in views]

    def write(
        self,
        view: memoryview,
        hashes: ThreadPoolExecutor,
        begun: Callable[[], None],
    ) -> str:
        """Write what is not there yet, and return its name.

        The hash is made by another thread while the content is being written; where a
        file of that size exists already, before. `begun` is called just before this
        thread lets others run Python code for as long as that takes.
        """
        if view.nbytes in self._known_sizes():
            begun()
            name = digest(view)
            if not self.has(name, view.nbytes):
                self._put(view, lambda: name, begun)
            return name
        return self._put(view, hashes.submit(digest, view).result, begun)

    def _put(
        self,
        view: memoryview,
        name_of: Callable[[], str],
        begun: Callable[[], None],
    ) -> str:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self.path / f".{os.getpid()}-{secrets.token_hex(8)}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        try:
            try:
                rest = view
                _reserve(descriptor, view.nbytes)
                begun()
                while rest.nbytes:  # one call takes up to 2 GiB
                    rest = rest[os.write(descriptor, rest) :]
                if self.durable:
                    os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            name = name_of()
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


class Writing:
    """Buffers on their way into a folder, while Python goes on with something else."""

    def __init__(self, folder: Folder) -> None:
        """Start nothing yet."""
        self._folder = folder
        # One thread writes, one hashes; neither holds the lock of the interpreter then.
        self._writer = ThreadPoolExecutor(1)
        self._hasher = ThreadPoolExecutor(1)
        self._begun = threading.Event()
        self._names: dict[tuple[int, int], Future[str]] = {}

    def __enter__(self) -> Writing:
        """Use the threads for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is being written, and drop what is not begun."""
        self._writer.shutdown(cancel_futures=True)
        self._hasher.shutdown(cancel_futures=True)

    def end(self) -> None:
        """Let the threads end, when all that was begun has its name."""
        self._writer.shutdown(wait=False)
        self._hasher.shutdown(wait=False)

    def begin(self, view: memoryview) -> None:
        """Have a buffer written; the same memory is written once."""
        key = _place(view)
        if not self._names:
            # There before there is work: to start one waits for the interpreter's lock.
            self._hasher.submit(int)
        if key not in self._names:
            self._names[key] = self._writer.submit(
                self._folder.write, view, self._hasher, self._begun.set
            )

    def give_way(self) -> None:
        """Let the threads begin: else they wait for Python code to take a pause."""
        if self._names:
            self._begun.wait(0.1)

    def name(self, view: memoryview) -> str:
        """Return the name of a buffer, when it is written.

        Raises:
            BadArgument: it cannot be written.

        """
        self.begin(view)
        try:
            return self._names[_place(view)].result()
        except OSError as exc:
            raise BadArgument(
                f"a buffer cannot be written to '{self._folder.path}': {exc.strerror}"
            ) from None


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
    # That of os emulates what a file system cannot, by a write to each block.
    import ctypes

    allocate = getattr(ctypes.CDLL(None), "fallocate64", None)
    if allocate is not None:
        offset = ctypes.c_int64
        allocate(descriptor, _KEEP_SIZE, offset(0), offset(size))


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
