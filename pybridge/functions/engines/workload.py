"""Workloads: runs in their cluster, and what it says of them, kept in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional

from pybridge.errors import BridgeError, HostError
from pybridge.functions import attempts, container, states
from pybridge.functions.engines import pods
from pybridge.functions.engines.cluster import node_host
from pybridge.functions.manager import outcome
from pybridge.functions.store import enter

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.engines.cluster import Cluster
    from pybridge.functions.manifests.settings import Settings
    from pybridge.functions.store import Store

__all__ = [
    "Workload",
    "fail",
    "is_beyond_hope",
    "is_shared",
    "kept_log",
    "lost",
    "settings_of",
    "stopped",
]

_RESTARTS = 1  # of a pod of a service; more are an error, as in the original
_SHARED = ("pybridge-runtime-",)  # objects that are of more than one run
# What a run tells at its end that its status has from then on.
_TOLD = ("outputs", "results", "metrics")


class Workload:
    """A run in its cluster: a Job, a CronJob or a Deployment."""

    def __init__(self, cluster: Cluster, store: Store, entity: dict[str, Any]) -> None:
        """Take the cluster, and the run as it was read from the store."""
        self.cluster = cluster
        self.store = store
        self.entity = entity
        self.key: str = entity["key"]
        self.noted: dict[str, Any] = entity["status"]["k8s"]

    def pods(self) -> list[dict[str, Any]]:
        """Return its pods, the oldest first."""
        return self.cluster.pods(self.noted["labels"])

    def stop(self) -> None:
        """End it, and keep its log: a job is deleted, a service has no pods then."""
        self.keep_log()
        if self.noted["kind"] == "Deployment":
            self.cluster.scale(self.noted["name"], 0)
        else:
            self.delete()

    def delete(self) -> None:
        """Remove all objects of the run that are its own, its workload first."""
        self.cluster.delete(self.noted["kind"], self.noted["name"])
        for one in self.noted.get("objects") or ():
            kind, _, name = one.partition("/")
            if name != self.noted["name"] and not is_shared(kind, name):
                self.cluster.delete(kind, name)

    # ---- What the cluster says ------------------------------------------------------

    def update(self) -> None:
        """Write what the cluster says of the run into the store."""
        if self.entity["status"]["state"] == "STOP":
            self.store.change(self.key, stopped)
            return
        found = self.cluster.read(self.noted["kind"], self.noted["name"])
        if self.noted["kind"] == "Job":
            self._update_job(found)
        elif self.noted["kind"] == "CronJob":
            self._at("RUNNING", _schedule(found))
        else:
            self._update_service(found)

    def _at(self, state: str, message: Optional[str] = None, **more: Any) -> None:
        """Move into a state that it may be in already; then nothing is written."""
        status = self.entity["status"]
        same = status["state"] == state and status.get("message") == message
        if not same or any(status.get(name) != one for name, one in more.items()):
            self.store.move(self.key, state, message=message, **more)

    def _update_job(self, job: Mapping[str, Any]) -> None:
        status = job.get("status") or {}
        ended = {
            one["type"]: one
            for one in status.get("conditions") or ()
            if one.get("status") == "True"
        }
        found = self.pods()
        if "Complete" in ended or "Failed" in ended or status.get("succeeded"):
            self.keep_log(found)
            self._end_job(found, ended.get("Failed"))
            return
        newest = found[-1] if found else None
        if newest is None:
            return
        reason, words = pods.waiting(newest)
        if reason in pods.HOPELESS:
            fail(self.store, self.key, pods.failure(newest, 1))
            self.delete()
        elif pods.has_started(newest):
            self._at("RUNNING")
        else:
            told = f"{reason}: {words}" if words else reason
            self._at("PENDING", told or None)

    def _end_job(
        self, found: list[dict[str, Any]], failed: Optional[Mapping[str, Any]]
    ) -> None:
        """Write the end of a job: what its last pod tells, or the cluster of it."""
        made: list[dict[str, Any]] = []
        last: Optional[dict[str, Any]] = None
        for number, pod in enumerate(found, 1):
            last = pods.told(self.cluster, pod)
            error = _error_in(last)
            if (pod.get("status") or {}).get("phase") == "Failed":
                error = error or pods.failure(pod, number)
            if error:
                made.append({**error, "attempt": number})
        if failed is not None:
            self._fail_job(failed, made)
        elif last is not None:
            self._complete_job(last, made)
        else:
            told = "the job is complete, and what became of it is not in its log"
            fail(self.store, self.key, lost(told))

    def _complete_job(self, last: dict[str, Any], made: list[dict[str, Any]]) -> None:
        """Take over what the last pod of a job has told."""
        container.unpack(last["entities"], last["files"], self.store)
        _relate(self.store, self.key, last["relationships"])
        more = {k: v for k, v in last["status"].items() if k in _TOLD}
        more["attempts"] = made
        _settle(self.store, self.key, "COMPLETED", last["status"].get("message"), more)

    def _fail_job(self, failed: Mapping[str, Any], made: list[dict[str, Any]]) -> None:
        error = made[-1] if made else pods.failure(None, 1)
        if failed.get("reason") == "DeadlineExceeded":
            words = failed.get("message") or "it took longer than its timeout"
            error = {**error, "type": "TimeoutError", "message": words}
            error["traceback"] = f"TimeoutError: {words}"
        fail(self.store, self.key, error, attempts=made or [error])

    def _update_service(self, deployment: Mapping[str, Any]) -> None:
        status = deployment.get("status") or {}
        seen = int(status.get("observedGeneration") or 0)
        current = seen >= int(deployment["metadata"].get("generation") or 0)
        found = self.pods()
        # While new pods do not get ready, those before them go on.
        newest = int(status.get("updatedReplicas") or 0)
        reloading = newest < int(status.get("replicas") or 0) or not current
        if not (reloading and status.get("readyReplicas")):
            hopeless = next((pod for pod in found if is_beyond_hope(pod)), None)
            if hopeless is not None:
                self._give_up(hopeless, found)
                return
        known = current or bool(self.entity["status"].get("service"))
        if known and int(status.get("readyReplicas") or 0) > 0:
            service = self._service(int(status["readyReplicas"]))
            if service is not None:
                self._at("RUNNING", service=service)
            return
        reason, words = pods.waiting(found[-1]) if found else ("", "")
        told = f"{reason}: {words}" if words else reason
        gone = {"service": None} if self.entity["status"].get("service") else {}
        self._at("PENDING", told or None, **gone)

    def _give_up(self, pod: Mapping[str, Any], found: list[dict[str, Any]]) -> None:
        """End a service of which a pod ends again and again."""
        last = pods.told(self.cluster, pod, previous=True)
        error = _error_in(last) or pods.failure(pod, 1)
        self.keep_log(found)
        fail(self.store, self.key, error)
        self.cluster.scale(self.noted["name"], 0)

    def _service(self, ready: int) -> Optional[dict[str, Any]]:
        """Return where the service is; None while it has no address yet."""
        name, namespace = self.noted["service"], self.cluster.namespace
        found = self.cluster.read("Service", name)
        spec = found["spec"]
        kind, port = spec.get("type"), spec["ports"][0]
        inside = f"{name}.{namespace}.svc"
        host, number = inside, port["port"]
        balanced = ((found.get("status") or {}).get("loadBalancer") or {}).get(
            "ingress"
        )
        if kind == "LoadBalancer":
            if not balanced:
                return None
            host = balanced[0].get("ip") or balanced[0].get("hostname")
        elif kind == "NodePort" and port.get("nodePort"):
            host = node_host(settings_of(self.noted), self.cluster) or inside
            number = port["nodePort"]
        return {
            "name": name,
            "namespace": namespace,
            "type": self.noted.get("service_type") or kind,
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

    # ---- Logs -----------------------------------------------------------------------

    def lines(
        self, pod: Mapping[str, Any], seen: set[tuple[str, str]], *, follow: bool
    ) -> Iterator[str]:
        """Yield the lines of a pod that were not there before."""
        name = pod["metadata"]["name"]
        spec = pod.get("spec") or {}
        containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
        for one in containers:
            if (name, one["name"]) in seen:
                continue
            try:
                for line in self.cluster.log(name, one["name"], follow=follow):
                    seen.add((name, one["name"]))
                    if not line.startswith(container.LINE):
                        yield line
            except HostError:  # it has not started, or is gone
                continue

    def keep_log(self, found: Optional[list[dict[str, Any]]] = None) -> None:
        """Keep what the pods of the run have written: it goes when they go."""
        try:
            seen: set[tuple[str, str]] = set()
            lines: list[str] = []
            for number, pod in enumerate(self.pods() if found is None else found, 1):
                if number > 1 and self.noted["kind"] != "Deployment":
                    lines.append(f"{attempts.OWN}{attempts.begins(number)}")
                lines += self.lines(pod, seen, follow=False)
        except BridgeError:
            return
        if lines:
            text = "\n".join(lines).rstrip("\n") + "\n"
            kept_log(self.store, self.entity["id"]).write_text(text, encoding="utf-8")


def settings_of(noted: Mapping[str, Any]) -> Settings:
    """Return the settings, with the cluster that a run was given to."""
    from pybridge.functions.manifests import settings

    return settings.read()._replace(
        namespace=str(noted["namespace"]),
        context=noted.get("context"),
        kubeconfig=noted.get("kubeconfig"),
    )


def is_beyond_hope(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod of a service ends again and again, or cannot begin."""
    return pods.restarts(pod) > _RESTARTS or pods.waiting(pod)[0] in pods.HOPELESS


