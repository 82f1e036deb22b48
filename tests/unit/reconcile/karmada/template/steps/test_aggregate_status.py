from __future__ import annotations

from kafila.placement import constants
from kafila.reconcile.karmada.template.steps.aggregate_status import aggregate_status

from .given import Given, placed, state, work


def reported(health: str) -> dict:  # type: ignore[type-arg]
    identifier = {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "default", "name": "nginx"}
    status = {"identifier": {**identifier, "ordinal": 0}, "health": health, "status": {"readyReplicas": 2}}
    return work("m1", conditions=[{"type": "Applied", "status": "True", "reason": "a"}], manifestStatuses=[status]).obj


def test_what_the_members_report_goes_into_the_binding() -> None:
    after = aggregate_status(state(placed("m1"), reporting=[reported("Healthy")]), Given())
    (item,) = after.binding["status"]["aggregatedStatus"]
    assert (item["clusterName"], item["health"], item["status"]) == ("m1", "Healthy", {"readyReplicas": 2})
    assert [event.reason for event in after.events] == [constants.EVENT_AGGREGATE_STATUS]


def test_what_is_there_already_leaves_the_stored_binding() -> None:
    before = aggregate_status(state(placed("m1"), reporting=[reported("Healthy")]), Given()).binding
    rebuilt = {**before, "spec": {**before["spec"]}}
    after = aggregate_status(state(before, binding=rebuilt, reporting=[reported("Healthy")]), Given())
    assert after.binding is before
    assert after.events == ()


def test_a_work_that_somebody_wrote_into_changes_nothing() -> None:
    broken = reported("Healthy")
    broken["spec"]["workload"]["manifests"][0]["metadata"]["name"] = "another"
    before = placed("m1")
    assert aggregate_status(state(before, reporting=[broken]), Given()).binding is before
