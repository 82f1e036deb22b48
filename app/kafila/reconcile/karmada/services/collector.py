"""The EndpointSlices of one member that somebody asks for, as Works of its execution namespace.

The member's slices are followed only while a ServiceExport or a MultiClusterService asks for some of them. Of all others
no more is kept than which service they are of; when that is asked for they are listed once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, final

from prometheus_client import Counter, Gauge

from kafila.catalog.kind import Kind
from kafila.core import sets
from kafila.core.errors import StatusError, ignoring_not_found
from kafila.core.rates import TokenBucket
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.members.client import resource_path
from kafila.members.informer import Change, Informer, Name
from kafila.placement import constants
from kafila.placement.services.collected import collected_work, managers, uncollected, work_name
from kafila.placement.services.slices import Observed, kept, observed
from kafila.placement.types import Work
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.kinds import OPTIONS, WORKS, Kinds
from kafila.reconcile.karmada.member.manager import MemberConnection
from kafila.reconcile.karmada.member.object_watcher import Following
from kafila.reconcile.queue import Requeue, WorkQueue
from kafila.registry import Registry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.registry.threads import in_thread
from kafila.telemetry.members import forget, of_member
from kafila.telemetry.tasks import cancelled
from kafila.watch import Entry

from .index import Service, ServiceWorks
from .taken import MOST

WRITES: Final = 200.0  # a second, of the Works of one member's slices
BURST: Final = 2000
AGAIN: Final = 0.1  # seconds
COLLECTED: Final = of_member(
    Gauge(
        "kafila_service_slices", "EndpointSlices of a member that are collected for other clusters.", ["member_cluster"]
    )
)
REFUSED: Final = of_member(
    Counter(
        "kafila_service_slices_refused_total", "EndpointSlices of a member that were not taken.", ["member_cluster"]
    )
)
FOLLOW: Final = ""  # the key that says: look whether anything has to be followed
Task = str | Service  # the Work of a slice by its name, or all slices of a service


@final
class SliceCollector:
    """``on``: who may ask for slices now, of ServiceExport and MultiClusterService."""

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        works: ServiceWorks,
        connection: MemberConnection,
        on: Callable[[], frozenset[str]],
    ) -> None:
        self.cluster = connection.name
        self.space = constants.execution_namespace(connection.name)
        self._registry = registry
        self._recorder = recorder
        self._works = works
        self._client = connection.client
        self._on = on
        self._kinds = Kinds(registry)
        self._kind: Kind = registry.kind("discovery.k8s.io", "v1", "endpointslices")
        self._following: Following | None = None
        self._waiting: asyncio.Task[None] | None = None  # for the first list
        self._late: set[Service] = set()  # asked for while that was on its way
        self._names: dict[str, Name] = {}  # of slices in the member, by the names of their Works
        self._slices: dict[tuple[str, str], set[Name]] = {}  # by namespace and service
        self._told: dict[str, str] = {}  # why a slice was refused, by the name of its Work
        self._too_many: dict[str, None] = {}  # Works of slices for which there was no room
        self._bucket = TokenBucket(WRITES, BURST)
        self.queue: WorkQueue[Task] = WorkQueue(
            f"endpointslice-collect/{self.cluster}",
            self._reconcile,
            concurrency=4,
            also=("endpointslice-collect-controller",),
        )

    def start(self) -> None:
        self.queue.start()
        self.resync()

    async def stop(self) -> None:
        await self.queue.close()
        await self._unfollow()
        forget(self.cluster, (COLLECTED, REFUSED))

    def resync(self) -> None:
        self.queue.add(FOLLOW)
        for key in self._works.collected_in(self.space):
            self.queue.add(key.name, background=True)

    async def wake(self) -> None:
        """The member answers again."""
        if self._following is not None:
            await self._following.wake()

    def changed(self, services: Iterable[Service]) -> None:
        """They are asked for by other Works than before."""
        self.queue.add(FOLLOW)
        for service in services:
            self.queue.add(service)

    # -- what is followed ----------------------------------------------------------------------------------------------

    def _is_wanted(self, namespace: str, service: str) -> bool:
        return any(self._works.is_asked_for(each) for each in self._askers(namespace, service))

    def _askers(self, namespace: str, service: str) -> list[Service]:
        return [Service(self.space, manager, namespace, service) for manager in sorted(self._on())]

    async def _follow(self) -> None:
        on = self._on()
        needed = bool(self._works.collected_in(self.space)) or any(
            service.manager in on for service in self._works.asked_for(self.space)
        )
        if not needed or not on:
            await self._unfollow()
        elif self._following is None:
            path = resource_path(self._kind.api_version, self._kind.plural)
            informer = Informer(
                self._client, path, self._observe, selector="", keep=lambda obj: kept(obj, self._is_wanted)
            )
            self._following = Following(informer)
            self._waiting = asyncio.create_task(self._await_list(informer))

    async def _unfollow(self) -> None:
        await cancelled(self._waiting)
        self._waiting = None
        if self._following is not None:
            await self._following.stop()
            self._following.informer.forget()
            self._following = None
        for table in (self._names, self._slices, self._told):
            table.clear()
        self._late.clear()
        self._too_many.clear()

    async def _await_list(self, informer: Informer) -> None:
        """What the list does not have is gone."""
        await informer.synced.wait()
        for service in self._late:
            self.queue.add(service)
        self._late.clear()
        for key in self._works.collected_in(self.space):
            self.queue.add(key.name, background=True)

    def _observe(self, change: Change) -> None:
        before = observed_service(change.before.kept) if change.before is not None else ""
        after = observed_service(change.after.kept) if change.after is not None else ""
        name, work = change.name, work_name(*change.name)
        if before != after:
            sets.discard(self._slices, (name.namespace, before), name)
            if after:
                self._slices.setdefault((name.namespace, after), set()).add(name)
        if after:
            self._names[work] = name
        elif before:
            self._names.pop(work, None)
        seen = [each.kept for each in (change.before, change.after) if each is not None]
        is_other = len(set(seen)) + (2 - len(seen)) > 1 and any(b"\n" in each for each in seen)
        # of one whose collector is off no more is kept than its service: its end is seen all the same
        if is_other or (before and before != after and self._registry.cache.get(WORKS, self.space, work) is not None):
            self.queue.add(work, background=not self._is_synced())

    def _is_synced(self) -> bool:
        return self._following is not None and self._following.informer.synced.is_set()

    # -- what is done --------------------------------------------------------------------------------------------------

    async def _reconcile(self, task: Task) -> None:
        if isinstance(task, Service):
            await self._load(task)
        elif task == FOLLOW:
            await self._follow()
        else:
            await self._write(task)
            COLLECTED.labels(self.cluster).set(self._works.count_in(self.space))
            if self._too_many and self._works.count_in(self.space) < MOST:  # one of those has room now
                work = next(iter(self._too_many))
                del self._too_many[work]
                self.queue.add(work, background=True)

    async def _load(self, service: Service) -> None:
        """Lists the slices of a service that is asked for now, and was not before. Raises StatusError, Unreachable."""
        for key in self._works.works_of(service):
            self.queue.add(key.name)
        names = self._slices.get((service.namespace, service.name), ())
        for name in names:
            self.queue.add(work_name(*name))
        if self._following is None:
            return
        informer = self._following.informer
        if not informer.synced.is_set():
            self._late.add(service)
            return
        if not self._is_wanted(service.namespace, service.name):
            for name in list(names):
                self._let_go(informer, name)
            return
        path = resource_path(self._kind.api_version, self._kind.plural, service.namespace)
        query = {"labelSelector": f"{constants.SERVICE_OF_SLICE}={service.name}"}
        async for items, _ in self._client.pages(path, query=query):
            for obj in items:
                informer.keep_instead(obj)

    def _let_go(self, informer: Informer, name: Name) -> None:
        """Nobody asks for it any more: that it is there is all that is remembered."""
        seen = informer.get(*name)
        found = observed(seen.kept) if seen is not None else None
        if seen is not None and found is not None and found.slice is not None:
            meta = {**found.slice["metadata"], "uid": seen.uid, "resourceVersion": seen.resource_version}
            informer.keep_instead({**found.slice, "metadata": meta})

    def _seen(self, work: str) -> tuple[Name | None, bytes]:
        name = self._names.get(work)
        informer = self._following.informer if self._following is not None else None
        seen = informer.get(*name) if informer is not None and name is not None else None
        return name, (seen.kept if seen is not None else b"")

    async def _write(self, work: str) -> None:
        """Brings the Work of a slice up to date. Raises StatusError, Unreachable."""
        if self._following is None:
            return
        key = Key(WORKS, self.space, work)
        entry = self._registry.cache.get(*key)
        existing = self._kinds.read_work(entry) if entry is not None else None
        name, seen = self._seen(work)
        found = observed(seen)
        asked_by = self._asked_by(name, found)
        if entry is not None and not managers(entry.meta.labels or {}):
            why = f"the Work {self.space}/{work} is another object's: is the slice propagated from the control plane?"
            self._tell(work, name, found, why if asked_by else "")
            return
        if entry is not None and entry.meta.deletionTimestamp:
            return  # it comes again when it is gone
        if name is None and not self._is_synced():
            return
        why = found.refused if asked_by else ""
        # who have asked for it, and may not ask now
        off = managers(entry.meta.labels or {}) - self._on() if entry is not None else frozenset[str]()
        if asked_by and not why:
            if found.slice is None:
                return  # it is asked for anew, and on its way
            wanted_by = asked_by + sorted(off)
            if existing is not None:  # as it has to be: each of our own writes brings one more look
                if collected_work(found.slice, self.cluster, found.service, wanted_by, existing) is existing:
                    self._tell(work, name, found, "")
                    return
            why = await in_thread(len(seen), lambda: self._invalid(found.slice))
            if not why and entry is None and self._works.count_in(self.space) >= MOST:
                why = f"{MOST} EndpointSlices of this cluster are collected already"
                self._too_many[work] = None
        if why:
            asked_by, off = [], frozenset()
        self._tell(work, name, found, why)
        if asked_by and found.slice is not None:
            try:
                await self._put(found.slice, found.service, asked_by + sorted(off), entry, existing)
            except StatusError as error:
                if error.is_refusal:
                    self._tell(work, name, found, str(error))
                raise
        elif entry is not None and name is not None and off:
            await self._leave(entry, off)
        elif entry is not None:
            await self._delete(entry)

    def _asked_by(self, name: Name | None, found: Observed) -> list[str]:
        if name is None or not found.service:
            return []
        return [each.manager for each in self._askers(name.namespace, found.service) if self._works.is_asked_for(each)]

    def _invalid(self, found: Object | None) -> str:
        """Why Kubernetes would not store such a slice."""
        try:
            obj = decode_object(self._kind, found, OPTIONS)
            errors = self._kind.strategy.validate(obj)
        except StatusError as error:
            return str(error)
        return "; ".join(str(error) for error in errors[:3])

    async def _put(
        self, found: Object, service: str, asked_by: list[str], entry: Entry | None, existing: Work | None
    ) -> None:
        wanted = collected_work(found, self.cluster, service, asked_by, existing)
        if wanted is existing:
            return
        await self._take_turn()
        kind = self._kinds.work
        if entry is None:
            try:
                await self._registry.create(kind, self.space, decode_object(kind, wanted, OPTIONS), OPTIONS)
            except StatusError as error:
                if not error.is_already_exists:
                    raise
                raise Requeue(AGAIN) from None  # an agent sees its own writes a moment later
            return
        await self._registry.modify(
            kind,
            self.space,
            entry.key.name,
            lambda current: collected_work(found, self.cluster, service, asked_by, current),
            OPTIONS,
        )

    async def _leave(self, entry: Entry, off: frozenset[str]) -> None:
        """As it was collected, for those who may not ask for it now. Whoever may, and does not any more, is taken off."""
        over = sorted(managers(entry.meta.labels or {}) - off)
        if over:
            await self._take_turn()
            await self._registry.modify(
                self._kinds.work, self.space, entry.key.name, lambda current: _without(current, over), OPTIONS
            )

    async def _delete(self, entry: Entry) -> None:
        await self._take_turn()
        with ignoring_not_found():
            options = DeleteOptions(uid=entry.meta.uid)
            await self._registry.delete(self._kinds.work, self.space, entry.key.name, options)

    async def _take_turn(self) -> None:
        wait = self._bucket.reserve(asyncio.get_running_loop().time())
        if wait > 0:
            await asyncio.sleep(wait)

    # -- what is said --------------------------------------------------------------------------------------------------

    def _tell(self, work: str, name: Name | None, found: Observed, why: str) -> None:
        """On the ServiceExport or MultiClusterService: why its slice is not taken. Once, until it changes."""
        if self._told.get(work, "") == why:
            return
        if not why or name is None:
            self._told.pop(work, None)
            return
        self._told[work] = why
        REFUSED.labels(self.cluster).inc()
        text = f"EndpointSlice({name.namespace}/{name.name}) of cluster {self.cluster} is not taken: {why}"
        for service in self._askers(name.namespace, found.service):
            about = self._subject(service)
            if about is not None:
                self._recorder.event(about, "Warning", constants.EVENT_ENDPOINTSLICE_REFUSED, text)

    def _subject(self, service: Service) -> Object | None:
        """The object in the control plane that asks for the slices, as its Work names it."""
        entry = self._works.asking(service)
        if entry is None:
            return None
        for manifest in (self._kinds.read_work(entry)["spec"].get("workload") or {}).get("manifests") or ():
            meta = manifest.get("metadata") or {}
            identity = (manifest.get("kind"), meta.get("namespace"), meta.get("name"))
            if identity == (service.manager, service.namespace, service.name):
                head = {"namespace": service.namespace, "name": service.name}
                uid = (meta.get("annotations") or {}).get(constants.TEMPLATE_UID) or ""
                return {
                    "apiVersion": manifest["apiVersion"],
                    "kind": service.manager,
                    "metadata": {**head, "uid": uid},
                }
        return None


def _without(work: Work, over: Iterable[str]) -> Work:
    """``over`` never names all of those who ask for it."""
    for manager in over:
        work = uncollected(work, manager) or work
    return work


def observed_service(seen: bytes) -> str:
    return seen.partition(b"\n")[0].decode()
