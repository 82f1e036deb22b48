"""What is kept of an attempt to schedule."""

from __future__ import annotations

from typing import Any

from kafila.placement.detector.match import why_others_lost
from kafila.placement.scheduler.decision_record import KEPT_HISTORY, KEPT_NAMES, decision_record, with_policy
from kafila.placement.scheduler.reschedule import RescheduleReason
from kafila.placement.scheduler.schedule import schedule
from tests.unit.placement.objects import binding, cluster, deployment, policy, selector

DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}


def record(
    made: Any, clusters: Any, before: Any = None, trigger: RescheduleReason = RescheduleReason.PLACEMENT_CHANGED
) -> Any:
    made = {**made, "metadata": {"name": "nginx-deployment", "namespace": "default"}}
    return decision_record(made, deployment(), schedule(made, clusters), trigger, 1, before, now=0)


def tainted(name: str) -> Any:
    return cluster(name, taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}])


def test_every_cluster_is_recorded_once() -> None:
    placement = {
        "clusterAffinity": {"exclude": ["m4"]},
        "replicaScheduling": DYNAMIC,
        "spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 2}],
    }
    clusters = [
        cluster("m1", pods="10"),
        cluster("m2", pods="5"),
        cluster("m3", pods="1"),
        cluster("m4"),
        tainted("m5"),
    ]
    made = record(binding(4, placement), clusters)
    assert made["scheduling"] == {
        "time": "1970-01-01T00:00:00Z",
        "trigger": "PlacementChanged",
        "bindingGeneration": 1,
        "result": "Success",
        "message": "Binding has been scheduled successfully.",
        "placed": "m1:3 m2:1",
        "attempts": [
            {
                "clusters": [
                    {"name": "m1", "score": 0, "available": 10, "replicas": 3, "chosen": True},
                    {"name": "m2", "score": 0, "available": 5, "replicas": 1, "chosen": True},
                    {"name": "m3", "score": 0, "available": 1, "note": "left out by the spread constraints"},
                ],
                "rejected": [
                    {
                        "filter": "ClusterAffinity",
                        "reason": "cluster(s) did not match the placement cluster affinity constraint",
                        "count": 1,
                        "clusters": ["m4"],
                    },
                    {
                        "filter": "TaintToleration",
                        "reason": "cluster(s) had untolerated taint {a=b:NoSchedule}",
                        "count": 1,
                        "clusters": ["m5"],
                    },
                ],
            }
        ],
    }


def test_affinity_groups_are_recorded_in_order() -> None:
    terms = [
        {"affinityName": "first", "clusterNames": ["m9"]},
        {"affinityName": "second", "clusterNames": ["m1"]},
    ]
    made = record(binding(1, {"clusterAffinities": terms}), [cluster("m1")])
    first, second = made["scheduling"]["attempts"]
    assert (first["affinity"], first["failure"].split(":")[0]) == ("first", "0/1 clusters are available")
    assert (second["affinity"], second["clusters"][0]["chosen"]) == ("second", True)


def test_the_same_again_is_no_news_though_room_changes() -> None:
    wanted = binding(2, {"replicaScheduling": DYNAMIC}, clusters=[{"name": "m1", "replicas": 2}])
    first = record(wanted, [cluster("m1", pods="10")])
    assert record(wanted, [cluster("m1", pods="9")], first, RescheduleReason.ALWAYS) is None
    assert record(wanted, [cluster("m1", pods="9"), tainted("m2")], first) is not None


def test_history_is_short_and_newest_first() -> None:
    made = record(binding(1, {}), [cluster("m1")])
    for count in range(KEPT_HISTORY + 2):
        made = record(binding(count + 2, {}), [cluster("m1")], made, RescheduleReason.REPLICAS_CHANGED)
    assert len(made["history"]) == KEPT_HISTORY
    assert made["history"][0] == {
        "time": "1970-01-01T00:00:00Z",
        "trigger": "ReplicasChanged",
        "result": "Success",
        "placed": f"m1:{KEPT_HISTORY + 2}",
    }


def test_a_thousand_clusters_are_counted_not_listed() -> None:
    clusters = [cluster(f"m{number}") for number in range(1000)]
    made = record(binding(1, {"clusterAffinity": {"clusterNames": ["m1"]}}), clusters)
    (rejected,) = made["scheduling"]["attempts"][0]["rejected"]
    assert (rejected["count"], len(rejected["clusters"])) == (999, KEPT_NAMES)


def test_policies_that_lost() -> None:
    by_name = policy("by-name", resourceSelectors=[selector(name="nginx")])
    by_kind = policy("by-kind", resourceSelectors=[selector()])
    urgent = policy("urgent", resourceSelectors=[selector()], priority=9)
    other = policy("other", resourceSelectors=[selector(name="other")])
    wide = policy("wide", namespace="", resourceSelectors=[selector(name="nginx")])
    lost = why_others_lost(deployment(), by_name, [by_name, by_kind, urgent, other], [wide], claimed=True)
    assert lost == [
        ("default/by-kind", "default/by-name selects the resource more precisely"),
        (
            "default/urgent",
            "default/by-name claimed the resource before; only a policy with preemption: Always takes it over",
        ),
        ("wide", "PropagationPolicy default/by-name comes first"),
    ]
    said = with_policy({}, {**by_name, "kind": "PropagationPolicy"}, lost[:1])["policy"]
    assert said == {
        "kind": "PropagationPolicy",
        "name": "by-name",
        "namespace": "default",
        "lost": [{"policy": lost[0][0], "reason": lost[0][1]}],
    }


def test_room_that_nobody_knows_or_counts_is_no_number() -> None:
    unknown = cluster("m1")
    del unknown["status"]["resourceSummary"]
    for made in (record(binding(2, {}), [unknown]), record(binding(0, {}), [cluster("m2")])):
        (told,) = made["scheduling"]["attempts"][0]["clusters"]
        assert "available" not in told
    full = cluster("m3", pods="0")
    (told,) = record(binding(2, {}), [full])["scheduling"]["attempts"][0]["clusters"]
    assert told["available"] == 0
