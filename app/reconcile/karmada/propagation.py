"""From a template to its Works, and from their statuses back to the template.

One reconciler, keyed by template, decides everything that follows from stored objects: the policy that claims the template,
its binding, the clusters and replicas, the Works, and the aggregated status. The steps are Karmada's (detector, scheduler,
binding controller, binding status controller) and each is a pure function of `placement`; here they are composed, so that
what one step decided need not be stored before the next one sees it: a new template costs two commits (claim; binding and
Works), and whatever happens between them, the next look at the stored objects finishes the job.
"""

from __future__ import annotations

import re
from typing import Any, final

from app.catalog.kind import Kind
from app.core.errors import StatusError
from app.core.resources import GroupVersionKind, Key
from app.placement import binding as bindings
from app.placement import names
from app.placement.match import choose_policy, is_skipped, is_skipped_object
from app.registry.codec import decode_entry
from app.watch import Entry, Event

from ..queue import WorkQueue
from .federation import BINDINGS, CLUSTER_BINDINGS, OPTIONS, WORKS, Federation
from .indexes import WorkIndex, binding_key_of, binding_key_of_work, template_key_of
from .pipeline import Pipeline
from .policies import CLUSTER_POLICIES, POLICIES, PolicyIndex

Object = dict[str, Any]
STATUS_DELAY = 0.05  # seconds: statuses of several members are added up in one write
UNSCHEDULABLE_RETRY = 30.0
OVERRIDES = ("overridepolicies.policy.karmada.io", "clusteroverridepolicies.policy.karmada.io")


