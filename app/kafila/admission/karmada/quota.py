"""FederatedResourceQuota: its validation. What a binding uses of it is computed by :mod:`kafila.placement.quota`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafila.catalog.builtin.validation.quotas import check_quota_amounts
from kafila.catalog.karmada.cluster_strategy import cluster_name
from kafila.core import quantity
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .errors import refuse_if

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
    check_quota_amounts(amounts or {}, path, found)
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
