"""HorizontalPodAutoscaler and PodDisruptionBudget."""

from __future__ import annotations

from kafila.core import names
from kafila.core.resources import split_api_version
from kafila.core.values import Object

from .common import (
    Found,
    check_at_most_100_percent,
    check_int_or_percent,
    check_label_selector,
    check_name,
    check_not_negative,
    forbidden,
    invalid,
    not_supported,
    required,
)
from .gostructs import go_struct
from .resources import check_container_resource_name, parse

_METRICS = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_POSITIVE = "must be greater than zero"


def _check_replicas(spec: Object, found: Found) -> None:
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if low is not None and low < 1:
        found.append(invalid("spec.minReplicas", low, "must be greater than or equal to 1"))
    if high == 0:
        found.append(required("spec.maxReplicas", "must be set and greater than 0"))
    elif high < 0:
        found.append(invalid("spec.maxReplicas", high, "must be greater than or equal to 1"))
    if low is not None and high < low:
        found.append(invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))


def validate_new_hpa(obj: Object) -> Found:
    """What is scaled has an API group, unless it is a ReplicationController."""
    reference = (obj.get("spec") or {}).get("scaleTargetRef") or {}
    api_version = reference.get("apiVersion") or ""
    if reference.get("kind") == "ReplicationController" or "/" in api_version[1:]:
        return []
    path = "spec.scaleTargetRef.apiVersion"
    return [invalid(path, api_version, "apiVersion must specify API group")]


def validate_hpa_update(new: Object, old: Object) -> Found:
    """A target that was there before is left in peace."""
    reference, before = ((obj.get("spec") or {}).get("scaleTargetRef") or {} for obj in (new, old))
    if all((reference.get(field) or "") == (before.get(field) or "") for field in ("apiVersion", "kind")):
        return []
    return validate_new_hpa(new)


def _check_reference(reference: Object, path: str, found: Found) -> None:
    for field in ("kind", "name"):
        if not reference.get(field):
            found.append(required(f"{path}.{field}"))
        else:
            check_name(reference[field], f"{path}.{field}", found, names.path_segment)
    api_version = reference.get("apiVersion") or ""
    try:
        split_api_version(api_version)
    except ValueError as error:
        found.append(invalid(f"{path}.apiVersion", api_version, str(error)))


