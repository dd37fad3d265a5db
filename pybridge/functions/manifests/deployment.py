"""Deployment: the pods of a service."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from pybridge.functions.manifests import labels, names, pod

__all__ = ["of_run", "replicas"]


def replicas(run: Mapping[str, Any]) -> int:
    """Return how many pods a service has."""
    given = run["spec"].get("replicas")
    return 1 if given is None else int(given)


def of_run(made: pod.Made) -> Dict[str, Any]:
    """Return the deployment of a run: new pods answer before old ones end."""
    start = pod.seconds(made.run["spec"].get("start_timeout") or 300)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": labels.metadata(
            made.run, made.settings, names.of_run(made.run, "d")
        ),
        "spec": {
            "replicas": replicas(made.run),
            "selector": {"matchLabels": labels.selector(made.run)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "progressDeadlineSeconds": max(600, start + 60),
            "template": pod.template(made),
        },
    }
