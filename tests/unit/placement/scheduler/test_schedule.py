import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core import feature_gates as gates
from kafila.placement.scheduler.schedule import (
    SchedulingContext,
    quota_exceeded,
    schedule,
    with_result,
    with_status,
)
from tests.unit.placement.objects import (
    AGGREGATED,
    DUPLICATED,
    DYNAMIC,
    as_map,
    binding,
    cluster,
    divided,
    static,
)

THREE = [cluster("m1"), cluster("m2"), cluster("m3")]


def placed(
    spec: dict[str, Any], clusters: list[dict[str, Any]] | None = None, facts: SchedulingContext | None = None
) -> Any:
    return as_map(schedule(spec, THREE if clusters is None else clusters, facts or SchedulingContext()).clusters)


def test_no_replicas_go_everywhere() -> None:
    decision = schedule(binding(kind="ConfigMap"), THREE)
    assert decision.clusters == [{"name": "m1"}, {"name": "m2"}, {"name": "m3"}]
    assert decision.condition["message"] == "Binding has been scheduled successfully."
    assert decision.events[0].message == "Binding has been scheduled successfully. Result: {m1:0, m2:0, m3:0}"


def test_the_event_of_a_cluster_binding_lacks_the_colon() -> None:
    made = binding(kind="ConfigMap")
    del made["metadata"]["namespace"]
    assert "successfully. Result {m1:0" in schedule(made, THREE).events[0].message


@pytest.mark.parametrize(
    ("strategy", "replicas", "expected"),
    [
        (None, 4, {"m1": 4, "m2": 4, "m3": 4}),
        (DUPLICATED, 4, {"m1": 4, "m2": 4, "m3": 4}),
        (divided(), 5, {"m1": 2, "m2": 2, "m3": 1}),
        (static(m1=1, m2=2), 9, {"m1": 3, "m2": 6}),
        (static(m1=1, m2=3), 9, {"m1": 2, "m2": 7}),
        (static(zz=5), 3, {"m1": 1, "m2": 1, "m3": 1}),
        (static(m1=1, m2=1, m3=1), 2, {"m1": 1, "m2": 1}),
        (AGGREGATED, 5, {"m1": 5}),
        (DYNAMIC, 9, {"m1": 3, "m2": 3, "m3": 3}),
    ],
)
def test_strategies(strategy: dict[str, Any] | None, replicas: int, expected: dict[str, int]) -> None:
    placement = {} if strategy is None else {"replicaScheduling": strategy}
    assert placed(binding(replicas, placement)) == expected


def test_dynamic_weights_follow_the_available_replicas() -> None:
    members = [cluster("m1", cpu="6"), cluster("m2", cpu="12"), cluster("m3", cpu="18")]
    assert placed(binding(12, {"replicaScheduling": DYNAMIC}), members) == {"m1": 2, "m2": 4, "m3": 6}


def test_aggregated_uses_as_few_clusters_as_possible() -> None:
    members = [cluster("m1", cpu="6"), cluster("m2", cpu="12"), cluster("m3", cpu="18")]
    assert placed(binding(12, {"replicaScheduling": AGGREGATED}), members) == {"m3": 12}
    assert placed(binding(20, {"replicaScheduling": AGGREGATED}), members) == {"m2": 8, "m3": 12}


@pytest.mark.parametrize(
    ("strategy", "replicas", "before", "expected"),
    [
        # Steady: what runs stays.
        (DYNAMIC, 6, {"m1": 6}, {"m1": 6}),
        (DYNAMIC, 9, {"m1": 6}, {"m1": 7, "m2": 1, "m3": 1}),
        (DYNAMIC, 3, {"m1": 4, "m2": 2}, {"m1": 2, "m2": 1}),
        (AGGREGATED, 9, {"m2": 6}, {"m2": 9}),
        (AGGREGATED, 4, {"m1": 2, "m3": 6}, {"m3": 4}),
        # Fixed weights start from scratch.
        (static(m1=1, m2=1), 6, {"m3": 6}, {"m1": 3, "m2": 3}),
    ],
)
def test_scaling(strategy: Any, replicas: int, before: dict[str, int], expected: dict[str, int]) -> None:
    clusters = [{"name": name, "replicas": count} for name, count in before.items()]
    assert placed(binding(replicas, {"replicaScheduling": strategy}, clusters=clusters)) == expected


