"""A room per member cluster: its connection and everything that waits for it, so that no cluster delays another."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, final

import structlog

from app.core.resources import Key
from app.members.client import MemberClient
from app.members.transport import TLS, Transport
from app.registry import Registry
from app.registry.codec import decode_entry
from app.watch import Event

from .clusters import CLUSTERS

log = structlog.get_logger(__name__)
Object = dict[str, Any]
TransportFor = Callable[[Object], Transport | None]  # a Cluster's own transport (simulation), None for the network


class Credentials(NamedTuple):
    endpoint: str
    token: str
    authority: bytes
    insecure: bool
    proxy_url: str
    proxy_headers: tuple[tuple[str, str], ...]


class Tenant(Protocol):
    """What lives in a room: started when the cluster can be talked to, stopped when it leaves."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...


@final
class Room:
    def __init__(self, name: str, client: MemberClient, credentials: Credentials) -> None:
        self.name = name
        self.client = client
        self.credentials = credentials
        self.tenants: list[Tenant] = []

    async def close(self) -> None:
        for tenant in reversed(self.tenants):
            await tenant.stop()
        await self.client.close()


@final
class Rooms:
    """Opens a room for every push-mode Cluster with credentials, and opens it anew when these change."""

    name = "rooms"

    def __init__(
        self, registry: Registry, furnish: Callable[[Room], list[Tenant]], transport_for: TransportFor
    ) -> None:
        from ..queue import WorkQueue

        self._registry = registry
        self._furnish = furnish
        self._transport_for = transport_for
        self._clusters = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")
        self._secrets = registry.kind("", "v1", "secrets")
        self._rooms: dict[str, Room] = {}
        self._users: dict[Key, set[str]] = {}  # secret -> clusters that use it
        self.queue: WorkQueue[str] = WorkQueue("rooms", self._reconcile, concurrency=4)
        registry.cache.listen(CLUSTERS, lambda event: self.queue.add(event.key.name))
        registry.cache.listen("secrets", self._observe_secret)
        registry.cache.on_reset(self.resync)

    def get(self, cluster: str) -> Room | None:
        return self._rooms.get(cluster)

    def start(self) -> None:
        self.resync()
        self.queue.start()

    async def stop(self) -> None:
        await self.queue.stop()
        for name in list(self._rooms):
            await self._rooms.pop(name).close()

    def resync(self) -> None:
        for entry in self._registry.cache.resource(CLUSTERS).entries():
            self.queue.add(entry.key.name)

    def _observe_secret(self, event: Event) -> None:
        for cluster in self._users.get(event.key, ()):
            self.queue.add(cluster)

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(CLUSTERS, "", name)
        cluster = decode_entry(self._clusters, entry) if entry is not None else None
        wanted = self._credentials(cluster) if cluster is not None else None
        room = self._rooms.get(name)
        if room is not None and room.credentials == wanted:
            return
        if room is not None:
            del self._rooms[name]
            await room.close()
        if wanted is None or cluster is None:
            return
        self._rooms[name] = room = self._open(cluster, wanted)
        room.tenants = self._furnish(room)
        for tenant in room.tenants:
            tenant.start()

    def _open(self, cluster: Object, credentials: Credentials) -> Room:
        name = cluster["metadata"]["name"]
        transport = self._transport_for(cluster)
        client = MemberClient(
            name,
            credentials.endpoint,
            tls=TLS(authority=credentials.authority, insecure=credentials.insecure),
            token=credentials.token,
            proxy_url=credentials.proxy_url,
            proxy_headers=dict(credentials.proxy_headers),
            transport=transport,
        )
        return Room(name, client, credentials)

    def _credentials(self, cluster: Object) -> Credentials | None:
        spec = cluster.get("spec") or {}
        if spec.get("syncMode") != "Push" or not spec.get("apiEndpoint"):
            return None
        name = cluster["metadata"]["name"]
        headers = tuple(sorted((spec.get("proxyHeader") or {}).items()))
        endpoint, proxy = spec["apiEndpoint"], spec.get("proxyURL") or ""
        if self._transport_for(cluster) is not None:
            return Credentials(endpoint, "", b"", False, proxy, headers)
        reference = spec.get("secretRef") or {}
        key = Key("secrets", reference.get("namespace", ""), reference.get("name", ""))
        self._users.setdefault(key, set()).add(name)
        secret = self._registry.cache.get(*key)
        if secret is None:
            return None
        data = secret.decode().get("data") or {}
        token = base64.b64decode(data.get("token") or "").decode()
        if not token:
            return None
        insecure = bool(spec.get("insecureSkipTLSVerification"))
        authority = b"" if insecure else base64.b64decode(data.get("caBundle") or "")
        return Credentials(endpoint, token, authority, insecure, proxy, headers)
