"""Names and amounts of resources: what containers, quotas and limit ranges may ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from kafila.core import names, quantity
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import NOT_NEGATIVE, Found, duplicate, forbidden, invalid, required
from .common import check_name as _check_name

CONTAINER_RESOURCES = frozenset({"cpu", "memory", "ephemeral-storage"})
INTEGER_RESOURCES = frozenset(
    {
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    }
)
STANDARD_RESOURCES = INTEGER_RESOURCES | {
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "storage",
    "requests.storage",
}
NOT_INTEGER = "must be an integer"


def is_huge_page(name: str) -> bool:
    return name.startswith("hugepages-")


def is_quota_huge_page(name: str) -> bool:
    return name.startswith(("hugepages-", "requests.hugepages-"))


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


def is_overcommit_allowed(name: str) -> bool:
    return is_native(name) and not is_huge_page(name)


def is_standard(name: str) -> bool:
    return name in STANDARD_RESOURCES or is_quota_huge_page(name)


def is_integer(name: str) -> bool:
    return name in INTEGER_RESOURCES or is_extended(name)


def check_resource_name(name: str, path: str, found: Found) -> bool:
    """Whether it is a known resource or has a domain; says so in ``found`` when not."""
    reasons = names.qualified_name(name)
    if reasons:
        found.extend(invalid(path, name, why) for why in reasons)
        return False
    if "/" not in name and not is_standard(name):
        found.append(invalid(path, name, "must be a standard resource type or fully qualified"))
        return False
    return True


def check_container_resource_name(name: str, path: str, found: Found) -> None:
    if name in CONTAINER_RESOURCES:
        return
    check_resource_name(name, path, found)
    if "/" not in name:
        if not is_huge_page(name):
            found.append(invalid(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        found.append(invalid(path, name, "doesn't follow extended resource name standard"))


def parse(amount: Any) -> quantity.Quantity | None:
    """None when it is no amount (the decoder refused it before, unless a default was written badly)."""
    try:
        return quantity.of(amount)
    except (ValueError, TypeError):
        return None


def check_amount(name: str, amount: Any, path: str, found: Found) -> quantity.Quantity | None:
    value = parse(amount)
    if value is None:
        return None
    if value.nano < 0:
        found.append(invalid(path, str(value), NOT_NEGATIVE))
    if name not in CONTAINER_RESOURCES and is_integer(name) and quantity.to_milli(value) % 1000:
        found.append(invalid(path, str(value), NOT_INTEGER))
    return value


def _check_huge_page(name: str, value: quantity.Quantity, path: str, found: Found) -> None:
    size = parse(name.removeprefix("hugepages-"))
    if size is None or size.nano <= 0 or value.nano % size.nano:
        found.append(invalid(path, str(value), f"{value} is not positive integer multiple of {name}"))


def check_requirements(
    resources: Object | None,
    path: str,
    found: Found,
    claim_names: Collection[str] = (),
    check_resource: Callable[[str, str, Found], Any] = check_container_resource_name,
) -> None:
    """ResourceRequirements: requests within limits."""
    if not resources:
        return
    limits = resources.get("limits") or {}
    requests = resources.get("requests") or {}
    amounts: dict[str, quantity.Quantity | None] = {}
    for name, amount in limits.items():
        where = f"{path}.limits[{name}]"
        check_resource(name, where, found)
        value = amounts[name] = check_amount(name, amount, where, found)
        if value is not None and is_huge_page(name):
            _check_huge_page(name, value, where, found)
    for name, amount in requests.items():
        where = f"{path}.requests[{name}]"
        check_resource(name, where, found)
        value = check_amount(name, amount, where, found)
        if name in amounts:
            limit = amounts[name]
            if value is not None and limit is not None and value.nano != limit.nano:
                if not is_overcommit_allowed(name):
                    found.append(invalid(f"{path}.requests", str(value), f"must be equal to {name} limit of {limit}"))
                elif value > limit:
                    text = f"must be less than or equal to {name} limit of {limit}"
                    found.append(invalid(f"{path}.requests", str(value), text))
        elif not is_overcommit_allowed(name):
            found.append(required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
        if value is not None and is_huge_page(name):
            _check_huge_page(name, value, where, found)
    asked = limits.keys() | requests.keys()
    if any(is_huge_page(name) for name in asked) and not asked & {"cpu", "memory"}:
        found.append(forbidden(path, "HugePages require cpu or memory"))
    if resources.get("claims"):
        _check_claims(resources["claims"], f"{path}.claims", found, claim_names)


def _check_claims(claims: list[Object], path: str, found: Found, claim_names: Collection[str]) -> None:
    seen: set[str] = set()
    for i, claim in enumerate(claims):
        where = f"{path}[{i}]"
        name, request = claim.get("name") or "", claim.get("request") or ""
        if not name:
            found.append(required(where))
            continue
        key = f"{name}/{request}" if request else name
        if request:
            _check_name(request, f"{where}.request", found, names.dns1123_label)
        if name in seen or key in seen or (not request and any(k.startswith(f"{name}/") for k in seen)):
            found.append(duplicate(where, name if name in seen or not request else key))
        seen.add(key)
        if name not in claim_names:
            text = "must be one of the names in pod.spec.resourceClaims"
            text += ": " + ", ".join(sorted(claim_names)) if claim_names else " which is empty"
            found.append(FieldError("FieldValueNotFound", where, name, text))
