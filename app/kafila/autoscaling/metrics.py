"""What is known of a workload's load: samples, and who can be asked for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from kafila.core import quantity

DEFAULT_WINDOW: Final = 60.0  # seconds, of a custom metric that does not say
MOST_MILLI: Final = 2**63 - 1  # thousandths, of one amount that somebody tells: as many as Kubernetes can hold


_NO_CUSTOM: Final = "unable to fetch metrics from custom metrics API: the server could not find the requested resource"


NO_USAGE: Final = "no metrics returned from resource metrics API"


class MetricsError(Exception):
    """Metrics cannot be had; the message is what the metrics APIs' client in Karmada says."""

    expected = True


class PodMetric(msgspec.Struct, frozen=True, gc=False):
    """``value`` in thousandths; ``timestamp`` in Unix seconds; ``window`` in seconds."""

    value: int
    timestamp: float
    window: float


PodMetrics = dict[str, PodMetric]  # by name of the pod


class PodUsage(msgspec.Struct, frozen=True, gc=False):
    """One pod as ``metrics.k8s.io`` tells of it. ``containers``: by name, thousandths of each resource. ``cluster``: "" where
    nobody says. ``labels``: of the pod, None where nothing is said of them."""

    namespace: str
    name: str
    timestamp: float
    window: float
    containers: Mapping[str, Mapping[str, int]]
    cluster: str = ""
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """What a custom metric is about, in the namespace that is asked for."""

    api_version: str
    kind: str
    name: str


class MetricsClient(Protocol):
    """The control plane's own metrics APIs, which sum up what its members tell.

    Selectors are texts of label selectors, "" for all. Every method raises MetricsError.
    """

    async def resource(self, namespace: str, selector: str) -> Sequence[PodUsage]:
        """``metrics.k8s.io``: the pods that the selector selects, over all clusters."""
        ...

    async def of_pods(self, namespace: str, selector: str, metric: str, metric_selector: str) -> PodMetrics:
        """``custom.metrics.k8s.io``: one value for each of the pods."""
        ...

    async def of_object(self, namespace: str, about: ObjectReference, metric: str, metric_selector: str) -> int:
        """``custom.metrics.k8s.io``: the value for one object, in thousandths."""
        ...

    async def external(self, namespace: str, metric: str, metric_selector: str) -> Sequence[int]:
        """``external.metrics.k8s.io``: all values, in thousandths."""
        ...


def milli(amount: str | int | float) -> int:
    """Thousandths of what a member or a metrics server tells. Raises QuantityError for what is no amount."""
    found = quantity.to_milli(amount)
    return found if -MOST_MILLI <= found <= MOST_MILLI else max(-MOST_MILLI, min(found, MOST_MILLI))


class _NoMetrics:
    """Where nobody can be asked."""

    async def resource(self, namespace: str, selector: str) -> Sequence[PodUsage]:
        raise MetricsError(
            "unable to fetch metrics from resource metrics API: the server could not find the requested resource "
            "(get pods.metrics.k8s.io)"
        )

    async def of_pods(self, namespace: str, selector: str, metric: str, metric_selector: str) -> PodMetrics:
        raise MetricsError(_NO_CUSTOM)

    async def of_object(self, namespace: str, about: ObjectReference, metric: str, metric_selector: str) -> int:
        raise MetricsError(_NO_CUSTOM)

    async def external(self, namespace: str, metric: str, metric_selector: str) -> Sequence[int]:
        raise MetricsError(
            "unable to fetch metrics from external metrics API: the server could not find the requested resource"
        )


NO_METRICS: Final = _NoMetrics()


def of_resource(usages: Sequence[PodUsage], resource: str, container: str = "") -> PodMetrics:
    """The samples of one resource: of all containers of a pod together, or of the named one.

    A pod of which one container does not tell is left out. Raises MetricsError where there is nothing, or a pod without
    that container.
    """
    if not usages:
        raise MetricsError(NO_USAGE)
    found: PodMetrics = {}
    for usage in usages:
        if container and container not in usage.containers:
            where = f"pod {usage.namespace}/{usage.name}"
            raise MetricsError(
                f"failed to get container metrics: container {container} not present in metrics for {where}"
            )
        value = None
        for amounts in (usage.containers[container],) if container else usage.containers.values():
            amount = amounts.get(resource)
            if amount is None:
                value = None
                break
            value = amount if value is None else value + amount
        if value is not None:
            found[usage.name] = PodMetric(value, usage.timestamp, usage.window)
    return found
