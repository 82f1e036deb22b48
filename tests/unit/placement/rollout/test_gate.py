"""What a cluster has to show: its Work as it is stored, and nothing that is of an earlier revision."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.clock import rfc3339
from kafila.core.conditions import condition
from kafila.core.values import Object
from kafila.placement.constants import TEMPLATE_GENERATION
from kafila.placement.rollout.gate import COND_REVISION, report, with_observed_conditions, with_observed_revision
from kafila.placement.rollout.revision import REVISION
from kafila.placement.rollout.strategy import Gate

NEW = "b2"
GIVEN, EARLIER, LATER = "2026-11-30T12:00:00Z", "2026-11-30T11:59:59Z", "2026-11-30T12:00:01Z"


def work(
    *,
    manifest: str = NEW,
    observed: str = NEW,
    applied: str = "True",
    health: str | None = "Healthy",
    status: Any = None,
    generation: int = 0,
    api_version: str = "example.com/v1",
) -> Any:
    said = condition(COND_REVISION, "True", "Observed", observed, generation)
    conditions = [condition("Applied", applied, "R", "told"), {**said, "lastTransitionTime": GIVEN}]
    reported: Object = {"identifier": {}, "status": status}
    if health:
        reported["health"] = health
    manifests = [{"apiVersion": api_version, "metadata": {"annotations": {REVISION: manifest}}}]
    return {
        "metadata": {},
        "spec": {"workload": {"manifests": manifests}},
        "status": {"conditions": conditions, "manifestStatuses": [reported]},
    }


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (work(), ""),
        (None, "it has not been applied there yet"),
        (work(manifest="a1", observed="a1"), "it has not been applied there yet"),
        (work(observed="a1"), "nothing is known of this revision there yet"),  # the old one was well
        (work(applied="False"), "it is not applied: told"),
        (work(health="Unhealthy"), "it is unhealthy"),
        (work(health="Unknown"), "its health is not known"),
        (work(health=None), "its health is not known"),
        ({"metadata": {}, "spec": {}}, "it has not been applied there yet"),
    ],
)
def test_healthy(found: Any, message: str) -> None:
    assert report(found, NEW, Gate()) == (not message, message)


def test_health_need_not_count() -> None:
    assert report(work(health="Unhealthy"), NEW, Gate(is_healthy=False)).is_satisfied


PASSED = {"type": "SmokeTestsPassed", "status": "True"}
UNKNOWN = "condition SmokeTestsPassed is Unknown, not True"
UNTOLD = "condition SmokeTestsPassed is True, and nothing says that it is of this revision"
GATE = Gate(conditions=(("SmokeTestsPassed", "True"),))


def passed(**more: Any) -> Object:
    return {**PASSED, **more}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"conditions": [passed(lastTransitionTime=LATER)]}, ""),
        ({"conditions": [passed(status="False")]}, "condition SmokeTestsPassed is False, not True"),
        ({"conditions": []}, UNKNOWN),
        (None, UNKNOWN),
        ("text", UNKNOWN),
        ({"conditions": "text"}, UNKNOWN),
        ({"conditions": [7, {"type": 7}, {}]}, UNKNOWN),
        ({"conditions": [passed(status={"a": 1})]}, "condition SmokeTestsPassed is {'a': 1}, not True"),
        ({"conditions": [passed(lastTransitionTime={}, observedGeneration="9")]}, UNTOLD),
    ],
)
def test_conditions_whatever_a_member_reports(status: Any, message: str) -> None:
    assert report(work(status=status), NEW, GATE).message == message


@pytest.mark.parametrize(
    ("generation", "status", "message"),
    [
        # by generation, where somebody says which one he had seen
        (3, {"observedGeneration": 3, "conditions": [passed(observedGeneration=2)]}, UNTOLD),
        (3, {"observedGeneration": 2, "conditions": [passed(observedGeneration=2)]}, UNTOLD),
        (3, {"observedGeneration": 2, "conditions": [passed(observedGeneration=3)]}, ""),
        (3, {"observedGeneration": 2, "conditions": [passed(lastTransitionTime=LATER)]}, UNTOLD),
        (3, {"observedGeneration": 3, "conditions": [passed(lastTransitionTime=EARLIER)]}, ""),
        # by time, where nobody does
        (3, {"conditions": [passed()]}, UNTOLD),
        (3, {"conditions": [passed(lastTransitionTime=EARLIER)]}, UNTOLD),
        (3, {"conditions": [passed(lastTransitionTime=GIVEN)]}, ""),
        (0, {"conditions": [passed(lastTransitionTime=EARLIER, observedGeneration=9)]}, UNTOLD),
    ],
)
def test_a_condition_counts_if_it_is_of_this_revision(generation: int, status: Any, message: str) -> None:
    assert report(work(status=status, generation=generation), NEW, GATE).message == message


def test_a_workload_s_controller_speaks_for_its_own_conditions_only() -> None:
    status = {"observedGeneration": 3, "conditions": [{"type": "Available", "status": "True"}, PASSED]}
    found = work(status=status, generation=3, api_version="apps/v1")
    assert report(found, NEW, Gate(conditions=(("Available", "True"),))).is_satisfied
    assert report(found, NEW, GATE).message == UNTOLD


OURS: Object = {"annotations": {REVISION: NEW}, "generation": 4}


def test_the_time_of_what_was_observed_is_when_the_revision_was_given() -> None:
    noon = 1_796_040_000.0
    first = with_observed_revision([], {"metadata": OURS}, noon)
    assert [(each["message"], each["observedGeneration"], each["lastTransitionTime"]) for each in first] == [
        (NEW, 4, rfc3339(noon))
    ]
    scaled = with_observed_revision(first, {"metadata": {**OURS, "generation": 5}}, noon + 60)
    assert [(each["observedGeneration"], each["lastTransitionTime"]) for each in scaled] == [(5, rfc3339(noon))]
    newer = {"metadata": {"annotations": {REVISION: "c3"}}}
    assert with_observed_revision(first, newer, None) == first  # what was applied was the one before
    assert with_observed_revision(first, newer, noon + 60)[0]["lastTransitionTime"] == rfc3339(noon + 60)
    assert with_observed_revision(first, {"metadata": {}}, noon) == []


def test_conditions_that_are_not_reflected_are_taken_along_where_a_rollout_is() -> None:
    available = {"type": "Available", "status": "True", "lastTransitionTime": GIVEN}
    shown: Object = {"conditions": [{**available, "lastUpdateTime": LATER, "message": "m"}, 7, {"type": "x"}]}
    reflected: Any = {"identifier": {}, "status": {"replicas": 1}}
    found = with_observed_conditions(reflected, {"metadata": OURS, "status": shown})
    assert found == {"identifier": {}, "status": {"replicas": 1, "conditions": [available]}}
    assert with_observed_conditions(reflected, {"metadata": {}, "status": shown}) is reflected
    whole: Any = {"identifier": {}, "status": {"conditions": []}}
    assert with_observed_conditions(whole, {"metadata": OURS, "status": shown}) is whole
    for odd in ("text", None, {"conditions": "text"}, {"conditions": []}):
        assert with_observed_conditions(reflected, {"metadata": OURS, "status": odd}) is reflected


def told(*, of: Any = 3, manifest: str = "3", generation: Any = 7, observed: Any = 7, **more: Any) -> Any:
    """As karmada-agent reports a Deployment: it says nothing of revisions."""
    status = {"resourceTemplateGeneration": of, "generation": generation, "observedGeneration": observed, **more}
    found = work(status=status, observed="a1", api_version="apps/v1")
    del found["status"]["conditions"][1]
    found["spec"]["workload"]["manifests"][0]["metadata"]["annotations"][TEMPLATE_GENERATION] = manifest
    return found


@pytest.mark.parametrize(
    ("found", "is_shown"),
    [
        (told(), True),
        (told(of=2), False),  # it reports the manifest of before
        (told(of=4), False),
        (told(observed=6), False),  # by a controller that has not seen it
        (told(generation=0, observed=0), False),
        (told(of="3"), False),
        (told(of=None, manifest="None"), False),
        (told(generation="7"), False),
        (work(status="?", observed="a1"), False),
    ],
)
def test_what_an_agent_tells_that_is_not_ours(found: Any, is_shown: bool) -> None:
    assert report(found, NEW, Gate(), lambda: True).is_satisfied is is_shown
    assert not report(found, NEW, Gate()).is_satisfied


def test_conditions_of_what_such_an_agent_reports() -> None:
    gate = Gate(conditions=(("Available", "True"), ("Tested", "True")))
    available, tested = (
        {"type": kind, "status": "True", "lastTransitionTime": LATER} for kind in ("Available", "Tested")
    )
    assert not report(told(conditions=[available, tested]), NEW, gate, lambda: True).is_satisfied
    seen = {**tested, "observedGeneration": 7}
    assert report(told(conditions=[available, seen]), NEW, gate, lambda: True).is_satisfied
