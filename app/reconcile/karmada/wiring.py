"""How Karmada's controllers hang together."""

from __future__ import annotations

from typing import Any, Protocol, final

from app.registry import Registry
from app.watch import Event

from ..events import Recorder
from .clusters import CLUSTERS, ClusterController
from .clusterstatus import ClusterStatus
from .execution import Executor
from .federation import WORKS, Federation
from .namespaces import NamespaceSync
from .propagation import Propagation
from .rooms import Room, Rooms, Tenant, TransportFor

Object = dict[str, Any]


class Controller(Protocol):
    name: str

    def start(self) -> None: ...

    async def stop(self) -> None: ...


@final
class Works:
    """Hands every Work to the room of its cluster, and wakes a room's Works when its member became ready."""

    name = "execution"

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self.executors: dict[str, Executor] = {}
        federation.registry.cache.listen(WORKS, self._observe)
        federation.registry.cache.listen(CLUSTERS, self._observe_cluster)

    def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def _observe(self, event: Event) -> None:
        executor = self.executors.get(event.key.namespace)
        if executor is None or event.new is None:
            return
        old, new = event.old, event.new
        if old is not None and old.meta.generation == new.meta.generation:
            if old.meta.deletionTimestamp == new.meta.deletionTimestamp:
                return
        executor.queue.add(event.key)

    def _observe_cluster(self, event: Event) -> None:
        """The federation has seen the event before us: it listens first."""
        executor = self.executors.get(f"karmada-es-{event.key.name}")
        if executor is not None and event.new is not None:
            executor.ready_changed(self._federation.is_ready(event.key.name))


def build(
    registry: Registry, recorder: Recorder, transport_for: TransportFor, frequency: float, skipped_namespaces: str
) -> tuple[list[Controller], Rooms]:
    """All controllers in the order in which they start; they stop in the opposite one."""
    federation = Federation(registry, recorder)
    works = Works(federation)

    def furnish(room: Room) -> list[Tenant]:
        executor = Executor(federation, room)
        works.executors[executor.space] = executor
        return [ClusterStatus(federation, room, frequency), executor]

    rooms = Rooms(registry, furnish, transport_for)
    controllers: list[Controller] = [
        ClusterController(registry, recorder),
        NamespaceSync(federation, skipped_namespaces),
        Propagation(federation, skipped_namespaces),
        works,
        rooms,
    ]
    return controllers, rooms
