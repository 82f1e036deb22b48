"""What a CronFederatedHPA's status tells of its rules."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from kafila.autoscaling.cron import parse
from kafila.autoscaling.histories import Run, missed, planned, with_runs

NOON, ONE = "2026-11-30T12:00:00Z", "2026-11-30T13:00:00Z"
AT_NOON = 1_796_040_000.0


def ran(histories: list[Any], rule: dict[str, Any], error: str = "") -> list[Any]:
    return with_runs(histories, {rule["name"]: (rule, Run(AT_NOON, AT_NOON + 1, error))})


def test_rules_come_and_go() -> None:
    before = [
        {"ruleName": "gone"},
        {"ruleName": "kept", "nextExecutionTime": NOON, "failedExecutions": [{"message": "x"}]},
    ]
    assert planned(before, {"new": AT_NOON, "kept": AT_NOON + 3600, "suspended": None}) == [
        {"ruleName": "kept", "failedExecutions": [{"message": "x"}], "nextExecutionTime": ONE},
        {"ruleName": "new", "nextExecutionTime": NOON},
        {"ruleName": "suspended"},
    ]


def test_what_was_applied() -> None:
    rule = {"name": "a", "schedule": "@hourly", "targetMinReplicas": 2, "targetMaxReplicas": 5}
    times = {"scheduleTime": NOON, "executionTime": "2026-11-30T12:00:01Z"}
    (found,) = ran([{"ruleName": "a"}], rule)
    assert found["successfulExecutions"] == [{**times, "appliedMinReplicas": 2, "appliedMaxReplicas": 5}]
    (found,) = ran([{"ruleName": "a"}], {"name": "a", "targetReplicas": 0})
    assert found["successfulExecutions"] == [{**times, "appliedReplicas": 0}]
    (found,) = ran([{"ruleName": "a"}], rule, "no such thing")
    assert found["failedExecutions"] == [{**times, "message": "no such thing"}]


@pytest.mark.parametrize(("limit", "kept"), [(None, 3), (1, 1), (0, 0), (5, 4)])
def test_so_many_are_kept_and_the_newest_first(limit: int | None, kept: int) -> None:
    rule = {"name": "a", "failedHistoryLimit": limit}
    found = [{"ruleName": "a"}]
    for number in range(4):
        found = ran(found, rule, f"{number}")
    assert [each["message"] for each in found[0]["failedExecutions"]] == ["3", "2", "1", "0"][:kept]


def test_only_a_time_that_the_rule_still_names_was_missed() -> None:
    history = [{"ruleName": "a", "nextExecutionTime": NOON}]

    def found(schedule: str, now: float) -> float | None:
        return missed(history, {"name": "a"}, parse(schedule), UTC, now)

    assert found("0 12 * * *", AT_NOON + 10) == AT_NOON
    assert found("0 12 * * *", AT_NOON - 10) is None
    assert found("0 11 * * *", AT_NOON + 10) is None
    assert missed([], {"name": "a"}, parse("0 12 * * *"), UTC, AT_NOON) is None
