"""Run: waiting, results, its service, and runs whose process is gone."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

import pybridge.functions as dh
from pybridge.errors import BadArgument
from pybridge.functions import engines, states

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = """
import pandas as pd
from digitalhub_runtime_python import handler

@handler(outputs=["data", "string"])
def f(text, fail=False):
    if fail:
        raise ValueError("boom 1")
    return pd.DataFrame({"a": [1, 2]}), text
"""


@pytest.fixture
def function(project: dh.Project) -> dh.Function:
    """A function with an output and a result."""
    return project.new_function(
        name="f", kind="python", code=CODE, handler="f", python_version="PYTHON3_11"
    )


@pytest.fixture
def done(function: dh.Function) -> dh.Run:
    """A run of it that has completed."""
    return function.run(local_execution=True, parameters={"text": "some value"})


def begun(function: dh.Function, action: str = "job", **status: Any) -> dh.Run:
    """Return a run of this process that is RUNNING."""
    run = function.new_run(action)
    run.store.move(run.key, "RUNNING", owner=states.owner("test"), **status)
    return run.refresh()


# ---- Outputs and results -------------------------------------------------------------


def test_output_and_result_have_their_names(done: dh.Run) -> None:
    """S-26, S-62, S-64: `output("data")`, `result("string")`; None if missing."""
    assert {"a": [1, 2]} == done.output("data").as_df().to_dict("list")
    assert "some value" == done.result("string")
    assert done.output("nope") is None
    assert done.result("nope") is None


def test_output_is_entity_key_or_dict(done: dh.Run) -> None:
    """S-62: `as_key` and `as_dict`."""
    item = done.output("data")

    assert isinstance(item, dh.Dataitem)
    assert item.key == done.output("data", as_key=True)
    assert item.to_dict() == done.output("data", as_dict=True)


def test_outputs_and_results_are_dicts(done: dh.Run, function: dh.Function) -> None:
    """S-63, S-64: by name; empty where there are none."""
    item = done.output("data")

    assert {"data": item} == done.outputs()
    assert {"data": item.key} == done.outputs(as_key=True)
    assert {"data": item.to_dict()} == done.outputs(as_dict=True)
    assert {"string": "some value"} == done.results()
    fresh = function.new_run()
    assert ({}, {}, {}) == (fresh.outputs(), fresh.results(), fresh.inputs())


def test_values_are_outputs_and_results(done: dh.Run) -> None:
    """§1.8: `values` is both, merged."""
    assert {"data": done.output("data"), "string": "some value"} == done.values()


def test_status_has_all_of_it(done: dh.Run) -> None:
    """§7.2: state, outputs and results in the status, after refresh."""
    status = done.refresh().status

    assert "COMPLETED" == status.state
    assert {"string": "some value"} == status.results
    assert {"data": done.output("data", as_key=True)} == status.outputs
    assert status.service is None


def test_output_that_was_deleted_is_told(project: dh.Project, done: dh.Run) -> None:
    """The key that is missing is named."""
    project.delete_dataitem("data")

    with pytest.raises(BadArgument, match=r"there is no dataitem .*data:"):
        done.outputs()


def test_metrics_of_a_run_are_logged(done: dh.Run) -> None:
    """§1.8: log_metric, beside all else of the status."""
    done.log_metric("loss", 0.5)
    done.log_metric("loss", 0.25)
    done.log_metric("best", 1, single_value=True)

    status = done.refresh().status
    assert {"loss": [0.5, 0.25], "best": 1} == status.metrics
    assert "COMPLETED" == status.state


# ---- Waiting -------------------------------------------------------------------------


def test_wait_returns_the_run(done: dh.Run) -> None:
    """§3: on a finished run at once, and itself."""
    assert done is done.wait()
    assert "COMPLETED" == done.state


def test_wait_does_not_raise_unless_asked(function: dh.Function) -> None:
    """§3: on ERROR it returns; `raise_on_error` raises what it failed with."""
    run = function.run(local_execution=True, parameters={"text": "", "fail": True})

    assert "ERROR" == run.wait().state
    with pytest.raises(dh.RunFailed, match="ValueError: boom 1") as caught:
        run.wait(raise_on_error=True)

    assert f"run '{run.id}' of 'f' failed in stage 'execute'" in str(caught.value)
    assert "ValueError" == caught.value.failure["type"]
    assert run.status.error == caught.value.failure


def test_wait_ends_when_the_run_does(
    function: dh.Function, caplog: pytest.LogCaptureFixture
) -> None:
    """Another thread ends it; the states are told to the log where that is wanted."""
    run = begun(function)
    run.spec.local_execution = True
    run.save()
    thread = threading.Timer(0.05, run.store.move, args=(run.key, "COMPLETED"))

    with caplog.at_level(logging.INFO, "pybridge.functions"):
        thread.start()
        run.wait(timeout=60)

    thread.join()
    assert "COMPLETED" == run.state
    assert f"run '{run.id}' is RUNNING" in caplog.text
    assert f"run '{run.id}' is COMPLETED" in caplog.text


def test_wait_that_takes_too_long_says_so(function: dh.Function) -> None:
    """The state, and what can be done."""
    run = begun(function)
    run.spec.local_execution = True
    run.save()

    with pytest.raises(TimeoutError, match=r"is RUNNING after 0\.01 s; wait"):
        run.wait(timeout=0.01, log_info=False)


def test_what_has_ended_is_not_stopped_or_resumed(done: dh.Run) -> None:
    """§3: stop leaves it as it is; resume says that it is not STOPPED."""
    assert "COMPLETED" == done.stop().state
    with pytest.raises(BadArgument, match="is COMPLETED; only one that is STOPPED"):
        done.resume()


def test_run_that_no_engine_has_yet_is_stopped(function: dh.Function) -> None:
    """§3: it never runs then, whoever takes it up."""
    run = function.new_run(local_execution=True, parameters={"text": ""})

    assert "STOPPED" == run.stop().state

    engines.of(run).submit(run)
    assert "STOPPED" == run.refresh().state
    assert {} == run.outputs()


def test_run_is_deleted_with_its_directory(project: dh.Project, done: dh.Run) -> None:
    """Its log goes too; one that is there no more is told."""
    directory = done.store.run_directory(done.id)

    assert done.delete()

    assert not directory.exists()
    assert not done.delete()
    assert [] == project.list_runs()


# ---- Runs whose process is gone ------------------------------------------------------


def test_run_of_a_dead_process_is_in_error(
    project: dh.Project, function: dh.Function
) -> None:
    """§9.9: a run is never stuck: who reads it sees that its process is gone."""
    code = (
        "import os, signal\n"
        "import pybridge.functions as dh\n"
        "f = dh.get_project('p').get_function('f')\n"
        "run = f.new_run()\n"
        "from pybridge.functions import states\n"
        "run.store.move(run.key, 'RUNNING', owner=states.owner('inline'))\n"
        "print(run.id, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    identity = killed.stdout.strip()
    assert (-9, 32) == (killed.returncode, len(identity)), killed.stderr

    (run,) = project.list_runs()

    assert (identity, "ERROR") == (run.id, run.state)
    assert "the process that ran it is gone" in run.status.message
    assert ("execute", 1) == (run.status.error["stage"], run.status.error["attempt"])
    assert "ERROR" == project.get_run(identity).wait().state
    with pytest.raises(dh.RunFailed, match="is gone"):
        run.wait(raise_on_error=True)


def test_run_that_was_never_handed_over_is_in_error(function: dh.Function) -> None:
    """§9.9: its maker died between creation and start; a zombie is dead too."""
    run = function.new_run()
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pid = child.pid
    run.change(owner={"engine": "client", "pid": pid, "started": 1})

    assert "ERROR" == run.refresh().state
    assert f"process {pid}, in state READY" in run.status.message


def test_run_of_a_living_process_is_left_alone(function: dh.Function) -> None:
    """§3: a run that goes on stays RUNNING however often it is read."""
    run = begun(function)

    assert ["RUNNING"] * 3 == [run.refresh().state for _ in range(3)]


# ---- Its service ---------------------------------------------------------------------


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        told = {
            "method": self.command,
            "path": self.path,
            "body": self.rfile.read(size).decode(),
            "token": self.headers.get("Authorization"),
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the library's names

    def log_message(self, *words: Any) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a service, `host:port`."""
    server = HTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def served(function: dh.Function, url: str) -> dh.Run:
    """Return a run whose service is there."""
    return begun(function, "serve", service={"url": url})


