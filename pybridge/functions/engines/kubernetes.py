"""The engine of a cluster: runs as jobs and deployments of Kubernetes.

The cluster leads its runs: nothing of ours has to go on for them. Whoever reads a run
that is not final asks the cluster what became of it, and writes that into the store.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional

from pybridge.errors import BadArgument, BridgeError, HostError
from pybridge.functions import attempts, container, states
from pybridge.functions.engines import pods
from pybridge.functions.engines.cluster import Cluster, Gone, Unreachable, node_host
from pybridge.functions.manager import outcome
from pybridge.functions.store import enter, now

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.manifests import Rendered
    from pybridge.functions.manifests.settings import Settings
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["Kubernetes"]

_FIRST, _LONGEST = 0.05, 1.0  # seconds between looks
_FRESH = 0.2  # seconds in which a look is not repeated
_RESTARTED = "kubectl.kubernetes.io/restartedAt"  # as kubectl notes it
_RESTARTS = 1  # of a pod of a service; more are an error, as in the original
_SHARED = ("pybridge-runtime-",)  # objects that are of more than one run


class Kubernetes:
    """Runs in a cluster."""

    name = "kubernetes"

    def __init__(self) -> None:
        """Know no cluster yet."""
        self._clusters: dict[Any, Cluster] = {}
        self._looks: dict[str, float] = {}
        self._lock = threading.Lock()

    # ---- What an engine does --------------------------------------------------------

    def submit(self, run: Run) -> None:
        """Give a run to the cluster; where that fails, it is in ERROR with the reason.

        Returns when the cluster has all of it.
        """
        made: list[dict[str, Any]] = []
        try:
            rendered, cluster = self._prepared(run)
            run.store.move(
                run.key,
                "PENDING",
                owner={"engine": self.name},
                engine=self.name,
                k8s=_noted(rendered),
            )
            self._apply(cluster, rendered, made)
        except BridgeError as exc:
            self._fail(run, exc)
            for one in reversed(made):
                cluster.delete(one["kind"], one["metadata"]["name"])

    def observe(self, run: Run, timeout: Optional[float]) -> bool:
        """Wait until a run is final or its service answers; False: it took too long."""
        end = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST
        while not self._is_over(run):
            left = pause if end is None else min(pause, end - time.monotonic())
            if left <= 0:
                return False
            time.sleep(left)
            pause = min(pause * 1.2, _LONGEST)
            self._looks.pop(run.key, None)
            run.refresh()
        return True

    def stop(self, run: Run) -> None:
        """End a run: a job is deleted, a service has no pods then."""
        if run.store.move(run.key, "STOP") is None and run.refresh().state != "STOP":
            return
        noted = run.status.get("k8s") or {}
        try:
            if noted.get("kind"):
                cluster = self._cluster(_settings(noted))
                self._keep_log(cluster, run.store, run.to_dict())
                if noted["kind"] == "Deployment":
                    cluster.scale(noted["name"], 0)
                else:
                    self._delete(cluster, noted)
        except Gone:
            pass
        run.store.change(run.key, _stopped)

    def resume(self, run: Run) -> None:
        """Give a service its pods again; what is not in the cluster goes there anew.

        Raises:
            BadArgument: it is not stopped.

        """
        if run.store.move(run.key, "RESUME", owner={"engine": self.name}) is None:
            raise BadArgument(
                f"run '{run.id}' is {run.state}, and only a STOPPED one can be resumed"
            )
        noted = run.status.get("k8s") or {}
        try:
            if noted.get("kind") == "Deployment":
                cluster = self._cluster(_settings(noted))
                cluster.scale(noted["name"], int(noted.get("replicas") or 1))
                run.store.move(run.key, "PENDING")
                return
        except Gone:
            pass
        except BridgeError as exc:
            self._fail(run, exc)
            return
        self.submit(run)

    def reload(self, run: Run, timeout: Optional[float]) -> Optional[dict[str, Any]]:
        """Have the pods of a service replaced, as `kubectl rollout restart` does.

        Raises:
            TimeoutError: that took longer.

        """
        noted = run.status.get("k8s") or {}
        cluster, name = self._cluster(_settings(noted)), noted["name"]
        before = _restarted(cluster.read("Deployment", name), now(), cluster)
        end = None if timeout is None else time.monotonic() + timeout
        while not _is_rolled_out(deployment := cluster.read("Deployment", name)):
            for pod in cluster.pods(noted["labels"]):
                if _is_beyond_hope(pod):
                    last = pods.told(cluster, pod, previous=True)
                    error = ((last or {}).get("status") or {}).get("error")
                    _restarted(deployment, before, cluster)
                    return error or pods.failure(pod, 1)
            if end is not None and time.monotonic() > end:
                raise TimeoutError(
                    f"the reload of run '{run.id}' goes on after {timeout:g} s"
                )
            time.sleep(_FIRST)
        return None

    def logs(self, run: Run, *, follow: bool) -> Iterator[str]:
        """Yield what a run has written; with `follow` until it is final."""
        kept = _log_path(run.store, run.id)
        if states.is_final(run.state) and kept.exists():
            yield from kept.read_text(encoding="utf-8", errors="replace").splitlines()
            return
        noted = run.status.get("k8s") or {}
        if not noted.get("kind"):
            return
        cluster = self._cluster(_settings(noted))
        seen: set[tuple[str, str]] = set()
        told = 0
        while True:
            for number, pod in enumerate(cluster.pods(noted["labels"]), 1):
                if number > max(1, told) and noted["kind"] != "Deployment":
                    yield f"{attempts.OWN}{attempts.begins(number)}"
                told = max(told, number)
                yield from self._lines(cluster, pod, seen, follow=follow)
            if not follow or states.is_final(run.refresh().state):
                return
            time.sleep(_FIRST)

    def forget(self, run: Run) -> None:
        """Remove from the cluster what is left there of a run that is deleted."""
        noted = run.status.get("k8s") or {}
        if noted.get("kind"):
            self._delete(self._cluster(_settings(noted)), noted)

    # ---- Looking --------------------------------------------------------------------

    def look(self, store: Store, entity: dict[str, Any]) -> dict[str, Any]:
        """Return a run as it is now in the cluster, and keep that.

        A cluster that does not answer says nothing about its runs: they stay as they
        are.
        """
        key, noted = entity["key"], entity["status"].get("k8s") or {}
        if not noted.get("kind"):
            return entity
        now = time.monotonic()
        if now - self._looks.get(key, -_FRESH) < _FRESH:
            return entity
        self._looks[key] = now
        try:
            cluster = self._cluster(_settings(noted))
            self._update(cluster, store, entity, noted)
        except Gone as exc:
            message = (
                f"{noted['kind']} '{noted['name']}' is not in the cluster any more "
                f"({exc}); run the function again"
            )
            _fail(store, key, _lost(message))
        except Unreachable:
            return entity
        return store.get(key) or entity

    def _update(
        self,
        cluster: Cluster,
        store: Store,
        entity: dict[str, Any],
        noted: Mapping[str, Any],
    ) -> None:
        """Write what the cluster says of a run into the store."""
        if entity["status"]["state"] == "STOP":
            store.change(entity["key"], _stopped)
            return
        workload = cluster.read(noted["kind"], noted["name"])
        if noted["kind"] == "Job":
            self._update_job(cluster, store, entity, workload)
        elif noted["kind"] == "CronJob":
            _at(store, entity, "RUNNING", _schedule(workload))
        else:
            self._update_service(cluster, store, entity, workload)

    def _update_job(
        self,
        cluster: Cluster,
        store: Store,
        entity: dict[str, Any],
        job: Mapping[str, Any],
    ) -> None:
        status = job.get("status") or {}
        ended = {
            one["type"]: one
            for one in status.get("conditions") or ()
            if one.get("status") == "True"
        }
        found = cluster.pods(entity["status"]["k8s"]["labels"])
        if "Complete" in ended or "Failed" in ended or status.get("succeeded"):
            self._keep_log(cluster, store, entity, found)
            self._end_job(cluster, store, entity, found, ended.get("Failed"))
            return
        newest = found[-1] if found else None
        if newest is None:
            return
        reason, words = pods.waiting(newest)
        if reason in pods.HOPELESS:
            failed = pods.failure(newest, 1)
            _fail(store, entity["key"], failed)
            self._delete(cluster, entity["status"]["k8s"])
        elif pods.has_started(newest):
            _at(store, entity, "RUNNING")
        else:
            told = f"{reason}: {words}" if words else reason
            _at(store, entity, "PENDING", told or None)

    @staticmethod
    def _end_job(
        cluster: Cluster,
        store: Store,
        entity: dict[str, Any],
        found: list[dict[str, Any]],
        failed: Optional[Mapping[str, Any]],
    ) -> None:
        """Write the end of a job: what its last pod tells, or the cluster of it."""
        attempts = []
        last: Optional[dict[str, Any]] = None
        for number, pod in enumerate(found, 1):
            last = pods.told(cluster, pod)
            error = ((last or {}).get("status") or {}).get("error")
            if (pod.get("status") or {}).get("phase") == "Failed":
                error = error or pods.failure(pod, number)
            if error:
                attempts.append({**error, "attempt": number})
        if failed is None and last is not None:
            container.unpack(last["entities"], last["files"], store)
            _relate(store, entity["key"], last["relationships"])
            more = {k: v for k, v in last["status"].items() if k in _TOLD}
            state, message = "COMPLETED", last["status"].get("message")
            _settle(
                store, entity["key"], state, message, {**more, "attempts": attempts}
            )
            return
        if failed is None:
            told = "the job is complete, and what became of it is not in its log"
            _fail(store, entity["key"], _lost(told))
            return
        error = attempts[-1] if attempts else pods.failure(None, 1)
        if failed.get("reason") == "DeadlineExceeded":
            words = failed.get("message") or "it took longer than its timeout"
            error = {**error, "type": "TimeoutError", "message": words}
            error["traceback"] = f"TimeoutError: {words}"
        _fail(store, entity["key"], error, attempts=attempts or [error])

    def _update_service(
        self,
        cluster: Cluster,
        store: Store,
        entity: dict[str, Any],
        deployment: Mapping[str, Any],
    ) -> None:
        status, noted = deployment.get("status") or {}, entity["status"]["k8s"]
        seen = int(status.get("observedGeneration") or 0)
        current = seen >= int(deployment["metadata"].get("generation") or 0)
        found = cluster.pods(noted["labels"])
        # While new pods do not get ready, those before them go on.
        newest = int(status.get("updatedReplicas") or 0)
        reloading = newest < int(status.get("replicas") or 0) or not current
        reloading = reloading and bool(status.get("readyReplicas"))
        for pod in found:
            if _is_beyond_hope(pod) and not reloading:
                last = pods.told(cluster, pod, previous=True)
                error = ((last or {}).get("status") or {}).get("error")
                error = error or pods.failure(pod, 1)
                self._keep_log(cluster, store, entity, found)
                _fail(store, entity["key"], error)
                cluster.scale(noted["name"], 0)
                return
        known = current or bool(entity["status"].get("service"))
        if known and int(status.get("readyReplicas") or 0) > 0:
            service = self._service(cluster, noted, int(status["readyReplicas"]))
            if service is not None:
                _at(store, entity, "RUNNING", service=service)
            return
        reason, words = pods.waiting(found[-1]) if found else ("", "")
        told = f"{reason}: {words}" if words else reason
        gone = {"service": None} if entity["status"].get("service") else {}
        _at(store, entity, "PENDING", told or None, **gone)

    def _service(
        self, cluster: Cluster, noted: Mapping[str, Any], ready: int
    ) -> Optional[dict[str, Any]]:
        """Return where a service is; None while it has no address yet."""
        found = cluster.read("Service", noted["service"])
        spec = found["spec"]
        kind, port = spec.get("type"), spec["ports"][0]
        inside = f"{noted['service']}.{cluster.namespace}.svc"
        host, number = inside, port["port"]
        balanced = ((found.get("status") or {}).get("loadBalancer") or {}).get(
            "ingress"
        )
        if kind == "LoadBalancer":
            if not balanced:
                return None
            host = balanced[0].get("ip") or balanced[0].get("hostname")
        elif kind == "NodePort" and port.get("nodePort"):
            host = node_host(_settings(noted), cluster) or inside
            number = port["nodePort"]
        return {
            "name": noted["service"],
            "namespace": cluster.namespace,
            "type": noted.get("service_type") or kind,
            "clusterIP": spec.get("clusterIP"),
            "externalName": spec.get("externalName"),
            "externalIps": spec.get("externalIPs") or [],
            "ip": (balanced or [{}])[0].get("ip"),
            "hostname": (balanced or [{}])[0].get("hostname"),
            "ports": spec["ports"],
            "url": f"http://{host}:{number}",
            "urls": [f"http://{host}:{number}", f"http://{inside}:{port['port']}"],
            "replicas": ready,
        }

    def _is_over(self, run: Run) -> bool:
        """Is there nothing more to wait for?"""
        if states.is_final(run.state):
            return True
        if run.action == "serve":
            return run.state == "RUNNING" and bool(run.status.get("service"))
        return run.state == "RUNNING" and bool(run.spec.get("schedule"))

    # ---- The cluster ----------------------------------------------------------------

    def _cluster(self, settings: Settings) -> Cluster:
        config = settings.kubeconfig or os.environ.get("KUBECONFIG")
        key = (config, settings.context, settings.namespace)
        with self._lock:
            if key not in self._clusters:
                self._clusters[key] = Cluster.connect(settings)
            return self._clusters[key]

    def _prepared(self, run: Run) -> tuple[Rendered, Cluster]:
        """Return the objects of a run, and where they go."""
        try:
            from pybridge.functions import manifests
        except ImportError as exc:
            raise HostError(
                f"the engine 'kubernetes' needs the package '{exc.name}'; pip install "
                "'pybridge[functions,kubernetes]'"
            ) from None
        rendered = manifests.rendered(run)
        return rendered, self._cluster(rendered.settings)

    @staticmethod
    def _apply(
        cluster: Cluster, rendered: Rendered, made: list[dict[str, Any]]
    ) -> None:
        """Make the objects; those of the run alone go when its workload goes."""
        owner: Optional[dict[str, Any]] = None
        own: list[dict[str, Any]] = []
        for one in rendered.objects:
            name = one["metadata"]["name"]
            if _is_shared(one["kind"], name):
                cluster.add(one)
                continue
            found = cluster.create(one)
            made.append(one)
            if one is rendered.workload:
                owner = {
                    "apiVersion": one["apiVersion"],
                    "kind": one["kind"],
                    "name": name,
                    "uid": found["metadata"].get("uid"),
                }
            else:
                own.append(one)
        for one in own:
            body = {"metadata": {"ownerReferences": [owner]}}
            cluster.patch(one["kind"], one["metadata"]["name"], body)

    def _delete(self, cluster: Cluster, noted: Mapping[str, Any]) -> None:
        """Remove all objects of a run that are its own, its workload first."""
        cluster.delete(noted["kind"], noted["name"])
        for one in noted.get("objects") or ():
            kind, _, name = one.partition("/")
            if name != noted["name"] and not _is_shared(kind, name):
                cluster.delete(kind, name)

    # ---- Logs -----------------------------------------------------------------------

    @staticmethod
    def _lines(
        cluster: Cluster,
        pod: Mapping[str, Any],
        seen: set[tuple[str, str]],
        *,
        follow: bool,
    ) -> Iterator[str]:
        """Yield the lines of a pod that were not there before."""
        name = pod["metadata"]["name"]
        spec = pod.get("spec") or {}
        containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
        for one in containers:
            if (name, one["name"]) in seen:
                continue
            try:
                for line in cluster.log(name, one["name"], follow=follow):
                    seen.add((name, one["name"]))
                    if not line.startswith(container.LINE):
                        yield line
            except HostError:  # it has not started, or is gone
                continue

    def _keep_log(
        self,
        cluster: Cluster,
        store: Store,
        entity: Mapping[str, Any],
        found: Optional[list[dict[str, Any]]] = None,
    ) -> None:
        """Keep what the pods of a run have written: it goes when they go."""
        try:
            if found is None:
                found = cluster.pods(entity["status"]["k8s"]["labels"])
            seen: set[tuple[str, str]] = set()
            lines: list[str] = []
            for number, pod in enumerate(found, 1):
                if number > 1 and entity["status"]["k8s"]["kind"] != "Deployment":
                    lines.append(f"{attempts.OWN}{attempts.begins(number)}")
                lines += self._lines(cluster, pod, seen, follow=False)
        except BridgeError:
            return
        if lines:
            text = "\n".join(lines).rstrip("\n") + "\n"
            _log_path(store, entity["id"]).write_text(text, encoding="utf-8")

    def _fail(self, run: Run, exc: BridgeError) -> None:
        """Write why a run did not come into the cluster."""
        from pybridge.functions import failure

        told = failure.describe(exc, stage="submit")
        _fail(run.store, run.key, told, attempts=[told], engine=self.name)


# What a run tells at its end that its status has from then on.
_TOLD = ("outputs", "results", "metrics")


def _noted(rendered: Rendered) -> dict[str, Any]:
    """Return what the status says of the cluster: enough to find all again."""
    from pybridge.functions.manifests.labels import DOMAIN

    workload, settings = rendered.workload, rendered.settings
    labels = workload["metadata"]["labels"]
    services = [one for one in rendered.objects if one["kind"] == "Service"]
    return {
        "kind": workload["kind"],
        "name": workload["metadata"]["name"],
        "namespace": settings.namespace,
        "context": settings.context,
        "kubeconfig": settings.kubeconfig or os.environ.get("KUBECONFIG"),
        "image": rendered.image.name,
        "labels": {
            name: labels[name] for name in (f"{DOMAIN}/project", f"{DOMAIN}/run")
        },
        "objects": [f"{o['kind']}/{o['metadata']['name']}" for o in rendered.objects],
        "service": services[0]["metadata"]["name"] if services else None,
        "service_type": services[-1]["spec"]["type"] if services else None,
        "replicas": workload["spec"].get("replicas"),
    }


def _is_beyond_hope(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod of a service ends again and again, or cannot begin."""
    return pods.restarts(pod) > _RESTARTS or pods.waiting(pod)[0] in pods.HOPELESS


