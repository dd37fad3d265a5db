"""What a service refuses: broken requests, too much, too slow, the wrong people."""

from __future__ import annotations

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from pybridge.errors import BadArgument
from tests.functions.services import PATIENCE, Service, raw, replicas, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW = """
import asyncio
import time

def f(seconds: float = 0, data: str = ""):
    time.sleep(seconds)
    return f"slept {len(data)}"

async def g(event):
    try:
        await asyncio.sleep(float(event.fields["seconds"]))
    except asyncio.CancelledError:
        print("the call was cancelled", flush=True)
        raise
    return "slept"
"""

BODY = b'{"seconds": 0}'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A directory for the stores of this file."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def strict(root: Any) -> Iterator[Service]:
    """A service with short limits."""
    with Service(
        root,
        SLOW,
        read_timeout=0.4,
        header_limit=2048,
        keep_alive=1,
        queue_limit=1,
        queue_timeout=0.3,
    ) as service:
        yield service


@pytest.fixture(scope="module")
def guarded(root: Any) -> Iterator[Service]:
    """A service with a token, open to everybody."""
    with Service(
        root,
        SLOW,
        token="api",
        host="0.0.0.0",  # noqa: S104 - that is what it is about
        secret_values={"api": "Open-Sesame"},
    ) as service:
        yield service


def status_of(answer: bytes) -> int:
    """Return the status of an answer."""
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nbroken header\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 3000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 300_000, 431),
        (b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"CONNECT example.org:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ],
)
def test_broken_request_is_refused(
    strict: Service, request_: bytes, status: int
) -> None:
    """What is not HTTP, or too much of it, gets an answer and an end."""
    assert status == status_of(raw(strict.port, request_))

    assert 200 == strict.ask("GET", "/livez").status_code


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"POST / HTTP/1.1\r\nHost: local",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n{",
    ],
    ids=["nothing", "head", "body"],
)
def test_request_that_does_not_come_to_its_end_is_closed(
    strict: Service, start: bytes
) -> None:
    """Slowloris: a head, and a body, have a time limit however slowly they drip."""
    before = time.monotonic()
    with socket.create_connection(("127.0.0.1", strict.port), PATIENCE) as connection:
        connection.sendall(start)
        stop = threading.Event()

        def drip() -> None:
            while start and not stop.wait(0.05):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            answer = connection.recv(4096)
        except ConnectionResetError:
            answer = b""
        stop.set()
        dripping.join()

    assert time.monotonic() - before > 0.4
    assert not answer or status_of(answer) == 408


def test_connection_that_is_kept_is_closed_after_a_while(strict: Service) -> None:
    """Keep-alive ends."""
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"

    assert 200 == status_of(raw(strict.port, request))


def test_requests_wait_for_a_place_and_too_many_are_sent_away(
    strict: Service,
) -> None:
    """§5.5: one at a time; 503 with Retry-After when the queue is full or slow."""

    def ask(_: int) -> requests.Response:
        url = f"{strict.url}/?seconds=0.6"
        return requests.get(url, timeout=PATIENCE)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(ask, range(3)))

    assert [200, 503, 503] == sorted(one.status_code for one in answers)
    refused = [one for one in answers if one.status_code == 503]
    assert {"1"} == {one.headers["retry-after"] for one in refused}
    words = sorted(one.json()["error"] for one in refused)
    assert "1 request in the queue already" in words[0]
    assert "no place for 0.3 s" in words[1]
    text = strict.ask("GET", "/metrics").text
    assert 'pybridge_requests_refused_total{reason="queue"} 1.0' in text


def test_health_is_answered_while_the_function_works(strict: Service) -> None:
    """A plain function does not hold up the loop."""
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.get, f"{strict.url}/?seconds=0.5", timeout=PATIENCE)
        time.sleep(0.1)
        answer = requests.get(f"{strict.url}/readyz", timeout=PATIENCE)
        assert not slow.done()

        assert (200, "slept 0") == (answer.status_code, slow.result().text)


