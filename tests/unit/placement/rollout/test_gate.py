"""What a cluster has to show: its Work as it is stored, and nothing that is of an earlier revision."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.conditions import condition
from kafila.core.values import Object
from kafila.placement.rollout.gate import COND_REVISION, report
from kafila.placement.rollout.revision import REVISION
from kafila.placement.rollout.strategy import Gate

NEW = "b2"


def work(
    *,
    manifest: str = NEW,
    observed: str = NEW,
    applied: str = "True",
    health: str | None = "Healthy",
    status: Any = None,
) -> Any:
    conditions = [condition("Applied", applied, "R", "told"), condition(COND_REVISION, "True", "Observed", observed)]
    reported: Object = {"identifier": {}, "status": status}
    if health:
        reported["health"] = health
    manifests = [{"metadata": {"annotations": {REVISION: manifest}}}]
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


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"conditions": [PASSED]}, ""),
        ({"conditions": [{**PASSED, "status": "False"}]}, "condition SmokeTestsPassed is False, not True"),
        ({"conditions": []}, "condition SmokeTestsPassed is Unknown, not True"),
        (
            {"observedGeneration": 3, "conditions": [{**PASSED, "observedGeneration": 2}]},
            "condition SmokeTestsPassed is Unknown, not True",
        ),
        ({"observedGeneration": 3, "conditions": [{**PASSED, "observedGeneration": 3}]}, ""),
        (None, "condition SmokeTestsPassed is Unknown, not True"),
        ("text", "condition SmokeTestsPassed is Unknown, not True"),
        ({"conditions": "text"}, "condition SmokeTestsPassed is Unknown, not True"),
        ({"conditions": [7, {"type": 7}, {}]}, "condition SmokeTestsPassed is Unknown, not True"),
        ({"conditions": [{**PASSED, "status": {"a": 1}}]}, "condition SmokeTestsPassed is {'a': 1}, not True"),
    ],
)
def test_conditions_whatever_a_member_reports(status: Any, message: str) -> None:
    gate = Gate(conditions=(("SmokeTestsPassed", "True"),))
    assert report(work(status=status), NEW, gate).message == message
