"""What scales a workload, whether it can, and what to do where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kafila.core.conditions import conditions_of
from kafila.core.resources import gvk_of
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.objects import labels_of, name

from .report import Evidence, Report

GROUP: Final = "autoscaling.karmada.io"
SHOWN: Final = 10  # autoscalers of one workload that are told of
_BAD: Final = {"AbleToScale": "False", "ScalingActive": "False", "kafila.io/SoleAutoscaler": "False"}
_ONE: Final = "Keep one of them: delete the others, or let them scale something else."
_NO_METRICS: Final = (
    "Look at what the metrics API of the control plane answers (kubectl get podmetrics -n NAMESPACE), that the members run a metrics "
    "server, and that every container requests the resource."
)
REMEDIES: Final = {
    "FailedGetScaleTargetRef": "Correct spec.scaleTargetRef, or create what it names.",
    "FailedGetBinding": "No policy places the target: kafila why KIND/NAME of the target says why.",
    "FailedGetTargetClusters": "The target is placed nowhere: kafila why KIND/NAME of the target says why.",
    "FailedGetScale": "Look whether its clusters are Ready and have the target (kafila clusters), and whether its kind has a scale.",
    "FailedUpdateScale": "What refused the new number stands in the message.",
    "ScalingDisabled": "Give the target a replica: what is scaled to zero is left alone.",
    "InvalidSelector": "Give the target a selector that its scale shows.",
    "AmbiguousSelector": _ONE,
    "ContradictingAutoscalers": _ONE,
    "InvalidMetricSourceType": "Use one of the types Resource, ContainerResource, Pods and Object.",
    "FailedGetResourceMetric": _NO_METRICS,
    "FailedGetContainerResourceMetric": _NO_METRICS,
    "FailedGetPodsMetric": "Look at what custom.metrics.k8s.io of the control plane answers for this metric.",
    "FailedGetObjectMetric": "Look at what custom.metrics.k8s.io of the control plane answers for this metric.",
}


def explain_autoscaler(evidence: Evidence, report: Report) -> bool:
    """Whether the object is an autoscaler of Karmada's, which stays in the control plane and is told of here."""
    template = evidence.template
    if template is None or gvk_of(template).group != GROUP:
        return False
    reference = template["spec"]["scaleTargetRef"]
    target = f"{reference['kind']} {reference['name']}"
    problems = list(_problems(template))
    state = "and cannot at the moment" if problems else "and nothing keeps it from that"
    report.summary = f"It scales {target}, {state}."
    for problem, remedy in problems:
        report.advise(problem, remedy)
    return True


def explain_scaling(evidence: Evidence, report: Report) -> None:
    """Of a workload: who scales it, if that is not as it should be."""
    scaling = [each for each in evidence.autoscalers if _scales(each, evidence)]
    for autoscaler in scaling[:SHOWN]:
        for problem, remedy in _problems(autoscaler):
            report.advise(f"{autoscaler['kind']} {name(autoscaler)}: {problem}", remedy)
    if len(scaling) > 1:
        listed = ", ".join(f"{each['kind']} {name(each)}" for each in scaling[:SHOWN])
        report.advise(f"{listed} scale it, and undo each other's work.", _ONE)


def _scales(autoscaler: Object, evidence: Evidence) -> bool:
    if autoscaler["kind"] == "HorizontalPodAutoscaler":
        labels = labels_of(autoscaler)
        if constants.PP_PERMANENT_ID not in labels and constants.CPP_PERMANENT_ID not in labels:
            return False  # it is in no cluster
    reference = autoscaler["spec"]["scaleTargetRef"]
    group, slash, _ = (reference.get("apiVersion") or "").partition("/")
    own = gvk_of(evidence.template or {}).group
    return (group if slash else "", reference["kind"], reference["name"]) == (own, evidence.kind, evidence.name)


def _problems(autoscaler: Object) -> Iterator[tuple[str, str]]:
    """What is wrong with it, and what to do."""
    if autoscaler["kind"] == "CronFederatedHPA":
        yield from _problems_of_rules(autoscaler)
        return
    for each in conditions_of(autoscaler):
        if _BAD.get(each.get("type", "")) == each.get("status"):
            reason = each.get("reason") or ""
            remedy = REMEDIES.get(reason, "The message says what is in the way.")
            yield f"{each['type']} is False ({reason}): {each.get('message') or ''}", remedy


def _problems_of_rules(autoscaler: Object) -> Iterator[tuple[str, str]]:
    histories = (autoscaler.get("status") or {}).get("executionHistories") or ()
    known = {each["ruleName"]: each for each in histories}
    for rule in autoscaler["spec"].get("rules") or ():
        history = known.get(rule["name"])
        if history is None or rule.get("suspend"):
            continue
        if not history.get("nextExecutionTime"):
            text = f'rule {rule["name"]} never runs: its schedule is "{rule["schedule"]}"'
            yield text, "Use five fields that name a time to come; the event StartRuleFailed has the reason."
        failed, done = (_latest(history, field) for field in ("failedExecutions", "successfulExecutions"))
        if failed is not None and (done is None or done["executionTime"] < failed["executionTime"]):
            text = f"rule {rule['name']} failed at {failed['executionTime']}: {failed['message']}"
            yield text, "It is tried again at its next time; correct the target or the rule before."


def _latest(history: Object, field: str) -> Object | None:
    return next(iter(history.get(field) or ()), None)