def test_client_that_hangs_up_leaves_the_service_as_it_was(strict: Service) -> None:
    """A request whose client has gone is finished for nobody."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", strict.port)) as connection:
            connection.sendall(
                b"GET /?seconds=0.05 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
        with socket.create_connection(("127.0.0.1", strict.port)) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Le")

    def ask() -> int:
        return int(strict.ask("GET", "/?seconds=0").status_code)

    until = time.monotonic() + PATIENCE
    while ask() == 503:
        assert time.monotonic() < until


def test_large_body_comes_whole(strict: Service) -> None:
    """Several megabytes, in whatever pieces they come."""
    answer = strict.ask(json={"data": "x" * 5_000_000})

    assert "slept 5000000" == answer.text


def test_client_of_http_1_0_gets_an_answer_and_an_end(strict: Service) -> None:
    """Old clients, and those that ask for leave first, are served."""
    assert raw(strict.port, b"GET /livez HTTP/1.0\r\n\r\n").endswith(b'"alive"}')

    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\n"
    more = b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", strict.port), PATIENCE) as connection:
        connection.sendall(head + more)
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(BODY)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(strict: Service) -> None:
    """Two requests in one piece get two answers."""
    one = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\n\r\n" + BODY
    end = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    answer = raw(strict.port, one + one + end)

    assert 2 == answer.count(b"slept 0")
    assert answer.endswith(b'{"status":"alive"}')


# ---- Time limits of calls ----


def test_call_that_is_stuck_gets_504_and_a_new_replica_takes_over(root: Any) -> None:
    """504; the replica is replaced, and nobody else is let down."""
    code = SLOW.replace("async def g", "async def unused")
    with Service(root, code, request_timeout=0.4) as service:
        with ThreadPoolExecutor(2) as pool:
            stuck = pool.submit(
                requests.get, f"{service.url}/?seconds=600", timeout=PATIENCE
            )
            time.sleep(0.1)
            waiting = pool.submit(requests.get, f"{service.url}/", timeout=PATIENCE)

            assert 504 == stuck.result().status_code
            assert 200 == waiting.result().status_code
        service.logged("replaces replica 1: a request took longer than 0.4 s")

        assert "slept 0" == service.ask("GET", "/").text
        assert "RUNNING" == service.run.refresh().state
        assert service.process.poll() is None


def test_async_call_that_takes_too_long_is_cancelled(root: Any) -> None:
    """504; a coroutine ends, so its replica goes on."""
    with Service(root, SLOW, "g", request_timeout=0.2) as service:
        assert 504 == service.ask("GET", "/?seconds=600").status_code
        assert "slept" == service.ask("GET", "/?seconds=0").text

        log = service.logged("the call was cancelled")
        assert "replaces" not in log


def test_loop_that_is_held_up_is_ended_decently(root: Any) -> None:
    """504 also where an `async def` never awaits; the replica is replaced."""
    code = """
import time
async def f(event):
    time.sleep(float(event.fields["seconds"]))
    return "slept"
"""
    with Service(root, code, request_timeout=0.3) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as other:
            other.sendall(b"GET /?seconds=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while b"slept" not in answer:
                answer += other.recv(1 << 16)

            stuck = service.ask("GET", "/?seconds=600")

            assert (504, "close") == (stuck.status_code, stuck.headers["connection"])
            assert other.recv(1 << 16) == b""
        assert "slept" == service.ask("GET", "/?seconds=0").text
        assert "its loop has stood still for" in service.log()


QUICK = """
import sqlite3
import sys
import time

def begin(context):
    context.user_data.database = sqlite3.connect(":memory:")  # of one thread

def f(context, seconds: float = 0):
    time.sleep(seconds)
    frame = sys._getframe()
    while frame is not None and "uvicorn" not in frame.f_code.co_filename:
        frame = frame.f_back
    seven = context.user_data.database.execute("select 7").fetchone()[0]
    return {"seven": seven, "with the loop": frame is not None}
