"""The app of a service: a request in, the function's answer out.

It speaks ASGI itself: what Starlette puts around an endpoint costs as much as all that
is done here. Starlette's parts are used where they are needed, for forms and for
answers that are its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import re
import traceback
from time import perf_counter
from typing import TYPE_CHECKING, Any, Callable

from pybridge._words import counted
from pybridge.functions.serve import pages, response
from pybridge.functions.serve.binding import Binding
from pybridge.functions.serve.gate import Full, Gate
from pybridge.functions.serve.lanes import Lanes
from pybridge.functions.serve.log import say
from pybridge.functions.serve.records import Records
from pybridge.functions.serve.request import BadRequest, Gone, parse, read_body
from pybridge.functions.serve.response import Answer, answer, problem
from pybridge.functions.serve.security import Guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from pybridge.functions.serve.board import Row
    from pybridge.functions.serve.metrics import Metrics
    from pybridge.functions.serve.options import Options

    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Receive = Callable[[], Awaitable[dict[str, Any]]]

__all__ = ["App", "build"]

_ID = re.compile(rb"[\w.:/+=@-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_ALLOWED = ", ".join(sorted({*_METHODS, "OPTIONS"})).encode()
_RETRY = (b"retry-after", b"1")
_CLOSED = 499  # the client has hung up; nobody sees the number but the log
_FAILED = "the function failed; the log of the run has the reason under this request_id"


class Request:
    """One request on its way."""

    __slots__ = ("headers", "held", "id", "method", "path", "receive", "scope", "send")

    def __init__(
        self, scope: dict[str, Any], receive: Receive, send: Send, serial: str
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.held = False  # a place of the gate
        given = self.headers.get(b"x-request-id")
        if given is not None and _ID.fullmatch(given):
            serial = given.decode()
        self.id = serial


class App:
    """What a replica answers with."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        options: Options,
        row: Row,
        metrics: Metrics,
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        reserved: Mapping[str, Any] | None = None,
        token: str | None = None,
        explain: Callable[[BaseException], str] | None = None,
        title: str = "",
        retire: Callable[[str], None] = say,
        lanes: Lanes | None = None,
    ) -> None:
        """Answer with `function`; `retire` is told when a call cannot be ended."""
        self.loop = asyncio.get_running_loop()
        self.options = options
        self.metrics = metrics
        self.ready = False
        self._function = function
        self._binding = Binding(function, parameters, inputs)
        self._async = inspect.iscoroutinefunction(function) or (
            inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
        )
        self._row = row
        self._reserved = dict(reserved or {})
        self._retire = retire
        self._explain = explain or _explained
        self._guard = Guard(options, token)
        self._gate = Gate(
            options.concurrency, options.queue_limit, options.queue_timeout
        )
        self._lanes = lanes or Lanes(self.loop)
        self.records = Records(self.loop, metrics, log=options.access_log)
        self._serial = 0
        self._prefix = os.urandom(8).hex()
        self._pages = pages.Pages(self, title)

    @property
    def binding(self) -> Binding:
        """What the function takes."""
        return self._binding

    @property
    def secured(self) -> bool:
        """Does it want a token?"""
        return self._guard.wants_token

    async def call(self, function: Callable[[], Any]) -> Any:
        """Call something of the user's, as the function is called."""
        value = await self._lanes.run(function)
        if inspect.isawaitable(value):
            # It has seen the loop, and may have told the function of it.
            self._lanes.stay()
            value = await value
        return value

    async def aside(self, function: Callable[[], Any]) -> Any:
        """Call something that takes a while, beside the loop and the function."""
        return await self.loop.run_in_executor(None, function)

    # ---- A request, from its head to its end ----

    async def __call__(
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = perf_counter()
        self._serial += 1
        request = Request(scope, receive, send, f"{self._prefix}{self._serial:08x}")
        self._row.active += 1
        status = _CLOSED
        try:
            told = await self._answer(request)
            status = told.status
            await self._send(request, told)
        except Gone:
            status = _CLOSED
        finally:
            self._row.active -= 1
            if request.held:
                self._gate.give()
            self.records.add(request, status, perf_counter() - started)

    async def _answer(self, request: Request) -> Answer:
        try:
            page = self._pages.find(request.path)
            if page is not None:
                return await page(request)
            self.check(request)
            return await self._ask(request)
        except BadRequest as bad:
            more = {} if bad.fields is None else {"fields": bad.fields}
            return problem(bad.status, bad.error, request.id, *bad.headers, **more)
        except Gone:
            raise
        except Exception as exc:
            return self._failed(request, exc)

    def check(self, request: Request) -> None:
        """Hear only those who may ask.

        Raises:
            BadRequest: this one may not.

        """
        refusal = self._guard.refusal(request.headers)
        if refusal is not None:
            status, error = refusal
            challenge = [(b"www-authenticate", b"Bearer")] if status == 401 else []
            raise BadRequest(status, error, *challenge)

    # ---- The function ----

    async def _ask(self, request: Request) -> Answer:
        binding = self._binding
        if not binding.event:
            told = _of_path(request)
            if told is not None:
                return told
        body = await read_body(
            request.receive, request.headers, self.options.body_limit
        )
        scope = request.scope
        parsed = await parse(body, scope["query_string"], request.headers, binding)
        reserved = self._reserved
        if binding.event:
            made = self._event(request, body, parsed)
            reserved = {**reserved, "event": made, "events": made}
        args, keywords = binding.bind(parsed.parameters, reserved)
        if not self._gate.take():
            await self._queue()
        request.held = True
        accept = request.headers.get(b"accept", b"")
        work = self._work(args, keywords, accept)
        if self.options.request_timeout is None:
            return await self._guarded(request, work)
        return await self._in_time(request, self._guarded(request, work))

    def _event(self, request: Request, body: bytes, parsed: Any) -> Any:
        from pybridge.functions.serve.event import event

        return event(request.scope, body, parsed.document, parsed.fields, request.id)

    async def _queue(self) -> None:
        try:
            await self._gate.wait()
        except Full as full:
            self.metrics.refused(full.reason)
            waiting = counted(self.options.queue_limit, "request")
            why = {
                "queue": f"{waiting} in the queue already",
                "wait": f"there was no place for {self.options.queue_timeout:g} s",
            }[full.reason]
            raise BadRequest(503, f"the service is busy: {why}", _RETRY) from None

    async def _work(
        self, args: list[Any], keywords: dict[str, Any], accept: bytes
    ) -> Answer:
        function = self._function
        if not self._async:
            made = await self._lanes.call(
                lambda: _called(function, args, keywords, accept)
            )
            if isinstance(made, Answer):
                return made
            self._lanes.stay()
            value = await made
        else:
            value = await function(*args, **keywords)
        if isinstance(value, (dict, str)):
            return answer(value, accept)
        # A table may take a while to be written; the loop has others to serve.
        told: Answer = await self._lanes.run(lambda: answer(value, accept))
        return told

    async def _guarded(self, request: Request, work: Awaitable[Answer]) -> Answer:
        """Answer for whatever the function raises, also what would end a process."""
        try:
            return await work
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            return self._failed(request, exc)

    async def _in_time(self, request: Request, work: Awaitable[Answer]) -> Answer:
        limit = self.options.request_timeout
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=limit)
        if done:
            return task.result()
        task.cancel()
        say(f"request {request.id}: no answer within {limit:g} s, given up")
        self.metrics.refused("timeout")
        if self._async:
            done, _ = await asyncio.wait({task}, timeout=1)
        if not done or not self._async:
            self._retire(f"a request took longer than {limit:g} s")
        return problem(
            504, f"the function gave no answer within {limit:g} s", request.id
        )

    def _failed(self, request: Request, exc: BaseException) -> Answer:
        """Return what a client may know of an exception; the log has all of it."""
        status = getattr(exc, "status_code", None)
        if (
            isinstance(status, int)
            and isinstance(exc, Exception)
            and 400 <= status < 600
        ):
            body = getattr(exc, "body", None)
            if body is None:
                body = getattr(exc, "detail", None) or str(exc)
            return answer((status, body))
        is_bad = isinstance(exc, response.ResponseError)
        why = str(exc) if is_bad else self._explain(exc)
        say(f"request {request.id}: the function failed\n{why}")
        return problem(500, _FAILED, request.id)

    # ---- Sending ----

    async def _send(self, request: Request, told: Answer) -> None:
        if told.asgi is not None:
            await self._send_theirs(request, told)
            return
        step = first = None
        if told.pieces is not None:
            self._lanes.stay()
            # What fails before its first piece can still be answered as a failure.
            step = _stepper(self._lanes, told.pieces)
            try:
                first = await step()
            except Exception as exc:
                told = self._failed(request, exc)
        headers = response.tidy(told)
        headers.append((b"x-request-id", request.id.encode()))
        start = {"type": "http.response.start", "status": told.status}
        await request.send({**start, "headers": headers})
        if told.pieces is None or step is None:
            await request.send({"type": "http.response.body", "body": told.body})
        elif await self._send_pieces(request, told.pieces, first, step):
            await request.send({"type": "http.response.body", "body": b""})

    async def _send_pieces(
        self,
        request: Request,
        pieces: Any,
        piece: bytes | None,
        step: Callable[[], Awaitable[bytes | None]],
    ) -> bool:
        """Send piece by piece; return whether all were sent.

        Where not, the answer has no end: only that can say that something is missing.
        """
        gone = asyncio.ensure_future(_hung_up(request.receive))
        try:
            while piece is not None and not gone.done():
                if piece:
                    await request.send(_part(piece))
                piece = await step()
            return piece is None
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            self._failed(request, exc)
            return False
        finally:
            gone.cancel()
            await _close(self._lanes, pieces)

    async def _send_theirs(self, request: Request, told: Answer) -> None:
        """Let an answer of Starlette's send itself."""

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = (b"x-request-id", request.id.encode())
                message = {**message, "headers": [*message["headers"], own]}
            await request.send(message)

        await told.asgi(request.scope, request.receive, send)


