"""Settings: [functions.kubernetes], what a cluster wants of all that goes there."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from pybridge.errors import BadArgument
from pybridge.functions.faults import nearest

__all__ = ["Settings", "read"]

_DAYS = 3 * 24 * 3600


class Settings(NamedTuple):
    """How objects are made for a cluster; those that it is reached by come first."""

    kubeconfig: Optional[str] = None
    context: Optional[str] = None
    namespace: str = "default"
    node_host: Optional[str] = None  # where the ports of nodes are reached
    domain: str = "cluster.local"
    registry: Optional[str] = None  # where images are that were built: "ghcr.io/me"
    images: Mapping[str, str] = {}  # version of Python -> image
    pull_policy: Optional[str] = None
    pull_secrets: Tuple[str, ...] = ()
    install: bool = True  # what the image may not have, when the pod starts
    service_account: Optional[str] = None
    user: int = 10001
    group: int = 10001
    run_as_non_root: bool = True
    read_only_root: bool = False
    gpu: str = "nvidia.com/gpu"
    store: Optional[str] = None  # a claim for stores that outlive their pods
    storage_class: Optional[str] = None
    outputs: Optional[str] = None  # where large ones go: "s3://bucket/runs"
    deadline: int = _DAYS  # seconds for a job without a timeout
    ttl: Optional[int] = None  # seconds after which a job that has ended is removed
    time_zone: Optional[str] = None  # of schedules
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


_TEXTS = (
    "kubeconfig",
    "context",
    "namespace",
    "node_host",
    "domain",
    "registry",
    "pull_policy",
    "service_account",
    "gpu",
    "store",
    "storage_class",
    "outputs",
    "time_zone",
)
_FLAGS = ("install", "run_as_non_root", "read_only_root")
_NUMBERS = ("user", "group", "deadline", "ttl")
_TABLES = ("images", "labels", "annotations")
_POLICIES = ("Always", "IfNotPresent", "Never")


def read() -> Settings:
    """Return what the settings file says.

    Raises:
        BadArgument: something is unknown, or not what it has to be.

    """
    given = dict(_section())
    for name, value in given.items():
        if name not in Settings._fields:
            meant = nearest(name, Settings._fields)
            hint = f"did you mean '{meant}'? " if meant else ""
            raise BadArgument(
                f"[functions.kubernetes] {name} is unknown; {hint}there are "
                + ", ".join(Settings._fields)
            )
        wanted = _wanted(name, value)
        if wanted:
            raise BadArgument(
                f"[functions.kubernetes] {name} is {wanted}, not {value!r}"
            )
    if "pull_secrets" in given:
        given["pull_secrets"] = tuple(given["pull_secrets"])
    made = Settings(**given)
    if made.run_as_non_root and made.user == 0:
        raise BadArgument(
            "[functions.kubernetes] user is 0, which is root; name another one, or "
            "write run_as_non_root = false"
        )
    return made


def _section() -> Dict[str, Any]:
    from pybridge import settings

    found = settings.section("functions").get("kubernetes", {})
    if not isinstance(found, dict):
        raise BadArgument("[functions.kubernetes] is a table, not a value")
    return found


def _wanted(name: str, value: Any) -> str:
    """Return what a setting has to be, where it is something else."""
    if name == "pull_policy" and value not in _POLICIES:
        return "one of " + ", ".join(_POLICIES)
    if name in _TEXTS:
        return "" if isinstance(value, str) and value else "a text"
    if name in _FLAGS:
        return "" if isinstance(value, bool) else "true or false"
    if name in _NUMBERS:
        number = isinstance(value, int) and not isinstance(value, bool)
        return "" if number and value >= 0 else "a whole number of at least 0"
    if name in _TABLES:
        table = isinstance(value, dict) and all(
            isinstance(one, str) for one in value.values()
        )
        return "" if table else "a table of texts"
    texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return "" if texts else "a list of texts"
