"""propagateDeps: what a workload needs beside it follows the workload.

Keyed by the binding of the workload, the parent. From the workload's dependencies follow the bindings attached to it: one per
object that exists, with the parent's clusters in ``spec.requiredBy``. What is decided is written in one commit. The attached
bindings' own Works are made where all Works are made, by `propagation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.resources import Key, gvk_of, split_api_version
from kafila.core.selectors import SelectorError, from_object
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.aggregate_errors import aggregate_text
from kafila.placement.detector.attached import (
    attach,
    conflict_of,
    dependencies_event,
    detach,
    is_dependency,
    parent_keys,
    required_in,
    with_dependencies,
)
from kafila.placement.detector.binding import BindingError, resource_reference
from kafila.placement.interpreter import InterpretError, Operation
from kafila.placement.objects import identity, labels_of
from kafila.placement.rollout.dependents import NOTHING, Needs, all_of, needing, revisions_somewhere
from kafila.placement.rollout.revision import template_in
from kafila.placement.types import Binding, RolloutStatus
from kafila.reconcile.chunks import Chunks, at_once, in_chunks
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import INTERPRETERS, Interpreting
from kafila.reconcile.karmada.indexes import binding_key, id_of_binding
from kafila.reconcile.karmada.kinds import BINDINGS, WITH_STATUS, Kinds
from kafila.reconcile.karmada.template.changes import Changed, what_changed
from kafila.reconcile.karmada.template.revisions import Revisions
from kafila.reconcile.karmada.writes import drop_finalizer
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change
from kafila.watch import Entry, Event, needles

from .index import DependencyIndex

_FLAG = needles.field("propagateDeps", True)
_ROLLOUT = b'"rollout":'
_FAILED = "Warning", constants.EVENT_SYNC_DEPENDENCIES_FAILED
_DONE = "Normal", constants.EVENT_SYNC_DEPENDENCIES, "Sync schedule results to dependencies succeed."


class DependencyError(Exception):
    """Some dependencies could not be followed; tried again with a growing delay."""

    expected = True


@final
class DependenciesDistributor(QueueController[Key]):
    name = "dependencies-distributor"

    def __init__(self, registry: Registry, recorder: Recorder, interpreting: Interpreting) -> None:
        super().__init__(registry.cache, self.name, concurrency=8)
        self._recorder = recorder
        self._interpreting = interpreting
        self._registry = registry
        self._cache = registry.cache
        self._catalog = registry.catalog
        self._kinds = Kinds(registry)
        self._kind = self._kinds.binding
        self._revisions = Revisions(registry)
        self.index = DependencyIndex(self._cache, self._catalog)
        self._conflicts: dict[Key, str] = {}  # of attached bindings, as they were recorded or found
        self._cache.listen(BINDINGS, self._observe_binding)
        self._cache.listen_to_all(self._observe)
        for resource in INTERPRETERS:
            self._cache.listen(resource, self._observe_interpreter)

    async def start(self) -> None:
        await in_chunks(self._all_chunks())
        self.queue.start()

    def resync(self) -> None:
        at_once(self._all_chunks())

    def _all_chunks(self) -> Chunks:
        yield from self.index.loading()
        self._enqueue_all()

    def _enqueue_all(self) -> None:
        for entry in self._cache.resource(BINDINGS).entries():
            if _concerns(entry):
                self.queue.add(entry.key, background=True)

    # -- what to enqueue -----------------------------------------------------------------------------------------------

    def _observe_binding(self, event: Event) -> None:
        self.index.observe(event)
        old, new = event.old, event.new
        if new is None:
            assert old is not None
            self._conflicts.pop(event.key, None)
            self._wake_parents(old)
        elif event.generation_changed:
            if _concerns(new) or (old is not None and _concerns(old)):
                self.queue.add(event.key)
        elif new.mentions(_FLAG) and new.mentions(_ROLLOUT) and _rollout(old) != _rollout(new):
            self.queue.add(event.key)

    def _observe_interpreter(self, event: Event) -> None:
        if self._interpreting.concerned(event):
            self._enqueue_all()

    def _wake_parents(self, attached: Entry) -> None:
        """Its object may be there again, under another uid: only now it can have a binding."""
        if any(label.startswith(constants.DEPENDED_BY_PREFIX) for label in attached.meta.labels or ()):
            for namespace, name in parent_keys(self._kinds.read_binding(attached)):
                self.queue.add(Key(BINDINGS, namespace, name))

    def _observe(self, event: Event) -> None:
        """An object that somebody depends on came, changed or went."""
        parents = self.index.parents(event)
        if not parents:
            return
        if event.old is not None and event.new is not None and what_changed(event.old, event.new) is Changed.NOTHING:
            return
        for parent in parents:
            self.queue.add(parent)

    # -- one parent ----------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        entry = self._cache.get(*key)
        if entry is None:
            return
        parent = self._kinds.read_binding(entry)
        if parent["metadata"].get("deletionTimestamp") or not parent["spec"].get("propagateDeps"):
            await self._let_go(parent, entry)
            return
        if not parent["spec"].get("clusters") and not self.index.depends_on_any(key):
            return
        workload = self._workload(parent)
        if workload is None or not self._interpreting.sources.hook_enabled(gvk_of(workload), Operation.DEPENDENCY):
            return
        try:
            needs = await self._needs(parent, workload)
        except InterpretError as error:
            self._record(workload, "Warning", constants.EVENT_GET_DEPENDENCIES_FAILED, str(error))
            raise
        await self._sync(entry, parent, workload, needs)

    async def _needs(self, parent: Binding, workload: Object) -> Needs:
        """By revision of the workload; where no rollout brings it there is one, "". Raises InterpretError."""
        rollout = _rollout_of(parent)
        if rollout is None:
            return {"": await self._dependencies(workload)}
        found: dict[str, list[Object] | None] = {}
        for revision in revisions_somewhere(parent, rollout):
            stored = self._revisions.of(parent, revision)
            version = template_in(stored.obj if stored is not None else None, workload, revision)
            if version is None and revision == rollout["revision"]:
                version = workload
            found[revision] = await self._dependencies(version) or [] if version is not None else None
        return found

    async def _dependencies(self, workload: Object) -> list[Object] | None:
        return await self._interpreting.decide(lambda interpreter: interpreter.get_dependencies(workload))

    def _workload(self, parent: Binding) -> Object | None:
        resource = parent["spec"]["resource"]
        found = self._objects({**resource, "labelSelector": None})
        return found[0] if found else None

    async def _sync(self, entry: Entry, parent: Binding, workload: Object, needs: Needs) -> None:
        """Writes the parent and the bindings attached to it; one that fails does not keep the others from being written."""
        changes: list[Change] = []
        errors: list[str] = []
        dependencies = all_of(needs)
        wanted = with_dependencies(parent, None if needs.get("", NOTHING) is None else dependencies)
        # before we look for them: whatever comes while this is stored leads to another run
        self.index.refer(entry.key, wanted["metadata"]["annotations"][constants.RB_DEPENDENCIES])
        if wanted is not parent:
            changes.append(self._registry.stage_update(self._kind, entry, wanted, WITH_STATUS))
        conflicts: list[tuple[Key, str]] = []
        for attached in self.index.attached_to(entry.key):
            if not self._is_still_needed(attached, dependencies) and not self._may_be_needed(attached, parent, needs):
                changes.append(self._detached(attached, entry.key, conflicts))
        for found in self._dependents(dependencies, entry.key.namespace, errors):
            try:
                _check_loop(workload, found)
                key, change, conflict = self._attached(parent, found, needs)
            except (BindingError, DependencyError, StatusError) as error:
                errors.append(str(error))
                continue
            if change is not None:
                changes.append(change)
            if change is not None or self._conflicts.get(key, conflict) != conflict:
                conflicts.append((key, conflict))
            self._conflicts.setdefault(key, conflict)
        try:
            if changes:
                await self._registry.commit_together(changes)
        except StatusError as error:
            if not error.is_conflict:
                self._record(parent, *_FAILED, str(error))
            raise
        if changes:
            self._record(workload, "Normal", constants.EVENT_GET_DEPENDENCIES, dependencies_event(dependencies))
        for key, conflict in conflicts:
            self._record_conflict(key, conflict)
        if errors:
            self._record(parent, *_FAILED, aggregate_text(errors))
            raise DependencyError(aggregate_text(errors))
        if changes:
            self._record(parent, *_DONE)

    def _dependents(self, dependencies: Iterable[Object], namespace: str, errors: list[str]) -> Iterable[Object]:
        """The objects that exist, each once. One of another namespace cannot own a binding in this one."""
        found: dict[str, Object] = {}
        for dependency in dependencies:
            try:
                for obj in self._objects(dependency):
                    if obj["metadata"].get("namespace", namespace) == namespace:
                        found.setdefault(obj["metadata"]["uid"], obj)
            except (DependencyError, SelectorError) as error:
                errors.append(str(error))
        return found.values()

    def _objects(self, reference: Object) -> list[Object]:
        api_version = reference.get("apiVersion") or ""
        group, version = split_api_version(api_version)
        kind = self._catalog.by_kind(group, version, reference.get("kind") or "")
        if kind is None:
            raise DependencyError(f'no matches for kind "{reference.get("kind") or ""}" in version "{api_version}"')
        namespace = reference.get("namespace") or ""
        if reference.get("name"):
            entry = self._cache.get(kind.resource, namespace, reference["name"])
            return [decode_entry(kind, entry)] if entry is not None else []
        if reference.get("labelSelector") is None:
            raise DependencyError(
                "the Name and LabelSelector in the DependentObjectReference cannot be empty at the same time"
            )
        if namespace and not kind.namespaced:
            raise DependencyError("the server could not find the requested resource")
        selector = from_object(reference["labelSelector"])
        entries = self._cache.resource(kind.resource).entries(namespace)
        return [decode_entry(kind, entry) for entry in entries if selector.matches(entry.meta.labels or {})]

    # -- attached bindings ---------------------------------------------------------------------------------------------

    def _attached(self, parent: Binding, dependency: Object, needs: Needs) -> tuple[Key, Change | None, str]:
        """The attached binding, what is to be written of it, and in what its parents disagree."""
        namespace = parent["metadata"]["namespace"]
        key = binding_key(self._cache, identity(dependency), namespace)
        entry = self._cache.get(*key)
        existing = self._kinds.read_binding(entry) if entry is not None else None
        there = _where_needed(parent, dependency, existing, needs)
        wanted, conflict = attach(there, dependency, existing, self._parents(existing), called=key.name)
        if entry is None:
            return key, self._registry.stage_create(self._kind, namespace, wanted, WITH_STATUS), conflict
        if wanted is existing:
            return key, None, conflict
        return key, self._registry.stage_update(self._kind, entry, wanted, WITH_STATUS), conflict

    def _is_still_needed(self, attached: Entry, dependencies: list[Object]) -> bool:
        resource = self._kinds.read_binding(attached)["spec"]["resource"]
        kind = self._kind_of(resource)
        entry = (
            self._cache.get(kind.resource, resource.get("namespace") or "", resource["name"])
            if kind is not None
            else None
        )
        labels = (entry.meta.labels or {}) if entry is not None else {}
        return is_dependency(resource, labels, dependencies)

    def _may_be_needed(self, attached: Entry, parent: Binding, needs: Needs) -> bool:
        """By a revision that is in a cluster, and of which nobody knows any more what it needs."""
        rollout = _rollout_of(parent)
        if rollout is None or None not in needs.values():
            return False
        before = required_in(self._kinds.read_binding(attached), parent)
        return bool(needing(parent, rollout, needs, lambda dependencies: False, before))

    def _kind_of(self, resource: AnyObject) -> Kind | None:
        return self._catalog.by_kind(*split_api_version(resource["apiVersion"]), resource["kind"])

    def _detached(self, attached: Entry, parent: Key, conflicts: list[tuple[Key, str]]) -> Change:
        """``conflicts``: gets the one that is left among the others, when it is another one."""
        binding = self._kinds.read_binding(attached)
        others = [each for each in self._parents(binding) if each["metadata"]["name"] != parent.name]
        left = conflict_of(others) if binding["spec"].get("placement") is None else ""
        if self._conflicts.get(attached.key, left) != left:
            conflicts.append((attached.key, left))
        return self._registry.stage_update(
            self._kind, attached, detach(binding, parent.namespace, parent.name, others), WITH_STATUS
        )

    def _parents(self, binding: Binding | None) -> list[Binding]:
        entries = [self._cache.get(BINDINGS, *key) for key in parent_keys(binding)] if binding is not None else []
        return [self._kinds.read_binding(entry) for entry in entries if entry is not None]

    async def _let_go(self, parent: Binding, entry: Entry) -> None:
        """Nothing follows this parent any more."""
        identity = id_of_binding(entry)
        label = constants.depended_by_label(entry.key.namespace, entry.key.name)
        attached = [each for each in self.index.attached_to(entry.key) if (each.meta.labels or {})[label] == identity]
        conflicts: list[tuple[Key, str]] = []
        await self._registry.commit_together([self._detached(each, entry.key, conflicts) for each in attached])
        for key, conflict in conflicts:
            self._record_conflict(key, conflict)
        if constants.FINALIZER_DEPENDENCIES in (entry.meta.finalizers or ()):
            await drop_finalizer(self._registry, self._kind, parent, constants.FINALIZER_DEPENDENCIES)

    # -- events --------------------------------------------------------------------------------------------------------

    def _record(self, obj: AnyObject, event_type: str, reason: str, message: str) -> None:
        self._recorder.event(obj, event_type, reason, message)

    def _record_conflict(self, key: Key, conflict: str) -> None:
        """Also where nothing was stored anew: of two fields one may still be in conflict."""
        self._conflicts[key] = conflict
        entry = self._cache.get(*key)
        if conflict and entry is not None:
            self._record(self._kinds.read_binding(entry), "Warning", constants.EVENT_DEPENDENCY_CONFLICT, conflict)


def _where_needed(parent: Binding, dependency: Object, existing: Binding | None, needs: Needs) -> Binding:
    """The parent with those of its clusters that have a revision which needs the object."""
    rollout = _rollout_of(parent)
    if rollout is None:
        return parent
    resource, labels = resource_reference(dependency), labels_of(dependency)
    before = required_in(existing, parent) if existing is not None else ()
    found = needing(parent, rollout, needs, lambda named: is_dependency(resource, labels, named), before)
    return {**parent, "spec": {**parent["spec"], "clusters": found}}


def _rollout_of(parent: Binding) -> RolloutStatus | None:
    return (parent.get("status") or {}).get("rollout")


def _rollout(entry: Entry | None) -> object:
    return (entry.decode().get("status") or {}).get("rollout") if entry is not None else None


def _check_loop(workload: Object, dependency: Object) -> None:
    metadata = workload["metadata"]
    if dependency["metadata"]["uid"] == metadata["uid"]:
        where = f"{metadata.get('namespace', '')}/{metadata['name']}"
        raise DependencyError(f"{workload['kind']}({where}) depends on itself")


def _concerns(binding: Entry) -> bool:
    return binding.mentions(_FLAG) or constants.FINALIZER_DEPENDENCIES in (binding.meta.finalizers or ())
