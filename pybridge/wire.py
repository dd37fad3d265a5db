"""What travels over local sockets: frames of a kind, a length and a payload.

The sockets are in folders of the user's own; who is at the other end is asked all the
same.
"""

from __future__ import annotations

import os
import sys
from _socket import CMSG_LEN, SCM_RIGHTS, SO_PEERCRED, SOL_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Sequence

__all__ = [
    "MAX_FDS",
    "Frames",
    "Gone",
    "address",
    "own_peer",
    "pack",
    "receive",
    "send",
    "unpack_fds",
]

MAX_FDS = 3

_HEAD = 5
_CHUNK = 1 << 16


def address(folder: int, file: str) -> str:
    """Return the path of a socket in an open folder, short whatever the folder's is."""
    return f"/proc/self/fd/{folder}/{file}"


def own_peer(sock: socket) -> tuple[int, bool]:
    """Return the process at the other end, and whether it is this user's."""
    raw = sock.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
    words = memoryview(raw).cast("I")
    return words[0], words[1] == os.geteuid()


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
        return self.feed(part)

    def feed(self, part: bytes) -> list[tuple[bytes, bytes]]:
        """Take what has come some other way; return the whole frames."""
        self._data += part
        frames: list[tuple[bytes, bytes]] = []
        while len(self._data) >= _HEAD:
            end = _HEAD + int.from_bytes(self._data[1:_HEAD], "little")
            if len(self._data) < end:
                break
            frames.append((bytes(self._data[:1]), bytes(self._data[_HEAD:end])))
            del self._data[:end]
        return frames
