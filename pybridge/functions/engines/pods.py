"""Pods: what became of a run, from what a cluster says of its pods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Mapping, Optional

from pybridge.errors import BridgeError
from pybridge.functions import container
from pybridge.functions.manager import outcome

if TYPE_CHECKING:
    from pybridge.functions.engines.cluster import Cluster

__all__ = ["RUN", "failure", "has_started", "restarts", "told", "waiting"]

RUN = "run"  # the container that the function runs in
# Reasons to wait that time does not cure.
HOPELESS = ("InvalidImageName", "CreateContainerConfigError", "ErrImageNeverPull")


def _statuses(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is said of the containers of a pod, in the order that they start."""
    status = pod.get("status") or {}
    return [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]


def has_started(pod: Mapping[str, Any]) -> bool:
    """Does the function run, or has it?"""
    return any(
        one["name"] == RUN and not (one.get("state") or {}).get("waiting")
        for one in _statuses(pod)
    )


def restarts(pod: Mapping[str, Any]) -> int:
    """Return how often a container of a pod was started again."""
    return max((int(one.get("restartCount") or 0) for one in _statuses(pod)), default=0)


def waiting(pod: Mapping[str, Any]) -> tuple[str, str]:
    """Return why a pod waits: the reason, and words; ("", "") where it does not."""
    for one in _statuses(pod):
        found = (one.get("state") or {}).get("waiting") or {}
        if found.get("reason") not in {None, "PodInitializing", "ContainerCreating"}:
            return found["reason"], str(found.get("message") or "")
    for one in (pod.get("status") or {}).get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return str(one.get("reason")), str(one.get("message") or "")
    return "", ""


def told(
    cluster: Cluster, pod: Mapping[str, Any], *, previous: bool = False
) -> Optional[dict[str, Any]]:
    """Return what a run has told at its end, from the last lines of its pod."""
    name = pod["metadata"]["name"]
    found = None
    try:
        for line in cluster.log(name, RUN, previous=previous):
            if line.startswith(container.LINE):
                found = line[len(container.LINE) :]
    except BridgeError:  # it was never started, or its node is gone
        return None
    try:
        made = json.loads(found or "")
    except ValueError:
        return None
    return made if isinstance(made, dict) else None


def failure(pod: Optional[Mapping[str, Any]], attempt: int) -> dict[str, Any]:
    """Return why a pod has failed that has not told it itself."""
    kind, message, stage = "ProcessDied", "the pod is gone", "execute"
    if pod is not None:
        kind, message, stage = _epitaph(pod)
    return outcome.failure(kind, message, stage, attempt)


def _epitaph(pod: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return type, message and stage of a pod's failure."""
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    if status.get("reason") == "DeadlineExceeded":
        return "TimeoutError", f"pod '{name}' took longer than its timeout", "execute"
    for one in _statuses(pod):
        for when in ("state", "lastState"):
            ended = (one.get(when) or {}).get("terminated")
            if ended and ended.get("exitCode"):
                stage = "execute" if one["name"] == RUN else "environment"
                return (*_ending(name, one, ended), stage)
    reason, words = waiting(pod)
    told = f"pod '{name}' {status.get('phase', 'is gone')}"
    for word in (reason or status.get("reason"), words or status.get("message")):
        told += f": {word}" if word else ""
    return "ProcessDied", told, "environment" if reason else "execute"


def _ending(
    pod: str, one: Mapping[str, Any], ended: Mapping[str, Any]
) -> tuple[str, str]:
    """Return type and message of a container's end."""
    reason = ended.get("reason") or "Error"
    if reason == "OOMKilled":
        told = f"container '{one['name']}' of pod '{pod}' was killed"
        return "MemoryError", f"{told}: its memory limit was reached"
    words = " ".join(str(ended.get("message") or "").split())[-500:]
    try:
        last = json.loads(ended.get("message") or "")
    except ValueError:
        last = None
    if isinstance(last, dict) and last.get("type"):
        start = f"{last['type']}: "
        message = str(last.get("message") or "")
        return str(last["type"]), message.removeprefix(start)
    how = f"ended with exit status {ended['exitCode']}"
    told = f"container '{one['name']}' of pod '{pod}' {how} ({reason})"
    return "ProcessDied", f"{told}: {words}" if words else told
