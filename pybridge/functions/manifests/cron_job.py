"""Cron job: a run that begins again and again, each time anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from pybridge.functions.manifests import job, labels, names

if TYPE_CHECKING:
    from pybridge.functions.manifests import pod

__all__ = ["of_run"]


def of_run(made: pod.Made) -> Dict[str, Any]:
    """Return the cron job of a run with a schedule."""
    name = names.dns(names.of_run(made.run, "j"), names.CRON_JOB)
    metadata = {
        "labels": labels.of_run(made.run, made.settings),
        "annotations": labels.notes(made.run, made.settings),
    }
    spec: Dict[str, Any] = {
        "schedule": made.run["spec"]["schedule"],
        "concurrencyPolicy": "Forbid",
        "suspend": False,
        "jobTemplate": {"metadata": metadata, "spec": job.spec(made, fresh=True)},
    }
    if made.settings.time_zone:
        spec["timeZone"] = made.settings.time_zone
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": labels.metadata(made.run, made.settings, name),
        "spec": spec,
    }
