"""The app of a service by itself: what a function is called with, and its answers."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import PlainTextResponse

from pybridge.errors import BadArgument
from pybridge.functions.nuclio import Context
from pybridge.functions.serve import options
from pybridge.functions.serve.app import build
from pybridge.functions.serve.board import Board
from pybridge.functions.serve.gate import Full, Gate
from pybridge.functions.serve.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

JSON = {"content-type": "application/json"}


@dataclasses.dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Any,
    method: str = "POST",
    path: str = "/",
    body: Any = b"",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Ask an app as a server does."""
    if not isinstance(body, bytes):
        body, headers = json.dumps(body).encode(), {**JSON, **(headers or {})}
    sent: list[dict[str, Any]] = []
    given = [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()]
    route, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": route,
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), *given],
        "scheme": "http",
        "client": None,
    }
    said = False

    async def receive() -> dict[str, Any]:
        nonlocal said
        if said:
            await asyncio.sleep(60)
        said = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, b"".join(m["body"] for m in sent[1:]))


def ask(function: Callable[..., Any], *args: Any, **given: Any) -> Answer:
    """Ask the app of a function."""
    more = {name: given.pop(name) for name in tuple(given) if name in MORE}

    async def main() -> Answer:
        app = build(function, **more)
        try:
            return await call(app, *args, **given)
        finally:
            app.records.flush()

    return asyncio.run(main())


MORE = {"options", "parameters", "inputs", "reserved", "token"}


# ---- What a function is called with ----


def test_function_gets_parameters_and_event_both() -> None:
    """S-33: parameters by name, and the event as well, under either name."""

    def f(x: int, event: Any, events: Any) -> Any:
        return [x, event.body, events is event, event.fields]

    assert [1, {"x": "1"}, True, {}] == ask(f, body={"x": "1"}).json()
    assert [2, [3], True, {"x": "2"}] == ask(f, path="/?x=2", body=[3]).json()
    csv = {"content-type": "text/csv"}

    def g(event: Any, x: int = 0) -> Any:
        return [event.body.decode(), x]

    assert ["a,b", 0] == ask(g, body=b"a,b", headers=csv).json()


def test_function_without_parameters_takes_whatever_comes() -> None:
    """A function that takes nothing is not asked to refuse something."""
    assert "hello world" == ask(lambda: "hello world", body={"x": 1}).text
    assert "hello world" == ask(lambda: "hello world", path="/?utm=1").text


def test_keywords_collect_all_that_comes() -> None:
    """`**kwargs` takes the rest; defaults are kept."""

    def f(x: int = 5, **rest: Any) -> Any:
        return [x, rest]

    assert [5, {"a": 1, "b": [2]}] == ask(f, body={"a": 1, "b": [2]}).json()


def test_parameters_of_the_run_are_defaults_and_its_inputs_are_fixed() -> None:
    """What a run was given is there where a request does not say otherwise."""

    def f(x: int, y: int, table: list[int]) -> Any:
        return [x, y, table]

    given: Any = {"parameters": {"x": 1, "y": 2}, "inputs": {}}
    given["parameters"]["table"] = [9]

    assert [1, 3, [9]] == ask(f, body={"y": 3}, **given).json()


def test_reserved_names_are_the_services() -> None:
    """S-5 to S-7: a request cannot set project, run, context or event."""
    context = Context()

    def f(context: Any, run: Any, project: Any) -> Any:
        return [context.user_data is not None, run, project]

    reserved = {"context": context, "run": "r", "project": "p"}
    body = {"run": "mine", "project": "mine"}

    assert [True, "r", "p"] == ask(f, body=body, reserved=reserved).json()


def test_annotations_decide_what_comes_through_the_query_string() -> None:
    """Numbers, flags, lists and models are made of texts; what cannot be is told."""

    def f(n: float, flag: bool, some: list[int] | None = None) -> Any:
        return [n, flag, some]

    assert [1.5, True, [7]] == ask(f, "GET", "/?n=1.5&flag=yes&some=7").json()
    answer = ask(f, "GET", "/?n=x&flag=perhaps&some=1&some=y")
    assert 422 == answer.status
    fields = [one["field"] for one in answer.json()["fields"]]
    assert ["n", "flag", "some.1"] == fields


def test_form_has_files_as_bytes() -> None:
    """multipart/form-data: fields are texts, files are bytes."""

    def f(name: str, file: bytes, files: list[bytes]) -> Any:
        return [name, len(file), [len(one) for one in files]]

    kind = "multipart/form-data; boundary=cut"
    parts = [
        b'name="name"\r\n\r\nann',
        b'name="file"; filename="a"\r\n\r\n\x00\xff\x00',
        b'name="files"; filename="b"\r\n\r\n1',
    ]
    head = b"--cut\r\nContent-Disposition: form-data; "
    body = b"".join(head + part + b"\r\n" for part in parts) + b"--cut--\r\n"

    answer = ask(f, body=body, headers={"content-type": kind})

    assert ["ann", 3, [1]] == answer.json()


