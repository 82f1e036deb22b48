"""FederatedResourceQuota: what bindings use of it, and what its status says, from the ResourceQuotas of clusters and from bindings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from kafila.core import conditions, quantity
from kafila.core.quantity import Quantity
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.objects import name, namespace, status
from kafila.placement.types import (
    Binding,
    Component,
    FederatedResourceQuota,
    FederatedResourceQuotaStatus,
    ResourceBindingSpec,
    Work,
)

Amounts = dict[str, str]
Quantities = dict[str, Quantity]


class QuotaExceeded(Exception):
    """A quota does not allow the binding; the text is Karmada's."""


def assignments(quota: FederatedResourceQuota) -> dict[str, Amounts]:
    """What each cluster is assigned; the first entry of a cluster counts."""
    found: dict[str, Amounts] = {}
    for each in quota["spec"].get("staticAssignments") or ():
        found.setdefault(each["clusterName"], canonical(each.get("hard") or {}))
    return found


def canonical(amounts: Mapping[str, Any]) -> Amounts:
    return {resource: str(quantity.of(amount)) for resource, amount in amounts.items()}


def aggregated_quota(works: Iterable[Work]) -> list[Object]:
    """``status.aggregatedStatus``: what clusters report of the ResourceQuotas that they have."""
    found = []
    for work in works:
        if not conditions.is_true((work.get("status") or {}).get("conditions"), constants.COND_APPLIED):
            continue
        reported = _reported(work)
        if reported is None:
            continue
        item: Object = {"clusterName": constants.cluster_of(namespace(work))}
        item |= {part: reported[part] for part in ("hard", "used") if reported.get(part)}
        found.append(item)
    return sorted(found, key=lambda item: item["clusterName"])


def _reported(work: Work) -> Object | None:
    """The status of the ResourceQuota in it. None for none, and for what is none: one cluster does not stop the others'."""
    for each in (work.get("status") or {}).get("manifestStatuses") or ():
        identifier = each.get("identifier") or {}
        if identifier.get("kind") == "ResourceQuota" and not identifier.get("group"):
            reported: Any = each.get("status") or {}
            if type(reported) is dict and all(_are_amounts(reported.get(part)) for part in ("hard", "used")):
                return cast(Object, reported)
    return None


def _are_amounts(amounts: Any) -> bool:
    if amounts is None:
        return True
    try:
        for amount in cast(Mapping[str, Any], amounts).values():
            quantity.of(amount)
    except (AttributeError, TypeError, ValueError):
        return False
    return True


def summed(amounts: Iterable[Mapping[str, Any]]) -> Amounts:
    total: Quantities = {}
    for each in amounts:
        for resource, amount in each.items():
            value = quantity.of(amount)
            total[resource] = total[resource] + value if resource in total else value
    return {resource: str(amount) for resource, amount in total.items()}


def status_by_clusters(
    quota: FederatedResourceQuota, works: Iterable[Work], enforced: bool
) -> FederatedResourceQuotaStatus:
    """The new status. ``enforced``: overall figures are another controller's, who counts bindings."""
    items = aggregated_quota(works)
    made = {key: value for key, value in (quota.get("status") or {}).items() if key != "aggregatedStatus"}
    if items:
        made["aggregatedStatus"] = items
    if not enforced:
        _set(made, "overall", canonical(quota["spec"].get("overall") or {}))
        _set(made, "overallUsed", summed(item.get("used") or {} for item in items))
    return cast(FederatedResourceQuotaStatus, made)


def status_by_bindings(quota: FederatedResourceQuota, usages: Iterable[Mapping[str, Any]]) -> Object:
    overall = canonical(quota["spec"].get("overall") or {})
    made = dict(status(quota))
    _set(made, "overall", overall)
    _set(made, "overallUsed", {key: value for key, value in summed(usages).items() if key in overall})
    return made


def _set(made: Object, key: str, amounts: Amounts) -> None:
    if amounts:
        made[key] = amounts
    else:
        made.pop(key, None)


