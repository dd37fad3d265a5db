"""Labels: by what objects are found, and which run they are of."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Dict, Mapping

from pybridge.functions import keys

if TYPE_CHECKING:
    from pybridge.functions.manifests.settings import Settings

__all__ = ["DOMAIN", "metadata", "notes", "of_run", "selector", "value"]

DOMAIN = "functions.pybridge"
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_PARTS = {"job": "job", "serve": "service"}


def value(text: str) -> str:
    """Return a text as the value of a label: the same one if it can be one."""
    if _VALUE.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    kept = re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:50].strip("_.-")
    return f"{kept}-{digest}" if kept else f"x-{digest}"


def selector(run: Mapping[str, Any]) -> Dict[str, str]:
    """Return the labels that the pods of a run have, and those of no other."""
    return {
        f"{DOMAIN}/project": value(run["project"]),
        f"{DOMAIN}/run": value(str(run["id"])),
    }


def of_run(run: Mapping[str, Any], settings: Settings) -> Dict[str, str]:
    """Return all labels of the objects of a run."""
    from pybridge import __version__

    spec = run["spec"]
    function = keys.parse_executable(spec["function"])
    action = spec.get("action") or "job"
    return {
        **{name: value(text) for name, text in settings.labels.items()},
        "app.kubernetes.io/name": value(function.name),
        "app.kubernetes.io/instance": value(str(run["id"])),
        "app.kubernetes.io/version": value(function.id),
        "app.kubernetes.io/component": _PARTS.get(action, action),
        "app.kubernetes.io/part-of": value(run["project"]),
        "app.kubernetes.io/managed-by": "pybridge",
        **selector(run),
        f"{DOMAIN}/function": value(function.name),
        f"{DOMAIN}/framework": "kubernetes",
        f"{DOMAIN}/runtime": f"python-{__version__}",
    }


def notes(run: Mapping[str, Any], settings: Settings) -> Dict[str, str]:
    """Return what is said of a run where all texts are taken."""
    return {
        **settings.annotations,
        f"{DOMAIN}/key": run["key"],
        f"{DOMAIN}/executable": run["spec"]["function"],
    }


def metadata(run: Mapping[str, Any], settings: Settings, name: str) -> Dict[str, Any]:
    """Return the metadata of an object of a run."""
    return {
        "name": name,
        "namespace": settings.namespace,
        "labels": of_run(run, settings),
        "annotations": notes(run, settings),
    }
