"""Reads what members answer about metrics. Pure; whatever is not of the form that the API has raises UnusableAnswer.

Only fields that the API has are taken over, amounts in their canonical form: what a member says beyond that goes nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import orjson

from kafila.core.clock import parse_rfc3339
from kafila.core.quantity import Quantity, QuantityError, parse
from kafila.core.values import Object
from kafila.members.shapes import check_object, items_of, mapping
from kafila.members.transport import UnusableAnswer
from kafila.placement.constants import QUERY_FROM_CLUSTER

from .values import ExternalValue, MetricValue, Usage

LONGEST: Final = 1024  # characters of a text
MOST_RESOURCES: Final = 32  # of one container or node
MOST_LABELS: Final = 128  # of one external value
MOST_METRICS: Final = 5_000  # that a member says it has
LARGEST_SELECTOR: Final = 16 << 10  # bytes of a metric's own selector
_METADATA: Final = ("name", "namespace", "creationTimestamp", "labels", "annotations")
_REFERENCE: Final = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_WINDOW: Final = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:h|m|s|ms|us|µs|ns)){1,6}|0")
T = TypeVar("T")


def pods(body: bytes, what: str, cluster: str, namespace: str) -> list[Usage]:
    """A PodMetricsList; ``namespace`` "" for all of them. Raises UnusableAnswer."""
    return _each(items_of(mapping(body, what), what), what, lambda item: _pod(item, what, cluster, namespace))


def pod(body: bytes, what: str, cluster: str, namespace: str) -> Usage:
    """Raises UnusableAnswer."""
    return _pod(check_object(mapping(body, what), what), what, cluster, namespace)


def nodes(body: bytes, what: str, cluster: str) -> list[Usage]:
    """A NodeMetricsList. Raises UnusableAnswer."""
    return _each(items_of(mapping(body, what), what), what, lambda item: _node(item, what, cluster))


def node(body: bytes, what: str, cluster: str) -> Usage:
    """Raises UnusableAnswer."""
    return _node(check_object(mapping(body, what), what), what, cluster)


def custom(body: bytes, what: str, metric: str) -> list[MetricValue]:
    """A MetricValueList of either version. Raises UnusableAnswer."""
    return _each(_values(body, what), what, lambda item: _custom(item, what, metric))


def external(body: bytes, what: str, metric: str) -> list[ExternalValue]:
    """An ExternalMetricValueList. Raises UnusableAnswer."""
    return _each(_values(body, what), what, lambda item: _external(item, what, metric))


def _each(items: Iterable[Object], what: str, read: Callable[[Object], T]) -> list[T]:
    try:
        return [read(item) for item in items]
    except (TypeError, AttributeError, ValueError, KeyError):  # QuantityError is a ValueError
        raise _unusable(what) from None


def _unusable(what: str) -> UnusableAnswer:
    return UnusableAnswer(f"the answer to {what} has metrics that are none")


# -- usage -------------------------------------------------------------------------------------------------------------


def _pod(item: Object, what: str, cluster: str, namespace: str) -> Usage:
    try:
        metadata = _metadata(item, cluster)
        containers = [] if item.get("containers") is None else item["containers"]
        if not isinstance(containers, list):
            raise ValueError(containers)
        said = {**_sample(item), "containers": [_container(container) for container in containers]}
        found = metadata["namespace"]
    except (TypeError, AttributeError, ValueError, KeyError):
        raise _unusable(what) from None
    if namespace and found != namespace:
        raise UnusableAnswer(f"the answer to {what} has pods of another namespace")
    return Usage(found, metadata["name"], cluster, _json({"metadata": metadata, **said}, what))


def _node(item: Object, what: str, cluster: str) -> Usage:
    try:
        metadata = _metadata(item, cluster)
        said = {**_sample(item), "usage": _usage(item.get("usage"))}
    except (TypeError, AttributeError, ValueError, KeyError):
        raise _unusable(what) from None
    metadata.pop("namespace", None)
    return Usage("", metadata["name"], cluster, _json({"metadata": metadata, **said}, what))


def _metadata(item: Object, cluster: str) -> Object:
    """Sound already (:func:`check_object`), but for what may be missing."""
    given = item["metadata"]
    found = {field: given[field] for field in _METADATA if given.get(field) is not None}
    _text(found["name"])
    if "creationTimestamp" in found:
        parse_rfc3339(_text(found["creationTimestamp"]))
    found["annotations"] = {**(found.get("annotations") or {}), QUERY_FROM_CLUSTER: cluster}
    return found


def _sample(item: Object) -> Object:
    window = _text(item["window"])
    if not _WINDOW.fullmatch(window):
        raise ValueError(window)
    return {"timestamp": _time(item["timestamp"]), "window": window}


def _container(given: Object) -> Object:
    return {"name": _text(given["name"]), "usage": _usage(given.get("usage"))}


def _usage(given: Any) -> dict[str, str]:
    found = {} if given is None else {_text(name): str(_quantity(amount)) for name, amount in given.items()}
    if len(found) > MOST_RESOURCES:
        raise ValueError(len(found))
    return found


# -- custom and external metrics ---------------------------------------------------------------------------------------


def _values(body: bytes, what: str) -> list[Object]:
    return items_of(mapping(body, what), what)


def _custom(item: Object, what: str, metric: str) -> MetricValue:
    given = item["describedObject"]
    described = {field: _text(given[field]) for field in _REFERENCE if given.get(field)}
    newer = item.get("metric")
    if newer is None:  # v1beta1
        name, selector, window = item.get("metricName"), item.get("selector"), item.get("window")
    else:
        name, selector, window = newer.get("name"), newer.get("selector"), item.get("windowSeconds")
    if selector is not None and not (isinstance(selector, dict) and len(_json(selector, what)) <= LARGEST_SELECTOR):
        raise ValueError(selector)
    described.setdefault("name", "")
    return MetricValue(
        described, _text(name or metric), selector, _when(item), _seconds(window), _quantity(item["value"])
    )


def _external(item: Object, what: str, metric: str) -> ExternalValue:
    labels = {_text(name): _text(value) for name, value in (item.get("metricLabels") or {}).items()}
    if len(labels) > MOST_LABELS:
        raise ValueError(len(labels))
    name = _text(item.get("metricName") or metric)
    return ExternalValue(
        name, tuple(sorted(labels.items())), _when(item), _seconds(item.get("window")), _quantity(item["value"])
    )


# -- discovery ---------------------------------------------------------------------------------------------------------


def versions(body: bytes, what: str) -> list[str]:
    """Of an APIGroup. Raises UnusableAnswer."""
    return _each(_rows(body, what, "versions"), what, lambda row: _text(row["version"]))


def resources(body: bytes, what: str) -> list[tuple[str, bool]]:
    """Names of an APIResourceList, each with whether it has a namespace. Raises UnusableAnswer."""
    rows = _rows(body, what, "resources")
    return _each(rows[:MOST_METRICS], what, lambda row: (_text(row["name"]), row.get("namespaced") is True))


def _rows(body: bytes, what: str, field: str) -> list[Object]:
    rows = mapping(body, what).get(field) or []
    if not isinstance(rows, list):
        raise _unusable(what)
    return rows


# -- texts, times and amounts ------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise ValueError(value)
    return value


def _time(value: Any) -> str:
    parse_rfc3339(_text(value))
    return _text(value)


def _when(item: Object) -> str | None:
    return None if item.get("timestamp") is None else _time(item["timestamp"])


def _seconds(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(value)
    return value


def _quantity(value: Any) -> Quantity:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise QuantityError(str(value))
    return parse(_text(str(value)))


def _json(value: Any, what: str) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise UnusableAnswer(f"the answer to {what} is nested too deep") from None
