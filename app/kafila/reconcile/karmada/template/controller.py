"""What leads to a template: watch events, a start, a relist; and how the parts of its propagation hang together."""

from __future__ import annotations

import re
from functools import partial
from typing import final

from kafila.core.feature_gates import Gates
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.placement.detector.match import is_skipped_object
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot
from kafila.placement.types import Cluster
from kafila.placement.withdrawal import Limits
from kafila.reconcile.chunks import Chunks, at_once, in_chunks
from kafila.reconcile.controller import Report
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import INTERPRETERS, Interpreting
from kafila.reconcile.karmada.clusters import Clusters, is_same_for_scheduler, limit_in
from kafila.reconcile.karmada.indexes import (
    CLAIM,
    ClaimIndex,
    WorkIndex,
    binding_key_of_work,
    may_have_binding,
    policy_id_of,
    template_key_of,
)
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, WORKS
from kafila.reconcile.karmada.measures import POLICY
from kafila.reconcile.karmada.override_policies import OverrideIndex
from kafila.reconcile.karmada.priority_classes import PriorityClasses
from kafila.reconcile.karmada.propagation_policies import CLUSTER_POLICIES, POLICIES, PolicyIndex
from kafila.reconcile.karmada.quota.controller import QUOTAS
from kafila.reconcile.karmada.relabelings import RelabelGuard
from kafila.reconcile.karmada.scheduler.asking_again import AskingAgain
from kafila.reconcile.karmada.scheduler.backoff import SchedulingBackoff
from kafila.reconcile.karmada.scheduler.context import Scheduler
from kafila.reconcile.karmada.scheduler.decision_records import DecisionRecorder
from kafila.reconcile.karmada.scheduler.priority import Priorities
from kafila.reconcile.karmada.withdrawals import PolicyGuard
from kafila.registry import Registry
from kafila.watch import Entry, Event, needles

from .attached_bindings import AttachedBindings
from .changes import Changed, EnqueueReason, OwnWrites, is_marked_alike, what_changed
from .claim import PolicyClaim
from .commit import Committer
from .deletion import DeletionController
from .enqueuer import Enqueuer
from .kinds import TemplateKinds
from .pipeline import Pipeline
from .propagation import Propagation
from .revisions import REVISIONS
from .stored import StoredBindings
from .template_queue import TemplateQueue
from .templates import StoredPolicies, StoredTemplates
from .unselected import Unselected
from .write_status import StatusWriter

_EVICTED = needles.field("gracefulEvictionTasks")
STATUS_DELAY = 0.05  # seconds: statuses of several members are added up in one write


