"""Processes that outlive who starts them: their socket, their log, their beginning."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["listen", "spawn"]

_LOG_LIMIT = 1 << 20


def listen(address: str, waiting: int) -> socket.socket:
    """Return a new socket at an address, for this user alone.

    Clients may connect from here on; who is given the socket finds them waiting.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mask = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(mask)
        listener.listen(waiting)
    except OSError:
        listener.close()
        raise
    return listener


def spawn(
    words: Sequence[str],
    listener: socket.socket,
    log: Path,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Start this Python in a session of its own; it has a socket, and writes to a log.

    The socket is its own then, and closed here.
    """
    with listener:
        null = os.open(os.devnull, os.O_RDWR)
        try:
            output = _opened(log)
            try:
                listener.set_inheritable(True)
                os.posix_spawn(
                    sys.executable,
                    [sys.executable, *words],
                    environ,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, null, 0),
                        (os.POSIX_SPAWN_DUP2, output, 1),
                        (os.POSIX_SPAWN_DUP2, output, 2),
                    ],
                    setsid=True,
                )
            finally:
                os.close(output)
        finally:
            os.close(null)


def _opened(log: Path) -> int:
    """Open a log to append to; one that has grown large starts anew."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(f"{log.suffix}.old"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.open(log, flags, 0o600)
