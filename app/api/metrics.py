"""Request metrics under the names that Kubernetes dashboards know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

from app.catalog.kind import Kind

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


def observe(verb: str, target: Target, status: int, seconds: float) -> None:
    scope = "resource" if target.name else ("namespace" if target.namespace else "cluster")
    group, version, plural = target.group, target.version, target.plural
    REQUESTS.labels(verb, group, version, plural, target.subresource, scope, str(status)).inc()
    if verb != "WATCH":
        DURATION.labels(verb, group, version, plural).observe(seconds)


@contextmanager
def watching(kind: Kind) -> Iterator[None]:
    gauge = LONG_RUNNING.labels("WATCH", kind.group, kind.version, kind.plural)
    gauge.inc()
    try:
        yield
    finally:
        gauge.dec()