def validate_hpa_v1(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    _check_replicas(spec, found)
    _check_reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef", found)
    wanted = spec.get("targetCPUUtilizationPercentage")
    if wanted is not None and wanted < 1:
        path = "spec.metrics[0].resource.target.averageUtilization"
        found.append(invalid(path, wanted, "must be greater than 0"))
    return found


def validate_hpa_v2(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    _check_replicas(spec, found)
    _check_reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef", found)
    for i, metric in enumerate(spec.get("metrics") or ()):
        _check_metric(metric, f"spec.metrics[{i}]", found)
    behavior = spec.get("behavior") or {}
    for field in ("scaleUp", "scaleDown"):
        if behavior.get(field) is not None:
            _check_rules(behavior[field], f"spec.behavior.{field}", found)
    status = obj.get("status") or {}
    for field in ("currentReplicas", "desiredReplicas"):
        check_not_negative(status, field, "status", found)
    return found


def _check_metric(metric: Object, path: str, found: Found) -> None:
    kind = metric.get("type") or ""
    if not kind:
        found.append(required(f"{path}.type", "must specify a metric source type"))
    present = [field for field in _METRICS.values() if metric.get(field) is not None]
    if kind not in _METRICS:
        found.append(not_supported(f"{path}.type", kind, sorted(_METRICS)))
    if present:
        _check_source(present[0], metric[present[0]], f"{path}.{present[0]}", found)
    expected = _METRICS.get(kind)
    if expected is None:
        found.append(not_supported(f"{path}.type", kind, sorted(_METRICS)))
    elif expected not in present:
        text = "must populate information for the given metric source"
        found.append(required(f"{path}.{expected}", text))
    if len(present) != 1:
        for field in present:
            if field != expected:
                found.append(forbidden(f"{path}.{field}", "must populate the given metric source only"))


def _check_source(kind: str, source: Object, path: str, found: Found) -> None:
    target = source.get("target") or {}
    if kind == "object":
        _check_reference(source.get("describedObject") or {}, f"{path}.describedObject", found)
    if kind in ("object", "external", "pods"):
        name = (source.get("metric") or {}).get("name")
        if not name:
            found.append(required(f"{path}.metric.name", "must specify a metric name"))
        else:
            check_name(name, f"{path}.metric.name", found, names.path_segment)
    else:
        name = source.get("name")
        if not name:
            found.append(required(f"{path}.name", "must specify a resource name"))
        elif kind == "containerResource":
            check_container_resource_name(name, f"{path}.name", found)
    if kind == "containerResource":
        container = source.get("container")
        if not container:
            found.append(required(f"{path}.container", "must specify a container"))
        else:
            check_name(container, f"{path}.container", found, names.dns1123_label)
    _check_target(target, f"{path}.target", found)
    _check_target_fits(kind, target, f"{path}.target", found)


def _check_target(target: Object, path: str, found: Found) -> None:
    kind = target.get("type") or ""
    if not kind:
        found.append(required(f"{path}.type", "must specify a metric target type"))
    if kind not in ("Utilization", "Value", "AverageValue"):
        found.append(invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue"))
    for field in ("value", "averageValue"):
        if target.get(field) is not None:
            amount = parse(target[field])
            if amount is not None and amount.nano <= 0:
                found.append(invalid(f"{path}.{field}", str(amount), "must be positive"))
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        found.append(invalid(f"{path}.averageUtilization", share, "must be greater than 0"))


def _check_target_fits(kind: str, target: Object, path: str, found: Found) -> None:
    value, average = target.get("value"), target.get("averageValue")
    share = target.get("averageUtilization")
    if kind == "object":
        if value is None and average is None:
            found.append(required(f"{path}.averageValue", "must set either a target value or averageValue"))
    elif kind == "external":
        if value is None and average is None:
            text = "must set either a target value for metric or a per-pod target"
            found.append(required(f"{path}.averageValue", text))
        elif value is not None and average is not None:
            text = "may not set both a target value for metric and a per-pod target"
            found.append(forbidden(f"{path}.value", text))
    elif kind == "pods":
        if average is None:
            found.append(required(f"{path}.averageValue", "must specify a positive target averageValue"))
    elif share is None and average is None:
        text = "must set either a target raw value or a target utilization"
        found.append(required(f"{path}.averageUtilization", text))
    elif share is not None and average is not None:
        text = "may not set both a target raw value and a target utilization"
        found.append(forbidden(f"{path}.averageValue", text))


def _check_rules(rules: Object, path: str, found: Found) -> None:
    window, select = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None and window < 0:
        text = "must be greater than or equal to zero"
        found.append(invalid(f"{path}.stabilizationWindowSeconds", window, text))
    if window is not None and window > 3600:
        text = "must be less than or equal to 3600"
        found.append(invalid(f"{path}.stabilizationWindowSeconds", window, text))
    if select is not None and select not in ("Disabled", "Max", "Min"):
        found.append(not_supported(f"{path}.selectPolicy", select, ("Disabled", "Max", "Min")))
    policies = rules.get("policies")
    if not policies:
        found.append(required(f"{path}.policies", "must specify at least one Policy"))
    for i, policy in enumerate(policies or ()):
        where = f"{path}.policies[{i}]"
        if policy.get("type") not in ("Percent", "Pods"):
            found.append(not_supported(f"{where}.type", policy.get("type") or "", ("Percent", "Pods")))
        for field in ("value", "periodSeconds"):
            if (policy.get(field) or 0) <= 0:
                found.append(invalid(f"{where}.{field}", policy.get(field) or 0, _POSITIVE))
        if (policy.get("periodSeconds") or 0) > 1800:
            text = "must be less than or equal to 1800"
            found.append(invalid(f"{where}.periodSeconds", policy["periodSeconds"], text))
    if rules.get("tolerance") is not None:
        amount = parse(rules["tolerance"])
        if amount is not None and amount.nano < 0:
            found.append(invalid(f"{path}.tolerance", str(amount), names.NOT_NEGATIVE))


def validate_disruption_budget(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        found.append(
            invalid(
                "spec",
                go_struct("api.policy.v1.PodDisruptionBudgetSpec", spec),
                "minAvailable and maxUnavailable cannot be both set",
            )
        )
    for field in ("minAvailable", "maxUnavailable"):
        check_int_or_percent(spec.get(field), f"spec.{field}", found)
        check_at_most_100_percent(spec.get(field), f"spec.{field}", found)
    check_label_selector(spec.get("selector"), "spec.selector", found)
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in ("AlwaysAllow", "IfHealthyBudget"):
        found.append(not_supported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget")))
    status = obj.get("status") or {}
    for field in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        check_not_negative(status, field, "status", found)
    return found