def test_async_function_runs_on_the_loop() -> None:
    """`async def` is awaited where the server runs, `def` in a thread beside it."""

    async def later() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    def plain() -> str:
        return threading.current_thread().name

    assert "MainThread" == ask(later).text
    assert "function" == ask(plain).text


def test_plain_function_has_one_thread_for_all_its_calls() -> None:
    """What belongs to a thread, as connections of sqlite3 do, goes on working."""
    kept: list[sqlite3.Connection] = []

    def f() -> Any:
        if not kept:
            kept.append(sqlite3.connect(":memory:"))
        return list(kept[0].execute("select 1"))

    async def main() -> list[int]:
        app = build(f)
        return [(await call(app)).status for _ in range(5)]

    assert [200] * 5 == asyncio.run(main())


# ---- Answers ----


def test_answer_of_starlettes_own_is_sent_as_it_is() -> None:
    """A Response of Starlette's sends itself."""
    answer = ask(lambda: PlainTextResponse("own", 202, {"x-a": "b"}))

    assert (202, "own", "b") == (answer.status, answer.text, answer.headers["x-a"])
    assert "x-request-id" in answer.headers


def test_exception_with_a_status_is_an_answer() -> None:
    """HTTPException says its status and detail; SystemExit and others are 500."""
    from starlette.exceptions import HTTPException

    def refuses() -> None:
        raise HTTPException(404, "no such thing")

    async def ends() -> None:
        raise SystemExit(1)

    assert (404, "no such thing") == ((one := ask(refuses)).status, one.text)
    assert 500 == ask(ends).status


def test_failure_before_the_first_piece_is_a_failure() -> None:
    """A generator that fails at once has sent nothing: 500."""

    def f() -> Any:
        raise ValueError
        yield

    assert 500 == ask(f).status


def test_serving_twice_gives_each_request_its_id() -> None:
    """Ids differ; one that is given is kept, if it is one."""

    async def main() -> list[str]:
        app = build(lambda: "")
        given = [{}, {}, {"x-request-id": "mine"}, {"x-request-id": "no good\x7f"}]
        return [(await call(app, headers=h)).headers["x-request-id"] for h in given]

    first, second, third, fourth = asyncio.run(main())

    assert "mine" == third
    assert 3 == len({first, second, fourth})
    assert "no good" not in fourth


# ---- Options ----


def test_options_tell_all_that_is_wrong() -> None:
    """What cannot be used is named, all of it, before anything listens."""
    spec = {"port": 70_000, "replicas": 0, "request_timeout": "1", "insecure": 1}

    with pytest.raises(BadArgument) as told:
        options.read(spec)

    assert all(f'"{name}" must be ' in str(told.value) for name in spec)


def test_world_wide_service_wants_a_token_or_a_clear_word() -> None:
    """Bound to loopback unless told otherwise, and then not without protection."""
    assert options.read({}).loopback
    assert options.read({"host": "127.0.0.9"}).loopback
    with pytest.raises(BadArgument, match="for everybody"):
        options.read({"host": "127.example.com"})
    with pytest.raises(BadArgument, match=r"'0\.0\.0\.0' for everybody"):
        options.read({"host": "0.0.0.0"})  # noqa: S104
    assert not options.read({"host": "0.0.0.0", "insecure": True}).loopback  # noqa: S104
    assert options.read({"host": "::", "token": "t"}).token == "t"


# ---- Parts ----


def test_gate_gives_places_in_order() -> None:
    """Who waits longest is next; who has gone is passed over; who is late goes."""

    async def main() -> list[str]:
        gate = Gate(1, 3, 0.05)
        order: list[str] = []

        async def one(name: str) -> None:
            try:
                await gate.wait()
                order.append(name)
            except Full as full:
                order.append(f"{name} {full.reason}")

        assert gate.take()
        waiting = [asyncio.create_task(one(name)) for name in ("a", "b", "c", "d")]
        await asyncio.sleep(0)
        waiting[1].cancel()
        gate.give()
        await asyncio.sleep(0.01)
        assert 1 == gate.waiting
        await asyncio.wait(waiting)
        gate.give()
        assert gate.take()
        assert not gate.take()
        return order

    assert ["d queue", "a", "c wait"] == asyncio.run(main())


def test_gate_forgets_who_was_turned_away() -> None:
    """While one request stands still, those that come and go take no memory."""

    async def main() -> int:
        gate = Gate(1, 3, 0.001)
        assert gate.take()
        for _ in range(5):
            with pytest.raises(Full):
                await gate.wait()
        return len(vars(gate)["_waiting"])

    assert 0 == asyncio.run(main())


