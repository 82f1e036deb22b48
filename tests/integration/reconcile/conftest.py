"""A whole federation in one process: the control plane's controllers and simulated members, over stores in memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, final

import pytest

from kafila.api import watching
from kafila.catalog.catalog import Catalog, load_catalog
from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.resources import split_api_version
from kafila.core.values import Object
from kafila.members.transport import ASGITransport
from kafila.reconcile.queue import WorkQueue
from kafila.registry import SYSTEM_ADMIN, Options, Registry
from kafila.registry.admitting import Admitting
from kafila.registry.bootstrap import bootstrap
from kafila.registry.codec import decode_entry
from kafila.registry.context import DeleteOptions
from kafila.registry.converting import Converting
from kafila.registry.decoding import decode_object
from kafila.registry.roles import default_roles, ensure_roles
from kafila.settings.settings import Settings
from kafila.simulation import SimulatedCluster
from kafila.store.interface import EVENTS
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.watch import Cache, Entry
from kafila.watch.definitions import Definitions
from kafila.webhooks import Callers
from kafila.workers.admission import admission
from kafila.workers.controllers import Controllers
from kafila.workers.keeper import Durations
from kafila.workers.own_api import InProcessAPI
from kafila.workers.worker import Worker

CATALOG = load_catalog()
USER = Options(manager="tester")
PATIENCE = 90.0  # seconds until a condition counts as never coming true; machines are slow at times
GATES = os.environ.get("KAFILA_TEST_FEATURE_GATES", "")  # of every lab that names none (make test-long)
SOON = 1.0  # a key that comes back within so many seconds is work to be done, a later one is a retry

_queues: weakref.WeakSet[WorkQueue[Any]] = weakref.WeakSet()


@pytest.fixture(autouse=True)
def _known_queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    original = WorkQueue.__init__

    def noted(self: WorkQueue[Any], *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        _queues.add(self)

    monkeypatch.setattr(WorkQueue, "__init__", noted)
    monkeypatch.setattr(watching, "GATHER", 0)  # what a member has still to tell is no pause but work: ``rest`` sees it
    yield
    _queues.clear()


@final
class Lab:
    """``start`` and ``stop`` may follow each other over the same database: another process takes over. ``worker``: one of several,
    which share the members of the first out among themselves."""

    def __init__(
        self, database: MemoryDatabase | None = None, worker: bool = False, like: Lab | None = None, **settings: Any
    ) -> None:
        self.database = like.database if like is not None else database or MemoryDatabase()
        self.members: dict[str, SimulatedCluster] = like.members if like is not None else {}
        self._is_worker = worker or like is not None
        self._is_first = like is None
        self.worker: Worker | None = None
        self.settings = Settings(**{"cluster_status_frequency": 0.1, "feature_gates": GATES, **settings})
        self.store: Any = MemoryStore(self.database)
        self.registry: Registry
        self.controllers: Controllers
        self.user = USER
        self.fence: Any = lambda: None  # what the controllers ask before they write
        self._changed = asyncio.Event()
        self.api = InProcessAPI()  # what the controllers ask of the API; a test says who answers

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, *members: str, **settings: Any) -> AsyncIterator[Lab]:
        """One with these members, until the end of the block."""
        lab = await cls(**settings).start()
        try:
            await lab.join(*members)
            yield lab
        finally:
            with contextlib.suppress(StatusError):
                await lab.close()

    async def start(self) -> Lab:
        await self.store.open()
        cache = Cache(self.store)
        await cache.load()
        catalog = Catalog(CATALOG)  # custom kinds come and go
        admitting, limit = admission(cache, catalog, self.settings), self.settings.max_object_bytes
        self.callers = Callers(cache)
        asks = Admitting(cache, catalog, self.callers)
        self.registry = Registry(catalog, self.store, cache, admitting, max_object_bytes=limit, admitting=asks)
        self.converting = Converting(catalog, self.callers)
        self.definitions = Definitions(catalog, cache)
        await self.definitions.start()
        cache.listen_to_all(lambda event: self._changed.set())
        self._look_at_events(cache)
        fenced, worker = self.registry.fenced_by(lambda: self.fence()), None
        if self._is_worker:
            worker = self.worker = Worker(self.store, self.registry, self.settings, durations=Durations(retry=0.05))
            fenced = worker.registry
        self.controllers = Controllers(
            fenced,
            self.definitions,
            self.settings,
            self._transport,
            api=self.api,
            shards=worker.shards if worker is not None else None,
            members_registry=worker.members_registry if worker is not None else None,
        )
        await bootstrap(self.registry, "127.0.0.1", 5443)
        await ensure_roles(self.registry, default_roles())
        if worker is not None:
            worker.start(self.controllers)
        else:
            await self.controllers.start()
        return self

    def _look_at_events(self, cache: Cache) -> None:
        """They are in no cache, which knows only that there is something to read."""
        behind = cache._feed.behind

        def noted(revision: int) -> None:
            behind(revision)
            self._changed.set()

        cache._feed.behind = noted  # type: ignore[method-assign]

    async def stop(self) -> None:
        await (self.worker or self.controllers).stop()
        await self.definitions.stop()
        await self.converting.close()
        await self.callers.close()
        await self.store.close()

    async def controllers_stop(self) -> None:
        await self.controllers.stop()

    def resync_controllers(self) -> None:
        """As after the database went back in time: everything is looked at."""
        for listener in self.registry.cache._reset_listeners:
            listener()

    async def restart(self) -> None:
        await self.stop()
        self.store = MemoryStore(self.database)
        await self.start()

    async def close(self) -> None:
        await self.stop()
        for member in self.members.values() if self._is_first else ():
            await member.stop()

    def _transport(self, cluster: Object) -> ASGITransport | None:
        member = self.members.get(cluster["metadata"]["name"])
        return ASGITransport(member.app, {"user": SYSTEM_ADMIN}) if member is not None else None

    # -- members -------------------------------------------------------------------------------------------------------

    async def join(self, *names: str, nodes: int = 1, cpu: str = "16", **spec: Any) -> None:
        for name in names:
            member = self.members[name] = SimulatedCluster(name, CATALOG, nodes=nodes, cpu=cpu)
            await member.start()
            member.registry.cache.listen_to_all(lambda event: self._changed.set())
            await self.create(
                {
                    "apiVersion": "cluster.karmada.io/v1alpha1",
                    "kind": "Cluster",
                    "metadata": {"name": name, "labels": {"name": name}},
                    "spec": {"syncMode": "Push", "apiEndpoint": f"https://{name}.internal", **spec},
                }
            )
        for name in names:
            await self.until(lambda name=name: self._usable(name), f"{name} is ready")

    def _usable(self, name: str) -> bool:
        cluster = self.get("Cluster", name)
        return (
            self.is_true(cluster, "Ready")
            and not cluster["spec"].get("taints")
            and bool(cluster["status"].get("resourceSummary", {}).get("allocatable"))
            and self.get("Namespace", f"karmada-es-{name}") != {}
        )

    async def counted(self) -> None:
        """Returns once the Clusters' statuses tell of all pods: they follow them only every now and then."""
        await self.until(lambda: all(map(self._is_counted, self.members)), "the clusters' statuses are up to date")

    def _is_counted(self, name: str) -> bool:
        allocated = self.get("Cluster", name)["status"]["resourceSummary"].get("allocated") or {}
        return int(allocated.get("pods", "0")) == len(self.list("Pod", self.members[name].registry))

    async def look_away(self) -> None:
        """Nobody looks at the members any more: a Cluster's status stays as a test puts it."""
        for name in self.members:
            connection = self.controllers.member_manager.get(name)
            assert connection is not None
            await connection.controllers[0].stop()

    def in_member(self, member: str, kind: str, name: str, namespace: str = "default") -> Object:
        return self.get(kind, name, namespace, self.members[member].registry)

    # -- objects -------------------------------------------------------------------------------------------------------

    def kind(self, kind: str) -> Kind:
        """By the name of the kind, with its group where that is needed: ``Deployment``, ``Ingress.networking.k8s.io``."""
        name, _, group = kind.partition(".")
        found = [
            k
            for k in CATALOG
            if k.kind == name and (not group or k.group == group) and CATALOG.storage_kind(k.resource) is k
        ]
        found.sort(key=lambda k: k.group == "extensions" or k.group.startswith("metrics"))
        return found[0]

    def get(self, kind: str, name: str, namespace: str = "default", registry: Registry | None = None) -> Object:
        """The object, {} when there is none."""
        found = self.kind(kind)
        cache = (registry or self.registry).cache
        entry = cache.get(found.resource, namespace if found.namespaced else "", name)
        return decode_entry(found, entry) if entry is not None else {}

    def list(self, kind: str, registry: Registry | None = None) -> list[Object]:
        found = self.kind(kind)
        cache = (registry or self.registry).cache
        if found.resource == EVENTS:  # they are in no cache
            rows = self.database.events.current()
            return [decode_entry(found, Entry(row.key, row.revision, row.body)) for row in rows]
        return [decode_entry(found, entry) for entry in cache.resource(found.resource).entries()]

    async def create(self, obj: Object) -> Object:
        group, version = split_api_version(obj["apiVersion"])
        kind = CATALOG.by_kind(group, version, obj["kind"])
        assert kind is not None, obj
        namespace = obj["metadata"].get("namespace", "default") if kind.namespaced else ""
        entry = await self.registry.create(kind, namespace, decode_object(kind, obj, USER), USER)
        return decode_entry(kind, entry)

    async def change(
        self, kind: str, name: str, change: Callable[[Object], Any], namespace: str = "default", subresource: str = ""
    ) -> Object:
        """``change`` changes the object in place."""

        def changed(obj: Object) -> Object:
            change(obj)
            return obj

        found = self.kind(kind)
        where = namespace if found.namespaced else ""
        return decode_entry(found, await self.registry.modify(found, where, name, changed, USER, subresource))

    async def delete(self, kind: str, name: str, namespace: str = "default", propagation: Any = None) -> None:
        found = self.kind(kind)
        where = namespace if found.namespaced else ""
        await self.registry.delete(found, where, name, DeleteOptions(propagation=propagation))

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Looks again after every event, in the control plane or in a member."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    self._changed.clear()
                    if condition():
                        return
                    await self._changed.wait()
        except TimeoutError:
            pytest.fail(f"never: {what or condition}\n{self.describe()}")

    def look(self) -> None:
        """Something changed that is no event."""
        self._changed.set()

    async def rest(self) -> int:
        """Returns the revision once nothing is being worked on any more, in the control plane and in the members."""
        quiet, before, pending = 0, -1, list[str]()
        try:
            async with asyncio.timeout(PATIENCE):
                while quiet < 4:
                    for _ in range(50):
                        await asyncio.sleep(0)
                    pending = [queue.name for queue in _queues if queue.busy(SOON)]
                    recorders = self.controllers.recorder, self.controllers.members_recorder
                    pending += ["events"] if any(recorder.busy() for recorder in recorders) else []
                    revision = self._revisions()
                    quiet = 0 if pending or revision != before else quiet + 1
                    before = revision
                    if pending:
                        await asyncio.sleep(0.005)  # timers of queues
        except TimeoutError:
            pytest.fail(f"never at rest: {pending} {self.log_after(before - 20)}\n{self.describe()}")
        return self.database.head

    def queue(self, name: str) -> WorkQueue[Any]:
        """The one of that name that is at work."""
        return next(queue for queue in _queues if queue.name == name and queue._started)

    def log_after(self, revision: int) -> list[tuple[str, str, bool]]:
        """(resource, name, deleted) of what was written since."""
        return [(r.key.resource, r.key.name, r.deleted) for r in self.database.log if r.revision > revision]

    def _revisions(self) -> int:
        return self.database.head + sum(m.registry.cache.revision for m in self.members.values())

    def describe(self) -> str:
        lines = []
        for kind in ("ResourceBinding", "ClusterResourceBinding", "Work"):
            for obj in self.list(kind):
                spec = {k: v for k, v in obj["spec"].items() if k in ("clusters", "suspension", "replicas")}
                conditions = [
                    (c["type"], c["status"], c.get("message")) for c in obj.get("status", {}).get("conditions", ())
                ]
                lines.append(f"{kind} {obj['metadata'].get('namespace')}/{obj['metadata']['name']} {spec} {conditions}")
        lines += [f"Event {self.recorded(e)}" for e in self.list("Event")]
        return "\n".join(lines)

    # -- looking -------------------------------------------------------------------------------------------------------

    @staticmethod
    def condition(obj: Object, name: str) -> Object:
        found = (obj.get("status") or {}).get("conditions") or ()
        return next((c for c in found if c["type"] == name), {})

    @classmethod
    def is_true(cls, obj: Object, name: str) -> bool:
        return cls.condition(obj, name).get("status") == "True"

    @staticmethod
    def recorded(event: Object) -> tuple[str, str, str, str, int]:
        about = event["involvedObject"]
        return f"{about['kind']}/{about['name']}", event["type"], event["reason"], event["message"], event["count"]

    def events(self, kind: str, name: str) -> list[tuple[str, str, str, int]]:
        """(type, reason, message, count) of the events on an object, oldest first."""
        return [self.recorded(e)[1:] for e in self.list("Event") if self.recorded(e)[0] == f"{kind}/{name}"]

    def placed(self, binding: str, namespace: str = "default") -> dict[str, int | None]:
        """Replicas by cluster."""
        kind = "ResourceBinding" if namespace else "ClusterResourceBinding"
        spec = self.get(kind, binding, namespace).get("spec", {})
        return {target["name"]: target.get("replicas") for target in spec.get("clusters") or ()}

    def in_clusters(self, kind: str, name: str, namespace: str = "default") -> list[str]:
        return sorted(m for m in self.members if self.in_member(m, kind, name, namespace))

    # -- manifests -----------------------------------------------------------------------------------------------------

    @staticmethod
    def deployment(name: str = "web", replicas: int = 2, cpu: str = "", **labels: str) -> Object:
        container: Object = {"name": "c", "image": "nginx:1"}
        if cpu:
            container["resources"] = {"requests": {"cpu": cpu}}
        marks = {"app": name, **labels}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default", "labels": marks},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
            },
        }

    @staticmethod
    def config(name: str = "settings", **labels: str) -> Object:
        metadata = {"name": name, "namespace": "default", "labels": labels}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}

    @staticmethod
    def policy(
        name: str = "policy",
        *clusters: str,
        select: list[Object] | None = None,
        namespace: str = "default",
        scheduling: Object | None = None,
        placement: Object | None = None,
        **spec: Any,
    ) -> Object:
        """A PropagationPolicy, without a namespace a ClusterPropagationPolicy; for the Deployment ``web`` by default."""
        placement = dict(placement or {})
        if clusters:
            placement["clusterAffinity"] = {"clusterNames": list(clusters)}
        if scheduling:
            placement["replicaScheduling"] = scheduling
        return {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "PropagationPolicy" if namespace else "ClusterPropagationPolicy",
            "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
            "spec": {
                "resourceSelectors": select or [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}],
                "placement": placement,
                **spec,
            },
        }


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """A control plane without members."""
    async with Lab.running() as found:
        yield found


@pytest.fixture
async def two(lab: Lab) -> Lab:
    """Members m1 and m2."""
    await lab.join("m1", "m2")
    return lab


@pytest.fixture
def make_lab() -> type[Lab]:
    return Lab
