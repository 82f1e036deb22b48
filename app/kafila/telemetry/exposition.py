"""Metrics as Prometheus reads them, in pieces: with thousands of members the whole text takes seconds to write.

The text is that of ``prometheus_client.generate_latest``, byte for byte (a test compares them). That one makes all of it at once; here a
metric's samples are made as they are written, so that whoever runs the event loop may give it to others between two pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, Protocol, runtime_checkable

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

PIECE: Final = 200  # samples: a millisecond or two
_SUFFIXES: Final = {"counter": "_total", "info": "_info"}
_TYPES: Final = {"info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram", "unknown": "untyped"}
_APART: Final = ("_created", "_gsum", "_gcount")  # samples that are gauges of their own in this format
Family = tuple[Metric, Iterable[Sample]]  # what is said of it, and its samples, made when they are asked for


@runtime_checkable
class Many(Protocol):
    """A collector of so many samples that they are not made at once."""

    def families(self) -> Iterator[Family]: ...


def exposition(registry: CollectorRegistry) -> Iterator[str]:
    """Pieces of the text, of :data:`PIECE` samples at most; what has none makes a piece as well."""
    for collector in list(
        registry._collector_to_names
    ):  # its own collect() lets each make all samples before the first is read
        for metric, samples in _families(collector):
            yield from _written(metric, iter(samples))


def _families(collector: object) -> Iterator[Family]:
    if isinstance(collector, MetricWrapperBase):
        (metric,) = collector.describe()
        yield metric, _samples(metric.name, collector)
    elif isinstance(collector, Many):
        yield from collector.families()
    else:
        for metric in collector.collect():  # type: ignore[attr-defined]
            yield metric, metric.samples


def _samples(name: str, collector: MetricWrapperBase) -> Iterator[Sample]:
    for sample in collector._samples():
        yield sample._replace(name=name + sample.name)


def _written(metric: Metric, samples: Iterator[Sample]) -> Iterator[str]:
    apart: dict[str, list[str]] = {metric.name + suffix: [] for suffix in _APART}
    head = _head(metric.name + _SUFFIXES.get(metric.type, ""), metric, _TYPES.get(metric.type, metric.type))
    while True:
        piece = list(islice(samples, PIECE))
        lines = [head]
        for sample in piece:
            apart.get(sample.name, lines).append(_line(sample))
        yield "".join(lines)
        head = ""
        if len(piece) < PIECE:
            break
    for name, kept in sorted(apart.items()):
        if kept:
            yield _head(name, metric, "gauge")
        for start in range(0, len(kept), PIECE):
            yield "".join(kept[start : start + PIECE])


def _head(name: str, metric: Metric, kind: str) -> str:
    text = metric.documentation.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(sample.labels.items()))
    value: str = floatToGoString(sample.value)  # type: ignore[no-untyped-call]
    return f"{sample.name}{{{labels}}} {value}\n" if labels else f"{sample.name} {value}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
