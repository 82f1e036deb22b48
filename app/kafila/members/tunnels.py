"""Which way leads to a member through its agent's tunnel: one that ends in this process, or in another one that passes streams on."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, final

from kafila.core import tunnels
from kafila.core.tunnels import Route
from kafila.watch import Cache, Entry

from .credentials import Connection
from .dialing import Dialer
from .proxy import Upstream
from .transport import TLS, Unreachable
from .tunnel.ends import socket_to
from .tunnel.stream import TunnelError

if TYPE_CHECKING:
    from .connections import Connections
    from .tunnel.streams import Tunnel

STREAM: Final = b"stream.tunnel.kafila.io"  # the protocol of one stream between two of our processes: bytes as they are
TUNNEL: Final = "its tunnel"
_PATH: Final = "/apis/cluster.karmada.io/v1alpha1/clusters/{}/tunnel?session={}"


class Way(NamedTuple):
    """``endpoint``, ``server_name``: how the agent knows its API server, and whom its certificate has to be of."""

    endpoint: str
    server_name: str
    dialer: Dialer


@final
class Here:
    """Through a tunnel that ends in this process."""

    __slots__ = ("_tunnel",)
    via = TUNNEL

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Here) and other._tunnel is self._tunnel

    def __hash__(self) -> int:
        return id(self._tunnel)

    async def dial(self) -> socket.socket:
        return await socket_to(await self._tunnel.open())


@final
class Peer:
    """Through a tunnel that ends in another process of ours."""

    __slots__ = ("_cluster", "_connections", "_of")
    via = TUNNEL

    def __init__(self, cluster: str, session: str, address: str, connections: Callable[[str], Connections]) -> None:
        self._cluster = cluster
        self._of = (session, address)
        self._connections = connections

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Peer) and other._of == self._of

    def __hash__(self) -> int:
        return hash(self._of)

    async def dial(self) -> socket.socket:
        session, address = self._of
        headers = [(b"connection", b"Upgrade"), (b"upgrade", STREAM)]
        path = _PATH.format(self._cluster, session)
        try:
            answer = await self._connections(address).send("GET", path, headers, None)
        except Unreachable as error:
            raise TunnelError(f"it ends in {address}, which cannot be reached: {error}") from None
        if answer.switched is None:
            await answer.close()
            raise TunnelError(f"it ended in {address}, and does so no more ({answer.status})")
        switched = answer.switched

        async def afterwards() -> None:
            await switched.flushed()
            await answer.close()

        return await socket_to(switched, afterwards)


@final
class Tunnels:
    """``identity``: what this process shows to others, and how it knows them."""

    def __init__(self, cache: Cache, identity: Callable[[], TLS]) -> None:
        self.address = ""  # HOST:PORT at which they reach this one; "" while no tunnel ends in it
        self._cache = cache
        self._identity = identity
        self._here: dict[str, tuple[str, Way]] = {}  # by cluster, with its session
        self._known: dict[str, tuple[Entry, Route | None]] = {}
        self._peers: dict[str, Connections] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    def put(self, cluster: str, session: str, way: Way) -> None:
        self._here[cluster] = (session, way)

    def remove(self, cluster: str, session: str) -> None:
        if self._here.get(cluster, ("",))[0] == session:
            del self._here[cluster]

    def way(self, cluster: str) -> Way | None:
        here = self._here.get(cluster)
        if here is not None:
            return here[1]
        route = self.route(cluster)
        if route is None or route.until < time.time() or route.address == self.address:
            return None  # one that ended here, or ends here no more
        dialer = Peer(cluster, route.session, route.address, self._connections)
        return Way(route.endpoint, route.server_name, dialer)

    def route(self, cluster: str) -> Route | None:
        """What its Lease says."""
        entry = self._cache.get(tunnels.LEASES, tunnels.NAMESPACE, tunnels.lease_name(cluster))
        if entry is None:
            self._known.pop(cluster, None)
            return None
        known = self._known.get(cluster)
        if known is None or known[0] is not entry:
            known = self._known[cluster] = (entry, tunnels.route_of(entry.decode()))
        return known[1]

    def _connections(self, address: str) -> Connections:
        from .connections import Connections

        wanted = Upstream(f"https://{address}", self._identity(), "")
        found = self._peers.get(address)
        if found is None or found.upstream != wanted:
            self._retire(found)
            found = self._peers[address] = Connections(wanted)
            for gone in self._peers.keys() - self._named() - {address}:
                self._retire(self._peers.pop(gone))
        return found

    def _named(self) -> set[str]:
        """Addresses that a Lease names."""
        leases = self._cache.resource(tunnels.LEASES).entries(tunnels.NAMESPACE)
        clusters = [tunnels.cluster_of(entry.key.name) for entry in leases]
        return {route.address for cluster in clusters if cluster and (route := self.route(cluster)) is not None}

    def _retire(self, connections: Connections | None) -> None:
        """What is under way is served out."""
        if connections is not None:
            task = asyncio.get_running_loop().create_task(connections.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        for connections in self._peers.values():
            await connections.close()
        await asyncio.gather(*self._retiring, return_exceptions=True)


def here(tunnel: Tunnel, endpoint: str, server_name: str) -> Way:
    return Way(endpoint, server_name, Here(tunnel))


def connected_through(found: Connection, way: Way) -> Connection:
    """The same member, by that way."""
    tls = found.tls._replace(server_name=way.server_name)
    return Connection(way.endpoint.rstrip("/"), tls, found.token, dialer=way.dialer)


def through(upstream: Upstream, way: Way) -> Upstream:
    """The same member, by that way: with its own credentials, and the CA that is known of it."""
    tls = upstream.tls._replace(server_name=way.server_name)
    return Upstream(way.endpoint.rstrip("/"), tls, upstream.token, dialer=way.dialer)
