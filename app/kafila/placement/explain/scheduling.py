"""The decision about clusters: from the decision record, and, where none is stored, from the objects as they are now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from kafila.core import conditions
from kafila.core.values import Object
from kafila.placement import allowed_clusters, cluster_expression, constants, replica_bounds
from kafila.placement.cluster_affinity import is_terminating, taint_text, untolerated_taint
from kafila.placement.cluster_expression import expression_of, outcome
from kafila.placement.explain.affinity import why_outside
from kafila.placement.explain.report import ClusterRow, Evidence, Report
from kafila.placement.objects import annotations_of, name, namespace, spec
from kafila.placement.scheduler.filters import (
    AFFINITY,
    ALLOWED,
    ANTI_WORKLOAD,
    API,
    EVICTION,
    EXPRESSION,
    SPREAD,
    TAINTS,
    WORKLOAD,
    Rejection,
    checked,
    feasible,
)
from kafila.placement.spec import replicas, scheduling_type
from kafila.placement.types import Binding, Cluster

_SHOWN: Final = 200  # characters of an expression
_TRIGGERS = {
    "PlacementChanged": "the placement is new or was changed",
    "ReplicasChanged": "the replicas were changed",
    "RescheduleTriggered": "a fresh decision was asked for",
    "Always": "it was looked at again",
    "ClusterTerminating": "a cluster is being removed",
    "ClusterNotAllowed": "its namespace may not use a cluster any more",
}


def trigger_text(trigger: str) -> str:
    return _TRIGGERS.get(trigger, trigger)


def division_text(binding: Binding, decision: Object | None = None) -> str:
    """How replicas are shared out, in words, and how urgent that is. ``decision``: the record of the last one."""
    priority = (binding["spec"].get("schedulePriority") or {}).get("priority")
    weighted_by = ((decision or {}).get("scheduling") or {}).get("weightedBy") or ()
    return (
        _division(binding, " and ".join(weighted_by))
        + _bounds(binding)
        + (f"; schedule priority {priority}" if priority else "")
    )


def _bounds(binding: Binding) -> str:
    text = annotations_of(binding).get(replica_bounds.ANNOTATION)
    is_divided = scheduling_type(binding["spec"].get("placement") or {}) == constants.DIVIDED
    if not text or not is_divided or not replicas(binding["spec"]):
        return ""
    return f"; within bounds ({replica_bounds.bounds_text(text)})"


def _division(binding: Binding, weighted_by: str) -> str:
    wanted, placement = binding["spec"], binding["spec"].get("placement") or {}
    count, strategy = replicas(wanted), placement.get("replicaScheduling") or {}
    if not count:
        return "has no replicas: each chosen cluster gets it once"
    if scheduling_type(placement) == constants.DUPLICATED:
        return f"Duplicated: each chosen cluster gets all {count} replicas"
    if strategy.get("replicaDivisionPreference") == constants.AGGREGATED:
        return f"Divided, Aggregated: {count} replicas in as few clusters as have room"
    weights = strategy.get("weightPreference") or {}
    if weights.get("dynamicWeight"):
        return f"Divided by {f'score {weighted_by}' if weighted_by else 'free room'}: {count} replicas, those that run stay where they are"
    if weights.get("staticWeightList"):
        return f"Divided by fixed weights: {count} replicas"
    return f"Divided equally: {count} replicas"


def detailed(rejection: Rejection, cluster: Cluster, evidence: Evidence) -> str:
    """The reason with what Karmada's text leaves out."""
    assert evidence.binding is not None
    if rejection.filter == EXPRESSION:
        return _about_outcome(expression_of(evidence.binding), cluster)
    if rejection.filter == AFFINITY:
        return why_outside(cluster, evidence.binding["spec"], _deciding_affinity(evidence.binding))
    return rejection.reason.removeprefix("cluster(s) ")


def _about_outcome(expression: str, cluster: Cluster) -> str:
    found = outcome(expression, cluster)
    short = expression if len(expression) <= _SHOWN else f"{expression[:_SHOWN]}…"
    return f"{short}: {found.error or ('matches now' if found.matches else 'is not true of it')}"