def test_rescheduling_starts_fresh() -> None:
    made = binding(9, {"replicaScheduling": DYNAMIC}, clusters=[{"name": "m1", "replicas": 9}])
    made["status"] = {"lastScheduledTime": "2026-01-01T00:00:00Z"}
    assert placed(made) == {"m1": 9}
    made["spec"]["rescheduleTriggeredAt"] = "2026-01-01T00:00:01Z"
    assert placed(made) == {"m1": 3, "m2": 3, "m3": 3}


def test_too_little_room() -> None:
    members = [cluster("m1", cpu="2"), cluster("m2", cpu="1")]
    decision = schedule(binding(4, {"replicaScheduling": DYNAMIC}), members)
    message = "failed to assign replicas: failed to scale up: Clusters available replicas 3 are not enough to schedule."
    assert decision.clusters is None
    assert decision.retry == "unschedulable"
    assert (decision.condition["reason"], decision.condition["message"]) == ("Unschedulable", message)
    assert decision.events == (("Warning", "ScheduleBindingFailed", message),)


def test_a_strategy_that_does_not_exist() -> None:
    decision = schedule(binding(4, {"replicaScheduling": {"replicaSchedulingType": "Divided"}}), THREE)
    assert decision.condition["reason"] == "SchedulerError"
    assert decision.condition["message"] == (
        "failed to assign replicas: unsupported replica scheduling strategy, replicaSchedulingType: Divided, "
        "replicaDivisionPreference: , please try another scheduling strategy"
    )
    assert decision.retry == "backoff"


def test_nothing_fits_withdraws_the_resource() -> None:
    members = [cluster("m1", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]), cluster("m2"), cluster("m3")]
    members[2]["status"]["apiEnablements"] = []
    placement = {"clusterAffinity": {"clusterNames": ["m1", "m3"]}}
    made = binding(2, placement)
    decision = schedule(made, members)
    message = (
        "0/3 clusters are available: 1 cluster(s) did not have the API resource, 1 cluster(s) did not match the placement "
        "cluster affinity constraint, 1 cluster(s) had untolerated taint {k=v:NoSchedule}."
    )
    assert (decision.clusters, decision.retry) == ([], "")
    assert (decision.condition["reason"], decision.condition["message"]) == ("NoClusterFit", message)
    assert set(decision.attempts[0].rejected) == {"m1", "m2", "m3"}
    made["spec"]["clusters"] = [{"name": "gone", "replicas": 2}]
    assert "clusters" not in with_result(made, decision)["spec"]
    assert decision.placement == '{"clusterAffinity":{"clusterNames":["m1","m3"]}}'


def test_no_clusters_at_all() -> None:
    decision = schedule(binding(2), [])
    assert decision.condition["message"] == "0/0 clusters are available: no cluster exists."


def test_where_it_is_it_stays_despite_taints_and_missing_apis() -> None:
    members = [cluster("m1", taints=[{"key": "k", "effect": "NoExecute"}]), cluster("m2")]
    members[0]["status"]["apiEnablements"] = []
    assert placed(binding(2, clusters=[{"name": "m1", "replicas": 2}]), members) == {"m1": 2, "m2": 2}
    assert placed(binding(2), members) == {"m2": 2}


def test_evicting_and_terminating_clusters_are_avoided() -> None:
    members = copy.deepcopy(THREE)
    members[1]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    decision = schedule(binding(2, gracefulEvictionTasks=[{"fromCluster": "m1"}]), members)
    assert as_map(decision.clusters) == {"m3": 2}
    assert decision.attempts[0].rejected == {"m1": ("ClusterEviction", "cluster(s) is in the process of eviction")}


def spread(field: str, fewest: int, most: int) -> dict[str, Any]:
    return {"spreadByField": field, "minGroups": fewest, "maxGroups": most}


