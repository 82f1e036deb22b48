"""This control plane's own API, as its controllers ask it: in this process, also where it serves nobody else."""

from __future__ import annotations

from typing import Any, Final, final

from kafila.api.app import ObjectsApp
from kafila.api.deferred import DeferredMetaRoutes
from kafila.api.member_metrics import MemberMetricsAPI
from kafila.api.proxy import MemberProxy
from kafila.authorization import Authorizer
from kafila.autoscaling.metrics import PodUsage
from kafila.members.transport import ASGITransport, Timeouts, Unreachable
from kafila.metricsadapter.members import Answer
from kafila.reconcile.karmada.member.manager import TransportFor
from kafila.registry import Registry, User
from kafila.settings.settings import Settings
from kafila.watch.definitions import Definitions

from .aggregation import Aggregation

CALLER: Final = User("system:kube-controller-manager", ("system:masters",))
LARGEST: Final = 64 << 20  # bytes of an answer
_HEADERS: Final = (("Accept", "application/json"), ("User-Agent", "kafila"))
_TIMEOUTS: Final = Timeouts(10.0, 10.0)


def serving_nobody(
    registry: Registry,
    transport_for: TransportFor,
    settings: Settings,
    definitions: Definitions,
    authorizer: Authorizer,
    aggregation: Aggregation,
) -> ObjectsApp:
    """The API of a process that has no clients: for its own controllers."""
    members = MemberProxy(registry, transport_for, settings.answers)
    members.here = ObjectsApp(
        registry,
        DeferredMetaRoutes({}),
        members,
        definitions=definitions,
        authorizer=authorizer,
        extension_proxy=aggregation.proxy,
        extensions=aggregation.documents,
    )
    return members.here


@final
class InProcessAPI:
    """``app`` answers; None: nobody does yet."""

    def __init__(self) -> None:
        self.app: Any = None
        self._transport: ASGITransport | None = None

    async def close(self) -> None:
        """Nobody is answered any more, clients neither."""
        if self.app is not None:
            self.app.draining.set()
            await self.app.member_proxy.close()

    async def pod_usages(self, namespace: str, labels: str) -> Answer[PodUsage] | None:
        """What members say of a namespace's pods, where this API asks them itself; None: ask for metrics.k8s.io. Raises StatusError 429."""
        metrics = getattr(self.app, "metrics", None)
        if not isinstance(metrics, MemberMetricsAPI):
            return None
        return await metrics.pod_usages(namespace, labels)

    async def get(self, target: str) -> tuple[int, bytes]:
        """Status and body. Raises Unreachable, UnusableAnswer."""
        if self.app is None:
            raise Unreachable("the API is not served yet", sent=False)
        if self._transport is None or self._transport.app is not self.app:
            self._transport = ASGITransport(self.app, {"user": CALLER})
        response = await self._transport.send("GET", target, _HEADERS, None, _TIMEOUTS)
        try:
            return response.status, await response.read(LARGEST)
        finally:
            await response.close()
