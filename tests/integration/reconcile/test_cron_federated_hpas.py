"""CronFederatedHPA over a registry, with a clock that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, final

import pytest

from kafila.core.clock import parse_rfc3339
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.karmada.cronfederatedhpa.controller import CRON, LATE, CronFederatedHPAs
from kafila.store.interface import StoreUnavailable, Transaction
from tests.definitions import ANYTHING, definition, version

NINE = parse_rfc3339("2026-11-30T09:00:00Z")  # a Monday


@final
class Clocked:
    """A lab whose own controller for this kind does not run: one runs here, by another clock."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self.now = NINE - 3600
        self.controller = self._made()

    def _made(self) -> CronFederatedHPAs:
        return CronFederatedHPAs(self.lab.registry, self.lab.controllers.recorder, lambda: self.now)

    async def restart(self, now: float) -> None:
        """Another process takes over, at that time."""
        await self.controller.stop()
        self.now = now
        self.controller = self._made()
        await self.controller.start()
        await self.settled()

    async def at(self, now: float, name: str = "office") -> None:
        self.now = now
        self.controller.queue.add(Key(CRON, "default", name))
        await self.settled()

    async def settled(self) -> None:
        await self.controller.queue.idle()
        await self.lab.controllers.recorder.settled(30)

    async def create(self, obj: Object) -> None:
        await self.lab.create(obj)
        await self.settled()

    def history(self, name: str = "office") -> list[Object]:
        return (self.lab.get("CronFederatedHPA", name).get("status") or {}).get("executionHistories") or []

    def replicas(self) -> int:
        return self.lab.get("Deployment", "web")["spec"]["replicas"]

    def said(self, name: str = "office") -> list[tuple[str, str]]:
        return [(reason, text) for _, reason, text, _ in self.lab.events("CronFederatedHPA", name)]


@pytest.fixture
async def clocked(make_lab: Any) -> AsyncIterator[Clocked]:
    async with make_lab.running(controllers="*,-cronFederatedHorizontalPodAutoscaler") as lab:
        found = Clocked(lab)
        await found.controller.start()
        try:
            yield found
        finally:
            await found.controller.stop()


def office(*rules: Object, target: Object | None = None) -> Object:
    """Nine replicas in the morning, unless the test says otherwise."""
    return {
        "apiVersion": "autoscaling.karmada.io/v1alpha1",
        "kind": "CronFederatedHPA",
        "metadata": {"name": "office", "namespace": "default"},
        "spec": {
            "scaleTargetRef": target or {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "rules": list(rules) or [rule("morning", "0 9 * * *")],
        },
    }


def rule(name: str, schedule: str, replicas: int | None = 9, **fields: Any) -> Object:
    wanted = {"targetReplicas": replicas} if replicas is not None else {}
    return {"name": name, "schedule": schedule, "timeZone": "UTC", **wanted, **fields}


SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
WIDGETS = definition("example.com", "Widget", version(schema=ANYTHING, subresources={"scale": SCALE}), scope="Cluster")


async def test_a_workload_is_scaled_by_the_clock(clocked: Clocked) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office())
    assert clocked.history() == [{"ruleName": "morning", "nextExecutionTime": "2026-11-30T09:00:00Z"}]
    await clocked.at(NINE - 1)
    assert clocked.replicas() == 2
    await clocked.at(NINE + 0.5)
    assert clocked.replicas() == 9
    run = {"scheduleTime": "2026-11-30T09:00:00Z", "executionTime": "2026-11-30T09:00:00Z", "appliedReplicas": 9}
    (history,) = clocked.history()
    assert history == {
        "ruleName": "morning",
        "nextExecutionTime": "2026-12-01T09:00:00Z",
        "successfulExecutions": [run],
    }


