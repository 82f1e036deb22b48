"""One simulated member: an API server in this process that members' transport talks to without a network."""

from __future__ import annotations

from typing import Any, final

from kafila.api.app import ObjectsApp
from kafila.api.deferred import DeferredMetaRoutes
from kafila.catalog.catalog import Catalog
from kafila.catalog.version import KUBERNETES_VERSION
from kafila.core.values import Object
from kafila.reconcile.kubernetes.definitions import DefinitionController
from kafila.reconcile.kubernetes.garbage_collector import GarbageCollector
from kafila.reconcile.kubernetes.namespaces import NamespaceController
from kafila.registry import Registry
from kafila.registry.bootstrap import bootstrap, ensure
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.watch import Cache
from kafila.watch.definitions import Definitions

from .metrics import SimulatedMetrics
from .workloads import WorkloadSimulator

_ROWS, _BYTES = 500, 2 << 20  # of history: its only watcher is a connection, which keeps up


@final
class SimulatedCluster:
    """``app`` is its ASGI application; every request is answered as its administrator's."""

    def __init__(self, name: str, catalog: Catalog, nodes: int = 3, cpu: str = "16", memory: str = "64Gi") -> None:
        self.name = name
        self._nodes = nodes
        self._capacity = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "100Gi"}
        self._store = MemoryStore(MemoryDatabase(keep_rows=_ROWS))
        self._cache = Cache(self._store, _BYTES)
        # its own: members differ in what is defined there
        self.registry = Registry(Catalog(catalog), self._store, self._cache)
        self._definitions = Definitions(self.registry.catalog, self._cache)
        self.app = ObjectsApp(self.registry, DeferredMetaRoutes({}), definitions=self._definitions)
        self.metrics = self.app.metrics = SimulatedMetrics(self.registry)
        self._controllers: list[Any] = []

    async def start(self) -> None:
        await self._store.open()
        await self._cache.load()
        await self._definitions.start()
        self._controllers = [
            DefinitionController(self.registry, self._definitions),
            NamespaceController(self.registry),
            GarbageCollector(self.registry),
            WorkloadSimulator(self.registry, [self._node_name(i) for i in range(self._nodes)]),
        ]
        await bootstrap(self.registry, "127.0.0.1", 443)
        for index in range(self._nodes):
            await ensure(self.registry, self._node(index))
            await self._make_ready(self._node_name(index))
        for controller in self._controllers:
            await controller.start()

    async def stop(self) -> None:
        self.app.draining.set()
        for controller in reversed(self._controllers):
            await controller.stop()
        await self._definitions.stop()
        await self._store.close()

    def _node_name(self, index: int) -> str:
        return f"{self.name}-node-{index + 1}"

    def _node(self, index: int) -> Object:
        labels = {
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "kubernetes.io/hostname": self._node_name(index),
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self._node_name(index), "labels": labels},
        }

    async def _make_ready(self, node: str) -> None:
        from kafila.registry import Options

        def ready(obj: Object) -> Object:
            obj["status"] = {
                "capacity": self._capacity,
                "allocatable": self._capacity,
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "simulated"}],
                "nodeInfo": {"kubeletVersion": KUBERNETES_VERSION},
            }
            return obj

        kind = self.registry.kind("", "v1", "nodes")
        await self.registry.modify(kind, "", node, ready, Options(manager="kubelet"), "status")

        def untainted(obj: Object) -> Object:
            obj["spec"].pop("taints", None)  # of the admission, until the node is ready
            return obj

        await self.registry.modify(kind, "", node, untainted, Options(manager="kube-controller-manager"))
