from typing import Any

import pytest

from kafila.placement.work.build import build_works
from kafila.placement.work.status import (
    NoSuchManifest,
    aggregated_event,
    aggregated_status,
    applied_condition,
    dispatching_condition,
    fully_applied,
    manifest_status,
    with_aggregated,
)
from tests.unit.placement.objects import binding, cluster, deployment

BOUND = binding(2, clusters=[{"name": "m2", "replicas": 1}, {"name": "m1", "replicas": 1}])


def works() -> list[dict[str, Any]]:
    return build_works(BOUND, deployment(), {name: cluster(name) for name in ("m1", "m2")}).works


def member(work: dict[str, Any], **status: Any) -> dict[str, Any]:
    manifest = work["spec"]["workload"]["manifests"][0]
    return {**manifest, "metadata": {**manifest["metadata"], "generation": 4}, "status": status}


def applied(work: dict[str, Any], **status: Any) -> dict[str, Any]:
    observed = member(work, **status)
    return {
        **work,
        "status": {"conditions": [applied_condition(1)], "manifestStatuses": [manifest_status(work, observed).status]},
    }


def test_from_the_member_to_the_work() -> None:
    work = works()[0]
    found, failure, judged = manifest_status(
        work, member(work, replicas=1, readyReplicas=1, conditions=[{"type": "x"}])
    )
    assert (failure, judged) == ("", True)
    assert found == {
        "identifier": {
            "ordinal": 0,
            "group": "apps",
            "version": "v1",
            "kind": "Deployment",
            "resource": "",
            "namespace": "default",
            "name": "nginx",
        },
        "status": {"generation": 4, "resourceTemplateGeneration": 3, "replicas": 1, "readyReplicas": 1},
        "health": "Unhealthy",
    }
    with pytest.raises(NoSuchManifest, match="no such manifest exist"):
        manifest_status(work, {**member(work), "kind": "Other"})


def test_from_the_works_to_the_binding() -> None:
    first, second = works()
    healthy = applied(first, replicas=1, updatedReplicas=1, availableReplicas=1, observedGeneration=4)
    failed = {**second, "status": {"conditions": [applied_condition(1, ["boom"])]}}
    items = aggregated_status(BOUND["spec"]["resource"], [healthy, failed])
    assert items == [
        {"clusterName": "m1", "health": "Unknown", "appliedMessage": "Failed to apply all manifests (0/1): boom"},
        {
            "clusterName": "m2",
            "applied": True,
            "health": "Healthy",
            "status": healthy["status"]["manifestStatuses"][0]["status"],
        },
    ]
    condition = fully_applied(BOUND["spec"], items)
    assert (condition["status"], condition["reason"]) == ("False", "FullyAppliedFailed")
    assert condition["message"] == "Failed to apply all works, see status.aggregatedStatus for details"
    both = aggregated_status(BOUND["spec"]["resource"], [healthy, applied(second)])
    condition = fully_applied(BOUND["spec"], both)
    assert (condition["status"], condition["message"]) == ("True", "All works have been successfully applied")
    assert fully_applied(BOUND["spec"], both[:1])["status"] == "False"
    assert fully_applied({}, [])["status"] == "False"


def test_deleted_works_do_not_count_and_unchanged_statuses_are_the_same_object() -> None:
    made = [applied(work) for work in works()]
    status = with_aggregated(BOUND, made, now=0)
    assert [item["clusterName"] for item in status["aggregatedStatus"]] == ["m1", "m2"]
    assert with_aggregated({**BOUND, "status": status}, made, now=60) is status
    made[0]["metadata"]["deletionTimestamp"] = "x"
    changed = with_aggregated({**BOUND, "status": status}, made, now=60)
    assert len(changed["aggregatedStatus"]) == 1
    assert changed["conditions"][0]["lastTransitionTime"] == "1970-01-01T00:01:00Z"


def test_texts() -> None:
    assert applied_condition(1)["message"] == "Manifest has been successfully applied"
    assert applied_condition(3, ["a", "b"])["message"] == "Failed to apply all manifests (1/3): [a, b]"
    assert dispatching_condition(True)["reason"] == "SuspendDispatching"
    assert dispatching_condition(False)["message"] == "Work is being dispatched to member clusters."
    assert aggregated_event(BOUND)[2] == (
        "Update ResourceBinding(default/nginx-deployment) with AggregatedStatus successfully."
    )
