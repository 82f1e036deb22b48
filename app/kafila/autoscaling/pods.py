"""A member's pod, reduced to what a replica count follows from, and which of several pods can be counted."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kafila.core.clock import parse_rfc3339
from kafila.core.conditions import find
from kafila.core.values import Object

from .metrics import PodMetrics, milli

CPU: Final = "cpu"
Requests = tuple[tuple[str, tuple[tuple[str, int], ...]], ...]  # container, and thousandths of each resource
MOST_CONTAINERS: Final = 1000  # of one pod that are looked at
_interned: dict[Requests, Requests] = {}  # pods of one template ask for the same
_interned_labels: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
_INTERN_LIMIT: Final = 65_536  # as many workloads as there may be autoscalers of


class Pod(NamedTuple):
    """``started`` and ``ready_since``: Unix seconds, None where the pod does not say. ``ready``: status of the condition Ready,
    "" without one."""

    name: str
    labels: Mapping[str, str]
    phase: str
    deleted: bool
    started: float | None
    ready: str
    ready_since: float
    requests: Requests


class Tuning(NamedTuple):
    """The flags ``--horizontal-pod-autoscaler-*``; times in seconds."""

    tolerance: float = 0.1
    cpu_initialization_period: float = 300.0
    initial_readiness_delay: float = 30.0
    downscale_stabilization: float = 300.0


class Groups(NamedTuple):
    """How many pods are ready with a sample, and the names of the others."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def pod_of(obj: Object) -> Pod:
    """Raises ValueError, TypeError, AttributeError or KeyError for an object that is no pod."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    ready = find(status.get("conditions"), "Ready") or {}
    since, started = ready.get("lastTransitionTime"), status.get("startTime")
    return Pod(
        metadata["name"],
        shared_labels(metadata.get("labels") or {}),
        sys.intern(status.get("phase") or ""),
        bool(metadata.get("deletionTimestamp")),
        parse_rfc3339(started) if started else None,
        sys.intern(ready.get("status") or ""),
        parse_rfc3339(since) if since else 0.0,
        _requests(spec.get("containers") or ()),
    )


def shared_labels(given: Mapping[str, str]) -> Mapping[str, str]:
    """Pods of one template have one map of labels: whoever looks at many looks at it once. Raises TypeError for what are none."""
    known = _interned_labels.get(tuple(given.items()))
    if known is not None:
        return known
    labels = {sys.intern(key): sys.intern(value) for key, value in given.items()}
    if len(_interned_labels) > _INTERN_LIMIT:
        _interned_labels.clear()
    return _interned_labels.setdefault(tuple(labels.items()), labels)


def _requests(containers: Sequence[Object]) -> Requests:
    found = tuple(
        (
            sys.intern(container["name"]),
            tuple(
                (sys.intern(name), milli(amount))
                for name, amount in sorted(((container.get("resources") or {}).get("requests") or {}).items())
            ),
        )
        for container in containers[:MOST_CONTAINERS]
    )
    if len(_interned) > _INTERN_LIMIT:
        _interned.clear()
    return _interned.setdefault(found, found)


def is_counted_ready(pod: Pod) -> bool:
    return pod.phase == "Running" and pod.ready == "True"


def grouped(pods: Iterable[Pod], metrics: PodMetrics, resource: str, tuning: Tuning, now: float) -> Groups:
    """``resource``: "" where the samples are of no resource. Only for CPU it matters how long a pod has been running."""
    ready = 0
    unready, missing, ignored = set[str](), set[str](), set[str]()
    for pod in pods:
        if pod.deleted or pod.phase == "Failed":
            ignored.add(pod.name)
        elif pod.phase == "Pending":
            unready.add(pod.name)
        elif pod.name not in metrics:
            missing.add(pod.name)
        elif resource == CPU and _is_warming_up(pod, metrics, tuning, now):
            unready.add(pod.name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_warming_up(pod: Pod, metrics: PodMetrics, tuning: Tuning, now: float) -> bool:
    """Whether its sample says nothing of its load: it begins, or has never been ready."""
    if not pod.ready or pod.started is None:
        return True
    if pod.started + tuning.cpu_initialization_period > now:
        sample = metrics[pod.name]
        return pod.ready == "False" or sample.timestamp < pod.ready_since + sample.window
    return pod.ready == "False" and pod.started + tuning.initial_readiness_delay > pod.ready_since
