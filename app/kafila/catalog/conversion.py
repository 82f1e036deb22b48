"""Conversions between versions whose shapes differ: autoscaling v1 <-> v2 (stored), events.k8s.io/v1 <-> v1 (stored).

All functions take a decoded object and return a new one without touching the old; kind and apiVersion are the target's.
What autoscaling/v1 cannot say travels in annotations, under Kubernetes' names, so that nothing is lost on the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from kafila.core.values import Object

_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS, _STATUSES, _CONDITIONS, _BEHAVIOR = (
    _PREFIX + name for name in ("metrics", "current-metrics", "conditions", "behavior")
)
_CARRIED = frozenset(
    (_METRICS, _STATUSES, _CONDITIONS, _BEHAVIOR, _PREFIX + "scale-down-tolerance", _PREFIX + "scale-up-tolerance")
)
_DEFAULT_CPU_UTILIZATION = 80  # percent; what v1 means when it names no metric at all

# --- events -----------------------------------------------------------------------------------------------------------

_EVENT_FIELDS = (  # events.k8s.io/v1, v1
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
)
_TO_CORE = dict(_EVENT_FIELDS)
_FROM_CORE = {core: new for new, core in _EVENT_FIELDS}
# Go writes these of a v1 Event even when unset; events.k8s.io drops the strings and keeps the structs.
_CORE_ALWAYS: Object = {"reportingComponent": "", "reportingInstance": ""}


def event_to_core(obj: Object) -> Object:
    """events.k8s.io/v1 Event -> v1 Event."""
    out = {_TO_CORE.get(key, key): value for key, value in obj.items()}
    for key in ("involvedObject", "source"):
        out.setdefault(key, {})
    for key, zero in (("firstTimestamp", None), ("lastTimestamp", None), *_CORE_ALWAYS.items()):
        out.setdefault(key, zero)
    return out | {"kind": "Event", "apiVersion": "v1"}


def event_from_core(obj: Object) -> Object:
    """v1 Event -> events.k8s.io/v1 Event."""
    out = {_FROM_CORE.get(key, key): value for key, value in obj.items()}
    for key in ("reportingController", "reportingInstance"):
        if not out.get(key):
            out.pop(key, None)
    return out | {"kind": "Event", "apiVersion": "events.k8s.io/v1"}


# --- horizontal pod autoscalers ---------------------------------------------------------------------------------------


def autoscaler_to_v2(obj: Object) -> Object:
    """autoscaling/v1 -> v2. An annotation that does not parse is dropped, as Kubernetes does."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    carried = {key: _parsed(value) for key, value in _annotations(obj).items() if key in _CARRIED}
    utilization = spec.pop("targetCPUUtilizationPercentage", None)
    metrics = [_metric_to_v2(metric) for metric in _objects(carried.get(_METRICS))]
    if utilization is None and not metrics:
        utilization = _DEFAULT_CPU_UTILIZATION
    if utilization is not None:
        metrics.append(_cpu({"target": {"type": "Utilization", "averageUtilization": utilization}}))
    spec["metrics"] = metrics
    behavior = carried.get(_BEHAVIOR)
    if isinstance(behavior, dict) and (lowered := _recased(behavior, str.lower)):
        spec["behavior"] = lowered
    current = status.pop("currentCPUUtilizationPercentage", None)
    if _STATUSES in carried:
        status["currentMetrics"] = [_status_to_v2(metric) for metric in _objects(carried[_STATUSES])]
    else:
        status["currentMetrics"] = [_cpu({"current": {"averageUtilization": current}})] if current is not None else None
    if conditions := _objects(carried.get(_CONDITIONS)):
        status["conditions"] = conditions
    status.setdefault("desiredReplicas", 0)
    return _rebuilt(obj, "autoscaling/v2", {}, spec, status)


def autoscaler_from_v2(obj: Object) -> Object:
    """autoscaling/v2 -> v1."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    carried: dict[str, Any] = {}
    metrics = spec.pop("metrics", None) or []
    targets = [metric["resource"]["target"]["averageUtilization"] for metric in metrics if _is_cpu_target(metric)]
    if targets:
        spec["targetCPUUtilizationPercentage"] = targets[0]
    if others := [_metric_to_v1(metric) for metric in metrics if not _is_cpu_target(metric)]:
        carried[_METRICS] = others
    if (behavior := spec.pop("behavior", None)) is not None:
        carried[_BEHAVIOR] = _recased(behavior, str.upper)
    if statuses := status.pop("currentMetrics", None):
        carried[_STATUSES] = [_status_to_v1(metric) for metric in statuses]
        for metric in statuses:
            resource = metric.get("resource") or {}
            current = (resource.get("current") or {}).get("averageUtilization")
            if metric.get("type") == "Resource" and resource.get("name") == "cpu" and current is not None:
                status["currentCPUUtilizationPercentage"] = current
    if conditions := status.pop("conditions", None):
        carried[_CONDITIONS] = conditions
    status.setdefault("currentReplicas", 0)
    status.setdefault("desiredReplicas", 0)
    return _rebuilt(obj, "autoscaling/v1", carried, spec, status)


def _rebuilt(obj: Object, api_version: str, carried: dict[str, Any], spec: Object, status: Object) -> Object:
    annotations = {key: value for key, value in _annotations(obj).items() if key not in _CARRIED}
    annotations |= {key: orjson.dumps(value).decode() for key, value in carried.items()}
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    return {**obj, "apiVersion": api_version, "metadata": metadata, "spec": spec, "status": status}


def _annotations(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _objects(value: Any) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _recased(value: Any, change: Callable[[str], str]) -> Any:
    """The behavior annotation has Go's field names, which start with a capital letter."""
    if isinstance(value, dict):
        kept = {change(k[:1]) + k[1:]: _recased(v, change) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v is not None}
    return [_recased(item, change) for item in value] if isinstance(value, list) else value


