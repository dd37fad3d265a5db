"""The engine of a cluster, against a server of its API whose pods really run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.errors import BadArgument, RunFailed
from pybridge.functions import container, engines, files, manifests
from pybridge.functions.library import get_or_create_project
from pybridge.functions.store import Store
from tests.functions import kubelet
from tests.functions.jobs import PATIENCE, VERSION, log_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.functions.project import Project
    from pybridge.functions.run import Run

SECRET = "never-to-be-read"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kubelet.Cluster]:
    """A cluster for all of them, and the KUBECONFIG that leads to it."""
    with (
        kubelet.running(tmp_path_factory.mktemp("cluster")) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("KUBECONFIG", str(made.kubeconfig()))
        yield made


@pytest.fixture(scope="module")
def project(
    cluster: kubelet.Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project of a store of their own."""
    store = Store.open(tmp_path_factory.mktemp("store") / "functions")
    made = get_or_create_project("p", store=store)
    made.new_secret("PASSWORD", secret_value=SECRET)
    assert cluster.port
    return made


def given(project: Project, code: str, action: str = "job", **more: Any) -> Run:
    """Run a function in the cluster."""
    own: dict[str, Any] = {
        k: more.pop(k) for k in ("code_src", "handler", "image") if k in more
    }
    if "code_src" not in own:
        own["code"] = textwrap.dedent(code)
    function = project.new_function(
        "f", kind="python", python_version=VERSION, **{"handler": "f", **own}
    )
    return function.run(action, engine="kubernetes", **more)


def ended(project: Project, code: str, **more: Any) -> Run:
    """Run one to its end."""
    return given(project, code, **more).wait(timeout=PATIENCE)


def names(cluster: kubelet.Cluster, run: Run) -> set[str]:
    """Return what is in the cluster of a run."""
    with cluster.lock:
        return {f"{kind}/{name}" for kind, name in cluster.objects if run.id in name}


# ---- Jobs ----------------------------------------------------------------------------


def test_job_runs_in_the_cluster(project: Project, cluster: kubelet.Cluster) -> None:
    """A job's results, outputs and metrics come back, and what it made can be read."""
    code = """
        import os, pandas as pd
        from digitalhub_runtime_python import handler
        @handler(outputs=["table", "text", "number"])
        def f(project, run, di: pd.DataFrame, x: int):
            run.log_metric("loss", 0.5)
            print("in the pod", os.environ["LEVEL"], os.environ["PASSWORD"])
            return di.assign(b=x), os.environ["PROJECT_NAME"], x
        """
    import pandas as pd

    item = project.log_dataitem("t", kind="table", data=pd.DataFrame({"a": [1, 2]}))
    run = ended(
        project,
        code,
        inputs={"di": item.key},
        parameters={"x": "3"},
        envs={"LEVEL": "debug"},
        secrets=["PASSWORD"],
    )

    assert "COMPLETED" == run.state, run.status
    assert {"text": "p", "number": 3} == run.results()
    assert [3, 3] == list(run.output("table").as_df()["b"])
    assert {"loss": [0.5]} == run.status.metrics
    kinds = {one["type"] for one in run.metadata.relationships}
    assert {"run_of", "consumes"} <= kinds
    assert "in the pod debug " in log_of(run)
    assert SECRET not in log_of(run)
    assert f"Job/{run.status.k8s['name']}" in names(cluster, run)


def test_source_of_several_files_goes_along(project: Project, tmp_path: Path) -> None:
    """A directory of this machine is in the pod as it was at creation."""
    (tmp_path / "m.py").write_text("from helper import y\ndef f(): return y\n")
    (tmp_path / "helper.py").write_text("y = 'of the helper'\n")

    run = ended(project, "", code_src=str(tmp_path), handler="m:f")

    assert "of the helper" == run.result("output_0"), run.status


