"""Reads what members answer about the use of pods, for whoever reckons with it: no documents are made of it. Pure.

Whatever is not of the form that the API has raises UnusableAnswer.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kafila.autoscaling.metrics import PodUsage, milli
from kafila.autoscaling.pods import shared_labels
from kafila.cel.gotext import parse_duration
from kafila.core.clock import parse_rfc3339
from kafila.core.remembered import remembered
from kafila.members.shapes import check_size
from kafila.members.transport import UnusableAnswer

MOST_CONTAINERS: Final = 1000  # of one pod
MOST_RESOURCES: Final = 32  # of one container
LONGEST: Final = 1024  # characters of a text
# QuantityError is a ValueError
SHAPE: Final = (AttributeError, KeyError, TypeError, ValueError, OverflowError, msgspec.DecodeError)


class _Metadata(msgspec.Struct, gc=False):
    name: str
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Container(msgspec.Struct, gc=False):
    name: str
    usage: dict[str, str | int | float] | None = None


class PodMetrics(msgspec.Struct, gc=False):
    """What is read of one. Nothing else in it becomes an object: there are as many as pods, each few seconds."""

    metadata: _Metadata
    timestamp: str
    window: str | None = None
    containers: list[_Container] | None = None


class _PodMetricsList(msgspec.Struct):
    items: list[PodMetrics] | None = None


_decode_list: Final = msgspec.json.Decoder(_PodMetricsList).decode


def pod_usages(body: bytes, what: str, cluster: str, namespace: str) -> list[PodUsage]:
    """A PodMetricsList of one namespace. Raises UnusableAnswer."""
    check_size(body, what)
    try:
        found = [usage_of(item, cluster) for item in _decode_list(body).items or ()]
    except SHAPE:
        raise UnusableAnswer(f"the answer to {what} has metrics that are none") from None
    if any(usage.namespace != namespace for usage in found):
        raise UnusableAnswer(f"the answer to {what} has pods of another namespace")
    return found


def pod_metrics(item: Any) -> PodMetrics:
    """Of JSON that is decoded already. Raises one of :data:`SHAPE`."""
    try:
        return msgspec.convert(item, PodMetrics)
    except msgspec.ValidationError as error:
        raise TypeError(str(error)) from None


def usage_of(item: PodMetrics, cluster: str) -> PodUsage:
    """Raises one of :data:`SHAPE` for what is none."""
    metadata = item.metadata
    containers = {}
    for container in (item.containers or ())[:MOST_CONTAINERS]:
        usage = container.usage or {}
        if len(usage) > MOST_RESOURCES:
            raise ValueError(len(usage))
        containers[_text(container.name)] = {name: milli(amount) for name, amount in usage.items()}
    return PodUsage(
        _text(metadata.namespace or ""),
        _text(metadata.name),
        _unix(item.timestamp),
        _seconds(item.window or "0"),
        containers,
        cluster,
        shared_labels(metadata.labels) if metadata.labels else None,
    )


def _text(value: str) -> str:
    if len(value) > LONGEST:
        raise ValueError(len(value))
    return value


@remembered(1024)  # a member's pods have few windows, and are measured together
def _seconds(window: str) -> float:
    nanoseconds = parse_duration(window)
    if nanoseconds is None:
        raise ValueError(window)
    return nanoseconds / 1e9


@remembered(4096)
def _unix(timestamp: str) -> float:
    return parse_rfc3339(timestamp)
