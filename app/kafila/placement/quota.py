"""FederatedResourceQuota: what its status says, from the ResourceQuotas of clusters and from bindings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kafila.core import conditions, quantity
from kafila.core.quantity import Quantity
from kafila.placement import constants
from kafila.placement.objects import Object, namespace, spec, status

Amounts = dict[str, str]


def assignments(quota: Object) -> dict[str, Amounts]:
    """What each cluster is assigned; the first entry of a cluster counts."""
    found: dict[str, Amounts] = {}
    for each in spec(quota).get("staticAssignments") or ():
        found.setdefault(each["clusterName"], canonical(each.get("hard") or {}))
    return found


def canonical(amounts: Mapping[str, Any]) -> Amounts:
    return {resource: str(quantity.of(amount)) for resource, amount in amounts.items()}


def aggregated_quota(works: Iterable[Object]) -> list[Object]:
    """``status.aggregatedStatus``: what clusters report of the ResourceQuotas that they have."""
    found = []
    for work in works:
        if not conditions.is_true(status(work).get("conditions"), constants.COND_APPLIED):
            continue
        manifests = status(work).get("manifestStatuses") or ()
        if not manifests:
            continue
        reported = manifests[0].get("status") or {}
        item: Object = {"clusterName": constants.cluster_of(namespace(work))}
        item |= {part: reported[part] for part in ("hard", "used") if reported.get(part)}
        found.append(item)
    return sorted(found, key=lambda item: item["clusterName"])


def summed(amounts: Iterable[Mapping[str, Any]]) -> Amounts:
    total: dict[str, Quantity] = {}
    for each in amounts:
        for resource, amount in each.items():
            value = quantity.of(amount)
            total[resource] = total[resource] + value if resource in total else value
    return {resource: str(amount) for resource, amount in total.items()}


def status_by_clusters(quota: Object, works: Iterable[Object], enforced: bool) -> Object:
    """The new status. ``enforced``: overall figures are another controller's, who counts bindings."""
    items = aggregated_quota(works)
    made = {key: value for key, value in status(quota).items() if key != "aggregatedStatus"}
    if items:
        made["aggregatedStatus"] = items
    if not enforced:
        _set(made, "overall", canonical(spec(quota).get("overall") or {}))
        _set(made, "overallUsed", summed(item.get("used") or {} for item in items))
    return made


def status_by_bindings(quota: Object, usages: Iterable[Mapping[str, Any]]) -> Object:
    overall = canonical(spec(quota).get("overall") or {})
    made = dict(status(quota))
    _set(made, "overall", overall)
    _set(made, "overallUsed", {key: value for key, value in summed(usages).items() if key in overall})
    return made


def _set(made: Object, key: str, amounts: Amounts) -> None:
    if amounts:
        made[key] = amounts
    else:
        made.pop(key, None)