@final
class TemplateController:
    name = "binding"

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        interpreting: Interpreting,
        clusters: Clusters,
        gates: Gates,
        skipped_namespaces: str,
        scheduler: Scheduler,
        limits: Limits,
    ) -> None:
        self._interpreting = interpreting
        self._clusters = clusters
        self._cache = registry.cache
        self._catalog = registry.catalog
        self._scheduler = scheduler
        self._skipped = (re.compile(skipped_namespaces),) if skipped_namespaces else ()
        priority_classes = PriorityClasses(registry.cache, gates)
        self.policies = PolicyIndex(self._cache, self._catalog)
        self.works = WorkIndex(self._cache)
        self._overrides = OverrideIndex(registry, clusters)
        self._claims = ClaimIndex()
        self._own = OwnWrites()
        self._kinds = TemplateKinds(self._catalog, lambda resource: at_once(self._enqueueing(resource)))
        self._templates = TemplateQueue(
            self._reconcile, Priorities(registry, priority_classes, gates, self.policies).of
        )
        self.queue = self._templates.queue
        self._bound = Enqueuer(self._cache, self._catalog, self._templates)
        self._asking_again = AskingAgain(clusters, lambda: self._bound.enqueue_failed(constants.REASON_NO_CLUSTER_FIT))
        self._without_overrides: set[Key] = set()  # templates whose policy waits for override policies
        self._backoff = SchedulingBackoff(
            lambda key, seconds: self._templates.enqueue(key, background=True, after=seconds), gates
        )

        self._relabeling = RelabelGuard(registry, recorder, clusters, limits)
        decisions = DecisionRecorder(registry)
        committer = Committer(registry, recorder, self._own, decisions, clusters.deleted_works)
        statuses = StatusWriter(registry, recorder, interpreting, committer.record)
        stored = StoredBindings(
            registry,
            clusters,
            priority_classes,
            gates,
            self.works,
            self._overrides,
            self.policies,
            scheduler,
            decisions,
            PolicyGuard(registry, recorder, clusters, self._claims, limits),
            self._relabeling,
        )
        pipeline = Pipeline(interpreting, stored, committer, scheduler, statuses)
        claim = PolicyClaim(registry, self.policies, self._own, self._templates)
        self._revisions = stored.revisions
        self._propagation = Propagation(
            StoredTemplates(registry, self.works, self._overrides, claim),
            StoredPolicies(gates, self.policies, self._overrides),
            pipeline,
            self._templates,
            self._backoff,
            self,
            recorder,
        )
        self._attached = AttachedBindings(registry, self.works, pipeline, self._templates)
        self._deletion = DeletionController(registry, self._attached, self._claims, committer, self._templates)
        self._unselected = Unselected(registry, recorder, interpreting, self.policies, self._skipped)
        self._cache.listen_to_all(self._observe)
        for resource in (POLICIES, CLUSTER_POLICIES):
            self._cache.listen(resource, self._observe_policy)
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            self._cache.listen(resource, self._observe_binding)
        for resource in self._overrides.resources:
            self._cache.listen(resource, self._observe_override)
        self._cache.listen(WORKS, self._observe_work)
        clusters.deleted_works.replay(self._observe_work)
        self._cache.listen("namespaces", self._observe_namespace)
        self._cache.listen(QUOTAS, self._observe_quota)
        self._cache.listen("clusters.cluster.karmada.io", self._observe_cluster)
        for resource in INTERPRETERS:
            self._cache.listen(resource, self._observe_interpreter)
        for resource in REVISIONS:
            self._cache.listen(resource, self._observe_revision)
        self._cache.on_reset(self.resync)

    async def start(self) -> None:
        await in_chunks(self._enqueueing_all())  # a binding whose Works are not all known would get others
        await self._revisions.collect()
        self.queue.start()
        self._bound.queue.start()
        self._deletion.start()
        self._unselected.queue.start()
        self._asking_again.start()

    def report_failures(self, report: Report) -> None:
        for queue in (self.queue, self._deletion.queue, self._unselected.queue):
            queue.on_failure = partial(report, queue.name)

    async def stop(self) -> None:
        await self._asking_again.stop()
        await self._unselected.queue.stop()
        await self._bound.queue.stop()
        await self.queue.stop()
        await self._deletion.stop()
        self._scheduler.close()

    def resync(self) -> None:
        """Enqueues everything, behind what users change now."""
        at_once(self._enqueueing_all())

    def _enqueueing_all(self) -> Chunks:
        yield from self.policies.loading()
        yield from self.works.loading()
        self._claims.clear()
        self._attached.clear()
        self._backoff.clear()
        for resource in list(self._cache.resources()):
            if resource.name in (BINDINGS, CLUSTER_BINDINGS) or resource.name in self._kinds:
                yield from self._enqueueing(resource.name)
        self._deletion.resync()

    def _enqueueing(self, resource: str) -> Chunks:
        bindings_of = resource in (BINDINGS, CLUSTER_BINDINGS)
        for chunk in self._cache.resource(resource).chunks():
            for entry in chunk:
                self._claims.put(entry)
                if bindings_of:
                    self._attached.put(entry)
                else:
                    self._templates.enqueue(entry.key, EnqueueReason.START, background=True)
            yield

    # -- what to enqueue ------------------------------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        if event.key.resource not in self._kinds:
            return
        if event.new is None:
            self._claims.remove(event.key)
            self._templates.forget(event.key)
            self._backoff.settled(event.key)
            return
        concerned = self._concerns_us(event.new)
        if event.old is not None and not concerned and is_marked_alike(event.old, event.new):
            return  # what else is in it is nobody's business here, and not read
        changed = Changed.CONTENT if event.old is None else what_changed(event.old, event.new)
        if changed is Changed.NOTHING:
            return
        self._claims.put(event.new)
        if event.old is None:
            self._unselected.created(event.new)
        if changed is Changed.CONTENT:
            self._backoff.settled(event.key)
            if concerned:
                self._templates.enqueue(event.key, EnqueueReason.USER)
        elif not self._own.hides(event.key, event.revision):
            self._templates.enqueue(event.key, EnqueueReason.POLICY)

    def _concerns_us(self, entry: Entry) -> bool:
        """Most objects that users write are no templates: no policy is or was about them, and nothing made them follow."""
        kind = self._catalog.storage_kind(entry.key.resource)
        if kind is None or entry.mentions(CLAIM) or self.policies.may_select(kind, entry):
            return True
        return entry.key in self._attached or may_have_binding(self._cache, kind, entry.key)

    def _observe_policy(self, event: Event) -> None:
        with POLICY.passed():
            self._enqueue_by_policy(event)

    def _enqueue_by_policy(self, event: Event) -> None:
        entry = event.new or event.old
        assert entry is not None
        for key in self._claims.keys(policy_id_of(entry)):
            if key.resource not in (BINDINGS, CLUSTER_BINDINGS):
                self._templates.enqueue(key, EnqueueReason.CLAIMING_POLICY, background=True)
        policy = self.policies.get(event.key)
        if policy is not None:
            for key in self.policies.targets(policy):
                self._templates.enqueue(key, EnqueueReason.POLICY, background=True)
        if event.new is not None and event.new.meta.deletionTimestamp:
            self._deletion.add(event.key)

    def _observe_binding(self, event: Event) -> None:
        self._attached.observe(event)
        self._bound.enqueue_peers(event)
        if event.new is None:
            self._claims.remove(event.key)
            if self._scheduler.assume_cache.forget(event.key):
                self._backoff.more_available()
            assert event.old is not None
            self._bound.enqueue(event.old)
            return
        self._claims.put(event.new)
        if event.new.meta.deletionTimestamp:
            self._deletion.observe_binding(event)
        elif self._own.hides(event.key, event.revision):
            return
        elif event.old is None or event.old.meta.generation != event.new.meta.generation:
            self._bound.enqueue(event.new, first=_leaves_a_cluster(event))

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
                self._templates.enqueue(key, EnqueueReason.STATUS, after=STATUS_DELAY)
                return
        self._templates.enqueue(key)

    def _observe_cluster(self, event: Event) -> None:
        if event.old is not None and event.new is not None and is_same_for_scheduler(event.old, event.new):
            self._observe_cluster_status(self._clusters.read(event.old), self._clusters.read(event.new))
            self._asking_again.changed(event.key.name)
            if self._relabeling.is_approval(event):
                self._bound.enqueue_all()
            return
        self._bound.enqueue_all()

    def _observe_cluster_status(self, old: Cluster, new: Cluster) -> None:
        if (old.get("status") or {}).get("apiEnablements") != (new.get("status") or {}).get("apiEnablements"):
            self._bound.enqueue_newly_served(old, new)
        if self._backoff and ClusterInfo(new).has_more_available_than(ClusterInfo(old)):
            self._backoff.more_available()

    def _observe_quota(self, event: Event) -> None:
        self._bound.enqueue_failed(constants.REASON_QUOTA_EXCEEDED, event.key.namespace)

    def _observe_namespace(self, event: Event) -> None:
        """It may use other clusters than before."""
        if limit_in(event.old) != limit_in(event.new):
            self._bound.enqueue_all(event.key.name)

    def _observe_override(self, event: Event) -> None:
        for key in self._without_overrides:
            self._templates.enqueue(key)
        self._without_overrides.clear()
        for policy in self._overrides.versions(event):
            if not (policy.get("spec") or {}).get("resourceSelectors"):
                self._bound.enqueue_all(event.key.namespace)
                continue
            for key in self.policies.targets(policy):
                self._templates.enqueue(key, background=True)

    def _observe_interpreter(self, event: Event) -> None:
        """What a kind means has changed."""
        self._bound.enqueue_kinds(self._interpreting.concerned(event))

    def _observe_revision(self, event: Event) -> None:
        """Somebody may have deleted it: while the template still is of that revision it can be kept anew."""
        if event.new is None and event.old is not None and not self._own.hides(event.key, event.revision):
            key = template_key_of(event.old, self._catalog)
            if key is not None:
                self._templates.enqueue(key, background=True)

    # -- what may change while a template is decided about -------------------------------------------------------------

    def snapshot(self) -> ClusterSnapshot:
        return self._clusters.snapshot()

    @property
    def rounds(self) -> int:
        return self._bound.rounds

    def wait_for_overrides(self, key: Key) -> None:
        self._without_overrides.add(key)

    # -- one template --------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key, why: EnqueueReason) -> None:
        kind = self._catalog.storage_kind(key.resource)
        entry = self._cache.get(*key)
        if kind is None or entry is None or entry.meta.deletionTimestamp:
            return
        if key.resource not in self._kinds:
            return  # a binding has led here, because a workload asks for something that goes everywhere or nowhere
        if is_skipped_object(kind.kind, key.namespace, key.name, self._skipped):
            return
        shares = self._attached.shares(kind, entry)
        try:
            await self._propagation.propagate(kind, entry, why, shares)
        except Exception:
            await self._attached.run(kind, key, why, shares)
            raise
        await self._attached.run(kind, key, why, shares)


def _leaves_a_cluster(event: Event) -> bool:
    """Evictions come by the thousand, and what users change goes before each; but who has to leave does not wait for a relist."""
    return any(entry is not None and entry.mentions(_EVICTED) for entry in (event.old, event.new))
