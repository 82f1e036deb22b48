"""How Karmada's controllers hang together."""

from __future__ import annotations

from typing import Protocol

from app.placement.gates import DEFAULT_GATES, PROPAGATE_DEPS, Gates
from app.registry import Registry

from ..events import Recorder
from .clusters import ClusterController
from .dependencies import DependenciesDistributor
from .dispatch import Dispatch
from .federation import Federation
from .namespaces import NamespaceSync
from .propagation import Propagation
from .rooms import Rooms, TransportFor
from .unifiedauth import UnifiedAuth


class Controller(Protocol):
    name: str

    def start(self) -> None: ...

    async def stop(self) -> None: ...


def build(
    registry: Registry,
    recorder: Recorder,
    transport_for: TransportFor,
    frequency: float,
    skipped_namespaces: str,
    gates: Gates = DEFAULT_GATES,
) -> tuple[list[Controller], Rooms]:
    """All controllers in the order in which they start; they stop in the opposite one. ``gates``: those that are on."""
    federation = Federation(registry, recorder, gates=gates)
    dispatch = Dispatch(federation, frequency)
    rooms = Rooms(registry, dispatch.furnish, dispatch.refused, transport_for)
    controllers: list[Controller] = [
        ClusterController(registry, recorder),
        NamespaceSync(federation, skipped_namespaces),
        UnifiedAuth(federation),
        Propagation(federation, skipped_namespaces),
        *([DependenciesDistributor(federation)] if PROPAGATE_DEPS in gates else []),
        dispatch,
        rooms,
    ]
    return controllers, rooms
