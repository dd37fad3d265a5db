"""Services: a function that echoes, beside a bare Starlette app on the same server.

Both run on uvicorn with httptools and uvloop, as forks that share one listener, and
are asked over one connection that is kept, or over several at once. Ours counts, logs
and checks what it is asked; the bare app does none of it.

    python -m benchmarks.serve WORKERS PORT     serves the bare app
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.data import ROOT
from benchmarks.harness import Bar, Case, CaseError, Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["groups"]

REQUESTS = 400  # one round of a case
CROWD = 4  # connections at once, where several are
PATIENCE = 60.0
_PR_SET_PDEATHSIG = 1
PLAIN, ASYNC, EVENT = "`def`", "`async def`", "`def` with an event"
BARE = "bare Starlette app"
CODE = """
def plain(x: int):
    return {"x": x}

async def later(x: int):
    return {"x": x}

def event(event):
    return {"x": event.body["x"]}
"""
HANDLERS = {PLAIN: "plain", ASYNC: "later", EVENT: "event"}


class _Client:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        body = json.dumps({"x": 1}).encode()
        self.request = (
            f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n"
            "User-Agent: benchmark\r\nAccept-Encoding: gzip, deflate\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> bytes:
        """Send the request and return the body of the answer."""
        self.send()
        return self.hear()

    def send(self) -> None:
        """Send the request."""
        self.socket.sendall(self.request)

    def hear(self) -> bytes:
        """Return the body of the answer."""
        answer = b""
        while True:
            piece = self.socket.recv(65536)
            if not piece:
                raise CaseError("the connection was closed")
            answer += piece
            head, end, body = answer.partition(b"\r\n\r\n")
            if end:
                wanted = (
                    head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                )
                if len(body) == int(wanted):
                    return body

    def times(self) -> list[float]:
        """Return how long each request of a round took, in ms."""
        found = []
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            self.ask()
            found.append((time.perf_counter() - begun) * 1e3)
        return found

    def close(self) -> None:
        """Close it."""
        self.socket.close()


def _crowd(port: int) -> float:
    """Return p50, in ms, of requests over connections that are all kept busy."""
    clients = {c.socket.fileno(): c for c in map(_Client, [port] * CROWD)}
    with select.epoll() as poll:
        for number, client in clients.items():
            poll.register(number, select.EPOLLIN)
            client.ask()
        found: list[float] = []
        sent: dict[int, float] = {}
        for number, client in clients.items():
            sent[number] = time.perf_counter()
            client.send()
        while sent:
            for number, _ in poll.poll(PATIENCE):
                clients[number].hear()
                now = time.perf_counter()
                found.append((now - sent.pop(number)) * 1e3)
                if len(found) + len(sent) < REQUESTS:
                    sent[number] = now
                    clients[number].send()
    for client in clients.values():
        client.close()
    return median(found)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(PATIENCE)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _bare(workers: int, folder: Path) -> tuple[int, Callable[[], None]]:
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.serve", str(workers), str(port)]
    with (folder / "bare.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return port, partial(_end, process)
    raise CaseError("the bare app does not answer")


def _ours(name: str, workers: int, folder: Path) -> tuple[int, Callable[[], None]]:
    from pybridge.functions.library import get_or_create_project
    from pybridge.functions.store import Store

    store = Store.open(folder / "store")
    project = get_or_create_project("bench", store=store)
    function = project.new_function(
        name=HANDLERS[name],
        kind="python",
        code=CODE,
        handler=HANDLERS[name],
        python_version=f"PYTHON3_{sys.version_info[1]}",
    )
    run = function.new_run("serve", replicas=workers)
    command = [sys.executable, "-m", "pybridge.functions.serve"]
    command += ["--store", str(store.root), "--run", run.key]
    with (folder / "ours.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise CaseError(f"the service ended with {process.returncode}")
        if run.refresh().status.service:
            port = str(run.status.service["url"]).rpartition(":")[2]
            return int(port), partial(_end, process)
        time.sleep(0.05)
    raise CaseError("the service does not answer")


def _p50(client: _Client) -> float:
    return median(client.times())


def _p99(client: _Client) -> float:
    return quantiles(client.times(), n=100)[98]


def _cases(
    name: str, workers: int, folder: Path, ends: list[Callable[[], None]]
) -> list[Case]:
    """Start a service; return its cases of p50 and p99, and of p50 in a crowd."""
    make = _bare if name == BARE else partial(_ours, name)
    port, end = make(workers, folder)
    client = _Client(port)
    ends += [client.close, end]
    assert {"x": 1} == json.loads(client.ask()), name  # equal before it is timed
    client.times()
    told = f"{name}, {workers} worker{'s' if workers > 1 else ''}"
    return [
        Case(told, partial(_p50, client)),
        Case(told, partial(_p99, client)),
        Case(told, partial(_crowd, port)),
    ]


def groups(rows: int) -> Iterable[Group]:  # noqa: ARG001 (each file's has it)
    """Return the groups of this file."""
    folder = Path(tempfile.mkdtemp(prefix="serve-"))
    ends: list[Callable[[], None]] = []
    typical = Group("serve", "a request that is echoed, p50", "ms")
    slowest = Group("serve p99", "a request that is echoed, p99", "ms")
    crowded = Group(
        "serve crowd",
        f"a request that is echoed, {CROWD} connections at once, p50",
        "ms",
    )

    def close() -> None:
        for end in reversed(ends):
            end()
        shutil.rmtree(folder)

    names = {1: (BARE, PLAIN, ASYNC, EVENT), 2: (BARE, PLAIN)}
    for workers, those in names.items():
        for name in those:
            middle, slow, crowd = _cases(name, workers, folder, ends)
            typical.cases.append(middle)
            slowest.cases.append(slow)
            crowded.cases.append(crowd)
    one, two = "1 worker", "2 workers"
    typical.bars = [
        Bar(
            f"serve, echo by {name}, {many}",
            f"{name}, {many}",
            (f"{BARE}, {many}",),
            1.6,
            faster=False,
        )
        for name, many in ((PLAIN, one), (ASYNC, one), (EVENT, one), (PLAIN, two))
    ]
    for group, told in (typical, ""), (crowded, f", {CROWD} connections"):
        group.bars.append(
            Bar(
                f"serve, echo{told}: two workers, one",
                f"{PLAIN}, {two}",
                (f"{PLAIN}, {one}",),
                1.0,
                faster=False,
            )
        )
    yield typical
    yield slowest
    crowded.cases[-1].close = close
    yield crowded


# ---- The bare app -----------------------------------------------------------------


def _serve_bare(workers: int, port: int) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request  # noqa: TC002 (the endpoint names it)
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def echo(request: Request) -> JSONResponse:
        return JSONResponse({"x": (await request.json())["x"]})

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    if workers > 1 and os.fork() == 0:
        # uvicorn ends by the signal that it was told to end with.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    app = Starlette(routes=[Route("/", echo, methods=["POST"])])
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        lifespan="off",
        log_level="warning",
        timeout_keep_alive=75,
        access_log=False,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    _serve_bare(int(sys.argv[1]), int(sys.argv[2]))