def _restarted(
    deployment: Mapping[str, Any], when: Optional[str], cluster: Cluster
) -> Optional[str]:
    """Note when pods were restarted, which replaces them; return what was noted."""
    metadata = deployment["spec"]["template"].get("metadata") or {}
    before: Optional[str] = (metadata.get("annotations") or {}).get(_RESTARTED)
    template = {"template": {"metadata": {"annotations": {_RESTARTED: when}}}}
    cluster.patch("Deployment", deployment["metadata"]["name"], {"spec": template})
    return before


def _is_rolled_out(deployment: Mapping[str, Any]) -> bool:
    """Tell whether all pods of a deployment are of its newest form, and ready."""
    status, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    seen = int(status.get("observedGeneration") or 0)
    return seen >= int(deployment["metadata"].get("generation") or 0) and all(
        int(status.get(name) or 0) == wanted
        for name in ("replicas", "updatedReplicas", "readyReplicas")
    )


def _settings(noted: Mapping[str, Any]) -> Settings:
    """Return the settings, with the cluster that a run was given to."""
    from pybridge.functions.manifests import settings

    return settings.read()._replace(
        namespace=str(noted["namespace"]),
        context=noted.get("context"),
        kubeconfig=noted.get("kubeconfig"),
    )


def _is_shared(kind: str, name: str) -> bool:
    """Is an object not of one run alone, so that it outlives it?"""
    return kind == "PersistentVolumeClaim" or name.startswith(_SHARED)