def test_failure_is_the_functions_own(project: Project) -> None:
    """S-4: what the function raised comes back, with its frames and its log."""
    run = ended(project, "def f():\n    print('begun')\n    return 1 / 0\n")

    assert "ERROR" == run.state
    assert "ZeroDivisionError: division by zero" == run.status.message
    assert "return 1 / 0" in run.status.error["traceback"]
    assert "begun" in log_of(run)
    with pytest.raises(RunFailed, match="ZeroDivisionError"):
        run.wait(raise_on_error=True)


def test_job_is_tried_again(project: Project, tmp_path: Path) -> None:
    """S-54: the cluster tries as often as backoff_limit says; each attempt is told."""
    code = f"""
        import pathlib
        def f():
            path = pathlib.Path({str(tmp_path / "count")!r})
            count = int(path.read_text() or 0) if path.exists() else 0
            path.write_text(str(count + 1))
            if count < 1:
                raise OSError("not yet")
            return count
        """
    run = ended(project, code, backoff_limit=2)

    assert "COMPLETED" == run.state, run.status
    assert 1 == run.result("output_0")
    assert [(1, "OSError")] == [
        (one["attempt"], one["type"]) for one in run.status.attempts
    ]


def test_process_that_dies_is_an_error(project: Project) -> None:
    """A killed process ends the run in ERROR, with the signal."""
    code = "import os, signal\ndef f(): os.kill(os.getpid(), signal.SIGKILL)\n"

    run = ended(project, code)

    assert "ERROR" == run.state
    assert "SIGKILL" in run.status.message


def test_job_that_takes_too_long_is_ended(project: Project) -> None:
    """A timeout is kept by the cluster: the pod is gone, the run is in ERROR."""
    run = ended(project, "import time\ndef f(): time.sleep(60)\n", timeout=1)

    assert "ERROR" == run.state, run.status
    assert run.status.error["type"] in {"TimeoutError", "ProcessDied"}


def test_stopped_job_is_deleted(project: Project, cluster: kubelet.Cluster) -> None:
    """A job that is stopped leaves nothing in the cluster but what all runs share."""
    run = given(project, "import time\ndef f(): time.sleep(60)\n", secrets=["PASSWORD"])
    until(lambda: run.refresh().state == "RUNNING")

    run.stop()

    assert "STOPPED" == run.state
    assert set() == names(cluster, run)
    assert [] == [pod for pod in cluster.pods.values() if run.id in pod.name]


def test_job_that_was_stopped_can_be_run_again(project: Project) -> None:
    """Resumed, a job begins anew."""
    code = "import time\ndef f(x): time.sleep(x); return 1\n"
    run = given(project, code, parameters={"x": 0.5})
    until(lambda: run.refresh().state == "RUNNING")
    run.stop()

    run.resume().wait(timeout=PATIENCE)

    assert "COMPLETED" == run.state, run.status


def test_job_that_somebody_deletes_is_an_error(
    project: Project, cluster: kubelet.Cluster
) -> None:
    """Nothing is ever stuck: what is gone from the cluster is in ERROR here."""
    run = given(project, "import time\ndef f(): time.sleep(60)\n")
    until(lambda: run.refresh().state == "RUNNING")
    with cluster.lock:
        cluster._delete("Job", run.status.k8s["name"])  # noqa: SLF001

    run.wait(timeout=PATIENCE)

    assert "ERROR" == run.state
    assert "is not in the cluster any more" in run.status.message


def test_deleted_run_is_gone_from_the_cluster(
    project: Project, cluster: kubelet.Cluster
) -> None:
    """A run that has ended cannot be resumed; deleted, it takes its objects along."""
    run = ended(project, "def f(): return 1\n")
    assert names(cluster, run)
    with pytest.raises(BadArgument, match="only one that is STOPPED"):
        run.resume()
    with pytest.raises(BadArgument, match="only a STOPPED one"):
        engines.get("kubernetes").resume(run)

    run.delete()

    assert set() == names(cluster, run)


