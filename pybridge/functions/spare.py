"""Room kept on the disk of a store, for what became of a run when the disk is full."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from pybridge.errors import HostError

if TYPE_CHECKING:
    from typing import Callable

    from pybridge.functions.store import Store

__all__ = ["keep", "kept"]

_SIZE = 1 << 20

T = TypeVar("T")


def keep(store: Store) -> None:
    """Take the room, as far as there is any; nothing where it is there already."""
    try:
        fd = os.open(_path(store), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < _SIZE:
                os.posix_fallocate(fd, 0, _SIZE)
        finally:
            os.close(fd)
    except OSError:
        return


def kept(store: Store, write: Callable[[], T]) -> T:
    """Write into the store, on a full disk into the room that was kept.

    Raises:
        HostError: there is no room even so.

    """
    try:
        return write()
    except HostError:
        _give(store)
    try:
        return write()
    finally:
        keep(store)


def _give(store: Store) -> None:
    try:
        os.truncate(_path(store), 0)
    except OSError:
        return


def _path(store: Store) -> str:
    return f"{store.root}/manager/spare"
