"""What ``kafila why`` says of autoscalers, and of what they scale."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement.explain import Evidence, Report, explain
from kafila.placement.explain.autoscalers import REMEDIES
from tests.unit.placement.objects import PP_ID, deployment

ROOT = Path(__file__).parents[4]


def autoscaler(kind: str = "FederatedHPA", name: str = "a", conditions: Any = (), **more: Any) -> Object:
    version = "autoscaling/v2" if kind == "HorizontalPodAutoscaler" else "autoscaling.karmada.io/v1alpha1"
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nginx"}
    found: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "default"}}
    spec = {"scaleTargetRef": reference, **more.pop("spec", {})}
    return {**found, "spec": spec, "status": {"conditions": list(conditions)}, **more}


def bad(type: str, reason: str) -> Object:
    return {"type": type, "status": "False", "reason": reason, "message": "so it is"}


def of(obj: Object, *autoscalers: Object) -> Report:
    return explain(Evidence(obj["kind"], "default", obj["metadata"]["name"], obj, autoscalers=autoscalers))


@pytest.mark.parametrize("reason", REMEDIES)
def test_every_reason_has_a_remedy(reason: str) -> None:
    report = of(autoscaler(conditions=[bad("ScalingActive", reason)]))
    assert report.summary == "It scales Deployment nginx, and cannot at the moment."
    assert report.advice[0].problem == f"ScalingActive is False ({reason}): so it is"
    assert report.advice[0].remedy == REMEDIES[reason]


def test_the_documentation_has_the_same_reasons() -> None:
    text = (ROOT / "docs/autoscaling.md").read_text()
    section = text[text.index("| condition | reason |") : text.index("Names, reasons and messages")]
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", section)) - {
        "TooManyReplicas",
        "TooFewReplicas",
        "ScaleUpLimit",
        "ScaleDownLimit",
    }
    assert named == {*REMEDIES} - {"InvalidMetricSourceType"}


def test_one_that_works() -> None:
    found = [{"type": "ScalingActive", "status": "True"}, {"type": "ScalingLimited", "status": "False"}]
    report = of(autoscaler(conditions=found))
    assert report.summary == "It scales Deployment nginx, and nothing keeps it from that."
    assert not report.advice


def test_a_workload_that_several_scale() -> None:
    propagated = autoscaler("HorizontalPodAutoscaler", "h")
    propagated["metadata"]["labels"] = {PP_ID: "x"}
    others = (
        autoscaler("HorizontalPodAutoscaler", "in no cluster"),
        autoscaler(name="elsewhere", spec={"scaleTargetRef": {"kind": "Deployment", "name": "nginx"}}),
    )
    problems = [each.problem for each in of(deployment(), autoscaler(), propagated, *others).advice]
    assert "FederatedHPA a, HorizontalPodAutoscaler h scale it, and undo each other's work." in problems
    assert not any("undo" in each.problem for each in of(deployment(), autoscaler(), *others).advice)


def test_a_workload_whose_autoscaler_cannot() -> None:
    (first, *_) = of(deployment(), autoscaler(conditions=[bad("AbleToScale", "FailedGetScale")])).advice
    assert first.problem == "FederatedHPA a: AbleToScale is False (FailedGetScale): so it is"


def test_rules_that_never_run_and_rules_that_fail() -> None:
    rules = [{"name": name, "schedule": "0 0 31 2 *"} for name in ("never", "failing", "mended", "new")]
    rules.append({"name": "off", "schedule": "0 0 * * *", "suspend": True})
    failed = [{"executionTime": "2026-11-30T12:00:00Z", "message": "not found"}]
    due = {"nextExecutionTime": "2026-12-01T12:00:00Z", "failedExecutions": failed}
    done = [{"executionTime": "2026-11-30T13:00:00Z"}]
    histories = [
        {"ruleName": "never"},
        {"ruleName": "failing", **due},
        {"ruleName": "mended", **due, "successfulExecutions": done},
        {"ruleName": "off"},
    ]
    status = {"executionHistories": histories}
    report = of(autoscaler("CronFederatedHPA", spec={"rules": rules}, status=status))
    assert [each.problem for each in report.advice] == [
        'rule never never runs: its schedule is "0 0 31 2 *"',
        "rule failing failed at 2026-11-30T12:00:00Z: not found",
    ]
