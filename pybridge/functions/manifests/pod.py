"""Pod: what a job and a service have in common."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple

from pybridge.errors import BadArgument
from pybridge.functions.manifests import (
    amounts,
    config_map,
    labels,
    secret,
    security,
    volumes,
)

if TYPE_CHECKING:
    from pybridge.functions.manifests.payload import Image, Payload
    from pybridge.functions.manifests.settings import Settings

__all__ = ["CONFIG", "PORT_NAME", "Made", "port", "seconds", "template"]

CONFIG = f"{volumes.OWN}/config"
PLACE = f"{volumes.OWN}/run"
STORE = f"{volumes.OWN}/store"
PORT_NAME = "http"
_PORT = 8080
_RUNTIME = f"{PLACE}/runtime"
_PYTHON = f"{PLACE}/venv/bin/python"
_SLEEP = 3  # seconds in which a cluster notices that a pod takes no more requests
_PROBES = 5


class Made(NamedTuple):
    """What objects are made from: a run with its profile, and what goes with it."""

    run: Mapping[str, Any]
    image: Image
    payload: Payload
    volumes: volumes.Volumes
    settings: Settings


def seconds(value: float) -> int:
    """Return a time as Kubernetes has it: whole seconds, not less."""
    return max(1, math.ceil(value))


def port(run: Mapping[str, Any]) -> int:
    """Return the port that a service listens on."""
    return int(run["spec"].get("port") or _PORT)


def template(made: Made, *, fresh: bool = False) -> Dict[str, Any]:
    """Return the template of a run's pods; `fresh` gives each a run of its own."""
    run, settings = made.run, made.settings
    spec = run["spec"]
    served = spec.get("action") == "serve"
    pod: Dict[str, Any] = {
        "restartPolicy": "Always" if served else "Never",
        "automountServiceAccountToken": settings.service_account is not None,
        "enableServiceLinks": False,
        "securityContext": security.of_pod(settings),
    }
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    if settings.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    pod.update(_placement(spec))
    if served:
        grace = spec.get("drain_timeout") or 30
        pod["terminationGracePeriodSeconds"] = seconds(grace) + _SLEEP + 2
    elif spec.get("timeout"):
        pod["activeDeadlineSeconds"] = seconds(spec["timeout"])
    if not made.image.whole:
        pod["initContainers"] = [_preparing(made)]
    pod["containers"] = [_running(made, fresh=fresh)]
    pod["volumes"] = [*_own_volumes(made), *made.volumes.volumes]
    texts = json.dumps(made.payload.texts)  # the values of secrets show in no digest
    content = hashlib.sha256(texts.encode()).hexdigest()[:16]
    return {
        "metadata": {
            "labels": labels.of_run(run, settings),
            "annotations": {
                **labels.notes(run, settings),
                f"{labels.DOMAIN}/content": content,  # other content is other pods
            },
        },
        "spec": pod,
    }


def _placement(spec: Mapping[str, Any]) -> Dict[str, Any]:
    """Return where a pod may run."""
    made: Dict[str, Any] = {}
    if spec.get("node_selector"):
        made["nodeSelector"] = _selector(spec["node_selector"])
    if spec.get("affinity"):
        made["affinity"] = spec["affinity"]
    if spec.get("tolerations"):
        made["tolerations"] = spec["tolerations"]
    if spec.get("runtime_class"):
        made["runtimeClassName"] = spec["runtime_class"]
    if spec.get("priority_class"):
        made["priorityClassName"] = spec["priority_class"]
    return made


def _selector(given: List[Mapping[str, str]]) -> Dict[str, str]:
    made: Dict[str, str] = {}
    for one in given:
        if made.setdefault(one["key"], one["value"]) != one["value"]:
            raise BadArgument(
                f"node_selector: '{one['key']}' is to be both '{made[one['key']]}' and "
                f"'{one['value']}', which no node is; give one of them"
            )
    return made


# ---- Containers ----------------------------------------------------------------------


def _preparing(made: Made) -> Dict[str, Any]:
    """Return the container that gives an image what it has not."""
    command = ["python3", f"{CONFIG}/{config_map.PREPARE}", CONFIG, PLACE]
    if made.settings.install:
        command.append("--install")
    variables = [
        one
        for one in _declared(made)
        if one["name"]
        .upper()
        .startswith(("PIP_", "HTTP_", "HTTPS_", "NO_PROXY", "SSL_"))
    ]
    return {
        **_container(made, "prepare"),
        "command": command,
        "env": [*variables, *_home()],
        "volumeMounts": _own_mounts(made),
    }


