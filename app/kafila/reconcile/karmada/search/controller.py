"""Which resources of which members are followed: what ResourceRegistries select, of every member that is connected.

What is kept of a resource goes when no registry selects it any more, or its cluster leaves. While a member is away, or not connected,
it stays: readers are told how old it is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Final, NamedTuple, final

import structlog
from prometheus_client import Gauge

from kafila.catalog.kind import Kind
from kafila.core.conditions import condition, conditions_of, find, with_condition
from kafila.core.errors import ignoring_not_found
from kafila.core.resources import Key
from kafila.core.values import AnyObject, Object
from kafila.placement.types import Cluster
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import CLUSTERS, OPTIONS
from kafila.reconcile.karmada.member.manager import MemberConnection, MemberController
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.search.selection import REGISTRIES, Registries, Selected, kinds_of, unknown, wanted
from kafila.store.interface import StoreUnavailable
from kafila.store.search import CachedResource
from kafila.watch import Event

from .backends import BACKEND, WRITING, Backends
from .follower import Follower, Target

log = structlog.get_logger(__name__)
CACHED: Final = "Cached"
LISTING: Final = "Listing"
TAKING_BACK: Final = 5.0  # seconds after another process took over, if we still lead then
FORGETTING: Final = 60.0  # seconds between looks for deleted rows whose time is over
SHOWN: Final = 5  # problems in one message
OBJECTS: Final = Gauge("kafila_search_objects", "Objects of members in the cache.", ["resource", "cluster"])
FOLLOWED: Final = Gauge(
    "kafila_search_followed", "Whether a resource of a member is followed at the moment.", ["resource", "cluster"]
)


@final
class SearchController(QueueController[Key]):
    """Keys are clusters, and registries whose status is written; without a name: those that are gone."""

    name = "search"

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters, most_mib: int) -> None:
        super().__init__(registry.cache, self.name, concurrency=2)
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._cache = registry.store.search
        self._most_bytes = most_mib << 20
        self._kind = registry.kind("search.karmada.io", "v1alpha1", "resourceregistries")
        self._registries = Registries(registry.cache, registry.catalog, self._registry_changed)
        self._backends = Backends(registry, clusters, self._registries, self._enqueue_reports)
        self._connections: dict[str, MemberConnection] = {}
        self._followers: dict[tuple[str, str], Follower] = {}  # by resource and cluster
        self._writer = 0
        self._forgetting: asyncio.Task[None] | None = None
        registry.cache.listen(CLUSTERS, self._observe_cluster)
        registry.catalog.on_add(self._enqueue_clusters)

    async def start(self) -> None:
        self._writer = random.getrandbits(62) + 1
        self._forgetting = asyncio.create_task(self._forget())
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        if self._forgetting is not None:
            self._forgetting.cancel()
        await self._backends.stop()
        for follower in self._followers.values():
            await follower.stop()
        self._followers.clear()

    def resync(self) -> None:
        self._enqueue_clusters()
        for entry in self._registry.cache.resource(REGISTRIES).entries():
            self.queue.add(entry.key)
        self.queue.add(Key(REGISTRIES, "", ""))

    def _enqueue_clusters(self) -> None:
        self._backends.look()
        for name in [*self._clusters.by_name, *self._connections, ""]:  # "": those that are gone, but kept
            self.queue.add(Key(CLUSTERS, "", name))

    def _registry_changed(self, name: str) -> None:
        self._enqueue_clusters()
        self.queue.add(Key(REGISTRIES, "", name))
        self.queue.add(Key(REGISTRIES, "", ""))

    def _observe_cluster(self, event: Event) -> None:
        """Labels and fields decide whether it is selected; its status does not."""
        old, new = event.old, event.new
        same = old is not None and new is not None and old.meta.labels == new.meta.labels
        if same and old is not None and new is not None and old.meta.generation == new.meta.generation:
            if old.meta.deletionTimestamp == new.meta.deletionTimestamp:
                return
        self.queue.add(event.key)
        self._backends.look()

    # -- members -------------------------------------------------------------------------------------------------------

    def member_controllers(self, connection: MemberConnection) -> list[MemberController]:
        return [Following(self, connection)]

    def connected(self, connection: MemberConnection) -> None:
        self._connections[connection.name] = connection
        self.queue.add(Key(CLUSTERS, "", connection.name))

    async def disconnected(self, connection: MemberConnection) -> None:
        if self._connections.get(connection.name) is connection:
            del self._connections[connection.name]
        for (resource, cluster), follower in list(self._followers.items()):
            if cluster == connection.name and follower.goes_over(connection.client):
                await self._unfollow(resource, cluster, follower)
        self.queue.add(
            Key(CLUSTERS, "", connection.name)
        )  # there may be another connection, which has waited for the end of this one

    async def _unfollow(self, resource: str, cluster: str, follower: Follower) -> None:
        if self._followers.get((resource, cluster)) is follower:
            del self._followers[resource, cluster]
            FOLLOWED.labels(resource, cluster).set(0)
        await follower.stop()

    # -- reconciling ---------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        if key.resource == REGISTRIES:
            await (self._report(key.name) if key.name else self._backends.adjust())
        elif key.name:
            await self._follow(key.name)
        else:
            await self._drop_gone()

    def _wanted(self, name: str) -> dict[str, Selected]:
        cluster = self._clusters.get(name)
        if cluster is None or self._clusters.is_leaving(name):
            return {}
        return wanted(self._registries.specs.values(), cluster, kinds_of(self._registry.catalog))

    async def _follow(self, name: str) -> None:
        """Raises StoreUnavailable: it is tried again."""
        selected = self._wanted(name)
        for (resource, cluster), follower in list(self._followers.items()):
            if cluster == name:
                found = selected.get(resource)
                if found is None or found.namespaces != follower.target.namespaces or follower.ended:
                    await self._unfollow(resource, cluster, follower)
        for state in await self._cache.resources(cluster=name):
            if state.resource not in selected:
                await self._drop(state)
        connection = self._connections.get(name)
        for resource, each in selected.items():
            if connection is not None and (resource, name) not in self._followers:
                self._begin(connection, resource, each)
        self._enqueue_reports()

    def _begin(self, connection: MemberConnection, resource: str, selected: Selected) -> None:
        target = Target(selected.kind, connection.name, selected.namespaces)
        sealer = self._registry.store.sealer
        follower = Follower(
            self._cache,
            connection.client,
            target,
            self._writer,
            self._most_bytes,
            sealer.active and sealer.concerns(selected.kind.resource),
            lambda: self._follower_changed(resource, connection.name),
        )
        self._followers[resource, connection.name] = follower

    def _follower_changed(self, resource: str, cluster: str) -> None:
        follower = self._followers.get((resource, cluster))
        if follower is not None:
            lost = follower.trouble or follower.ended or not follower.synced
            FOLLOWED.labels(resource, cluster).set(0 if lost else 1)
            if follower.ended:
                self.queue.add_after(Key(CLUSTERS, "", cluster), TAKING_BACK)
        self._enqueue_reports()

    def _enqueue_reports(self) -> None:
        for name in self._registries.specs:
            self.queue.add(Key(REGISTRIES, "", name))

    async def _drop(self, state: CachedResource) -> None:
        log.info("members' objects dropped", resource=state.resource, cluster=state.cluster)
        await self._cache.drop(state.resource, state.cluster)
        for gauge in (OBJECTS, FOLLOWED):
            try:
                gauge.remove(state.resource, state.cluster)
            except KeyError:
                continue

    async def _drop_gone(self) -> None:
        """What was kept of clusters that left while nobody led."""
        for state in await self._cache.resources():
            if state.resource not in self._wanted(state.cluster):
                follower = self._followers.get((state.resource, state.cluster))
                if follower is not None:
                    await self._unfollow(state.resource, state.cluster, follower)
                await self._drop(state)

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(FORGETTING)
            try:
                await self._cache.forget()
                for state in await self._cache.resources():
                    OBJECTS.labels(state.resource, state.cluster).set(state.objects)
            except (StoreUnavailable, OSError) as error:
                log.warning("deleted objects of members not forgotten", error=str(error))

    # -- status --------------------------------------------------------------------------------------------------------

    async def _report(self, name: str) -> None:
        entry = self._registry.cache.get(REGISTRIES, "", name)
        if entry is None or entry.meta.deletionTimestamp:
            return
        obj = decode_entry(self._kind, entry)
        new = self._conditions(obj)
        kept = {each["type"] for each in new}
        is_left_over = BACKEND not in kept and find(conditions_of(obj), BACKEND) is not None
        if not is_left_over and all(_is_said(conditions_of(obj), each) for each in new):
            return

        def reported(current: Object) -> Object:
            conditions = (current.get("status") or {}).get("conditions")
            for each in new:
                conditions = with_condition(conditions, each)
            conditions = [c for c in conditions or () if c["type"] != BACKEND or BACKEND in kept]
            return {**current, "status": {**(current.get("status") or {}), "conditions": conditions}}

        with ignoring_not_found():
            await self._registry.modify(self._kind, "", name, reported, OPTIONS, "status")
            for each in new:
                self._record(obj, each)

    def _record(self, obj: Object, new: Object) -> None:
        """Not that something is only just being listed, or written."""
        before = find(conditions_of(obj), new["type"]) or {}
        if new["reason"] in (LISTING, WRITING) or before.get("message") == new["message"]:
            return
        kind = "Normal" if new["status"] == "True" else "Warning"
        self._recorder.event(obj, kind, new["reason"], new["message"])

    def _conditions(self, obj: Object) -> list[Object]:
        spec = obj.get("spec") or {}
        problems = list(self._problems(spec))
        if not problems:
            text = "everything that is selected is cached and followed"
            found = [condition(CACHED, "True", "Followed", text)]
        else:
            bad = [problem for problem in problems if not problem.passing]
            texts = [problem.text for problem in bad or problems]
            more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
            reason = "NotFollowed" if bad else LISTING
            found = [condition(CACHED, "False", reason, f"{'; '.join(texts[:SHOWN])}{more}")]
        if (backend := self._backends.condition(spec)) is not None:
            found.append(backend)
        return found

    def _problems(self, spec: AnyObject) -> Iterator[_Problem]:
        kind_of = kinds_of(self._registry.catalog)
        for text in unknown(spec, kind_of):
            yield _Problem(f"{text} is no kind that this control plane serves", False)
        for cluster in self._clusters.ordered():
            for resource, each in wanted([spec], cluster, kind_of).items():
                if (problem := self._problem(resource, cluster, each.kind)) is not None:
                    yield problem

    def _problem(self, resource: str, cluster: Cluster, kind: Kind) -> _Problem | None:
        name = cluster["metadata"]["name"]
        follower = self._followers.get((resource, name))
        if follower is not None and follower.trouble:
            why = f"cluster {name}: {kind.plural} are not followed: {follower.trouble[:256]}"
            return _Problem(why, False)
        if follower is None and name not in self._connections:
            state = "in Pull mode and has no tunnel" if cluster["spec"].get("syncMode") == "Pull" else "not connected"
            return _Problem(f"cluster {name} is {state}: {kind.plural} are not followed", False)
        if follower is None or not follower.synced:
            return _Problem(f"cluster {name}: {kind.plural} are being listed", True)
        return None


class _Problem(NamedTuple):
    """``passing``: it ends by itself."""

    text: str
    passing: bool


def _is_said(conditions: list[Object], new: Object) -> bool:
    old = find(conditions, new["type"])
    return old is not None and {**old, **new} == old


@final
class Following:
    """Of one connection to a member."""

    def __init__(self, controller: SearchController, connection: MemberConnection) -> None:
        self._controller = controller
        self._connection = connection

    def start(self) -> None:
        self._controller.connected(self._connection)

    async def stop(self) -> None:
        await self._controller.disconnected(self._connection)