def test_spread_by_cluster() -> None:
    members = [cluster("m1", cpu="1"), cluster("m2", cpu="2"), cluster("m3", cpu="9")]
    wide = {"spreadConstraints": [spread("cluster", 1, 2)]}
    assert placed(binding(2, wide), members) == {"m3": 2, "m2": 2}
    exact = {**wide, "replicaScheduling": DYNAMIC}
    assert placed(binding(11, exact), members) == {"m2": 2, "m3": 9}
    decision = schedule(binding(12, exact), members)
    assert decision.condition["reason"] == "SchedulerError"
    assert decision.condition["message"] == "failed to select clusters: no enough resource when selecting 2 clusters"
    many = {"spreadConstraints": [spread("cluster", 4, 4)]}
    assert schedule(binding(2, many), members).condition["message"] == (
        "failed to select clusters: the number of feasible clusters is less than spreadConstraint.MinGroups"
    )
    none = {"spreadConstraints": [spread("cluster", 0, 0)]}
    assert schedule(binding(2, none), members).condition["message"] == (
        "failed to assign replicas: no clusters available to schedule"
    )


def test_a_scheduled_cluster_is_exchanged_for_a_roomier_one() -> None:
    members = [cluster("m1", cpu="1"), cluster("m2", cpu="2"), cluster("m3", cpu="9")]
    placement = {"spreadConstraints": [spread("cluster", 1, 1)], "replicaScheduling": DYNAMIC}
    made = binding(8, placement, clusters=[{"name": "m1", "replicas": 1}])
    assert placed(made, members) == {"m3": 8}


def test_fixed_weights_ignore_spread_constraints() -> None:
    placement = {"spreadConstraints": [spread("cluster", 1, 1)], "replicaScheduling": static(m1=1, m2=1)}
    assert placed(binding(2, placement)) == {"m1": 1, "m2": 1}


def test_other_fields_cannot_select() -> None:
    members = [cluster("m1", provider="p")]
    decision = schedule(binding(1, {"spreadConstraints": [spread("provider", 1, 1)]}), members)
    assert (
        decision.condition["message"] == "failed to select clusters: just support cluster and region spread constraint"
    )
    decision = schedule(binding(1, {"spreadConstraints": [spread("provider", 1, 1)]}), THREE)
    assert "3 cluster(s) did not have provider property" in decision.condition["message"]
    decision = schedule(binding(1, {"spreadConstraints": [spread("zone", 1, 1)]}), THREE)
    assert "3 cluster(s) did not have zones property" in decision.condition["message"]


def test_spread_by_region() -> None:
    members = [
        cluster("a1", region="a", cpu="4"),
        cluster("a2", region="a", cpu="4"),
        cluster("b1", region="b", cpu="20"),
        cluster("c1", region="c", cpu="3"),
        cluster("none"),
    ]
    placement = {
        "spreadConstraints": [spread("region", 2, 2), spread("cluster", 2, 3)],
        "replicaScheduling": DYNAMIC,
    }
    assert placed(binding(12, placement), members) == {"a1": 2, "a2": 2, "b1": 8}
    few = {"spreadConstraints": [spread("region", 4, 4), spread("cluster", 4, 4)]}
    assert (
        "the number of feasible region is less than spreadConstraint.MinGroups"
        in (schedule(binding(1, few), members).condition["message"])
    )
    many = {"spreadConstraints": [spread("region", 1, 1), spread("cluster", 3, 3)]}
    assert (
        "the number of clusters is less than the cluster spreadConstraint.MinGroups"
        in (schedule(binding(1, many), members).condition["message"])
    )


def groups(*names_: str, **extra: Any) -> dict[str, Any]:
    return {
        "clusterAffinities": [{"affinityName": f"group-{name}", "clusterNames": [name]} for name in names_],
        **extra,
    }


