"""The CronFederatedHPA controller: the rules of each object, when they are due, and what came of them.

When a rule is due next stands in the status, so that whoever leads next knows what nobody has run: it is run if that is not long ago,
and told otherwise. (Karmada forgets it.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final, NamedTuple, final
from zoneinfo import ZoneInfo

from prometheus_client import Histogram

from kafila.autoscaling.cron import YEARS, Schedule, ScheduleError, parse
from kafila.autoscaling.histories import Run, missed, planned, with_runs
from kafila.core.clock import rfc3339
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.writes import modify_status
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Event

from .scaling import CannotScale, may_pass, message_of, scale

CRON: Final = "cronfederatedhpas.autoscaling.karmada.io"
SOURCE: Final = "cronfederatedhpa-controller"
LATE: Final = 60.0  # seconds after which a rule that nobody has run is not run any more
MOST_RULES: Final = 1000  # of one object
SLICE: Final = 10  # rules that are started in one go
MOST_UNWRITTEN: Final = 32  # looks whose runs wait to be written: of so many runs a history can tell
LOOK: Final = 300.0  # seconds without a look at the clock, which somebody may have set
_BUCKETS: Final = [0.001 * 2**power for power in range(12)]  # Karmada's
SECONDS: Final = Histogram(
    "cronfederatedhpa_process_duration_seconds",
    "How long a look at a CronFederatedHPA took.",
    ["result"],
    buckets=_BUCKETS,
)
RULE_SECONDS: Final = Histogram(
    "cronfederatedhpa_rule_process_duration_seconds",
    "How long a rule of a CronFederatedHPA took.",
    ["result"],
    buckets=_BUCKETS,
)


class Started(NamedTuple):
    """A rule as it was when it was started. ``due``: when it is to run next, Unix seconds; None: never. ``tried``: it did, in vain."""

    rule: Object
    zone: tzinfo
    schedule: Schedule | None
    due: float | None
    tried: bool = False


Runs = Mapping[str, tuple[Object, Run]]  # rule and run, by the rule's name


class Unwritten(NamedTuple):
    """What ran of an object, the oldest look first, and stands in no history yet: its status could not be written."""

    uid: str
    looks: Sequence[Runs]


@final
class CronFederatedHPAs(QueueController[Key]):
    name = "cronFederatedHorizontalPodAutoscaler"

    def __init__(self, registry: Registry, recorder: Recorder, now: Callable[[], float] = time.time) -> None:
        """``now``: the clock, Unix seconds."""
        super().__init__(registry.cache, "cron-federated-hpa", concurrency=4)
        self._registry = registry
        self._recorder = recorder
        self._now = now
        self._kind = registry.kind("autoscaling.karmada.io", "v1alpha1", "cronfederatedhpas")
        self._started: dict[Key, dict[str, Started]] = {}
        self._unwritten: dict[Key, Unwritten] = {}
        registry.cache.listen(CRON, self._observe)

    async def stop(self) -> None:
        await super().stop()
        self._started.clear()
        self._unwritten.clear()

    def resync(self) -> None:
        for entry in self._registry.cache.resource(CRON).entries():
            self.queue.add(entry.key, background=True)

    def _observe(self, event: Event) -> None:
        if event.generation_changed:
            self.queue.add(event.key)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None or entry.meta.deletionTimestamp:
            self._started.pop(key, None)
            self._unwritten.pop(key, None)
            return
        began, result = time.perf_counter(), "error"
        try:
            await self._look_at(key, decode_entry(self._kind, entry))
            result = "success"
        except StatusError:
            now = self._now()
            if others := [due for due in self._dues(key) if due > now]:  # which do not wait for the next try
                self.queue.add_after(key, min(others) - now)
            raise
        finally:
            SECONDS.labels(result).observe(time.perf_counter() - began)
        if dues := list(self._dues(key)):
            raise Requeue(min(max(min(dues) - self._now(), 0.0), LOOK), timed=True)

    def _dues(self, key: Key) -> Iterator[float]:
        return (each.due for each in self._started.get(key, {}).values() if each.due is not None)

    async def _look_at(self, key: Key, obj: Object) -> None:
        histories = (obj.get("status") or {}).get("executionHistories") or []
        started = self._started[key] = await self._start_all(obj, histories, self._started.get(key, {}))
        runs, failure = await self._run_due(key, obj, started)
        unwritten = self._with_unwritten(key, obj, runs)
        nexts = {name: each.due for name, each in started.items()}

        def recorded(current: Object) -> Object:
            found = planned((current.get("status") or {}).get("executionHistories") or [], nexts)
            for each in unwritten:
                found = with_runs(found, each)
            return {**current, "status": {"executionHistories": found} if found else {}}

        if recorded(obj)["status"] != (obj.get("status") or {}):
            await self._write(key, obj, recorded, "UpdateStatusFailed" if unwritten else "UpdateCronFederatedHPAFailed")
        self._unwritten.pop(key, None)
        if failure is not None:
            raise failure

    async def _run_due(
        self, key: Key, obj: Object, started: dict[str, Started]
    ) -> tuple[dict[str, tuple[Object, Run]], StatusError | None]:
        """What ran, and is planned anew in ``started``; and why something of what is due is to be tried once more."""
        now = self._now()
        runs: dict[str, tuple[Object, Run]] = {}
        failure = None
        due = [(each.due, name) for name, each in started.items() if each.due is not None and each.due <= now]
        for at, name in sorted(due):  # the clock may have been set: what was meant to hold last is done last
            each = started[name]
            if now - at > LATE and not each.tried:
                self._warn_of_missed(obj, name, at)
            else:
                try:
                    runs[name] = each.rule, await self._run(key, obj, each)
                except StatusError as error:
                    failure, started[name] = error, each._replace(tried=True)
                    continue
            assert each.schedule is not None
            started[name] = each._replace(due=each.schedule.next_after(now, each.zone), tried=False)
        return runs, failure

    def _with_unwritten(self, key: Key, obj: Object, runs: Runs) -> Sequence[Runs]:
        """All that is to be written: these runs, and those of looks before that could not be. They are kept until it is done."""
        uid, before = obj["metadata"]["uid"], self._unwritten.pop(key, None)
        looks = list(before.looks) if before is not None and before.uid == uid else []
        looks = [*looks, runs][-MOST_UNWRITTEN:] if runs else looks
        if looks:
            self._unwritten[key] = Unwritten(uid, looks)
        return looks

    async def _write(self, key: Key, obj: Object, recorded: Callable[[Object], Object], reason: str) -> None:
        try:
            await modify_status(self._registry, self._kind, key, obj["metadata"]["uid"], recorded)
        except StatusError as error:
            self._warn(obj, reason, error.message)
            raise

    # -- rules ---------------------------------------------------------------------------------------------------------

    async def _start_all(self, obj: Object, histories: list[Object], before: dict[str, Started]) -> dict[str, Started]:
        """By name. So many are followed of one object, and others get their turn between them."""
        rules = obj["spec"]["rules"]
        if len(rules) > MOST_RULES and not before:
            self._warn(obj, "StartRuleFailed", f"only the first {MOST_RULES} of {len(rules)} rules are followed")
        found: dict[str, Started] = {}
        for index, rule in enumerate(rules[:MOST_RULES]):
            found[rule["name"]] = self._start(obj, histories, rule, before.get(rule["name"]))
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        return found

    def _start(self, obj: Object, histories: list[Object], rule: Object, before: Started | None) -> Started:
        """A rule that is the same goes on as it was."""
        if before is not None and before.rule == rule:
            return before
        stopped = Started(rule, UTC, None, None)
        if rule.get("suspend"):
            return stopped
        name, now = rule["name"], self._now()
        try:
            zone = zone_of(rule.get("timeZone"))
            schedule = parse(rule["schedule"])
        except (ScheduleError, OSError, ValueError) as error:
            self._warn(obj, "StartRuleFailed", str(error))
            return stopped
        if before is None and (due := missed(histories, rule, schedule, zone, now)) is not None:
            if now - due <= LATE:
                return Started(rule, zone, schedule, due)
            self._warn_of_missed(obj, name, due)
        due = schedule.next_after(now, zone)
        if due is None:
            text = f'rule "{name}": the schedule "{rule["schedule"]}" names no time in the next {YEARS} years'
            self._warn(obj, "StartRuleFailed", text)
        return Started(rule, zone, schedule, due)

    async def _run(self, key: Key, obj: Object, started: Started) -> Run:
        """Raises StatusError for what passes by itself, as long as it is not too late to try once more."""
        assert started.due is not None
        began, result, error_text = time.perf_counter(), "success", ""
        try:
            await scale(self._registry, key.namespace, key.name, obj["spec"]["scaleTargetRef"], started.rule)
        except (CannotScale, StatusError) as error:
            result, error_text = "error", message_of(error)
            if may_pass(error) and self._now() - started.due <= LATE:
                raise
            self._warn(obj, "ScaleFailed", error_text)
        finally:
            RULE_SECONDS.labels(result).observe(time.perf_counter() - began)
        return Run(started.due, self._now(), error_text)

    def _warn_of_missed(self, obj: Object, name: str, due: float) -> None:
        why = "no controller was running, or the clock was set"
        text = f'Missed scheduled time of rule "{name}", {rfc3339(due)}: {why}. It is not made up for'
        self._warn(obj, "MissSchedule", text)

    def _warn(self, obj: Object, reason: str, message: str) -> None:
        self._recorder.event(obj, "Warning", reason, message, SOURCE)


def zone_of(name: str | None) -> tzinfo:
    """Without a name: this machine's. Raises ValueError and OSError for one that is none."""
    if name is not None and name != "Local":
        return ZoneInfo(name) if name not in ("", "UTC") else UTC
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