def considered(evidence: Evidence) -> dict[str, ClusterRow]:
    """A row for each cluster that the last decision considered, or that exists now."""
    binding = evidence.binding
    assert binding is not None
    rows = _from_record(evidence.decision, _deciding_affinity(binding))
    now = _rejections(evidence)
    for cluster in evidence.clusters:
        mine = name(cluster)
        if is_terminating(cluster):
            rows[mine] = ClusterRow(mine, "Rejected", why="the cluster is being removed")
        elif mine in rows and rows[mine].state != "Rejected":
            continue
        elif mine in now:
            rows[mine] = ClusterRow(
                mine, "Rejected", why=f"{now[mine].filter}: {detailed(now[mine], cluster, evidence)}"
            )
        elif mine in rows:
            rows[mine].why += "; this has passed since"
        else:
            why = "joined after the decision" if evidence.decision is not None else ""
            rows[mine] = ClusterRow(mine, "Unused", why=why)
    return rows


def _deciding_affinity(binding: Binding) -> str:
    return (binding.get("status") or {}).get("schedulerObservingAffinityName") or ""


def _rejections(evidence: Evidence) -> Mapping[str, Rejection]:
    """As they are now; of filters that cannot be asked here, as the last decision wrote them down."""
    assert evidence.binding is not None
    affinity = _deciding_affinity(evidence.binding)
    expression = expression_of(evidence.binding)
    now = feasible(evidence.binding["spec"], affinity, evidence.clusters, expression=expression)[1]
    there = {name(cluster) for cluster in evidence.clusters if not is_terminating(cluster)}
    elsewhere = _from_elsewhere(evidence.decision, affinity)
    return {**{mine: why for mine, why in elsewhere.items() if mine in there}, **now}


def _from_elsewhere(decision: Object | None, affinity: str) -> dict[str, Rejection]:
    """Of plugins, which are installed where the scheduler runs, and of filters that depend on other bindings."""
    attempts = ((decision or {}).get("scheduling") or {}).get("attempts") or []
    return {
        cluster: Rejection(rejected["filter"], rejected["reason"])
        for attempt in attempts
        if (attempt.get("affinity") or "") == affinity
        for rejected in attempt.get("rejected") or ()
        if rejected["filter"] not in _ASKED_HERE
        for cluster in rejected["clusters"]
    }


def checks_now(evidence: Evidence, cluster: Cluster) -> list[tuple[str, str]]:
    assert evidence.binding is not None
    affinity, expression = _deciding_affinity(evidence.binding), expression_of(evidence.binding)
    found = checked(evidence.binding["spec"], affinity, cluster, expression=expression)
    elsewhere = _from_elsewhere(evidence.decision, _deciding_affinity(evidence.binding)).get(name(cluster))
    return [(answer.filter, answer.reason) for answer in (*found, *([elsewhere] if elsewhere else ()))]


def _from_record(decision: Object | None, affinity: str) -> dict[str, ClusterRow]:
    attempts = ((decision or {}).get("scheduling") or {}).get("attempts") or []
    rows: dict[str, ClusterRow] = {}
    # the attempt that counts comes last, so that it has the last word about each cluster
    for attempt in sorted(attempts, key=lambda attempt: (attempt.get("affinity") or "") == affinity):
        for rejected in attempt.get("rejected") or ():
            for cluster in rejected["clusters"]:
                rows[cluster] = ClusterRow(cluster, "Rejected", why=f"{rejected['filter']}: {rejected['reason']}")
        for each in attempt.get("clusters") or ():
            row = ClusterRow(each["name"], "Unused", None, each.get("available"), each["score"], each.get("note") or "")
            row.replicas = each.get("replicas")
            if each.get("chosen"):
                row.state = "Chosen"
            elif attempt.get("failure") and not row.why:
                row.why = "could take it, but the decision failed"
            if each.get("overflow"):
                row.why = "; ".join(filter(None, (f"overflow affinity {each['overflow']}", row.why)))
            rows[each["name"]] = row
    return rows


