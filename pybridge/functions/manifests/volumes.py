"""Volumes: of a pod, where they are mounted, and the claims that they want."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Tuple

from pybridge.errors import BadArgument
from pybridge.functions.manifests import labels, names

if TYPE_CHECKING:
    from pybridge.functions.manifests.settings import Settings

__all__ = ["OWN", "Volumes", "of_run"]

OWN = "/pybridge"  # where all that is ours is mounted
_EMPTY = "128Mi"  # the limit of an empty directory, as the original has it
_EPHEMERAL = "1Gi"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class Volumes(NamedTuple):
    """The volumes of a pod, their mounts, and claims that are objects themselves."""

    volumes: List[Dict[str, Any]]
    mounts: List[Dict[str, Any]]
    claims: List[Dict[str, Any]]


def of_run(run: Mapping[str, Any], settings: Settings) -> Volumes:
    """Return what the volumes of a run are.

    Raises:
        BadArgument: two of them contradict each other, or stand in the way of ours.

    """
    made = Volumes([], [], [])
    known: Dict[str, Tuple[Any, ...]] = {}
    places: Dict[str, str] = {}
    for one in run["spec"].get("volumes") or ():
        name, path = one["name"], one["mount_path"].rstrip("/") or "/"
        _check(name, path, places)
        told = (one["volume_type"], one.get("spec") or {})
        if known.setdefault(name, told) != told:
            raise BadArgument(
                f"volumes: '{name}' is there twice, and not the same; give the second "
                "another name"
            )
        label = names.dns(name)
        if all(volume["name"] != label for volume in made.volumes):
            made.volumes.append({"name": label, **_source(one, settings)})
            made.claims.extend(_claim(run, one, settings))
        mount = {"name": label, "mountPath": path}
        if one.get("sub_path"):
            mount["subPath"] = one["sub_path"]
        if one.get("read_only") is not None:
            mount["readOnly"] = one["read_only"]
        made.mounts.append(mount)
    return made


def _check(name: str, path: str, places: Dict[str, str]) -> None:
    if path in places:
        raise BadArgument(
            f"volumes: '{places[path]}' and '{name}' are both mounted at '{path}'; "
            "give one of them another mount_path"
        )
    places[path] = name
    if path in {"/", OWN, "/tmp"} or path.startswith(f"{OWN}/"):  # noqa: S108 - a pod's
        raise BadArgument(
            f"volumes: '{name}' is mounted at '{path}', where a run has its own; give "
            "another mount_path"
        )


def _source(one: Mapping[str, Any], settings: Settings) -> Dict[str, Any]:
    """Return what a volume is, in Kubernetes' words."""
    spec = dict(one.get("spec") or {})
    kind = one["volume_type"]
    name = _object(one, spec)
    if kind == "empty_dir":
        return {"emptyDir": {**spec, "sizeLimit": spec.get("sizeLimit", _EMPTY)}}
    if kind == "config_map":
        return {"configMap": {**spec, "name": spec.get("name", name)}}
    if kind == "secret":
        return {"secret": {**spec, "secretName": spec.get("secretName", name)}}
    if kind == "ephemeral":
        return {"ephemeral": {"volumeClaimTemplate": {"spec": _wish(spec, settings)}}}
    claim = {"claimName": spec.get("claimName", name)}
    if spec.get("readOnly") is not None:
        claim["readOnly"] = spec["readOnly"]
    return {"persistentVolumeClaim": claim}


def _object(one: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Return the name of the object that a volume is: its own where none is given.

    Raises:
        BadArgument: no object can have it.

    """
    fields = {"config_map": "name", "secret": "secretName"}
    field = fields.get(one["volume_type"], "claimName")
    name = str(spec.get(field, one["name"]))
    if one["volume_type"] in {"empty_dir", "ephemeral"} or _NAME.fullmatch(name):
        return name
    raise BadArgument(
        f"volumes: no object of Kubernetes can be called '{name}'; give the name of "
        f"the {one['volume_type']} in spec: lower-case letters, digits, '-' and '.'"
    )


def _wish(
    spec: Mapping[str, Any], settings: Settings, mode: str = "ReadWriteOnce"
) -> Dict[str, Any]:
    """Return the spec of a claim."""
    made: Dict[str, Any] = {
        "accessModes": spec.get("accessModes") or [mode],
        "resources": {"requests": {"storage": spec.get("size", _EPHEMERAL)}},
    }
    kind = spec.get("storageClassName") or settings.storage_class
    if kind:
        made["storageClassName"] = kind
    return made


def _claim(
    run: Mapping[str, Any], one: Mapping[str, Any], settings: Settings
) -> List[Dict[str, Any]]:
    """Return the claim that a volume with a size wants; it outlives the run."""
    kind = one["volume_type"]
    spec = one.get("spec") or {}
    claims = {
        "persistent_volume_claim": "ReadWriteOnce",
        "shared_volume": "ReadWriteMany",
    }
    if kind not in claims or "size" not in spec:
        return []
    name = spec.get("claimName", one["name"])
    project = {f"{labels.DOMAIN}/project": labels.value(run["project"])}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": name,
                "namespace": settings.namespace,
                "labels": {"app.kubernetes.io/managed-by": "pybridge", **project},
            },
            "spec": _wish(spec, settings, claims[kind]),
        }
    ]