def is_shared(kind: str, name: str) -> bool:
    """Is an object not of one run alone, so that it outlives it?"""
    return kind == "PersistentVolumeClaim" or name.startswith(_SHARED)


def kept_log(store: Store, run_id: str) -> Path:
    """Return where the log of a run is kept that is over."""
    return store.run_directory(run_id) / "log"


def _error_in(told: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    """Return the failure that a run has told at its end, if it has."""
    return ((told or {}).get("status") or {}).get("error")


def _schedule(cron: Mapping[str, Any]) -> str:
    """Return what is said of a run that begins again and again."""
    last = (cron.get("status") or {}).get("lastScheduleTime")
    told = f"scheduled '{cron['spec']['schedule']}'"
    return f"{told}, last at {last}" if last else told


# ---- In the store --------------------------------------------------------------------


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


def stopped(entity: dict[str, Any]) -> None:
    """Change a run that is being stopped into one that is."""
    entity["status"].pop("service", None)
    if entity["status"]["state"] == "STOP":
        enter(entity["status"], "STOPPED")


def _relate(store: Store, key: str, relations: list[dict[str, Any]]) -> None:
    """Add the relations of a run that came of its execution."""

    def edit(entity: dict[str, Any]) -> None:
        known = entity["metadata"].setdefault("relationships", [])
        known.extend(one for one in relations if one not in known)

    store.change(key, edit)


def fail(store: Store, key: str, error: dict[str, Any], **more: Any) -> None:
    """Write that a run has failed, and why."""
    _settle(store, key, "ERROR", outcome.line(error), {"error": error, **more})


def lost(message: str) -> dict[str, Any]:
    """Return the failure of a run of which the cluster does not say what it did."""
    return outcome.failure("HostError", message, "execute", 1)