async def test_the_bounds_of_an_autoscaler(clocked: Clocked) -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    await clocked.create(
        {
            "apiVersion": "autoscaling.karmada.io/v1alpha1",
            "kind": "FederatedHPA",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 5},
        }
    )
    target = {"apiVersion": "autoscaling.karmada.io/v1alpha1", "kind": "FederatedHPA", "name": "web"}
    rules = (
        rule("morning", "0 9 * * *", None, targetMinReplicas=4, targetMaxReplicas=20),
        rule("broken", "0 10 * * *", None, targetMaxReplicas=2),
    )
    await clocked.create(office(*rules, target=target))
    await clocked.at(NINE)
    spec = clocked.lab.get("FederatedHPA", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (4, 20)
    (done,) = clocked.history()[0]["successfulExecutions"]
    assert (done["appliedMinReplicas"], done["appliedMaxReplicas"]) == (4, 20)

    await clocked.at(NINE + 3600)
    (failed,) = clocked.history()[1]["failedExecutions"]
    assert "must be greater than or equal to `minReplicas`" in failed["message"]
    assert ("ScaleFailed", failed["message"]) in clocked.said()
    assert clocked.lab.get("FederatedHPA", "web")["spec"]["maxReplicas"] == 20


async def test_an_autoscaler_that_is_not_there(clocked: Clocked) -> None:
    target = {"apiVersion": "autoscaling.karmada.io/v1alpha1", "kind": "FederatedHPA", "name": "web"}
    await clocked.create(office(rule("morning", "0 9 * * *", None, targetMaxReplicas=9), target=target))
    await clocked.at(NINE)
    (failed,) = clocked.history()[0]["failedExecutions"]
    assert failed["message"] == 'FederatedHPA.autoscaling.karmada.io "web" not found'


async def test_what_fails_is_told_and_kept_as_often_as_is_wanted(clocked: Clocked) -> None:
    await clocked.create(office(rule("morning", "0 * * * *", failedHistoryLimit=2)))
    for hour in range(3):
        await clocked.at(NINE + 3600 * hour)
    why = 'deployments.apps "web" not found'
    (history,) = clocked.history()
    assert [each["scheduleTime"] for each in history["failedExecutions"]] == [
        "2026-11-30T11:00:00Z",
        "2026-11-30T10:00:00Z",
    ]
    assert {each["message"] for each in history["failedExecutions"]} == {why}
    assert ("ScaleFailed", why) in clocked.said()
    (event,) = [e for e in clocked.lab.list("Event") if e["reason"] == "ScaleFailed"]
    assert event["source"]["component"] == "cronfederatedhpa-controller"


async def test_a_target_without_a_namespace_is_nobody_s(clocked: Clocked) -> None:
    """Whoever may write in one namespace scales nothing outside of it."""
    await clocked.lab.create(WIDGETS)
    await clocked.lab.until(lambda: clocked.lab.registry.catalog.by_kind("example.com", "v1", "Widget"))
    kind = clocked.lab.registry.catalog.by_kind("example.com", "v1", "Widget")
    obj = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"replicas": 2}}
    await clocked.lab.registry.create(kind, "", obj, clocked.lab.user)
    await clocked.create(office(target={"apiVersion": "example.com/v1", "kind": "Widget", "name": "w"}))
    await clocked.at(NINE)
    (failed,) = clocked.history()[0]["failedExecutions"]
    assert failed["message"] == 'widgets.example.com "w" not found'
    assert clocked.lab.registry.object(kind, "", "w")["spec"]["replicas"] == 2


async def test_rules_are_suspended_changed_and_removed(clocked: Clocked) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office(rule("morning", "0 9 * * *", suspend=True), rule("evening", "0 18 * * *", 1)))
    nexts = {each["ruleName"]: each.get("nextExecutionTime") for each in clocked.history()}
    assert nexts == {"morning": None, "evening": "2026-11-30T18:00:00Z"}
    await clocked.at(NINE)
    assert clocked.replicas() == 2

    def changed(obj: Object) -> None:
        obj["spec"]["rules"] = [rule("evening", "30 9 * * *", 1, timeZone="Europe/Berlin")]

    await clocked.lab.change("CronFederatedHPA", "office", changed)
    await clocked.settled()
    assert clocked.history() == [{"ruleName": "evening", "nextExecutionTime": "2026-12-01T08:30:00Z"}]
    await clocked.at(NINE + 24 * 3600 - 1800)
    assert clocked.replicas() == 1


async def test_a_schedule_that_nobody_can_follow_holds_up_no_other(clocked: Clocked) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    never, seconds = rule("never", "0 0 31 2 *"), rule("seconds", "0 0 9 * * *")
    await clocked.create(office(never, seconds, rule("morning", "0 9 * * *")))
    failed = "gocron: cron expression failed to be parsed: expected exactly 5 fields, found 6: [0 0 9 * * *]"
    text = 'rule "never": the schedule "0 0 31 2 *" names no time in the next 5 years'
    assert {("StartRuleFailed", failed), ("StartRuleFailed", text)} <= set(clocked.said())
    await clocked.at(NINE)
    assert clocked.replicas() == 9
    nexts = {each["ruleName"]: each.get("nextExecutionTime") for each in clocked.history()}
    assert nexts == {"never": None, "seconds": None, "morning": "2026-12-01T09:00:00Z"}


async def test_a_run_that_came_while_nobody_led(clocked: Clocked) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office())
    await clocked.restart(NINE + LATE - 1)
    assert clocked.replicas() == 9, "a moment late is not missed"
    (history,) = clocked.history()
    assert history["successfulExecutions"][0]["scheduleTime"] == "2026-11-30T09:00:00Z"

    await clocked.lab.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=3))
    await clocked.restart(NINE + 24 * 3600 + LATE + 1)
    assert clocked.replicas() == 3
    assert clocked.history()[0]["nextExecutionTime"] == "2026-12-02T09:00:00Z"
    (told,) = [text for reason, text in clocked.said() if reason == "MissSchedule"]
    assert told.startswith('Missed scheduled time of rule "morning", 2026-12-01T09:00:00Z')


