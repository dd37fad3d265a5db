"""The HTTP server of a replica: uvicorn's protocol, with an accept loop, limits, drain.

The listener is the master's, and all replicas take from it. uvicorn's own server would
leave it to chance who does, knows no time limit for the head of a request, and closes
connections under requests that are on their way when it shuts down.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import logging
import time
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pybridge.functions.serve.board import Row
    from pybridge.functions.serve.options import Options

__all__ = ["Protocol", "Server", "new_loop", "raw_answer"]

_DEFER = 0.002  # how long a connection is left to replicas that have fewer
_DEFER_BUSY = 0.1  # the same, to replicas that have nothing to do
_RETRY = 0.1  # when there are no file descriptors left
_AT_ONCE = 16  # connections taken before requests have their turn again
_TICK = 0.5
_LINGER = 0.25  # silence after which a drained connection is closed
_LARGE_HEAD = "the head of the request is too large"
_LAST_WORDS = 0.5  # in which a client that is refused can read the answer
_STUCK_WRITE = 60.0  # seconds in which a client has to take something of a response


def new_loop() -> asyncio.AbstractEventLoop:
    """Return the fastest event loop that there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _State(ServerState):
    """What all connections of a replica share."""

    def __init__(self, options: Options, row: Row) -> None:
        super().__init__()
        self.options = options
        self.row = row
        self.draining = False


