"""What a run writes: taken from its pipe, without its secrets, into its log."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from pybridge.functions.attempts import OWN
from pybridge.masking import HIDDEN, forms

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

__all__ = ["Log", "Masker", "Pump"]

_CHUNK = 1 << 16
_AT_ONCE = 16  # chunks read from one run before the others have their turn
_OWN = OWN.encode()


class Masker:
    """Takes secrets out of a text that comes in pieces, also across their borders."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the values of the secrets."""
        self._forms: list[bytes] = []
        self._held = b""
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Take further ones, from now on."""
        found = {
            form.encode("utf-8", "surrogateescape")
            for secret in secrets
            for form in forms(secret)
        } | set(self._forms)
        self._forms = sorted(found, key=len, reverse=True)
        self._longest = max(map(len, self._forms), default=0)
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)) or b"(?!)")
        firsts = {form[:1] for form in self._forms}
        self._firsts = re.compile(b"|".join(map(re.escape, firsts)) or b"(?!)")

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown by now; the beginning of a secret is held back."""
        if not self._forms:
            return data
        data = self._held + data
        shown: list[bytes] = []
        place = 0
        while True:
            found = self._pattern.search(data, place)
            partial = self._partial(data, place)
            # What could become a longer secret is looked at again with what follows.
            if found is None or found.start() >= partial:
                break
            shown += (data[place : found.start()], HIDDEN.encode())
            place = found.end()
        shown.append(data[place:partial])
        self._held = data[partial:]
        return b"".join(shown)

    def flush(self) -> bytes:
        """Return what was held back, as nothing more comes."""
        data, self._held = self._held, b""
        return self._pattern.sub(HIDDEN.encode(), data)

    def _partial(self, data: bytes, place: int) -> int:
        """Return where what may be the beginning of a secret begins, or the end."""
        begin = max(place, len(data) - self._longest + 1)
        for match in self._firsts.finditer(data, begin):
            tail = data[match.start() :]
            for form in self._forms:
                if len(form) > len(tail) and form.startswith(tail):
                    return match.start()
        return len(data)


class Log:
    """The log file of a run: all its attempts, one after the other."""

    def __init__(
        self,
        path: str,
        limit: int,
        changed: Callable[[], None],
        *,
        rolls: bool = False,
    ) -> None:
        """Take the path of the file, and how much is kept.

        `changed` is called when it has grown. One that `rolls`, of a run without an
        end, loses its beginning where there is too much, others what comes last.
        """
        self._path = path
        self._fd = -1
        self.size = 0
        self._limit = limit
        self._changed = changed
        self._rolls = rolls
        self._lost = 0
        self.failure = ""  # why something is missing
        self._broken = False  # does it end in the middle of a line?

    def write(self, data: bytes) -> None:
        """Add to the log what there is room for; the run goes on whatever happens."""
        if not data or not self._open():
            return
        if self._rolls and self.size + len(data) > self._limit // 2:
            self._roll()
        room = self._limit - self.size
        if len(data) > room:
            if not self.failure:
                self._put(data[: max(0, room)])
                self.failure = f"the log is cut after {self._limit:,} bytes"
                self._put(f"\n{_OWN.decode()}{self.failure}\n".encode())
            return
        if self._lost and not self._put(self._apology()):
            self._lost += len(data)
            return
        self._lost = 0
        if not self._put(data):
            self._lost += len(data)
        self._changed()

    def say(self, text: str) -> None:
        """Add lines of our own."""
        lines = [_OWN + line.encode("utf-8", "replace") for line in text.splitlines()]
        start = b"\n" if self._broken else b""
        self.write(start + b"\n".join(lines) + b"\n")

    def end(self, size: int) -> str:
        """Return what it ends with, so many bytes at the most."""
        try:
            with open(self._path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - size))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> bool:
        """Open the file on first use: many runs that wait need none yet."""
        if self._fd >= 0:
            return True
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._fd = os.open(self._path, flags, 0o600)
        except OSError as exc:
            self.failure = exc.strerror or str(exc)
            return False
        self.size = os.fstat(self._fd).st_size
        return True

    def _roll(self) -> None:
        """Begin a new file, and keep the last one."""
        try:
            os.replace(self._path, f"{self._path}.1")
        except OSError:
            return
        self.close()
        self._open()

    def _apology(self) -> bytes:
        return b"\n%s%d bytes are missing here: %s\n" % (
            _OWN,
            self._lost,
            self.failure.encode(),
        )

    def _put(self, data: bytes) -> bool:
        """Write all of it; tell whether that went well."""
        left = memoryview(data)
        try:
            while left:
                count = os.write(self._fd, left)
                self.size += count
                left = left[count:]
        except OSError as exc:
            self.failure = exc.strerror or str(exc)
            return False
        if data:
            self._broken = not data.endswith(b"\n")
        return True


class Pump:
    """Reads a run's pipe whenever there is something in it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, log: Log, masker: Masker
    ) -> None:
        """Begin to read."""
        self._loop = loop
        self._fd = fd
        self._log = log
        self._masker = masker
        os.set_blocking(fd, False)
        loop.add_reader(fd, self.read)

    def read(self) -> None:
        """Take what is there, but not for longer than others can wait."""
        for _ in range(_AT_ONCE):
            if not self._read_one():
                return

    def finish(self) -> None:
        """Take all that is still in the pipe, whoever holds its other end; close it."""
        while self._read_one():
            pass
        self._log.write(self._masker.flush())
        self.close()

    def close(self) -> None:
        """Read no more."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read_one(self) -> bool:
        if self._fd < 0:
            return False
        try:
            data = os.read(self._fd, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._fd)
            return False
        self._log.write(self._masker.feed(data))
        return True
