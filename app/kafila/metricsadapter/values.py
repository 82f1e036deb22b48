"""What is known of a metric, as plain data. Documents are JSON as it is served, without kind and apiVersion where they are items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from kafila.core.quantity import Quantity
from kafila.core.values import Object

RESOURCE: Final = "metrics.k8s.io"
CUSTOM: Final = "custom.metrics.k8s.io"
EXTERNAL: Final = "external.metrics.k8s.io"
VERSIONS: Final[Mapping[str, tuple[str, ...]]] = {  # the preferred one first
    RESOURCE: ("v1beta1",),
    CUSTOM: ("v1beta2", "v1beta1"),
    EXTERNAL: ("v1beta1",),
}
ALL_OBJECTS: Final = "*"


class Usage(NamedTuple):
    """PodMetrics or NodeMetrics of one member. ``body``: its JSON, without kind and apiVersion."""

    namespace: str  # "" of a node
    name: str
    cluster: str
    body: bytes


class MetricValue(NamedTuple):
    """A custom metric of one object. ``selector``: metav1.LabelSelector or None; ``window``: seconds, None where nothing is said."""

    described: Object  # v1.ObjectReference
    metric: str
    selector: Object | None
    timestamp: str | None  # RFC 3339
    window: int | None
    value: Quantity


class ExternalValue(NamedTuple):
    """A value of an external metric. ``window``: seconds, None where nothing is said."""

    metric: str
    labels: tuple[tuple[str, str], ...]  # sorted
    timestamp: str | None
    window: int | None
    value: Quantity