def _cpu(source: Object) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", **source}}


def _is_cpu_target(metric: Object) -> bool:
    resource = metric.get("resource") or {}
    target = (resource.get("target") or {}).get("averageUtilization")
    return metric.get("type") == "Resource" and resource.get("name") == "cpu" and target is not None


# A metric source of v1 is flat; v2 puts the metric's name and selector into ``metric`` and the numbers into ``target``
# (of a spec) or ``current`` (of a status). Per source: v1's names for selector, value, averageValue, averageUtilization.
_SOURCES: dict[str, tuple[str, str, str, str]] = {
    "resource": ("", "", "AverageValue", "AverageUtilization"),
    "containerResource": ("", "", "AverageValue", "AverageUtilization"),
    "pods": ("selector", "", "AverageValue", ""),
    "object": ("selector", "Value", "averageValue", ""),
    "external": ("metricSelector", "Value", "AverageValue", ""),
}


def _v1_names(source: str, prefix: str) -> tuple[str, dict[str, str]]:
    selector, value, average, utilization = _SOURCES[source]
    names = {"value": value, "averageValue": average, "averageUtilization": utilization}
    # "averageValue" of an object metric stands without prefix
    return selector, {k: v if v[0].islower() else prefix + v for k, v in names.items() if v}


def _source_to_v1(metric: Object, prefix: str, zeros: dict[str, str]) -> Object:
    out: Object = {"type": metric.get("type", "")}
    for source in _SOURCES.keys() & metric.keys():
        body = metric[source] or {}
        selector, names = _v1_names(source, prefix)
        flat = {key: body[key] for key in ("name", "container") if key in body}
        if "describedObject" in body:
            flat["target"] = body["describedObject"]
        if "metric" in body:
            flat["metricName"] = body["metric"].get("name", "")
            if body["metric"].get("selector") is not None:
                flat[selector] = body["metric"]["selector"]
        numbers = body.get(prefix) or {}
        flat |= {name: numbers[key] for key, name in names.items() if numbers.get(key) is not None}
        if zeros.get(source):
            flat.setdefault(zeros[source], "0")  # not a pointer in v1: Go writes it always
        out[source] = flat
    return out


def _source_to_v2(metric: Object, prefix: str) -> Object:
    out: Object = {"type": metric.get("type", "")}
    for source in _SOURCES.keys() & metric.keys():
        body = metric[source] or {}
        selector, names = _v1_names(source, prefix)
        nested = {key: body[key] for key in ("name", "container") if key in body}
        if source == "object":
            nested["describedObject"] = body.get("target") or {}
        if source in ("pods", "object", "external"):
            nested["metric"] = {"name": body.get("metricName", "")}
            if body.get(selector) is not None:
                nested["metric"]["selector"] = body[selector]
        nested[prefix] = {key: body[name] for key, name in names.items() if body.get(name) is not None}
        out[source] = nested
    return out


def _metric_to_v1(metric: Object) -> Object:
    return _source_to_v1(metric, "target", {"object": "targetValue", "pods": "targetAverageValue"})


def _status_to_v1(metric: Object) -> Object:
    average = dict.fromkeys(("resource", "containerResource", "pods"), "currentAverageValue")
    return _source_to_v1(metric, "current", average | {"object": "currentValue", "external": "currentValue"})


def _status_to_v2(metric: Object) -> Object:
    return _source_to_v2(metric, "current")


def _metric_to_v2(metric: Object) -> Object:
    """A v1 metric with the target type that v1 leaves implicit."""
    out = _source_to_v2(metric, "target")
    for source in _SOURCES.keys() & out.keys():
        target = out[source]["target"]
        if source == "object" and "averageValue" in target and target.get("value") in ("0", 0):
            del target["value"]  # v1 cannot leave it out
        if source in ("resource", "containerResource"):
            kind = "Utilization" if "averageUtilization" in target else "AverageValue"
        elif source == "object":
            kind = "AverageValue" if "averageValue" in target else "Value"
        else:
            kind = "Value" if "value" in target else "AverageValue"
        out[source]["target"] = {"type": kind, **target}
    return out
