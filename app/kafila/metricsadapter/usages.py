"""Reads what members answer about the use of pods, for whoever reckons with it: no documents are made of it. Pure.

Whatever is not of the form that the API has raises UnusableAnswer.
"""

from __future__ import annotations

from typing import Any, Final

from kafila.autoscaling.metrics import PodUsage, milli
from kafila.autoscaling.pods import shared_labels
from kafila.cel.gotext import parse_duration
from kafila.core.clock import parse_rfc3339
from kafila.core.remembered import remembered
from kafila.members.shapes import mapping
from kafila.members.transport import UnusableAnswer

MOST_CONTAINERS: Final = 1000  # of one pod
MOST_RESOURCES: Final = 32  # of one container
LONGEST: Final = 1024  # characters of a text
SHAPE: Final = (AttributeError, KeyError, TypeError, ValueError, OverflowError)  # QuantityError is a ValueError


def pod_usages(body: bytes, what: str, cluster: str, namespace: str) -> list[PodUsage]:
    """A PodMetricsList of one namespace. Raises UnusableAnswer."""
    items = mapping(body, what).get("items")
    if items is not None and not isinstance(items, list):
        raise UnusableAnswer(f"the answer to {what} is no list")
    try:
        found = [usage_of(item, cluster) for item in items or ()]
    except SHAPE:
        raise UnusableAnswer(f"the answer to {what} has metrics that are none") from None
    if any(usage.namespace != namespace for usage in found):
        raise UnusableAnswer(f"the answer to {what} has pods of another namespace")
    return found


def usage_of(item: Any, cluster: str) -> PodUsage:
    """One PodMetrics. Raises one of :data:`SHAPE` for what is none."""
    metadata = item["metadata"]
    labels = metadata.get("labels")
    containers = {}
    for container in (item.get("containers") or ())[:MOST_CONTAINERS]:
        usage = container.get("usage") or {}
        if len(usage) > MOST_RESOURCES:
            raise ValueError(len(usage))
        containers[_text(container["name"])] = {name: milli(amount) for name, amount in usage.items()}
    return PodUsage(
        _text(metadata.get("namespace") or ""),
        _text(metadata["name"]),
        _unix(item["timestamp"]),
        _seconds(item.get("window") or "0"),
        containers,
        cluster,
        shared_labels(labels) if labels else None,
    )


def _text(value: Any) -> str:
    if value.__class__ is not str or len(value) > LONGEST:
        raise ValueError(value)
    text: str = value
    return text


@remembered(1024)  # a member's pods have few windows, and are measured together
def _seconds(window: str) -> float:
    nanoseconds = parse_duration(window)
    if nanoseconds is None:
        raise ValueError(window)
    return nanoseconds / 1e9


@remembered(4096)
def _unix(timestamp: str) -> float:
    return parse_rfc3339(timestamp)
