"""multiclusterservice: a MultiClusterService takes charge of its Service, and brings it to those who provide and use it.

Which clusters are providers is written down as Works that are sent nowhere: they tell whoever collects slices there, the control plane
or an agent, for whom (Karmada's multiclusterservice-controller).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, final

from kafila.core.conditions import condition, conditions_of, find, with_condition
from kafila.core.errors import StatusError, ignoring_not_found
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.allowed_clusters import EVENT_NOT_ALLOWED
from kafila.placement.detector.binding import BindingError
from kafila.placement.objects import identity
from kafila.placement.services.collected import uncollected
from kafila.placement.services.multicluster import (
    claimed_service,
    consumers,
    given_back,
    is_claimed_by,
    is_cross_cluster,
    not_allowed,
    provider_work,
    providers,
    released_binding,
    service_binding,
    unusable,
)
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.controlled_works import ControlledWorks
from kafila.reconcile.karmada.indexes import binding_key
from kafila.reconcile.karmada.kinds import BINDINGS, OPTIONS, WITH_STATUS, WORKS, Kinds
from kafila.reconcile.karmada.writes import drop_finalizer
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change
from kafila.watch import Entry, Event

from .index import Service, ServiceWorks
from .portions import Portions
from .usable import UsableClusters

SERVICES: Final = "services"
MCS: Final = "multiclusterservices.networking.karmada.io"


@final
class MultiClusterServices(QueueController[Key]):
    name = "multiclusterservice"

    def __init__(
        self, registry: Registry, recorder: Recorder, clusters: Clusters, works: ServiceWorks, ending_only: bool = False
    ) -> None:
        """``ending_only``: the gate is off; what it had made is taken back when its MultiClusterService is deleted, and nothing else is done."""
        super().__init__(registry.cache, self.name, concurrency=4)
        self._ending_only = ending_only
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._slices = works
        self._works = ControlledWorks(registry, clusters)
        self._kinds = Kinds(registry)
        self._kind = registry.kind("networking.karmada.io", "v1alpha1", "multiclusterservices")
        self._services = registry.kind("", "v1", SERVICES)
        self._touched: set[Key] = set()  # Services that others changed
        self._said: dict[Key, frozenset[tuple[str, str]]] = {}  # what is in the way at the moment
        cache = registry.cache
        cache.listen(MCS, self._observe)
        cache.listen(SERVICES, self._observe_service)
        cache.listen(WORKS, self._observe_work)
        cache.listen(BINDINGS, self._observe_binding)
        UsableClusters(cache, clusters, self._enqueue)
        clusters.deleted_works.replay(self._observe_work)

    def resync(self) -> None:
        self._enqueue()
        for entry in self._registry.cache.resource(WORKS).entries():  # of those that are gone
            if (key := _named_by(entry)) is not None:
                self.queue.add(key, background=True)

    def _enqueue(self, namespace: str = "") -> None:
        for entry in self._registry.cache.resource(MCS).entries(namespace):
            self.queue.add(entry.key, background=True)

    # -- what happens --------------------------------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        old, new = event.old, event.new
        if new is None:
            self._said.pop(event.key, None)
            self._touched.discard(event.key)
        elif (
            old is None
            or event.generation_changed
            or (old.meta.deletionTimestamp, old.meta.labels) != (new.meta.deletionTimestamp, new.meta.labels)
        ):
            self.queue.add(event.key)

    def _observe_service(self, event: Event) -> None:
        key = Key(MCS, event.key.namespace, event.key.name)
        if self._registry.cache.get(*key) is None or not _is_changed(event):
            return
        self._touched.add(key)
        self.queue.add(key)

    def _observe_work(self, event: Event) -> None:
        old = event.old
        if event.new is None and old is not None and (key := _named_by(old)) is not None:
            self.queue.add(key)

    def _observe_binding(self, event: Event) -> None:
        """Somebody changed or deleted the binding that we made."""
        old, new = event.old, event.new
        notes = (old.meta.annotations or {}) if old is not None else {}
        if constants.MCS_NAME not in notes or (new is not None and old is not None and new.meta == old.meta):
            return
        self.queue.add(Key(MCS, notes.get(constants.MCS_NAMESPACE, ""), notes[constants.MCS_NAME]))

    # -- what is done --------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None:
            await self._take_back(key, frozenset())
            return
        mcs = decode_entry(self._kind, entry)
        held = constants.FINALIZER_MCS in (entry.meta.finalizers or ())
        if entry.meta.deletionTimestamp or not is_cross_cluster(mcs):
            if held:
                await self._release(key, mcs)
            return
        if self._ending_only:
            return
        if not held:
            await self._hold(key)
        why = await self._apply(key, mcs)
        await self._report(key, mcs, why)

    async def _hold(self, key: Key) -> None:
        def held(current: Object) -> Object:
            meta = current["metadata"]
            finalizers = sorted({*(meta.get("finalizers") or ()), constants.FINALIZER_MCS})
            return {**current, "metadata": {**meta, "finalizers": finalizers}}

        await self._registry.modify(self._kind, key.namespace, key.name, held, OPTIONS)

    async def _release(self, key: Key, mcs: Object) -> None:
        """What it was in charge of is given back. The Service stays where it is, slices of other clusters go."""
        with self._failing(mcs, "failed to delete service work :"):
            await self._give_back(key, mcs)
        with self._failing(mcs, "failed to delete MultiClusterService work :"):
            await self._take_back(key, frozenset())
        await drop_finalizer(self._registry, self._kind, mcs, constants.FINALIZER_MCS)

    def _failing(self, mcs: Object, what: str) -> _Failing:
        return _Failing(
            lambda error: self._recorder.event(mcs, "Warning", constants.EVENT_SYNC_SERVICE_FAILED, f"{what}{error}")
        )

    async def _give_back(self, key: Key, mcs: Object) -> None:
        """Its binding first: once the Service says that nobody is in charge, nobody would look for that."""
        service = self._registry.cache.get(SERVICES, key.namespace, key.name)
        if service is None:
            return
        template = decode_entry(self._services, service)
        binding = self._registry.cache.get(*binding_key(self._registry.cache, identity(template)))
        if binding is not None and is_claimed_by(self._kinds.read_binding(binding), mcs):
            kind = self._kinds.binding
            await self._registry.modify(kind, key.namespace, binding.key.name, released_binding, OPTIONS)
        if is_claimed_by(template, mcs):
            await self._registry.modify(self._services, key.namespace, key.name, given_back, OPTIONS)

    async def _take_back(self, key: Key, kept: frozenset[str]) -> None:
        """Clusters that are no providers, or no more: neither their Works nor their slices stay."""
        name = constants.work_name(constants.MCS_KIND, key.name, key.namespace)
        for cluster in list(self._clusters.by_name):
            space = constants.execution_namespace(cluster)
            work = self._registry.cache.get(WORKS, space, name)
            if cluster in kept or work is None or _named_by(work) != key:
                continue
            for collected in self._slices.works_of(Service(space, constants.MCS_KIND, key.namespace, key.name)):
                await self._stop_collecting(collected)
            await self._works.delete(work)

    async def _stop_collecting(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None or entry.meta.deletionTimestamp:
            return
        if uncollected(self._kinds.read_work(entry), constants.MCS_KIND) is None:
            await self._works.delete(entry)
            return
        await self._registry.modify(
            self._kinds.work,
            key.namespace,
            key.name,
            lambda work: uncollected(work, constants.MCS_KIND) or work,
            OPTIONS,
        )

    async def _apply(self, key: Key, mcs: Object) -> str:
        """Why the Service is not brought to its clusters, "" when it is. Raises StatusError."""
        allowed = self._clusters.allowed_in(key.namespace)
        all_clusters = self._clusters.by_name
        providing, using = providers(mcs, all_clusters, allowed), consumers(mcs, all_clusters, allowed)
        said: set[tuple[str, str]] = set()
        if text := not_allowed(mcs, allowed):
            said.add((EVENT_NOT_ALLOWED, text))
        usable: list[str] = []
        for cluster in sorted(providing):
            why = unusable(self._clusters.get(cluster), cluster, "Provider", constants.MCS_KIND)
            if why is not None:
                said.add(why)
            else:
                usable.append(cluster)
            await asyncio.sleep(0)  # there may be hundreds of clusters
        self._say(key, mcs, frozenset(said))
        try:
            await self._point_out(mcs, usable)
            await self._take_back(key, providing)
            return await self._bring(key, mcs, providing | using)
        except StatusError as error:
            if not error.is_conflict:
                await self._report(key, mcs, str(error))
                error.is_recorded = True
            raise

    async def _point_out(self, mcs: Object, clusters: list[str]) -> None:
        """Works say which clusters are providers."""
        portions = Portions(self._registry.commit_together)
        for cluster in clusters:
            change = self._provider(mcs, cluster)
            if change is not None:
                await portions.add(cluster, change)
            await asyncio.sleep(0)
        await portions.finish()

    def _provider(self, mcs: Object, cluster: str) -> Change | None:
        name = constants.work_name(constants.MCS_KIND, mcs["metadata"]["name"], mcs["metadata"]["namespace"])
        place = self._works.place(cluster, name)
        if place is None:
            return None
        return self._works.change(place, lambda existing: provider_work(mcs, cluster, existing))

    async def _bring(self, key: Key, mcs: Object, clusters: frozenset[str]) -> str:
        entry = self._registry.cache.get(SERVICES, key.namespace, key.name)
        if entry is None or entry.meta.deletionTimestamp:
            return f'Service "{key.name}" not found'
        changed = key in self._touched
        if claimed_service(service := decode_entry(self._services, entry), mcs) is not service:
            claim = await self._registry.modify(
                self._services, key.namespace, key.name, lambda current: claimed_service(current, mcs), OPTIONS
            )
            service, changed = decode_entry(self._services, claim), True
        where = binding_key(self._registry.cache, identity(service))
        binding = self._registry.cache.get(*where)
        existing = self._kinds.read_binding(binding) if binding is not None else None
        try:
            wanted = service_binding(service, mcs, clusters, existing, called=where.name, changed=changed)
        except BindingError as error:
            return str(error)
        if wanted is not existing:
            kind = self._kinds.binding
            if binding is None:
                change = self._registry.stage_create(kind, key.namespace, wanted, WITH_STATUS)
            else:
                change = self._registry.stage_update(kind, binding, wanted, WITH_STATUS)
            await self._registry.commit_together([change])
        self._touched.discard(key)
        return ""

    # -- what is said --------------------------------------------------------------------------------------------------

    def _say(self, key: Key, mcs: Object, said: frozenset[tuple[str, str]]) -> None:
        """Once, as long as it is so."""
        for reason, message in sorted(said - self._said.get(key, frozenset())):
            self._recorder.event(mcs, "Warning", reason, message, f"{self.name}-controller")
        self._said[key] = said

    async def _report(self, key: Key, mcs: Object, why: str) -> None:
        if why:
            new = condition(constants.COND_SERVICE_APPLIED, "False", constants.REASON_SERVICE_NOT_APPLIED, why)
            event = "Warning", constants.EVENT_SYNC_SERVICE_FAILED, why
        else:
            text = constants.MESSAGE_SERVICE_APPLIED
            new = condition(constants.COND_SERVICE_APPLIED, "True", constants.REASON_SERVICE_APPLIED, text)
            event = "Normal", constants.EVENT_SYNC_SERVICE, text
        if await write_condition(self._registry, self._kind, mcs, new):
            self._recorder.event(mcs, *event, f"{self.name}-controller")


async def write_condition(registry: Registry, kind: Any, mcs: Object, new: Object) -> bool:
    """Whether it was not said before."""
    said = find(conditions_of(mcs), new["type"])
    if said is not None and {**said, **new} == said:
        return False

    def written(current: Object) -> Object:
        status = current.get("status") or {}
        conditions = with_condition(status.get("conditions"), new)
        return {**current, "status": {"loadBalancer": {}, **status, "conditions": conditions}}

    meta = mcs["metadata"]
    with ignoring_not_found():
        await registry.modify(kind, meta["namespace"], meta["name"], written, OPTIONS, "status")
        return True
    return False


class _Failing:
    """Records what fails in it."""

    def __init__(self, record: Any) -> None:
        self._record = record

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, StatusError):
            self._record(error)


def _named_by(work: Entry) -> Key | None:
    """The MultiClusterService that a Work says its cluster is a provider of."""
    labels = work.meta.labels or {}
    if not labels.get(constants.MCS_PERMANENT_ID) or not work.key.namespace.startswith(
        constants.EXECUTION_NAMESPACE_PREFIX
    ):
        return None
    return Key(MCS, labels.get(constants.MCS_NAMESPACE, ""), labels.get(constants.MCS_NAME, ""))


def _is_changed(event: Event) -> bool:
    """By others, and not only its status."""
    old, new = event.old, event.new
    if old is None or new is None:
        return True
    if (old.meta.labels, old.meta.annotations) != (new.meta.labels, new.meta.annotations):
        return True
    return bool(old.decode().get("spec") != new.decode().get("spec"))
