"""From a template to its Works, and from their statuses back to the template.

One reconciler, keyed by template, decides everything that follows from stored objects: the policy that claims the template,
its binding, the clusters and replicas, the Works, and the aggregated status. The steps are Karmada's (detector, scheduler,
binding controller, binding status controller) and each is a pure function; here they are composed, so that
what one step decided need not be stored before the next one sees it: a new template costs two commits (claim; binding and
Works), and whatever happens between them, the next run over the stored objects finishes the job.

`STEPS` say what is to be done with a template; the steps of `pipeline.py` then decide about its binding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, final

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.detector import binding as bindings
from kafila.placement.detector.binding import applied_event
from kafila.placement.scheduler.cluster_snapshot import ClusterSnapshot
from kafila.placement.types import PropagationPolicy
from kafila.placement.work.shared import SharedWorks
from kafila.reconcile.karmada.indexes import owns
from kafila.reconcile.karmada.measures import APPLIED, APPLY, MATCH, timed
from kafila.reconcile.karmada.scheduler.backoff import Waiting
from kafila.reconcile.refusals import recording
from kafila.watch import Entry

from .changes import EnqueueReason
from .pipeline import Outcome
from .steps.apply_policy import apply_policy
from .steps.facts import PolicyFacts
from .steps.follow_binding import follow_binding
from .steps.only_aggregate import only_aggregate
from .steps.select_policy import select_policy
from .steps.template_state import Action, StoredBinding, TemplateState, TemplateStep, run_until_stop
from .steps.wait_for_deletion import wait_for_deletion
from .steps.wait_for_overrides import wait_for_overrides

STEPS: Final[Sequence[TemplateStep]] = (
    wait_for_deletion,
    only_aggregate,
    select_policy,
    wait_for_overrides,
    apply_policy,
    follow_binding,
)


class Templates(Protocol):
    """What is stored of templates, and the small writes to them."""

    async def decoded(self, kind: Kind, entry: Entry) -> Object: ...

    def binding_of(self, template: Object) -> Entry | None: ...

    async def lags_behind(self, template: Object, existing: Entry) -> bool:
        """Are the Works of a binding without a policy elsewhere, or made with other overrides?"""
        ...

    async def claim(self, kind: Kind, key: Key, template: Object, policy: PropagationPolicy) -> Object: ...

    async def unclaim(self, kind: Kind, entry: Entry) -> Entry: ...

    async def unclaim_binding(self, entry: Entry) -> Entry: ...


class Pipelines(Protocol):
    async def run(
        self,
        kind: Kind,
        template: Object,
        policy: PropagationPolicy | None,
        existing: Entry | None,
        why: EnqueueReason,
        shares: SharedWorks,
    ) -> Outcome: ...

    async def aggregate(self, kind: Kind, template: Object, existing: Entry, shares: SharedWorks) -> Outcome: ...


class Queue(Protocol):
    def enqueue(self, key: Key, why: EnqueueReason = EnqueueReason.DEPENDENCY, *, after: float = 0) -> None: ...

    def keep(self, key: Key, why: EnqueueReason) -> None: ...


class Backoff(Protocol):
    def failed(self, key: Key, *, for_room: bool) -> None: ...

    def settled(self, key: Key) -> None: ...


class Meanwhile(Protocol):
    """What may change while a template is decided about, and did not lead to it."""

    def snapshot(self) -> ClusterSnapshot: ...

    @property
    def rounds(self) -> int:
        """How often all that have bindings were enqueued."""
        ...

    def wait_for_overrides(self, key: Key) -> None: ...


class Records(Protocol):
    def event(self, obj: Object, event_type: str, reason: str, message: str) -> None: ...


@final
class Propagation:
    def __init__(
        self,
        templates: Templates,
        facts: PolicyFacts,
        pipeline: Pipelines,
        queue: Queue,
        backoff: Backoff,
        meanwhile: Meanwhile,
        records: Records,
    ) -> None:
        self._templates = templates
        self._facts = facts
        self._pipeline = pipeline
        self._queue = queue
        self._backoff = backoff
        self._meanwhile = meanwhile
        self._records = records

    async def propagate(self, kind: Kind, entry: Entry, why: EnqueueReason, shares: SharedWorks) -> None:
        """Raises Waiting where something else has to happen first, and whatever a write raises."""
        template = await self._templates.decoded(kind, entry)
        existing = self._templates.binding_of(template)
        with MATCH.time():
            known = TemplateState(template, why, _stored(template, existing))
            state, action = run_until_stop(STEPS, known, self._facts)
        for event in state.events:
            self._records.event(template, *event)
        if action is Action.WAIT_FOR_DELETION:
            self._queue.keep(entry.key, why)
            return
        if action is Action.WAIT_FOR_OVERRIDES:
            self._meanwhile.wait_for_overrides(entry.key)
            raise Waiting("waiting for dependent overrides")
        policy = state.policy
        if policy is not None:
            with (
                timed(APPLY, APPLIED),
                recording(lambda said: self._records.event(state.template, *applied_event(policy, said))),
            ):
                state = await self._claimed(kind, entry.key, state)
                if action is Action.APPLY_POLICY:
                    await self._apply(kind, entry.key, state, existing, shares)
                    return
        if state.binding is StoredBinding.NONE:
            existing = None  # or another object's
        if state.claim_is_over:
            existing = await self._templates.unclaim_binding(existing) if existing is not None else None
            template = await self._templates.decoded(kind, await self._templates.unclaim(kind, entry))
            state = state._replace(template=template)
        if existing is not None:
            await self._follow(kind, entry.key, state, action, existing, shares)

    async def _claimed(self, kind: Kind, key: Key, state: TemplateState) -> TemplateState:
        """The first commit: the template says whose it is."""
        assert state.policy is not None
        return state._replace(template=await self._templates.claim(kind, key, state.template, state.policy))

    async def _apply(
        self, kind: Kind, key: Key, state: TemplateState, existing: Entry | None, shares: SharedWorks
    ) -> None:
        try:
            await self._run(kind, key, state, state.policy, existing, shares)
        except BaseException:  # what was begun is finished, whatever becomes of the policy
            self._queue.keep(key, EnqueueReason.DEPENDENCY)
            raise

    async def _follow(
        self, kind: Kind, key: Key, state: TemplateState, action: Action, existing: Entry, shares: SharedWorks
    ) -> None:
        """Without a policy."""
        if action is Action.FOLLOW_IF_BEHIND:
            is_behind = await self._templates.lags_behind(state.template, existing)
            reported = Action.AGGREGATE if state.why & EnqueueReason.STATUS else Action.NOTHING
            action = Action.FOLLOW_BINDING if is_behind else reported
        if action is Action.FOLLOW_BINDING:
            await self._run(kind, key, state, None, existing, shares)
        elif action is Action.AGGREGATE:
            if (await self._pipeline.aggregate(kind, state.template, existing, shares)).missed:
                self._queue.enqueue(key)

    async def _run(
        self,
        kind: Kind,
        key: Key,
        state: TemplateState,
        policy: PropagationPolicy | None,
        existing: Entry | None,
        shares: SharedWorks,
    ) -> None:
        snapshot, rounds = self._meanwhile.snapshot(), self._meanwhile.rounds
        try:
            outcome = await self._pipeline.run(kind, state.template, policy, existing, state.why, shares)
        except bindings.BindingError as error:
            if isinstance(error, bindings.ReplicasUnknown):
                self._records.event(state.template, "Warning", error.reason, str(error))
            if policy is not None:
                self._records.event(state.template, *applied_event(policy, str(error)))
            raise Waiting(str(error)) from error
        if outcome.missed or (existing is None and self._meanwhile.rounds != rounds):
            self._queue.enqueue(key)  # what changed around all bindings has not led to one that was not stored yet
        if outcome.wake is not None:
            self._queue.enqueue(key, after=outcome.wake)
        if outcome.retry in ("unschedulable", "backoff"):
            came = self._meanwhile.snapshot().has_more_available_than(snapshot)  # while we decided
            self._backoff.failed(key, for_room=outcome.retry == "unschedulable" and not came)
            return
        self._backoff.settled(key)
        if outcome.retry == "interpreter":
            raise Waiting("the interpreter has not answered for the Works")
        if outcome.retry == "refused":
            raise Waiting("not all Works could be written")


def _stored(template: Object, existing: Entry | None) -> StoredBinding:
    if existing is None:
        return StoredBinding.NONE
    if existing.meta.deletionTimestamp:
        return StoredBinding.DELETING
    return StoredBinding.OWN if owns(template, existing) else StoredBinding.NONE