def test_lane_that_is_held_is_left_to_its_call() -> None:
    """A call nobody waits for any more keeps its thread; others have another."""
    hold = threading.Event()

    async def main() -> Any:
        lanes = Lanes(asyncio.get_running_loop())
        stuck = asyncio.create_task(lanes.run(lambda: hold.wait(60)))
        await asyncio.sleep(0.05)
        stuck.cancel()
        await asyncio.wait({stuck})
        try:
            return await lanes.run(lambda: "goes on")
        finally:
            hold.set()

    assert "goes on" == asyncio.run(main())


def test_lane_brings_back_what_ends_processes() -> None:
    """SystemExit and KeyboardInterrupt come back as they are, the thread goes on."""

    async def main() -> list[str]:
        lanes = Lanes(asyncio.get_running_loop())
        found = []
        for kind in (SystemExit, KeyboardInterrupt, ValueError):

            def fail(kind: type[BaseException] = kind) -> None:
                raise kind

            try:
                await lanes.run(fail)
            except BaseException as exc:
                found.append(type(exc).__name__)
        return found

    assert ["SystemExit", "KeyboardInterrupt", "ValueError"] == asyncio.run(main())


class Moving:
    """Lanes whose loop is run by them; notes the threads of loop and function."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.lanes = Lanes(self.loop, moving=True)
        self.threads: set[int] = set()

    async def call(self, function: Callable[[], Any] = bool) -> tuple[Any, bool]:
        """Return what the function returns, and whether the loop is in its thread."""

        def noted() -> Any:
            self.threads.add(threading.get_ident())
            return function()

        value = await self.lanes.call(noted)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return value, threading.get_ident() in self.threads

    async def until(self, *, inside: bool) -> None:
        """Call until the loop is where it is wanted."""
        before = time.monotonic()
        while (await self.call())[1] != inside:
            assert time.monotonic() - before < 60

    def host(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run the coroutine."""
        try:
            return self.lanes.host(main)
        finally:
            self.loop.close()


def test_loop_moves_into_the_thread_of_a_quick_function() -> None:
    """In after many quick calls, out with the first long one; always one thread."""
    moving = Moving()

    async def main() -> list[bool]:
        found = [(await moving.call())[1]]
        await moving.until(inside=True)
        await moving.call(lambda: time.sleep(0.05))
        found.append((await moving.call())[1])
        await moving.until(inside=True)
        found.append(await moving.lanes.run(threading.get_ident) in moving.threads)
        moving.lanes.stay()
        return found + [(await moving.call())[1] for _ in range(2000)]

    first, after_long_one, same_thread, *stays = moving.host(main())

    assert (False, False, True) == (first, after_long_one, same_thread)
    assert not any(stays)
    assert 1 == len(moving.threads)
    assert threading.get_ident() not in moving.threads


def test_function_sees_nothing_of_the_loop_in_its_thread() -> None:
    """No running loop, no task, a context of its own, and loops that it runs itself."""
    moving = Moving()
    seen: ContextVar[int] = ContextVar("seen", default=0)

    def look() -> tuple[list[str], int, int]:
        raised = []
        for ask in (asyncio.get_running_loop, asyncio.current_task):
            try:
                ask()
            except RuntimeError as exc:
                raised.append(str(exc))
        before = seen.get()
        seen.set(1)
        return raised, before, asyncio.run(asyncio.sleep(0, 7))

    async def main() -> Any:
        await moving.until(inside=True)
        for _ in range(2):
            value = (await moving.call(look))[0]
            await moving.until(inside=True)
        assert asyncio.current_task() is not None
        return value

    raised, before, value = moving.host(main())

    assert ["no running event loop"] * 2 == raised
    assert (0, 7) == (before, value)


@pytest.mark.parametrize("kind", [SystemExit, ValueError, asyncio.CancelledError])
def test_loop_in_a_lane_outlives_what_the_function_raises(
    kind: type[BaseException],
) -> None:
    """The exception comes back as it is, and the next call is made."""
    moving = Moving()

    def fail() -> None:
        raise kind

    async def main() -> Any:
        await moving.until(inside=True)
        with pytest.raises(kind):
            await moving.lanes.call(fail)
        return (await moving.call(lambda: 5))[0]

    assert 5 == moving.host(main())


def test_board_tells_who_has_the_least_to_do() -> None:
    """Requests count before connections; who does not serve is not counted."""
    board = Board(3)
    one, two, three = board.rows
    one.serve()
    two.serve()
    one.active, two.connections = 1, 5

    assert (True, False) == (one.outdone(), two.outdone())
    three.serve()
    assert two.outdone()
    three.retire()
    assert not two.outdone()
    assert (1, 5) == board.total()
    two.free()
    assert (1, 0) == board.total()
    assert board.take() is two
    assert board.take() is None
