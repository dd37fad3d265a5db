"""Services for tests: real processes, started without the manager, asked over HTTP."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import requests

from pybridge.functions import engines, states
from pybridge.functions.library import get_or_create_project
from pybridge.functions.store import Store
from tests.programs import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pybridge.functions.run import Run

__all__ = ["Service", "raw", "replicas", "wait_for"]

PATIENCE = 60.0
NAME = "alone"

# Forks processes that have imported already what a service imports: half a second each.
NURSERY = """
import json, os, signal, sys
from importlib import import_module
from pybridge.functions.serve import main, replicas

for name in replicas.SHARED:
    import_module(name)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    words, directory, environ = json.loads(line)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.environ.update(environ)
        log = os.open(f"{directory}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 99
        try:
            code = main(words)
        finally:
            with open(f"{directory}/exit", "w") as file:
                file.write(str(code))
            os._exit(code)
    print(pid, flush=True)
"""


class Process:
    """The process of a service, forked by another one."""

    def __init__(self, pid: int, directory: Path) -> None:
        self.pid = pid
        self.began = states.started(pid)
        self.exit = directory / "exit"

    def poll(self) -> int | None:
        """Return its exit status once it has ended; -1 where it was killed."""
        if self.began is not None and states.started(self.pid) == self.began:
            return None
        return int(self.exit.read_text()) if self.exit.exists() else -1

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for its end."""
        until = time.monotonic() + timeout
        while (status := self.poll()) is None:
            assert time.monotonic() < until, f"process {self.pid} does not end"
            time.sleep(0.005)
        return status

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


class Alone:
    """An engine that starts the process of a service itself."""

    name = NAME

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.nursery: subprocess.Popen[str] | None = None

    def submit(self, run: Run) -> None:
        """Start the process; its output is the run's log."""
        if self.nursery is None:
            self.nursery = subprocess.Popen(
                [sys.executable, "-c", NURSERY],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            atexit.register(self.close)
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        directory = run.store.run_directory(run.id)
        (directory / "exit").unlink(missing_ok=True)
        words = ["--store", str(run.store.root), "--run", run.key]
        request = [words, str(directory), {"PYBRIDGE_RUN": run.id}]
        self.nursery.stdin.write(json.dumps(request) + "\n")
        self.nursery.stdin.flush()
        pid = int(self.nursery.stdout.readline())
        self.processes[run.id] = Process(pid, directory)

    def close(self) -> None:
        """End what forks."""
        if self.nursery is not None:
            self.nursery.communicate()

    def observe(self, run: Run, timeout: float | None) -> bool:
        """Wait until it answers or has ended."""
        until = time.monotonic() + (timeout or PATIENCE)
        while time.monotonic() < until:
            run.refresh()
            if run.is_final or run.status.service:
                return True
            time.sleep(0.01)
        return False

    def stop(self, run: Run) -> None:
        """End it, and wait until it has ended."""
        process = self.processes[run.id]
        process.send(signal.SIGTERM)
        process.wait()

    def resume(self, run: Run) -> None:
        """Start it again."""
        run.store.move(run.key, "RESUME", owner=states.owner(NAME))
        self.submit(run)

    def reload(self, run: Run, timeout: float | None) -> None:
        """Replace its replicas, some time."""
        del timeout
        self.processes[run.id].send(signal.SIGHUP)

    def logs(self, run: Run, *, follow: bool) -> Iterator[str]:
        """Yield the lines that it has written."""
        del follow
        log = run.store.run_directory(run.id) / "log"
        if log.exists():  # it has begun
            yield from log.read_text(encoding="utf-8").splitlines()


ENGINE = Alone()
engines.register(NAME, lambda: ENGINE)


class Service:
    """A function that is served; ended with the block."""

    def __init__(self, root: Path, code: str, handler: str = "f", **given: Any) -> None:
        store = Store.open(root)
        self.project = get_or_create_project("p", store=store)
        for name, value in given.pop("secret_values", {}).items():
            store.set_secret("p", name, value)
        init = given.pop("init_function", None)
        patience = given.pop("patience", PATIENCE)
        path = root / f"code{len(ENGINE.processes)}.py"
        path.write_text(code, encoding="utf-8")
        self.function = self.project.new_function(
            name="f",
            kind="python",
            code_src=str(path),
            handler=handler,
            init_function=init,
            python_version="PYTHON3_11",
        )
        self.run = self.function.run("serve", engine=NAME, **given)
        with contextlib.suppress(TimeoutError):
            self.run.wait(patience)
        self.session = requests.Session()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *exc: object) -> None:
        self.session.close()
        if self.process.poll() is None:
            self.process.send(signal.SIGTERM)
            try:
                self.process.wait(10)
            except AssertionError:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise

    @property
    def process(self) -> Process:
        """The master."""
        return ENGINE.processes[self.run.id]

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self.run.status.service["url"])

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.url.rpartition(":")[2])

    def ask(self, method: str = "POST", path: str = "/", **given: Any) -> Any:
        """Ask it on a connection that is kept."""
        given.setdefault("timeout", PATIENCE)
        return self.session.request(method, self.url + path, **given)

    def log(self) -> str:
        """What it has written so far; access lines come a moment later."""
        return "\n".join(self.run.logs())

    def logged(self, text: str) -> str:
        """Return the log, once `text` is in it."""
        until = time.monotonic() + PATIENCE
        while text not in (log := self.log()):
            assert time.monotonic() < until, f"{text!r} is not in:\n{log}"
            time.sleep(0.01)
        return log

    def ended(self) -> int:
        """Wait for its end; return its exit status."""
        status = self.process.wait(PATIENCE)
        self.run.refresh()
        return status


def raw(port: int, request: bytes, timeout: float = PATIENCE) -> bytes:
    """Send bytes, and return all that comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(1 << 16):
            answer += data
        return answer


def replicas(service: Service) -> set[int]:
    """Return the replicas that there are, whether they answer or not."""
    return {child.pid for child in psutil.Process(service.process.pid).children()}


def wait_for(condition: Any) -> None:
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
