"""The local engine: a job in a process of its own, from submission to result."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.errors import BadArgument
from pybridge.functions import engines
from pybridge.functions.engines.reader import Reader
from tests.functions.calls import declared
from tests.functions.jobs import PATIENCE, ended, job, log_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pybridge.functions.project import Project
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store


def test_job_runs_in_another_process(led: Project) -> None:
    """A job has its own process, session and directory, and not its caller's (S-58)."""
    run = ended(
        led,
        """
        import os
        def f(x: int):
            return os.getpid(), os.getsid(0), os.getcwd(), x + 1
        """,
        parameters={"x": 41},
    )

    pid, session, folder, value = (run.result(f"output_{i}") for i in range(4))
    assert (pid, 42) == (session, value)
    assert os.getpid() != pid
    assert str(run.store.run_directory(run.id) / "work") == folder


def test_states_of_a_job_are_those_of_the_document(led: Project) -> None:
    """CREATED, BUILT, READY, then PENDING until it has a place, RUNNING, COMPLETED."""
    run = ended(led, "def f():\n    return 1\n")

    assert ["CREATED", "BUILT", "READY", "PENDING", "RUNNING", "COMPLETED"] == [
        step["status"] for step in run.status.transitions
    ]
    assert ("local", 1) == (run.status.engine, run.status.attempt)


def test_table_goes_in_and_comes_out(led: Project) -> None:
    """A Dataitem is an input by its key, and a frame that is returned an output."""
    import pandas as pd

    made = led.log_dataitem("t", "table", data=pd.DataFrame({"a": [1, 2, 3]}))

    run = ended(
        led,
        """
        import pandas as pd
        def f(di: pd.DataFrame):
            return di * 2
        """,
        inputs={"di": made.key},
    )

    assert [2, 4, 6] == run.output("output_0").as_df()["a"].tolist()


def test_variables_of_a_run(led: Project) -> None:
    """Envs are set, and what the original sets too (S-53)."""
    run = ended(
        led,
        """
        import os
        def f():
            names = ("MINE", "PROJECT_NAME", "RUN_ID", "PYBRIDGE_RUN")
            return [os.environ[name] for name in names]
        """,
        envs=[{"name": "MINE", "value": "1"}],
    )

    assert ["1", "p", run.id, run.id] == run.result("output_0")


def test_random_numbers_of_two_runs_differ(led: Project) -> None:
    """What the forkserver has loaded is not the same dice for every run."""
    code = """
    import random
    import numpy as np
    def f():
        return random.random(), float(np.random.rand())
    """
    first, second = (ended(led, code) for _ in range(2))

    for name in ("output_0", "output_1"):
        assert first.result(name) != second.result(name)


def test_traceback_is_in_the_log_and_in_the_error(led: Project) -> None:
    """The user's frames are told, with file and line, where the original has none."""
    run = ended(led, "def f():\n    g()\n\ndef g():\n    raise KeyError('x')\n")

    assert "KeyError: 'x'" == run.status.message
    frames = [
        (frame["function"], frame["line"]) for frame in run.status.error["frames"]
    ]
    assert [("f", 2), ("g", 5)] == frames
    assert "line 5, in g" in log_of(run)


def test_what_a_run_registers_for_its_end_is_done(led: Project) -> None:
    """Atexit is the run's own, and its output is in the log."""
    run = ended(
        led,
        """
        import atexit
        def f():
            atexit.register(print, "farewell")
        """,
    )

    until(lambda: "farewell" in log_of(run))


def test_files_of_a_failed_run_stay(led: Project) -> None:
    """Where a run has worked is kept if it failed, and removed if it did not."""
    code = """
    def f(x):
        with open("file", "w") as file:
            file.write("here")
        return 1 / x
    """
    failed, done = (ended(led, code, parameters={"x": x}) for x in (0, 1))

    work = [run.store.run_directory(run.id) / "work" for run in (failed, done)]
    assert "here" == (work[0] / "file").read_text()
    until(lambda: not work[1].exists())


def test_result_is_the_same_in_another_process(led: Project) -> None:
    """What one process has run another one reads."""
    import subprocess

    run = ended(led, "def f():\n    return {'a': [1, 2.5, None]}\n")
    code = (
        "import sys, pybridge.functions as dh\n"
        "run = dh.get_or_create_project('p').get_run(sys.argv[1])\n"
        "print(run.state, run.wait().result('output_0'))\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", code, run.key],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "COMPLETED {'a': [1, 2.5, None]}\n" == told.stdout


def test_pythonpath_of_a_run_is_searched(led: Project, tmp_path: Path) -> None:
    """PYTHONPATH among the envs works, although the process was there before."""
    (tmp_path / "my_own_module.py").write_text("value = 5\n")

    run = ended(
        led,
        "def f():\n    import my_own_module\n    return my_own_module.value\n",
        envs=[{"name": "PYTHONPATH", "value": str(tmp_path)}],
    )

    assert 5 == run.result("output_0")


