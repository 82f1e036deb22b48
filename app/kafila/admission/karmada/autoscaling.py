"""FederatedHPA: the defaults of a HorizontalPodAutoscaler and its rules. CronFederatedHPA: its rules."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable

from kafila.catalog.builtin.defaults.others import SCALE_DOWN, SCALE_UP, default_metrics
from kafila.catalog.builtin.validation.resources import check_container_resource_name
from kafila.core import quantity
from kafila.core.errors import FieldError
from kafila.core.metadata import validate_object_meta
from kafila.core.names import dns1123_label, dns1123_subdomain, path_segment
from kafila.core.values import Object, copy_json

from . import cron
from .errors import refuse_if

Found = list[FieldError]

MAX_PERIOD = 1800  # seconds
MAX_STABILIZATION = 3600  # seconds
MAX_INT32 = 2**31 - 1
GROUP_VERSION = "autoscaling.karmada.io/v1alpha1"
_SELECT_POLICIES = ("Disabled", "Max", "Min")
_POLICY_TYPES = ("Percent", "Pods")
_SOURCES = {"Object": "object", "Pods": "pods", "Resource": "resource", "ContainerResource": "containerResource"}
_INFORMATION = "must populate information for the given metric source"


def default_federated_hpa(new: Object) -> None:
    spec = new["spec"]
    default_metrics(spec)
    behavior = spec.get("behavior")
    if behavior is not None:
        behavior["scaleUp"] = _over(behavior.get("scaleUp"), SCALE_UP)
        behavior["scaleDown"] = _over(behavior.get("scaleDown"), SCALE_DOWN)


def _over(given: Object | None, default: Object) -> Object:
    """Karmada copies these three fields alone, so a tolerance is lost as it is there."""
    given = given or {}
    kept = ("stabilizationWindowSeconds", "selectPolicy", "policies")
    return copy_json(default) | {n: given[n] for n in kept if given.get(n) is not None}


def admit_federated_hpa(new: Object) -> None:
    found = validate_object_meta(new, True, dns1123_subdomain)
    found += _hpa_spec(new["spec"], "spec")
    status = new.get("status") or {}
    for name in ("currentReplicas", "desiredReplicas"):
        value = status.get(name) or 0
        if value < 0:
            found.append(FieldError.invalid(f"status.{name}", value, "must be greater than or equal to 0"))
    refuse_if(found)


def _hpa_spec(spec: Object, path: str) -> Found:
    found: Found = []
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if low is not None and low < 1:
        found.append(FieldError.invalid(f"{path}.minReplicas", low, "must be greater than or equal to 1"))
    if high < 1:
        found.append(FieldError.invalid(f"{path}.maxReplicas", high, "must be greater than 0"))
    if low is not None and high < low:
        text = "must be greater than or equal to `minReplicas`"
        found.append(FieldError.invalid(f"{path}.maxReplicas", high, text))
    found += _target_reference(spec.get("scaleTargetRef") or {}, f"{path}.scaleTargetRef")
    for index, metric in enumerate(spec.get("metrics") or ()):
        found += _metric(metric, f"{path}.metrics[{index}]")
    for name in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(name)
        if rules is not None:
            found += _scaling_rules(rules, f"{path}.behavior.{name}")
    return found


def _target_reference(reference: Object, path: str) -> Found:
    found: Found = []
    for field in ("kind", "name"):
        value = reference.get(field) or ""
        if not value:
            found.append(FieldError.required(f"{path}.{field}"))
        found += [FieldError.invalid(f"{path}.{field}", value, why) for why in path_segment(value)]
    return found


def _scaling_rules(rules: Object, path: str) -> Found:
    found: Found = []
    window, select = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None and window < 0:
        text = "must be greater than or equal to zero"
        found.append(FieldError.invalid(f"{path}.stabilizationWindowSeconds", window, text))
    if window is not None and window > MAX_STABILIZATION:
        text = f"must be less than or equal to {MAX_STABILIZATION}"
        found.append(FieldError.invalid(f"{path}.stabilizationWindowSeconds", window, text))
    if select is not None and select not in _SELECT_POLICIES:
        found.append(FieldError.not_supported(f"{path}.selectPolicy", select, _SELECT_POLICIES))
    policies = rules.get("policies") or []
    if not policies:
        found.append(FieldError.required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        at = f"{path}.policies[{index}]"
        kind, value, period = policy.get("type") or "", policy.get("value") or 0, policy.get("periodSeconds") or 0
        if kind not in _POLICY_TYPES:
            found.append(FieldError.not_supported(f"{at}.type", kind, _POLICY_TYPES))
        if value <= 0:
            found.append(FieldError.invalid(f"{at}.value", value, "must be greater than zero"))
        if period <= 0:
            found.append(FieldError.invalid(f"{at}.periodSeconds", period, "must be greater than zero"))
        if period > MAX_PERIOD:
            text = f"must be less than or equal to {MAX_PERIOD}"
            found.append(FieldError.invalid(f"{at}.periodSeconds", period, text))
    return found


def _metric(metric: Object, path: str) -> Found:
    found: Found = []
    kind = metric.get("type") or ""
    if not kind:
        found.append(FieldError.required(f"{path}.type", "must specify a metric source type"))
    if kind not in _SOURCES:
        found += [FieldError.not_supported(f"{path}.type", kind, sorted(_SOURCES))] * 2
    present = [name for name in _SOURCES.values() if metric.get(name) is not None]
    if present:
        found += _CHECKS[present[0]](metric[present[0]], f"{path}.{present[0]}")
    expected = _SOURCES.get(kind, "")
    if expected and expected not in present:
        found.append(FieldError.required(f"{path}.{expected}", _INFORMATION))
    if len(present) != 1:
        text = "must populate the given metric source only"
        found += [FieldError.forbidden(f"{path}.{name}", text) for name in present if name != expected]
    return found


def _object_source(source: Object, path: str) -> Found:
    target = source.get("target") or {}
    found = _target_reference(source.get("describedObject") or {}, f"{path}.describedObject")
    found += _identifier(source.get("metric") or {}, f"{path}.metric")
    found += _target(target, f"{path}.target")
    if target.get("value") is None and target.get("averageValue") is None:
        text = "must set either a target value or averageValue"
        found.append(FieldError.required(f"{path}.target.averageValue", text))
    return found


def _pods_source(source: Object, path: str) -> Found:
    target = source.get("target") or {}
    found = _identifier(source.get("metric") or {}, f"{path}.metric") + _target(target, f"{path}.target")
    if target.get("averageValue") is None:
        text = "must specify a positive target averageValue"
        found.append(FieldError.required(f"{path}.target.averageValue", text))
    return found


def _resource_source(source: Object, path: str) -> Found:
    found: Found = []
    if not source.get("name"):
        found.append(FieldError.required(f"{path}.name", "must specify a resource name"))
    return found + _utilization(source.get("target") or {}, f"{path}.target")


def _container_source(source: Object, path: str) -> Found:
    found: Found = []
    name, container = source.get("name") or "", source.get("container") or ""
    if not name:
        found.append(FieldError.required(f"{path}.name", "must specify a resource name"))
    else:
        check_container_resource_name(name, f"{path}.name", found)
    if not container:
        found.append(FieldError.required(f"{path}.container", "must specify a container"))
    else:
        found += [FieldError.invalid(f"{path}.container", container, why) for why in dns1123_label(container)]
    return found + _utilization(source.get("target") or {}, f"{path}.target")


_CHECKS: dict[str, Callable[[Object, str], Found]] = {
    "object": _object_source,
    "pods": _pods_source,
    "resource": _resource_source,
    "containerResource": _container_source,
}


def _utilization(target: Object, path: str) -> Found:
    found = _target(target, path)
    share, amount = target.get("averageUtilization"), target.get("averageValue")
    if share is None and amount is None:
        text = "must set either a target raw value or a target utilization"
        found.append(FieldError.required(f"{path}.averageUtilization", text))
    if share is not None and amount is not None:
        text = "may not set both a target raw value and a target utilization"
        found.append(FieldError.forbidden(f"{path}.averageValue", text))
    return found


def _target(target: Object, path: str) -> Found:
    found: Found = []
    kind = target.get("type") or ""
    if not kind:
        found.append(FieldError.required(f"{path}.type", "must specify a metric target type"))
    if kind not in ("Utilization", "Value", "AverageValue"):
        text = "must be either Utilization, Value, or AverageValue"
        found.append(FieldError.invalid(f"{path}.type", kind, text))
    for name in ("value", "averageValue"):
        amount = target.get(name)
        if amount is not None and quantity.of(amount).nano <= 0:
            found.append(FieldError.invalid(f"{path}.{name}", str(quantity.of(amount)), "must be positive"))
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        found.append(FieldError.invalid(f"{path}.averageUtilization", share, "must be greater than 0"))
    return found


def _identifier(metric: Object, path: str) -> Found:
    name = metric.get("name") or ""
    if not name:
        return [FieldError.required(f"{path}.name", "must specify a metric name")]
    return [FieldError.invalid(f"{path}.name", name, why) for why in path_segment(name)]


def admit_cron_federated_hpa(new: Object) -> None:
    refuse_if(validate_object_meta(new, True, dns1123_subdomain) + _cron_spec(new["spec"]))


def _cron_spec(spec: Object) -> Found:
    reference = spec.get("scaleTargetRef") or {}
    kind = reference.get("kind") or ""
    scales_hpa = reference.get("apiVersion") == GROUP_VERSION
    if scales_hpa and kind != "FederatedHPA":
        text = f"invalid scaleTargetRef kind: {kind}, only support FederatedHPA"
        return [FieldError.invalid("spec.scaleTargetRef.kind", kind, text)]
    found = _target_reference(reference, "spec.scaleTargetRef")
    names: set[str] = set()
    for index, rule in enumerate(spec.get("rules") or ()):
        at, name, schedule = f"spec.rules[{index}]", rule.get("name") or "", rule.get("schedule") or ""
        if name in names:
            found.append(FieldError.duplicate(f"{at}.name", name))
        names.add(name)
        if not cron.is_valid(schedule):
            found.append(FieldError.invalid(f"{at}.schedule", schedule, "invalid cron format"))
        zone = rule.get("timeZone")
        if zone is not None and not is_time_zone(zone):
            is_path = ".." in zone or zone[:1] in ("/", "\\")  # Go does not look for such a name
            why = "time: invalid location name" if is_path else f"unknown time zone {zone}"
            found.append(FieldError.invalid(f"{at}.timeZone", zone, why))
        found += _hpa_bounds(rule, at) if scales_hpa else _replicas(rule, kind, at)
    return found


def is_time_zone(name: str) -> bool:
    if name in ("", "UTC", "Local"):
        return True
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _hpa_bounds(rule: Object, path: str) -> Found:
    found: Found = []
    low, high = rule.get("targetMinReplicas"), rule.get("targetMaxReplicas")
    if low is None and high is None:
        text = (
            "targetMinReplicas and targetMaxReplicas cannot be nil at the same time if you want to scale FederatedHPA"
        )
        found.append(FieldError.invalid(f"{path}.targetMaxReplicas", "", text))
    low, high = 1 if low is None else low, MAX_INT32 if high is None else high
    if low <= 0:
        found.append(FieldError.invalid(f"{path}.targetMinReplicas", "", "targetMinReplicas should be larger than 0"))
    if high <= 0:
        found.append(FieldError.invalid(f"{path}.targetMaxReplicas", "", "targetMaxReplicas should be larger than 0"))
    if low > high:
        text = "targetMaxReplicas should be larger than or equal to targetMinReplicas"
        found.append(FieldError.invalid(f"{path}.targetMinReplicas", "", text))
    return found


def _replicas(rule: Object, kind: str, path: str) -> Found:
    wanted = rule.get("targetReplicas")
    at = f"{path}.targetReplicas"
    if wanted is None:
        return [FieldError.invalid(at, "", f"targetReplicas cannot be nil if you want to scale {kind}")]
    if wanted < 0:
        return [FieldError.invalid(at, "", "targetReplicas should be larger than or equal to 0")]
    return []