def test_image_that_cannot_be_is_an_error(
    project: Project, cluster: kubelet.Cluster
) -> None:
    """A pod that no time will help ends the run, with the cluster's words."""
    cluster.reasons["bad:1"] = "InvalidImageName"

    run = ended(project, "def f(): 1", image="bad:1")

    assert "ERROR" == run.state
    assert "InvalidImageName: image bad:1" in run.status.message
    assert "environment" == run.status.error["stage"]


def test_image_that_is_not_there_yet_is_told(
    project: Project, cluster: kubelet.Cluster
) -> None:
    """A pod that waits says why; the run waits with it, and wait() has its timeout."""
    cluster.reasons["away:1"] = "ImagePullBackOff"
    run = given(project, "def f(): 1", image="away:1")

    with pytest.raises(TimeoutError):
        run.wait(timeout=0.5)

    assert "PENDING" == run.state
    assert "ImagePullBackOff: image away:1" == run.status.message
    run.stop()


def test_busy_cluster_changes_nothing(
    project: Project, cluster: kubelet.Cluster
) -> None:
    """A cluster that does not answer says nothing about its runs."""
    run = given(project, "import time\ndef f(): time.sleep(0.5); return 7\n")
    before = run.state
    cluster.failing = 2

    assert before == run.refresh().state
    cluster.failing = 0
    assert 7 == run.wait(timeout=PATIENCE).result("output_0")


def test_schedule_is_kept_by_the_cluster(
    project: Project, cluster: kubelet.Cluster
) -> None:
    """A run with a schedule is a cron job; wait() returns when it is there."""
    run = given(project, "def f(): 1\n", schedule="@daily").wait(timeout=PATIENCE)

    assert ("RUNNING", "scheduled '@daily'") == (run.state, run.status.message)
    assert "CronJob" == run.status.k8s["kind"]
    run.stop()
    assert set() == names(cluster, run)


def test_logs_are_followed(project: Project) -> None:
    """S-4: logs(follow=True) ends with the run, and has all of it once."""
    code = "import time\ndef f(): print('one'); time.sleep(.3); print('two')\n"
    run = given(project, code)

    lines = list(run.logs(follow=True))

    assert ["one", "two"] == [line for line in lines if line in {"one", "two"}]
    assert not [line for line in lines if "pybridge.status" in line]


# ---- Services ------------------------------------------------------------------------


def test_service_answers_and_is_stopped_and_resumed(
    project: Project, cluster: kubelet.Cluster
) -> None:
    """S-28…S-33: RUNNING with `service` when it answers; stop scales to 0, and back."""
    code = "def f(x: int): return {'twice': 2 * x}\n"
    run = given(project, code, "serve", secrets=["PASSWORD"], token="PASSWORD")
    run.wait(timeout=PATIENCE)

    assert "RUNNING" == run.state, run.status
    assert {"twice": 8} == run.invoke(json={"x": 4}).json()
    service = run.status.service
    assert ("NodePort", "default") == (service["type"], service["namespace"])
    assert service["name"] == f"s-python-serve-{run.id}"

    run.stop()
    assert ("STOPPED", None) == (run.state, run.status.service)
    assert 0 == cluster.of("Deployment")[0]["spec"]["replicas"]

    run.resume().wait(timeout=PATIENCE)
    assert {"twice": 10} == run.invoke(json={"x": 5}).json()
    run.delete()
    assert set() == names(cluster, run)