def test_affinity_groups_in_order() -> None:
    members = [cluster("m2"), cluster("m3")]
    made = binding(2, groups("m1", "m2", "m3"))
    decision = schedule(made, members)
    assert as_map(decision.clusters) == {"m2": 2}
    assert decision.affinity == "group-m2"
    assert [event.type for event in decision.events] == ["Warning", "Normal"]
    assert decision.events[0].message == (
        "failed to schedule ResourceBinding(default/nginx-deployment) with clusterAffiliates index(0): "
        "0/2 clusters are available: 2 cluster(s) did not match the placement cluster affinity constraint."
    )
    made["status"] = with_status(made, decision, 1, now=0)
    assert made["status"]["schedulerObservingAffinityName"] == "group-m2"
    # The first group fits again, but it never goes back by itself.
    assert as_map(schedule(made, THREE).clusters) == {"m2": 2}
    made["spec"]["rescheduleTriggeredAt"] = "2026-01-01T00:00:01Z"
    assert as_map(schedule(made, THREE).clusters) == {"m1": 2}


def test_all_groups_fail() -> None:
    made = binding(2, groups("x", "y"))
    made["status"] = {"schedulerObservingAffinityName": "group-x"}
    decision = schedule(made, THREE)
    assert (decision.clusters, decision.affinity) == ([], "group-x")
    assert decision.condition["reason"] == "NoClusterFit"
    assert len(decision.events) == 3


def test_overflow_groups_are_filled_one_after_the_other() -> None:
    members = [cluster("m1", cpu="3"), cluster("m2", cpu="2"), cluster("m3", cpu="9")]
    placement = groups("m1", replicaScheduling=DYNAMIC)
    placement["clusterAffinities"][0]["overflowAffinities"] = [
        {"affinityName": "second", "clusterNames": ["m2"]},
        {"affinityName": "third", "clusterNames": ["m3"]},
    ]
    assert placed(binding(2, placement), members) == {"m1": 2}
    assert placed(binding(6, placement), members) == {"m1": 3, "m2": 2, "m3": 1}
    decision = schedule(binding(99, placement), members)
    assert decision.condition["message"] == (
        "failed to assign replicas: Clusters available replicas are not enough to schedule."
    )


def test_empty_clusters_are_kept_when_asked_for() -> None:
    made = binding(2, {"replicaScheduling": static(m1=1, m2=1)})
    assert placed(made, facts=SchedulingContext(propagate_empty=True)) == {"m1": 1, "m2": 1, "m3": 0}


def test_workload_affinity_follows_the_others() -> None:
    facts = SchedulingContext(
        gates=frozenset({gates.WORKLOAD_AFFINITY}),
        peers=[
            {
                "metadata": {"name": "other-deployment", "namespace": "default"},
                "spec": {
                    "clusters": [{"name": "m2"}],
                    "workloadAffinityGroups": {"affinityGroup": "a=1", "antiAffinityGroup": "b=1"},
                },
            }
        ],
    )
    together = binding(1, workloadAffinityGroups={"affinityGroup": "a=1"})
    assert placed(together, facts=facts) == {"m2": 1}
    apart = binding(1, workloadAffinityGroups={"antiAffinityGroup": "b=1"})
    assert placed(apart, facts=facts) == {"m1": 1, "m3": 1}
    assert placed(apart) == {"m1": 1, "m2": 1, "m3": 1}


@pytest.mark.parametrize(
    ("group", "there", "peers", "fit"),
    [
        ("affinityGroup", (), [("m2",)], {"m2"}),
        ("affinityGroup", (), [("m2", "m3"), ("m3",)], {"m3"}),
        ("affinityGroup", (), [("m2",), ("m3",)], set()),  # no cluster has all of them
        ("affinityGroup", (), [(), ("m2",)], {"m2"}),  # one that is nowhere yet holds nobody up
        ("affinityGroup", ("m1",), [("m2",)], {"m1", "m2"}),  # nothing is taken away
        ("antiAffinityGroup", (), [("m2",), ("m3",)], {"m1"}),
        ("antiAffinityGroup", (), [()], {"m1", "m2", "m3"}),
        ("antiAffinityGroup", ("m2",), [("m2",)], {"m1", "m2", "m3"}),
    ],
)
def test_clusters_that_workload_affinity_leaves(
    group: str, there: tuple[str, ...], peers: list[tuple[str, ...]], fit: set[str]
) -> None:
    """As Karmada's plugins WorkloadAffinity and WorkloadAntiAffinity filter."""
    others = [
        {
            "metadata": {"name": f"other{number}", "namespace": "default"},
            "spec": {
                "resource": {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "namespace": "default",
                    "name": f"o{number}",
                },
                "clusters": [{"name": name} for name in clusters],
                "workloadAffinityGroups": {group: "a=1"},
            },
        }
        for number, clusters in enumerate(peers)
    ]
    made = binding(1, workloadAffinityGroups={group: "a=1"}, clusters=[{"name": name} for name in there])
    facts = SchedulingContext(gates=frozenset({gates.WORKLOAD_AFFINITY}), peers=others)
    (attempt,) = schedule(made, THREE, facts).attempts
    assert {each.name for each in attempt.candidates} == fit


