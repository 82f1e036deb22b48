import copy
from typing import Any

import pytest

from kafila.placement import constants
from kafila.placement.scheduler.reschedule import RescheduleReason, is_for_scheduler, should_schedule
from kafila.placement.scheduler.schedule import schedule, with_result, with_status
from tests.unit.placement.objects import AGGREGATED, DUPLICATED, DYNAMIC, binding, cluster

CLUSTERS = [cluster("m1"), cluster("m2")]


def scheduled(replicas: int, strategy: dict[str, Any] | None, **placement: Any) -> dict[str, Any]:
    """A binding that was scheduled, and whose new generation the scheduler has seen."""
    if strategy is not None:
        placement["replicaScheduling"] = strategy
    made = binding(replicas, placement) if replicas else binding(0, placement, kind="ConfigMap")
    decision = schedule(made, CLUSTERS)
    made = with_result(made, decision)
    made["metadata"]["generation"] = 2
    made["status"] = with_status(made, decision, 2, now=0)
    return copy.deepcopy(made)


def test_new_bindings_are_scheduled() -> None:
    assert should_schedule(binding(2)) is RescheduleReason.PLACEMENT_CHANGED


def test_what_is_settled_is_left_alone() -> None:
    made = scheduled(4, DYNAMIC)
    assert should_schedule(made) is RescheduleReason.NONE
    made["metadata"]["generation"] = 3
    assert should_schedule(made) is RescheduleReason.OBSERVE
    assert not RescheduleReason.OBSERVE.schedules


@pytest.mark.parametrize("strategy", [None, DUPLICATED])
def test_cheap_decisions_are_always_taken(strategy: dict[str, Any] | None) -> None:
    assert should_schedule(scheduled(2, strategy)) is RescheduleReason.ALWAYS
    assert should_schedule(scheduled(0, None)) is RescheduleReason.ALWAYS


def test_replicas_changed() -> None:
    made = scheduled(4, DYNAMIC)
    made["spec"]["replicas"] = 5
    assert should_schedule(made) is RescheduleReason.REPLICAS_CHANGED
    made = scheduled(4, DUPLICATED)
    made["spec"]["replicas"] = 5
    assert should_schedule(made) is RescheduleReason.REPLICAS_CHANGED


@pytest.mark.parametrize(
    "change",
    [
        {"clusterAffinity": {"clusterNames": ["m1"]}},
        {"clusterTolerations": [{"key": "k"}]},
        {"spreadConstraints": [{"spreadByField": "cluster", "maxGroups": 1, "minGroups": 1}]},
        {"replicaScheduling": AGGREGATED},
        {"workloadAffinity": {"affinity": {"groupByLabelKey": "k"}}},
        {"clusterAffinity": {}},
    ],
)
def test_placement_changed(change: dict[str, Any]) -> None:
    made = scheduled(4, DYNAMIC)
    made["spec"]["placement"].update(change)
    assert should_schedule(made) is RescheduleReason.PLACEMENT_CHANGED


def test_only_the_group_in_use_matters() -> None:
    made = scheduled(
        4,
        DYNAMIC,
        clusterAffinities=[
            {"affinityName": "one", "clusterNames": ["m1"]},
            {"affinityName": "two", "clusterNames": ["m2"]},
        ],
    )
    assert made["status"]["schedulerObservingAffinityName"] == "one"
    made["spec"]["placement"]["clusterAffinities"][1]["clusterNames"] = ["m9"]
    assert should_schedule(made) is RescheduleReason.NONE
    made["spec"]["placement"]["clusterAffinities"][0]["overflowAffinities"] = [{"affinityName": "more"}]
    assert should_schedule(made) is RescheduleReason.PLACEMENT_CHANGED


def test_an_annotation_that_cannot_be_read_changes_nothing() -> None:
    made = scheduled(4, DYNAMIC)
    made["metadata"]["annotations"][constants.APPLIED_PLACEMENT] = "{"
    assert should_schedule(made) is RescheduleReason.NONE


def test_rescheduling_and_terminating_clusters() -> None:
    made = scheduled(4, DYNAMIC)
    assert should_schedule(made, {"m2"}) is RescheduleReason.CLUSTER_TERMINATING
    made["spec"]["rescheduleTriggeredAt"] = "2026-01-01T00:00:00Z"
    assert should_schedule(made) is RescheduleReason.RESCHEDULE
    del made["status"]["lastScheduledTime"]
    assert should_schedule(made) is RescheduleReason.NONE


def test_deleting_and_without_placement() -> None:
    made = binding(2)
    del made["spec"]["placement"]
    with pytest.raises(ValueError, match=r"failed to get placement from resourceBinding\(default/nginx-deployment\)"):
        should_schedule(made)
    made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert should_schedule(made) is RescheduleReason.DELETING


def test_whose_binding_it_is() -> None:
    made = binding(2)
    assert is_for_scheduler(made)
    assert not is_for_scheduler(made, "other")
    made["spec"]["schedulerName"] = "other"
    assert is_for_scheduler(made, "other")
    made["spec"]["suspension"] = {"scheduling": True}
    assert not is_for_scheduler(made, "other")
    attached = binding(2)
    attached["metadata"]["labels"] = {}
    assert not is_for_scheduler(attached)