def test_reload_replaces_the_pods_of_a_service(
    project: Project, cluster: kubelet.Cluster, tmp_path: Path
) -> None:
    """A rollout, as kubectl does it; where new pods cannot begin the old ones go on."""
    code = (
        "import os, pathlib\n"
        f"if pathlib.Path({str(tmp_path / 'fails')!r}).exists():\n"
        "    raise ValueError('no')\n"
        "def f(): return os.getpid()\n"
    )
    run = given(project, code, "serve").wait(timeout=PATIENCE)
    first = run.invoke().json()

    run.reload(timeout=PATIENCE)
    second = run.refresh().invoke().json()
    (tmp_path / "fails").touch()
    with pytest.raises(RunFailed, match="goes on as it was: ValueError: no"):
        run.reload(timeout=PATIENCE)

    assert first != second == run.invoke().json()
    assert "RUNNING" == run.refresh().state
    until(lambda: 1 == len([p for p in cluster.pods if run.id in p]))
    assert second == run.invoke().json()
    run.delete()


def test_service_that_keeps_ending_is_an_error(
    project: Project, cluster: kubelet.Cluster
) -> None:
    """A service whose pods restart again and again is in ERROR, with the reason."""
    run = given(project, "raise ValueError('no model')\ndef f(): 1\n", "serve")

    run.wait(timeout=PATIENCE)

    assert "ERROR" == run.state
    assert "no model" in run.status.message
    until(lambda: not [p for p in cluster.pods.values() if run.id in p.name])


# ---- Without a cluster ---------------------------------------------------------------


