"""Start the manager of a store: exactly one, however many clients want it at once."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from typing import TYPE_CHECKING, Optional

from pybridge import detached, wire
from pybridge.errors import HostError

if TYPE_CHECKING:
    from pybridge.functions.store import Store

__all__ = ["PROGRAM", "connect", "folder_of", "listen", "start"]

PROGRAM = (
    "import sys; sys.path[:] = [place for place in sys.path if place]; "
    "from pybridge.functions.manager.server import run; run()"
)
_WAITING = 512


def folder_of(store: Store) -> str:
    """Return the directory of a store's manager, made where it is not there."""
    folder = f"{store.root}/manager"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder


def connect(folder: str) -> Optional[socket.socket]:
    """Return a connection to the manager; None where none listens.

    Raises:
        HostError: somebody else's process answers.

    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.connect(wire.address(place, "socket"))
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    finally:
        os.close(place)
    pid, own = wire.own_peer(sock)
    if not own:
        sock.close()
        raise HostError(
            f"the manager in '{folder}' is not yours: process {pid} is another user's"
        )
    return sock


def start(store: Store) -> socket.socket:
    """Return a connection to the manager, started where there is none.

    Raises:
        BadArgument: its settings are wrong.
        HostError: it cannot be started.

    """
    folder = folder_of(store)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(f"{folder}/starting", flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = connect(folder)
        if found is not None:  # another client was here first
            return found
        try:
            _spawn(store, folder)
            started = connect(folder)
        except OSError as exc:
            raise HostError(
                f"the manager of '{store.root}' could not be started: {exc.strerror}"
            ) from None
        if started is None:
            raise HostError(
                f"the manager of '{store.root}' could not be started; see its log, "
                f"'{folder}/log'"
            )
        return started
    finally:
        os.close(lock)


def _spawn(store: Store, folder: str) -> None:
    """Listen in the manager's name, and give it the socket."""
    from pybridge.functions.manager.policy import Policy

    policy = Policy.from_settings()
    listener = listen(folder)
    told = {
        "store": str(store.root),
        "folder": folder,
        "policy": policy,
        "listener": listener.fileno(),
    }
    # A job that starts one is not what it belongs to.
    environ = {k: v for k, v in os.environ.items() if k != "PYBRIDGE_RUN"}
    words = ["-c", PROGRAM, json.dumps(told)]
    detached.spawn(words, listener, store.root / "manager" / "log", environ)


def listen(folder: str) -> socket.socket:
    """Return a new socket in the place of the manager's; who calls has the lock."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _unlink(f"{folder}/socket")
        return detached.listen(wire.address(place, "socket"), _WAITING)
    finally:
        os.close(place)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
