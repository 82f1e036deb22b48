"""endpointSlice: the slices that members export, as EndpointSlices of the control plane (Karmada's endpointslice-controller).

From there they follow the ServiceImports of their service to the clusters that use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from kafila.core import sets
from kafila.core.conditions import condition, conditions_of, find, with_condition
from kafila.core.errors import ignoring_not_found
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.services.imported import Ports, imported_slice, port_conflict, ports_of, work_of
from kafila.placement.services.slices import same_content, slice_in
from kafila.placement.types import Work
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.kinds import OPTIONS, WORKS, Kinds, stored_work
from kafila.reconcile.karmada.measures import SLICES_IMPORTED
from kafila.reconcile.karmada.writes import drop_finalizer
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.watch import Entry, Event, needles

from .index import Service, ServiceWorks
from .taken import TakenSlices, refusal

SLICES: Final = "endpointslices.discovery.k8s.io"
EXPORTS: Final = "serviceexports.multicluster.x-k8s.io"
PORTS_DELAY: Final = 0.2  # seconds: what several clusters say is compared once
_IMPORTED: Final = needles.field(constants.SLICE_MANAGED_BY, constants.ENDPOINTSLICE_CONTROLLER)


class InTheWay(Exception):
    """The slice's name is another object's."""

    expected = True


@final
class EndpointSlices(QueueController[Key]):
    """Keys are Works with collected slices, and ServiceExports whose clusters are compared."""

    name = "endpointSlice"

    def __init__(self, registry: Registry, recorder: Recorder, works: ServiceWorks) -> None:
        super().__init__(registry.cache, "endpointslice", concurrency=8)
        self._registry = registry
        self._recorder = recorder
        self._works = works
        self._kinds = Kinds(registry)
        self._kind = registry.kind("discovery.k8s.io", "v1", "endpointslices")
        self._export_kind = registry.kind("multicluster.x-k8s.io", "v1alpha1", "serviceexports")
        self._slices: dict[Key, set[Key]] = {}  # in the control plane, by Work
        self._ports: dict[Key, Ports] = {}  # by Work
        self._told: dict[Key, str] = {}  # what is in the way of a Work's slice
        self._taken = TakenSlices()
        registry.cache.listen(WORKS, self._observe)
        registry.cache.listen(SLICES, self._observe_slice)
        registry.cache.listen(EXPORTS, self._observe_export)
        works.listen(self._changed)

    def resync(self) -> None:
        self._slices.clear()
        self._ports.clear()
        for entry in self._registry.cache.resource(SLICES).entries():
            work = _work_of(entry)
            if work is not None:
                self._slices.setdefault(work, set()).add(entry.key)
        self._taken.clear()
        for key in self._slices:  # who has a place keeps it
            self._taken.admit(key)
        concerned = {entry.key for entry in self._registry.cache.resource(WORKS).entries() if _concerns(entry)}
        for key in concerned | self._slices.keys():
            self.queue.add(key, background=True)

    # -- what happens --------------------------------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        old, new = event.old, event.new
        if not any(entry is not None and _concerns(entry) for entry in (old, new)):
            return
        if old is not None and new is not None and old.meta.generation == new.meta.generation:
            if (old.meta.labels, old.meta.deletionTimestamp) == (new.meta.labels, new.meta.deletionTimestamp):
                return
        self.queue.add(event.key)

    def _observe_slice(self, event: Event) -> None:
        """Somebody else may have changed or deleted it, or what was in the way is gone."""
        before, after = _work_of(event.old), _work_of(event.new)
        if before is not None and before != after:
            sets.discard(self._slices, before, event.key)
            self.queue.add(before)
        if after is not None:
            self._slices.setdefault(after, set()).add(event.key)
            if event.old is not None:
                self.queue.add(after, background=True)

    def _observe_export(self, event: Event) -> None:
        if event.old is None:
            self.queue.add_after(event.key, PORTS_DELAY)

    def _changed(self, services: Iterable[Service]) -> None:
        for service in services:
            for key in self._works.works_of(service):
                self.queue.add(key)

    # -- what is done --------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        if key.resource == EXPORTS:
            await self._compare(key)
            return
        entry = self._registry.cache.get(*key)
        work = self._kinds.read_work(entry) if entry is not None else None
        wanted = self._wanted(key, entry, work)
        if wanted is not None and not self._taken.admit(key):
            wanted = None
            self._refuse(key, entry)
        elif wanted is None and (other := self._taken.release(key)) is not None:
            self.queue.add(other, background=True)
        for found in sorted(self._slices.get(key, ())):
            if wanted is None or found != _key_of(wanted):
                await self._delete(found)
        self._note_ports(key, entry, work if wanted is not None else None)
        if wanted is None:
            self._told.pop(key, None)
        if wanted is not None:
            assert work is not None
            await self._put(key, wanted, work)
        elif entry is not None and work is not None:
            if constants.FINALIZER_ENDPOINTSLICE in (entry.meta.finalizers or ()) and self._is_over(entry):
                await drop_finalizer(self._registry, self._kinds.work, work, constants.FINALIZER_ENDPOINTSLICE)

    def _wanted(self, key: Key, entry: Entry | None, work: Work | None) -> Object | None:
        """The slice that is to be there for a Work: none where the service is not exported by the control plane."""
        if entry is None or work is None or self._is_over(entry):
            return None
        labels = entry.meta.labels or {}
        service = Service(
            key.namespace,
            constants.SERVICE_EXPORT_KIND,
            labels.get(constants.ENDPOINTSLICE_NAMESPACE, ""),
            labels.get(constants.ENDPOINTSLICE_NAME, ""),
        )
        if not self._works.is_asked_for(service):
            return None
        return imported_slice(work, constants.cluster_of(key.namespace))

    def _is_over(self, entry: Entry) -> bool:
        return bool(entry.meta.deletionTimestamp) or not (entry.meta.labels or {}).get(constants.ENDPOINTSLICE_NAME)

    async def _put(self, key: Key, wanted: Object, work: Work) -> None:
        where = _key_of(wanted)
        found = self._registry.cache.get(*where)
        if found is None:
            obj = decode_object(self._kind, wanted, OPTIONS)
            await self._registry.create(self._kind, where.namespace, obj, OPTIONS)
        else:
            current = decode_entry(self._kind, found)
            if not self._may_replace(found, key):
                self._tell(key, work, where)
                raise InTheWay(f"EndpointSlice {where.namespace}/{where.name} is another object's")
            if current.get("addressType") != wanted.get("addressType"):
                await self._delete(where)  # it cannot be changed
                self.queue.add(key)
                return
            if _merged(current, wanted) == current:
                self._told.pop(key, None)
                return
            await self._registry.modify(
                self._kind, where.namespace, where.name, lambda obj: _merged(obj, wanted), OPTIONS
            )
        self._told.pop(key, None)
        SLICES_IMPORTED.labels(constants.cluster_of(key.namespace)).inc()

    def _may_replace(self, found: Entry, key: Key) -> bool:
        """Ours, or left by a Work that is gone."""
        owner = _work_of(found)
        return owner is not None and (owner == key or self._registry.cache.get(*owner) is None)

    async def _delete(self, key: Key) -> None:
        with ignoring_not_found():
            await self._registry.delete(self._kind, key.namespace, key.name, DeleteOptions())

    def _tell(self, key: Key, work: Work, where: Key) -> None:
        text = f"EndpointSlice {where.namespace}/{where.name} of the control plane is another object's"
        if self._told.get(key) != text:
            self._told[key] = text
            self._recorder.event(work, "Warning", constants.EVENT_ENDPOINTSLICE_REFUSED, text)

    def _refuse(self, key: Key, entry: Entry | None) -> None:
        labels = (entry.meta.labels or {}) if entry is not None else {}
        where = labels.get(constants.ENDPOINTSLICE_NAMESPACE, ""), labels.get(constants.ENDPOINTSLICE_NAME, "")
        about = Key(EXPORTS, *where)
        export = self._registry.cache.get(*about)
        if export is not None and self._taken.is_news(key, about):
            text, obj = refusal(constants.cluster_of(key.namespace)), decode_entry(self._export_kind, export)
            self._recorder.event(obj, "Warning", constants.EVENT_ENDPOINTSLICE_REFUSED, text)

    # -- ports ---------------------------------------------------------------------------------------------------------

    def _note_ports(self, key: Key, entry: Entry | None, work: Work | None) -> None:
        """Compares the clusters of a service when the ports of one have changed."""
        before = self._ports.pop(key, None)
        found = slice_in(work) if work is not None else None
        if found is not None:
            self._ports[key] = ports_of(found)
        labels = (entry.meta.labels or {}) if entry is not None else {}
        if before != self._ports.get(key) and labels.get(constants.ENDPOINTSLICE_NAME):
            where = labels.get(constants.ENDPOINTSLICE_NAMESPACE, ""), labels[constants.ENDPOINTSLICE_NAME]
            self.queue.add_after(Key(EXPORTS, *where), PORTS_DELAY)

    async def _compare(self, key: Key) -> None:
        """The condition Conflict of a ServiceExport. It is written where there is, or was, something to say."""
        entry = self._registry.cache.get(*key)
        if entry is None or entry.meta.deletionTimestamp:
            return
        conflict = port_conflict(self._ports_by_cluster(key))
        obj = decode_entry(self._export_kind, entry)
        said = find(conditions_of(obj), constants.COND_CONFLICT)
        if conflict:
            new = condition(constants.COND_CONFLICT, "True", constants.REASON_PORT_CONFLICT, conflict)
        elif said is None or said.get("status") != "True":
            return
        else:
            text = "the clusters export it with the same ports"
            new = condition(constants.COND_CONFLICT, "False", constants.REASON_NO_CONFLICTS, text)
        if said is not None and {**said, **new} == said:
            return

        def written(current: Object) -> Object:
            status = current.get("status") or {}
            return {**current, "status": {**status, "conditions": with_condition(status.get("conditions"), new)}}

        with ignoring_not_found():
            await self._registry.modify(self._export_kind, key.namespace, key.name, written, OPTIONS, "status")
            if conflict:
                self._recorder.event(obj, "Warning", constants.EVENT_PORT_CONFLICT, conflict)

    def _ports_by_cluster(self, key: Key) -> dict[str, Ports]:
        """A cluster without endpoints says nothing of ports."""
        found: dict[str, Ports] = {}
        for work in self._works.everywhere(constants.SERVICE_EXPORT_KIND, key.namespace, key.name):
            if work not in self._ports:
                entry = self._registry.cache.get(*work)
                held = slice_in(stored_work(entry)) if entry is not None else None
                self._ports[work] = ports_of(held) if held is not None else Ports()
            if self._ports[work]:
                cluster = constants.cluster_of(work.namespace)
                found[cluster] = found.get(cluster, Ports()) | self._ports[work]
        return found


def _concerns(entry: Entry) -> bool:
    return bool((entry.meta.labels or {}).get(constants.ENDPOINTSLICE_NAME)) or (
        constants.FINALIZER_ENDPOINTSLICE in (entry.meta.finalizers or ())
    )


def _work_of(entry: Entry | None) -> Key | None:
    """The Work that an EndpointSlice of the control plane was made of."""
    if entry is None or not entry.mentions(_IMPORTED):
        return None
    where = work_of({"metadata": {"labels": entry.meta.labels or {}, "annotations": entry.meta.annotations or {}}})
    return Key(WORKS, *where) if all(where) else None


def _key_of(found: Object) -> Key:
    return Key(SLICES, found["metadata"]["namespace"], found["metadata"]["name"])


def _merged(current: Object, wanted: Object) -> Object:
    """Labels and annotations of others stay."""
    meta = {**current["metadata"]}
    for field in ("labels", "annotations"):
        meta[field] = {**(meta.get(field) or {}), **wanted["metadata"][field]}
    if same_content(current, wanted):
        return {**current, "metadata": meta}
    merged = {**current, "metadata": meta, "endpoints": wanted.get("endpoints") or []}
    merged.pop("ports", None)
    return {**merged, "ports": wanted["ports"]} if wanted.get("ports") else merged
