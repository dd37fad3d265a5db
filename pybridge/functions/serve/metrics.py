"""Metrics of a service in Prometheus' form, summed over its replicas.

prometheus-client keeps the numbers of each process in a file of its own and adds them
up when it is asked. It decides so when it is imported: `prepare` comes first.
"""

from __future__ import annotations

import os
import shutil
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.serve.board import Board

__all__ = ["CONTENT_TYPE", "Metrics", "prepare"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


def prepare(directory: Path) -> None:
    """Have numbers counted in files of `directory`, beginning with nothing."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    os.environ[_VARIABLE] = str(directory)


class Metrics:
    """What is counted; made before the replicas are forked, used in each of them."""

    def __init__(self, board: Board) -> None:
        """Make the metrics."""
        import prometheus_client

        self._board = board
        self._requests = prometheus_client.Counter(
            "pybridge_requests",
            "Requests that were answered.",
            ["method", "status"],
            registry=None,  # the files are what is read
        )
        self._seconds = prometheus_client.Histogram(
            "pybridge_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            buckets=_SECONDS,
            registry=None,
        )
        self._refused = prometheus_client.Counter(
            "pybridge_requests_refused",
            "Requests that found no place.",
            ["reason"],
            registry=None,
        )
        self._restarts = prometheus_client.Counter(
            "pybridge_replica_restarts",
            "Replicas that were replaced.",
            ["reason"],
            registry=None,
        )
        self._children: dict[tuple[str, int], Any] = {}

    def answered(self, method: str, status: int, seconds: list[float]) -> None:
        """Count requests, by how long they took."""
        child = self._children.get((method, status))
        if child is None:
            known = method if method in _METHODS else "other"
            child = self._requests.labels(known, str(status))
            if known == method:
                self._children[method, status] = child
        child.inc(len(seconds))
        self._observe(seconds)

    def _observe(self, seconds: list[float]) -> None:
        """Count what `observe` would count one by one, at a fraction of the price."""
        histogram: Any = self._seconds
        try:
            buckets, bounds = histogram._buckets, histogram._upper_bounds  # noqa: SLF001
            total = histogram._sum  # noqa: SLF001
        except AttributeError:  # a version that is made otherwise
            for one in seconds:
                histogram.observe(one)
            return
        total.inc(sum(seconds))
        for index, number in Counter(
            bisect_left(bounds, one) for one in seconds
        ).items():
            buckets[index].inc(number)

    def refused(self, reason: str) -> None:
        """Count a request that found no place."""
        self._refused.labels(reason).inc()

    def restarted(self, reason: str) -> None:
        """Count a replica that was replaced."""
        self._restarts.labels(reason).inc()

    def text(self) -> bytes:
        """Return all numbers of all replicas."""
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess
        from prometheus_client.core import GaugeMetricFamily

        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        text = generate_latest(registry)
        active, connections = self._board.total()
        gauges = (
            ("pybridge_requests_in_progress", "Requests being worked on.", active),
            ("pybridge_connections", "Connections that are open.", connections),
        )
        families = [GaugeMetricFamily(n, t, value=v) for n, t, v in gauges]
        return text + generate_latest(_Families(families))


class _Families:
    """As much of a registry as is needed to write families down."""

    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        return self._families


_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
)
