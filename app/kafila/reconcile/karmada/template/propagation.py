"""From a template to its Works, and from their statuses back to the template.

One reconciler, keyed by template, decides everything that follows from stored objects: the policy that claims the template,
its binding, the clusters and replicas, the Works, and the aggregated status. The steps are Karmada's (detector, scheduler,
binding controller, binding status controller) and each is a pure function of `placement`; here they are composed, so that
what one step decided need not be stored before the next one sees it: a new template costs two commits (claim; binding and
Works), and whatever happens between them, the next look at the stored objects finishes the job.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, final

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.placement.constants import Identity
from kafila.placement.detector import binding as bindings
from kafila.placement.detector.binding import applied_event
from kafila.placement.detector.match import is_skipped_object
from kafila.placement.objects import identity
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo
from kafila.placement.work.shared import SharedWorks
from kafila.reconcile.chunks import Chunks, at_once, in_chunks
from kafila.reconcile.controller import Tell
from kafila.reconcile.interpreter.interpreting import INTERPRETERS
from kafila.reconcile.karmada.federation import BINDINGS, CLUSTER_BINDINGS, WORKS, Federation, is_same_for_scheduler
from kafila.reconcile.karmada.indexes import (
    ClaimIndex,
    WorkIndex,
    binding_key,
    binding_key_of_work,
    may_have_binding,
    owns,
    policy_id_of,
    template_key_of,
)
from kafila.reconcile.karmada.override_policies import OverrideIndex
from kafila.reconcile.karmada.propagation_policies import CLUSTER_POLICIES, POLICIES, PolicyIndex
from kafila.reconcile.karmada.quota.controller import QUOTAS
from kafila.reconcile.karmada.scheduler.backoff import SchedulingBackoff, Waiting
from kafila.reconcile.karmada.scheduler.context import Scheduler
from kafila.reconcile.karmada.scheduler.decision_records import DecisionRecorder
from kafila.reconcile.karmada.scheduler.priority import Priorities
from kafila.reconcile.queue import WorkQueue
from kafila.reconcile.refusals import telling
from kafila.registry.threads import decoded
from kafila.watch import Entry, Event

from .attached_bindings import AttachedBindings
from .changes import Changed, EnqueueReason, OwnWrites, what_changed
from .claim import PolicyClaim
from .commit import Committer
from .deletion import DeletionController
from .enqueuer import Enqueuer
from .kinds import TemplateKinds
from .pipeline import Pipeline
from .policy_selection import PolicySelection
from .stored import StoredBindings
from .unselected import Unselected
from .write_status import StatusWriter

Object = dict[str, Any]
_CLAIM = b"propagationpolicy.karmada.io/"  # in the label and the annotations of every claimed object
STATUS_DELAY = 0.05  # seconds: statuses of several members are added up in one write


@final
class Propagation:
    name = "binding"

    def __init__(self, federation: Federation, skipped_namespaces: str, scheduler: Scheduler) -> None:
        self._federation = federation
        self._registry = federation.registry
        self._cache = federation.registry.cache
        self._catalog = federation.registry.catalog
        self._skipped = (re.compile(skipped_namespaces),) if skipped_namespaces else ()
        self.policies = PolicyIndex(self._cache, self._catalog)
        self.works = WorkIndex(self._cache)
        self._selection = PolicySelection(federation, self.policies)
        self._overrides = OverrideIndex(federation)
        self._own = OwnWrites()
        self._claim = PolicyClaim(self._registry, self.policies, self._own, self._look)
        decisions = DecisionRecorder(self._registry)
        self._scheduler = scheduler
        self._stored = StoredBindings(federation, self.works, self._overrides, self.policies, scheduler, decisions)
        committer = Committer(federation, self._own, decisions)
        statuses = StatusWriter(federation, committer.tell)
        self._pipeline = Pipeline(federation.interpreting, self._stored, committer, scheduler, statuses)
        self._templates = TemplateKinds(self._catalog, lambda resource: at_once(self._looking_at(resource)))
        self._claims = ClaimIndex()
        self._bound = Enqueuer(self._cache, self._catalog, self._look_around)
        self._why: dict[Key, EnqueueReason] = {}
        self._without_overrides: set[Key] = set()  # templates whose policy waits for override policies
        priority = Priorities(federation, self.policies).of
        self.queue: WorkQueue[Key] = WorkQueue("resource-template", self._reconcile, concurrency=16, priority=priority)
        self._backoff = SchedulingBackoff(
            lambda key, seconds: self._look(key, background=True, after=seconds), federation.gates
        )
        self._attached = AttachedBindings(federation, self.works, self._pipeline, self._look)
        self._deletion = DeletionController(
            federation,
            self._attached,
            self._claims,
            committer.delete_works,
            lambda key: self._look(key, EnqueueReason.POLICY),
        )
        self._unselected = Unselected(federation, self.policies, self._skipped)
        self._cache.listen_to_all(self._observe)
        for resource in (POLICIES, CLUSTER_POLICIES):
            self._cache.listen(resource, self._observe_policy)
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            self._cache.listen(resource, self._observe_binding)
        for resource in self._overrides.resources:
            self._cache.listen(resource, self._observe_override)
        self._cache.listen(WORKS, self._observe_work)
        self._cache.listen(QUOTAS, self._observe_quota)
        self._cache.listen("clusters.cluster.karmada.io", self._observe_cluster)
        for resource in INTERPRETERS:
            self._cache.listen(resource, self._observe_interpreter)
        self._cache.on_reset(self.resync)

    async def start(self) -> None:
        await in_chunks(self._looking())  # a binding whose Works are not all known would get others
        self.queue.start()
        self._deletion.start()
        self._unselected.queue.start()

    def tell_failures(self, tell: Tell) -> None:
        for queue in (self.queue, self._deletion.queue, self._unselected.queue):
            queue.on_failure = partial(tell, queue.name)

    async def stop(self) -> None:
        await self._unselected.queue.stop()
        await self.queue.stop()
        await self._deletion.stop()
        self._scheduler.close()

    def resync(self) -> None:
        """Everything is looked at again, behind what users change now."""
        at_once(self._looking())

    def _looking(self) -> Chunks:
        yield from self.policies.loading()
        yield from self.works.loading()
        self._claims.clear()
        self._attached.clear()
        self._backoff.clear()
        for resource in list(self._cache.resources()):
            if resource.name in (BINDINGS, CLUSTER_BINDINGS) or resource.name in self._templates:
                yield from self._looking_at(resource.name)
        self._deletion.resync()

    def _looking_at(self, resource: str) -> Chunks:
        bindings_of = resource in (BINDINGS, CLUSTER_BINDINGS)
        for portion in self._cache.resource(resource).portions():
            for entry in portion:
                self._claims.put(entry)
                if bindings_of:
                    self._attached.put(entry)
                else:
                    self._look(entry.key, EnqueueReason.START, background=True)
            yield

    # -- what to look at -----------------------------------------------------------------------------------------------

    def _look(
        self, key: Key, why: EnqueueReason = EnqueueReason.DEPENDENCY, background: bool = False, after: float = 0
    ) -> None:
        self._keep(key, why)
        if after:
            self.queue.add_after(key, after, background)
        else:
            self.queue.add(key, background)

    def _look_around(self, key: Key, background: bool) -> None:
        self._look(key, background=background)

    def _observe(self, event: Event) -> None:
        if event.key.resource not in self._templates:
            return
        if event.new is None:
            self._claims.remove(event.key)
            self._why.pop(event.key, None)
            self._backoff.settled(event.key)
            return
        changed = Changed.CONTENT if event.old is None else what_changed(event.old, event.new)
        if changed is Changed.NOTHING:
            return
        self._claims.put(event.new)
        if event.old is None:
            self._unselected.created(event.new)
        if changed is Changed.CONTENT:
            self._backoff.settled(event.key)
            if self._concerns_us(event.new):
                self._look(event.key, EnqueueReason.USER)
        elif not self._own.hides(event.key, event.revision):
            self._look(event.key, EnqueueReason.POLICY)

    def _concerns_us(self, entry: Entry) -> bool:
        """Most objects that users write are no templates: no policy is or was about them, and nothing made them follow."""
        kind = self._catalog.storage_kind(entry.key.resource)
        if kind is None or _CLAIM in entry.body or self.policies.may_select(kind, entry):
            return True
        key = entry.key
        obj = Identity(kind.group, kind.kind, key.namespace, key.name)
        return key in self._attached or may_have_binding(self._cache, obj)

    def _observe_policy(self, event: Event) -> None:
        entry = event.new or event.old
        assert entry is not None
        for key in self._claims.keys(policy_id_of(entry)):
            if key.resource not in (BINDINGS, CLUSTER_BINDINGS):
                self._look(key, EnqueueReason.CLAIMING_POLICY, background=True)
        policy = self.policies.get(event.key)
        if policy is not None:
            for key in self.policies.targets(policy):
                self._look(key, EnqueueReason.POLICY, background=True)
        if event.new is not None and event.new.meta.deletionTimestamp:
            self._deletion.add(event.key)

    def _observe_binding(self, event: Event) -> None:
        self._attached.observe(event)
        self._bound.enqueue_peers(event)
        if event.new is None:
            self._claims.remove(event.key)
            if self._scheduler.assume_cache.forget(event.key):
                self._backoff.more_room()
            assert event.old is not None
            self._bound.enqueue(event.old)
            return
        self._claims.put(event.new)
        if event.new.meta.deletionTimestamp:
            self._deletion.observe_binding(event)
        elif self._own.hides(event.key, event.revision):
            return
        elif event.old is None or event.old.meta.generation != event.new.meta.generation:
            self._bound.enqueue(event.new)

    def _observe_work(self, event: Event) -> None:
        if self._own.hides(event.key, event.revision):
            return
        entry = event.new or event.old
        assert entry is not None
        belongs_to = binding_key_of_work(entry)
        binding = self._cache.get(*belongs_to) if belongs_to is not None else None
        if binding is None or binding.meta.deletionTimestamp:
            return
        key = template_key_of(binding, self._catalog)
        if key is None:
            return
        old, new = event.old, event.new
        if old is not None and new is not None and old.meta.generation == new.meta.generation:
            if old.meta.deletionTimestamp == new.meta.deletionTimestamp:
                self._look(key, EnqueueReason.STATUS, after=STATUS_DELAY)
                return
        self._look(key)

    def _observe_cluster(self, event: Event) -> None:
        if event.old is not None and event.new is not None and is_same_for_scheduler(event.old, event.new):
            self._observe_cluster_status(event.old.decode(), event.new.decode())
            return
        self._bound.enqueue_all()

    def _observe_cluster_status(self, old: Object, new: Object) -> None:
        if (old.get("status") or {}).get("apiEnablements") != (new.get("status") or {}).get("apiEnablements"):
            self._bound.enqueue_newly_served(old, new)
        if self._backoff and ClusterInfo(new).has_more_room_than(ClusterInfo(old)):
            self._backoff.more_room()

    def _observe_quota(self, event: Event) -> None:
        self._bound.enqueue_failed(constants.REASON_QUOTA_EXCEEDED, event.key.namespace)

    def _observe_override(self, event: Event) -> None:
        for key in self._without_overrides:
            self._look(key)
        self._without_overrides.clear()
        for policy in self._overrides.versions(event):
            if not (policy.get("spec") or {}).get("resourceSelectors"):
                self._bound.enqueue_all(event.key.namespace)
                continue
            for key in self.policies.targets(policy):
                self._look(key, background=True)

    def _observe_interpreter(self, event: Event) -> None:
        """What a kind means has changed."""
        self._bound.enqueue_kinds(self._federation.interpreting.concerned(event))

    # -- one template --------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        why = self._why.pop(key, EnqueueReason(0))  # none: what was to be looked at later was looked at meanwhile
        try:
            await self._bring_up_to_date(key, why)
        except BaseException:
            self._keep(key, why)
            raise

    def _keep(self, key: Key, why: EnqueueReason) -> None:
        """Reasons that hold for the next look as well."""
        self._why[key] = self._why.get(key, EnqueueReason(0)) | why

    async def _bring_up_to_date(self, key: Key, why: EnqueueReason) -> None:
        kind = self._catalog.storage_kind(key.resource)
        entry = self._cache.get(*key)
        if kind is None or entry is None or entry.meta.deletionTimestamp or not why:
            return
        if key.resource not in self._templates:
            return  # a binding has led here, because a workload asks for something that goes everywhere or nowhere
        claimed = (entry.meta.labels or {}).get(constants.CLAIMED_BY)
        if claimed or is_skipped_object(kind.kind, key.namespace, key.name, self._skipped):
            return
        shares = self._attached.shares(kind, entry)
        try:
            await self._propagate(kind, entry, why, shares)
        except Exception:
            await self._attached.run(kind, key, why, shares)
            raise
        await self._attached.run(kind, key, why, shares)

    async def _propagate(self, kind: Kind, entry: Entry, why: EnqueueReason, shares: SharedWorks) -> None:
        template = await decoded(kind, entry)
        existing = self._cache.get(*binding_key(self._cache, identity(template)))
        if existing is not None and existing.meta.deletionTimestamp:
            self._keep(entry.key, why)  # comes back when the binding is gone
            return
        if why == EnqueueReason.STATUS:
            if existing is not None and owns(template, existing):
                await self._sum_up(kind, entry.key, template, existing, shares)
            return
        policy, let_go = self._selection.of(template, why)
        if policy is not None:
            self._check_overrides(entry.key, policy)
            with telling(lambda why: self._federation.recorder.event(template, *applied_event(policy, why))):
                template = await self._claim.claim(kind, entry.key, template, policy)
                if not bindings.is_lazy(policy) or why & (EnqueueReason.USER | EnqueueReason.START):
                    try:
                        await self._run(kind, entry.key, template, policy, existing, why, shares)
                    except BaseException:  # what was begun is finished, whatever becomes of the policy
                        self._keep(entry.key, EnqueueReason.DEPENDENCY)
                        raise
                    return
        if existing is not None and not owns(template, existing):
            existing = None
        if let_go:
            if existing is not None:
                existing = await self._federation.unclaim(self._federation.kind_of_binding(existing.key), existing)
            template = await decoded(kind, await self._federation.unclaim(kind, entry))
        # what users change of a template waits for a policy; what happens around its binding does not
        if existing is not None and (
            why & EnqueueReason.DEPENDENCY
            or (why & EnqueueReason.START and await self._stored.lags_behind(template, existing))
        ):
            await self._run(kind, entry.key, template, None, existing, why, shares)
        elif existing is not None and why & EnqueueReason.STATUS:
            await self._sum_up(kind, entry.key, template, existing, shares)

    async def _sum_up(self, kind: Kind, key: Key, template: Object, existing: Entry, shares: SharedWorks) -> None:
        if (await self._pipeline.aggregate(kind, template, existing, shares)).missed:
            self._look(key)

    async def _run(
        self,
        kind: Kind,
        key: Key,
        template: Object,
        policy: Object | None,
        existing: Entry | None,
        why: EnqueueReason,
        shares: SharedWorks,
    ) -> None:
        snapshot, rounds = self._federation.snapshot(), self._bound.rounds
        try:
            outcome = await self._pipeline.run(kind, template, policy, existing, why, shares)
        except bindings.BindingError as error:
            if isinstance(error, bindings.ReplicasUnknown):
                self._federation.recorder.event(template, "Warning", error.reason, str(error))
            if policy is not None:
                self._federation.recorder.event(template, *applied_event(policy, str(error)))
            raise Waiting(str(error)) from error
        if outcome.missed or (existing is None and self._bound.rounds != rounds):
            self._look(key)  # what changed around all bindings has not led to one that was not stored yet
        if outcome.retry in ("unschedulable", "backoff"):
            came = self._federation.snapshot().has_more_room_than(snapshot)  # while we decided
            self._backoff.failed(key, for_room=outcome.retry == "unschedulable" and not came)
            return
        self._backoff.settled(key)
        if outcome.retry == "interpreter":
            raise Waiting("the interpreter could not tell how the Works shall be")
        if outcome.retry == "refused":
            raise Waiting("not all Works could be written")

    def _check_overrides(self, key: Key, policy: Object) -> None:
        """A policy may ask to wait until the overrides it depends on are there."""
        namespace = policy["metadata"].get("namespace", "")
        for name in (policy.get("spec") or {}).get("dependentOverrides") or ():
            if not self._overrides.exists(namespace, name):
                self._without_overrides.add(key)
                raise Waiting("waiting for dependent overrides")
