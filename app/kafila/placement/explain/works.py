"""What became of the decision: the Works, what members say, and what leaves."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kafila.core import cluster_conditions, conditions
from kafila.core.clock import parse_rfc3339
from kafila.core.values import AnyObject
from kafila.placement import constants
from kafila.placement.explain.report import ClusterRow, Evidence, Report
from kafila.placement.explain.rollouts import is_waited_for
from kafila.placement.failover.application import behavior_of, tolerated_seconds
from kafila.placement.failover.pace import Health
from kafila.placement.failover.taints import no_execute
from kafila.placement.objects import (
    name,
    namespace,
    spec,
    status,
)
from kafila.placement.spec import targets
from kafila.placement.types import GracefulEvictionTask, Work
from kafila.placement.withdrawal import CHANGE, LABELS, waiting_for
from kafila.placement.work.status import known_failures


def explain_works(evidence: Evidence, rows: dict[str, ClusterRow], report: Report) -> None:
    assert evidence.binding is not None
    works = {constants.cluster_of(namespace(work)): work for work in evidence.works}
    reported = {item.get("clusterName"): item for item in status(evidence.binding).get("aggregatedStatus") or ()}
    wanted: dict[str, Any] = {target["name"]: target.get("replicas") for target in targets(evidence.binding["spec"])}
    for parent in evidence.binding["spec"].get("requiredBy") or ():
        for target in parent.get("clusters") or ():
            wanted.setdefault(target["name"], None)
    _explain_pace(evidence, wanted.keys(), report)  # before what is said of each of them
    for cluster, replicas in wanted.items():
        row = rows.setdefault(cluster, ClusterRow(cluster, "Chosen"))
        row.replicas = replicas
        row.state, row.why = _state(evidence, works.get(cluster), reported.get(cluster) or {}, cluster, report)
        row.reported = (reported.get(cluster) or {}).get("status")
        row.status = status_text(row.reported)
    for member in evidence.clusters:
        if name(member) in wanted and (what := waiting_for(member, LABELS)):
            report.advise(
                f"{name(member)} is not what policies mean any more, and what is there stays until that is approved: {what}.",
                f"kafila approve cluster {name(member)}, or make its labels and spec what they were.",
            )
        if name(member) in wanted and (what := waiting_for(member, CHANGE)):
            report.advise(
                f"{name(member)}: evictions wait for an approval: {what}.",
                f"kafila approve cluster {name(member)}, or take the taint away.",
            )
    for cluster, work in works.items():
        if cluster not in wanted:
            row = rows.setdefault(cluster, ClusterRow(cluster, "Leaving"))
            row.state, row.why = "Leaving", _leaving(evidence, work, cluster, report)
    for row in rows.values():
        if row.state == "Chosen":  # chosen then, and not stored in the binding now
            row.state, row.why = "Unused", row.why or "chosen by a decision that the binding does not have any more"


def _explain_pace(evidence: Evidence, wanted: Collection[str], report: Report) -> None:
    """Why a copy is still in a cluster with NoExecute taints, when many clusters fail."""
    ready = [conditions.is_true(status(member).get("conditions"), constants.COND_READY) for member in evidence.clusters]
    health = Health(len(ready), ready.count(False))
    tainted = [name(member) for member in evidence.clusters if name(member) in wanted and no_execute(member)]
    if tainted and health.is_widespread:
        report.advise(
            f"{', '.join(tainted)}: {health}: above --unhealthy-cluster-threshold evictions slow down or halt.",
            "They go on when enough clusters are Ready again; the Cluster's events say whether they wait for that.",
        )


def _leaving(evidence: Evidence, work: Work, cluster: str, report: Report) -> str:
    for task in spec(evidence.binding or {}).get("gracefulEvictionTasks") or ():
        if task.get("fromCluster") == cluster:
            reason = ": ".join(filter(None, (task.get("reason"), task.get("message"))))
            return f"evicted by {task.get('producer') or 'unknown'} ({reason}); {_until(evidence, task, report)}"
    if work["metadata"].get("deletionTimestamp"):
        return "is being removed there"
    return "not chosen any more; will be removed there"


def _until(evidence: Evidence, task: GracefulEvictionTask, report: Report) -> str:
    """When a copy that is evicted goes."""
    cluster, binding = task["fromCluster"], evidence.binding
    if task.get("suppressDeletion") is True:
        kind = "resourcebinding" if namespace(binding or {}) else "clusterresourcebinding"
        where = f" -n {namespace(binding or {})}" if namespace(binding or {}) else ""
        report.advise(
            f"{cluster}: the copy stays there until somebody says that it may go, and nothing new is placed there.",
            f"kubectl edit {kind}{where} {name(binding or {})}: suppressDeletion: false in the task of {cluster} "
            "(spec.gracefulEvictionTasks).",
        )
        return "stays until its task says suppressDeletion: false"
    if task.get("purgeMode") in constants.PURGE_NOW:
        return "is removed there before the next cluster gets it"
    if (seconds := task.get("gracePeriodSeconds")) is not None:
        return f"stays until the others are healthy, {seconds} s at most"
    return "stays until the others are healthy"


def _about_failover(evidence: Evidence) -> str:
    """What becomes of an unhealthy copy."""
    behavior = behavior_of(evidence.binding) if evidence.binding is not None else None
    if behavior is None:
        return ""
    return f"leaves this cluster when it has been unhealthy for {tolerated_seconds(behavior)} s (spec.failover.application)"


def _state(evidence: Evidence, work: Work | None, item: AnyObject, cluster: str, report: Report) -> tuple[str, str]:
    member = next((found for found in evidence.clusters if name(found) == cluster), None)
    ready = conditions.find(status(member or {}).get("conditions"), constants.COND_READY) or {}
    if (failure := (known_failures(evidence.binding) if evidence.binding is not None else {}).get(cluster)) is not None:
        stays = "" if work is None else " What is there stays as it was."
        report.advise(
            f"{cluster}: the Work cannot be written: {failure}.{stays}", "Mend what it says; then it goes on by itself."
        )
        return "Failed", f"the Work cannot be written: {failure}"
    if work is None and "works" in evidence.withheld:
        return _as_reported(item, cluster, report)
    if work is None and is_waited_for(evidence, cluster):
        return "Waiting", ""
    if work is None:
        report.advise(
            f"{cluster}: there is no Work yet.",
            "It is made within moments. If not: does `kafila serve` run its controllers (--controllers, --role)?",
        )
        return "Waiting", "no Work yet"
    see = f"kubectl describe work -n {namespace(work)} {name(work)}"
    if work["spec"].get("suspendDispatching"):
        report.advise(
            f"{cluster}: dispatching is suspended.", "Take spec.suspension off the policy when it shall go on."
        )
        return "Suspended", "placed, but not sent: dispatching is suspended"
    applied = conditions.find((work.get("status") or {}).get("conditions"), constants.COND_APPLIED)
    if unseen := not_seen(evidence, member or {}):
        report.advise(
            f"{cluster} is {unseen}", f"kubectl describe cluster {cluster}; it gets what it missed when it is back."
        )
        return ("Unknown" if applied else "Waiting"), f"the cluster is {unseen}"
    if ready.get("status") != "True" and "clusters" not in evidence.withheld:
        said = ready.get("message") or "it has not been reached yet"
        report.advise(
            f"{cluster} is not ready: {said}",
            f"kubectl describe cluster {cluster}; it gets what it missed when it is back.",
        )
        return ("Unknown" if applied else "Waiting"), f"the cluster is not ready: {said}"
    if applied is None:
        return "Waiting", "not applied yet"
    if applied.get("status") != "True":
        message = applied.get("message") or ""
        report.advise(f"{cluster} refused it: {message}", _about_refusal(message) or see)
        return "Failed", message
    health = item.get("health") or constants.UNKNOWN
    if health == constants.UNHEALTHY:
        report.advise(
            f"{cluster}: applied, but not healthy.",
            f"Look there: karmadactl describe {evidence.kind.lower()} {evidence.name} "
            f"{'-n ' + evidence.namespace + ' ' if evidence.namespace else ''}--operation-scope members --cluster {cluster}",
        )
        return health, _about_failover(evidence)
    return ("Applied" if health == constants.UNKNOWN else health), ""


def _as_reported(item: AnyObject, cluster: str, report: Report) -> tuple[str, str]:
    """From the binding's status alone, for somebody who may not read Works."""
    if not item:
        return "Waiting", "nothing is reported yet"
    if not item.get("applied"):
        message = item.get("appliedMessage") or "not applied"
        report.advise(f"{cluster} refused it: {message}", _about_refusal(message) or "Mend what it says.")
        return "Failed", message
    health = item.get("health") or constants.UNKNOWN
    return ("Applied" if health == constants.UNKNOWN else health), ""


