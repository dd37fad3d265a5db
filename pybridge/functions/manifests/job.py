"""Job: a run that ends."""

from __future__ import annotations

from typing import Any, Dict

from pybridge.functions.manifests import labels, names, pod

__all__ = ["of_run", "spec"]

_DELAY = 10  # seconds before Kubernetes tries a second time; doubled for each more
_LONGEST = 360


def of_run(made: pod.Made) -> Dict[str, Any]:
    """Return the job of a run."""
    name = names.of_run(made.run, "j")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": labels.metadata(made.run, made.settings, name),
        "spec": spec(made),
    }


def spec(made: pod.Made, *, fresh: bool = False) -> Dict[str, Any]:
    """Return what a job is, also where a cron job makes them."""
    given, settings = made.run["spec"], made.settings
    retries = int(given.get("backoff_limit") or 0)
    found: Dict[str, Any] = {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": retries,
        "activeDeadlineSeconds": _deadline(given.get("timeout"), retries)
        or settings.deadline,
        "template": pod.template(made, fresh=fresh),
    }
    if settings.ttl is not None:
        found["ttlSecondsAfterFinished"] = settings.ttl
    return found


def _deadline(timeout: Any, retries: int) -> int:
    """Return the seconds for all attempts, each with its timeout; 0 without one."""
    if not timeout:
        return 0
    delays = (min(_DELAY << min(n, 10), _LONGEST) for n in range(retries))
    return pod.seconds(timeout) * (retries + 1) + sum(delays)