def advise_about_rejections(evidence: Evidence, report: Report, only: str = "") -> None:
    """Once for every reason, with the clusters it keeps away."""
    assert evidence.binding is not None
    clusters = {name(cluster): cluster for cluster in evidence.clusters}
    by_reason: dict[tuple[str, str], list[str]] = {}
    for cluster, rejection in _rejections(evidence).items():
        if cluster == only or not only:
            reason = detailed(rejection, clusters[cluster], evidence)
            by_reason.setdefault((rejection.filter, reason), []).append(cluster)
    for (called, reason), found in by_reason.items():
        remedy = _remedy(called, clusters[found[0]], evidence)
        report.advise(f"{_listed(found)}: {called}: {reason}.", remedy)


def _listed(clusters: list[str]) -> str:
    shown = ", ".join(clusters[:5])
    return f"{shown} and {len(clusters) - 5} more" if len(clusters) > 5 else shown


def _remedy(called: str, cluster: Cluster, evidence: Evidence) -> str:
    if called not in REMEDIES:
        return f"This is decided by the scheduler plugin {called}."
    return REMEDIES[called](cluster, evidence)


def _about_affinity(cluster: Cluster, evidence: Evidence) -> str:
    return "If it shall go there: widen the affinity in spec.placement of the policy, or label the cluster to match it."


def _about_expression(cluster: Cluster, evidence: Evidence) -> str:
    return f"If it shall go there: change annotation {cluster_expression.ANNOTATION} of the policy, or the cluster."


def _about_api(cluster: Cluster, evidence: Evidence) -> str:
    mine, resource = name(cluster), spec(evidence.binding or {}).get("resource") or {}
    if not (cluster.get("status") or {}).get("apiEnablements"):
        return f"What {mine} serves is not known: see kubectl describe cluster {mine}."
    return f"{mine} does not serve {resource.get('apiVersion')} {resource.get('kind')}: install its CustomResourceDefinition there."


def _about_spread(cluster: Cluster, evidence: Evidence) -> str:
    return f"Spreading needs the property: set spec.provider, spec.region or spec.zones of cluster {name(cluster)}."


def _about_eviction(cluster: Cluster, evidence: Evidence) -> str:
    return "It is being moved away from there (spec.gracefulEvictionTasks of the binding) and may come back when that has ended."


def _about_workloads(cluster: Cluster, evidence: Evidence) -> str:
    return "See spec.placement.workloadAffinity of the policy and the other bindings of the group."


def _about_taint(cluster: Cluster, evidence: Evidence) -> str:
    mine = name(cluster)
    tolerations = (spec(evidence.binding or {}).get("placement") or {}).get("clusterTolerations")
    taint = untolerated_taint(cluster, tolerations) or {}
    if taint.get("key") in (constants.TAINT_NOT_READY, constants.TAINT_UNREACHABLE):
        ready = conditions.find((cluster.get("status") or {}).get("conditions"), constants.COND_READY) or {}
        said = ready.get("message") or "no condition Ready yet"
        return f"{mine} is not ready ({said}): see kubectl describe cluster {mine}. The taint goes when it is."
    if taint.get("key") == constants.TAINT_UNSCHEDULABLE:
        return f"{mine} is cordoned: karmadactl uncordon {mine}."
    return (
        f"Tolerate {taint_text(taint)} in spec.placement.clusterTolerations of the policy, or take the taint off: "
        f"karmadactl taint clusters {mine} {taint_text(taint)}-"
    )


def _about_allowed(cluster: Cluster, evidence: Evidence) -> str:
    where = namespace(evidence.binding or {})
    return f"Who may write namespace {where} can allow it: annotation {allowed_clusters.NAMES} or {allowed_clusters.SELECTOR}."


_ASKED_HERE: Final = frozenset(
    {AFFINITY, EXPRESSION, TAINTS, API, SPREAD, EVICTION}
)  # they need no more than binding and cluster
REMEDIES: Final[Mapping[str, Callable[[Cluster, Evidence], str]]] = {
    AFFINITY: _about_affinity,
    EXPRESSION: _about_expression,
    TAINTS: _about_taint,
    API: _about_api,
    SPREAD: _about_spread,
    EVICTION: _about_eviction,
    WORKLOAD: _about_workloads,
    ANTI_WORKLOAD: _about_workloads,
    ALLOWED: _about_allowed,
}  # of every filter in ``placement/scheduler/filters.py``, which a test compares; another name is a plugin's