INVOKED: list[
    tuple[dict[str, Any], str, str, str]
] = [  # given, then what the service gets: method, path, body
    ({}, "GET", "/", ""),
    ({"json": {"x": 1}}, "POST", "/", '{"x": 1}'),
    ({"data": "x=1"}, "POST", "/", "x=1"),
    ({"json": {}}, "POST", "/", "{}"),
    ({"params": {"x": 1}}, "GET", "/?x=1", ""),
    ({"method": "PUT"}, "PUT", "/", ""),
    ({"method": "GET", "json": [1]}, "GET", "/", "[1]"),
    ({"method": "DELETE", "url": "/items/1"}, "DELETE", "/items/1", ""),
    ({"method": "POST", "json": {"a": 1}, "url": "x"}, "POST", "/x", '{"a": 1}'),
]


@pytest.mark.parametrize(
    ("given", "sent"),
    [(row[0], row[1:]) for row in INVOKED],
    ids=[" ".join(row[1:]) for row in INVOKED],
)
def test_invoke_sends_what_is_given(
    function: dh.Function,
    url: str,
    given: dict[str, Any],
    sent: tuple[str, str, str],
) -> None:
    """S-30, S-65: the method is honoured; else POST with a body and GET without."""
    told = served(function, url).invoke(**given).json()

    assert sent == (told["method"], told["path"], told["body"])


