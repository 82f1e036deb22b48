"""Metrics of members have one home, so that a member that left is not measured any more, whatever part of the program counted it."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, TypeVar

from prometheus_client import Counter, Gauge, Histogram

Metric = Counter | Gauge | Histogram
M = TypeVar("M", Counter, Gauge, Histogram)
_METRICS: Final[list[Metric]] = []


def of_member(metric: M) -> M:
    """A metric whose only label is ``member_cluster``."""
    _METRICS.append(metric)
    return metric


def forget_member(cluster: str) -> None:
    forget(cluster, _METRICS)


def forget(cluster: str, metrics: list[Metric] | tuple[Metric, ...]) -> None:
    """For the time being: those of a part that does not look at the member any more."""
    for metric in metrics:
        with suppress(KeyError):
            metric.remove(cluster)
