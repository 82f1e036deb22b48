"""How many replicas would bring a metric to its target: the formulas of Kubernetes' HPA, over the pods of all clusters.

``calibration`` is how many replicas the clusters have for each one of the template: 1 where they are divided, the number of clusters
where they are duplicated. Counts of pods and sums over them are in the clusters' replicas, what is returned in the template's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from .metrics import PodMetric, PodMetrics
from .pods import Groups, Tuning, is_counted_ready
from .podset import CannotCompute, PodSet

MOST: Final = 2**31 - 1
_NO_PODS: Final = "no pods returned by selector while calculating replica count"
_NO_SAMPLES: Final = "did not receive metrics for any ready pods"


class Workload(NamedTuple):
    """``replicas``: of the template; ``status_replicas``: what the clusters report, together."""

    replicas: int
    status_replicas: int
    calibration: float
    pods: PodSet


class Proposal(NamedTuple):
    """``usage``: the average in thousandths, or the value of an object's metric. ``utilization``: per cent of what is requested."""

    replicas: int
    usage: int
    utilization: int = 0


def by_utilization(
    metrics: PodMetrics, workload: Workload, target: int, resource: str, container: str, tuning: Tuning, now: float
) -> Proposal:
    """``target``: per cent of the requests. Raises CannotCompute."""
    if not workload.pods:
        raise CannotCompute(_NO_PODS)
    groups = workload.pods.grouped(metrics, resource, tuning, now)
    requests = workload.pods.requests(resource, container)
    samples = _without(metrics, groups.ignored | groups.unready)
    if not samples:
        raise CannotCompute(_NO_SAMPLES)
    ratio, utilization, average = _utilization(samples, requests, target)
    if not (groups.unready and ratio > 1) and not groups.missing:
        return Proposal(_followed(workload, ratio, groups.ready, tuning), average, utilization)
    percent = max(100, target)
    samples = _guessed(samples, groups, ratio, {name: requests[name] * percent // 100 for name in groups.missing})
    completed = _utilization(samples, requests, target)[0]
    return Proposal(_followed_with_care(workload, ratio, completed, len(samples), tuning), average, utilization)


def by_average(
    metrics: PodMetrics, workload: Workload, target: int, resource: str, tuning: Tuning, now: float
) -> Proposal:
    """``target``: thousandths for each pod. ``resource``: "" for a custom metric. Raises CannotCompute."""
    if not workload.pods:
        raise CannotCompute(_NO_PODS)
    groups = workload.pods.grouped(metrics, resource, tuning, now)
    samples = _without(metrics, groups.ignored | groups.unready)
    if not samples:
        raise CannotCompute(_NO_SAMPLES)
    usage = _average(samples)
    ratio = usage / target
    if not (groups.unready and ratio > 1) and not groups.missing:
        return Proposal(_followed(workload, ratio, groups.ready, tuning), usage)
    samples = _guessed(samples, groups, ratio, dict.fromkeys(groups.missing, target))
    completed = _average(samples) / target
    return Proposal(_followed_with_care(workload, ratio, completed, len(samples), tuning), usage)


def by_value(usage: int, workload: Workload, target: int, tuning: Tuning) -> Proposal:
    """The metric of one object, as a whole. ``usage``, ``target``: thousandths. Raises CannotCompute."""
    ratio = usage / target
    if workload.replicas == 0:
        return Proposal(_int32(ratio), usage)
    if abs(1 - ratio) <= tuning.tolerance:
        return Proposal(workload.replicas, usage)
    if not workload.pods:
        raise CannotCompute(f"unable to calculate ready pods: {_NO_PODS}")
    ready = sum(map(is_counted_ready, workload.pods))
    return Proposal(_int32(_calibrated(ratio * ready, workload)), usage)


def by_value_for_each(usage: int, workload: Workload, target: int, tuning: Tuning) -> Proposal:
    """The metric of one object, shared out among the replicas. ``usage``, ``target``: thousandths."""
    count = workload.status_replicas
    wanted: float = count
    if not count or abs(1 - usage / (target * count)) > tuning.tolerance:
        wanted = math.ceil(usage / target)
    average = -(-usage // count) if count else 0
    return Proposal(_int32(_calibrated(wanted, workload)), average)


def _utilization(metrics: PodMetrics, requests: Mapping[str, int], target: int) -> tuple[float, int, int]:
    """The ratio to the target, per cent of the requests, and the average in thousandths. Raises CannotCompute."""
    values = [metric.value for name, metric in metrics.items() if name in requests]
    is_all = len(values) == len(requests)
    asked = sum(requests.values()) if is_all else sum(requests[name] for name in metrics if name in requests)
    if not asked:
        raise CannotCompute("no metrics returned matched known pods")
    used = sum(values)
    percent = min(_quotient(used * 100, asked), MOST)
    return percent / target, percent, _quotient(used, len(values))


def _average(metrics: PodMetrics) -> int:
    return _quotient(sum(metric.value for metric in metrics.values()), len(metrics))


def _quotient(value: int, count: int) -> int:
    """Towards zero, as Go divides: a custom metric may be negative."""
    return value // count if value >= 0 else -(-value // count)


def _guessed(metrics: PodMetrics, groups: Groups, ratio: float, busy: Mapping[str, int]) -> PodMetrics:
    """With what pods without a sample may use, so that nothing is scaled further than they all would justify: before scaling down
    as much as in ``busy``, before scaling up nothing; and pods that are not ready use nothing before scaling up."""
    if ratio < 1:
        return metrics | {name: PodMetric(value, 0, 0) for name, value in busy.items()}
    if ratio > 1:
        return metrics | {name: PodMetric(0, 0, 0) for name in groups.missing | groups.unready}
    return metrics


def _without(metrics: PodMetrics, names: frozenset[str]) -> PodMetrics:
    return {name: metric for name, metric in metrics.items() if name not in names} if names else metrics


def _followed(workload: Workload, ratio: float, ready: int, tuning: Tuning) -> int:
    if abs(1 - ratio) <= tuning.tolerance:
        return workload.replicas
    return _int32(_calibrated(ratio * ready, workload))


def _followed_with_care(workload: Workload, ratio: float, completed: float, counted: int, tuning: Tuning) -> int:
    """With guesses for some pods (``completed``) the count never changes in the other direction than without them."""
    current = workload.replicas
    turned = (ratio < 1 < completed) or (ratio > 1 > completed)
    if abs(1 - completed) <= tuning.tolerance or turned:
        return current
    wanted = _int32(_calibrated(completed * counted, workload))
    if (completed < 1 and wanted > current) or (completed > 1 and wanted < current):
        return current
    return wanted


def _calibrated(replicas: float, workload: Workload) -> float:
    """A template of no replicas has none in the clusters either: none are proposed."""
    return replicas / workload.calibration if workload.calibration else 0.0


def _int32(replicas: float) -> int:
    """Rounded up, and no number that a template could not have."""
    return max(0, min(math.ceil(replicas), MOST)) if math.isfinite(replicas) else MOST