def test_components_are_kept_together() -> None:
    parts = [
        {"name": "a", "replicas": 1, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}},
        {"name": "b", "replicas": 2},
    ]
    made = binding(0, {"spreadConstraints": [spread("cluster", 1, 1)], "replicaScheduling": DYNAMIC}, components=parts)
    facts = SchedulingContext(gates=frozenset({gates.MULTIPLE_POD_TEMPLATES_SCHEDULING}))
    assert schedule(made, THREE, facts).clusters == [
        {"name": "m1", "components": [{"name": "a", "replicas": 1}, {"name": "b", "replicas": 2}]}
    ]
    decision = schedule(made, [cluster("m1", cpu="0")], facts)
    assert decision.condition["message"] == "failed to select clusters: no enough resource when selecting 1 clusters"


def test_the_status_after_success_and_failure() -> None:
    made = binding(2)
    status = with_status(made, schedule(made, THREE), 4, now=0)
    assert status == {
        "conditions": [
            {
                "type": "Scheduled",
                "status": "True",
                "reason": "Success",
                "message": "Binding has been scheduled successfully.",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }
        ],
        "schedulerObservedGeneration": 4,
        "lastScheduledTime": "1970-01-01T00:00:00Z",
    }
    made["status"] = status
    failed = with_status(made, schedule(made, []), 5, now=60)
    assert failed["conditions"][0]["lastTransitionTime"] == "1970-01-01T00:01:00Z"
    assert failed["schedulerObservedGeneration"] == 4
    assert failed["lastScheduledTime"] == "1970-01-01T00:00:00Z"


def test_a_refused_quota_stores_only_the_reason() -> None:
    made = binding(2)
    decision = quota_exceeded(schedule(made, THREE), "FederatedResourceQuota(default/q) exceeded")
    assert decision.clusters is None
    assert with_result(made, decision) is made
    assert decision.condition["reason"] == "QuotaExceeded"
    assert [event.type for event in decision.events] == ["Warning"]


def test_storing_the_same_result_again_changes_nothing() -> None:
    made = binding(2, {"replicaScheduling": DUPLICATED})
    stored = with_result(made, schedule(made, THREE))
    assert stored is not made
    assert with_result(stored, schedule(stored, THREE)) is stored


ROOM = st.lists(st.integers(0, 30), min_size=1, max_size=6)
STRATEGIES = st.sampled_from([DYNAMIC, AGGREGATED, divided()])


@given(ROOM, st.integers(1, 60), STRATEGIES, st.data())
def test_never_more_than_asked_for_and_stable_under_order(
    room: list[int], wanted: int, strategy: Any, data: Any
) -> None:
    members = [cluster(f"m{index}", cpu=str(cpu)) for index, cpu in enumerate(room)]
    before = [{"name": f"m{index}", "replicas": data.draw(st.integers(1, 9))} for index in range(len(room) // 2)]
    made = binding(wanted, {"replicaScheduling": strategy}, clusters=before)
    kept = copy.deepcopy(made)
    decision = schedule(made, members)
    assert made == kept
    again = schedule(made, data.draw(st.permutations(members)))
    assert (again.clusters, again.condition) == (decision.clusters, decision.condition)
    if decision.failure is None:
        result = as_map(decision.clusters)
        assert sum(result.values()) == wanted
        assert all(count > 0 for count in result.values())
        if strategy != divided() and sum(each["replicas"] for each in before) <= wanted:
            old = as_map(before)
            assert all(result.get(name, 0) >= count for name, count in old.items())
            assert all(count - old.get(name, 0) <= room[int(name[1:])] for name, count in result.items())
