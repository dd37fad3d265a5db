"""What a client asks of the manager of a store, over connections that are kept."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Any, Iterator, Optional

from pybridge import wire
from pybridge.errors import HostError
from pybridge.functions import states
from pybridge.functions.manager import start

if TYPE_CHECKING:
    import socket

    from pybridge.functions.store import Store

__all__ = ["Client", "of"]

# Those of the server; importing it would load what only the manager needs.
_REQUEST = b"R"
_REPLY = b"A"
_TRIES = 6
_PAUSE = 0.01  # seconds before the second try; doubled for each more
_LONG = 1.0  # seconds after which a manager has worked
_LONGEST = 2**31 - 1  # milliseconds, all that poll knows
_PATIENCE = 30  # seconds that a manager which ends is waited for


class Client:
    """The manager of one store, as a client sees it; it is started on first use."""

    def __init__(self, store: Store) -> None:
        """Take the store."""
        self._store = store
        self._folder = start.folder_of(store)
        self._idle: list[socket.socket] = []
        self._pid = os.getpid()

    def ask(self, do: str, timeout: Optional[float] = None, **fields: Any) -> Any:
        """Return the answer to a request; None where it did not come in time.

        The manager may end, or be killed, at any moment: then another one is started,
        which has read in the store what this one knew.

        Raises:
            HostError: there is no manager, or it refuses.

        """
        payload = json.dumps({"do": do, **fields}).encode()
        until = None if timeout is None else time.monotonic() + timeout
        tries = _TRIES
        while tries:
            began = time.monotonic()
            sock = self._connection()
            try:
                wire.send(sock, _REQUEST, payload)
                answer = self._answer(sock, until)
            except wire.Gone:
                sock.close()
                # Only what ends at once again and again is beyond hope.
                tries = _TRIES if time.monotonic() > began + _LONG else tries - 1
                time.sleep(_PAUSE * 2.0 ** (_TRIES - tries))
                continue
            except BaseException:
                sock.close()  # its answer would be taken for that of the next request
                raise
            if answer is None:
                sock.close()
                return None
            self._idle.append(sock)
            if "error" in answer:
                raise HostError(answer["error"])
            return answer
        raise HostError(
            f"the manager of '{self._store.root}' ends again and again; see its log, "
            f"'{self._folder}/log'"
        )

    def follow(self, key: str) -> Iterator[None]:
        """Yield whenever the log of a run may have grown, until the run is over."""
        sock = self._connection()
        try:
            wire.send(sock, _REQUEST, json.dumps({"do": "follow", "key": key}).encode())
            while True:
                kind, _, _ = wire.receive(sock)
                yield
                if kind == _REPLY:
                    self._idle.append(sock)
                    return
        except wire.Gone:
            return
        finally:
            if sock not in self._idle:
                sock.close()

    def is_there(self) -> bool:
        """Tell whether there is a manager, and start none."""
        sock = start.connect(self._folder)
        if sock is not None:
            self._idle.append(sock)
        return sock is not None

    def end(self) -> None:
        """End the manager, if there is one, and wait until it is gone.

        The processes of its runs end with it; the next manager takes the runs up.
        """
        if not self.is_there():
            self.close()
            return
        pid = self.ask("end")["pid"]
        self.close()
        _wait_for(pid, _PATIENCE)

    def close(self) -> None:
        """Close the connections that nobody uses; the next request opens one."""
        while self._idle:
            self._idle.pop().close()

    def _connection(self) -> socket.socket:
        """Return a connection that nobody uses."""
        if self._pid != os.getpid():  # what is shared with a parent is the parent's
            for sock in self._idle:
                sock.close()
            self._idle, self._pid = [], os.getpid()
        while self._idle:
            try:
                sock = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if not _is_ready(sock.fileno(), 0):
                return sock
            sock.close()  # nothing is to come here but the end
        return start.connect(self._folder) or start.start(self._store)

    @staticmethod
    def _answer(
        sock: socket.socket, until: Optional[float]
    ) -> Optional[dict[str, Any]]:
        """Wait for the answer."""
        if until is not None:
            left = max(0.0, until - time.monotonic())
            if not _is_ready(sock.fileno(), left):
                return None
        _, payload, _ = wire.receive(sock)
        answer: dict[str, Any] = json.loads(payload)
        return answer


def _is_ready(descriptor: int, seconds: float) -> bool:
    """Wait until something is to be read; by poll, as a host may have many files open.

    `select` refuses descriptors from 1,024 on.
    """
    asked = select.poll()
    asked.register(descriptor, select.POLLIN)
    return bool(asked.poll(min(seconds * 1000, _LONGEST)))


def _wait_for(pid: int, seconds: float) -> None:
    """Wait until a process has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except OSError:  # sandboxes, valgrind among them, may not have it
        end = time.monotonic() + seconds
        while states.started(pid) is not None and time.monotonic() < end:
            time.sleep(0.01)
        return
    try:
        _is_ready(process, seconds)
    finally:
        os.close(process)


_clients: dict[str, Client] = {}
_lock = threading.Lock()


def of(store: Store) -> Client:
    """Return the client of a store."""
    path = str(store.root)
    with _lock:
        if path not in _clients:
            _clients[path] = Client(store)
        return _clients[path]
