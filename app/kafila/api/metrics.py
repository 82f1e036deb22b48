"""Request metrics under the names that Kubernetes dashboards know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from kafila.catalog.kind import Kind

from .request import Target

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
REQUESTS = Counter(
    "apiserver_request_total",
    "Requests by verb, resource and response code.",
    ["verb", "group", "version", "resource", "subresource", "scope", "code"],
)
DURATION = Histogram(
    "apiserver_request_duration_seconds",
    "Response time of requests that are not watches.",
    ["verb", "group", "version", "resource"],
    buckets=_BUCKETS,
)
LONG_RUNNING = Gauge("apiserver_longrunning_requests", "Open watches.", ["verb", "group", "version", "resource"])


@cache  # finding the child of given labels costs more than counting
def _observers(
    verb: str, group: str, version: str, plural: str, subresource: str, scope: str, status: int
) -> tuple[Callable[[], None], Callable[[float], None] | None]:
    counted = REQUESTS.labels(verb, group, version, plural, subresource, scope, status)
    timed = DURATION.labels(verb, group, version, plural).observe if verb != "WATCH" else None
    return counted.inc, timed


def observe(verb: str, kind: Kind, target: Target, status: int, seconds: float) -> None:
    """Labels come from the kind, as far as they can be anything: whoever asks may name what is not there."""
    subresource = target.subresource if target.subresource in kind.subresources else ""
    scope = "resource" if target.name else ("namespace" if target.namespace else "cluster")
    count, time = _observers(verb, kind.group, kind.version, kind.plural, subresource, scope, status)
    count()
    if time is not None:
        time(seconds)


@contextmanager
def watching(kind: Kind) -> Iterator[None]:
    gauge = LONG_RUNNING.labels("WATCH", kind.group, kind.version, kind.plural)
    gauge.inc()
    try:
        yield
    finally:
        gauge.dec()
