"""Taints of clusters: those that conditions bring and take away, and how long a binding stands a NoExecute taint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.conditions import find
from kafila.core.values import Object
from kafila.placement.cluster_affinity import cluster_matches, tolerates
from kafila.placement.objects import metadata, spec
from kafila.placement.types import Cluster

FOREVER = None


def no_execute(cluster: Cluster) -> list[Object]:
    return [taint for taint in (cluster.get("spec") or {}).get("taints") or () if taint.get("effect") == "NoExecute"]


def toleration_left(taints: Sequence[Object], tolerations: Sequence[Object] | None, now: float) -> float | None:
    """Seconds that a binding may stay in a cluster with these NoExecute taints; 0 for none, None for ever."""
    if not taints:
        return FOREVER
    used: list[Object] = []
    for taint in taints:
        found = next((t for t in tolerations or () if tolerates(t, taint)), None)
        if found is None:
            return 0.0
        used.append(found)
    ends = [
        parse_rfc3339(taint["timeAdded"]) + toleration["tolerationSeconds"]
        for toleration in used
        if toleration.get("tolerationSeconds") is not None
        for taint in taints
        if taint.get("timeAdded") and tolerates(toleration, taint)
    ]
    return max(min(ends) - now, 0.0) if ends else FOREVER


def taints_by_policies(cluster: Cluster, policies: Iterable[Object], now: float | None = None) -> list[Object]:
    """``spec.taints`` as ClusterTaintPolicies want it, the oldest policy first."""
    taints = list((cluster.get("spec") or {}).get("taints") or ())
    conditions = (cluster.get("status") or {}).get("conditions") or ()
    for policy in sorted(policies, key=lambda policy: metadata(policy).get("creationTimestamp") or ""):
        wanted = spec(policy)
        if not cluster_matches(cluster, wanted.get("targetClusters")):
            continue
        if _hold(conditions, wanted.get("addOnConditions")):
            taints = _with(taints, wanted.get("taints") or (), now)
        if _hold(conditions, wanted.get("removeOnConditions")):
            gone = {_identity(taint) for taint in wanted.get("taints") or ()}
            taints = [taint for taint in taints if _identity(taint) not in gone]
    return taints


def _hold(conditions: Sequence[Object], wanted: Sequence[Object] | None) -> bool:
    """All of ``wanted``; nothing wanted never holds. A condition that is not there meets neither In nor NotIn."""
    return bool(wanted) and all(_met(conditions, each) for each in wanted or ())


def _met(conditions: Sequence[Object], wanted: Object) -> bool:
    found = find(conditions, wanted.get("conditionType") or "")
    values = wanted.get("statusValues") or ()
    return found is not None and (found.get("status") in values) == (wanted.get("operator") == "In")


def _with(taints: list[Object], wanted: Iterable[Object], now: float | None) -> list[Object]:
    result = list(taints)
    for taint in wanted:
        if not any(_identity(other) == _identity(taint) for other in result):
            added: dict[str, Any] = {"key": taint.get("key"), "effect": taint.get("effect"), "timeAdded": rfc3339(now)}
            if taint.get("value"):
                added["value"] = taint["value"]
            result.append(added)
    return result


def _identity(taint: Object) -> tuple[Any, Any]:
    return taint.get("key"), taint.get("effect")


def tainted_event(cluster: str, taints: Sequence[Object]) -> tuple[str, str, str]:
    """(type, reason, message) on the Cluster."""
    return "Normal", "TaintClusterSucceed", f"Update Cluster({cluster}) with taints({_message(taints)}) succeed"


def _message(taints: Sequence[Object]) -> str:
    if not taints:
        return "cluster now does not have taints"
    listed = ",".join(
        "{" + ",".join(f"{label}:{taint[key]}" for label, key in _PARTS if taint.get(key)) + "}" for taint in taints
    )
    return f"cluster now has taints([{listed}])"


_PARTS = (("Key", "key"), ("Value", "value"), ("Effect", "effect"))
