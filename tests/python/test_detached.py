"""Processes that outlive who starts them: found at once, and nobody else's."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from pybridge import detached

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import os, socket, sys
with socket.socket(fileno=int(sys.argv[1])) as listener:
    client, _ = listener.accept()
with client:
    print("asked", flush=True)
    client.sendall(f"{os.getpid()} {os.getsid(0)}".encode())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for a socket."""
    with TemporaryDirectory() as name:
        yield Path(name)


def ask(address: Path) -> str:
    """Return what a process at an address says."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(address))
        return client.recv(100).decode()


def test_process_is_found_by_its_socket_at_once(folder: Path) -> None:
    """Who connects before it has begun waits; the session and the log are its own."""
    listener = detached.listen(str(folder / "socket"), 1)
    words = ["-c", PROGRAM, str(listener.fileno())]

    detached.spawn(words, listener, folder / "log")

    pid, session = ask(folder / "socket").split()
    assert pid == session != str(os.getsid(0))
    assert "asked\n" == (folder / "log").read_text()
    for name in ("socket", "log"):
        assert 0o600 == stat.S_IMODE((folder / name).stat().st_mode)
    assert -1 == listener.fileno()
    os.waitpid(int(pid), 0)


def test_log_that_has_grown_large_begins_anew(folder: Path) -> None:
    """The last one is kept, and no more than that."""
    log = folder / "log"
    log.write_bytes(b"x" * (2 << 20))
    listener = detached.listen(str(folder / "socket"), 1)

    detached.spawn(["-c", PROGRAM, str(listener.fileno())], listener, log)

    pid = ask(folder / "socket").split()[0]
    assert "asked\n" == log.read_text()
    assert 2 << 20 == (folder / "log.old").stat().st_size
    os.waitpid(int(pid), 0)
