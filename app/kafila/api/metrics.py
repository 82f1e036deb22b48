"""Request metrics under the names that Kubernetes dashboards know."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import final

from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from kafila.catalog.kind import Kind

from .request import Target

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LONG_RUNNING = Gauge("apiserver_longrunning_requests", "Open watches.", ["verb", "group", "version", "resource"])


@final
class _Served:
    """What is counted of requests that are alike. On the event loop alone, so that nothing has to be locked."""

    __slots__ = ("buckets", "count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(_BUCKETS) + 1)


# by verb, group, version, resource, subresource, scope and code
_SERVED: dict[tuple[str, str, str, str, str, str, int], _Served] = {}


@final
class _Requests(Collector):
    """Made of what was counted when somebody looks: prometheus_client's own counters cost a request five times as much."""

    def describe(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        yield CounterMetricFamily(
            "apiserver_request",
            "Requests by verb, resource and response code.",
            labels=["verb", "group", "version", "resource", "subresource", "scope", "code"],
        )
        yield HistogramMetricFamily(
            "apiserver_request_duration_seconds",
            "Response time of requests that are not watches.",
            labels=["verb", "group", "version", "resource"],
        )

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        requests, durations = self.describe()
        assert isinstance(requests, CounterMetricFamily)
        assert isinstance(durations, HistogramMetricFamily)
        timed: dict[tuple[str, str, str, str], _Served] = {}
        for labels, served in list(_SERVED.items()):
            requests.add_metric([*map(str, labels)], served.count)
            if labels[0] != "WATCH":
                total = timed.setdefault(labels[:4], _Served())
                total.seconds += served.seconds
                total.buckets = [a + b for a, b in zip(total.buckets, served.buckets, strict=True)]
        names = [*map(floatToGoString, _BUCKETS), "+Inf"]
        for key, total in timed.items():
            buckets = list(zip(names, accumulate(map(float, total.buckets)), strict=True))
            durations.add_metric([*key], buckets, total.seconds)
        yield requests
        yield durations


REGISTRY.register(_Requests())


def observe(verb: str, kind: Kind, target: Target, status: int, seconds: float) -> None:
    """Labels come from the kind, as far as they can be anything: whoever asks may name what is not there."""
    subresource = target.subresource if target.subresource in kind.subresources else ""
    scope = "resource" if target.name else ("namespace" if target.namespace else "cluster")
    labels = (verb, kind.group, kind.version, kind.plural, subresource, scope, status)
    served = _SERVED.get(labels)
    if served is None:
        served = _SERVED[labels] = _Served()
    served.count += 1
    served.seconds += seconds
    served.buckets[bisect_left(_BUCKETS, seconds)] += 1


@contextmanager
def watching(kind: Kind) -> Iterator[None]:
    gauge = LONG_RUNNING.labels("WATCH", kind.group, kind.version, kind.plural)
    gauge.inc()
    try:
        yield
    finally:
        gauge.dec()
