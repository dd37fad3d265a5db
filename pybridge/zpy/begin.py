"""Start a session: exactly one, however many clients want it at once."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pybridge import detached
from pybridge.errors import BridgeError
from pybridge.zpy import place
from pybridge.zpy.client import say
from pybridge.zpy.place import Refused
from pybridge.zpy.policy import Policy

if TYPE_CHECKING:
    import socket

__all__ = ["begin", "farewell", "log_path", "why"]

_KEEPER = '__import__("pybridge.zpy.keeper", fromlist=["run"]).run()'
_WAITING = 128
_TAIL = 8


def begin(at: int, name: str) -> socket.socket:
    """Return a connection to the session of that name, started where it is not there.

    Raises:
        Refused: the settings are wrong, or the folder is not to be used.

    """
    lock = os.open(
        f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=at
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = place.connect(at, name)
        if found is not None:  # another client was here first
            return found  # type: ignore[return-value]
        try:
            policy = Policy.from_settings()
        except BridgeError as exc:
            raise Refused(str(exc)) from None
        try:
            _say_what_was(at, name)
            _start(at, name, policy)
        except OSError as exc:
            raise Refused(f"session '{name}' could not be started: {exc}") from None
        started = place.connect(at, name)
        if started is None:
            raise Refused(why(name))
        return started  # type: ignore[return-value]
    finally:
        os.close(lock)


def log_path(name: str) -> Path:
    """Return where a session writes what has no terminal, in a folder of the user's."""
    state = os.environ.get("XDG_STATE_HOME")
    folder = (Path(state) if state else Path.home() / ".local/state") / "pybridge"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"zpy-{name}.log"


def farewell(name: str) -> Path:
    """Return the file in which a session that ended says what became of its state."""
    return log_path(name).with_suffix(".ended")


def why(name: str) -> str:
    """Say that a session did not start, with the end of its log."""
    path = log_path(name)
    lines = path.read_text("utf-8", "replace").splitlines()[-_TAIL:]
    return "\n".join(
        [f"session '{name}' could not be started; its log, '{path}', ends with", *lines]
    )


def _say_what_was(at: int, name: str) -> None:
    """Tell of the session before this one, where there is something to tell."""
    told = farewell(name)
    if told.exists():
        say(told.read_text("utf-8", "replace"))
        told.unlink()
    # A session that ends takes its socket with it.
    try:
        os.unlink(f"{name}.sock", dir_fd=at)
    except FileNotFoundError:
        return
    say(f"session '{name}' was killed, and what it had is gone; this is a new one")


def _start(at: int, name: str, policy: Policy) -> None:
    """Listen in the name of the session, and give the socket to its keeper."""
    temporary = f"{name}.token-{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    fd = os.open(temporary, flags, 0o600, dir_fd=at)
    os.write(fd, os.urandom(32).hex().encode())
    os.close(fd)
    # Before the socket: whoever can connect finds the token that goes with it.
    os.rename(temporary, f"{name}.token", src_dir_fd=at, dst_dir_fd=at)
    listener = detached.listen(place.address(at, name), _WAITING)
    os.set_inheritable(at, True)
    told = {"name": name, "listener": listener.fileno(), "folder": at}
    told["policy"] = policy.as_dict()
    words = ["-P", "-c", _KEEPER, "zpy", name, json.dumps(told)]
    detached.spawn(words, listener, log_path(name))
