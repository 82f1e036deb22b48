"""Metrics as they are served: lists, and the Tables that kubectl prints. Pure functions on plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from kafila.core.quantity import Quantity, parse
from kafila.core.values import Object

from .values import CUSTOM, EXTERNAL, ExternalValue, MetricValue, Usage

_NAME: Final[Object] = {"name": "Name", "type": "string", "format": "name", "description": "Name of the resource"}
_ZERO: Final = Quantity(0)


def custom_list(values: Sequence[MetricValue], version: str) -> Object:
    shown = _older if version == "v1beta1" else _newer
    items = [shown(value) for value in values]
    return {"kind": "MetricValueList", "apiVersion": f"{CUSTOM}/{version}", "metadata": {}, "items": items}


def _newer(value: MetricValue) -> Object:
    out: Object = {
        "describedObject": value.described,
        "metric": {"name": value.metric, "selector": value.selector},
        "timestamp": value.timestamp,
    }
    if value.window is not None:
        out["windowSeconds"] = value.window
    return {**out, "value": str(value.value)}


def _older(value: MetricValue) -> Object:
    out: Object = {"describedObject": value.described, "metricName": value.metric, "timestamp": value.timestamp}
    if value.window is not None:
        out["window"] = value.window
    return {**out, "value": str(value.value), "selector": value.selector}


def external_list(values: Sequence[ExternalValue], version: str) -> Object:
    items = [_external(value) for value in values]
    return {"kind": "ExternalMetricValueList", "apiVersion": f"{EXTERNAL}/{version}", "metadata": {}, "items": items}


def _external(value: ExternalValue) -> Object:
    out: Object = {"metricName": value.metric, "metricLabels": dict(value.labels), "timestamp": value.timestamp}
    if value.window is not None:
        out["window"] = value.window
    return {**out, "value": str(value.value)}


def table(found: Sequence[Usage], kind: str, api_version: str, include: str, version: str) -> Object:
    """A Table with a column for each resource that the first one uses. ``include``: the parameter includeObject."""
    columns: list[Object] = []
    names: list[str] = []
    rows: list[Object] = []
    for usage in found:
        obj: Object = orjson.loads(usage.body)
        used = _used(obj)
        if not columns:
            names = sorted(used)
            amounts = [_column(name, "quantity") for name in names]
            columns = [{**_NAME, "priority": 0}, *amounts, _column("Window", "duration")]
        cells = [usage.name, *(str(used.get(name, _ZERO)) for name in names), obj["window"]]
        rows.append({"cells": cells, "object": _object_of(obj, kind, api_version, include, version)})
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": {},
        "columnDefinitions": columns,
        "rows": rows,
    }


def _column(name: str, format: str) -> Object:
    return {"name": name, "type": "string", "format": format, "description": "", "priority": 0}


def _used(obj: Object) -> dict[str, Quantity]:
    """Of a node, or of all containers of a pod together."""
    found: dict[str, Quantity] = {}
    for usage in [obj["usage"]] if "usage" in obj else [container["usage"] for container in obj["containers"]]:
        for name, amount in usage.items():
            found[name] = found[name] + parse(amount) if name in found else parse(amount)
    return found


def _object_of(obj: Object, kind: str, api_version: str, include: str, version: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return {"kind": kind, "apiVersion": api_version, **obj}
    return partial(obj, version)


def partial(obj: Object, version: str) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}
