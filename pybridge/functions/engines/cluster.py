"""Cluster: a Kubernetes that the settings, or a kubeconfig, lead to."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional

from pybridge.errors import HostError, Unsupported

if TYPE_CHECKING:
    from pybridge.functions.manifests.settings import Settings

__all__ = ["Cluster", "Gone", "Unreachable", "node_host"]

_BY_HAND = (
    "'pybridge function manifest' writes files that 'kubectl apply -f' takes instead"
)
# Kind -> the client's class, and its word for it.
_KINDS = {
    "ConfigMap": ("CoreV1Api", "config_map"),
    "Secret": ("CoreV1Api", "secret"),
    "PersistentVolumeClaim": ("CoreV1Api", "persistent_volume_claim"),
    "Service": ("CoreV1Api", "service"),
    "Job": ("BatchV1Api", "job"),
    "CronJob": ("BatchV1Api", "cron_job"),
    "Deployment": ("AppsV1Api", "deployment"),
}
_TIMEOUT = 30.0  # seconds for one request
_BUSY = (429, 500, 502, 503, 504)


class Gone(HostError):  # noqa: N818 - what is the case
    """An object is not in the cluster, or not any more."""


class Unreachable(HostError):  # noqa: N818 - the same
    """The cluster does not answer, for now."""


class Cluster:
    """The objects of one namespace, through the official client."""

    def __init__(self, api: Any, namespace: str) -> None:
        """Take the client and the namespace; see `connect`."""
        self._api = api
        self._apis: dict[str, Any] = {}
        self.namespace = namespace

    @classmethod
    def connect(cls, settings: Settings) -> Cluster:
        """Return the cluster of the settings, of KUBECONFIG, or that we are in.

        Raises:
            HostError: the client is not installed.
            Unsupported: no cluster is configured.

        """
        try:
            from kubernetes import client, config
        except ImportError:
            raise HostError(
                "the engine 'kubernetes' needs the package of that name; pip install "
                f"'pybridge[kubernetes]'; {_BY_HAND}"
            ) from None
        options = client.Configuration()
        loading: Any = config
        try:
            # The client itself reads the variable only once, when it is imported.
            loading.load_kube_config(
                settings.kubeconfig or os.environ.get("KUBECONFIG"),
                settings.context,
                options,
                persist_config=False,
            )
        except config.ConfigException as exc:
            try:
                if settings.kubeconfig or settings.context:
                    raise
                loading.load_incluster_config(options)
            except config.ConfigException:
                raise Unsupported(
                    f"no cluster is configured ({exc}): give one by KUBECONFIG, "
                    "~/.kube/config, or kubeconfig and context in "
                    f"[functions.kubernetes] of pybridge.toml; {_BY_HAND}"
                ) from None
        options.retries = False
        return cls(client.ApiClient(options), settings.namespace)

    @property
    def host(self) -> str:
        """The URL of its API."""
        return str(self._api.configuration.host)

    # ---- Objects --------------------------------------------------------------------

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object; one of that name that is there already is changed."""
        kind, name = body["kind"], body["metadata"]["name"]
        try:
            return self._ask("create", kind, body=body)
        except _Taken:
            return self.patch(kind, name, body)

    def add(self, body: Mapping[str, Any]) -> None:
        """Make an object, unless one of that name is there."""
        try:
            self._ask("create", body["kind"], body=body)
        except _Taken:
            return

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object.

        Raises:
            Gone: it is not there.

        """
        return self._ask("read", kind, name)

    def patch(self, kind: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change an object."""
        return self._ask("patch", kind, name, body=body)

    def delete(self, kind: str, name: str) -> None:
        """Remove an object, and then all that is because of it."""
        try:
            self._ask("delete", kind, name, propagation_policy="Background")
        except Gone:
            return

    def scale(self, name: str, replicas: int) -> None:
        """Give a deployment so many pods."""
        api = self._of("AppsV1Api")
        body = {"spec": {"replicas": replicas}}
        self._call(
            api.patch_namespaced_deployment_scale, name, self.namespace, body=body
        )

    # ---- Pods -----------------------------------------------------------------------

    def pods(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the pods with these labels, the oldest first."""
        words = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        api = self._of("CoreV1Api")
        found = self._call(
            api.list_namespaced_pod, self.namespace, label_selector=words
        )
        return sorted(
            found.get("items") or (),
            key=lambda pod: (
                pod["metadata"].get("creationTimestamp") or "",
                pod["metadata"]["name"],
            ),
        )

    def log(
        self, pod: str, container: str, *, follow: bool = False, previous: bool = False
    ) -> Iterator[str]:
        """Yield the lines that a container has written; with `follow` until its end."""
        api = self._of("CoreV1Api")
        timeout = None if follow else _TIMEOUT
        response = self._call_raw(
            api.read_namespaced_pod_log,
            pod,
            self.namespace,
            container=container,
            follow=follow,
            previous=previous,
            _preload_content=False,
            _request_timeout=timeout,
        )
        rest = b""
        try:
            for data in response.stream(1 << 14):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace")
        finally:
            response.release_conn()
        if rest:
            yield rest.decode("utf-8", "replace")

    # ---- Asking ---------------------------------------------------------------------

    def _of(self, name: str) -> Any:
        if name not in self._apis:
            from kubernetes import client

            self._apis[name] = getattr(client, name)(self._api)
        return self._apis[name]

    def _ask(self, verb: str, kind: str, *words: str, **given: Any) -> dict[str, Any]:
        api, noun = _KINDS[kind]
        method = getattr(self._of(api), f"{verb}_namespaced_{noun}")
        return self._call(method, *words, self.namespace, **given)

    def _call(self, method: Any, *words: Any, **given: Any) -> dict[str, Any]:
        found = self._call_raw(method, *words, _request_timeout=_TIMEOUT, **given)
        made = self._api.sanitize_for_serialization(found)
        return made if isinstance(made, dict) else {}

    def _call_raw(self, method: Any, *words: Any, **given: Any) -> Any:
        """Ask the cluster.

        Raises:
            Gone: what is asked for is not there.
            HostError: it refuses.
            Unreachable: it does not answer.

        """
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return method(*words, **given)
        except ApiException as exc:
            raise self._failure(exc) from None
        except (HTTPError, OSError) as exc:
            raise Unreachable(
                f"the cluster at '{self.host}' does not answer: {exc}"
            ) from None

    def _failure(self, exc: Any) -> HostError:
        """Return what a refusal means."""
        told = f"{exc.reason}"
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            told = json.loads(exc.body).get("message") or told
        if exc.status == 404:
            return Gone(f"the cluster at '{self.host}' says: {told}")
        if exc.status == 409:
            return _Taken(told)
        if exc.status in _BUSY:
            return Unreachable(f"the cluster at '{self.host}' says: {told}")
        return HostError(f"the cluster at '{self.host}' refuses ({exc.status}): {told}")


class _Taken(HostError):  # noqa: N818 - the same
    """An object of that name is there already."""


def node_host(settings: Settings, cluster: Cluster) -> Optional[str]:
    """Return a host by which the ports of nodes are reached."""
    from urllib.parse import urlsplit

    return settings.node_host or urlsplit(cluster.host).hostname
