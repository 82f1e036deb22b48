from __future__ import annotations

from typing import Any

import pytest

from kafila.core.feature_gates import DEFAULT_GATES, FEDERATED_QUOTA_ENFORCEMENT
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.allowed_clusters import EVENT_NOT_ALLOWED
from kafila.placement.scheduler.reschedule import RescheduleReason
from kafila.placement.scheduler.schedule import SchedulingContext
from kafila.reconcile.karmada.template.steps.schedule_binding import schedule_binding
from tests.unit.placement.objects import DYNAMIC, binding, cluster

from .given import Given, placed, state, stored

LONG_AGO = "2020-01-01T00:00:00Z"


def scheduled(**spec: Any) -> Object:
    """A binding as it is stored after a decision of long ago."""
    made = schedule_binding(state(binding=binding(2, **spec)), Given()).binding
    return {**made, "status": {**made["status"], "lastScheduledTime": LONG_AGO}}


def test_the_decision_goes_into_the_binding() -> None:
    after = schedule_binding(state(binding=binding(2)), Given())
    assert [target["name"] for target in after.binding["spec"]["clusters"]] == ["m1", "m2"]
    assert after.binding["status"]["conditions"][0]["reason"] == constants.REASON_SUCCESS
    assert after.binding["status"]["schedulerObservedGeneration"] == 1
    assert [event.reason for event in after.events] == [constants.EVENT_SCHEDULE]
    assert (after.reason, after.retry) == (RescheduleReason.PLACEMENT_CHANGED, "")


@pytest.mark.parametrize("spec", [{"suspension": {"scheduling": True}}, {"schedulerName": "another"}])
def test_what_others_schedule_stays_as_it_is(spec: Object) -> None:
    asked = state(binding=binding(2, **spec))
    assert schedule_binding(asked, Given()) is asked


def test_where_nothing_fits_the_binding_says_so() -> None:
    after = schedule_binding(state(binding=binding(2)), Given(members=()))
    assert after.binding["status"]["conditions"][0]["reason"] == constants.REASON_NO_CLUSTER_FIT
    assert [event.type for event in after.events] == ["Warning"]


def test_what_lacks_room_is_tried_again() -> None:
    small = [cluster("m1", cpu="1"), cluster("m2", cpu="0")]
    after = schedule_binding(state(binding=binding(5, {"replicaScheduling": DYNAMIC})), Given(members=small))
    assert after.retry == "unschedulable"
    assert "clusters" not in after.binding["spec"]


@pytest.mark.parametrize(("asked_for", "dated"), [(False, False), (True, True)])
def test_scheduling_again_gives_no_new_date_and_no_event(asked_for: bool, dated: bool) -> None:
    before = scheduled()
    after = schedule_binding(state(before), Given(asked_for=asked_for))
    assert after.reason is RescheduleReason.ALWAYS
    assert (after.binding["status"]["lastScheduledTime"] != LONG_AGO) == dated
    assert after.events == ()


def test_clusters_that_somebody_else_has_changed_are_recorded() -> None:
    record = {"scheduling": {"placed": "m3:2"}}
    after = schedule_binding(state(scheduled()), Given(asked_for=False, record=record))
    assert [event.reason for event in after.events] == [constants.EVENT_SCHEDULE]


def test_what_a_quota_does_not_allow_is_not_placed() -> None:
    quota = {
        "metadata": {"name": "q", "namespace": "default"},
        "spec": {"overall": {"cpu": "1"}},
        "status": {"overall": {"cpu": "1"}, "overallUsed": {}},
    }
    after = schedule_binding(
        state(binding=binding(2)), Given(gates=DEFAULT_GATES | {FEDERATED_QUOTA_ENFORCEMENT}, charged=[stored(quota)])
    )
    assert "clusters" not in after.binding["spec"]
    assert after.binding["status"]["conditions"][0]["reason"] == constants.REASON_QUOTA_EXCEEDED
    assert after.retry == "backoff"


def test_only_the_generation_is_taken_note_of() -> None:
    placement = {"replicaScheduling": DYNAMIC}
    before = scheduled(placement=placement)
    changed = {**before, "spec": {**before["spec"], "conflictResolution": "Overwrite"}}
    after = schedule_binding(state(before, binding=changed), Given())
    assert (after.reason, after.decision) == (RescheduleReason.OBSERVE, None)
    assert after.binding["status"]["schedulerObservedGeneration"] == 2
    assert after.binding["status"]["lastScheduledTime"] == LONG_AGO


def test_a_state_is_not_changed() -> None:
    before = placed("m1")
    asked = state(before)
    schedule_binding(asked, Given())
    assert (asked.binding, asked.events) == (placed("m1"), ())


def test_what_its_namespace_may_not_use_any_more_is_left_at_once() -> None:
    """Divided replicas that run are else not looked at again."""
    placement = {"replicaScheduling": DYNAMIC, "clusterAffinity": {"clusterNames": ["m1", "m2"]}}
    before = scheduled(placement=placement)
    assert {target["name"] for target in before["spec"]["clusters"]} == {"m1", "m2"}
    assert schedule_binding(state(before), Given()).decision is None
    only = frozenset({"m1"})
    after = schedule_binding(state(before), Given(allowed=only, context=SchedulingContext(allowed=only)))
    assert after.reason is RescheduleReason.NOT_ALLOWED
    assert after.binding["spec"]["clusters"] == [{"name": "m1", "replicas": 2}]
    (said,) = [event.message for event in after.events if event.reason == EVENT_NOT_ALLOWED]
    assert said.startswith("namespace default may not use cluster(s) m2 (")


PROD = {"clusterAffinity": {"labelSelector": {"matchLabels": {"env": "prod"}}}}
RELABELLED = [cluster("m1", labels={"env": "prod"}), cluster("m2", labels={"env": "test"})]


@pytest.mark.parametrize(("kept", "placed"), [(frozenset({"m2"}), ["m1", "m2"]), (frozenset(), ["m1"])])
def test_a_cluster_that_is_not_meant_any_more_may_have_to_wait(kept: frozenset[str], placed: list[str]) -> None:
    members = [cluster(name, labels={"env": "prod"}) for name in ("m1", "m2")]
    before = schedule_binding(state(binding=binding(2, PROD)), Given(members=members)).binding
    after = schedule_binding(state(before), Given(members=RELABELLED, kept=kept))
    assert [target["name"] for target in after.binding["spec"]["clusters"]] == placed


def test_what_is_placed_otherwise_now_asks_for_nothing() -> None:
    everywhere = schedule_binding(state(binding=binding(2)), Given(members=RELABELLED)).binding
    narrowed: Any = {**everywhere, "spec": {**everywhere["spec"], "placement": PROD}}
    asked = state(everywhere)._replace(binding=narrowed)
    after = schedule_binding(asked, Given(members=RELABELLED, kept=frozenset({"m2"})))
    assert [target["name"] for target in after.binding["spec"]["clusters"]] == ["m1"]