def _running(made: Made, *, fresh: bool) -> Dict[str, Any]:
    """Return the container of the run itself."""
    run = made.run
    python = _PYTHON if made.settings.install and not made.image.whole else "python3"
    command = [python, "-m", "pybridge.functions.container"]
    command += ["--spec", f"{CONFIG}/run.json", "--store", _store(made)]
    if fresh:
        command.append("--new")
    container: Dict[str, Any] = {
        **_container(made, "run"),
        "command": command,
        "env": _variables(made),
        "volumeMounts": [*_own_mounts(made), *made.volumes.mounts],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if run["spec"].get("action") == "serve":
        container["command"] = [*command, "--port", str(port(run))]
        container.update(_serving(run))
    return container


def _container(made: Made, name: str) -> Dict[str, Any]:
    settings = made.settings
    container: Dict[str, Any] = {"name": name, "image": made.image.name}
    if settings.pull_policy:
        container["imagePullPolicy"] = settings.pull_policy
    resources = amounts.of_spec(made.run["spec"].get("resources"), settings)
    if resources:
        container["resources"] = resources
    container["securityContext"] = security.of_container(settings)
    return container


def _serving(run: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the port of a service, and how it is asked whether it answers."""
    start = seconds(run["spec"].get("start_timeout") or 300)

    def probe(path: str, **more: int) -> Dict[str, Any]:
        ask = {"path": path, "port": PORT_NAME, "scheme": "HTTP"}
        return {"httpGet": ask, "periodSeconds": _PROBES, "timeoutSeconds": 3, **more}

    return {
        "ports": [
            {"name": PORT_NAME, "containerPort": port(run), "protocol": "TCP"},
        ],
        "startupProbe": probe("/readyz", failureThreshold=-(-start // _PROBES)),
        "readinessProbe": probe("/readyz", failureThreshold=2),
        "livenessProbe": probe("/livez", failureThreshold=6),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_SLEEP)]}}},
    }


# ---- Variables -----------------------------------------------------------------------


def _variables(made: Made) -> List[Dict[str, Any]]:
    """Return the variables of a run: the user's, then ours, then secrets.

    Where a name is there twice, a secret counts first, as on this machine.
    """
    run = made.run
    secrets = secret.variables(run, made.payload)
    taken = {one["name"] for one in secrets}
    ours = [
        {"name": "PROJECT_NAME", "value": run["project"]},
        {"name": "RUN_ID", "value": str(run["id"])},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        *_home(),
    ]
    if made.payload.secrets:
        name = config_map.name_of(run)
        ours.append({"name": "PYBRIDGE_SECRET", "value": name})
    declared = [one for one in _declared(made) if one["name"] not in taken]
    if not made.image.whole:
        declared = _with_runtime(declared)
    names = {one["name"] for one in declared} | taken
    return [*declared, *(one for one in ours if one["name"] not in names), *secrets]


def _declared(made: Made) -> List[Dict[str, Any]]:
    return [
        {"name": one["name"], "value": str(one["value"])}
        for one in made.run["spec"].get("envs") or ()
    ]


def _home() -> List[Dict[str, Any]]:
    return [{"name": "HOME", "value": PLACE}]


def _with_runtime(declared: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return the variables with the one by which Python finds the runtime."""
    name = "PYTHONPATH"
    given = [one["value"] for one in declared if one["name"] == name]
    rest = [one for one in declared if one["name"] != name]
    return [*rest, {"name": name, "value": ":".join([_RUNTIME, *given])}]


# ---- Volumes -------------------------------------------------------------------------


def _own_volumes(made: Made) -> List[Dict[str, Any]]:
    maps = [config_map.name_of(made.run)]
    if not made.image.whole:
        maps.append(config_map.runtime_name())
    sources = [{"configMap": {"name": name}} for name in maps]
    own: List[Dict[str, Any]] = [
        {"name": "pybridge-config", "projected": {"sources": sources}},
        {"name": "pybridge-run", "emptyDir": {}},
        {"name": "pybridge-tmp", "emptyDir": {}},
    ]
    if _keeps(made):
        claim = {"claimName": made.settings.store}
        own.append({"name": "pybridge-store", "persistentVolumeClaim": claim})
    return own


def _own_mounts(made: Made) -> List[Dict[str, Any]]:
    mounts: List[Dict[str, Any]] = [
        {"name": "pybridge-config", "mountPath": CONFIG, "readOnly": True},
        {"name": "pybridge-run", "mountPath": PLACE},
        {"name": "pybridge-tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
    ]
    if _keeps(made):
        mounts.append({"name": "pybridge-store", "mountPath": STORE})
    return mounts


def _keeps(made: Made) -> bool:
    """Does the store outlive the pod? Those of a service would share one."""
    return bool(made.settings.store) and made.run["spec"].get("action") != "serve"


def _store(made: Made) -> str:
    return STORE if _keeps(made) else f"{PLACE}/store"
