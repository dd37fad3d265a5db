"""The function runtime, ours or the original, doing what it is told.

Runs in either environment: `python runtime.py ours|original FOLDER`. Each line of input
is a JSON object, each line of output the JSON answer to it; figures are in ms.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TRIVIAL = "def f(x):\n    return x + 1\n"
TABLE = """
import pandas as pd
from digitalhub_runtime_python import handler

@handler(outputs=["data", "rows"])
def f(di):
    frame = di.as_df()
    frame["b"] = frame["b"] * 2
    return frame, len(frame)
"""
NUMBERED = """
def f(project, run):
    return [{number}, run.id]
"""
ROWS = 1000
THREADS, EACH = 4, 50
BUCKET = "bench"


def module(name: str) -> Any:
    """Import what only one of the environments has."""
    return importlib.import_module(name)


def median(times: int, call: Callable[[], Any]) -> float:
    """Return the median of some calls, in ms."""
    figures = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        figures.append(time.perf_counter() - begun)
    return statistics.median(figures) * 1e3


class Runtime:
    """One of the two, with a project and the functions that are measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dh = self.library()
        self.project = self.dh.get_or_create_project("bench", local=True)
        self.trivial = self.function("trivial", TRIVIAL)
        self.table = self.function("table", TABLE)
        self.ended: Any = None

    def library(self) -> Any:
        """Import the library, set up to keep what it keeps in the folder."""
        raise NotImplementedError

    def function(self, name: str, code: str, **given: Any) -> Any:
        """Declare a function."""
        version = f"PYTHON3_{sys.version_info.minor}"
        return self.project.new_function(
            name=name,
            kind="python",
            code=code,
            handler="f",
            python_version=version,
            **given,
        )

    def here(self, function: Any, inputs: Any = None, **parameters: Any) -> Any:
        """Run a function in this process."""
        return function.run(
            action="job",
            local_execution=True,
            inputs=inputs or {},
            parameters=parameters,
        )

    # ---- What can be asked ----

    def check(self) -> dict[str, Any]:
        """Return what the functions give, to be compared."""
        run = self.ended = self.here(self.trivial, x=1)
        ran = self.one_table()
        frame = ran.output("data").as_df()
        return {
            "trivial": run.results(),
            "rows": ran.results()["rows"],
            "columns": list(frame.columns),
            "sums": [int(frame[name].sum()) for name in ("a", "b")],
        }

    def one_trivial(self) -> Any:
        """Run it and read its result."""
        return self.here(self.trivial, x=1).results()["output_0"]

    def one_table(self) -> Any:
        """Read a csv file, give a table."""
        return self.here(self.table, {"di": self.item().key})

    def item(self) -> Any:
        """Return the table that goes in, declared once."""
        if not hasattr(self, "kept"):
            path = self.folder / "rows.csv"
            lines = (f"{i},{i * 7 % 1000}" for i in range(ROWS))
            path.write_text("a,b\n" + "\n".join(lines) + "\n")
            self.kept = self.project.new_dataitem(
                name="rows", kind="table", path=str(path)
            )
        return self.kept

    def run_trivial(self) -> float:
        """Return the time of a trivial run."""
        return median(40, self.one_trivial)

    def run_table(self) -> float:
        """Return the time of a run with a table in and out."""
        return median(5, self.one_table)

    def wait(self) -> float:
        """Return the time of waiting for a run that has ended."""
        begun = time.perf_counter()
        self.ended.wait()
        return (time.perf_counter() - begun) * 1e3

    def race(self) -> dict[str, int]:
        """Run four functions in four threads; count what came out right."""
        functions = [
            self.function(f"race{number}", NUMBERED.format(number=number))
            for number in range(THREADS)
        ]
        ended: list[Any] = []

        def work(number: int) -> None:
            for _ in range(EACH):
                try:
                    run = self.here(functions[number])
                except Exception:  # noqa: S112 (what is counted is what is not here)
                    continue
                ended.append((number, run.id, *values(run)))

        threads = [
            threading.Thread(target=work, args=(number,)) for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done = [one for one in ended if one[2] is not None]
        return {
            "of": THREADS * EACH,
            "completed": len(done),
            "right": sum(one[:2] == one[2:] for one in done),
            "another's code": sum(one[0] != one[2] for one in done),
            "another's run": sum(one[1] != one[3] for one in done),
        }

    def close(self) -> None:
        """End what was started."""


def values(run: Any) -> tuple[Any, Any]:
    """Return the two values of a run's list: one result, or two."""
    found = run.results()
    if len(found) == 1:
        return tuple(found["output_0"])
    return found.get("output_0"), found.get("output_1")


class Ours(Runtime):
    """pybridge.functions, with its store in the folder."""

    def library(self) -> Any:
        """Import it."""
        os.environ["PYBRIDGE_FUNCTIONS"] = str(self.folder / "store")
        return module("pybridge.functions")

    def isolated(self) -> float:
        """Return the time of a trivial run in a process of its own."""

        def once() -> None:
            run = self.trivial.run("job", parameters={"x": 1}, wait=True)
            assert {"output_0": 2} == run.results(), run.status.message

        return median(5, once)

    def build(self) -> float:
        """Return the time of a build that has been made before."""
        if not hasattr(self, "built"):
            self.built = self.function("built", TRIVIAL, requirements=["six"])
            self.built.run("build", wait=True).wait(raise_on_error=True)

        def once() -> None:
            run = self.built.run("build", wait=True)
            assert run.state == "COMPLETED", run.status.message

        return median(3, once)

    def close(self) -> None:
        """End the manager."""
        store = self.project.store
        module("pybridge.functions.manager.client").of(store).end()


class Original(Runtime):
    """digitalhub 0.10, entities in memory, files in an S3 on this machine."""

    server: subprocess.Popen[bytes]

    def library(self) -> Any:
        """Start the S3, say where it is, and import the library."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        self.server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.environ |= {
            "S3_ENDPOINT_URL": url,
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "us-east-1",
            "S3_BUCKET": BUCKET,
        }
        client = module("boto3").client("s3", endpoint_url=url)
        until = time.monotonic() + 60
        while True:
            try:
                client.create_bucket(Bucket=BUCKET)
                break
            except Exception:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        found = module("digitalhub")
        logging.disable(logging.CRITICAL)
        return found

    def close(self) -> None:
        """End the S3."""
        self.server.kill()
        self.server.wait()


def main() -> None:
    """Answer requests until there are none."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is not an answer
    which, folder = sys.argv[1], Path(sys.argv[2])
    os.chdir(folder)
    runtime = {"ours": Ours, "original": Original}[which](folder)
    try:
        for line in sys.stdin:
            try:
                answer: Any = {"answer": getattr(runtime, json.loads(line))()}
            except Exception as problem:
                answer = {"error": f"{type(problem).__name__}: {problem}"}
            print(json.dumps(answer), file=answers, flush=True)
    finally:
        runtime.close()


if __name__ == "__main__":
    main()
