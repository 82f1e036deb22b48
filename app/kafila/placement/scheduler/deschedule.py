"""The descheduler's decision: replicas that find no node in their cluster are taken from it, and the scheduler places them anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from kafila.core.values import AnyObject
from kafila.placement import constants
from kafila.placement.objects import annotations_of
from kafila.placement.spec import targets
from kafila.placement.types import Binding, TargetCluster

NOT_KNOWN: Final = -1  # ready replicas where a member reports none
_KINDS: Final = (("apps/v1", "Deployment"),)  # Karmada's descheduler knows no others


class Shortage(NamedTuple):
    """A cluster with fewer ready replicas than it was given."""

    cluster: str
    replicas: int
    ready: int


def may_be_descheduled(binding: Binding) -> bool:
    """Deployments whose replicas follow what clusters have free, and whose scheduling nobody has suspended."""
    resource = binding["spec"].get("resource") or {}
    if (resource.get("apiVersion"), resource.get("kind")) not in _KINDS:
        return False
    if (binding["spec"].get("suspension") or {}).get("scheduling"):
        return False  # what is taken away would be placed nowhere
    return _is_dynamic(annotations_of(binding).get(constants.APPLIED_PLACEMENT) or "")


def _is_dynamic(applied: str) -> bool:
    """``applied``: the placement that the clusters were chosen by, JSON. What somebody wrote there instead does not count."""
    try:
        placement = orjson.loads(applied) if applied else None
    except orjson.JSONDecodeError:
        return False
    scheduling = placement.get("replicaScheduling") if isinstance(placement, dict) else None
    if not isinstance(scheduling, dict) or scheduling.get("replicaSchedulingType") != constants.DIVIDED:
        return False
    preference, weights = scheduling.get("replicaDivisionPreference"), scheduling.get("weightPreference")
    if preference == constants.WEIGHTED:
        return isinstance(weights, dict) and bool(weights.get("dynamicWeight"))
    return bool(preference == constants.AGGREGATED)


def shortages(binding: Binding) -> list[Shortage]:
    """In the order of ``spec.clusters``."""
    reported = (binding.get("status") or {}).get("aggregatedStatus") or ()
    ready = {item["clusterName"]: _ready(item.get("status")) for item in reported}
    found = (
        Shortage(target["name"], target.get("replicas") or 0, ready.get(target["name"], NOT_KNOWN))
        for target in targets(binding["spec"])
    )
    return [each for each in found if each.ready < each.replicas]


def _ready(status: Any) -> int:
    count = status.get("readyReplicas") if isinstance(status, dict) else None
    return count if type(count) is int else NOT_KNOWN


def taken(short: list[Shortage], unschedulable: Mapping[str, int]) -> dict[str, int]:
    """How many replicas each cluster loses. ``unschedulable``: how many estimators say find no node there.

    A cluster keeps what is ready; an estimator that says that there are more than were placed is not believed.
    """
    lost: dict[str, int] = {}
    for each in short:
        count = unschedulable.get(each.cluster, 0)
        if 0 < count <= each.replicas:
            kept = max(each.replicas - count, each.ready)
            if kept < each.replicas:
                lost[each.cluster] = each.replicas - kept
    return lost


def descheduled(binding: Binding, lost: Mapping[str, int]) -> Binding:
    """The binding with so many replicas less in each cluster."""

    def fewer(target: TargetCluster) -> TargetCluster:
        count = lost.get(target["name"], 0)
        return {**target, "replicas": (target.get("replicas") or 0) - count} if count else target

    return {**binding, "spec": {**binding["spec"], "clusters": [fewer(each) for each in targets(binding["spec"])]}}


def message(lost: Mapping[str, int]) -> str:
    """Of the event, in Karmada's words."""
    each = "".join(f", {count} replica(s) in cluster({cluster})" for cluster, count in lost.items())
    return f"Binding has been descheduled{each}, {sum(lost.values())} total descheduled replica(s)"


def about(binding: Binding) -> AnyObject:
    """The workload that estimators are asked about."""
    return binding["spec"]["resource"]