def quota_updates(
    new: Binding, old: Binding | None, quotas: Iterable[FederatedResourceQuota]
) -> list[tuple[FederatedResourceQuota, Amounts]]:
    """What a write of a ResourceBinding (v1alpha2) costs: each quota whose status changes, with its new ``overallUsed``.

    ``old`` is None for one that is created; ``quotas`` are the FederatedResourceQuotas of its namespace. Raises QuotaExceeded.
    Whoever calls must write the status with the binding, guarded by the quota's revision.
    """
    wanted, before = new["spec"], old["spec"] if old is not None else None
    if not wanted.get("clusters") if before is None else not _is_relevant(before, wanted):
        return []
    delta = _difference(usage(wanted), usage(before) if before is not None else {})
    out = []
    for quota in quotas if delta else ():
        used = _charged(quota, delta)
        if used is not None:
            out.append((quota, used))
    return out


def usage(binding_spec: ResourceBindingSpec) -> Quantities:
    """Resources that a binding's replicas ask for over all its clusters."""
    clusters = binding_spec.get("clusters") or ()
    components = binding_spec.get("components") or ()
    if components:
        times, per = len(clusters), _per_set(components)
    else:
        times = sum(c.get("replicas") or 0 for c in clusters)
        per = _request(binding_spec.get("replicaRequirements"))
    if not times:
        return {}
    return {name: Quantity(amount.nano * times, amount.format) for name, amount in per.items() if amount}


def _per_set(components: Sequence[Component]) -> Quantities:
    total: Quantities = {}
    for component in components:
        replicas = component.get("replicas") or 0
        for resource, amount in _request(component.get("replicaRequirements")).items():
            one = Quantity(amount.nano * replicas, amount.format)
            total[resource] = total[resource] + one if resource in total else one
    return total


def _request(requirements: AnyObject | None) -> Quantities:
    return {n: quantity.of(v) for n, v in ((requirements or {}).get("resourceRequest") or {}).items()}


def _is_relevant(old: ResourceBindingSpec, new: ResourceBindingSpec) -> bool:
    if _request(old.get("replicaRequirements")) != _request(new.get("replicaRequirements")):
        return True
    was, now = old.get("clusters") or (), new.get("clusters") or ()
    if sum(c.get("replicas") or 0 for c in was) != sum(c.get("replicas") or 0 for c in now):
        return True
    earlier, later = old.get("components") or [], new.get("components") or []
    if (earlier or later) and {c.get("name") for c in was} != {c.get("name") for c in now}:
        return True
    return [_needs(c) for c in earlier] != [_needs(c) for c in later]


def _needs(component: Component) -> tuple[int, Quantities | None]:
    requirements = component.get("replicaRequirements")
    return component.get("replicas") or 0, None if requirements is None else _request(requirements)


def _difference(new: Quantities, old: Quantities) -> Quantities:
    nothing = Quantity(0)
    delta = {n: new.get(n, nothing) - old.get(n, nothing) for n in {**new, **old}}
    return {n: d for n, d in delta.items() if d}


def _charged(quota: FederatedResourceQuota, delta: Quantities) -> Amounts | None:
    """The quota's new ``overallUsed``; None when it does not limit what changes. Raises QuotaExceeded."""
    limits = quota["spec"].get("overall")
    if limits is None:
        return None
    mine = {n: d for n, d in delta.items() if n in limits}
    if not mine:
        return None
    used = {n: quantity.of(v) for n, v in ((quota.get("status") or {}).get("overallUsed") or {}).items()}
    for resource, amount in mine.items():
        used[resource] = used[resource] + amount if resource in used else amount
    for resource, amount in used.items():
        if amount and resource in limits and amount > quantity.of(limits[resource]):
            raise QuotaExceeded(
                f"FederatedResourceQuota({namespace(quota)}/{name(quota)}) exceeded for resource "
                f"{resource}: requested sum {amount}, limit {quantity.of(limits[resource])}."
            )
    return {resource: str(amount) for resource, amount in used.items()}
