"""A cluster on this machine: an API server that is strict, and pods that really run.

The server speaks what the engine asks of Kubernetes, takes only objects that the newest
schema finds valid, and refuses what refers to something that is not there. A pod is
made of its template: volumes become directories, commands processes.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import requests
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.functions.schemas import VERSIONS, check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

TOKEN = "of-this-cluster"
_KINDS = {
    "configmaps": "ConfigMap",
    "secrets": "Secret",
    "services": "Service",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "jobs": "Job",
    "cronjobs": "CronJob",
    "deployments": "Deployment",
}
_PREFIXES = (
    "/api/v1",
    "/apis/batch/v1",
    "/apis/apps/v1",
)
_PAUSE = 0.02


class Refused(Exception):  # noqa: N818 - it is what it says
    """What the server answers instead."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Cluster:
    """The objects, their pods, and the server that tells of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.pods: dict[str, Pod] = {}
        self.lock = threading.RLock()
        self.numbers = count(1)
        self.failing = 0  # requests that are answered with 503
        self.reasons: dict[str, str] = {}  # image -> why it cannot be had
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        config = uvicorn.Config(self._app(), port=self.port, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Cluster:
        self._thread.start()
        while not self._server.started:
            time.sleep(_PAUSE)
        return self

    def __exit__(self, *_: object) -> None:
        for pod in list(self.pods.values()):
            pod.end()
        self._server.should_exit = True
        self._thread.join()

    def kubeconfig(self) -> Path:
        """Return a kubeconfig that leads here."""
        path = self.folder / "kubeconfig"
        server = {"server": f"http://127.0.0.1:{self.port}"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": server}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        with self.lock:
            return [one for (k, _), one in self.objects.items() if k == kind]

    # ---- The server ------------------------------------------------------------------

    def _app(self) -> Starlette:
        routes = []
        for prefix in _PREFIXES:
            base = prefix + "/namespaces/{namespace}"
            routes += [
                Route(base + "/pods", self._answer(self._list_pods)),
                Route(base + "/pods/{name}/log", self._log),
                Route(base + "/{kind}", self._answer(self._create), methods=["POST"]),
                Route(
                    base + "/{kind}/{name}",
                    self._answer(self._one),
                    methods=["GET", "PATCH", "DELETE"],
                ),
                Route(
                    base + "/{kind}/{name}/scale",
                    self._answer(self._scale),
                    methods=["PATCH"],
                ),
            ]
        return Starlette(routes=routes)

    def _answer(self, method: Any) -> Any:
        async def answer(request: Request) -> Response:
            body = await request.json() if await request.body() else {}
            try:
                self._check(request)
                with self.lock:
                    found = method(request, body)
                return JSONResponse(found)
            except Refused as exc:
                status = {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "status": "Failure",
                    "message": exc.message,
                    "code": exc.status,
                }
                return JSONResponse(status, exc.status)

        return answer

    def _check(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Unauthorized")
        if request.path_params["namespace"] != "default":
            raise Refused(403, "forbidden: another namespace")
        if self.failing:
            self.failing -= 1
            raise Refused(503, "the server is busy")

    def _create(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        kind = _KINDS[request.path_params["kind"]]
        name = body["metadata"]["name"]
        self._validate(body)
        if (kind, name) in self.objects:
            raise Refused(409, f'{kind} "{name}" already exists')
        made = copy.deepcopy(body)
        number = next(self.numbers)
        made["metadata"].update(
            uid=f"uid-{number}",
            resourceVersion=str(number),
            generation=1,
            creationTimestamp="2026-01-01T00:00:00Z",
        )
        made["status"] = {}
        self.objects[kind, name] = made
        if kind == "Service":
            made["spec"]["clusterIP"] = f"10.0.0.{number}"
        if kind in {"Job", "Deployment"}:
            work = self._lead_job if kind == "Job" else self._lead_deployment
            threading.Thread(target=work, args=[made], daemon=True).start()
        return made

    def _validate(self, body: dict[str, Any]) -> None:
        try:
            check(body, VERSIONS[-1:])
        except kubernetes_validate.ValidationError as exc:
            raise Refused(422, f"{list(exc.path)}: {exc.message}") from None

    def _one(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        kind, name = _KINDS[request.path_params["kind"]], request.path_params["name"]
        found = self.objects.get((kind, name))
        if found is None:
            raise Refused(404, f'{kind} "{name}" not found')
        if request.method == "PATCH":
            _merge(found, body)
            found["metadata"]["generation"] += "spec" in body
            self._validate({k: v for k, v in found.items() if k != "status"})
        if request.method == "DELETE":
            self._delete(kind, name)
        return found

    def _delete(self, kind: str, name: str) -> None:
        gone = self.objects.pop((kind, name))
        uid = gone["metadata"]["uid"]
        for (k, n), one in list(self.objects.items()):
            owners = one["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == uid for owner in owners):
                self._delete(k, n)
        for pod in [pod for pod in self.pods.values() if pod.owner == uid]:
            pod.end()
            del self.pods[pod.name]

    def _scale(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        name = request.path_params["name"]
        found = self.objects.get(("Deployment", name))
        if found is None:
            raise Refused(404, f'deployments.apps "{name}" not found')
        found["spec"]["replicas"] = body["spec"]["replicas"]
        found["metadata"]["generation"] += 1
        return {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": name},
            "spec": body["spec"],
            "status": {"replicas": 0},
        }

    def _list_pods(self, request: Request, _: Any) -> dict[str, Any]:
        words = request.query_params["labelSelector"].split(",")
        wanted = dict(word.split("=") for word in words)
        return {
            "apiVersion": "v1",
            "kind": "PodList",
            "metadata": {},
            "items": [
                pod.told()
                for pod in self.pods.values()
                if wanted.items() <= pod.template["metadata"]["labels"].items()
            ],
        }

    async def _log(self, request: Request) -> Response:
        name = request.path_params["name"]
        pod, query = self.pods.get(name), request.query_params
        end = "previous" if query.get("previous") == "true" else "log"
        path = None if pod is None else pod.folder / f"{query['container']}.{end}"
        if pod is None or path is None or not path.exists():
            return JSONResponse({"message": f"pods {name} has no log"}, 404)
        if query.get("follow") == "true":
            await run_in_threadpool(pod.ended.wait)
        return Response(path.read_bytes(), media_type="text/plain")

    # ---- What leads pods -------------------------------------------------------------

    def _lead_job(self, job: dict[str, Any]) -> None:
        """Make pods until one succeeds, or too many have failed, or time is over."""
        uid, spec, status = job["metadata"]["uid"], job["spec"], job["status"]
        end = time.monotonic() + spec["activeDeadlineSeconds"]
        for failed in range(spec["backoffLimit"] + 1):
            with self.lock:
                if not self._lives(job):
                    return
                pod = self._pod(uid, job["metadata"]["name"], spec["template"])
            status["active"] = 1
            pod.start()
            while not pod.ended.wait(_PAUSE):
                if time.monotonic() > end:
                    pod.end()
                    _condition(status, "Failed", "DeadlineExceeded", "too long")
                    return
            status["active"] = 0
            if pod.phase == "Succeeded":
                status["succeeded"] = 1
                _condition(status, "Complete", "Completed", "")
                return
            status["failed"] = failed + 1
        _condition(status, "Failed", "BackoffLimitExceeded", "too many failures")

    def _lead_deployment(self, deployment: dict[str, Any]) -> None:
        """Keep so many pods as are wanted."""
        metadata, status = deployment["metadata"], deployment["status"]
        while self._lives(deployment):
            with self.lock:
                generation = metadata["generation"]
                own = [p for p in self.pods.values() if p.owner == metadata["uid"]]
                wanted = deployment["spec"]["replicas"]
                # Those of a former template go when all others are ready.
                template = copy.deepcopy(deployment["spec"]["template"])
                newest = [pod for pod in own if pod.template == template]
                former = [pod for pod in own if pod.template != template]
                up = [pod for pod in newest if pod.is_ready()]
                extra = newest[wanted:] + (former if len(up) >= wanted else [])
                for pod in extra:
                    del self.pods[pod.name]
                new = [
                    self._pod(metadata["uid"], metadata["name"], template)
                    for _ in range(wanted - len(newest))
                ]
            for pod in extra:
                pod.end()
            for pod in new:
                pod.start()
            for pod in own:
                if pod.ended.is_set() and pod.name in self.pods and pod.restarts < 3:
                    pod.restarts += 1
                    pod.start()
            ready = [pod for pod in own if pod.name in self.pods and pod.is_ready()]
            status["readyReplicas"] = len(ready)
            status["replicas"] = len(own) - len(extra) + len(new)
            status["updatedReplicas"] = len(newest[:wanted]) + len(new)
            status["observedGeneration"] = generation
            for service in self.of("Service") if ready else ():
                service["spec"]["ports"][0]["nodePort"] = ready[0].port
            time.sleep(_PAUSE)

    def _lives(self, one: dict[str, Any]) -> bool:
        return self.objects.get((one["kind"], one["metadata"]["name"])) is one

    def _pod(self, owner: str, name: str, template: dict[str, Any]) -> Pod:
        pod = Pod(self, owner, f"{name}-{next(self.numbers):05d}", template)
        self.pods[pod.name] = pod
        return pod


def _condition(status: dict[str, Any], kind: str, reason: str, words: str) -> None:
    status.setdefault("conditions", []).append(
        {"type": kind, "status": "True", "reason": reason, "message": words}
    )


def _merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        elif value is None:
            into.pop(name, None)
        else:
            into[name] = value


class Pod:
    """Containers as processes, one after the other, in a directory of the pod."""

    def __init__(
        self, cluster: Cluster, owner: str, name: str, template: dict[str, Any]
    ) -> None:
        self.cluster, self.owner, self.name = cluster, owner, name
        self.template = template
        self.folder = cluster.folder / name
        self.folder.mkdir()
        self.phase = "Pending"
        self.restarts = 0
        self.port = 0
        self.ended = threading.Event()
        self.states: dict[str, dict[str, Any]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    def start(self) -> None:
        """Run the containers, in a thread."""
        self.ended.clear()
        threading.Thread(target=self._run, daemon=True).start()

    def end(self) -> None:
        """End what runs."""
        self._over = True
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        self.ended.wait(10)

    def told(self) -> dict[str, Any]:
        """Return the pod as an object."""
        spec = self.template["spec"]
        first = [one["name"] for one in spec.get("initContainers", ())]

        def statuses(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
            waiting = {"waiting": {"reason": "PodInitializing"}}
            return [
                {
                    "name": one["name"],
                    "image": one["image"],
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0 if one["name"] in first else self.restarts,
                    "state": self.states.get(one["name"], waiting),
                }
                for one in containers
            ]

        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, **self.template["metadata"]},
            "spec": spec,
            "status": {
                "phase": self.phase,
                "initContainerStatuses": statuses(spec.get("initContainers", [])),
                "containerStatuses": statuses(spec["containers"]),
            },
        }

    def is_ready(self) -> bool:
        """Ask as the readiness probe does."""
        probe = self.template["spec"]["containers"][0].get("readinessProbe")
        if not probe or not self.port:
            return False
        url = f"http://127.0.0.1:{self.port}{probe['httpGet']['path']}"
        with contextlib.suppress(requests.RequestException):
            return requests.get(url, timeout=1).status_code == 200
        return False

    def _run(self) -> None:
        spec = self.template["spec"]
        place = self.folder / "root"
        try:
            self._mount(place)
            for one in (*spec.get("initContainers", ()), *spec["containers"]):
                reason = self.cluster.reasons.get(one["image"])
                if reason:
                    told = {"reason": reason, "message": f"image {one['image']}"}
                    self.states[one["name"]] = {"waiting": told}
                    while not self._over:
                        time.sleep(_PAUSE)
                    return
                if self._over or self._execute(one, place):
                    self.phase = "Failed"
                    return
            self.phase = "Succeeded"
        finally:
            self.ended.set()

    def _mount(self, place: Path) -> None:
        """Make the volumes that are ours; the kubelet waits for what they refer to."""
        config = place / "pybridge/config"
        shutil.rmtree(config, ignore_errors=True)
        for path in (config, place / "pybridge/run"):
            path.mkdir(parents=True, exist_ok=True)
        volumes = {one["name"]: one for one in self.template["spec"]["volumes"]}
        for source in volumes["pybridge-config"]["projected"]["sources"]:
            found = self._wait_for("ConfigMap", source["configMap"]["name"])
            for name, text in (found.get("data") or {}).items():
                (config / name).write_text(text)
            for name, text in (found.get("binaryData") or {}).items():
                (config / name).write_bytes(base64.b64decode(text))

    def _wait_for(self, kind: str, name: str) -> dict[str, Any]:
        while not self._over:
            found = self.cluster.objects.get((kind, name))
            if found is not None:
                return found
            time.sleep(_PAUSE)
        return {}

    def _execute(self, one: dict[str, Any], place: Path) -> int:
        """Run a container to its end; return its exit status."""

        def here(text: str) -> str:
            return text.replace("/pybridge/", f"{place}/pybridge/")

        words = [here(word) for word in one["command"] if word != "--install"]
        if words[0] == "python3" or words[0].endswith("/venv/bin/python"):
            words[0] = sys.executable  # has what would be installed
        for probe in one.get("ports", ()):
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                self.port = found.getsockname()[1]
            words[words.index(str(probe["containerPort"]))] = str(self.port)
        environ = {"PATH": os.environ["PATH"]}
        for variable in one["env"]:
            value = variable.get("value")
            if value is None:
                key = variable["valueFrom"]["secretKeyRef"]
                secret = self._wait_for("Secret", key["name"])
                value = base64.b64decode(secret["data"][key["key"]]).decode()
            environ[variable["name"]] = here(value)
        path = self.folder / f"{one['name']}.log"
        if path.exists():
            path.replace(path.with_suffix(".previous"))
        with path.open("wb") as log:
            self._process = subprocess.Popen(
                words, env=environ, cwd=place, stdout=log, stderr=log
            )
            self.states[one["name"]] = {"running": {}}
            self.phase = "Running" if one["name"] == "run" else "Pending"
            limit = self.template["spec"].get("activeDeadlineSeconds")
            try:
                code = self._process.wait(limit)
            except subprocess.TimeoutExpired:
                self._process.kill()
                code = self._process.wait()
        ended = {"exitCode": code % 256, "reason": "Error" if code else "Completed"}
        self.states[one["name"]] = {"terminated": ended}
        return code


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Run a cluster."""
    with Cluster(folder) as cluster:
        yield cluster
