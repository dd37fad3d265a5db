"""A manager that is killed, a disk that is full: what becomes of the runs."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pybridge.functions import processes, states
from pybridge.functions.library import get_or_create_project
from pybridge.functions.manager import client
from tests.functions.conftest import end
from tests.functions.jobs import (
    PATIENCE,
    VERSION,
    ended,
    job,
    log_of,
    nothing_left,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pybridge.functions.project import Project
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

WAITS = """
import subprocess, time
def f(n=60):
    subprocess.Popen(["sleep", "66"], start_new_session=True)
    print("up", flush=True)
    time.sleep(n)
    return n
"""
TWICE = """
import time
def f():
    try:
        open("once", "x").close()
    except FileExistsError:
        return "second"
    print("up", flush=True)
    time.sleep(60)
"""


pytestmark = pytest.mark.usefixtures("light")


def kill_manager(store: Store) -> int:
    """Kill the manager of a store as the system would, and return its number."""
    pid: int = client.of(store).ask("info")["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: states.started(pid) is None)
    return pid


def running(project: Project, code: str = WAITS, **given: Any) -> Run:
    """Return a job once it is at work."""
    run = job(project, code, **given)
    until(lambda: "up" in log_of(run))
    return run


def test_run_of_a_killed_manager_is_an_error(project: Project) -> None:
    """It is found by whoever looks, with the reason, and nothing of it is left."""
    run = running(project)

    kill_manager(project.store)

    assert nothing_left(run)
    assert "ERROR" == run.refresh().state
    assert "the manager of the store was killed" in run.status.message
    assert "COMPLETED" == ended(project, "def f():\n    return 1\n").state


def test_processes_of_a_killed_manager_end_without_a_new_one(project: Project) -> None:
    """Nobody has to come and look: forkservers end what they have forked."""
    run = running(project)

    kill_manager(project.store)

    assert nothing_left(run)


def test_wait_goes_on_when_the_manager_is_killed(project: Project) -> None:
    """A client that waits gets the result of the next attempt, led by a new manager."""
    run = running(project, TWICE, backoff_limit=1)
    waiting = threading.Thread(target=run.wait, args=(PATIENCE,))
    waiting.start()
    until(lambda: client.of(project.store).ask("info")["runs"])

    first = kill_manager(project.store)
    waiting.join(PATIENCE)

    assert ("COMPLETED", "second") == (run.refresh().state, run.result("output_0"))
    assert "was killed" in run.status.attempts[0]["message"]
    assert first != client.of(project.store).ask("info")["pid"]


def test_managers_that_are_killed_do_not_add_attempts(project: Project) -> None:
    """The number of attempts is that of the run, however many managers lead it."""
    run = running(project, backoff_limit=2)
    kill_manager(project.store)
    until(lambda: log_of(run).count("up") == 2)
    kill_manager(project.store)
    until(lambda: log_of(run).count("up") == 3)
    kill_manager(project.store)

    assert "ERROR" == run.refresh().state
    assert [1, 2, 3] == [one["attempt"] for one in run.status.attempts]


def test_runs_that_waited_are_run_by_the_next_manager(project: Project) -> None:
    """A place in the queue is not an attempt: those that waited have lost nothing."""
    places = client.of(project.store).ask("info")["places"]
    busy = [running(project) for _ in range(places)]
    waiting = job(project, "def f():\n    return 4\n")
    assert "PENDING" == waiting.refresh().state

    kill_manager(project.store)
    waiting.wait(timeout=PATIENCE)

    assert ("COMPLETED", 4) == (waiting.state, waiting.result("output_0"))
    assert ["ERROR"] * places == [run.refresh().state for run in busy]


def test_result_that_was_stored_outlives_the_manager(project: Project) -> None:
    """What was acknowledged is there, whoever is killed afterwards."""
    run = ended(project, "def f():\n    return 11\n")

    kill_manager(project.store)

    assert ("COMPLETED", 11) == (run.refresh().state, run.result("output_0"))


def test_killed_forkserver_costs_an_attempt(project: Project) -> None:
    """The process that forks can be killed too; the runs say so, later ones work."""
    run = running(project, TWICE, backoff_limit=1)
    worker = psutil.Process(min(processes.marked(run.id)))

    os.kill(worker.ppid(), signal.SIGKILL)
    run.wait(timeout=PATIENCE)

    assert ("COMPLETED", "second") == (run.state, run.result("output_0"))
    assert "was ended with the process that had started it" in str(
        run.status.attempts[0]["message"]
    )


def test_run_that_nobody_submitted_is_taken_up(project: Project) -> None:
    """A client that died between making a run and submitting it leaves none behind."""
    function = project.new_function(
        "f",
        kind="python",
        python_version=VERSION,
        code="def f():\n    return 12\n",
        handler="f",
    )
    run = function.run("job", wait=True)
    copy = run.to_dict()
    copy.update(id="lost", name="lost", key=run.key.replace(run.id, "lost"))
    copy["status"] = {
        "state": "READY",
        "owner": {"engine": "local", "pid": 4_000_000, "started": 1},
    }
    project.store.create(copy)

    lost = project.get_run(copy["key"]).wait(timeout=PATIENCE)

    assert lost.is_final


@pytest.mark.parametrize("how", [kill_manager, end])
def test_service_is_started_again_by_the_next_manager(
    project: Project, how: Callable[[Store], object]
) -> None:
    """A service goes on answering after its manager was killed, or told to end."""
    function = project.new_function(
        "f",
        kind="python",
        python_version=VERSION,
        code="def f(x: int):\n    return {'x': x}\n",
        handler="f",
    )
    run = function.run("serve").wait(timeout=PATIENCE)
    assert 1 == run.invoke(json={"x": 1}).json()["x"]

    how(project.store)
    assert nothing_left(run)
    assert "ERROR" != run.refresh().state
    run.wait(timeout=PATIENCE)

    assert 2 == run.invoke(json={"x": 2}).json()["x"]
    run.stop()
    assert "STOPPED" == run.state
    assert nothing_left(run)


# ---- A disk that is full -------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project on a disk of its own that has 24 MB, half of it taken."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = f"size=24m,uid={os.getuid()},mode=700"
    root(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)])
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(disk / "functions"))
    try:
        project = get_or_create_project("p")
        yield project
        end(project.store)
    finally:
        project.store.close()
        root(["umount", "--lazy", str(disk)])


def root(words: list[str]) -> None:
    """Do what only root may."""
    subprocess.run([*(["sudo", "-n"] if os.geteuid() else []), *words], check=True)


FILLS = """
def f():
    with open("big", "wb") as file:
        while True:
            file.write(bytes(1_000_000))
            file.flush()
"""


def test_full_disk_is_an_error_with_its_reason(small: Project) -> None:
    """A job that fills the disk ends in ERROR, and the store takes that every time."""
    for _ in range(2):
        run = ended(small, FILLS)

        assert "ERROR" == run.state
        assert "No space left on device" in run.status.message
        assert 5 == run.status.error["frames"][-1]["line"]
        assert nothing_left(run)
        (small.store.run_directory(run.id) / "work" / "big").unlink()
        assert "COMPLETED" == ended(small, "def f():\n    return 1\n").state


def test_log_that_finds_no_room_does_not_stop_the_run(small: Project) -> None:
    """Output for which there is no room is lost, and a word says so; the run is not."""
    run = ended(
        small,
        """
        import os, sys
        def f():
            print("begin")
            for _ in range(40):
                sys.stdout.write("x" * 1_000_000)
            return 13
        """,
    )

    assert ("COMPLETED", 13) == (run.state, run.result("output_0"))
    assert log_of(run).startswith("begin")