def not_seen(evidence: Evidence, member: AnyObject) -> str:
    """Since when probes of a member fail, and why; empty when they do not. Long before it counts as not ready."""
    lost = conditions.find(status(member).get("conditions"), cluster_conditions.HEARTBEAT)
    if lost is None:
        return ""
    since = parse_rfc3339(lost["lastTransitionTime"])
    return f"not seen for {max(0, round(evidence.now - since))} s: {lost['message'].partition(': ')[2]}"


def _about_refusal(message: str) -> str:
    if "already exists" in message:
        return (
            "An object of that name was there before. Rename or remove it there, or let the policy take it over: "
            "spec.conflictResolution: Overwrite."
        )
    if "exceeded quota" in message:
        return "A ResourceQuota of that cluster stops it: raise it there, or place less."
    if "no matches for kind" in message:
        return "The cluster does not serve that kind: install its CustomResourceDefinition there."
    return ""


def status_text(found: Any) -> str:
    """What a member reports, as far as it fits in a column."""
    if not isinstance(found, dict):
        return ""
    if "readyReplicas" in found or "replicas" in found or "updatedReplicas" in found:
        return f"{found.get('readyReplicas') or 0}/{found.get('replicas') or 0} ready"
    if "desiredNumberScheduled" in found:
        return f"{found.get('numberReady') or 0}/{found['desiredNumberScheduled']} ready"
    if "succeeded" in found or "active" in found or "failed" in found:
        parts = [f"{found[key]} {key}" for key in ("active", "succeeded", "failed") if found.get(key)]
        return ", ".join(parts)
    return str(found.get("phase") or "")
