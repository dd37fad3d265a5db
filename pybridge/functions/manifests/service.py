"""Service: the address of a run that serves."""

from __future__ import annotations

from typing import Any, Dict, List

from pybridge.functions.manifests import labels, names, pod

__all__ = ["name_of", "of_run"]


def name_of(made: pod.Made) -> str:
    """Return the name of the service whose pods answer."""
    given = made.run["spec"].get("service_name")
    if given and made.run["spec"].get("service_type") != "ExternalName":
        return names.service(given)
    return names.of_run(made.run, "s")


def of_run(made: pod.Made) -> List[Dict[str, Any]]:
    """Return the service of a run; one that is an alias has the other beside it."""
    spec = made.run["spec"]
    kind = spec.get("service_type") or "NodePort"
    alias = kind == "ExternalName"
    number = pod.port(made.run)
    service: Dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": labels.metadata(made.run, made.settings, name_of(made)),
        "spec": {
            "type": "ClusterIP" if alias else kind,
            "selector": labels.selector(made.run),
            "ports": [
                {
                    "name": pod.PORT_NAME,
                    "port": number,
                    "targetPort": pod.PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    }
    return [service, _alias(made, name_of(made))] if alias else [service]


def _alias(made: pod.Made, name: str) -> Dict[str, Any]:
    """Return a service that is another name of one: all that such a type can be."""
    settings = made.settings
    given = made.run["spec"].get("service_name")
    own = names.service(given) if given else names.of_run(made.run, "e")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": labels.metadata(made.run, settings, own),
        "spec": {
            "type": "ExternalName",
            "externalName": f"{name}.{settings.namespace}.svc.{settings.domain}",
        },
    }
