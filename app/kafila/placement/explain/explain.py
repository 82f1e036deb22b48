"""The whole story of one object: policy, decision, clusters, and what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from kafila.core import conditions
from kafila.core.resources import gvk_of
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.bulk_deletion import waiting
from kafila.placement.detector.match import is_skipped, is_skipped_object
from kafila.placement.explain.autoscalers import explain_autoscaler, explain_scaling
from kafila.placement.explain.policies import CLUSTER_POLICIES, explain_policy
from kafila.placement.explain.report import ClusterRow, Evidence, Report
from kafila.placement.explain.rollouts import explain_rollout
from kafila.placement.explain.scheduling import (
    advise_about_rejections,
    checks_now,
    considered,
    division_text,
    trigger_text,
)
from kafila.placement.explain.works import explain_works
from kafila.placement.objects import (
    annotations_of,
    labels_of,
    name,
    namespace,
)
from kafila.placement.replica_bounds import ANNOTATION as REPLICA_BOUNDS
from kafila.placement.scheduler.reschedule import is_for_scheduler
from kafila.placement.spec import replicas, targets, targets_of
from kafila.placement.types import PropagationPolicy
from kafila.placement.work.completions import left_over_by
from kafila.placement.work.shared import merged

_DENIED: Final = re.compile(r'^admission webhook "[^"]*" denied the request: ')
_NOT_APPLIED: Final = (constants.EVENT_APPLY_POLICY_FAILED, "ReconcileFailed")
_SAID: Final = ("result", "time", "trigger", "message", "placed")
_PLACED_FIRST = ("Failed", "Unhealthy", "Waiting", "Suspended", "Unknown", "Applied", "Healthy", "Leaving")


def explain(evidence: Evidence, cluster: str = "") -> Report:
    """``cluster``: explain this one only, with every check it passes or fails now."""
    report = Report(evidence.reference, warnings=list(evidence.warnings), withheld=list(evidence.withheld))
    template = evidence.template
    if template is None:
        report.summary = "It does not exist in the control plane."
        return report
    if explain_autoscaler(evidence, report):
        return report
    if reason := _never(evidence, template):
        report.summary = "It is never propagated."
        report.policy_why = reason
        return report
    evidence = replace(evidence, binding=merged(evidence.binding, evidence.attached))
    _explain_deletions(evidence, report)
    explain_scaling(evidence, report)
    policy = explain_policy(evidence, report)
    if evidence.binding is None:
        _explain_no_binding(evidence, policy, report)
        return report
    _explain_decision(evidence, report)
    rows = considered(evidence)
    explain_works(evidence, rows, report)
    explain_rollout(evidence, rows, report)
    _explain_failure(evidence, report, rows, cluster)
    _summarize(evidence, rows, report)
    if cluster:
        _only(evidence, rows, report, cluster)
    else:
        report.clusters = sorted(rows.values(), key=_order)
    return report


def _order(row: ClusterRow) -> tuple[int, str]:
    return (_PLACED_FIRST.index(row.state) if row.state in _PLACED_FIRST else len(_PLACED_FIRST)), row.name


def _explain_deletions(evidence: Evidence, report: Report) -> None:
    home = evidence.home
    if home is not None and (what := waiting(home, evidence.now)):
        report.advise(
            f"Deletions in namespace {evidence.namespace} wait for an approval: {what}.",
            f"kafila approve namespace {evidence.namespace}, and delete again.",
        )


def _never(evidence: Evidence, template: Object) -> str:
    if is_skipped(gvk_of(template)):
        return f"{evidence.kind} is a kind that stays in the control plane"
    if is_skipped_object(evidence.kind, evidence.namespace, evidence.name):
        return f"namespace {evidence.namespace} stays in the control plane (--skipped-propagating-namespaces)"
    claimed = labels_of(template).get(constants.CLAIMED_BY)
    if claimed and evidence.binding is None:
        return f"label {constants.CLAIMED_BY}={claimed}: another controller has claimed it"
    return ""


def _explain_no_binding(evidence: Evidence, policy: PropagationPolicy | None, report: Report) -> None:
    if policy is None:
        report.summary = "It is in no cluster: no policy selects it."
        if CLUSTER_POLICIES in evidence.withheld:
            report.summary = "It is in no cluster: no policy that you may read selects it."
        return
    report.summary = "It is in no cluster: the policy has not been applied yet."
    if failed := next((each for each in evidence.warnings if each.reason in _NOT_APPLIED), None):
        report.summary = "It is in no cluster: the policy could not be applied."
        report.advise(failed.message, "It is tried again by itself, later and later, until what it says is mended.")
        return
    existing = {name(each) for each in evidence.overrides if namespace(each) == evidence.namespace}
    missing = [each for each in policy["spec"].get("dependentOverrides") or () if each not in existing]
    if missing:
        report.advise(
            f"The policy waits for OverridePolicy {', '.join(missing)} (spec.dependentOverrides).",
            f"Create {'it' if len(missing) == 1 else 'them'} in namespace {evidence.namespace}, or take the name off.",
        )
    elif policy["spec"].get("activationPreference") == constants.LAZY:
        report.advise("The policy is lazy.", "It is applied with the next change of the resource itself.")
    else:
        report.advise(
            "There is no binding.", "It is made within moments. If not: does `kafila serve` run its controllers?"
        )


def _explain_decision(evidence: Evidence, report: Report) -> None:
    binding = evidence.binding
    assert binding is not None
    report.division = division_text(binding, evidence.decision)
    said = (evidence.decision or {}).get("scheduling") or {}
    for each in said.get("notUsed") or ():
        who = f"kubectl get clusterscore {each.partition(':')[0]}"
        report.advise(f"ClusterScore {each}. Replicas were divided without it.", f"Whoever writes it renews it: {who}.")
    if said:
        report.decided = f"{said['result']} at {said['time']}, because {trigger_text(said['trigger'])}"
        report.decision = {field: said[field] for field in _SAID if said.get(field)}
    report.history = list((evidence.decision or {}).get("history") or ())
    if binding["spec"].get("schedulerName") not in (None, constants.DEFAULT_SCHEDULER):
        report.decided = f"left to the scheduler {binding['spec']['schedulerName']}"
    elif (binding["spec"].get("suspension") or {}).get("scheduling"):
        report.decided = "scheduling is suspended"
        report.advise("Scheduling is suspended (spec.suspension.scheduling of the binding).", "Whoever set it ends it.")
    elif not is_for_scheduler(binding) and binding["spec"].get("requiredBy"):
        parents = ", ".join(f"{p.get('namespace')}/{p['name']}" for p in binding["spec"]["requiredBy"])
        report.decided = f"follows the bindings that need it: {parents}"
    if binding["metadata"].get("deletionTimestamp"):
        report.advise("Its binding is being deleted.", "It ends when its copies are gone from the clusters.")


def _explain_failure(evidence: Evidence, report: Report, rows: dict[str, ClusterRow], only: str) -> None:
    binding = evidence.binding
    assert binding is not None
    scheduled = conditions.find((binding.get("status") or {}).get("conditions"), constants.COND_SCHEDULED)
    if scheduled is None or scheduled.get("status") == "True":
        return
    reason, message = scheduled.get("reason"), _plain(scheduled.get("message") or "")
    if reason == constants.REASON_UNSCHEDULABLE and REPLICA_BOUNDS in annotations_of(binding):
        report.advise(message, f"Change the replicas, or their bounds: annotation {REPLICA_BOUNDS} of the policy.")
    if reason == constants.REASON_UNSCHEDULABLE:
        available = {row.name: row.available for row in rows.values() if row.state != "Rejected"}
        free = ", ".join(
            f"{cluster} {'not known' if count is None else count}" for cluster, count in sorted(available.items())[:10]
        )
        report.advise(
            f"{replicas(binding['spec'])} replicas are wanted; free room: {free or 'none'}.",
            "Fewer replicas, smaller requests, more clusters in the placement, or free something there. It is tried again by itself.",
        )
    elif reason == constants.REASON_QUOTA_EXCEEDED:
        report.advise(message, f"Raise spec.overall: kubectl get federatedresourcequotas -n {evidence.namespace}")
    elif reason == constants.REASON_NO_CLUSTER_FIT:
        if "clusters" in evidence.withheld:
            report.advise(message, "See spec.placement of the policy, and which clusters its namespace may use.")
        elif not evidence.clusters:
            report.advise("No cluster has joined.", "kafila join NAME --cluster-kubeconfig FILE")
        elif not only:
            advise_about_rejections(evidence, report)
    else:
        report.advise(message, "See spec.placement of the policy. It is tried again by itself.")


def _summarize(evidence: Evidence, rows: dict[str, ClusterRow], report: Report) -> None:
    binding = evidence.binding
    assert binding is not None
    scheduled = conditions.find((binding.get("status") or {}).get("conditions"), constants.COND_SCHEDULED)
    chosen = targets_of(binding["spec"])
    states = [rows[target["name"]].state for target in chosen]
    leaving = ", ".join(sorted(row.name for row in rows.values() if row.state == "Leaving"))
    if scheduled is not None and scheduled.get("status") != "True":
        kept = f" What was placed stays: {len(chosen)} clusters." if chosen else " It is in no cluster."
        if leaving:
            kept = (kept if chosen else "") + f" It is still in {leaving}, which it leaves."
        message = _plain(scheduled.get("message") or "")
        report.summary = f"Not scheduled, {scheduled.get('reason')}: {message.removesuffix('.')}.{kept}"
        return
    if not states:
        report.summary = f"It is still in {leaving}, which it leaves." if leaving else "It is in no cluster yet."
        return
    count = sum(target.get("replicas") or 0 for target in targets(binding["spec"]))
    of = "" if "clusters" in evidence.withheld else f" of {len(evidence.clusters)}"
    placed = f"Placed in {len(chosen)}{of} clusters" + (f", {count} replicas" if count else "")
    fine = sum(state in ("Healthy", "Applied") for state in states)
    missing = left_over_by(evidence.template or {}, binding["spec"], evidence.works)
    all_fine = fine == len(states) and not missing
    report.summary = f"{placed}; {'all' if all_fine else f'{fine} of {len(states)}'} as wanted."
    if missing:
        report.summary += f" {missing}."
        report.advise(
            f"{missing}.",
            "Let the placement choose one more cluster, and create a WorkloadRebalancer (examples/workload-rebalancer); or "
            "delete the Job and create it anew.",
        )
    if leaving:
        report.summary += f" It is still in {leaving}, which it leaves."


def _plain(message: str) -> str:
    """Without the form in which Karmada's scheduler gets a refusal: a quota that is exceeded is no webhook's doing."""
    return _DENIED.sub("", message)


def _only(evidence: Evidence, rows: dict[str, ClusterRow], report: Report, cluster: str) -> None:
    found = next((each for each in evidence.clusters if name(each) == cluster), None)
    if found is None:
        if "clusters" not in evidence.withheld:
            report.advise(f"There is no cluster {cluster}.", "kubectl get clusters")
        report.clusters = [rows[cluster]] if cluster in rows else []
        return
    row = rows[cluster]
    row.checks = checks_now(evidence, found)
    report.clusters = [row]
    report.advice = [each for each in report.advice if each.problem.startswith(cluster)]
    advise_about_rejections(evidence, report, cluster)
    if row.state == "Rejected" and not any(reason for _, reason in row.checks):
        report.advise(
            f"{cluster}: what kept it away has passed, but nobody asked for a new decision since.",
            "Change the placement or the replicas, or create a WorkloadRebalancer (examples/workload-rebalancer).",
        )
    elif row.state == "Unused" and "spread" in row.why:
        report.advise(
            f"{cluster} was left out by spec.placement.spreadConstraints.", "Raise maxGroups if it shall be used too."
        )
    elif row.state == "Unused" and row.available == 0:
        report.advise(
            f"{cluster} has no free room for one replica.",
            f"kubectl get cluster {cluster} -o jsonpath={{.status.resourceSummary}}",
        )
