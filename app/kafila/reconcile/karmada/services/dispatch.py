"""endpointsliceDispatch: slices of providers go to the clusters that use a MultiClusterService (Karmada's endpointslice-dispatch-controller)."""

from __future__ import annotations

import asyncio
from typing import Final, final

from kafila.core.conditions import condition
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.objects import name
from kafila.placement.services.multicluster import (
    consumers,
    dispatched_work,
    is_cross_cluster,
    own_dispatched_name,
    providers,
    unusable,
)
from kafila.placement.services.slices import SLICE, slice_in
from kafila.placement.types import Work
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.controlled_works import ControlledWorks
from kafila.reconcile.karmada.kinds import WORKS, Kinds
from kafila.reconcile.karmada.measures import SLICES_DISPATCHED
from kafila.reconcile.karmada.writes import drop_finalizer
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change
from kafila.registry.threads import in_thread
from kafila.watch import Entry, Event

from .copies import Copies, copy_of, is_copy
from .failures import Failures
from .index import ServiceWorks
from .multi_cluster_services import MCS, write_condition
from .portions import Portions
from .taken import TakenSlices, refusal
from .usable import UsableClusters

_SOURCE: Final = "endpointslice-dispatch-controller"


@final
class EndpointSliceDispatch(QueueController[Key]):
    """Keys are the Works of providers' slices."""

    name = "endpointsliceDispatch"

    def __init__(
        self, registry: Registry, recorder: Recorder, clusters: Clusters, works: ServiceWorks, ending_only: bool = False
    ) -> None:
        """``ending_only``: as for MultiClusterServices."""
        super().__init__(registry.cache, "endpointslice-dispatch", concurrency=8)
        self._ending_only = ending_only
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._slices = works
        self._works = ControlledWorks(registry, clusters)
        self._kinds = Kinds(registry)
        self._kind = registry.kind("networking.karmada.io", "v1alpha1", "multiclusterservices")
        self._copies = Copies()
        self._said: dict[Key, dict[str, tuple[str, str]]] = {}  # by MultiClusterService and cluster
        self._failures = Failures()
        self._taken = TakenSlices()
        cache = registry.cache
        cache.listen(WORKS, self._observe)
        cache.listen(MCS, self._observe_service)
        UsableClusters(cache, clusters, self._enqueue_all)
        clusters.deleted_works.replay(self._observe_again)

    def resync(self) -> None:
        self._copies.clear()
        for entry in self._registry.cache.resource(WORKS).entries():
            if is_copy(entry):
                self._copies.put(entry.key, copy_of(entry))
            elif _concerns(entry):
                self.queue.add(entry.key, background=True)
        self._taken.clear()
        for key in self._copies.all_sources():
            self._taken.admit(key)  # who has a place keeps it
            self.queue.add(key, background=True)

    # -- what happens --------------------------------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        old, new = event.old, event.new
        same = old is not None and new is not None and old.meta.generation == new.meta.generation
        if same and old is not None and new is not None:
            if (old.meta.labels, old.meta.deletionTimestamp) == (new.meta.labels, new.meta.deletionTimestamp):
                return
        if any(entry is not None and is_copy(entry) for entry in (old, new)):
            for source in self._copies.observe(event):
                if old is not None:
                    self.queue.add(source, background=True)
        elif any(entry is not None and _concerns(entry) for entry in (old, new)):
            self.queue.add(event.key)

    def _observe_again(self, event: Event) -> None:
        """A copy in a cluster in pull mode may be made again."""
        labels = (event.old.meta.labels or {}) if event.old is not None else {}
        if labels.get(constants.MCS_NAME):
            self._enqueue(labels.get(constants.MCS_NAMESPACE, ""), labels[constants.MCS_NAME])

    def _observe_service(self, event: Event) -> None:
        if event.new is None:
            self._said.pop(event.key, None)
            self._failures.drop(event.key)
        if event.generation_changed:
            self._enqueue(event.key.namespace, event.key.name)

    def _enqueue_all(self, namespace: str) -> None:
        """Those of a namespace, or "" for all."""
        for entry in self._registry.cache.resource(MCS).entries(namespace):
            self._enqueue(entry.key.namespace, entry.key.name)

    def _enqueue(self, namespace: str, name: str) -> None:
        sources = {
            *self._slices.everywhere(constants.MCS_KIND, namespace, name),
            *self._copies.sources(namespace, name),
        }
        for key in sorted(sources):
            self.queue.add(key, background=True)

    # -- what is done --------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        work = self._kinds.read_work(entry) if entry is not None else None
        found = slice_in(work) if work is not None else None
        mcs = self._service_of(key, entry, found)
        if mcs is None or found is None or entry is None:
            await self._take_back(key)
            await self._let_go(entry, work)
            if (other := self._taken.release(key)) is not None:
                self.queue.add(other, background=True)
            return
        if not self._taken.admit(key):
            await self._take_back(key)
            if self._taken.is_news(key, Key(MCS, mcs["metadata"]["namespace"], mcs["metadata"]["name"])):
                text = refusal(constants.cluster_of(key.namespace))
                self._recorder.event(mcs, "Warning", constants.EVENT_ENDPOINTSLICE_REFUSED, text, _SOURCE)
            return
        if self._ending_only:
            return
        about = Key(MCS, mcs["metadata"]["namespace"], mcs["metadata"]["name"])
        await self._not_in_the_way(key, about)
        try:
            await self._dispatch(entry, mcs, about, found)
        except StatusError as error:
            if not error.is_conflict:
                await self._report(about, mcs, key, str(error))
            raise
        await self._report(about, mcs, key, "")

    def _service_of(self, key: Key, entry: Entry | None, found: Object | None) -> Object | None:
        """The MultiClusterService that the slice is brought to others for: one that has the cluster among its providers."""
        if entry is None or entry.meta.deletionTimestamp or found is None:
            return None
        labels = entry.meta.labels or {}
        where, called = labels.get(constants.MCS_NAMESPACE, ""), labels.get(constants.MCS_NAME, "")
        stored = self._registry.cache.get(MCS, where, called) if called else None
        if stored is None or stored.meta.deletionTimestamp or found["metadata"]["namespace"] != where:
            return None
        mcs, provider = decode_entry(self._kind, stored), constants.cluster_of(key.namespace)
        allowed = self._clusters.allowed_in(where)
        if not is_cross_cluster(mcs) or provider not in providers(mcs, self._clusters.by_name, allowed):
            return None
        return mcs

    async def _dispatch(self, source: Entry, mcs: Object, about: Key, found: Object) -> None:
        key, provider = source.key, constants.cluster_of(source.key.namespace)
        using = consumers(mcs, self._clusters.by_name, self._clusters.allowed_in(about.namespace)) - {provider}
        for copy in self._copies.of(key):
            if constants.cluster_of(copy.namespace) not in using:
                await self._delete(copy)
        portions = Portions(self._registry.commit_together, lambda cluster: SLICES_DISPATCHED.labels(cluster).inc())
        for cluster in sorted(using):
            why = unusable(self._clusters.get(cluster), cluster, "Consumer", SLICE.kind)
            self._say(about, mcs, cluster, why)
            change = await self._copy(source, mcs, found, cluster) if why is None else None
            if change is not None:
                await portions.add(cluster, change)
            await asyncio.sleep(0)  # there may be hundreds of clusters
        await portions.finish()

    async def _copy(self, source: Entry, mcs: Object, found: Object, cluster: str) -> Change | None:
        """What is to be written of the copy for a cluster; None where that is nothing."""
        if not self._works.takes(cluster):
            return None
        key, provider = source.key, constants.cluster_of(source.key.namespace)
        space = constants.execution_namespace(cluster)
        target = (space, found["metadata"]["namespace"], constants.dispatched_slice(provider, name(found)))
        if self._copies.others_at(target, key):
            text = f"EndpointSlice {target[1]}/{target[2]} of cluster {cluster} comes from another cluster too"
            self._say(Key(MCS, target[1], name(mcs)), mcs, space, (constants.EVENT_ENDPOINTSLICE_REFUSED, text))
            return None
        called = self._name_in(space, key, found, provider)
        place = self._works.place(cluster, called)
        if place is None:
            return None

        def made(existing: Work | None) -> Work:
            return dispatched_work(found, provider, cluster, name(mcs), called, existing)

        return await in_thread(len(source.body), lambda: self._works.change(place, made))

    def _name_in(self, space: str, key: Key, found: Object, provider: str) -> str:
        """Of the copy there: that of the provider's Work, unless something else has it."""
        known = next((copy for copy in self._copies.of(key) if copy.namespace == space), None)
        if known is not None:
            return known.name
        free = self._registry.cache.get(WORKS, space, key.name) is None
        return key.name if free else own_dispatched_name(found, provider)

    async def _take_back(self, source: Key) -> None:
        for copy in self._copies.of(source):
            await self._delete(copy)
        await self._not_in_the_way(source, None)

    async def _let_go(self, entry: Entry | None, work: Work | None) -> None:
        if entry is None or work is None or constants.FINALIZER_MCS_DISPATCH not in (entry.meta.finalizers or ()):
            return
        if entry.meta.deletionTimestamp or not (entry.meta.labels or {}).get(constants.MCS_NAME):
            await drop_finalizer(self._registry, self._kinds.work, work, constants.FINALIZER_MCS_DISPATCH)

    async def _delete(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is not None:
            await self._works.delete(entry)

    # -- what is said --------------------------------------------------------------------------------------------------

    def _say(self, about: Key, mcs: Object, cluster: str, why: tuple[str, str] | None) -> None:
        """Once, as long as it is so."""
        said = self._said.get(about, {})
        if why is None:
            said.pop(cluster, None)
        elif said.get(cluster) != why:
            self._said.setdefault(about, said)[cluster] = why
            self._recorder.event(mcs, "Warning", *why, _SOURCE)

    async def _report(self, about: Key, mcs: Object, source: Key, why: str) -> None:
        self._failures.note(source, about, why)
        await self._write(mcs, self._failures.text(about))

    async def _not_in_the_way(self, source: Key, about: Key | None) -> None:
        """It is brought for ``about``, or for none: that it failed for another one is no reason there any more."""
        before = self._failures.about(source)
        if before is None or before == about:
            return
        stored = self._registry.cache.get(*before)
        if stored is not None and not stored.meta.deletionTimestamp:
            await self._write(decode_entry(self._kind, stored), self._failures.text(before, without=source))
        self._failures.forget(source)

    async def _write(self, mcs: Object, why: str) -> None:
        if why:
            status, reason = "False", constants.REASON_ENDPOINTSLICE_NOT_DISPATCHED
            event = "Warning", constants.EVENT_DISPATCH_ENDPOINTSLICE_FAILED, why
        else:
            why, status = constants.MESSAGE_ENDPOINTSLICE_DISPATCHED, "True"
            reason = constants.REASON_ENDPOINTSLICE_DISPATCHED
            event = "Normal", constants.EVENT_DISPATCH_ENDPOINTSLICE, why
        new = condition(constants.COND_ENDPOINTSLICE_DISPATCHED, status, reason, why)
        if await write_condition(self._registry, self._kind, mcs, new):
            self._recorder.event(mcs, *event, _SOURCE)


def _concerns(entry: Entry) -> bool:
    """A Work with a slice of a provider."""
    labels = entry.meta.labels or {}
    if constants.ENDPOINTSLICE_MANAGED_BY in labels and labels.get(constants.MCS_NAME):
        return True
    return constants.FINALIZER_MCS_DISPATCH in (entry.meta.finalizers or ())
