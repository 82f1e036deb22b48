"""``status.executionHistories`` of a CronFederatedHPA: what ran of each rule, and when it runs next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Final, NamedTuple

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.values import AnyObject, Object

from .cron import Schedule

KEPT: Final = 3  # runs of each outcome, where the rule says nothing
_APPLIED: Final = {
    "targetReplicas": "appliedReplicas",
    "targetMinReplicas": "appliedMinReplicas",
    "targetMaxReplicas": "appliedMaxReplicas",
}


class Run(NamedTuple):
    """``due``, ``at``: Unix seconds. ``error``: why it failed, "" if it has not."""

    due: float
    at: float
    error: str = ""


def planned(histories: Sequence[AnyObject], nexts: Mapping[str, float | None]) -> list[Object]:
    """The histories of the rules that there are, in the order in which they came. ``nexts``: by name, when each runs next; None: never."""
    known = {each["ruleName"]: each for each in histories if each["ruleName"] in nexts}
    return [_with_next(known.get(name, {"ruleName": name}), nexts[name]) for name in dict.fromkeys((*known, *nexts))]


def _with_next(history: AnyObject, at: float | None) -> Object:
    kept = {key: value for key, value in history.items() if key != "nextExecutionTime"}
    return kept if at is None else {**kept, "nextExecutionTime": rfc3339(at)}


def with_runs(histories: Sequence[AnyObject], runs: Mapping[str, tuple[AnyObject, Run]]) -> list[Object]:
    """With one more run of some rules (rule and run by its name), the newest first, and as many as each keeps."""
    return [_ran(each, *runs[each["ruleName"]]) if each["ruleName"] in runs else dict(each) for each in histories]


def _ran(history: AnyObject, rule: AnyObject, run: Run) -> Object:
    times: Object = {"scheduleTime": rfc3339(run.due), "executionTime": rfc3339(run.at)}
    if run.error:
        field, limit, made = "failedExecutions", "failedHistoryLimit", {**times, "message": run.error}
    else:
        field, limit = "successfulExecutions", "successfulHistoryLimit"
        made = times | {shown: rule[wanted] for wanted, shown in _APPLIED.items() if rule.get(wanted) is not None}
    most = rule.get(limit)
    kept = [made, *(history.get(field) or ())][: KEPT if most is None else most]
    return {**history, field: kept}


def missed(
    histories: Sequence[AnyObject], rule: AnyObject, schedule: Schedule, zone: tzinfo, now: float
) -> float | None:
    """When a rule should have run and nobody was there: the time that its history says, if the rule still means that time."""
    found = next((each for each in histories if each["ruleName"] == rule["name"]), {})
    text = found.get("nextExecutionTime")
    if not text:
        return None
    due = parse_rfc3339(text)
    return due if due <= now and schedule.next_after(due - 1, zone) == due else None
