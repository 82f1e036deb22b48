"""Every filter has its advice, and what cannot be asked again here is not taken for passed."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.explain import Evidence, explain
from kafila.placement.explain.scheduling import REMEDIES
from kafila.placement.scheduler import filters
from tests.unit.placement.objects import PP_ID, binding, cluster, deployment, policy, selector


def test_every_filter_in_tree_has_an_advice() -> None:
    """Without one it would be taken for a plugin's."""
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(filters))) if isinstance(node, ast.Call)]
    makers = ("Filter", "Rejection")
    named = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id in makers]
    in_tree = {getattr(filters, it.id) for it in named if isinstance(it, ast.Name) and it.id.isupper()}
    assert in_tree == REMEDIES.keys()


def rejected_by(called: str, **of_cluster: Any) -> Evidence:
    placement: Object = {"clusterAffinity": {}}
    made = binding(2, placement)
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default", "labels": {PP_ID: "x"}}
    condition = {"type": "Scheduled", "status": "False", "reason": constants.REASON_NO_CLUSTER_FIT, "message": "0/1"}
    made["status"] = {"conditions": [condition]}
    template = deployment()
    template["metadata"]["annotations"] = {constants.PP_NAMESPACE: "default", constants.PP_NAME: "pp"}
    tried = {"result": "NoClusterFit", "time": "2026-01-01T00:00:00Z", "trigger": "PlacementChanged", "message": ""}
    rejected = [{"filter": called, "reason": "too dear", "clusters": ["m1"]}]
    return Evidence(
        "Deployment",
        "default",
        "nginx",
        template,
        [policy("pp", resourceSelectors=[selector(name="nginx")], placement=placement)],
        binding=made,
        decision={"scheduling": {**tried, "attempts": [{"rejected": rejected}]}},
        clusters=[cluster("m1", **of_cluster)],
    )


@pytest.mark.parametrize(
    ("called", "remedy"),
    [
        ("Price", "This is decided by the scheduler plugin Price."),
        (filters.WORKLOAD, "See spec.placement.workloadAffinity of the policy and the other bindings of the group."),
    ],
)
def test_what_cannot_be_asked_again_is_shown_as_it_was_decided(called: str, remedy: str) -> None:
    evidence = rejected_by(called)
    report = explain(evidence)
    assert [(row.name, row.state, row.why) for row in report.clusters] == [("m1", "Rejected", f"{called}: too dear")]
    advice = (f"m1: {called}: too dear.", remedy)
    assert [(each.problem, each.remedy) for each in report.advice] == [advice]
    only = explain(evidence, "m1")
    assert only.clusters[0].checks[-1] == (called, "too dear")
    assert [(each.problem, each.remedy) for each in only.advice] == [advice]


def test_what_keeps_it_away_now_goes_before_what_was_decided() -> None:
    taints = [{"key": "a", "effect": "NoSchedule"}]
    report = explain(rejected_by("Price", taints=taints))
    assert report.clusters[0].why == "TaintToleration: had untolerated taint {a:NoSchedule}"


def test_what_can_be_asked_again_and_passes_has_passed() -> None:
    report = explain(rejected_by(filters.TAINTS))
    assert report.clusters[0].why == "TaintToleration: too dear; this has passed since"