def test_log_is_read_by_lines_however_it_grows(tmp_path: Path) -> None:
    """Lines and characters that come in pieces are whole when they are read."""
    path = tmp_path / "log"
    reader = Reader(path)

    assert [] == list(reader.lines())
    path.write_bytes(b"one\ntw")
    assert ["one"] == list(reader.lines())
    path.write_bytes(b"one\ntwo \xe2\x82")
    assert [] == list(reader.lines())
    path.write_bytes(b"one\ntwo \xe2\x82\xac\nend")
    assert ["two €"] == list(reader.lines())
    assert ["end"] == list(reader.rest())


def nobody() -> None:
    """Be told that a log has grown."""


def test_log_of_a_service_rolls(tmp_path: Path) -> None:
    """What has no end keeps the newest of its output; a job keeps its beginning."""
    from pybridge.functions.manager.output import Log

    rolling = Log(str(tmp_path / "rolls"), 100, nobody, rolls=True)
    cut = Log(str(tmp_path / "cut"), 100, nobody)
    for n in range(30):
        rolling.write(b"line %03d\n" % n)
        cut.write(b"line %03d\n" % n)
    rolling.close()
    cut.close()

    assert (tmp_path / "rolls").read_bytes().endswith(b"line 029\n")
    assert (tmp_path / "rolls.1").exists()
    assert (tmp_path / "cut").read_bytes().startswith(b"line 000\n")
    assert b"the log is cut after 100 bytes" in (tmp_path / "cut").read_bytes()


def test_log_without_room_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there is room again, the log says how much was lost and why."""
    from pybridge.functions.manager.output import Log

    log = Log(str(tmp_path / "log"), 1000, nobody)
    log.write(b"one\n")
    real = os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    log.write(b"two\n")
    monkeypatch.setattr(os, "write", real)
    log.write(b"three\n")
    log.close()

    text = (tmp_path / "log").read_text()
    assert (
        "one\n\npybridge: 4 bytes are missing here: No space left on device\n" in text
    )
    assert text.endswith("three\n")


# ---- Engines by name -----------------------------------------------------------------


class Recorded:
    """An engine of somebody else's, which keeps what it is asked."""

    name = "recorded"

    def __init__(self) -> None:
        self.seen: list[object] = []

    def submit(self, run: Run) -> None:
        self.seen.append(("submit", run.id))
        run.store.move(run.key, "RUNNING")
        run.store.move(run.key, "COMPLETED")

    def observe(self, run: Run, timeout: float | None) -> bool:
        self.seen.append((run.id, timeout))
        return True

    def stop(self, run: Run) -> None:
        self.seen.append(("stop", run.id))

    def resume(self, run: Run) -> None:
        self.seen.append(("resume", run.id))

    def reload(self, run: Run, timeout: float | None) -> None:
        self.seen.append((f"reload {timeout}", run.id))

    def logs(self, run: Run, *, follow: bool) -> Iterator[str]:
        yield f"{run.id} {follow}"


def test_unknown_engine_is_told_with_those_there_are() -> None:
    """The names are in the message."""
    with pytest.raises(BadArgument, match=r"'ray' is not an engine; there are .*local"):
        engines.get("ray")


def test_engine_can_be_added() -> None:
    """Another engine needs no more than the interface."""
    engines.register("recorded", Recorded)

    engine = engines.get("recorded")

    assert isinstance(engine, Recorded)
    assert engine is engines.get("recorded")
    assert "recorded" in engines.names()


class FarAway(Recorded):
    """An engine whose runs nobody on this machine leads: each look is a step on."""

    name = "faraway"

    def submit(self, run: Run) -> None:
        run.store.move(
            run.key, "RUNNING", owner={"engine": self.name}, engine=self.name
        )

    def observe(self, run: Run, timeout: float | None) -> bool:
        while not run.refresh().is_final:
            assert timeout is None
        return True

    def look(self, store: Store, entity: dict[str, Any]) -> dict[str, Any] | None:
        self.seen.append("look")
        if len(self.seen) > 3:
            store.move(entity["key"], "COMPLETED", results={"it": 7})
        return store.get(entity["key"])

    def forget(self, run: Run) -> None:
        self.seen.append(("forget", run.id))


def test_engine_of_another_machine_changes_nothing_else(project: Project) -> None:
    """It is asked about its runs, which no process here leads, and not given up."""
    engine = FarAway()
    engines.register("faraway", lambda: engine)
    function = declared(project, "def f():\n    return 1\n")

    run = function.run(engine="faraway").wait()

    assert ("COMPLETED", 7) == (run.state, run.result("it"))
    assert run.delete()
    assert ("forget", run.id) == engine.seen[-1]


def test_wait_for_a_job_that_is_over_asks_nobody(
    led: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A final run is read from the store, once (bar: 10 ms, original 5 s)."""
    run = job(led, "def f():\n    return 1\n").wait(timeout=PATIENCE)
    reads: list[str] = []

    def get(key: str) -> dict[str, Any] | None:
        reads.append(key)
        return type(led.store).get(led.store, key)

    monkeypatch.setattr(led.store, "get", get)
    run.wait()

    assert len(reads) <= 1
