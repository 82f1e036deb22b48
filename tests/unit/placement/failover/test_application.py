"""When a workload that is not healthy leaves a cluster, and what its task then says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.feature_gates import DEFAULT_GATES, STATEFUL_FAILOVER_INJECTION
from kafila.placement.failover.application import Look, behavior_of, failed_over, look, tolerated_seconds
from kafila.placement.failover.eviction import EvictionRefused
from tests.unit.placement.objects import binding

INJECTING = DEFAULT_GATES | {STATEFUL_FAILOVER_INJECTION}
RULES = {"rules": [{"aliasLabelName": "job-id", "jsonPath": "{.jobId}"}]}


def failing(
    health: dict[str, str | None], *, leaving: tuple[str, ...] = (), chosen: tuple[str, ...] = (), **behavior: Any
) -> dict[str, Any]:
    """A binding in the clusters of ``chosen`` (else of ``health``), which report that health."""
    made = binding(2, clusters=[{"name": name, "replicas": 1} for name in chosen or health])
    made["metadata"] = {"name": "web-deployment", "namespace": "default"}
    made["spec"] |= {
        "propagateDeps": True,
        "failover": {"application": {"decisionConditions": {"tolerationSeconds": 60}, **behavior}},
    }
    if leaving:
        made["spec"]["gracefulEvictionTasks"] = [{"fromCluster": name} for name in leaving]
    made["status"] = {
        "aggregatedStatus": [
            {"clusterName": name, "health": state, "status": {"jobId": 7}}
            for name, state in health.items()
            if state is not None
        ]
    }
    return made


def watched(made: dict[str, Any], since: dict[str, float], now: float) -> Look:
    behavior = behavior_of(made)
    assert behavior is not None
    return look(made, behavior, since, now)


@pytest.mark.parametrize(
    ("health", "since", "expected"),
    [
        ({"m1": "Healthy"}, {}, Look({}, (), None)),
        ({"m1": "Unhealthy"}, {}, Look({"m1": 100.0}, (), 60.0)),
        ({"m1": "Unhealthy"}, {"m1": 70.0}, Look({"m1": 70.0}, (), 30.0)),
        ({"m1": "Unhealthy"}, {"m1": 40.0}, Look({"m1": 40.0}, ("m1",), None)),
        ({"m1": "Healthy"}, {"m1": 40.0}, Look({}, (), None)),
        ({"m1": "Unknown"}, {}, Look({}, (), None)),
        ({"m1": "Unknown"}, {"m1": 40.0}, Look({"m1": 40.0}, (), None)),  # a gap in the statuses is no recovery
        ({"m1": None}, {"m1": 40.0}, Look({"m1": 40.0}, (), None)),
        ({"m1": "Unhealthy", "m2": "Unhealthy"}, {"m1": 40.0}, Look({"m1": 40.0, "m2": 100.0}, ("m1",), 60.0)),
        ({"m1": "Unhealthy", "m2": "Healthy"}, {"m2": 1.0, "m3": 1.0}, Look({"m1": 100.0}, (), 60.0)),
    ],
)
def test_how_long_it_has_been_unhealthy(health: dict[str, str | None], since: dict[str, float], expected: Look) -> None:
    assert watched(failing(health), since, 100.0) == expected


def test_a_cluster_that_is_left_already_does_not_count() -> None:
    assert watched(failing({"m1": "Unhealthy"}, leaving=("m1",)), {"m1": 0.0}, 100.0) == Look({}, (), None)
    assert watched(failing({"m1": "Unhealthy"}, chosen=("m2",)), {}, 100.0) == Look({}, (), None), (
        "nor one it is not in"
    )


def test_whose_unhealthy_copies_stay() -> None:
    made = failing({"m1": "Unhealthy"})
    assert behavior_of(made) is not None
    assert behavior_of({**made, "spec": {**made["spec"], "propagateDeps": False}}) is None
    assert behavior_of({**made, "spec": {**made["spec"], "failover": {"cluster": {}}}}) is None
    assert tolerated_seconds({"decisionConditions": {}}) == 300
    assert tolerated_seconds({"decisionConditions": {"tolerationSeconds": 0}}) == 0
    assert watched(failing({"m1": "Unhealthy"}, decisionConditions={"tolerationSeconds": 0}), {}, 5.0).due == ("m1",)


@pytest.mark.parametrize(
    ("behavior", "task"),
    [
        ({}, {"purgeMode": "Gracefully"}),
        ({"purgeMode": "Gracefully", "gracePeriodSeconds": 5}, {"purgeMode": "Gracefully", "gracePeriodSeconds": 5}),
        ({"purgeMode": "Graciously", "gracePeriodSeconds": 5}, {"purgeMode": "Graciously", "gracePeriodSeconds": 5}),
        ({"purgeMode": "Directly", "gracePeriodSeconds": 5}, {"purgeMode": "Directly"}),
        ({"purgeMode": "Immediately"}, {"purgeMode": "Immediately"}),
        ({"purgeMode": "Never"}, {"purgeMode": "Never", "suppressDeletion": True}),
        ({"purgeMode": "Directly", "statePreservation": RULES}, {"purgeMode": "Directly"}),
    ],
)
def test_the_task(behavior: dict[str, Any], task: dict[str, Any]) -> None:
    made = failing({"m1": "Unhealthy", "m2": "Healthy"}, **behavior)
    left = failed_over(made, made["spec"]["failover"]["application"], ["m1"], DEFAULT_GATES, 0.0)
    assert left["spec"]["clusters"] == [{"name": "m2", "replicas": 1}]
    assert left["spec"]["gracefulEvictionTasks"] == [
        {
            "fromCluster": "m1",
            "reason": "ApplicationFailure",
            "producer": "resource-binding-application-failover-controller",
            "replicas": 1,
            "creationTimestamp": "1970-01-01T00:00:00Z",
            **task,
        }
    ]
    assert failed_over(made, made["spec"]["failover"]["application"], ["m9"], DEFAULT_GATES, 0.0) is made
    del made["metadata"]["namespace"]
    left = failed_over(made, made["spec"]["failover"]["application"], ["m1"], DEFAULT_GATES, 0.0)
    (found,) = left["spec"]["gracefulEvictionTasks"]
    assert found["producer"] == "cluster-resource-binding-application-failover-controller"


def test_state_goes_along() -> None:
    made = failing({"m1": "Unhealthy", "m2": "Unhealthy"}, purgeMode="Directly", statePreservation=RULES)
    left = failed_over(made, made["spec"]["failover"]["application"], ["m1", "m2"], INJECTING, 0.0)
    assert "clusters" not in left["spec"]
    for task in left["spec"]["gracefulEvictionTasks"]:
        assert task["preservedLabelState"] == {"job-id": "7"}
        assert task["clustersBeforeFailover"] == ["m1", "m2"], "both: as it was before anything left"


def test_why_it_cannot_leave() -> None:
    made = failing({"m1": "Unhealthy"}, purgeMode="Graciously")
    with pytest.raises(
        EvictionRefused, match="GracefulEviction featureGate must be enabled when purgeMode is Graciously"
    ):
        failed_over(made, made["spec"]["failover"]["application"], ["m1"], frozenset(), 0.0)
    made = failing({"m1": None}, purgeMode="Directly", statePreservation=RULES)
    with pytest.raises(EvictionRefused, match=r"has not yet been collected from Cluster\(m1\)"):
        failed_over(made, made["spec"]["failover"]["application"], ["m1"], INJECTING, 0.0)


healths = st.dictionaries(
    st.sampled_from(["m1", "m2", "m3"]), st.sampled_from(["Healthy", "Unhealthy", "Unknown", None]), max_size=3
)


@given(st.lists(st.tuples(healths, st.integers(1, 50)), max_size=8), st.integers(0, 100))
def test_nothing_leaves_early(steps: list[tuple[dict[str, str | None], int]], tolerated: int) -> None:
    """What has to leave was unhealthy at its first and its last look, its time apart, and never healthy between."""
    now, since = 0.0, dict[str, float]()
    bad: dict[str, float] = {}
    for health, seconds in steps:
        now += seconds
        made = failing(health, chosen=("m1", "m2", "m3"), decisionConditions={"tolerationSeconds": tolerated})
        for cluster in ("m1", "m2", "m3"):
            if health.get(cluster) == "Unhealthy":
                bad.setdefault(cluster, now)
            elif health.get(cluster) == "Healthy":
                bad.pop(cluster, None)
        found = watched(made, since, now)
        assert found.since == bad
        expected = {c for c, at in bad.items() if now - at >= tolerated and health.get(c) == "Unhealthy"}
        assert set(found.due) == expected
        since = found.since
