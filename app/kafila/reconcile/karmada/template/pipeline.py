"""The composed pass over one template: binding, schedule, Works and status, decided together and written together.

`STEPS` decide, in this order and without writing; then there is one commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar, final

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.interpreter import NATIVE, Interpreter
from kafila.placement.rollout.begin import is_under_way
from kafila.placement.types import AggregatedStatusItem, Binding, PropagationPolicy
from kafila.placement.work.shared import ALONE, SharedWorks
from kafila.placement.work.status import known_failures
from kafila.reconcile.karmada.measures import BINDING, BINDING_STATUS, BINDING_SYNC, scheduled, timed
from kafila.registry.context import Change
from kafila.registry.threads import on_loop
from kafila.watch import Entry

from .changes import EnqueueReason
from .commit import key_of
from .steps.aggregate_status import aggregate_status
from .steps.build_binding import build_binding
from .steps.build_works import build_works
from .steps.facts import Facts, StoredWork
from .steps.find_orphans import find_orphans
from .steps.hold_withdrawal import hold_withdrawal
from .steps.record_decision import record_decision
from .steps.refuse_works import refuse_works
from .steps.reserve_quota import reserve_quota
from .steps.roll_out import roll_out
from .steps.schedule_binding import schedule_binding
from .steps.share_works import share_works
from .steps.state import NO_BINDING, ChangedWork, State, Step, run_steps

T = TypeVar("T")


def _at_once(step: Step) -> Step:
    """It asks for much: where the steps run in a thread, the event loop does this one, and nothing changes meanwhile."""
    return lambda state, facts: on_loop(partial(step, state, facts))


STEPS: Final[Sequence[Step]] = (
    hold_withdrawal,
    build_binding,
    _at_once(schedule_binding),
    share_works,
    roll_out,
    build_works,
    find_orphans,
    _at_once(record_decision),
    _at_once(reserve_quota),
    aggregate_status,
)
REPORTED: Final[Sequence[Step]] = (share_works, aggregate_status)  # when only what members report has changed


class Interpreters(Protocol):
    async def decide(self, compute: Callable[[Interpreter], T], size: int = 0) -> T:
        """The outcome, once it lacks no answer and no other fact (`FactsNeeded`)."""
        ...


class Stored(Protocol):
    def facts(self) -> Callable[[Interpreter], Facts]: ...

    async def read_ahead(self, template: Object) -> None: ...

    def size_of(self, kind: Kind, template: Object) -> int: ...

    def binding(self, entry: Entry) -> Binding: ...

    async def works_of(self, binding: Entry) -> Sequence[StoredWork]: ...


class Commits(Protocol):
    async def stage_works(self, works: Iterable[ChangedWork], size: int) -> tuple[list[Change], dict[str, str]]: ...

    async def commit(self, state: State, existing: Entry | None, works: Sequence[Change] = ()) -> bool: ...

    async def delete_works(self, entries: Iterable[Entry]) -> None: ...

    async def delete_orphans(self, entries: Iterable[Entry]) -> bool: ...


class Placed(Protocol):
    """Who is decided about meanwhile reckons with what was decided here."""

    def storing(self, key: Key, before: Binding | None, binding: Binding) -> AbstractContextManager[None]: ...

    def settled(self, key: Key, before: Binding | None, binding: Binding) -> None: ...


class Statuses(Protocol):
    async def write_status(
        self, kind: Kind, template: Object, binding: Binding, items: list[AggregatedStatusItem]
    ) -> None: ...


class Outcome(NamedTuple):
    retry: str  # "", backoff, unschedulable, interpreter, refused
    missed: bool  # somebody else wrote while we did, or what members report may lead to more: try again
    wake: float | None = None  # seconds until time alone may lead to more


@final
class Pipeline:
    def __init__(
        self, interpreters: Interpreters, stored: Stored, commits: Commits, placed: Placed, statuses: Statuses
    ) -> None:
        self._interpreters = interpreters
        self._stored = stored
        self._commits = commits
        self._placed = placed
        self._statuses = statuses

    async def run(
        self,
        kind: Kind,
        template: Object,
        policy: PropagationPolicy | None,
        existing: Entry | None,
        why: EnqueueReason,
        shares: SharedWorks = ALONE,
    ) -> Outcome:
        """Brings everything that follows from ``template`` and this binding of it up to date. Raises BindingError, StatusError.

        Without a policy the binding stays as it is. ``shares``: the object's other bindings, with which it shares its Works.
        """
        with BINDING.passed(), timed(BINDING_SYNC):
            return await self._run(kind, template, policy, existing, why, shares)

    async def _run(
        self,
        kind: Kind,
        template: Object,
        policy: PropagationPolicy | None,
        existing: Entry | None,
        why: EnqueueReason,
        shares: SharedWorks,
    ) -> Outcome:
        began = time.perf_counter()
        await self._stored.read_ahead(template)
        known = await self._known(template, policy, existing, shares)
        size, facts = self._stored.size_of(kind, template), self._stored.facts()
        state = await self._decided(known._replace(keep_version=not why & EnqueueReason.USER), facts, size)
        if why & EnqueueReason.START and state.changed and policy is not None:
            # the template was changed while nothing ran: the binding names the version that the Works are made of
            state = await self._decided(known._replace(keep_version=False), facts, size)
        works, refused = await self._commits.stage_works(state.changed, size)
        state = refuse_works(state, refused)
        with self._placed.storing(key_of(state.binding), state.before, state.binding):
            missed = await self._commits.commit(state, existing, works)
        if state.decision is not None:
            failed = state.decision.failure is not None
            scheduled(state.reason, existing is None, failed, time.perf_counter() - began)
        orphans = [work.entry for work in state.orphans]
        if shares is ALONE:
            missed |= await self._commits.delete_orphans(orphans)
        else:  # the object's other bindings are told, which have to do without them too
            await self._commits.delete_works(orphans)
        await self._write_status(kind, state)
        return Outcome(state.retry, missed, state.wake)

    async def aggregate(self, kind: Kind, template: Object, existing: Entry, shares: SharedWorks = ALONE) -> Outcome:
        """Only what members report has changed."""
        with BINDING_STATUS.passed():
            return await self._aggregate(kind, template, existing, shares)

    async def _aggregate(self, kind: Kind, template: Object, existing: Entry, shares: SharedWorks) -> Outcome:
        known = await self._known(template, None, existing, shares)
        known = known._replace(failures=known_failures(known.binding))
        state = run_steps(REPORTED, known, self._stored.facts()(NATIVE))
        missed = await self._commits.commit(state, existing)
        self._placed.settled(key_of(state.binding), state.before, state.binding)
        await self._write_status(kind, state)
        return Outcome("", missed or is_under_way((state.binding.get("status") or {}).get("rollout")))

    async def _known(
        self, template: Object, policy: PropagationPolicy | None, existing: Entry | None, shares: SharedWorks
    ) -> State:
        if existing is None:
            return State(template, policy, before=None, binding=NO_BINDING, shares=shares)
        before = self._stored.binding(existing)
        works = await self._stored.works_of(existing)
        return State(template, policy, before=before, binding=before, works=works, shares=shares)

    async def _decided(self, known: State, facts: Callable[[Interpreter], Facts], size: int) -> State:
        return await self._interpreters.decide(lambda interpreter: run_steps(STEPS, known, facts(interpreter)), size)

    async def _write_status(self, kind: Kind, state: State) -> None:
        if state.shares is not ALONE:
            state.shares.put(state.binding)
        items = state.shares.items(state.binding)
        await self._statuses.write_status(kind, state.template, state.binding, items)