async def test_a_clock_that_is_set_or_a_machine_that_slept(clocked: Clocked) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office(rule("evening", "0 18 * * *", 3), rule("morning", "0 9 * * *", 9)))
    await clocked.at(NINE + 10 * 3600)
    assert clocked.replicas() == 2, "both are hours late"
    missed = sorted(text.split(":")[0] for reason, text in clocked.said() if reason == "MissSchedule")
    assert [text.split('"')[1] for text in missed] == ["evening", "morning"]
    times = {each["ruleName"]: each["nextExecutionTime"] for each in clocked.history()}
    assert times == {"evening": "2026-12-01T18:00:00Z", "morning": "2026-12-01T09:00:00Z"}


async def test_what_is_due_at_once_is_done_in_the_order_of_its_times(clocked: Clocked) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office(rule("later", "1 9 * * *", 3), rule("earlier", "0 9 * * *", 9)))
    await clocked.at(NINE + LATE)
    assert clocked.replicas() == 3


async def test_an_object_that_goes_does_nothing_more(clocked: Clocked) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office())
    await clocked.lab.delete("CronFederatedHPA", "office")
    await clocked.at(NINE)
    assert clocked.replicas() == 2


@final
class Outage:
    """A database that refuses the writes of some resources while the test says so."""

    def __init__(self, clocked: Clocked, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused: set[str] = set()
        self.tries = 0
        commit = clocked.lab.store.commit

        async def refusing(transaction: Transaction) -> list[int]:
            if self.refused & {write.key.resource for write in transaction.writes}:
                self.tries += 1
                raise StoreUnavailable("no")
            return await commit(transaction)

        monkeypatch.setattr(clocked.lab.store, "commit", refusing)


async def test_a_rule_that_is_due_while_the_database_is_away(clocked: Clocked, monkeypatch: pytest.MonkeyPatch) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office())
    outage = Outage(clocked, monkeypatch)
    outage.refused = {"deployments.apps", CRON}
    await clocked.at(NINE)
    assert outage.tries
    outage.refused = set()
    await clocked.at(NINE + LATE - 1)
    assert clocked.replicas() == 9
    (history,) = clocked.history()
    (run,) = history["successfulExecutions"]
    assert run["scheduleTime"] == "2026-11-30T09:00:00Z"
    assert run["executionTime"] == "2026-11-30T09:00:59Z"
    assert "failedExecutions" not in history
    assert history["nextExecutionTime"] == "2026-12-01T09:00:00Z"


async def test_a_database_that_is_away_for_longer_than_a_rule_may_be_late(
    clocked: Clocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office())
    outage = Outage(clocked, monkeypatch)
    outage.refused = {"deployments.apps", CRON}
    for now in (NINE, NINE + LATE + 1):
        await clocked.at(now)
    outage.refused = set()
    await clocked.at(NINE + 3600)
    assert clocked.replicas() == 2, "it is too late for that"
    (history,) = clocked.history()
    (run,) = history["failedExecutions"]
    assert (run["scheduleTime"], run["executionTime"]) == ("2026-11-30T09:00:00Z", "2026-11-30T09:01:01Z")
    assert "storage is not reachable" in run["message"]
    assert history["nextExecutionTime"] == "2026-12-01T09:00:00Z"


async def test_a_run_whose_history_could_not_be_written_is_told_and_not_made_again(
    clocked: Clocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office(rule("hourly", "0 * * * *")))
    outage = Outage(clocked, monkeypatch)
    outage.refused = {CRON}
    for hour in range(2):
        await clocked.at(NINE + 3600 * hour)
    assert clocked.replicas() == 9
    await clocked.lab.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=3))
    outage.refused = set()
    await clocked.at(NINE + 3601)
    assert clocked.replicas() == 3
    (history,) = clocked.history()
    times = [run["scheduleTime"] for run in history["successfulExecutions"]]
    assert times == ["2026-11-30T10:00:00Z", "2026-11-30T09:00:00Z"]


async def test_a_rule_that_is_tried_once_more_holds_up_no_other(
    clocked: Clocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clocked.create(clocked.lab.deployment(replicas=2))
    await clocked.create(office(rule("morning", "0 9 * * *"), rule("same", "0 9 * * *", 2)))
    outage = Outage(clocked, monkeypatch)
    outage.refused = {"deployments.apps"}
    await clocked.at(NINE)
    found = {each["ruleName"]: each for each in clocked.history()}
    assert found["morning"]["nextExecutionTime"] == "2026-11-30T09:00:00Z"
    assert "failedExecutions" not in found["morning"]
    assert found["same"]["nextExecutionTime"] == "2026-12-01T09:00:00Z"
    assert len(found["same"]["successfulExecutions"]) == 1
