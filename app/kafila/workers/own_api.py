"""This control plane's own API, as its controllers ask it: in this process, also where it serves nobody else."""

from __future__ import annotations

from typing import Any, Final, final

from kafila.api.app import ObjectsApp
from kafila.api.deferred import DeferredMetaRoutes
from kafila.authorization import Authorizer
from kafila.members.transport import ASGITransport, Timeouts, Unreachable
from kafila.registry import Registry, User
from kafila.watch.definitions import Definitions

from .aggregation import Aggregation

CALLER: Final = User("system:kube-controller-manager", ("system:masters",))
LARGEST: Final = 64 << 20  # bytes of an answer
_HEADERS: Final = (("Accept", "application/json"), ("User-Agent", "kafila"))
_TIMEOUTS: Final = Timeouts(10.0, 10.0)


def unserved(
    registry: Registry, definitions: Definitions, authorizer: Authorizer, aggregation: Aggregation
) -> ObjectsApp:
    """The API of a process that serves nobody else."""
    return ObjectsApp(
        registry,
        DeferredMetaRoutes({}),
        definitions=definitions,
        authorizer=authorizer,
        extension_proxy=aggregation.proxy,
        extensions=aggregation.documents,
    )


@final
class InProcessAPI:
    """``app`` answers; None: nobody does yet."""

    def __init__(self) -> None:
        self.app: Any = None
        self._transport: ASGITransport | None = None

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
