"""Amounts of compute resources as the schedulers count them: cpu in milli, everything else in whole units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kafila.core import quantity
from kafila.core.values import Object

Amounts = dict[str, int]

_BINARY: Final = frozenset({"memory", "ephemeral-storage"})
_COUNTED: Final = _BINARY | {"cpu", "pods"}
_NO_LIMIT: Final = 2**63 - 1


def is_schedulable(resource: str) -> bool:
    """Does the scheduler count it? Compute resources, huge pages, attachable volumes and extended resources."""
    if resource in _COUNTED or resource.startswith(("hugepages-", "attachable-volumes-")):
        return True
    return "/" in resource and not resource.startswith("requests.")


def amounts(request: Mapping[str, Any] | None) -> Amounts:
    found: Amounts = {}
    for resource, amount in (request or {}).items():
        if is_schedulable(resource):
            found[resource] = quantity.to_milli(amount) if resource == "cpu" else quantity.to_int(amount)
    return found


def divided(capacity: Amounts, request: Amounts) -> int:
    """How often ``request`` fits into ``capacity``."""
    return min((capacity.get(r, 0) // amount for r, amount in request.items() if amount > 0), default=_NO_LIMIT)


def pod_request(pod_spec: Object) -> dict[str, str]:
    """What one pod asks for: the sum of its containers, at least its largest init container, and the overhead.

    A limit stands in for a missing request. Quantities are canonical: memory as ``128Mi``.
    """
    total: Amounts = {}
    for container in pod_spec.get("containers") or ():
        _add(total, _requests(container))
    for container in pod_spec.get("initContainers") or ():
        for resource, amount in amounts(_requests(container)).items():
            total[resource] = max(total.get(resource, 0), amount)
    _add(total, pod_spec.get("overhead"))
    return {resource: _text(resource, total[resource]) for resource in _ordered(total) if total[resource] > 0}


def _requests(container: Object) -> dict[str, Any]:
    resources = container.get("resources") or {}
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def _add(total: Amounts, request: Mapping[str, Any] | None) -> None:
    for resource, amount in amounts(request).items():
        total[resource] = total.get(resource, 0) + amount


def _ordered(total: Amounts) -> Iterable[str]:
    return sorted(total)


def _text(resource: str, amount: int) -> str:
    if resource == "cpu":
        return str(quantity.from_milli(amount))
    is_binary = resource in _BINARY or resource.startswith("hugepages-")
    return str(quantity.from_int(amount, "BinarySI" if is_binary else "DecimalSI"))
