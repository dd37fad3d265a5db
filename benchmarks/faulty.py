"""A client whose runs fail in all ways: `python -m benchmarks.faulty FOLDER`.

Each line of input is the name of a fault, each line of output a JSON object with the ms
from the fault to the run's last state, as a client that waits sees it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FULL = "a disk that is full"
PATIENCE = 30
HEAD = "import ctypes, mmap, os, sys, time\n"
BODY = (
    "def f(stamp):\n"
    "    with open(stamp, 'w') as file: file.write(str(time.time()))\n"
    "    {}\n"
)
_EATS = (
    "whole = mmap.mmap(-1, 400_000_000)\n"
    "    for place in range(0, len(whole), 4096): whole[place] = 1"
)
_FILLS = (
    "with open('big', 'wb') as file:\n"
    "        while True: file.write(bytes(1_000_000)); file.flush()"
)


class Fault(NamedTuple):
    """What a function does, and what its run says of it."""

    does: str
    words: str
    given: Mapping[str, Any] = {}
    stage: str = "execute"
    state: str = "ERROR"
    then: Callable[[Client, Any], float | None] | None = None
    later: float = 0  # seconds after the run was submitted that it happens


class Client:
    """A project in a store of its own, and where the functions leave their stamps."""

    def __init__(self, folder: Path) -> None:
        os.environ["PYBRIDGE_FUNCTIONS"] = str(folder / "store")
        import pybridge.functions as dh

        self.folder = folder
        self.project = dh.get_or_create_project("faults")
        self.stamp = folder / "stamp"

    def submit(self, code: str, given: Mapping[str, Any]) -> Any:
        """Run a function of that code."""
        given = dict(given)
        function = self.project.new_function(
            name="f",
            kind="python",
            code=HEAD + code,
            handler="f",
            python_version=f"PYTHON3_{sys.version_info.minor}",
            requirements=given.pop("requirements", None),
        )
        given.setdefault("parameters", {"stamp": str(self.stamp)})
        return function.run("job", **given)

    def make(self, fault: Fault) -> float:
        """Make a fault, and return the seconds until its run has ended."""
        self.stamp.unlink(missing_ok=True)
        began = time.time()
        run = self.submit(BODY.format(fault.does), fault.given)
        happened = fault.then(self, run) if fault.then else None
        run.wait(PATIENCE)
        ended = time.time()
        if fault.later:
            happened = began
        elif happened is None:
            happened = float(self.stamp.read_text()) if self.stamp.exists() else began
        self.check(fault, run)
        return ended - happened - fault.later

    def check(self, fault: Fault, run: Any) -> None:
        """See that the run says what it should, and has left nothing.

        Raises:
            AssertionError: it does not.

        """
        from pybridge.functions import processes

        error = run.status.error or {}
        assert fault.state == run.state, f"{run.state}: {run.status.message}"
        if fault.state == "ERROR":
            assert fault.words in f"{error['type']}: {error['message']}", error
            assert (fault.stage, 1) == (error["stage"], error["attempt"]), error
        until(lambda: not processes.marked(run.id))
        big = run.store.run_directory(run.id) / "work" / "big"
        big.unlink(missing_ok=True)

    def info(self) -> Any:
        """Ask the manager how it is."""
        from pybridge.functions.manager import client

        return client.of(self.project.store).ask("info")

    def close(self) -> None:
        """End the manager."""
        from pybridge.functions.manager import client

        client.of(self.project.store).end()


def until(holds: Callable[[], Any]) -> Any:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)
    return found


def killed(client: Client, run: Any) -> float:
    """Kill the process of a run from outside."""
    from pybridge.functions import processes

    until(client.stamp.exists)
    worker = min(processes.marked(run.id))
    now = time.time()
    os.kill(worker, signal.SIGKILL)
    return now


def manager_killed(client: Client, run: Any) -> float:
    """Kill the manager, and have the next one find that."""
    del run
    until(client.stamp.exists)
    pid = client.info()["pid"]
    now = time.time()
    os.kill(pid, signal.SIGKILL)
    return now


def stopped(client: Client, run: Any) -> float:
    """Stop a run that works."""
    until(client.stamp.exists)
    now = time.time()
    run.stop()
    return now


def stopped_early(client: Client, run: Any) -> float:
    """Stop a run whose environment is being made."""
    del client
    until(lambda: run.refresh().status.message == "its environment is being made")
    now = time.time()
    run.stop()
    return now


DIED = "ProcessDied: the process of the run "
SLEEPS = "time.sleep(60)"
FAULTS = {
    "an exception": Fault("1 / 0", "ZeroDivisionError: division by zero"),
    "sys.exit": Fault("sys.exit(3)", "SystemExit: 3"),
    "Ctrl-C in the process": Fault(
        "os.kill(os.getpid(), 2); time.sleep(60)", "KeyboardInterrupt: "
    ),
    "os._exit": Fault("os._exit(4)", DIED + "ended with exit status 4"),
    "a crash in C": Fault("ctypes.string_at(0)", DIED + "was ended by signal 11"),
    "kill -9": Fault(SLEEPS, DIED + "was ended by signal 9", then=killed),
    "a memory limit": Fault(
        _EATS, "the memory limit of 100Mi was reached", {"resources": {"mem": "100Mi"}}
    ),
    "a timeout": Fault(
        SLEEPS, "TimeoutError: attempt 1 took longer", {"timeout": 0.5}, later=0.5
    ),
    "a bad input": Fault(
        "pass",
        "there is no 'store://",
        {"inputs": {"di": "store://faults/dataitem/table/no:1"}},
        "inputs",
    ),
    "a bad parameter": Fault(
        "pass", "y: is not a parameter", {"parameters": {"y": 1}}, "compose"
    ),
    "stop": Fault(SLEEPS, "", state="STOPPED", then=stopped),
    "stop while the environment is made": Fault(
        "pass",
        "",
        {"requirements": ["never-comes"]},
        state="STOPPED",
        then=stopped_early,
    ),
    FULL: Fault(_FILLS, "No space left on device"),
    "the manager killed": Fault(
        SLEEPS, "the manager of the store was killed", then=manager_killed
    ),
}


def main() -> None:
    """Make faults until there is nothing more to do."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is not an answer
    silence = socket.create_server(("127.0.0.1", 0))  # an index that never answers
    os.environ["UV_DEFAULT_INDEX"] = f"http://127.0.0.1:{silence.getsockname()[1]}"
    os.environ["UV_NO_CACHE"] = "1"
    client = Client(Path(sys.argv[1]))
    try:
        for line in sys.stdin:
            try:
                answer: Any = {"ms": client.make(FAULTS[line.strip()]) * 1e3}
            except Exception as problem:
                answer = {"error": f"{type(problem).__name__}: {problem}"}
            print(json.dumps(answer), file=answers, flush=True)
    finally:
        client.close()


if __name__ == "__main__":
    main()
