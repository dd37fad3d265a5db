"""Where the sessions of a user are: a folder that nobody else can enter.

A session has a socket, a token that a client has to know, and a lock for starting it.
"""

from __future__ import annotations

import os
from _socket import AF_UNIX, SOCK_STREAM, socket

from pybridge import wire

__all__ = [
    "Refused",
    "address",
    "check_name",
    "connect",
    "folder",
    "read_token",
]

_LONGEST = 64
_ALLOWED = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
)


class Refused(Exception):  # noqa: N818 (what the user is told, in one sentence)
    """It is not done, and the message says why."""


def folder() -> int:
    """Open the folder, made where it is not there, and return its descriptor.

    Everything else is reached through the descriptor: nobody can put another folder in
    its place between looking and using.

    Raises:
        Refused: it is not the user's own, or others may enter it.

    """
    user = os.geteuid()
    path = f"/tmp/pybridge-{user}"  # noqa: S108 (looked at below)
    base = os.environ.get("XDG_RUNTIME_DIR")
    # After `su` the variable may still name another user's, or none that is there.
    if base and _owner(base) == user:
        path = f"{base}/pybridge"
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        try:
            place = os.open(path, flags)
        except FileNotFoundError:
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:  # by another client, just now
                pass
            place = os.open(path, flags)
    except OSError as exc:
        raise Refused(
            f"'{path}' cannot be the folder of the sessions: {exc.strerror}; "
            "set XDG_RUNTIME_DIR to a folder of your own"
        ) from None
    found = os.fstat(place)
    if found.st_uid != user or found.st_mode & 0o077:
        os.close(place)
        raise Refused(
            f"'{path}' is not yours alone (owner {found.st_uid}, mode "
            f"{found.st_mode & 0o7777:04o}); remove it, or set XDG_RUNTIME_DIR to a "
            "folder of your own"
        )
    return place


def _owner(path: str) -> int:
    """Return whose a folder is; -1 where there is none."""
    try:
        return os.stat(path).st_uid
    except OSError:
        return -1


def check_name(name: str) -> str:
    """Return the name of a session as it is.

    Raises:
        Refused: it cannot be the name of a file everywhere.

    """
    if (
        not name
        or len(name) > _LONGEST
        or name[0] in ".-"
        or not _ALLOWED.issuperset(name)
    ):
        raise Refused(
            f"'{name}' cannot be the name of a session: at most {_LONGEST} letters, "
            "digits and '-', '_', '.', the first a letter, a digit or '_'"
        )
    return name


def address(place: int, name: str) -> str:
    """Return the path of a session's socket."""
    return wire.address(place, f"{name}.sock")


def connect(place: int, name: str) -> socket | None:
    """Return a connection to a session; None where none listens.

    Raises:
        Refused: somebody else's process answers.

    """
    sock = socket(AF_UNIX, SOCK_STREAM)
    try:
        sock.connect(address(place, name))
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    pid, own = wire.own_peer(sock)
    if not own:
        sock.close()
        raise Refused(f"session '{name}' is not yours: process {pid} is another user's")
    return sock


def read_token(place: int, name: str) -> bytes:
    """Return what proves that the caller may read the folder; empty without one."""
    try:
        fd = os.open(f"{name}.token", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=place)
    except FileNotFoundError:
        return b""
    try:
        return os.read(fd, 200)
    finally:
        os.close(fd)
