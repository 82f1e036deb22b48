"""When a rollout begins, and in which order clusters are in it."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.placement.rollout.advance import Seen
from kafila.placement.rollout.follow import Revised, follow
from kafila.placement.rollout.gate import Report
from kafila.placement.rollout.order import Place, ordered
from tests.unit.placement.objects import cluster

NOW = 1_000_000.0
CLUSTERS: Any = {
    name: cluster(name, labels={"stage": stage})
    for name, stage in (("m1", "prod"), ("m2", "canary"), ("m3", "prod"), ("m4", ""))
}
BY_LABEL: Any = [
    {
        "name": stage,
        "targetClusters": {"labelSelector": {"matchLabels": {"stage": stage}}},
        "requireApproval": stage == "prod",
    }
    for stage in ("canary", "prod")
]


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        ({}, [("", "m1"), ("", "m2"), ("", "m3"), ("", "m4")]),
        ({"order": ["m3", "m9", "m2"]}, [("", "m3"), ("", "m2"), ("", "m1"), ("", "m4")]),
        ({"stages": BY_LABEL}, [("canary", "m2"), ("prod", "m1", True), ("prod", "m3", True), ("", "m4")]),
    ],
)
def test_the_order_is_fixed_at_the_beginning(wanted: Any, order: list[tuple[str, str]]) -> None:
    assert ordered(CLUSTERS.keys(), wanted, CLUSTERS) == [Place(*each) for each in order]


def seen(*targets: str) -> Seen:
    return Seen(frozenset(targets), {name: Report(False, "ill") for name in targets})


def test_what_is_there_already_is_adopted_and_what_is_nowhere_begins() -> None:
    revised = Revised("a1", 1)
    assert follow(None, {}, revised, seen(), CLUSTERS, NOW) is None
    adopted = follow(None, {}, revised._replace(there={"m1": True}), seen("m1"), CLUSTERS, NOW)
    assert adopted is not None
    assert (adopted.status["phase"], adopted.events, adopted.wake) == ("Succeeded", (), None)
    first = follow(None, {}, revised, seen("m1", "m2"), CLUSTERS, NOW)
    assert first is not None
    assert [event.reason for event in first.events] == ["RolloutStarted", "RolloutClusterProgressing"]


def test_what_is_not_everywhere_is_not_adopted() -> None:
    revised = Revised("a1", 1, {"m1": False, "m2": True})
    first = follow(None, {}, revised, seen("m1", "m2", "m3"), CLUSTERS, NOW)
    assert first is not None
    assert [(row["name"], row["phase"], row.get("revision", "")) for row in first.status["clusters"]] == [
        ("m1", "Progressing", "a1"),
        ("m2", "Succeeded", "a1"),
        ("m3", "Pending", ""),
    ]


def test_a_newer_revision_takes_the_place_of_one_that_is_under_way() -> None:
    first = follow(None, {}, Revised("a1", 1), seen("m1", "m2"), CLUSTERS, NOW)
    assert first is not None
    again = follow(first.status, {}, Revised("a1", 1), seen("m1", "m2"), CLUSTERS, NOW)
    assert again is not None
    assert again.events == ()
    second = follow(first.status, {}, Revised("b2", 2), seen("m1", "m2"), CLUSTERS, NOW)
    assert second is not None
    assert [event.reason for event in second.events] == [
        "RolloutSuperseded",
        "RolloutStarted",
        "RolloutClusterProgressing",
    ]


def test_where_all_clusters_have_left_it_begins_again_elsewhere() -> None:
    first = follow(None, {}, Revised("a1", 1), seen("m1", "m2"), CLUSTERS, NOW)
    assert first is not None
    left = follow(first.status, {}, Revised("a1", 1), seen(), CLUSTERS, NOW)
    assert left is not None
    came = follow(left.status, {}, Revised("a1", 1), seen("m3"), CLUSTERS, NOW)
    assert came is not None
    assert [(row["name"], row["phase"]) for row in came.status["clusters"]] == [("m3", "Progressing")]
