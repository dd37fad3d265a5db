"""Services under the manager: the way they are run by everybody."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
import requests

from pybridge.errors import BadArgument, RunFailed
from pybridge.functions import processes
from tests.functions.jobs import PATIENCE, VERSION, nothing_left, until

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.project import Project
    from pybridge.functions.run import Run

CODE = """
import os

def f(x: int, context):
    context.logger.info("asked")
    return {"x": x, "who": os.environ["WHO"], "key": os.environ["KEY"]}
"""


def test_service_is_started_led_and_stopped_by_the_manager(led: Project) -> None:
    """S-28 to S-33: run, wait, invoke, logs, a killed master, stop, resume, stop."""
    led.new_secret(name="KEY", secret_value="s3cret")
    function = led.new_function(
        "f", kind="python", code=CODE, handler="f", python_version=VERSION
    )

    run = function.run(
        "serve",
        replicas=2,
        envs=[{"name": "WHO", "value": "me"}],
        secrets=["KEY"],
    ).wait(timeout=PATIENCE)

    assert "RUNNING" == run.state
    url = run.status.service["url"]
    found = run.invoke(json={"x": "1"}).json()
    assert (1, "me", "s3cret") == (found["x"], found["who"], found["key"])
    until(lambda: any("asked" in line for line in run.logs()))

    master = next(pid for pid in processes.marked(run.id) if os.getsid(pid) == pid)
    os.kill(master, signal.SIGKILL)
    until(lambda: run.refresh().status.attempts)

    until(lambda: run.refresh().status.service)
    assert 2 == run.invoke(json={"x": 2}).json()["x"]
    assert url == run.status.service["url"]

    began = time.monotonic()
    run.stop()

    assert ("STOPPED", None) == (run.state, run.status.service)
    assert time.monotonic() - began < PATIENCE
    assert nothing_left(run)
    run.resume()
    run.wait(timeout=PATIENCE)
    assert 3 == run.invoke(json={"x": 3}).json()["x"]
    run.stop()
    assert nothing_left(run)


RELOADED = """
import os, pathlib

def begin(context, where: str):
    context.user_data.key = os.environ["KEY"]
    print("begins with", os.environ["KEY"])
    if pathlib.Path(where).exists():
        raise ValueError("not now")

def f(context):
    return [os.getpid(), len(context.user_data.key)]
"""


def served(led: Project, where: Path) -> Run:
    """Serve a function that begins with a secret, and fails where a file is."""
    function = led.new_function(
        "g",
        kind="python",
        code=RELOADED,
        handler="f",
        init_function="begin",
        python_version=VERSION,
    )
    run = function.run(
        "serve", replicas=2, secrets=["KEY"], init_parameters={"where": str(where)}
    )
    return run.wait(timeout=PATIENCE)


def test_reload_replaces_all_replicas_and_drops_no_request(
    led: Project, tmp_path: Path
) -> None:
    """§9-19: it is over when none of the old ones answers; new secrets are masked."""
    led.new_secret(name="KEY", secret_value="old-secret")
    run = served(led, tmp_path / "fails")
    url, asking, answers = run.status.service["url"], threading.Event(), []

    def ask() -> None:
        while not asking.is_set():
            answers.append(requests.get(url, timeout=PATIENCE).json())

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    until(lambda: len({pid for pid, _ in answers}) == 2)
    led.new_secret(name="KEY", secret_value="the-newest-secret")

    assert run is run.reload(timeout=PATIENCE)

    answers_after = len(answers)
    until(lambda: len(answers) > answers_after + 50)
    asking.set()
    for client in clients:
        client.join()
    assert {10} == {size for _, size in answers[:3]}
    assert {17} == {size for _, size in answers[-50:]}
    assert not {pid for pid, _ in answers[:3]} & {pid for pid, _ in answers[-50:]}
    assert ("RUNNING", url) == (run.state, run.status.service["url"])
    run.stop()
    assert "secret" not in "\n".join(run.logs())


def test_reload_that_fails_leaves_the_service_as_it_was(
    led: Project, tmp_path: Path
) -> None:
    """The error is that of the new replica; the old ones go on."""
    led.new_secret(name="KEY", secret_value="old-secret")
    run = served(led, tmp_path / "fails")
    before = {run.invoke().json()[0] for _ in range(20)}
    (tmp_path / "fails").touch()

    with pytest.raises(RunFailed, match="goes on as it was: ValueError: not now"):
        run.reload()

    assert "RUNNING" == run.state
    assert before == {run.invoke().json()[0] for _ in range(20)}
    (tmp_path / "fails").unlink()
    assert before.isdisjoint({run.reload().invoke().json()[0]})
    run.stop()


def test_reload_of_what_does_not_serve_is_refused(led: Project) -> None:
    """A job has no replicas, a stopped service none any more."""
    function = led.new_function(
        "h", kind="python", code="def f(): 1", handler="f", python_version=VERSION
    )
    job = function.run("job", wait=True)
    service = function.run("serve").wait(timeout=PATIENCE).stop()

    with pytest.raises(BadArgument, match="is a job, which has no service"):
        job.reload()
    with pytest.raises(BadArgument, match=r"is STOPPED; resume\(\) it"):
        service.reload()