def _at(
    store: Store,
    entity: Mapping[str, Any],
    state: str,
    message: Optional[str] = None,
    **more: Any,
) -> None:
    """Move a run into a state that it may be in already; then nothing is written."""
    status = entity["status"]
    same = status["state"] == state and status.get("message") == message
    if not same or any(status.get(name) != value for name, value in more.items()):
        store.move(entity["key"], state, message=message, **more)


def _settle(
    store: Store, key: str, state: str, message: Optional[str], more: Mapping[str, Any]
) -> None:
    """Write the end of a run, unless it has one; a stop that came before wins."""

    def edit(entity: dict[str, Any]) -> None:
        status = entity["status"]
        if states.is_final(status["state"]):
            return
        status.pop("service", None)
        if status["state"] == "STOP":
            enter(status, "STOPPED")
            return
        status.update({k: v for k, v in more.items() if v is not None})
        if state == "COMPLETED" and status["state"] != "RUNNING":
            enter(status, "RUNNING")  # it was over before anybody looked
        enter(status, state, message)

    store.change(key, edit)


def _stopped(entity: dict[str, Any]) -> None:
    entity["status"].pop("service", None)
    if entity["status"]["state"] == "STOP":
        enter(entity["status"], "STOPPED")


def _relate(store: Store, key: str, relations: list[dict[str, Any]]) -> None:
    """Add the relations of a run that came of its execution."""

    def edit(entity: dict[str, Any]) -> None:
        known = entity["metadata"].setdefault("relationships", [])
        known.extend(one for one in relations if one not in known)

    store.change(key, edit)


def _schedule(cron: Mapping[str, Any]) -> str:
    """Return what is said of a run that begins again and again."""
    last = (cron.get("status") or {}).get("lastScheduleTime")
    told = f"scheduled '{cron['spec']['schedule']}'"
    return f"{told}, last at {last}" if last else told


def _fail(store: Store, key: str, error: dict[str, Any], **more: Any) -> None:
    """Write that a run has failed, and why."""
    _settle(store, key, "ERROR", outcome.line(error), {"error": error, **more})


def _lost(message: str) -> dict[str, Any]:
    """Return the failure of a run of which the cluster does not say what it did."""
    return outcome.failure("HostError", message, "execute", 1)


def _log_path(store: Store, run_id: str) -> Path:
    return store.run_directory(run_id) / "log"
