"""Services for tests: real processes, started without the manager, asked over HTTP."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import requests

from pybridge.functions import engines, states
from pybridge.functions.library import get_or_create_project
from pybridge.functions.store import Store
from tests.programs import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pybridge.functions.run import Run

__all__ = ["Service", "raw"]

PATIENCE = 60.0
NAME = "alone"


class Alone:
    """An engine that starts the process of a service itself."""

    name = NAME

    def __init__(self) -> None:
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, run: Run) -> None:
        """Start the process; its output is the run's log."""
        directory = run.store.run_directory(run.id)
        with (directory / "log").open("ab") as log:
            self.processes[run.id] = subprocess.Popen(
                [
                    sys.executable,
                    *("-m", "pybridge.functions.serve"),
                    *("--store", str(run.store.root), "--run", run.key),
                ],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
                env={**os.environ, "PYBRIDGE_RUN": run.id},
            )

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
        process.terminate()
        process.wait(PATIENCE)

    def resume(self, run: Run) -> None:
        """Start it again."""
        run.store.move(run.key, "RESUME", owner=states.owner(NAME))
        self.submit(run)

    def logs(self, run: Run, *, follow: bool) -> Iterator[str]:
        """Yield the lines that it has written."""
        del follow
        log = run.store.run_directory(run.id) / "log"
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
        process = self.process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @property
    def process(self) -> subprocess.Popen[bytes]:
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
