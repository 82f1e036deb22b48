"""Request metrics under the names and with the labels of kube-apiserver.

They are counted in plain numbers, found by what a request was, and made into metrics when somebody asks: a request pays for a few
additions. Labels come from kinds and from what is known of verbs; whoever asks may name what is not there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, final

from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from kafila.catalog.kind import Kind
from kafila.telemetry.distribution import Distribution

from .request import Target

SECONDS: Final = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0),
    *(15.0, 20.0, 30.0, 45.0, 60.0),
)
BYTES: Final = tuple(1000.0 * 10**power for power in range(7))
LABELS: Final = ("verb", "group", "version", "resource", "subresource", "scope", "component")
_SERVER: Final = "apiserver"
_METHODS: Final = {"create": "POST", "update": "PUT"}  # verbs that have another name here
_READING: Final = frozenset({"GET", "LIST"})
LONG_RUNNING = Gauge("apiserver_longrunning_requests", "Open watches.", LABELS)


@final
class Counted:
    """Requests that are alike."""

    __slots__ = ("codes", "seconds", "sizes")

    def __init__(self, verb: str) -> None:
        self.codes: dict[int, int] = {}
        self.seconds = Distribution(SECONDS) if verb != "WATCH" else None
        self.sizes = Distribution(BYTES) if verb in _READING else None

    def add(self, status: int, seconds: float, size: int) -> None:
        self.codes[status] = self.codes.get(status, 0) + 1
        if (found := self.seconds) is not None:
            found.counts[bisect_left(SECONDS, seconds)] += 1
            found.sum += seconds
        if (found := self.sizes) is not None:
            found.counts[bisect_left(BYTES, size)] += 1
            found.sum += size


_counted: dict[tuple[str, str, str, str, str, str, bool], Counted] = {}
_refused: dict[tuple[str, str, str, str, str, str], int] = {}  # by the labels but the component


def _names(verb: str, kind: Kind, target: Target) -> tuple[str, str, str, str, str, str]:
    subresource = target.subresource if target.subresource in kind.subresources else ""
    scope = "resource" if target.name or verb == "create" else ("namespace" if target.namespace else "cluster")
    return _METHODS.get(verb) or verb.upper(), kind.group, kind.version, kind.plural, subresource, scope


def observe(verb: str, kind: Kind, target: Target, dry_run: bool, status: int, seconds: float, size: int) -> None:
    """``verb``: Kubernetes'; ``size``: bytes of the answer's body, as far as it was sent in one piece."""
    counted(verb, kind, target, dry_run).add(status, seconds, size)


def counted(verb: str, kind: Kind, target: Target, dry_run: bool) -> Counted:
    """Those that are like this one."""
    key = (*_names(verb, kind, target), dry_run)
    found = _counted.get(key)
    if found is None:
        found = _counted[key] = Counted(key[0])
    return found


def refused(verb: str, kind: Kind, target: Target) -> None:
    """A request that was told to come again."""
    names = _names(verb, kind, target)
    _refused[names] = _refused.get(names, 0) + 1


@contextmanager
def watching(kind: Kind, target: Target) -> Iterator[None]:
    gauge = LONG_RUNNING.labels(*_names("watch", kind, target), _SERVER)
    gauge.inc()
    try:
        yield
    finally:
        gauge.dec()


@final
class Requests(Collector):
    def describe(self) -> Iterable[Metric]:
        return self._families()

    def _families(self) -> tuple[Any, Any, Any, Any]:
        return (
            CounterMetricFamily(
                "apiserver_request_total", "Requests by what they were and how they ended.", labels=(*_DRY, "code")
            ),
            HistogramMetricFamily(
                "apiserver_request_duration_seconds", "Response time of requests that are not watches.", labels=_DRY
            ),
            HistogramMetricFamily("apiserver_response_sizes", "Bytes of what was read.", labels=LABELS),
            CounterMetricFamily(
                "apiserver_request_terminations_total",
                "Requests that the server has refused in self-defense.",
                labels=(*LABELS, "code"),
            ),
        )

    def collect(self) -> Iterator[Metric]:
        for family, samples in self.families():
            family.samples = list(samples)
            yield family

    def families(self) -> Iterator[tuple[Metric, Iterator[Sample]]]:
        """As :class:`kafila.telemetry.exposition.Many`: there may be very many kinds."""
        total, seconds, sizes, terminations = self._families()
        yield total, _one_by_one(total, self._of_totals(total))
        yield seconds, _one_by_one(seconds, self._of_seconds(seconds))
        yield sizes, _one_by_one(sizes, self._of_sizes(sizes))
        yield terminations, _one_by_one(terminations, self._of_terminations(terminations))

    def _of_totals(self, family: CounterMetricFamily) -> Iterator[None]:
        for key, counted in list(_counted.items()):
            labels = _labels(key)
            for code, count in list(counted.codes.items()):
                family.add_metric([*labels, str(code)], count)
            yield

    def _of_seconds(self, family: HistogramMetricFamily) -> Iterator[None]:
        for key, counted in list(_counted.items()):
            if counted.seconds is not None:
                family.add_metric(_labels(key), counted.seconds.buckets(), counted.seconds.sum)
                yield

    def _of_sizes(self, family: HistogramMetricFamily) -> Iterator[None]:
        for (*names, _), counted in list(_counted.items()):
            if counted.sizes is not None:
                family.add_metric([*names, _SERVER], counted.sizes.buckets(), counted.sizes.sum)
                yield

    def _of_terminations(self, family: CounterMetricFamily) -> Iterator[None]:
        for names, count in list(_refused.items()):
            family.add_metric([*names, _SERVER, "429"], count)
            yield


def _labels(key: tuple[str, str, str, str, str, str, bool]) -> list[str]:
    verb, *names, dry_run = key
    return [verb, "All" if dry_run else "", *names, _SERVER]


def _one_by_one(family: Metric, adding: Iterator[None]) -> Iterator[Sample]:
    """The samples that each step of ``adding`` puts into the family, which keeps none of them."""
    for _ in adding:
        added, family.samples = family.samples, []
        yield from added


_DRY: Final = ("verb", "dry_run", *LABELS[1:])
REGISTRY.register(Requests())
