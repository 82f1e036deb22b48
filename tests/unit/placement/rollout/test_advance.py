"""One look at a rollout after the other: tables of what follows from what clusters show, and what holds whatever they do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafila.core.clock import rfc3339
from kafila.core.values import Object
from kafila.placement.rollout.advance import NO_CONTROL, Advance, Seen, advance
from kafila.placement.rollout.begin import adopted, begun, is_under_way, revision_for
from kafila.placement.rollout.gate import Report
from kafila.placement.rollout.order import Place, groups
from kafila.placement.rollout.phases import FAILED, PENDING, PROGRESSING, SUCCEEDED
from kafila.placement.rollout.strategy import CONTINUE, PAUSE, ROLLBACK, Gate, Strategy

NOW = 1_000_000.0
OLD, NEW, NEWER = "a1", "b2", "c3"
WELL, ILL = Report(True), Report(False, "it is unhealthy")
ABC = ("a", "b", "c")
QUICK = Strategy(timeout=100)


def rollout(*clusters: str, stages: Mapping[str, str] | None = None, with_approval: Collection[str] = ()) -> Any:
    """From OLD to NEW."""
    of = stages or {}
    order = [Place(of.get(each, ""), each, of.get(each, "") in with_approval) for each in clusters or ABC]
    return begun(adopted(OLD, 1, NOW), order, NEW, 2, NOW)


def look(
    status: Any,
    well: Iterable[str] = (),
    *,
    at: float = 0,
    strategy: Strategy = QUICK,
    targets: Iterable[str] | None = None,
    suspended: Collection[str] = (),
    evicted: Collection[str] = (),
    kept: bool = True,
    **control: Any,
) -> Advance:
    names = frozenset(targets if targets is not None else (row["name"] for row in status["clusters"]))
    well = frozenset(well)
    reports = {name: WELL if name in well else ILL for name in names}
    asked = {"revision": status["revision"], **control} if control else NO_CONTROL
    seen = Seen(names, reports, suspended, evicted, kept)
    return advance(status, strategy, seen, NOW + at, asked)  # type: ignore[arg-type]


def phases(status: Any) -> str:
    return " ".join(row["phase"] for row in status["clusters"])


def newest(status: Any) -> str:
    """The clusters that have the new revision."""
    return "".join(row["name"] for row in status["clusters"] if revision_for(status, row["name"]) == status["revision"])


def reasons(found: Advance) -> list[str]:
    return [event.reason.removeprefix("Rollout") for event in found.events]


def test_clusters_go_one_after_the_other() -> None:
    first = look(rollout())
    assert (newest(first.status), reasons(first), first.wake) == ("a", ["ClusterProgressing"], 100)
    assert look(first.status, at=50).status["clusters"][0]["message"] == "it is unhealthy"
    second = look(first.status, "a", at=60)
    assert (newest(second.status), reasons(second)) == ("ab", ["ClusterSucceeded", "ClusterProgressing"])
    third = look(second.status, "ab", at=70)
    last = look(third.status, "abc", at=80)
    assert reasons(last) == ["ClusterSucceeded", "Succeeded"]
    assert (last.status["phase"], last.status["completedAt"], last.wake) == (SUCCEEDED, rfc3339(NOW + 80), None)
    assert last.status["message"] == f"Revision {NEW} is in 3 of 3 clusters as it has to be"
    assert look(last.status, at=900) == (last.status, (), None)


def test_a_look_that_changes_nothing_gives_the_same_object() -> None:
    first = look(rollout()).status
    again = look(first, at=0)
    again = look(again.status, at=1)
    assert look(again.status, at=2).status is again.status


@pytest.mark.parametrize(
    ("shown", "succeeds"),
    [
        ([(10, True), (70, True)], 70),
        ([(10, True), (69, True)], None),
        ([(10, True), (60, False), (70, True), (129, True)], None),
        ([(10, True), (60, False), (70, True), (130, True)], 130),
    ],
)
def test_healthy_without_a_break(shown: list[tuple[float, bool]], succeeds: float | None) -> None:
    strategy = Strategy(Gate(seconds=60), timeout=1000)
    status, succeeded = look(rollout(), strategy=strategy).status, None
    for at, is_well in shown:
        found = look(status, "a" if is_well else "", at=at, strategy=strategy)
        status = found.status
        if "ClusterSucceeded" in reasons(found):
            succeeded = at
    assert succeeded == succeeds


def test_the_next_wake_is_when_it_has_been_healthy_for_long_enough() -> None:
    strategy = Strategy(Gate(seconds=60), timeout=1000)
    status = look(rollout(), strategy=strategy).status
    found = look(status, "a", at=10.5, strategy=strategy)
    assert found.wake == pytest.approx(60.5)  # rounded up to a second: not a moment less
    assert look(found.status, "a", at=70.6, strategy=strategy).wake == pytest.approx(0.4)


def test_a_cluster_that_does_not_get_well_in_time_pauses_the_rollout() -> None:
    status = look(rollout()).status
    assert look(status, at=99.9).wake == pytest.approx(0.1)
    failed = look(status, at=100)
    assert (failed.status["phase"], phases(failed.status)) == (FAILED, "Failed Pending Pending")
    assert reasons(failed) == ["ClusterFailed", "Failed"]
    assert failed.status["clusters"][0]["message"] == "not in 100 s: it is unhealthy"
    assert newest(failed.status) == "a"
    assert look(failed.status, "a", at=500).events == ()  # it is somebody's to decide
    resumed = look(failed.status, at=600, resumeTriggeredAt="2026-11-30T19:00:00Z")
    assert (resumed.status["phase"], reasons(resumed), resumed.wake) == (PROGRESSING, ["Resumed"], 100)
    assert newest(look(resumed.status, "a", at=610, resumeTriggeredAt="2026-11-30T19:00:00Z").status) == "ab"


def test_continue_goes_on_without_it() -> None:
    strategy = Strategy(timeout=100, action=CONTINUE)
    status = look(rollout(), strategy=strategy).status
    found = look(status, at=100, strategy=strategy)
    assert (found.status["phase"], newest(found.status)) == (PROGRESSING, "ab")
    found = look(look(found.status, "b", at=110, strategy=strategy).status, "bc", at=120, strategy=strategy)
    assert found.status["message"] == f"Revision {NEW} is in 2 of 3 clusters as it has to be; a failed"
    assert (found.status["phase"], reasons(found), found.wake) == (FAILED, ["ClusterSucceeded", "Failed"], None)
    assert look(found.status, "bc", at=130, strategy=strategy) == (found.status, (), None)
    assert revision_for(found.status, "late") == OLD
    after: Any = begun(found.status, [Place("", name) for name in ABC], NEWER, 3, NOW)
    assert after["stableRevision"] == OLD  # what a failed rollout brought is nothing to go back to
    resumed = look(found.status, "abc", at=140, strategy=strategy, resumeTriggeredAt="2026-11-30T19:00:00Z")
    assert resumed.status["phase"] == SUCCEEDED


def test_rollback_gives_all_clusters_the_stable_revision_back() -> None:
    strategy = Strategy(timeout=100, action=ROLLBACK)
    status = look(look(rollout(), strategy=strategy).status, "a", at=10, strategy=strategy).status
    found = look(status, "a", at=110, strategy=strategy)
    assert (found.status["phase"], reasons(found)) == ("RolledBack", ["ClusterFailed", "RolledBack"])
    assert {revision_for(found.status, cluster) for cluster in "abcd"} == {OLD}
    assert not is_under_way(found.status)
    assert look(found.status, at=120).status is found.status


def test_nothing_is_said_to_be_taken_back_that_is_not_kept_any_more() -> None:
    strategy = Strategy(timeout=100, action=ROLLBACK)
    status = look(rollout(), strategy=strategy).status
    found = look(status, at=110, strategy=strategy, kept=False)
    assert (found.status["phase"], reasons(found)) == (FAILED, ["ClusterFailed", "Failed"])
    assert found.status["message"] == (f"a failed, and revision {OLD} cannot be given back: it is not kept any more")
    assert newest(found.status) == "a"
    undone = look(status, at=1, kept=False, undo=True)
    assert (undone.status["phase"], reasons(undone)) == (FAILED, ["Failed"])
    assert look(undone.status, at=2, kept=False, undo=True) == (undone.status, (), None)


def test_without_anything_to_go_back_to_a_rollback_is_a_pause() -> None:
    strategy = Strategy(timeout=100, action=ROLLBACK)
    first: Any = begun(None, [Place("", "a"), Place("", "b")], NEW, 1, NOW)
    status = look(first, strategy=strategy).status
    assert revision_for(status, "b") == ""
    assert look(status, at=100, strategy=strategy).status["phase"] == FAILED


def test_undo_also_of_what_has_succeeded() -> None:
    done = rollout("a")
    for at in (0, 1):
        done = look(done, "a", at=at).status
    assert done["phase"] == SUCCEEDED
    assert look(done, "a", undo=True, revision=OLD).status is done  # of another revision
    found = look(done, "a", undo=True)
    assert (found.status["phase"], revision_for(found.status, "a")) == ("RolledBack", OLD)
    again = look(found.status, "a", undo=False, resumeTriggeredAt="2026-11-30T19:00:00Z")
    assert (again.status["phase"], newest(again.status)) == (PROGRESSING, "a")


def test_paused_clusters_may_get_well_and_nobody_follows() -> None:
    status = look(rollout()).status
    paused = look(status, "a", at=10, paused=True)
    assert (paused.status["phase"], phases(paused.status)) == ("Paused", "Succeeded Pending Pending")
    assert reasons(paused) == ["ClusterSucceeded", "Paused"]
    assert look(paused.status, at=900, paused=True).events == ()
    assert newest(look(paused.status, "a", at=900, paused=False).status) == "ab"


def test_nobody_times_out_while_it_is_paused() -> None:
    status = look(rollout()).status
    paused = look(status, at=900, paused=True).status
    assert phases(paused) == "Progressing Pending Pending"
    resumed = look(paused, at=900, paused=False, resumeTriggeredAt="2026-11-30T19:00:00Z")
    assert (phases(resumed.status), resumed.wake) == ("Progressing Pending Pending", 100)


STAGES = {"a": "canary", "b": "prod", "c": "prod"}


def test_clusters_of_a_stage_go_together_once_it_is_approved() -> None:
    strategy = Strategy(timeout=100)  # whatever it says of stages by now
    status = look(rollout(stages=STAGES, with_approval={"prod"}), strategy=strategy).status
    waits = look(status, "a", at=10, strategy=strategy)
    assert (waits.status["phase"], newest(waits.status)) == ("WaitingForApproval", "a")
    assert reasons(waits) == ["ClusterSucceeded", "WaitingForApproval"]
    assert look(waits.status, "a", at=900, strategy=strategy).wake is None
    stale = look(waits.status, "a", at=20, strategy=strategy, revision=OLD, approvedStages=["prod"])
    assert stale.status["phase"] == "WaitingForApproval"
    found = look(waits.status, "a", at=20, strategy=strategy, approvedStages=["prod"])
    assert newest(found.status) == "abc"


def test_a_cluster_that_leaves_is_skipped_and_gets_the_stable_revision_when_it_comes_back() -> None:
    status = look(rollout()).status
    left = look(status, "a", at=10, targets="ac")
    assert phases(left.status) == "Succeeded Skipped Progressing"
    assert "ClusterSkipped" in reasons(left)
    back = look(left.status, "a", at=20, targets="abc")
    assert phases(back.status) == "Succeeded Skipped Progressing"
    assert revision_for(back.status, "b") == OLD


def test_what_had_to_leave_because_it_failed_is_a_failure() -> None:
    status = look(rollout()).status
    found = look(status, at=10, targets="bcd", evicted="a")
    assert (found.status["phase"], phases(found.status)) == (FAILED, "Failed Pending Pending")
    assert revision_for(found.status, "d") == OLD  # where it went to


def test_the_time_of_a_suspended_cluster_begins_when_it_is_not() -> None:
    first = look(rollout(), suspended="a")
    assert (newest(first.status), first.wake) == ("a", None)
    later = look(first.status, at=900, suspended="a")
    assert (phases(later.status), later.wake) == ("Progressing Pending Pending", None)
    assert look(later.status, at=901).wake == 100


def test_what_was_well_and_is_not_any_more_keeps_the_next_one_back() -> None:
    status = look(look(rollout()).status, "a", at=10).status
    held = look(status, "b", at=20)
    assert (phases(held.status), reasons(held)) == ("Succeeded Succeeded Pending", ["ClusterSucceeded", "Held"])
    assert held.wake == 100
    assert newest(look(held.status, "ab", at=30).status) == "abc"
    failed = look(held.status, "b", at=120)
    assert (failed.status["phase"], phases(failed.status)) == (FAILED, "Failed Succeeded Pending")


def test_a_newer_template_begins_again_and_what_waits_keeps_what_it_has() -> None:
    status = look(look(rollout()).status, "a", at=10).status  # a and b have NEW
    newer: Any = begun(status, [Place("", name) for name in ABC], NEWER, 3, NOW + 20)
    assert newer["stableRevision"] == OLD
    found = look(newer, at=20).status
    assert [revision_for(found, name) for name in ABC] == [NEWER, NEW, OLD]


def test_back_to_what_some_have_already() -> None:
    status = look(look(rollout()).status, "a", at=10).status
    back: Any = begun(status, [Place("", name) for name in ABC], OLD, 3, NOW + 20)
    assert phases(back) == "Pending Pending Succeeded"
    assert newest(look(back, at=20).status) == "ac"


def test_who_comes_late_gets_what_is_stable_or_has_succeeded_somewhere() -> None:
    assert revision_for(rollout(), "late") == OLD
    first: Any = look(begun(None, [Place("", "a"), Place("", "b")], NEW, 1, NOW)).status
    assert revision_for(first, "late") == ""
    assert revision_for(look(first, "a", at=10).status, "late") == NEW


def test_of_many_clusters_at_once_one_event_speaks_for_the_rest() -> None:
    names = [f"m{number}" for number in range(25)]
    found = look(rollout(*names, stages=dict.fromkeys(names, "all")))
    assert reasons(found) == ["ClusterProgressing"] * 11
    assert found.events[-1].message == "The same of 15 more clusters"


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "soon", ""])
def test_times_that_somebody_has_made_up_hold_nothing_up_for_ever(time: str) -> None:
    status = look(rollout()).status
    status["clusters"][0]["startedAt"] = time
    found = look(status)
    assert found.status["phase"] == FAILED or (found.wake or 0) <= 101


# -- whatever clusters do ----------------------------------------------------------------------------------------------


class Moment(NamedTuple):
    seconds: float
    well: frozenset[str]
    gone: frozenset[str]
    paused: bool
    resumed: int


NAMES = "abcdef"
SOME = st.frozensets(st.sampled_from(NAMES))
MOMENTS = st.lists(
    st.builds(Moment, st.sampled_from((0.0, 1.0, 30.0, 99.0, 101.0)), SOME, SOME, st.booleans(), st.integers(0, 2)),
    max_size=25,
)
GATES = st.builds(Gate, st.just(True), st.just(()), st.sampled_from((0.0, 5.0, 40.0)))
PLANS = st.builds(
    Strategy,
    GATES,
    st.just(100.0),
    st.sampled_from((PAUSE, CONTINUE, ROLLBACK)),
    st.none() | st.integers(1, 4),
    st.dictionaries(st.sampled_from(("s1", "s2")), st.integers(1, 4)),
)
STAGED = st.lists(st.sampled_from(("", "s1", "s2")), min_size=6, max_size=6)


def begin(stages: list[str]) -> Any:
    order = sorted(map(Place, stages, NAMES), key=lambda each: (each.stage == "", each))
    return begun(adopted(OLD, 1, NOW), order, NEW, 2, NOW)


def seen_at(moment: Moment) -> Seen:
    names = frozenset(NAMES) - moment.gone
    return Seen(names, {name: WELL if name in moment.well else ILL for name in names})


@settings(max_examples=100, deadline=None)
@given(STAGED, PLANS, MOMENTS)
def test_no_more_than_a_stage_is_ill_on_the_new_revision_and_nobody_loses_it(
    stages: list[str], strategy: Strategy, moments: list[Moment]
) -> None:
    status, now = begin(stages), NOW
    for moment in moments:
        now += moment.seconds
        control: Any = {"paused": moment.paused}
        if moment.resumed:
            control["resumeTriggeredAt"] = f"2026-11-30T19:00:0{moment.resumed}Z"
        had, before = set(newest(status)), status
        status = advance(status, strategy, seen_at(moment), now, control).status
        has = set(newest(status))
        if status["phase"] == "RolledBack":
            assert {revision_for(status, name) for name in NAMES} == {OLD}
            continue
        assert had <= has | {row["name"] for row in status["clusters"] if row["phase"] == "Skipped"}
        came = has - had
        if came and strategy.action != CONTINUE and before["phase"] != "RolledBack":
            together = next(group for group in groups(status["clusters"]) if came & {row["name"] for row in group})
            assert came <= {row["name"] for row in together} or status["phase"] == SUCCEEDED
            assert not moment.paused
            under_way = sum(row["phase"] == PROGRESSING for row in together)
            assert under_way <= (strategy.concurrency(together[0].get("stage", "")) or len(together))
            ill = {name for name in had - moment.gone if name not in moment.well}
            assert ill <= {row["name"] for row in together}


@settings(max_examples=100, deadline=None)
@given(STAGED, PLANS, MOMENTS, st.lists(SOME, min_size=1, max_size=5))
def test_it_ends(stages: list[str], strategy: Strategy, moments: list[Moment], ever: list[frozenset[str]]) -> None:
    """Whatever happened, and however health goes up and down: looked at when it asks for that, it ends, or fails."""
    status, now = begin(stages), NOW
    for moment in moments:
        now += moment.seconds
        status = advance(status, strategy, seen_at(moment), now, {"paused": moment.paused}).status
    for turn in range(200):
        reports = {name: WELL if name in ever[turn % len(ever)] else ILL for name in NAMES}
        found = advance(status, strategy, Seen(frozenset(NAMES), reports), now)
        status = found.status
        if found.wake is None:
            break
        now += found.wake
    if set(phases(status).split()) == {"Skipped"}:
        return  # `follow` begins again
    assert status["phase"] in (SUCCEEDED, FAILED, "RolledBack")
    assert PENDING not in phases(status) or status["phase"] != SUCCEEDED


@pytest.mark.parametrize(
    ("stages", "strategy", "begun", "after_a"),
    [
        ({}, Strategy(), "a", "ab"),
        ({}, Strategy(at_once=2), "ab", "abc"),
        ({}, Strategy(at_once=7), "abc", "abc"),
        (dict.fromkeys("abc", "all"), Strategy(), "abc", "abc"),
        (dict.fromkeys("abc", "all"), Strategy(at_once=2), "ab", "abc"),
        (dict.fromkeys("abc", "all"), Strategy(at_once=2, at_once_in={"all": 1}), "a", "ab"),
        ({"a": "first", "b": "second", "c": "second"}, Strategy(at_once=2), "a", "abc"),
    ],
)
def test_so_many_clusters_are_under_way_at_a_time(
    stages: dict[str, str], strategy: Strategy, begun: str, after_a: str
) -> None:
    found = look(rollout(stages=stages), strategy=strategy).status
    assert newest(found) == begun
    assert newest(look(found, "a", at=1, strategy=strategy).status) == after_a


def test_more_at_a_time_counts_at_once_and_fewer_take_nothing_back() -> None:
    found = look(rollout(*"abcd")).status
    found = look(found, at=1, strategy=Strategy(at_once=3)).status
    assert newest(found) == "abc"
    found = look(found, "a", at=2, strategy=Strategy(at_once=1)).status
    assert newest(found) == "abc"
    assert newest(look(found, "abc", at=3, strategy=Strategy(at_once=1)).status) == "abcd"


def test_the_status_is_what_the_schema_of_bindings_allows() -> None:
    from kafila.catalog.karmada.kinds import kinds

    kind = next(kind for kind in kinds() if kind.kind == "ResourceBinding" and kind.version == "v1alpha2")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    status: Object = dict(look(look(rollout(stages=STAGES)).status, "a", at=10, paused=True).status)
    obj: Object = {"metadata": {"name": "web"}, "spec": {"resource": reference}, "status": {"rollout": status}}
    assert kind.strategy.validate(obj) == []