@final
class Propagation:
    name = "binding"

    def __init__(self, federation: Federation, skipped_namespaces: str) -> None:
        self._federation = federation
        self._registry = federation.registry
        self._cache = federation.registry.cache
        self._catalog = federation.registry.catalog
        self._skipped = (re.compile(skipped_namespaces),) if skipped_namespaces else ()
        self.policies = PolicyIndex(self._cache, self._catalog)
        self.works = WorkIndex(self._cache)
        self._pipeline = Pipeline(federation, self.works)
        self._templates: dict[str, bool] = {}  # resource -> may its objects be propagated?
        self._claimed: dict[str, set[Key]] = {}  # permanent id of a policy -> templates it has claimed
        self.queue: WorkQueue[Key] = WorkQueue("resource-template", self._reconcile, concurrency=16)
        self.ending: WorkQueue[Key] = WorkQueue("binding", self._end_binding, concurrency=16)
        self._cache.listen_to_all(self._observe)
        for resource in (POLICIES, CLUSTER_POLICIES):
            self._cache.listen(resource, self._observe_policy)
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            self._cache.listen(resource, self._observe_binding)
        for resource in OVERRIDES:
            self._cache.listen(resource, self._observe_override)
        self._cache.listen(WORKS, self._observe_work)
        self._cache.listen("clusters.cluster.karmada.io", self._observe_cluster)
        self._cache.on_reset(self.resync)

    def start(self) -> None:
        self.resync()
        self.queue.start()
        self.ending.start()

    async def stop(self) -> None:
        await self.queue.stop()
        await self.ending.stop()

    def resync(self) -> None:
        """Everything is looked at again, behind what users change now."""
        self.policies.load()
        self.works.load()
        self._claimed.clear()
        for resource in self._cache.resources():
            if self._propagates(resource.name):
                for entry in resource.entries():
                    self._note_claim(entry)
                    self.queue.add(entry.key, background=True)
        for name in (BINDINGS, CLUSTER_BINDINGS):
            for entry in self._cache.resource(name).entries():
                if entry.meta.deletionTimestamp:
                    self.ending.add(entry.key)

    # -- what to look at -----------------------------------------------------------------------------------------------

    def _propagates(self, resource: str) -> bool:
        known = self._templates.get(resource)
        if known is None:
            kind = self._catalog.storage_kind(resource)
            known = kind is not None and not is_skipped(GroupVersionKind(kind.group, kind.version, kind.kind))
            if kind is not None and resource in ("namespaces", "componentstatuses"):
                known = resource != "componentstatuses"
            self._templates[resource] = known
        return known

    def _observe(self, event: Event) -> None:
        if not self._propagates(event.key.resource):
            return
        if event.new is None:
            self._forget_claim(event.key, event.old)
            return
        self._note_claim(event.new)
        if event.old is None or differs(event.old, event.new):
            self.queue.add(event.key)

    def _note_claim(self, entry: Entry) -> None:
        labels = entry.meta.labels or {}
        policy_id = labels.get(names.PP_PERMANENT_ID) or labels.get(names.CPP_PERMANENT_ID)
        if policy_id:
            self._claimed.setdefault(policy_id, set()).add(entry.key)

    def _forget_claim(self, key: Key, entry: Entry | None) -> None:
        labels = (entry.meta.labels or {}) if entry is not None else {}
        for label in (names.PP_PERMANENT_ID, names.CPP_PERMANENT_ID):
            self._claimed.get(labels.get(label, ""), set()).discard(key)

    def _observe_policy(self, event: Event) -> None:
        entry = event.new or event.old
        assert entry is not None
        labels = entry.meta.labels or {}
        policy_id = labels.get(names.PP_PERMANENT_ID) or labels.get(names.CPP_PERMANENT_ID) or ""
        for key in self._claimed.get(policy_id, ()):
            self.queue.add(key, background=True)
        policy = self.policies.get(event.key)
        if policy is not None:
            for key in self.policies.targets(policy):
                self.queue.add(key, background=True)
        if event.new is not None and event.new.meta.deletionTimestamp:
            self.ending.add(event.key)

    def _observe_binding(self, event: Event) -> None:
        if event.new is None:
            key = template_key_of(event.old, self._catalog) if event.old is not None else None
            if key is not None:
                self.queue.add(key)
            return
        if event.new.meta.deletionTimestamp:
            self.ending.add(event.key)
        elif self._pipeline.wrote(event.key, event.new):
            return
        elif event.old is None or event.old.meta.generation != event.new.meta.generation:
            key = template_key_of(event.new, self._catalog)
            if key is not None:
                self.queue.add(key)

    def _observe_work(self, event: Event) -> None:
        entry = event.new or event.old
        assert entry is not None
        if event.old is None:
            return  # made by us just now
        binding_key = binding_key_of_work(entry)
        binding = self._cache.get(*binding_key) if binding_key is not None else None
        if binding is None:
            return
        if binding.meta.deletionTimestamp:
            self.ending.add(binding.key)
        key = template_key_of(binding, self._catalog)
        if key is not None:
            self.queue.add_after(key, STATUS_DELAY)

    def _observe_cluster(self, event: Event) -> None:
        if event.old is not None and event.new is not None:
            same = (
                event.old.meta.generation == event.new.meta.generation
                and event.old.meta.labels == event.new.meta.labels
            )
            if same and event.old.meta.deletionTimestamp == event.new.meta.deletionTimestamp:
                return
        self._all_bound()

    def _observe_override(self, event: Event) -> None:
        self._pipeline.forget_overrides()
        self._all_bound()

    def _all_bound(self) -> None:
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            for entry in self._cache.resource(resource).entries():
                key = template_key_of(entry, self._catalog)
                if key is not None:
                    self.queue.add(key, background=True)

    # -- one template --------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        kind = self._catalog.storage_kind(key.resource)
        entry = self._cache.get(*key)
        if kind is None or entry is None or entry.meta.deletionTimestamp:
            return
        if is_skipped_object(kind.kind, key.namespace, key.name, self._skipped):
            return
        template = decode_entry(kind, entry)
        if (template["metadata"].get("labels") or {}).get(names.CLAIMED_BY):
            return
        binding_key = binding_key_of(template)
        existing = self._cache.get(*binding_key)
        policy = self._policy_of(template)
        if policy is None:
            template = await self._release(kind, key, template)
            if existing is None:
                return
        else:
            template = await self._claim(kind, key, template, policy)
        if existing is not None and existing.meta.deletionTimestamp:
            return  # comes back when the binding is gone
        retry = await self._pipeline.run(kind, template, policy, existing)
        if retry == "unschedulable":
            self.queue.add_after(key, UNSCHEDULABLE_RETRY)
        elif retry == "backoff":
            raise StatusError(500, "", "the binding could not be scheduled")

    def _policy_of(self, template: Object) -> Object | None:
        """The policy that has claimed the template, as long as it selects it, else the best that does."""
        claimed = bindings.claimed_by(template)
        own, cluster_wide = self.policies.candidates(template)
        if claimed is not None:
            namespace, name, policy_id = claimed
            resource = POLICIES if namespace else CLUSTER_POLICIES
            policy = self.policies.get(Key(resource, namespace, name))
            if policy is not None and not policy["metadata"].get("deletionTimestamp"):
                same = policy_id in (policy["metadata"].get("labels") or {}).values()
                if same and bindings.still_matches(template, policy):
                    return policy
        return choose_policy(template, own, cluster_wide).policy

    async def _claim(self, kind: Kind, key: Key, template: Object, policy: Object) -> Object:
        """The first commit: the template says whose it is. The binding stores the revision that this gives."""
        if bindings.claim(template, policy) is template:
            return template
        entry = await self._registry.modify(
            kind, key.namespace, key.name, lambda current: bindings.claim(current, policy), OPTIONS
        )
        self._federation.recorder.event(template, *bindings.applied_event(policy))
        return decode_entry(kind, entry)

    async def _release(self, kind: Kind, key: Key, template: Object) -> Object:
        """Takes the mark of a policy that is gone off the template; binding and Works stay (Karmada keeps them)."""
        if bindings.unclaim(template) is template:
            return template
        binding_key = binding_key_of(template)
        binding_kind = self._federation.binding_kind if key.namespace else self._federation.cluster_binding_kind
        if self._cache.get(*binding_key) is not None:
            await self._registry.modify(
                binding_kind, binding_key.namespace, binding_key.name, bindings.unclaim, OPTIONS
            )
        entry = await self._registry.modify(kind, key.namespace, key.name, bindings.unclaim, OPTIONS)
        return decode_entry(kind, entry)

    # -- ends ----------------------------------------------------------------------------------------------------------

    async def _end_binding(self, key: Key) -> None:
        """A binding or policy that is being deleted: what hangs on it goes first, then its finalizer."""
        entry = self._cache.get(*key)
        kind = self._catalog.storage_kind(key.resource)
        if entry is None or kind is None or not entry.meta.deletionTimestamp:
            return
        finalizers = entry.meta.finalizers or ()
        if key.resource in (POLICIES, CLUSTER_POLICIES):
            await self._end_policy(kind, entry)
            return
        works = self.works.entries(_own_id(entry))
        if works:
            await self._pipeline.delete_works(works)
            return  # the last Work that goes brings us back
        ours = names.FINALIZER_BINDING if key.namespace else names.FINALIZER_CLUSTER_BINDING
        if ours in finalizers:
            await self._federation.drop_finalizer(kind, decode_entry(kind, entry), ours)

    async def _end_policy(self, kind: Kind, entry: Entry) -> None:
        labels = entry.meta.labels or {}
        policy_id = labels.get(names.PP_PERMANENT_ID) or labels.get(names.CPP_PERMANENT_ID) or ""
        policy = decode_entry(kind, entry)
        for key in list(self._claimed.get(policy_id, ())):
            template_kind = self._catalog.storage_kind(key.resource)
            template = self._cache.get(*key)
            if template_kind is None or template is None:
                continue
            obj = decode_entry(template_kind, template)
            if bindings.unclaim(obj, policy) is not obj:
                await self._release(template_kind, key, obj)
            self.queue.add(key)
        self._claimed.pop(policy_id, None)
        ours = names.FINALIZER_PP if entry.key.namespace else names.FINALIZER_CPP
        if ours in (entry.meta.finalizers or ()):
            await self._federation.drop_finalizer(kind, policy, ours)


def _own_id(entry: Entry) -> str:
    labels = entry.meta.labels or {}
    return labels.get(names.RB_PERMANENT_ID) or labels.get(names.CRB_PERMANENT_ID) or ""


def differs(old: Entry, new: Entry) -> bool:
    """Did anything change but status, managedFields and resourceVersion?"""
    before, after = old.meta, new.meta
    if (before.generation, before.deletionTimestamp, before.labels, before.annotations) != (
        after.generation,
        after.deletionTimestamp,
        after.labels,
        after.annotations,
    ):
        return True
    if after.generation:
        return False
    return _without_status(old) != _without_status(new)


def _without_status(entry: Entry) -> Object:
    obj = entry.decode()
    obj.pop("status", None)
    obj["metadata"].pop("managedFields", None)
    obj["metadata"].pop("resourceVersion", None)
    return obj
