"""What travels over a session's sockets: frames of a kind, a length and a payload."""

from __future__ import annotations

import sys
from _socket import CMSG_LEN, SCM_RIGHTS, SOL_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Sequence

__all__ = [
    "ACCEPTED",
    "BUSY",
    "END",
    "ENDED",
    "EXIT",
    "FIELDS",
    "INTERRUPT",
    "MAX_FDS",
    "NOTE",
    "OUTPUT",
    "REQUEST",
    "RESIZED",
    "STARTED",
    "Frames",
    "Gone",
    "pack",
    "receive",
    "send",
    "unpack_fds",
]

# From the client.
REQUEST = b"R"  # FIELDS, NUL between them; with it go file descriptors 0, 1 and 2
INTERRUPT = b"I"
RESIZED = b"W"
# To the client.
ACCEPTED = b"A"  # the request is in the queue; before this it was not looked at
STARTED = b"S"
NOTE = b"N"  # a sentence for stderr
OUTPUT = b"O"  # text for stdout
EXIT = b"X"  # the exit code as text; from the worker with a summary behind a NUL
# Between keeper and worker only.
END = b"E"  # "1" = save first, then "1" = also where something still runs
BUSY = b"B"  # not ended: something still runs
ENDED = b"D"  # what was saved, in words for people

# Of a request, in this order; the text, the last one, may have NULs in it.
FIELDS = ("token", "version", "action", "context", "show", "folder", "text")
MAX_FDS = 3

_HEAD = 5
_CHUNK = 1 << 16


class Gone(Exception):  # noqa: N818 (a state of the other side, not a mistake)
    """The other side has closed the connection, or ended."""


def pack(kind: bytes, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return kind + len(payload).to_bytes(4, "little") + payload


def send(
    sock: socket, kind: bytes, payload: bytes = b"", fds: Sequence[int] = ()
) -> None:
    """Send a frame; file descriptors travel with its first byte.

    Raises:
        Gone: nobody is there to read it.

    """
    frame = pack(kind, payload)
    try:
        if fds:
            packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
            sent = sock.sendmsg([frame], [(SOL_SOCKET, SCM_RIGHTS, packed)])
            frame = frame[sent:]
        if frame:  # the other side may have answered and gone by now
            sock.sendall(frame)
    except (BrokenPipeError, ConnectionResetError):
        raise Gone from None


def receive(sock: socket) -> tuple[bytes, bytes, list[int]]:
    """Wait for a frame; return its kind, its payload and what came with it.

    Raises:
        Gone: the other side is gone, or went in the middle of a frame.

    """
    fds: list[int] = []
    head = b""
    try:
        while len(head) < _HEAD:
            part, aside, _, _ = sock.recvmsg(_HEAD - len(head), CMSG_LEN(4 * MAX_FDS))
            fds += unpack_fds(aside)
            if not part:
                raise Gone
            head += part
        size = int.from_bytes(head[1:], "little")
        parts: list[bytes] = []
        while size:
            part = sock.recv(min(size, _CHUNK))
            if not part:
                raise Gone
            parts.append(part)
            size -= len(part)
    except ConnectionResetError:
        raise Gone from None
    return head[:1], b"".join(parts), fds


def unpack_fds(aside: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """Return the file descriptors that came beside a message."""
    return [
        int.from_bytes(data[i : i + 4], sys.byteorder)
        for level, kind, data in aside
        if level == SOL_SOCKET and kind == SCM_RIGHTS
        for i in range(0, len(data) - len(data) % 4, 4)
    ]


class Frames:
    """Frames put together from what a socket that does not wait has to give."""

    __slots__ = ("_data", "fds")

    def __init__(self) -> None:
        self._data = bytearray()
        self.fds: list[int] = []

    def read(self, sock: socket) -> list[tuple[bytes, bytes]]:
        """Take what is there; return the whole frames.

        Raises:
            Gone: there is nothing more to come.

        """
        try:
            part, aside, _, _ = sock.recvmsg(_CHUNK, CMSG_LEN(4 * MAX_FDS))
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            raise Gone from None
        self.fds += unpack_fds(aside)
        if not part:
            raise Gone
        self._data += part
        frames: list[tuple[bytes, bytes]] = []
        while len(self._data) >= _HEAD:
            end = _HEAD + int.from_bytes(self._data[1:_HEAD], "little")
            if len(self._data) < end:
                break
            frames.append((bytes(self._data[:1]), bytes(self._data[_HEAD:end])))
            del self._data[:end]
        return frames
