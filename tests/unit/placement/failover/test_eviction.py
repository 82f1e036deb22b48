from typing import Any

import pytest

from kafila.placement.failover.eviction import (
    EvictionRefused,
    evict,
    evicted_event,
    next_check,
    preserved_state,
    remaining_tasks,
)
from tests.unit.placement.objects import binding

STARTED = "1970-01-01T00:00:00Z"


def test_a_cluster_moves_to_the_tasks() -> None:
    spec = binding(3, clusters=[{"name": "m1", "replicas": 2}, {"name": "m2", "replicas": 1}])["spec"]
    left = evict(spec, "m1", 0.0, reason="TaintUntolerated", producer="TaintManager", purge_mode="Gracefully")
    assert left["clusters"] == [{"name": "m2", "replicas": 1}]
    assert left["gracefulEvictionTasks"] == [
        {
            "fromCluster": "m1",
            "reason": "TaintUntolerated",
            "producer": "TaintManager",
            "purgeMode": "Gracefully",
            "replicas": 2,
            "creationTimestamp": STARTED,
        }
    ]
    assert (
        remaining_tasks({"metadata": {"generation": 2}, "spec": left}, 600.0, 1.0)[0] == left["gracefulEvictionTasks"]
    ), "no other write has to stamp it"
    assert len(spec["clusters"]) == 2
    assert evict(left, "m1", 9.0, reason="x", producer="y") is left
    back = {**left, "clusters": [{"name": "m1", "replicas": 1}]}
    assert len(evict(back, "m1", 9.0, reason="x", producer="y")["gracefulEvictionTasks"]) == 1
    assert "clusters" not in evict(back, "m1", 9.0, reason="x", producer="y")
    assert evicted_event("m1")[2] == "Evict from cluster m1 succeed."


def leaving(task: dict[str, Any], health: str = "Unhealthy", observed: int = 1) -> dict[str, Any]:
    made = binding(1, clusters=[{"name": "m2", "replicas": 1}], gracefulEvictionTasks=[{"fromCluster": "m1", **task}])
    made["status"] = {
        "schedulerObservedGeneration": observed,
        "aggregatedStatus": [{"clusterName": "m2", "health": health}],
    }
    return made


@pytest.mark.parametrize(
    ("task", "now", "health", "observed", "is_kept"),
    [
        ({}, 999.0, "Healthy", 1, True),
        ({"creationTimestamp": STARTED}, 10.0, "Unhealthy", 1, True),
        ({"creationTimestamp": STARTED}, 601.0, "Unhealthy", 1, False),
        ({"creationTimestamp": STARTED, "gracePeriodSeconds": 5}, 6.0, "Unhealthy", 1, False),
        ({"creationTimestamp": STARTED}, 10.0, "Healthy", 1, False),
        ({"creationTimestamp": STARTED}, 10.0, "Healthy", 0, True),
        ({"creationTimestamp": STARTED, "suppressDeletion": True}, 999.0, "Healthy", 1, True),
        ({"creationTimestamp": STARTED, "suppressDeletion": False}, 1.0, "Unhealthy", 0, False),
    ],
)
def test_when_a_task_is_done(task: dict[str, Any], now: float, health: str, observed: int, is_kept: bool) -> None:
    kept, done = remaining_tasks(leaving(task, health, observed), 600, now)
    assert (bool(kept), done) == (is_kept, [] if is_kept else ["m1"])
    if is_kept:
        assert kept[0]["creationTimestamp"]


def test_the_next_check_is_at_the_first_deadline() -> None:
    stamp = "1970-01-01T00:01:40Z"
    task = {"fromCluster": "m1", "creationTimestamp": stamp}
    assert next_check([], 600, 100) is None
    assert next_check([task], 600, 100) == 600
    assert next_check([task, {**task, "gracePeriodSeconds": 5}], 600, 103) == 2
    assert next_check([task], 600, 1000) == 0
    assert next_check([{**task, "suppressDeletion": True}], 600, 100) is None, "the user ends it"


def test_state_that_is_kept() -> None:
    rules = [{"aliasLabelName": "pods", "jsonPath": "{.readyReplicas}"}, {"aliasLabelName": "x", "jsonPath": "{.a.b}"}]
    failover = {"statePreservation": {"rules": rules}}
    status = {"aggregatedStatus": [{"clusterName": "m1", "status": {"readyReplicas": 3, "a": {"b": "c"}}}]}
    assert preserved_state(failover, status, "m1") == {"pods": "3", "x": "c"}
    assert preserved_state({}, status, "m1") == {}
    with pytest.raises(ValueError, match=r"has not yet been collected from Cluster\(m2\)"):
        preserved_state(failover, status, "m2")
    del status["aggregatedStatus"][0]["status"]["a"]
    with pytest.raises(ValueError, match="not found"):
        preserved_state(failover, status, "m1")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("{.a.b}", "c"),
        (".a.b", "c"),
        ("{.a.b}-{.readyReplicas}", "c-3"),
        ("v{.readyReplicas}", "v3"),
        (" {.a.b} ", "c"),
    ],
)
def test_state_by_paths(path: str, value: str) -> None:
    failover = {"statePreservation": {"rules": [{"aliasLabelName": "x", "jsonPath": path}]}}
    status = {"aggregatedStatus": [{"clusterName": "m1", "status": {"readyReplicas": 3, "a": {"b": "c"}}}]}
    assert preserved_state(failover, status, "m1") == {"x": value}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("{.gone}", "gone is not found"),
        ("{.items[3]}", "failed to execute jsonpath"),
        ("{.a", "which is no value of a label"),
        ("{.a?}", "failed to execute jsonpath"),
        ("{.a}", "which is no value of a label"),
        ("{.long}", "'xxxxxxxxxx.*x', which is no value of a label: must be no more than 63 bytes"),
    ],
)
def test_state_that_cannot_be_kept(path: str, text: str) -> None:
    """A member may report whatever it likes, and a policy may ask for what is not there."""
    failover = {"statePreservation": {"rules": [{"aliasLabelName": "x", "jsonPath": path}]}}
    status = {
        "aggregatedStatus": [{"clusterName": "m1", "status": {"a": {"b": "c"}, "items": [1], "long": "x" * 10**6}}]
    }
    with pytest.raises(EvictionRefused, match=text) as caught:
        preserved_state(failover, status, "m1")
    assert len(str(caught.value)) < 400
