"""One look at a rollout: who has shown what the gate asks for, who has failed, and who gets the revision next.

A function from what is stored, what clusters show and the clock; it is asked again whenever one of them has changed. A cluster
that has got the revision keeps it, unless all are rolled back. The clocks of clusters stand in the status, so that nothing is lost
with a process.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, cast, final

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.placement.scheduler.schedule import Event
from kafila.placement.types import RolloutClusterStatus, RolloutControl, RolloutStatus

from .gate import NOT_THERE, Report
from .order import groups
from .phases import (
    EVENT_CLUSTER_FAILED,
    EVENT_CLUSTER_PROGRESSING,
    EVENT_CLUSTER_SKIPPED,
    EVENT_CLUSTER_SUCCEEDED,
    EVENT_FAILED,
    EVENT_HELD,
    EVENT_PAUSED,
    EVENT_RESUMED,
    EVENT_ROLLED_BACK,
    EVENT_SUCCEEDED,
    EVENT_WAITING,
    FAILED,
    PAUSED,
    PENDING,
    PROGRESSING,
    ROLLED_BACK,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    Phase,
)
from .strategy import CONTINUE, ROLLBACK, Strategy

_ENDED = (SUCCEEDED, FAILED, SKIPPED)
LONGEST = 1024  # characters of a message
MOST_ALIKE = 10  # events of one look with the same reason
NO_CONTROL = cast(RolloutControl, {})


class Seen(NamedTuple):
    """The clusters now. ``targets``: where the object is to be; ``reports``: of the new revision, by cluster."""

    targets: Collection[str]
    reports: Mapping[str, Report]
    suspended: Collection[str] = ()  # nothing is written there
    evicted: Collection[str] = ()  # the object had to leave because it had failed there
    is_stable_kept: bool = True  # is the stable revision there to be given back?


class Advance(NamedTuple):
    """``status``: the same object when nothing changes; ``wake``: seconds until time alone may change something, or None."""

    status: RolloutStatus
    events: tuple[Event, ...] = ()
    wake: float | None = None


def advance(
    rollout: RolloutStatus, strategy: Strategy, seen: Seen, now: float, control: RolloutControl = NO_CONTROL
) -> Advance:
    """``now``: Unix seconds."""
    look = _Look(rollout, strategy, seen, now, control)
    look.take()
    is_same = look.status == rollout
    return Advance(rollout if is_same else look.status, tuple(_in_short(look.events)), look.wake)


@final
class _Look:
    """What one look makes of a rollout; the copies in it are its own."""

    def __init__(
        self, rollout: RolloutStatus, strategy: Strategy, seen: Seen, now: float, control: RolloutControl
    ) -> None:
        self.rows: list[RolloutClusterStatus] = [{**row} for row in rollout.get("clusters") or ()]
        self.status: RolloutStatus = {**rollout}
        if self.rows:
            self.status["clusters"] = self.rows
        self.strategy = strategy
        self.seen = seen
        self.now = now
        self.control = control
        self.events: list[Event] = []
        self.due: list[float] = []
        is_about_this = control.get("revision") == rollout["revision"]
        self._approved = frozenset((control.get("approvedStages") or ()) if is_about_this else ())
        self._is_undone = bool(is_about_this and control.get("undo"))

    @property
    def wake(self) -> float | None:
        return max(0.1, min(self.due) - self.now) if self.due else None

    def take(self) -> None:
        self._resume()
        if self._is_undone and self._roll_back("somebody asked for it"):
            return
        if self.status["phase"] in (SUCCEEDED, ROLLED_BACK):
            return
        for row in self.rows:
            self._leave(row)
            self._observe(row)
        held = self._held()
        failed = [row["name"] for row in self.rows if row["phase"] == FAILED]
        if self.control.get("paused"):
            self._enter(PAUSED, "somebody has paused it", EVENT_PAUSED)
        elif failed and self.strategy.action == ROLLBACK and self.status.get("stableRevision"):
            self._roll_back(f"{', '.join(failed[:10])} failed")
        elif failed and self.strategy.action != CONTINUE:
            self._enter(FAILED, f"{', '.join(failed[:10])} failed", EVENT_FAILED, "Warning")
        elif held:
            self._enter(PROGRESSING, f"{held} is not as it was: no further cluster gets the revision until it is")
        else:
            self._release(failed)

    # -- what is asked for ---------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Clusters under way, and those that failed, get their time anew."""
        asked = self.control.get("resumeTriggeredAt")
        if not asked or asked == self.status.get("resumeTriggeredAt"):
            return
        self.status["resumeTriggeredAt"] = asked
        if self.status["phase"] == SUCCEEDED:
            return
        self.status.pop("heldSince", None)
        for row in self.rows:
            if row["phase"] in (PROGRESSING, FAILED):
                self._restart(row)
            elif row["phase"] == ROLLED_BACK and not self._is_undone:
                row["phase"] = PENDING
                _drop(row, "startedAt", "completedAt", "message")
        if not self._is_undone:
            self.status["phase"] = PROGRESSING
            self.status.pop("completedAt", None)
            self._event("Normal", EVENT_RESUMED, f"Revision {self.status['revision']} is rolled out further")

    def _roll_back(self, why: str) -> bool:
        """Does anything follow from it?"""
        stable = self.status.get("stableRevision", "")
        if not stable or self.status["phase"] == ROLLED_BACK:
            return False
        if not self.seen.is_stable_kept:
            gone = f"{why}, and revision {stable} cannot be given back: it is not kept any more"
            self._enter(FAILED, gone, EVENT_FAILED, "Warning")
            return True
        for row in self.rows:
            if row["phase"] != SKIPPED:
                row["phase"], row["revision"] = ROLLED_BACK, stable
                _drop(row, "gateSatisfiedSince", "message")
        self.status.update({"phase": ROLLED_BACK, "completedAt": rfc3339(self.now)})
        self.status.pop("heldSince", None)
        text = f"All clusters get revision {stable} back instead of {self.status['revision']}: {why}"
        self._say(text)
        self._event("Warning", EVENT_ROLLED_BACK, text)
        return True

    # -- one cluster ---------------------------------------------------------------------------------------------------

    def _leave(self, row: RolloutClusterStatus) -> None:
        if row["name"] in self.seen.targets or row["phase"] not in (PENDING, PROGRESSING):
            return
        if row["phase"] == PROGRESSING and row["name"] in self.seen.evicted:
            self._fail(row, "the object had to leave it because it failed there")
            return
        row["phase"] = SKIPPED
        _drop(row, "gateSatisfiedSince", "revision")
        row["message"] = "the object is not to be there any more"
        self._event("Normal", EVENT_CLUSTER_SKIPPED, f"Cluster {row['name']} is left out: {row['message']}")

    def _observe(self, row: RolloutClusterStatus) -> None:
        if row["phase"] != PROGRESSING:
            return
        if row["name"] in self.seen.suspended:
            _drop(row, "startedAt", "gateSatisfiedSince")
            row["message"] = "it is suspended: its time begins when it is not"
            return
        if "startedAt" not in row:
            row["startedAt"] = rfc3339(self.now)
        shown = self.seen.reports.get(row["name"], NOT_THERE)
        if shown.is_satisfied:
            self._satisfied(row)
        else:
            _drop(row, "gateSatisfiedSince")
            row["message"] = shown.message[:LONGEST]
        if row["phase"] == PROGRESSING and not self.control.get("paused"):
            self._time_out(row, shown)

    def _satisfied(self, row: RolloutClusterStatus) -> None:
        seconds = self.strategy.gate.seconds
        # rounded up: not a moment less than was asked for
        since = row.setdefault("gateSatisfiedSince", rfc3339(math.ceil(self.now)))
        until = _at(since, self.now) + seconds
        if seconds and self.now < until:
            row["message"] = f"it is as it has to be since {since}"
            self.due.append(until)
            return
        row["phase"], row["completedAt"] = SUCCEEDED, rfc3339(self.now)
        _drop(row, "message")
        text = f"Cluster {row['name']} has revision {self.status['revision']} and shows what it has to"
        self._event("Normal", EVENT_CLUSTER_SUCCEEDED, text)

    def _time_out(self, row: RolloutClusterStatus, shown: Report) -> None:
        until = _at(row["startedAt"], self.now) + self.strategy.timeout
        if self.now < until:
            self.due.append(until)
            return
        why = shown.message or "it has not been so for long enough"
        self._fail(row, f"not in {self.strategy.timeout:g} s: {why}")

    def _fail(self, row: RolloutClusterStatus, why: str) -> None:
        row["phase"], row["completedAt"] = FAILED, rfc3339(self.now)
        _drop(row, "gateSatisfiedSince")
        row["message"] = why[:LONGEST]
        text = f"Cluster {row['name']} does not show of revision {self.status['revision']} what it has to: {why}"
        self._event("Warning", EVENT_CLUSTER_FAILED, text)

    def _restart(self, row: RolloutClusterStatus) -> None:
        row["phase"] = PROGRESSING
        _drop(row, "completedAt", "gateSatisfiedSince", "message")
        row["startedAt"] = rfc3339(self.now)

    # -- the whole -----------------------------------------------------------------------------------------------------

    def _held(self) -> str:
        """The first cluster that had succeeded in this rollout and is not as it was, while others wait; it has the time of one cluster."""
        worse = [row for row in self.rows if self._is_worse(row)]
        if not worse or not self._is_waited() or self.control.get("paused"):
            self.status.pop("heldSince", None)
            return ""
        names = ", ".join(row["name"] for row in worse[:10])
        if "heldSince" not in self.status:
            self.status["heldSince"] = rfc3339(self.now)
            self._event("Warning", EVENT_HELD, f"No further cluster gets revision {self.status['revision']}: {names}")
        until = _at(self.status["heldSince"], self.now) + self.strategy.timeout
        if self.now < until:
            self.due.append(until)
            return names
        for row in worse:
            self._fail(row, f"it had been so, and is not any more: {self._shown(row).message}")
        self.status.pop("heldSince", None)
        return ""

    def _is_waited(self) -> bool:
        """Is there a cluster whose turn has not come? One that came after the beginning gets the revision at the end."""
        known = {row["name"] for row in self.rows if row["phase"] != SKIPPED}
        return any(row["phase"] == PENDING for row in self.rows) or not known.issuperset(self.seen.targets)

    def _is_worse(self, row: RolloutClusterStatus) -> bool:
        if row["phase"] != SUCCEEDED or "startedAt" not in row:
            return False
        name = row["name"]
        return name in self.seen.targets and name not in self.seen.suspended and not self._shown(row).is_satisfied

    def _shown(self, row: RolloutClusterStatus) -> Report:
        return self.seen.reports.get(row["name"], NOT_THERE)

    def _release(self, failed: list[str]) -> None:
        """The next clusters get the revision, when those before them have ended."""
        for group in groups(self.rows):
            if all(row["phase"] in _ENDED for row in group):
                continue
            waiting = [row for row in group if row["phase"] == PENDING]
            stage = group[0].get("stage", "")
            if stage not in self._approved and any(row.get("requireApproval") for row in waiting):
                self._enter(WAITING, f"stage {stage} waits for an approval", EVENT_WAITING)
                return
            most = self.strategy.concurrency(stage)
            if most is not None:
                waiting = waiting[: max(0, most - sum(row["phase"] == PROGRESSING for row in group))]
            for row in waiting:
                self._begin(row)
            under_way = [row["name"] for row in group if row["phase"] == PROGRESSING]
            self._enter(PROGRESSING, f"waits for {', '.join(under_way[:10])}")
            return
        if all(row["phase"] == SKIPPED for row in self.rows):
            self._enter(PROGRESSING, "no cluster of it is left: it begins again where the object goes")
        else:
            self._end(failed)

    def _begin(self, row: RolloutClusterStatus) -> None:
        row["phase"], row["revision"] = PROGRESSING, self.status["revision"]
        if row["name"] not in self.seen.suspended:
            row["startedAt"] = rfc3339(self.now)
            self.due.append(self.now + self.strategy.timeout)
        text = f"Cluster {row['name']} gets revision {self.status['revision']}"
        self._event("Normal", EVENT_CLUSTER_PROGRESSING, text)

    def _end(self, failed: list[str]) -> None:
        """Every cluster has had its turn; where one failed, those that come later have the stable revision."""
        self.status.pop("heldSince", None)
        self.due.clear()
        done = sum(row["phase"] == SUCCEEDED for row in self.rows)
        text = f"Revision {self.status['revision']} is in {done} of {len(self.rows)} clusters as it has to be"
        self._say(text + (f"; {', '.join(failed[:10])} failed" if failed else ""))
        phase: Phase = FAILED if failed else SUCCEEDED
        if self.status["phase"] == phase:
            return
        self.status.update({"phase": phase, "completedAt": rfc3339(self.now)})
        if failed:
            self._event("Warning", EVENT_FAILED, self.status["message"])
        else:
            self._event("Normal", EVENT_SUCCEEDED, self.status["message"])

    def _enter(self, phase: Phase, message: str, event: str = "", type: str = "Normal") -> None:
        """``event``: recorded where the phase is a new one."""
        if event and self.status["phase"] != phase:
            self._event(type, event, f"Revision {self.status['revision']}: {message}")
        self.status["phase"] = phase
        self._say(message)

    def _say(self, message: str) -> None:
        self.status["message"] = message[:LONGEST]

    def _event(self, type: str, reason: str, message: str) -> None:
        self.events.append(Event(type, reason, message[:LONGEST]))


def _drop(row: RolloutClusterStatus, *fields: str) -> None:
    for field in fields:
        row.pop(field, None)  # type: ignore[misc]


def _at(text: str, now: float) -> float:
    """A time of the status, which somebody may have written into it: never one to come, and now where it is none."""
    try:
        return min(parse_rfc3339(text), math.ceil(now))
    except (ValueError, OverflowError):
        return now


def _in_short(events: list[Event]) -> Iterator[Event]:
    """Of many clusters at once one event speaks for those that are not named."""
    seen: Counter[str] = Counter()
    for event in events:
        seen[event.reason] += 1
        if seen[event.reason] <= MOST_ALIKE:
            yield event
    for reason, count in seen.items():
        if count > MOST_ALIKE:
            type = next(event.type for event in events if event.reason == reason)
            yield Event(type, reason, f"The same of {count - MOST_ALIKE} more clusters")
