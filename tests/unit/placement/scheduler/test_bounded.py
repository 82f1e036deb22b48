"""Replicas within bounds: the method against one that gives seat by seat, and what holds for every fleet and every change."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.hashes import fnv1a_32
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.placement_annotations import APPLIED
from kafila.placement.replica_bounds import ANNOTATION, UNLIMITED, Bounds
from kafila.placement.scheduler.reschedule import RescheduleReason, should_schedule
from kafila.placement.scheduler.schedule import schedule, with_result
from kafila.placement.scheduler.webster import webster, webster_within
from tests.unit.placement.objects import AGGREGATED, DUPLICATED, DYNAMIC, as_map, binding, cluster, divided, static

NAMES = ["m1", "m2", "m3", "m4"]
UIDS = ["", *(next(uid for uid in map(str, range(99)) if fnv1a_32(uid.encode()) % 2 == odd) for odd in (0, 1))]
BOUNDS = st.tuples(st.integers(0, 12), st.integers(0, 30)).map(lambda pair: Bounds(pair[0], pair[0] + pair[1]))
PARTIES = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(0, 60), BOUNDS), min_size=1)


def seat_by_seat(seats: int, votes: dict[str, int], bounds: dict[str, Bounds], uid: str) -> dict[str, int]:
    seated = {name: bounds[name].minimum for name in votes}
    descending = bool(uid) and fnv1a_32(uid.encode()) % 2 == 1
    for _ in range(seats - sum(seated.values())):
        below = [name for name in votes if seated[name] < bounds[name].maximum]
        voted = [name for name in below if votes[name]]
        quotients = {name: Fraction(votes[name] or 1, 2 * seated[name] + 1) for name in voted or below}
        best = max(quotients.values())
        tied = [name for name in quotients if quotients[name] == best]
        tied = sorted(name for name in tied if seated[name] == min(seated[each] for each in tied))
        seated[tied[-1] if descending else tied[0]] += 1
    return seated


@given(PARTIES, st.integers(0, 120), st.sampled_from(UIDS))
def test_agrees_with_the_naive_method(parties: dict[str, tuple[int, Bounds]], wanted: int, uid: str) -> None:
    votes = {name: vote for name, (vote, _) in parties.items()}
    bounds = {name: limits for name, (_, limits) in parties.items()}
    least, most = sum(each.minimum for each in bounds.values()), sum(each.maximum for each in bounds.values())
    seats = min(max(wanted, least), most)
    found = webster_within(seats, votes, bounds, uid)
    assert dict(found) == seat_by_seat(seats, votes, bounds, uid)
    assert [target.name for target in found] == sorted(votes)


@given(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 10_000), min_size=1), st.integers(0, UNLIMITED))
def test_bounds_that_touch_nobody_change_nothing(votes: dict[str, int], seats: int) -> None:
    assert webster_within(seats, votes, dict.fromkeys(votes, Bounds())) == webster(seats, votes)


@pytest.mark.parametrize("seats", [2, 9])
def test_no_division_is_none(seats: int) -> None:
    with pytest.raises(ValueError, match="where there are 3 to 8"):
        webster_within(seats, {"a": 1}, {"a": Bounds(3, 8)})


def bounded(rules: list[Object], replicas: int, strategy: Object, **spec: object) -> Object:
    made = binding(replicas, {"replicaScheduling": strategy}, **spec)
    made["metadata"]["annotations"] = {ANNOTATION: json.dumps(rules)}
    return made


def rule(name: str, minimum: int, maximum: int) -> Object:
    return {"clusterNames": [name], "minReplicas": minimum, "maxReplicas": maximum}


FLEET = [cluster(name, cpu=cpu) for name, cpu in zip(NAMES, ("40", "20", "10", "5"), strict=True)]
ROOM = dict(zip(NAMES, (40, 20, 10, 5), strict=True))
SCALED = st.fixed_dictionaries(
    {
        "limits": st.dictionaries(st.sampled_from(NAMES), BOUNDS, min_size=1),
        "before": st.integers(1, 60),
        "wanted": st.integers(1, 60),
        "strategy": st.sampled_from([DYNAMIC, AGGREGATED, divided(), static(m1=3, m2=1), static(m4=1)]),
    }
)


@given(SCALED)
def test_sums_and_bounds_are_kept_whatever_was_there(case: Object) -> None:
    rules = [rule(name, *limits) for name, limits in case["limits"].items()]
    first = binding(case["before"], {"replicaScheduling": case["strategy"]})
    first = with_result(first, schedule(first, FLEET))
    made = bounded(rules, case["wanted"], case["strategy"], clusters=first["spec"].get("clusters") or [])
    decision = schedule(made, FLEET)
    if decision.failure is not None:
        assert (decision.clusters, decision.failure.kind) == (None, "UnschedulableError")
        assert _is_impossible(case)
        return
    placed = as_map(decision.clusters)
    assert sum(placed.values()) == case["wanted"]
    for name, limits in case["limits"].items():
        assert limits.minimum <= placed.get(name, 0) <= limits.maximum


def _is_impossible(case: Object) -> bool:
    """Is there no division at all that keeps sum, bounds, and what clusters have room for besides what they run?"""
    limits = {name: case["limits"].get(name, Bounds()) for name in NAMES}
    if case["strategy"] in (DYNAMIC, AGGREGATED):
        # every replica that is there already took none of this fleet's room: it is free room that is told
        has = as_map(schedule(binding(case["before"], {"replicaScheduling": case["strategy"]}), FLEET).clusters)
        most = {name: min(limits[name].maximum, ROOM[name] + has.get(name, 0)) for name in NAMES}
    else:
        weighted = {"m1", "m2"} if case["strategy"] == static(m1=3, m2=1) else set(NAMES)
        weighted = {"m4"} if case["strategy"] == static(m4=1) else weighted
        most = {name: limits[name].maximum if name in weighted else limits[name].minimum for name in NAMES}
    short = any(most[name] < limits[name].minimum for name in NAMES)
    return short or not sum(each.minimum for each in limits.values()) <= case["wanted"] <= sum(most.values())


@pytest.mark.parametrize(
    ("strategy", "replicas", "rules", "placed"),
    [
        (DYNAMIC, 15, [rule("m1", 0, 4)], {"m1": 4, "m2": 6, "m3": 3, "m4": 2}),
        (DYNAMIC, 15, [rule("m4", 3, 9)], {"m1": 7, "m2": 3, "m3": 2, "m4": 3}),
        (AGGREGATED, 15, [rule("m1", 0, 10)], {"m1": 10, "m2": 5}),
        (AGGREGATED, 15, [rule("m4", 1, 9)], {"m1": 13, "m4": 2}),
        (static(m1=1, m2=1), 10, [rule("m1", 0, 2)], {"m1": 2, "m2": 8}),
        (static(m1=1, m2=1), 10, [rule("m3", 3, 5)], {"m1": 4, "m2": 3, "m3": 3}),
        (divided(), 8, [{"minReplicas": 1, "maxReplicas": 2}], {"m1": 2, "m2": 2, "m3": 2, "m4": 2}),
        (DUPLICATED, 3, [rule("m1", 0, 2)], {"m1": 3, "m2": 3, "m3": 3, "m4": 3}),
    ],
)
def test_divisions(strategy: Object, replicas: int, rules: list[Object], placed: dict[str, int]) -> None:
    assert as_map(schedule(bounded(rules, replicas, strategy), FLEET).clusters) == placed


def test_what_is_scaled_to_nothing_runs_nowhere() -> None:
    made = bounded([{"minReplicas": 1}], 0, DYNAMIC, replicaRequirements={}, clusters=[{"name": "m1", "replicas": 3}])
    assert schedule(made, FLEET).clusters == []


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{"minReplicas": 3}], "the minimums of the clusters add up to 12 replicas, and 10 are wanted"),
        ([{"maxReplicas": 2}], "the maximums of the clusters add up to 8 replicas, and 10 are wanted"),
        ([rule("m4", 7, 9)], "cluster m4 has room for 5 replicas, and its minimum is 7"),
        ([{"maxReplicas": 2}, rule("m1", 3, 9)], "the minimum of cluster m1 is 3, its maximum 2 replicas"),
    ],
)
def test_what_is_impossible_is_said(rules: list[Object], said: str) -> None:
    decision = schedule(bounded(rules, 10, DYNAMIC), FLEET)
    assert (decision.clusters, decision.retry) == (None, "unschedulable")
    assert decision.condition["reason"] == constants.REASON_UNSCHEDULABLE
    assert decision.condition["message"] == f"failed to assign replicas: {said}"


def test_maximums_of_fixed_weights_that_are_too_low() -> None:
    decision = schedule(bounded([{"maxReplicas": 2}], 10, divided()), FLEET)
    said = "the maximums of the clusters add up to 8 replicas, and 10 are wanted"
    assert decision.condition["message"] == f"failed to assign replicas: {said}"


def test_bounds_that_somebody_broke_fail_the_decision() -> None:
    made = bounded([], 10, DYNAMIC)
    decision = schedule(made, FLEET)
    assert (decision.clusters, decision.condition["reason"]) == (None, constants.REASON_SCHEDULER_ERROR)
    assert decision.condition["message"] == (
        'metadata.annotations[placement.kafila.io/replica-bounds]: Invalid value: "[]": must be a list of rules'
    )


def test_what_runs_moves_no_further_than_the_bounds_ask() -> None:
    placed = [{"name": "m1", "replicas": 8}, {"name": "m2", "replicas": 2}]
    made = bounded([rule("m1", 0, 6), rule("m4", 1, 9)], 10, DYNAMIC, clusters=placed)
    found = as_map(schedule(made, FLEET).clusters)
    assert found["m1"] == 6
    assert found["m2"] >= 2
    assert found["m4"] >= 1


def test_overflow_groups_keep_the_minimums_of_later_ones() -> None:
    terms = [
        {
            "affinityName": "first",
            "clusterNames": ["m1"],
            "overflowAffinities": [{"affinityName": "second", "clusterNames": ["m2"]}],
        }
    ]
    made = bounded([rule("m2", 2, 9)], 10, DYNAMIC)
    made["spec"]["placement"]["clusterAffinities"] = terms
    assert as_map(schedule(made, FLEET).clusters) == {"m1": 8, "m2": 2}


def test_changed_bounds_lead_to_a_decision() -> None:
    made = bounded([rule("m1", 0, 4)], 10, DYNAMIC)
    placed = with_result(made, schedule(made, FLEET))
    assert placed["metadata"]["annotations"][APPLIED]
    placed["status"] = {"schedulerObservedGeneration": 1}
    assert should_schedule(placed) is RescheduleReason.NONE
    changed = {**placed, "metadata": {**placed["metadata"], "annotations": {**placed["metadata"]["annotations"]}}}
    changed["metadata"]["annotations"][ANNOTATION] = json.dumps([rule("m1", 0, 3)])
    assert should_schedule(changed) is RescheduleReason.PLACEMENT_CHANGED
    del changed["metadata"]["annotations"][ANNOTATION]
    assert should_schedule(changed) is RescheduleReason.PLACEMENT_CHANGED
    again = with_result(changed, schedule(changed, FLEET))
    assert APPLIED not in again["metadata"]["annotations"]
