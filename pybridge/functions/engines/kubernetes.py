"""The engine of a cluster: runs as jobs and deployments of Kubernetes.

The cluster leads its runs: nothing of ours has to go on for them. Whoever reads a run
that is not final asks the cluster what became of it, and writes that into the store.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional

from pybridge.errors import BadArgument, BridgeError, HostError
from pybridge.functions import attempts, states
from pybridge.functions.engines import pods
from pybridge.functions.engines.cluster import Cluster, Gone, Unreachable
from pybridge.functions.engines.workload import (
    Workload,
    fail,
    is_beyond_hope,
    is_shared,
    kept_log,
    lost,
    settings_of,
    stopped,
)
from pybridge.functions.store import now

if TYPE_CHECKING:
    from pybridge.functions.manifests import Rendered
    from pybridge.functions.manifests.settings import Settings
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["Kubernetes"]

_FIRST, _LONGEST = 0.05, 1.0  # seconds between looks
_FRESH = 0.2  # seconds in which a look is not repeated
_RESTARTED = "kubectl.kubernetes.io/restartedAt"  # as kubectl notes it


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
        with suppress(Gone):
            if workload := self._workload(run.store, run.to_dict()):
                workload.stop()
        run.store.change(run.key, stopped)

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
                cluster = self._cluster(settings_of(noted))
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
        cluster, name = self._cluster(settings_of(noted)), noted["name"]
        before = _restarted(cluster.read("Deployment", name), now(), cluster)
        end = None if timeout is None else time.monotonic() + timeout
        while not _is_rolled_out(deployment := cluster.read("Deployment", name)):
            for pod in cluster.pods(noted["labels"]):
                if is_beyond_hope(pod):
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
        kept = kept_log(run.store, run.id)
        if states.is_final(run.state) and kept.exists():
            yield from kept.read_text(encoding="utf-8", errors="replace").splitlines()
            return
        workload = self._workload(run.store, run.to_dict())
        if workload is None:
            return
        seen: set[tuple[str, str]] = set()
        told = 0
        while True:
            for number, pod in enumerate(workload.pods(), 1):
                if number > max(1, told) and workload.noted["kind"] != "Deployment":
                    yield f"{attempts.OWN}{attempts.begins(number)}"
                told = max(told, number)
                yield from workload.lines(pod, seen, follow=follow)
            if not follow or states.is_final(run.refresh().state):
                return
            time.sleep(_FIRST)

    def forget(self, run: Run) -> None:
        """Remove from the cluster what is left there of a run that is deleted."""
        if workload := self._workload(run.store, run.to_dict()):
            workload.delete()

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
            if workload := self._workload(store, entity):
                workload.update()
        except Gone as exc:
            message = (
                f"{noted['kind']} '{noted['name']}' is not in the cluster any more "
                f"({exc}); run the function again"
            )
            fail(store, key, lost(message))
        except Unreachable:
            return entity
        return store.get(key) or entity

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

    def _workload(self, store: Store, entity: dict[str, Any]) -> Optional[Workload]:
        """Return a run in its cluster; None where no cluster has had it yet."""
        noted = entity["status"].get("k8s") or {}
        if not noted.get("kind"):
            return None
        return Workload(self._cluster(settings_of(noted)), store, entity)

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
            if is_shared(one["kind"], name):
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

    def _fail(self, run: Run, exc: BridgeError) -> None:
        """Write why a run did not come into the cluster."""
        from pybridge.functions import failure

        told = failure.describe(exc, stage="submit")
        fail(run.store, run.key, told, attempts=[told], engine=self.name)


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
