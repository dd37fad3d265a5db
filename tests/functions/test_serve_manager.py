"""Services under the manager: the way they are run by everybody."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from pybridge.functions import processes
from tests.functions.jobs import PATIENCE, VERSION, nothing_left, until

if TYPE_CHECKING:
    from pybridge.functions.project import Project

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
