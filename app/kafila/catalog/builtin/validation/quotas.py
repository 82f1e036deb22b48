"""ResourceQuota and LimitRange."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from kafila.core import names, quantity
from kafila.core.errors import MOST_ALIKE
from kafila.core.values import Object

from .common import Found, duplicate, forbidden, invalid, required
from .resources import (
    STANDARD_RESOURCES,
    check_amount,
    check_container_resource_name,
    check_resource_name,
    is_overcommit_allowed,
    is_quota_huge_page,
    parse,
)

_QUOTA_RESOURCES = STANDARD_RESOURCES - {"storage"}
_POD_COMPUTE = frozenset({"pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
_BARE_SCOPES = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_SCOPES = (*_BARE_SCOPES, "PriorityClass", "VolumeAttributesClass")
_ONLY_EXISTS = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def _is_quota_resource(name: str) -> bool:
    return name in _QUOTA_RESOURCES or is_quota_huge_page(name)


def _scope_fits(scope: str, resource: str) -> bool:
    if scope in ("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"):
        return resource in _POD_COMPUTE
    if scope == "BestEffort":
        return resource == "pods"
    if scope == "VolumeAttributesClass":
        return resource in ("persistentvolumeclaims", "requests.storage")
    return True


def check_quota_amounts(amounts: Mapping[str, Any], path: str, found: Found) -> None:
    for name, amount in amounts.items():
        where = f"{path}[{name}]"
        check_resource_name(name, where, found)
        if "/" not in name and not _is_quota_resource(name):
            found.append(invalid(where, name, "must be a standard resource for quota"))
        check_amount(name, amount, where, found)


def validate_resource_quota(obj: Object) -> Found:
    found: Found = []
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    hard = spec.get("hard") or {}
    check_quota_amounts(hard, "spec.hard", found)
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES:
            found.append(invalid("spec.scopes", scopes, "unsupported scope"))
        if misfits := _misfits(scope, hard):
            found.extend([invalid("spec.scopes", scopes, "unsupported scope applied to resource")] * misfits)
    _check_conflicts(scopes, scopes, "spec.scopes", found)
    selector = spec.get("scopeSelector")
    if selector is not None:
        _check_scope_selector(spec, selector, hard, "spec.scopeSelector.matchExpressions", found)
    check_quota_amounts(status.get("hard") or {}, "status.hard", found)
    check_quota_amounts(status.get("used") or {}, "status.used", found)
    return found


def _misfits(scope: str, hard: Object) -> int:
    """How many of the resources a scope does not apply to: each is a finding, and all are alike."""
    unfit = (name for name in hard if _is_quota_resource(name) and not _scope_fits(scope, name))
    return sum(1 for _ in islice(unfit, MOST_ALIKE))


def _check_conflicts(scopes: list[str], shown: list[str], path: str, found: Found) -> None:
    for one, other in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
        if one in scopes and other in scopes:
            found.append(invalid(path, shown, "conflicting scopes"))


def _check_scope_selector(spec: Object, selector: Object, hard: Object, path: str, found: Found) -> None:
    seen = []
    for requirement in selector.get("matchExpressions") or ():
        scope, operator = requirement.get("scopeName") or "", requirement.get("operator") or ""
        values = requirement.get("values") or []
        if scope not in _SCOPES:
            found.append(invalid(f"{path}.scopeName", scope, "unsupported scope"))
        if misfits := _misfits(scope, hard):
            found.extend([invalid(path, selector, "unsupported scope applied to resource")] * misfits)
        if scope in _BARE_SCOPES and operator != "Exists":
            found.append(invalid(f"{path}.operator", operator, _ONLY_EXISTS))
        if operator in ("In", "NotIn"):
            if not values:
                text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                found.append(required(f"{path}.values", text))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                found.append(invalid(f"{path}.values", values, text))
        else:
            found.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
        seen.append(scope)
    _check_conflicts(seen, spec.get("scopes") or [], path, found)


def validate_resource_quota_update(new: Object, old: Object) -> Found:
    found: Found = []
    scopes, before = (new.get("spec") or {}).get("scopes") or [], (old.get("spec") or {}).get("scopes") or []
    if set(scopes) != set(before):
        found.append(invalid("spec.scopes", scopes or None, names.IMMUTABLE))
    return found


# -- LimitRange ------------------------------------------------------------------------------------------------------------

_TYPES = ("Container", "PersistentVolumeClaim", "Pod")
_FIELDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def validate_limit_range(obj: Object) -> Found:
    found: Found = []
    seen: set[str] = set()
    for i, limit in enumerate((obj.get("spec") or {}).get("limits") or ()):
        path = f"spec.limits[{i}]"
        kind = limit.get("type") or ""
        reasons = names.qualified_name(kind)
        found.extend(invalid(f"{path}.type", kind, why) for why in reasons)
        if not reasons and "/" not in kind and kind not in _TYPES:
            found.append(invalid(f"{path}.type", kind, "must be a standard limit type or fully qualified"))
        if kind in seen:
            found.append(duplicate(f"{path}.type", kind))
        seen.add(kind)
        _check_limit(limit, kind, path, found)
    return found


def _check_limit(limit: Object, kind: str, path: str, found: Found) -> None:
    amounts: dict[str, dict[str, quantity.Quantity]] = {}
    for field in _FIELDS:
        given = limit.get(field) or {}
        if kind == "Pod" and field in ("default", "defaultRequest"):
            if given:
                found.append(forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'"))
            given = {}
        amounts[field] = {}
        for name, amount in given.items():
            check = check_container_resource_name if kind in ("Pod", "Container") else check_resource_name
            check(name, f"{path}.{field}[{name}]", found)
            value = parse(amount)
            if value is not None:
                amounts[field][name] = value
    if kind == "PersistentVolumeClaim" and "storage" not in amounts["min"] and "storage" not in amounts["max"]:
        text = "either minimum or maximum storage value is required, but neither was provided"
        found.append(required(f"{path}.limits", text))
    for name in dict.fromkeys(name for field in _FIELDS for name in amounts[field]):
        _check_limit_order(name, amounts, path, found)


def _check_limit_order(name: str, amounts: dict[str, dict[str, quantity.Quantity]], path: str, found: Found) -> None:
    high, low, default, request, ratio = (amounts[field].get(name) for field in _FIELDS)
    if low is not None and high is not None and low > high:
        text = f"min value {low} is greater than max value {high}"
        found.append(invalid(f"{path}.min[{name}]", str(low), text))
    if request is not None:
        at = f"{path}.defaultRequest[{name}]"
        if low is not None and low > request:
            text = f"min value {low} is greater than default request value {request}"
            found.append(invalid(at, str(request), text))
        if high is not None and request > high:
            text = f"default request value {request} is greater than max value {high}"
            found.append(invalid(at, str(request), text))
        if default is not None and request > default:
            text = f"default request value {request} is greater than default limit value {default}"
            found.append(invalid(at, str(request), text))
    if default is not None:
        at = f"{path}.default[{name}]"
        if low is not None and low > default:
            found.append(invalid(at, str(low), f"min value {low} is greater than default value {default}"))
        if high is not None and default > high:
            found.append(invalid(at, str(high), f"default value {default} is greater than max value {high}"))
    if ratio is not None:
        at = f"{path}.maxLimitRequestRatio[{name}]"
        if ratio.nano < 10**9:
            found.append(invalid(at, str(ratio), f"ratio {ratio} is less than 1"))
        if low is not None and high is not None and low.nano and ratio.nano * low.nano > high.nano * 10**9:
            text = f"ratio {ratio} is greater than max/min = {high.nano / low.nano:f}"
            found.append(invalid(at, str(ratio), text))
    if default is not None and request is not None and default.nano != request.nano:
        if not is_overcommit_allowed(name):
            text = f"default value {default} must equal to defaultRequest value {request} in {name}"
            found.append(invalid(f"{path}.defaultRequest[{name}]", str(request), text))
