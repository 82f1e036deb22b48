from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.clock import parse_rfc3339
from kafila.core.values import Object
from kafila.placement.cluster_scores import INVERSE, WEIGHT_BY, Score, Weighting, problems, score_of, weighting
from kafila.placement.replica_bounds import ANNOTATION
from kafila.placement.scheduler.decision_record import decision_record
from kafila.placement.scheduler.reschedule import RescheduleReason
from kafila.placement.scheduler.schedule import SchedulingContext, schedule
from tests.unit.placement.objects import AGGREGATED, DYNAMIC, as_map, binding, cluster, deployment, divided

AT = "2026-11-30T12:00:00Z"
NOW = parse_rfc3339(AT)
FLEET = [cluster(name, cpu="100") for name in ("m1", "m2", "m3")]


def stored(values: Mapping[str, int], renewed: str = AT, ttl: int = 60) -> Object:
    scores = [{"cluster": name, "value": value} for name, value in values.items()]
    return {"metadata": {"name": "s"}, "spec": {"ttlSeconds": ttl, "renewTime": renewed, "scores": scores}}


def asked(annotations: Mapping[str, str], now: float = NOW, **scores: Object) -> Weighting | None:
    found: dict[str, Score] = {name: score_of(obj) for name, obj in scores.items()}
    return weighting(annotations, found.get, now)


def placed(weights: Weighting | None, strategy: Object = DYNAMIC, replicas: int = 12, **spec: object) -> dict[str, int]:
    made = binding(replicas, {"replicaScheduling": strategy}, **spec)
    return as_map(schedule(made, FLEET, SchedulingContext(weighting=weights)).clusters)


def test_nothing_is_asked_for() -> None:
    assert asked({"note": "x"}, cost=stored({"m1": 1})) is None


@pytest.mark.parametrize(
    ("annotations", "found", "by"),
    [
        ({WEIGHT_BY: "green"}, {"m1": 9, "m2": 3}, ("green (more gets more)",)),
        ({INVERSE: "cost"}, {"m1": 9, "m2": 3}, ("cost (less gets more)",)),
        (
            {WEIGHT_BY: "green", INVERSE: "cost"},
            {"m1": 11, "m2": 1},
            ("green (more gets more)", "cost (less gets more)"),
        ),
    ],
)
def test_replicas_follow_the_scores(annotations: dict[str, str], found: dict[str, int], by: tuple[str, ...]) -> None:
    scores = {"green": stored({"m1": 300, "m2": 100, "m3": 0}), "cost": stored({"m1": 10, "m2": 30})}
    weights = asked(annotations, **scores)
    assert weights is not None
    assert (weights.by, weights.not_used) == (by, ())
    assert placed(weights) == found


@pytest.mark.parametrize(
    ("renewed", "why"),
    [
        ("2026-11-30T11:58:59Z", "cost: it is stale since 2026-11-30T11:59:59Z"),
        ("2026-11-30T12:01:01Z", "cost: it is dated 2026-11-30T12:01:01Z, which is to come"),
    ],
)
def test_what_is_not_of_now_is_not_used(renewed: str, why: str) -> None:
    weights = asked({INVERSE: "cost"}, cost=stored({"m1": 1}, renewed))
    assert weights == Weighting((), (), (why,))
    assert placed(weights) == {"m1": 4, "m2": 4, "m3": 4}  # by free room, as without the annotation
    decision = schedule(binding(3, {"replicaScheduling": DYNAMIC}), FLEET, SchedulingContext(weighting=weights))
    assert [(event.type, event.reason, event.message) for event in decision.events[-1:]] == [
        ("Warning", "ClusterScoreNotUsed", f"Not used: {why}")
    ]


@pytest.mark.parametrize("renewed", ["2026-11-30T11:59:00Z", "2026-11-30T12:01:00Z"])
def test_what_is_just_of_now_is_used(renewed: str) -> None:
    weights = asked({INVERSE: "cost"}, cost=stored({"m1": 1}, renewed))
    assert weights is not None
    assert weights.not_used == ()


def test_one_that_there_is_not_leaves_the_other() -> None:
    weights = asked({WEIGHT_BY: "green", INVERSE: "cost"}, green=stored({"m1": 1, "m2": 2}))
    assert weights is not None
    assert weights.not_used == ("cost: there is no such ClusterScore",)
    assert placed(weights) == {"m1": 4, "m2": 8}


def test_no_cluster_gets_more_than_it_has_room_for_and_those_without_a_value_come_last() -> None:
    weights = asked({WEIGHT_BY: "green"}, green=stored({"m1": 9, "m2": 1}))
    assert placed(weights, replicas=250) == {"m1": 100, "m2": 100, "m3": 50}


def test_what_runs_stays_where_it_is() -> None:
    weights = asked({WEIGHT_BY: "green"}, green=stored({"m1": 1}))
    there = [{"name": "m2", "replicas": 8}]
    assert placed(weights, replicas=12, clusters=there) == {"m1": 4, "m2": 8}
    assert placed(weights, replicas=8, clusters=there) == {"m2": 8}


def test_bounds_hold_for_scores_too() -> None:
    made = binding(12, {"replicaScheduling": DYNAMIC})
    made["metadata"]["annotations"] = {ANNOTATION: "[{minReplicas: 1, maxReplicas: 7}]"}
    weights = asked({WEIGHT_BY: "green"}, green=stored({"m1": 100, "m2": 1}))
    assert as_map(schedule(made, FLEET, SchedulingContext(weighting=weights)).clusters) == {"m1": 7, "m2": 4, "m3": 1}


@pytest.mark.parametrize("strategy", [AGGREGATED, divided()])
def test_other_divisions_do_not_ask(strategy: Object) -> None:
    weights = asked({WEIGHT_BY: "green"}, green=stored({"m3": 1}))
    assert placed(weights, strategy) == placed(None, strategy)


@given(st.dictionaries(st.sampled_from(["m1", "m2", "m3"]), st.integers(0, 10**6)), st.integers(1, 300), st.booleans())
def test_all_replicas_are_placed_whatever_the_values(values: dict[str, int], replicas: int, inverse: bool) -> None:
    weights = asked({INVERSE if inverse else WEIGHT_BY: "s"}, s=stored(values))
    found = placed(weights, replicas=replicas)
    assert sum(found.values()) == replicas
    assert all(count <= 100 for count in found.values())


def test_the_record_says_what_was_a_weight() -> None:
    weights = asked({WEIGHT_BY: "green", INVERSE: "cost"}, green=stored({"m1": 1}))
    made = binding(3, {"replicaScheduling": DYNAMIC})
    decision = schedule(made, FLEET, SchedulingContext(weighting=weights))
    record = decision_record(made, deployment(), decision, RescheduleReason.PLACEMENT_CHANGED, 1, None)
    assert record is not None
    assert record["scheduling"]["weightedBy"] == ["green (more gets more)"]
    assert record["scheduling"]["notUsed"] == ["cost: there is no such ClusterScore"]
    assert decision_record(made, deployment(), decision, RescheduleReason.ALWAYS, 1, record) is None


def test_what_is_refused_of_the_annotations() -> None:
    assert list(problems({WEIGHT_BY: "cost"}, is_by_room=True)) == []
    (wrong,) = problems({WEIGHT_BY: "No Name"}, is_by_room=True)
    assert wrong.field == f"metadata.annotations[{WEIGHT_BY}]"
    (wrong,) = problems({INVERSE: "cost"}, is_by_room=False)
    assert "divided by dynamicWeight" in str(wrong)
