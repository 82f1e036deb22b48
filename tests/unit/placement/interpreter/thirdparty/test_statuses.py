"""Statuses of several members become one."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object
from kafila.placement.interpreter import NATIVE
from kafila.placement.interpreter.thirdparty.statuses import merged_conditions, stamped


def item(cluster: str, status: Any) -> Object:
    return {"clusterName": cluster, "status": status}


def aggregated(obj: Object, *statuses: Any) -> Any:
    items: Any = [item(f"m{index}", status) for index, status in enumerate(statuses, start=1)]
    return NATIVE.aggregate_status(obj, items).get("status")


def obj(api_version: str, kind: str, **fields: Any) -> Object:
    metadata = {"name": "x", "namespace": "ns", "generation": 2}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def test_conditions_that_agree_become_one() -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "ok"}
    failed = {**ready, "status": "False", "message": "no"}
    items = [item("a", {"conditions": [ready]}), item("b", {"conditions": [failed, ready]}), item("c", None)]
    assert merged_conditions(items) == [{**ready, "message": "a=ok, b=ok"}, {**failed, "message": "b=no"}]
    assert ready["message"] == "ok"


def test_a_time_stays_while_the_same_is_said() -> None:
    said = {"type": "Ready", "status": "True"}
    first = stamped(said, None, "lastTransitionTime")
    old = {**first, "lastTransitionTime": "2020-01-01T00:00:00Z"}
    assert stamped(said, old, "lastTransitionTime") == old
    assert (
        stamped({**said, "status": "False"}, old, "lastTransitionTime")["lastTransitionTime"] != "2020-01-01T00:00:00Z"
    )


def test_what_was_written_is_not_written_again() -> None:
    """Also where Karmada's script takes the time of now, or adds to what it has written."""
    failed = {"containerState": {"terminated": {"reason": "Error", "exitCode": 1}}}
    volcano = {"state": {"phase": "Failed"}, "failed": 1}
    training = {"conditions": [{"type": "Failed", "status": "True"}]}
    for template, status in (
        (obj("kubeflow.org/v1", "Notebook"), failed),
        (obj("batch.volcano.sh/v1alpha1", "Job"), volcano),
        (obj("kubeflow.org/v1", "TFJob"), training),
        (obj("helm.toolkit.fluxcd.io/v2beta1", "HelmRelease", status={"failures": 0}), {"failures": 2}),
        (obj("apps.kruise.io/v1alpha1", "CloneSet"), {"replicas": 2, "resourceTemplateGeneration": 2}),
    ):
        items: Any = [item("a", status), item("b", status)]
        written = NATIVE.aggregate_status(template, items)
        assert written is not template
        aged: Object = {**written, "status": _aged(written["status"])}
        assert NATIVE.aggregate_status(aged, items) is aged, template["kind"]


def _aged(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "2020-01-01T00:00:00Z" if k.startswith("last") else _aged(each) for k, each in value.items()}
    return [_aged(each) for each in value] if isinstance(value, list) else value


def test_observed_generations_settle_when_all_members_have_seen_the_newest() -> None:
    template = obj("apps.kruise.io/v1alpha1", "CloneSet", status={"observedGeneration": 1})
    seen = {"replicas": 1, "generation": 7, "observedGeneration": 7, "resourceTemplateGeneration": 2}
    assert aggregated(template, seen, seen)["observedGeneration"] == 2
    assert aggregated(template, seen, seen)["replicas"] == 2
    assert aggregated(template, seen, {**seen, "observedGeneration": 6})["observedGeneration"] == 1
    assert aggregated(template, seen, {**seen, "resourceTemplateGeneration": 1})["observedGeneration"] == 1
    assert aggregated(template)["observedGeneration"] == 2


def test_groups_of_workers_never_get_less_than_none() -> None:
    """Karmada's rounding gives out three workers of two, and the last group gets -1."""
    groups = [{"groupName": str(index), "replicas": 1} for index in range(4)]
    service = obj("ray.io/v1", "RayService", spec={"rayClusterConfig": {"workerGroupSpecs": groups}})
    revised = NATIVE.revise_replica(service, 3)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert [group["replicas"] for group in revised] == [1, 1, 0, 0]
    assert groups[2]["replicas"] == 1
