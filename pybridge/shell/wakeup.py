"""Ctrl-C while the host runs a query, in a process where Python has the signals."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pybridge import context

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["stopping_queries"]


@contextmanager
def stopping_queries() -> Iterator[None]:
    """Have a SIGINT stop also the query that the host runs for this thread.

    Python notices a signal between two steps of its own: not while the host works.
    Where the library has started Python it has the signal, and does the same itself.
    """
    plane = sys.modules.get("pybridge._plane")
    main = threading.current_thread() is threading.main_thread()
    if plane is None or context.OWNED or not main:
        yield
        return
    ident = threading.get_ident()
    ours, pythons = socket.socketpair()

    def watch() -> None:
        while numbers := ours.recv(64):
            if signal.SIGINT in numbers:
                plane.stop_service(ident)

    with ours, pythons:
        pythons.setblocking(False)
        thread = threading.Thread(target=watch, name="pybridge wakeup", daemon=True)
        thread.start()
        before = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            # What the user's code has put in its place is the user's.
            if (now := signal.set_wakeup_fd(before)) not in (pythons.fileno(), before):
                signal.set_wakeup_fd(now)
            pythons.shutdown(socket.SHUT_RDWR)
            thread.join()
