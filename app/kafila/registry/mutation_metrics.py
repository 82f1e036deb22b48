"""What mutations of policies came to, under the names of kube-apiserver: plain numbers, made into metrics when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, final

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from kafila.telemetry.distribution import Distribution

BOUNDS: Final = (0.0000005, 0.001, 0.01, 0.1, 1.0)  # seconds
_LABELS: Final = ("policy", "policy_binding", "error_type")
_counted: dict[tuple[str, str, str], Distribution] = {}  # by the labels


def observe(policy: str, binding: str, outcome: str, seconds: float) -> None:
    found = _counted.get((policy, binding, outcome))
    if found is None:
        found = _counted.setdefault((policy, binding, outcome), Distribution(BOUNDS))
    found.counts[bisect_left(BOUNDS, seconds)] += 1
    found.sum += seconds


@final
class Mutations(Collector):
    def describe(self) -> Iterable[Metric]:
        return self._families()

    def _families(self) -> tuple[CounterMetricFamily, HistogramMetricFamily]:
        return (
            CounterMetricFamily(
                "apiserver_mutating_admission_policy_check_total",
                "Mutation admission policy check total, labeled by policy and further identified by binding.",
                labels=_LABELS,
            ),
            HistogramMetricFamily(
                "apiserver_mutating_admission_policy_check_duration_seconds",
                "Mutation admission latency for individual mutation expressions in seconds, labeled by policy and binding.",
                labels=_LABELS,
            ),
        )

    def collect(self) -> Iterator[Metric]:
        checks, seconds = self._families()
        for labels, found in list(_counted.items()):
            checks.add_metric(labels, found.total)
            seconds.add_metric(labels, found.buckets(), found.sum)
        yield checks
        yield seconds


REGISTRY.register(Mutations())