def test_invoke_takes_method_and_url_by_position(
    function: dh.Function, url: str
) -> None:
    """S-30: `invoke(method, url, …)`; S-31: a whole url goes where it says."""
    run = served(function, "127.0.0.1:9")

    told = run.invoke("PUT", f"http://{url}/there").json()

    assert ("PUT", "/there") == (told["method"], told["path"])


def test_invoke_asks_no_proxy_for_this_machine(
    function: dh.Function, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment is not for a service on loopback."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert "GET" == served(function, url).invoke().json()["method"]


def test_invoke_brings_the_token_of_the_service(
    project: dh.Project, function: dh.Function, url: str
) -> None:
    """The secret that the service asks for goes to the service, and nowhere else."""
    project.new_secret("KEY", secret_value="hush-hush")
    run = function.new_run("serve", token="KEY")
    run.store.move(
        run.key, "RUNNING", owner=states.owner("test"), service={"url": f"http://{url}"}
    )

    assert "Bearer hush-hush" == run.invoke().json()["token"]
    given = run.invoke(headers={"authorization": "mine"})
    assert "mine" == given.json()["token"]
    elsewhere = served(function, "127.0.0.1:9").invoke(url=f"http://{url}/")
    assert elsewhere.json()["token"] is None


def test_invoke_without_a_service_says_what_to_do(
    function: dh.Function, done: dh.Run
) -> None:
    """S-32, S-29: a job has none; one that is not ready is waited for."""
    with pytest.raises(BadArgument, match=r"is a job, which has no service; .*serve"):
        done.invoke()
    early = begun(function, "serve")
    with pytest.raises(BadArgument, match=r"does not answer yet, it is RUNNING; wait"):
        early.invoke()
    early.store.move(early.key, "ERROR", message="ImportError: no")
    with pytest.raises(BadArgument, match="is ERROR: ImportError: no; run it again"):
        early.invoke()


def test_service_of_a_stopped_run_is_not_asked(function: dh.Function, url: str) -> None:
    """What was served is not there any more; resume brings it back."""
    run = served(function, url)
    run.store.move(run.key, "STOP")
    run.store.move(run.key, "STOPPED")

    with pytest.raises(BadArgument, match=r"is STOPPED; resume\(\) it"):
        run.refresh().invoke()


def test_logs_of_a_run_are_its_lines(done: dh.Run) -> None:
    """§3: what was written to the log comes back, line by line."""
    directory: Path = done.store.run_directory(done.id)
    (directory / "log").write_text("one\ntwo\n")

    assert ["one", "two"] == list(done.logs())
