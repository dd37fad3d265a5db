"""Manifests: a run as objects of Kubernetes, to be applied as they are.

A job is a Job, or with a schedule a CronJob; a service is a Deployment with a Service.
Beside it are config maps with the run, its source and what runs it, a secret with the
values of the secrets that it names, and claims for volumes that want one. The same run
gives the same objects, in the same order.
"""

from __future__ import annotations

from pybridge.functions.manifests.rendering import (
    WORKLOADS,
    Rendered,
    of_function,
    render,
    rendered,
)
from pybridge.functions.manifests.writing import text, write

__all__ = [
    "WORKLOADS",
    "Rendered",
    "of_function",
    "render",
    "rendered",
    "text",
    "write",
]