def build(function: Callable[..., Any], **keywords: Any) -> App:
    """Return the app of a plain function, with options where none are given."""
    from pybridge.functions.serve.board import Board
    from pybridge.functions.serve.metrics import Metrics
    from pybridge.functions.serve.options import Options

    board = Board(1)
    keywords.setdefault("options", Options())
    keywords.setdefault("row", board.rows[0])
    if "metrics" not in keywords:
        keywords["metrics"] = Metrics(board)
    return App(function, **keywords)


def _of_path(request: Request) -> Answer | None:
    """Return the answer to what a function of parameters has no part in."""
    if request.path != "/":
        error = (
            f'there is nothing at "{request.path}"; the function is at "/", and what '
            'it takes at "/docs"'
        )
        return problem(404, error, request.id)
    if request.method in _METHODS:
        return None
    if request.method == "OPTIONS":
        return Answer(204, [(b"allow", _ALLOWED)])
    error = f"the method {request.method} is not one of {_ALLOWED.decode()}"
    return problem(405, error, request.id, (b"allow", _ALLOWED))


def _called(
    function: Callable[..., Any],
    args: list[Any],
    keywords: dict[str, Any],
    accept: bytes,
) -> Any:
    """Call the function and make the answer, in one lane; an awaitable goes back."""
    value = function(*args, **keywords)
    return value if inspect.isawaitable(value) else answer(value, accept)


def _explained(exc: BaseException) -> str:
    return "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))


def _part(piece: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": piece, "more_body": True}


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


_END = object()


def _stepper(lanes: Lanes, pieces: Any) -> Callable[[], Awaitable[bytes | None]]:
    """Return what gives the next piece, and None at the end."""
    if hasattr(pieces, "__anext__"):

        async def step() -> bytes | None:
            try:
                return response.piece(await pieces.__anext__())
            except StopAsyncIteration:
                return None

    else:

        def following() -> bytes | None:
            value = next(pieces, _END)
            return None if value is _END else response.piece(value)

        async def step() -> bytes | None:
            piece: bytes | None = await lanes.run(following)
            return piece

    return step


async def _close(lanes: Lanes, pieces: Any) -> None:
    with contextlib.suppress(Exception):
        if hasattr(pieces, "aclose"):
            await pieces.aclose()
        elif hasattr(pieces, "close"):
            await lanes.run(pieces.close)
