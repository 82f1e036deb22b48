"""Who in this process has to know of another certificate authority: the listener, authentication, controllers, other servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from kafila.identity.authority import Authority
from kafila.registry import Registry
from kafila.registry.bootstrap import publish_authorities, publish_cluster_info

from .authentication import Authenticators
from .certificates import Certificates

if TYPE_CHECKING:
    from .controllers import Controllers


@final
class Exchange:
    """All of it may be done again."""

    def __init__(self) -> None:
        self.controllers: Controllers | None = None  # where there are some by now: they begin with the newest
        self.server = ""  # where clients reach this process
        self._listening: tuple[Authenticators, Certificates] | None = None
        self._serving: tuple[Registry, bytes] | None = None

    def listens(self, known: Authenticators, certificates: Certificates) -> None:
        self._listening = known, certificates

    def serves(self, registry: Registry, front_proxy: bytes) -> None:
        """An API, to those who listen. ``front_proxy``: PEM of our own authority of proxies."""
        self._serving = registry, front_proxy

    async def __call__(self, authority: Authority) -> None:
        """Raises OSError, StatusError."""
        if self.controllers is not None:
            self.controllers.publish(authority.bundle)
        if self._listening is None:
            return
        known, certificates = self._listening
        certificates.take(authority)  # first: nobody is believed whom the handshake would turn away
        known.believe_own(authority.believed)
        certificates.look()
        await self.publish(authority)

    async def publish(self, authority: Authority) -> None:
        """Tells servers beside ours. Raises StatusError."""
        if self._serving is not None and self._listening is not None:
            (registry, own), (known, certificates) = self._serving, self._listening
            clients = authority.bundle + known.client_authorities()
            await publish_authorities(registry, clients, known.front_proxies(own))
            await publish_cluster_info(registry, self.server, authority.bundle + certificates.shown_chain())
