from __future__ import annotations

from kafila.placement import constants
from kafila.placement.scheduler.schedule import Event
from kafila.reconcile.karmada.template.steps.refuse_works import refuse_works

from .given import placed, state


def test_nothing_refused_nothing_changed() -> None:
    asked = state(placed("m1"))
    assert refuse_works(asked, {}) is asked


def test_the_binding_says_which_works_were_refused_and_why() -> None:
    synced, scheduled = Event("Normal", constants.EVENT_SYNC_WORK, "well"), Event("Normal", "Other", "")
    after = refuse_works(state(placed("m1", "m2"), events=(synced, scheduled)), {"m2": "too large"})
    assert after.retry == "refused"
    assert after.failures == {"m2": "too large"}
    assert [(event.type, event.reason) for event in after.events[:2]] == [
        ("Normal", "Other"),
        ("Warning", constants.EVENT_SYNC_WORK_FAILED),
    ]
    items = {item["clusterName"]: item for item in after.binding["status"]["aggregatedStatus"]}
    assert "too large" in items["m2"]["appliedMessage"]