def raw_answer(status: int, error: str, *headers: str) -> bytes:
    """Return an answer, as it goes over the wire, after which there is no other."""
    body = json.dumps({"error": error}).encode()
    lines = [
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Refused(Exception):  # noqa: N818 - it is what it says
    """The parser is left with it: a request goes no further."""


class Protocol(HttpToolsProtocol):
    """A connection; knows how long it has waited for what."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.state = cast("_State", self.server_state)
        self.heard = self.since = self.loop.time()  # since: what is awaited began
        self.in_head = True
        self.refused = False
        self.chunk = 0
        self.head_size = 0

    # ---- What uvicorn calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.state.row.connections = len(self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it."""
        super().connection_lost(exc)
        self.state.row.connections = len(self.connections)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that does not end."""
        if self.refused:
            return
        self.heard = self.loop.time()
        self.chunk = len(data)
        if self.in_head:
            self.head_size += self.chunk
        super().data_received(data)
        if (
            self.in_head
            and self.head_size > self.state.options.header_limit
            and not self.refused
        ):
            self.refuse(431, _LARGE_HEAD)

    def on_message_begin(self) -> None:
        """Begin the head of a request."""
        super().on_message_begin()
        if not self.in_head:
            self.in_head = True
            self.head_size = self.chunk
        self.since = self.heard

    def on_headers_complete(self) -> None:
        """End the head; the last request of a connection that is drained says so."""
        self.in_head = False
        self.since = self.heard
        limit = self.state.options.header_limit
        if self.head_size > limit and limit < len(self.url) + sum(
            len(name) + len(value) for name, value in self.headers
        ):
            self.refuse(431, _LARGE_HEAD)
            raise _Refused
        super().on_headers_complete()
        if self.state.draining:
            self.shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, unless it has been answered."""
        if not self.refused:
            self.refuse(400, msg.rstrip("."))

    def shutdown(self) -> None:
        """Let what is in progress end, and nothing follow it."""
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False

    # ---- What time calls ----

    def overdue(self, now: float) -> None:
        """Close the connection if what the other side has to do takes too long."""
        limit = self.state.options.read_timeout
        cycle: Any = self.cycle
        working = cycle is not None and not cycle.response_complete
        flow: Any = self.flow
        if self.refused:
            return
        if flow is not None and flow.write_paused:
            if now - max(self.heard, self.since) > _STUCK_WRITE:
                self.transport.abort()
        elif working:
            if cycle.more_body and now - self.since > limit:
                self.refuse(408, "the body of the request took too long")
        elif self.state.draining and now - self.heard > _LINGER:
            self.transport.close()
        elif self.in_head and now - self.since > limit:
            self.refuse(408, "the head of the request took too long")

    def refuse(self, status: int, message: str) -> None:
        """Answer without having asked the app, and close."""
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete and cycle.response_started:
            self.transport.abort()  # in the middle of another answer
            return
        self.transport.write(raw_answer(status, message))
        self.refused = True
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        # A connection that is closed while data comes in loses the answer as well.
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
            self.transport.write_eof()
        self.loop.call_later(_LAST_WORDS, self.transport.close)


class Server:
    """Takes connections from a listener until it is told to drain."""

    def __init__(
        self, app: Any, listener: socket.socket, options: Options, row: Row
    ) -> None:
        """Have `app` answer what comes in by `listener`."""
        self.loop = asyncio.get_running_loop()
        self.config = Config(
            app,
            http=Protocol,
            ws="none",
            loop="asyncio",  # the one that runs is taken
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=max(1, int(options.keep_alive)),
        )
        self.config.load()
        # What it has to say of broken requests is in the access log, and at length.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self.state = _State(options, row)
        self._listener = listener
        self.row = row
        self._connecting: set[asyncio.Task[Any]] = set()
        self._ticks: asyncio.Task[None] | None = None
        self._paused: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> set[Protocol]:
        """Return the connections that are open."""
        return cast("set[Protocol]", self.state.connections)

    @property
    def draining(self) -> bool:
        """Return whether it takes no connections any more."""
        return self.state.draining

    def start(self) -> None:
        """Begin to take connections."""
        self._listener.setblocking(False)
        self._ticks = self.loop.create_task(self._tick())
        self.row.serve()
        self._listen()

    async def drain(self, limit: float) -> bool:
        """Take no more connections, finish the requests; return whether all were."""
        if not self.state.draining:
            self._close_listener()
        self.state.draining = True
        for connection in list(self.state.connections):
            connection.shutdown()
        deadline = self.loop.time() + limit
        while self.state.connections or self._connecting:
            now = self.loop.time()
            if now > deadline:
                return False
            self._sweep(now)
            await asyncio.sleep(0.02)
        return True

    # ---- Taking connections ----

    def _listen(self) -> None:
        self._paused = None
        self.loop.add_reader(self._listener.fileno(), self._readable)

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            if self.row.outdone():
                busy = self.row.active >= self.state.options.concurrency
                accepted = self.row.board.accepted
                wait = _DEFER_BUSY if busy else _DEFER
                self._pause(wait, partial(self._insist, accepted))
                return
            if not self._accept():
                return

    def _insist(self, accepted: int) -> None:
        """Take one that nobody has wanted, if the others have taken none at all."""
        self._listen()
        if self.row.board.accepted == accepted:
            self._accept()

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self.loop.remove_reader(self._listener.fileno())
        self._paused = self.loop.call_later(seconds, then)

    def _accept(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError:  # no file descriptors, no memory: let some be given back
            self._pause(_RETRY, self._listen)
            return False
        connection.setblocking(False)
        self.row.accept()
        task = self.loop.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return True

    async def _connect(self, connection: socket.socket) -> None:
        def protocol() -> Protocol:
            return Protocol(
                config=self.config,
                server_state=self.state,
                app_state={},
                _loop=self.loop,
            )

        with contextlib.suppress(OSError):  # gone again
            await self.loop.connect_accepted_socket(protocol, connection)

    def _close_listener(self) -> None:
        self.row.retire()
        if self._paused is not None:
            self._paused.cancel()
        self.loop.remove_reader(self._listener.fileno())
        # Whoever has been let into the queue by the kernel is answered as well.
        while self._accept():
            pass
        if self._paused is not None:
            self._paused.cancel()
        self._listener.close()

    # ---- Time ----

    async def _tick(self) -> None:
        while True:
            date = formatdate(time.time(), usegmt=True).encode()
            self.state.default_headers = [(b"date", date)]
            now = self.loop.time()
            self.row.beat = now
            self._sweep(now)
            await asyncio.sleep(_TICK)

    def _sweep(self, now: float) -> None:
        for connection in list(self.connections):
            connection.overdue(now)