def test_no_cluster_is_told(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none is configured the error says how to go on without one."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    run = given(project, "def f(): 1\n")

    assert "ERROR" == run.state
    assert "no cluster is configured" in run.status.message
    assert "'pybridge function manifest' writes files" in run.status.error["message"]


def test_refusal_of_the_cluster_is_told(
    project: Project, cluster: kubelet.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the cluster refuses is the run's error, and nothing is left of it."""
    path = cluster.folder / "other"
    path.write_text(cluster.kubeconfig().read_text().replace(kubelet.TOKEN, "wrong"))
    monkeypatch.setenv("KUBECONFIG", str(path))

    run = given(project, "def f(): 1\n")

    assert "ERROR" == run.state
    assert "refuses (401): Unauthorized" in run.status.message
    assert set() == names(cluster, run)


def test_cluster_that_is_away_is_told(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that nobody answers for is named."""
    away = tmp_path / "kubeconfig"
    made = kubelet.Cluster(tmp_path).kubeconfig()
    assert away == made
    monkeypatch.setenv("KUBECONFIG", str(away))

    began = time.monotonic()
    run = given(project, "def f(): 1\n")

    assert "ERROR" == run.state
    assert "does not answer" in run.status.message
    assert time.monotonic() - began < PATIENCE


# ---- The container -------------------------------------------------------------------


def bundle(project: Project, folder: Path, code: str) -> Path:
    """Write what a pod is given, and return the file with the run."""
    function = project.new_function(
        "c", kind="python", python_version=VERSION, handler="f", code=code
    )
    found = manifests.of_function(function).objects
    data = next(one["data"] for one in found if "run.json" in one.get("data", {}))
    (folder / "run.json").write_text(data["run.json"])
    return folder / "run.json"


def contained(spec: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Be the pod: run what a file says in a store beside it, to its end."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pybridge.functions.container"),
            *("--spec", str(spec), "--store", str(spec.parent / "s"), *words),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_last_words_are_where_kubernetes_looks(
    project: Project, tmp_path: Path
) -> None:
    """Who may not read logs finds state and error in the status of the pod."""
    spec = bundle(project, tmp_path, "def f(): raise KeyError('a')\n")
    words = tmp_path / "words"
    words.touch()

    done = contained(spec, "--last-words", str(words))

    told = json.loads(words.read_text())
    assert 1 == done.returncode
    assert ("ERROR", "KeyError", "execute", 1) == (
        *(told["state"], told["type"], told["stage"], told["attempt"]),
    )
    assert "KeyError" in done.stdout.splitlines()[-1]


def test_pod_ends_with_its_function(project: Project, tmp_path: Path) -> None:
    """What the function has left running does not keep its pod, which would cost."""
    code = """
    import subprocess
    def f():
        print("begun")
        return subprocess.Popen(["sleep", "600"]).pid
    """
    spec = bundle(project, tmp_path, textwrap.dedent(code))

    done = contained(spec)

    *before, last = done.stdout.splitlines()
    told = json.loads(last.removeprefix(container.LINE))
    os.kill(told["status"]["results"]["output_0"], signal.SIGKILL)
    assert (0, "COMPLETED") == (done.returncode, told["status"]["state"])
    assert "begun" in before


def test_pod_says_why_it_could_not_begin(project: Project, tmp_path: Path) -> None:
    """Where the run's process fails before the function, the log has the reason."""
    spec = bundle(project, tmp_path, "def f(): return 1\n")
    run = json.loads(spec.read_text())["run"]
    directory = Store.open(tmp_path / "s").run_directory(run["id"])
    (directory / "work").write_text("no directory")

    done = contained(spec)

    assert 1 == done.returncode
    assert "FileExistsError" in done.stdout


def test_large_outputs_stay_where_they_are(project: Project) -> None:
    """What is too large to be told with the end keeps its path; the rest is moved."""
    path = project.store.root.parent / "large"
    path.write_bytes(bytes(100))
    item = project.log_artifact("large", kind="artifact", source=str(path))
    contents: dict[str, str] = {}

    kept = container.portable(item.to_dict(), project.store, contents, room=99)
    moved = container.portable(item.to_dict(), project.store, contents, room=100)

    assert item.path == kept["spec"]["path"]
    assert moved["spec"]["path"].startswith("store:files/p/artifact/large/")
    assert 1 == len(contents)


LARGE = """
import pathlib
def f():
    pathlib.Path("large.bin").write_bytes(b"x" * 700_000)
    return pathlib.Path("large.bin"), "small"
"""


@pytest.mark.parametrize("outputs", ["s3://bucket/runs", None, "s3://not-there/runs"])
def test_large_output_is_put_where_the_settings_say(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3: str,
    outputs: str | None,
) -> None:
    """It is read from there; where it cannot be put, the run says that it is lost."""
    names_ = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")
    for name, value in zip(names_, ("a", "b", s3), strict=True):
        monkeypatch.setenv(name, value)
    system, _ = files.filesystem("s3://bucket/runs")
    if not system.exists("bucket"):
        system.mkdir("bucket")
    settings = tmp_path / "pybridge.toml"
    line = f'outputs = "{outputs}"\n' if outputs else ""
    settings.write_text(f"[functions.kubernetes]\n{line}")
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))

    last = contained(bundle(project, tmp_path, LARGE)).stdout.splitlines()[-1]

    told = json.loads(last.removeprefix(container.LINE))
    container.unpack(told["entities"], told["files"], project.store)
    key, status = told["entities"][0]["key"], told["status"]
    assert ("COMPLETED", {"output_1": "small"}) == (status["state"], status["results"])
    if outputs == "s3://bucket/runs":
        found = project.get_artifact(key)
        assert found.path.startswith(f"{outputs}/p/artifact/")
        assert 700_000 == len(Path(*found.as_file()).read_bytes())
        assert not status.get("message")
    else:
        assert "output 'output_0' of 0.7 MiB stays in its pod" in status["message"]
        cure = "not-there" if outputs else "name a place for such in [functions.kub"
        assert cure in status["message"]


def test_files_of_a_pod_stay_in_their_place(tmp_path: Path) -> None:
    """What a pod tells cannot be written outside of the store's files."""
    store = Store.open(tmp_path / "functions")
    names_ = ["../a", "/b", "files/../../c", "store.db", "files/d"]

    container.unpack([], dict.fromkeys(names_, "eA=="), store)

    assert [tmp_path / "functions/files/d"] == [
        one for one in tmp_path.rglob("*") if one.is_file() and one.suffix == ""
    ]
