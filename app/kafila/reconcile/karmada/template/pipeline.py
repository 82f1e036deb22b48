"""The composed pass over one template: binding, schedule, Works and status, decided together and written together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, final

from kafila.catalog.kind import Kind
from kafila.core.conditions import find
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.placement.aggregate_errors import aggregate_text
from kafila.placement.detector import binding as bindings
from kafila.placement.generation import generation_of, with_generation, with_known_version
from kafila.placement.interpreter import Interpreter
from kafila.placement.objects import identity
from kafila.placement.scheduler.decision_record import placed_text
from kafila.placement.scheduler.reschedule import RescheduleReason, is_for_scheduler, should_schedule
from kafila.placement.scheduler.schedule import Decision, Event, quota_exceeded, schedule, with_result, with_status
from kafila.placement.spec import same_targets, targets
from kafila.placement.work.build import blocking_works, build_works, orphans, synced_event
from kafila.placement.work.shared import ALONE, SharedWorks
from kafila.placement.work.status import NO_FAILURES, failures_told
from kafila.reconcile.karmada.federation import Federation
from kafila.reconcile.karmada.indexes import WorkIndex, binding_key
from kafila.reconcile.karmada.override_policies import OverrideIndex
from kafila.reconcile.karmada.quota.reservation import QuotaReservation
from kafila.reconcile.karmada.scheduler.context import Scheduler
from kafila.reconcile.karmada.scheduler.decision_records import DecisionRecorder
from kafila.reconcile.karmada.scheduler.estimators import Estimates
from kafila.registry import Options, sizes
from kafila.registry.context import Change, DeleteOptions
from kafila.registry.threads import apart, on_loop
from kafila.watch import Entry

from .aggregate_status import StatusAggregation, aggregated
from .changes import EnqueueReason, OwnWrites
from .events import committed_with, told
from .stored import Stored, StoredSteps

Object = dict[str, Any]
WHOLE = Options(manager="karmada-controller-manager", whole=True)


class Outcome(NamedTuple):
    retry: str  # "", backoff, unschedulable, interpreter, refused
    missed: bool  # somebody else wrote while we did: look again


class _Plan(NamedTuple):
    binding: Object
    works: list[tuple[Object, Entry | None]]  # to be written, and what is stored of it
    events: list[Event]
    retry: str
    orphans: Sequence[Entry] = ()  # Works to be deleted
    record: Object | None = None  # of the decision, when there is a new one to tell
    charges: Sequence[Change] = ()  # to quotas
    reporting: Sequence[Object] = ()  # Works whose status counts
    failures: Mapping[str, str] = NO_FAILURES  # by cluster, why there is no Work as it should be


class _Synced(NamedTuple):
    changed: list[tuple[Object, Entry | None]]  # Works that are not stored as they shall be
    interpreted: bool  # whoever interprets the kind could say how all of them shall be
    failures: Mapping[str, str]


@final
class Pipeline:
    def __init__(
        self,
        federation: Federation,
        works: WorkIndex,
        overrides: OverrideIndex,
        own: OwnWrites,
        decisions: DecisionRecorder,
        scheduler: Scheduler,
    ) -> None:
        self._federation = federation
        self._registry = federation.registry
        self._works = works
        self._stored = StoredSteps(federation, works)
        self._overrides = overrides
        self._own = own
        self._decisions = decisions
        self._scheduler = scheduler
        self._quota = QuotaReservation(federation)
        self._status = StatusAggregation(federation, self._tell)

    async def run(
        self,
        kind: Kind,
        template: Object,
        policy: Object | None,
        existing: Entry | None,
        why: EnqueueReason,
        shares: SharedWorks = ALONE,
    ) -> Outcome:
        """Brings everything that follows from ``template`` and this binding of it up to date. Raises BindingError, StatusError.

        Without a policy the binding stays as it is. ``shares``: the object's other bindings, with which it shares its Works.
        """
        await self._overrides.read_ahead(template)
        known = await self._stored.of(existing)
        build = partial(self._plan, template, policy, known, shares, Estimates())
        decide = self._federation.interpreting.decide
        size = self._federation.size_of(kind, template)
        plan = await decide(partial(build, keep_version=not why & EnqueueReason.USER), size)
        if why & EnqueueReason.START and plan.works and policy is not None:
            # the template was changed while nobody looked: the binding names the version that the Works are made of
            plan = await decide(partial(build, keep_version=False), size)
        plan, works = await self._staged_works(template, size, plan)
        with self._scheduler.storing(self._key_of(plan.binding), known.before, plan.binding):
            missed = await self._commit(known, plan, template, works)
        await self.delete_works(plan.orphans)
        await self._write_status(kind, template, plan.binding, shares)
        return Outcome(plan.retry, missed)

    async def aggregate(self, kind: Kind, template: Object, existing: Entry, shares: SharedWorks = ALONE) -> Outcome:
        """Only what members report has changed."""
        known = await self._stored.of(existing)
        assert known.before is not None
        events: list[Event] = []
        reporting = self._stored.shared(known, known.before, template, shares).reporting
        binding = aggregated(known.before, template, reporting, events, failures_told(known.before))
        missed = await self._commit(known, _Plan(binding, [], events, ""), template)
        self._scheduler.assume_cache.settled(self._key_of(binding), known.before, binding)
        await self._write_status(kind, template, binding, shares)
        return Outcome("", missed)

    async def _write_status(self, kind: Kind, template: Object, binding: Object, shares: SharedWorks) -> None:
        if shares is not ALONE:
            shares.put(binding)
        await self._status.write_status(kind, template, binding, shares.items(binding))

    async def lags_behind(self, template: Object, existing: Entry) -> bool:
        """After a start: are the Works of a binding without a policy elsewhere, or made with other overrides?"""
        await self._overrides.read_ahead(template)
        return self._works.lag_behind(existing) or self._overrides.changed_since(template, self._works.of(existing))

    def _kind_of(self, binding: Object) -> Kind:
        namespaced = binding["metadata"].get("namespace")
        return self._federation.binding_kind if namespaced else self._federation.cluster_binding_kind

    def _name_of(self, template: Object) -> str:
        return binding_key(self._registry.cache, identity(template)).name

    def _key_of(self, binding: Object) -> Key:
        return Key(self._kind_of(binding).resource, *_where(binding))

    # -- deciding ------------------------------------------------------------------------------------------------------

    def _plan(
        self,
        template: Object,
        policy: Object | None,
        known: Stored,
        shares: SharedWorks,
        estimates: Estimates,
        interpreter: Interpreter,
        *,
        keep_version: bool,
    ) -> _Plan:
        """For what is big in a thread: what belongs to the event loop is asked for there."""
        events: list[Event] = []
        before = known.before
        if policy is None:
            assert before is not None
            binding = before
        else:
            binding = bindings.build_binding(
                template,
                policy,
                before,
                called=on_loop(lambda: self._name_of(template)) if before is None else "",
                interpreter=interpreter,
                gates=self._federation.gates,
                priority_classes=on_loop(self._federation.priority_classes),
            )
            if keep_version and before is not None:
                binding = with_known_version(binding, before)
            if binding is not before:
                told = bindings.applied_events(template, policy, interpreter, self._federation.gates)
                events += [Event(*one) for one in told]
        binding, decision, trigger = on_loop(partial(self._schedule, binding, before, estimates, events))
        known = self._stored.shared(known, binding, template, shares)
        synced = self._changed_works(binding, template, known, shares, events, interpreter)
        leaving = {work["metadata"]["namespace"] for work in orphans(binding, known.works)}
        record = None
        if decision is not None:
            told_of = binding, template, decision, trigger, generation_of(binding, before), policy, before is None
            record = on_loop(partial(self._decisions.record, *told_of))
        charges = on_loop(partial(self._quota.of, binding, before))
        binding = aggregated(binding, template, known.reporting, events, synced.failures)
        retry = decision.retry if decision is not None else ""
        if binding == before:
            binding = before  # there is nothing to write
        gone = [entry for entry in known.entries if entry.key.namespace in leaving]
        return _Plan(
            binding,
            synced.changed,
            events,
            retry if synced.interpreted else "interpreter",
            gone,
            record,
            charges,
            known.reporting,
            synced.failures,
        )

    # -- scheduling ----------------------------------------------------------------------------------------------------

    def _schedule(
        self, binding: Object, before: Object | None, estimates: Estimates, events: list[Event]
    ) -> tuple[Object, Decision | None, RescheduleReason]:
        if not is_for_scheduler(binding):
            return binding, None, RescheduleReason.NONE
        snapshot = self._federation.snapshot()
        trigger = should_schedule(with_generation(binding, before), snapshot.leaving(), self._federation.gates)
        if trigger.schedules:
            decision = schedule(binding, snapshot, self._scheduler.context(binding, snapshot, estimates))
            if decision.clusters and (refusal := self._quota.refusal(with_result(binding, decision), before)):
                decision = quota_exceeded(decision, refusal)
            is_dated = trigger is not RescheduleReason.ALWAYS or self._scheduler.is_asked_for(binding, before)
            return self._decided(binding, before, decision, is_dated, events), decision, trigger
        if trigger is RescheduleReason.OBSERVE:
            generation = generation_of(binding, before)
            status = {**(binding.get("status") or {}), "schedulerObservedGeneration": generation}
            binding = {**binding, "status": status}
        return binding, None, trigger

    def _decided(
        self, binding: Object, before: Object | None, decision: Decision, is_dated: bool, events: list[Event]
    ) -> Object:
        """The binding with the decision in it. A decision that changes nothing is not told again."""
        before_order = binding["spec"].get("clusters") or []
        if decision.clusters is not None and same_targets(decision.clusters, before_order):
            # which of two clusters has more room changes all the time: that alone is no new result
            decision = replace(decision, clusters=before_order)
        decided = with_result(binding, decision)
        old_status = binding.get("status") or {}
        generation = generation_of(decided, before)
        status = with_status(decided, decision, generation)
        if (
            not is_dated
            and decided is binding
            and _same_condition(old_status, status)
            and old_status.get("lastScheduledTime")
            and decision.failure is None
        ):
            status["lastScheduledTime"] = old_status["lastScheduledTime"]
        if decided is not binding or not _same_condition(old_status, status) or self._is_news(decided, decision):
            events.extend(decision.events)
        return {**decided, "status": status}

    def _is_news(self, decided: Object, decision: Decision) -> bool:
        """Somebody else, who evicts, changed the clusters to what is decided now."""
        if decision.failure is not None:
            return False
        return self._decisions.placed(decided) not in (None, placed_text(targets(decided["spec"])))

    # -- Works ---------------------------------------------------------------------------------------------------------

    def _changed_works(
        self,
        binding: Object,
        template: Object,
        known: Stored,
        shares: SharedWorks,
        events: list[Event],
        interpreter: Interpreter,
    ) -> _Synced:
        if blocking_works(binding, known.works):
            return _Synced([], True, failures_told(binding))
        stored = {
            constants.cluster_of(work["metadata"]["namespace"]): (work, entry)
            for work, entry in zip(known.works, known.entries, strict=True)
        }
        plan = build_works(
            binding,
            template,
            self._federation.clusters_by_name,
            on_loop(lambda: self._overrides.overrides(template["metadata"].get("namespace", ""))),
            {cluster: shares.trimmed(work, binding) for cluster, (work, _) in stored.items()},
            leave=shares.left_to_others(binding),
            taken=known.taken,
            interpreter=interpreter,
            gates=self._federation.gates,
        )
        changed: list[tuple[Object, Entry | None]] = []
        for work in plan.works:
            old, entry = stored.get(constants.cluster_of(work["metadata"]["namespace"]), (None, None))
            if work is not old:
                changed.append((work, entry))
        if changed or plan.error or known.existing is None:
            events.extend(Event(*told) for told in plan.override_events)
            # a new binding is synced as soon as it is there, before it is scheduled
            errors = ("", plan.error) if plan.error and known.existing is None else (plan.error,)
            events.extend(Event(*synced_event(binding, error)) for error in errors)
        return _Synced(changed, plan.interpreted, plan.errors)

    async def _staged_works(self, template: Object, size: int, plan: _Plan) -> tuple[_Plan, list[Change]]:
        """A Work that is refused keeps neither the others nor the binding from being written: these say why it is not there."""
        staged: list[Change] = []
        refused: dict[str, str] = {}
        for work, entry in plan.works:
            try:
                stage = partial(self._staged, work, entry, self._federation.work_kind)
                staged.append(await apart(size, stage))
            except StatusError as error:
                refused[constants.cluster_of(work["metadata"]["namespace"])] = str(error)
        if not refused:
            return plan, staged
        failures = {**plan.failures, **refused}
        events = [event for event in plan.events if event.reason != constants.EVENT_SYNC_WORK]
        events.append(Event(*synced_event(plan.binding, aggregate_text(failures.values()))))
        binding = aggregated(plan.binding, template, plan.reporting, events, failures)
        return plan._replace(binding=binding, events=events, retry=plan.retry or "refused"), staged

    async def delete_works(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.meta.deletionTimestamp:
                continue
            try:
                await self._registry.delete(
                    self._federation.work_kind, entry.key.namespace, entry.key.name, DeleteOptions(uid=entry.meta.uid)
                )
            except StatusError as error:
                if not error.is_not_found:
                    raise

    # -- writing -------------------------------------------------------------------------------------------------------

    async def _commit(self, known: Stored, plan: _Plan, template: Object, works: Sequence[Change] = ()) -> bool:
        """The plan in one transaction; what is too large for one in several, of which the next look makes all that are missing.
        The events that tell of it are written with it.

        Returns whether somebody else wrote meanwhile, after us. ``works``: those of the plan.
        """
        changes = list(works)
        if plan.binding is not known.before:
            changes.insert(0, self._staged(plan.binding, known.existing, self._kind_of(plan.binding)))
        if plan.record is not None:
            changes.append(self._decisions.staged(plan.record))
        changes += plan.charges
        changes = [change for change in changes if not change.unchanged]
        uid = self._uid_of(plan.binding, changes)
        enclosed = self._federation.recorder.enclosed(told(plan.binding, uid, template, plan.events))
        if not changes:
            enclosed.tell_later()
            return False
        keys = [change.writes[0].key for change in changes]
        revisions: list[int] = []
        self._own.begin(keys)
        missed = False
        try:
            *first, last = sizes.portions(changes)
            for portion in first:
                revisions += await self._registry.commit_together(portion)
            revisions += await committed_with(self._registry, last, enclosed)
        finally:
            revisions += [0] * (len(keys) - len(revisions))
            for key, revision in zip(keys, revisions, strict=True):
                missed |= self._own.end(key) > revision
        return missed

    def _staged(self, obj: Object, existing: Entry | None, kind: Kind) -> Change:
        if existing is None:
            change = self._registry.stage_create(kind, obj["metadata"].get("namespace", ""), obj, WHOLE)
        else:
            change = self._registry.stage_update(kind, existing, obj, WHOLE)
        sizes.check(self._registry.cache, self._registry.max_object_bytes, change)
        return change

    def _uid_of(self, binding: Object, changes: list[Change]) -> str:
        key = self._key_of(binding)
        if changes and changes[0].writes[0].key == key:
            return changes[0].writes[0].uid
        entry = self._registry.cache.get(*key)
        return entry.meta.uid if entry is not None else ""

    def _tell(self, binding: Object, template: Object, events: list[Event]) -> None:
        self._federation.recorder.enclosed(told(binding, self._uid_of(binding, []), template, events)).tell_later()


def _where(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _same_condition(old: Object, new: Object) -> bool:
    def scheduled(status: Object) -> tuple[Any, ...]:
        found = find(status.get("conditions"), constants.COND_SCHEDULED)
        return (found.get("status"), found.get("reason"), found.get("message")) if found else ()

    return scheduled(old) == scheduled(new)