"""
APART, TOGETHER = ({"seven": 7, "with the loop": is_so} for is_so in (False, True))


def make_quick(service: Service) -> None:
    """Call until the loop is in the thread of the function."""
    until = time.monotonic() + PATIENCE
    while service.ask("GET", "/").json() != TOGETHER:
        assert time.monotonic() < until, service.log()[-2000:]


def test_function_that_has_long_been_quick_keeps_its_thread(root: Any) -> None:
    """What is bound to the thread of `init_function` can be used in every call."""
    with Service(root, QUICK, init_function="begin") as service:
        make_quick(service)
        assert TOGETHER == service.ask("GET", "/?seconds=0.05").json()
        assert APART == service.ask("GET", "/").json()
        make_quick(service)
        service.process.send(signal.SIGTERM)

        assert 0 == service.ended()


def test_call_without_a_limit_is_finished_while_another_replica_takes_over(
    root: Any,
) -> None:
    """A quick function that takes long for once: others are served, it is answered."""
    with Service(root, QUICK, init_function="begin", drain_timeout=0.1) as service:
        make_quick(service)
        with ThreadPoolExecutor(1) as pool:
            url = f"{service.url}/?seconds=3"
            slow = pool.submit(requests.get, url, timeout=PATIENCE)
            service.logged("replaces replica 1: a call holds up its loop")

            assert APART == requests.get(service.url, timeout=PATIENCE).json()
            assert not slow.done()
            assert TOGETHER == slow.result().json()
        wait_for(lambda: len(replicas(service)) == 1)
        text = service.ask("GET", "/metrics").text
        assert 'pybridge_replica_restarts_total{reason="held"} 1.0' in text


def test_concurrency_lets_calls_overlap(root: Any) -> None:
    """`concurrency=` calls are worked on at once by one replica."""
    code = """
import threading
meet = threading.Barrier(3)
def f():
    meet.wait(30)
    return "met"
"""
    with Service(root, code, concurrency=3) as service, ThreadPoolExecutor(3) as pool:
        found = pool.map(lambda _: requests.get(service.url, timeout=60).text, range(3))

        assert ["met"] * 3 == list(found)


# ---- Who may ask ----


def test_token_is_wanted_for_all_but_health(guarded: Service) -> None:
    """401 without the token or with another one; health and the empty page are open."""

    def ask(path: str, token: str | None) -> int:
        headers = {} if token is None else {"authorization": token}
        return int(guarded.ask("GET", path, headers=headers).status_code)

    for path in ("/", "/metrics", "/openapi.json"):
        assert 401 == ask(path, None)
        assert 401 == ask(path, "Bearer open-sesame")
        assert 401 == ask(path, "Open-Sesame")
        assert 401 == ask(path, "Bearer Open-Sesame\xe9")
        assert 200 == ask(path, "Bearer Open-Sesame")
        assert 200 == ask(path, "bearer  Open-Sesame")
    assert [200] * 3 == [ask(path, None) for path in ("/livez", "/readyz", "/docs")]
    refused = guarded.ask("GET", "/")
    assert "Bearer" == refused.headers["www-authenticate"]
    assert "Open-Sesame" not in guarded.log()


def test_token_is_a_secret_of_the_project(root: Any) -> None:
    """A token that nobody has set is refused before there is a run."""
    with pytest.raises(BadArgument, match="'none-such' has no value"):
        Service(root, SLOW, token="none-such")


def test_invoke_brings_the_token_along(guarded: Service) -> None:
    """Who has the store has the secret."""
    assert "slept 0" == guarded.run.invoke().text


def test_service_for_the_world_names_this_machine_too(guarded: Service) -> None:
    """status.service.url is one that can be reached from here, urls has the others."""
    service = guarded.run.status.service

    assert service["url"].startswith("http://127.0.0.1:")
    assert f"http://{socket.gethostname()}:{guarded.port}" in service["urls"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
    ],
)
def test_pages_of_elsewhere_may_not_ask_through_a_browser(
    strict: Service, headers: dict[str, str], status: int
) -> None:
    """Without a token: no other Host (DNS rebinding), no other Origin."""
    assert status == strict.ask("GET", "/", headers=headers).status_code


def test_address_that_is_taken_is_an_error(root: Any, strict: Service) -> None:
    """A port that another has is named."""
    with Service(root, SLOW, port=strict.port) as service:
        service.ended()

    assert "ERROR" == service.run.state
    assert f"port {strict.port}: Address already in use" in service.run.status.message
