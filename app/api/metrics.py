"""Prometheus metrics. Labels are route templates, methods and statuses: never an id or a value."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST

_registry = CollectorRegistry()
_requests = Counter(
    "cohortlink_requests_total", "Requests", ["method", "route", "status"], registry=_registry
)
_seconds = Histogram(
    "cohortlink_request_seconds", "Time to the answer, in seconds", ["method", "route"], registry=_registry
)
_things = Gauge("cohortlink_things", "How many there are", ["thing"], registry=_registry)


_runs = Gauge("cohortlink_runs", "Runs by state; QUEUED is the queue", ["state"], registry=_registry)


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count one request."""
    _requests.labels(method, route, str(status)).inc()
    _seconds.labels(method, route).observe(seconds)


def render(counts: Mapping[str, int], runs: Mapping[str, int]) -> bytes:
    """The exposition text."""
    for thing, count in counts.items():
        _things.labels(thing).set(count)
    for state, count in runs.items():
        _runs.labels(state).set(count)
    return generate_latest(_registry)
