"""Secret: the values of the secrets that a run names, and of nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping

from pybridge.functions.manifests import config_map, labels, names
from pybridge.functions.manifests.payload import encoded

if TYPE_CHECKING:
    from pybridge.functions.manifests.payload import Payload
    from pybridge.functions.manifests.settings import Settings

__all__ = ["of_run", "variables"]


def of_run(
    run: Mapping[str, Any], payload: Payload, settings: Settings
) -> Dict[str, Any]:
    """Return the secret of a run."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": labels.metadata(run, settings, config_map.name_of(run)),
        "type": "Opaque",
        "data": {
            names.variable(name): encoded(value.encode("utf-8", "surrogateescape"))
            for name, value in payload.secrets.items()
        },
    }


def variables(run: Mapping[str, Any], payload: Payload) -> List[Dict[str, Any]]:
    """Return the variables that a container has of the secret."""
    return [
        {
            "name": name,
            "valueFrom": {
                "secretKeyRef": {
                    "name": config_map.name_of(run),
                    "key": names.variable(name),
                }
            },
        }
        for name in payload.secrets
    ]
