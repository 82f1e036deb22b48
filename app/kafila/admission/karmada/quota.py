"""FederatedResourceQuota: its own validation, and what a binding may use of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafila.catalog.builtin.validation.resources import is_integer
from kafila.catalog.karmada.cluster_strategy import cluster_name
from kafila.core import quantity
from kafila.core.errors import FieldError
from kafila.core.feature_gates import FEDERATED_QUOTA_ENFORCEMENT, Gates
from kafila.core.quantity import Quantity
from kafila.placement import constants

from .errors import Denied, refuse_if
from .quotanames import quota_resource_name

Object = dict[str, Any]
Amounts = dict[str, Quantity]

NAME_MAX = 63  # the name becomes a label's value


def admit_quota(new: Object) -> None:
    found: list[FieldError] = []
    name, spec, status = new["metadata"].get("name", ""), new["spec"], new.get("status") or {}
    if len(name) > NAME_MAX:
        found.append(FieldError.invalid("metadata.name", name, f"must be no more than {NAME_MAX} characters"))
    found += _amounts(spec.get("overall"), "spec.overall")
    assignments: Sequence[Object] = spec.get("staticAssignments") or ()
    for index, one in enumerate(assignments):
        found += _of_cluster(one, f"spec.staticAssignments[{index}]", ("hard",))
    found += _within_overall(spec.get("overall") or {}, assignments)
    for field in ("overall", "overallUsed"):
        found += _amounts(status.get(field), f"status.{field}")
    for index, one in enumerate(status.get("aggregatedStatus") or ()):
        found += _of_cluster(one, f"status.aggregatedStatus[{index}]", ("hard", "used"))
    refuse_if(found)


def _of_cluster(item: Object, path: str, fields: tuple[str, ...]) -> list[FieldError]:
    found: list[FieldError] = []
    name = item.get("clusterName") or ""
    if why := cluster_name(name):
        found.append(FieldError.invalid(f"{path}.clusterName", name, ",".join(why)))
    for field in fields:
        found += _amounts(item.get(field), f"{path}.{field}")
    return found


def _amounts(amounts: Mapping[str, Any] | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name, value in (amounts or {}).items():
        at, amount = f"{path}[{name}]", quantity.of(value)
        found += quota_resource_name(name, at)
        if amount.nano < 0:
            found.append(FieldError.invalid(at, str(amount), "must be greater than or equal to 0"))
        if is_integer(name) and quantity.to_milli(amount) % 1000:
            found.append(FieldError.invalid(at, str(amount), "must be an integer"))
    return found


def _within_overall(overall: Mapping[str, Any], assignments: Sequence[Object]) -> list[FieldError]:
    found: list[FieldError] = []
    for name, value in overall.items():
        assigned = sum(quantity.of((a.get("hard") or {}).get(name, "0")).nano for a in assignments)
        amount = quantity.of(value)
        if amount.nano < assigned:
            text = "overall is less than assignments"
            found.append(FieldError.invalid(f"spec.overall[{name}]", str(amount), text))
    text = "assignment resourceName is not exist in overall"
    for index, one in enumerate(assignments):
        at = f"spec.staticAssignments[{index}].hard"
        found += [FieldError.invalid(f"{at}[{n}]", n, text) for n in one.get("hard") or {} if n not in overall]
    return found


def quota_updates(
    operation: str, new: Object, old: Object | None, quotas: Iterable[Object], gates: Gates
) -> list[tuple[Object, dict[str, str]]]:
    """What a write of a ResourceBinding (v1alpha2) costs: each quota whose status changes, with its new ``overallUsed``.

    ``quotas`` are the FederatedResourceQuotas of the binding's namespace. Raises Refused with reason QuotaExceeded. Whoever
    calls must write the status with the binding, guarded by the quota's revision.
    """
    if FEDERATED_QUOTA_ENFORCEMENT not in gates:
        return []
    spec: Object = new.get("spec") or {}
    before: Object = (old or {}).get("spec") or {}
    if operation == "CREATE" and not spec.get("clusters"):
        return []
    if operation == "UPDATE" and old is not None and not _is_relevant(before, spec):
        return []
    delta = _difference(usage(spec), usage(before))
    out = []
    for quota in quotas if delta else ():
        used = _charged(quota, delta)
        if used is not None:
            out.append((quota, used))
    return out


def usage(spec: Object) -> Amounts:
    """Resources that a binding's replicas ask for over all its clusters."""
    clusters: Sequence[Object] = spec.get("clusters") or ()
    components: Sequence[Object] = spec.get("components") or ()
    if components:
        times, per = len(clusters), _per_set(components)
    else:
        times = sum(c.get("replicas") or 0 for c in clusters)
        per = _request(spec.get("replicaRequirements"))
    if not times:
        return {}
    return {name: Quantity(amount.nano * times, amount.format) for name, amount in per.items() if amount}


def _per_set(components: Sequence[Object]) -> Amounts:
    total: Amounts = {}
    for component in components:
        replicas = component.get("replicas") or 0
        for name, amount in _request(component.get("replicaRequirements")).items():
            one = Quantity(amount.nano * replicas, amount.format)
            total[name] = total[name] + one if name in total else one
    return total


def _request(requirements: Object | None) -> Amounts:
    return {n: quantity.of(v) for n, v in ((requirements or {}).get("resourceRequest") or {}).items()}


def _is_relevant(old: Object, new: Object) -> bool:
    if _request(old.get("replicaRequirements")) != _request(new.get("replicaRequirements")):
        return True
    was, now = old.get("clusters") or (), new.get("clusters") or ()
    if sum(c.get("replicas") or 0 for c in was) != sum(c.get("replicas") or 0 for c in now):
        return True
    earlier, later = old.get("components") or [], new.get("components") or []
    if (earlier or later) and {c.get("name") for c in was} != {c.get("name") for c in now}:
        return True
    return [_needs(c) for c in earlier] != [_needs(c) for c in later]


def _needs(component: Object) -> tuple[int, Amounts | None]:
    requirements = component.get("replicaRequirements")
    return component.get("replicas") or 0, None if requirements is None else _request(requirements)


def _difference(new: Amounts, old: Amounts) -> Amounts:
    nothing = Quantity(0)
    delta = {n: new.get(n, nothing) - old.get(n, nothing) for n in {**new, **old}}
    return {n: d for n, d in delta.items() if d}


def _charged(quota: Object, delta: Amounts) -> dict[str, str] | None:
    """The quota's new ``overallUsed``; None when it does not limit what changes. Raises Refused when it is exceeded."""
    limits = (quota.get("spec") or {}).get("overall")
    if limits is None:
        return None
    mine = {n: d for n, d in delta.items() if n in limits}
    if not mine:
        return None
    used = {n: quantity.of(v) for n, v in ((quota.get("status") or {}).get("overallUsed") or {}).items()}
    for name, amount in mine.items():
        used[name] = used[name] + amount if name in used else amount
    metadata = quota["metadata"]
    for name, amount in used.items():
        if amount and name in limits and amount > quantity.of(limits[name]):
            raise Denied(
                f"FederatedResourceQuota({metadata.get('namespace', '')}/{metadata['name']}) exceeded for resource "
                f"{name}: requested sum {amount}, limit {quantity.of(limits[name])}.",
                constants.REASON_QUOTA_EXCEEDED,
            )
    return {name: str(amount) for name, amount in used.items()}
