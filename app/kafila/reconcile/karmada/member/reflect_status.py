"""A status on its way back, the first step: from the object in the member to its Work (Karmada's work status controller).

From there `template/steps/aggregate_status.py` takes it to the binding, and `template/write_status.py` to the template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Protocol, final

from kafila.core.conditions import conditions_of, find
from kafila.core.resources import Key
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.interpreter import InterpretError
from kafila.placement.types import Work, WorkStatus
from kafila.placement.work.status import EventParts, Reflected, dispatching_condition, interpretation_events
from kafila.reconcile.queue import WorkQueue
from kafila.watch import Entry

from .work_status import Outcome, Seen, to_reflect, work_status

INTERPRET_RETRY: Final = (
    10.0  # seconds until an interpreter that could not answer for an object's health is asked again
)


class Works(Protocol):
    @property
    def cluster(self) -> str: ...

    def get(self, key: Key) -> Entry | None: ...

    async def decoded(self, entry: Entry) -> Work: ...

    async def write_status(self, key: Key, change: Callable[[Work], Work]) -> bool:
        """False: the Work is gone."""
        ...

    async def understand(self, work: Work, observed: Object, size: int) -> Reflected:
        """What the object says. Raises InterpretError."""
        ...

    def event(self, obj: AnyObject, event_type: str, reason: str, message: str, source: str = "") -> None: ...


class Member(Protocol):
    def observed(self, manifest: Object) -> Object | None: ...

    def is_gone(self, manifest: Object) -> bool: ...


@final
class StatusReflection:
    """``outcomes``: what came of applying each Work, as far as this process has applied it."""

    def __init__(self, works: Works, member: Member, outcomes: Mapping[Key, Outcome]) -> None:
        self._works = works
        self._member = member
        self._outcomes = outcomes
        self._unread: set[Key] = set()  # Works whose object's status could not be read last time
        self.queue: WorkQueue[Key] = WorkQueue(
            f"workStatus/{works.cluster}", self.reflect, concurrency=8, also=("work-status", "work-status-controller")
        )

    def forget(self, key: Key) -> None:
        self._unread.discard(key)

    async def reflect(self, key: Key) -> None:
        """Writes conditions and the reflected status of a Work, when they differ from what is stored."""
        entry = self._works.get(key)
        if entry is None or entry.meta.deletionTimestamp:
            return
        work = await self._works.decoded(entry)
        observed = to_reflect(work, self._outcome(key, work), self._member.observed)
        if observed is None:
            await self._write_status(key, work, None)
            return
        try:
            found = await self._works.understand(work, observed, len(entry.body))
        except InterpretError as error:
            self._unread.add(key)
            await self._write_status(key, work, None)
            self._record(work, interpretation_events(observed, None, str(error), None))
            raise
        await self._write_status(key, work, Seen(observed, found.status))
        stored = (work.get("status") or {}).get("manifestStatuses")
        before = stored[0] if stored and key not in self._unread else None
        self._unread.discard(key)
        self._record(work, interpretation_events(observed, found, "", before))
        if found.failure:
            self.queue.add_after(key, INTERPRET_RETRY)

    def _outcome(self, key: Key, work: Work) -> Outcome | None:
        found = self._outcomes.get(key)
        return found if found is not None and found.is_of(work) else None

    async def _write_status(self, key: Key, work: Work, seen: Seen | None) -> None:
        if self._status(key, seen, work) == work.get("status"):
            return
        if not await self._works.write_status(key, partial(self._with_status, key, seen)):
            return
        dispatching = dispatching_condition(bool(work["spec"].get("suspendDispatching")))
        dispatched = find(conditions_of(work), constants.COND_DISPATCHING) or {}
        if dispatched.get("status") != dispatching["status"]:
            self._works.event(work, "Normal", constants.EVENT_WORK_DISPATCHING, dispatching["message"])

    def _with_status(self, key: Key, seen: Seen | None, work: Work) -> Work:
        work["status"] = self._status(key, seen, work)
        return work

    def _status(self, key: Key, seen: Seen | None, work: Work) -> WorkStatus:
        return work_status(work, self._outcome(key, work), seen, self._member.is_gone)

    def _record(self, work: Work, events: Iterable[EventParts]) -> None:
        for event in events:
            self._works.event(work, *event)
