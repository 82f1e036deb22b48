"""A connection per member cluster with everything that waits for it, so that no cluster delays another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, final

import structlog

from kafila.core.resources import Key
from kafila.members.client import MemberClient
from kafila.members.credentials import Connection, CredentialsError, connection, secret_name
from kafila.members.discovery import Discovery
from kafila.members.transport import NO_TLS, Transport
from kafila.placement.types import Cluster
from kafila.reconcile.controller import QueueController
from kafila.reconcile.karmada.kinds import CLUSTERS, read_cluster
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.settings.answers import ANSWER_LIMITS, AnswerLimits
from kafila.watch import Event

from .shards import Concerns, Shards

log = structlog.get_logger(__name__)
TransportFor = Callable[[Any], Transport | None]  # a Cluster's own transport (simulation), None for the network


class MemberController(Protocol):
    """Runs for one member: started when the cluster is connected, stopped when it leaves."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...


@final
class MemberConnection:
    def __init__(self, client: MemberClient, reached_by: Connection) -> None:
        self.client = client
        self.discovery = Discovery(client)
        self.controllers: list[MemberController] = []
        self._reached_by = reached_by

    @property
    def name(self) -> str:
        return self.client.name

    @property
    def token(self) -> str:
        return self._reached_by.token

    def adopt(self, wanted: Connection) -> bool:
        """Whether this connection still serves: a new token is taken over, anything else needs a new connection."""
        if self._reached_by._replace(token=wanted.token) != wanted:
            return False
        if self._reached_by != wanted:
            self.client.set_token(wanted.token)
            self._reached_by = wanted
        return True

    def open(self, controllers: list[MemberController]) -> None:
        self.controllers = controllers
        for controller in controllers:
            controller.start()

    async def close(self) -> None:
        for controller in reversed(self.controllers):
            await controller.stop()
        await self.client.close()


class Router(Protocol):
    """What runs for each member, and is reached through its connection (:class:`.work_router.WorkRouter`)."""

    def controllers_for(self, connection: MemberConnection) -> list[MemberController]:
        """The controllers of a new connection, in the order in which they start."""
        ...

    async def refused(self, cluster: str, why: str) -> None:
        """A Cluster cannot be connected."""
        ...


@final
class MemberManager(QueueController[str]):
    """Connects every push-mode Cluster of this process that has credentials, and connects it anew when it is reached in another way."""

    name = "cluster-connection"
    about = CLUSTERS

    def __init__(
        self,
        registry: Registry,
        router: Router,
        transport_for: TransportFor,
        shards: Shards,
        limits: AnswerLimits = ANSWER_LIMITS,
        queue: str = "cluster-connection",
    ) -> None:
        super().__init__(registry.cache, queue, concurrency=4)
        self._registry = registry
        self._shards = shards
        self._router = router
        self._transport_for = transport_for
        self._limits = limits
        self._clusters = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")
        self._secrets = registry.kind("", "v1", "secrets")
        self._connections: dict[str, MemberConnection] = {}
        self._users: dict[Key, set[str]] = {}  # secret -> clusters that name it
        self._closed = asyncio.Event()  # a connection, since somebody last looked
        shards.listen(self._shards_changed)
        registry.cache.listen(CLUSTERS, self._observe)
        registry.cache.listen("secrets", self._observe_secret)

    def get(self, cluster: str) -> MemberConnection | None:
        return self._connections.get(cluster)

    async def stop(self) -> None:
        await super().stop()
        for name in list(self._connections):
            await self._connections.pop(name).close()

    async def left(self, concerns: Concerns) -> None:
        """Returns once none of these clusters is connected any more: they have to be another process's by then."""
        while any(map(concerns, self._connections)):
            self._closed.clear()
            await self._closed.wait()

    def resync(self) -> None:
        self._shards_changed(lambda cluster: True)

    def _shards_changed(self, concerns: Concerns) -> None:
        found = {entry.key.name for entry in self._registry.cache.resource(CLUSTERS).entries()}
        for name in sorted(filter(concerns, found | self._connections.keys())):
            self.queue.add(name)

    def _observe(self, event: Event) -> None:
        name = event.key.name
        if self._shards.holds(name) and (event.generation_changed or name not in self._connections):
            self.queue.add(name)

    def _observe_secret(self, event: Event) -> None:
        for cluster in self._users.get(event.key, ()):
            self.queue.add(cluster)

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(CLUSTERS, "", name)
        cluster = read_cluster(self._clusters, entry) if entry is not None else None
        if cluster is None or cluster["spec"].get("syncMode") != "Push" or not self._shards.holds(name):
            await self._leave(name)
            return
        transport = self._transport_for(cluster)
        try:
            wanted = self._connection(cluster, transport)
            connection = self._connections.get(name)
            if connection is not None and connection.adopt(wanted):
                return
            fence = self._shards.registry(name).transactions.fence
            client = wanted.client(name, transport, fence=fence, limits=self._limits)
        except CredentialsError as error:
            await self._leave(name)
            await self._router.refused(name, str(error))
            return
        await self._leave(name)
        if not self._shards.holds(name):  # meanwhile
            return
        self._connections[name] = connection = MemberConnection(client, wanted)
        connection.open(self._router.controllers_for(connection))

    async def _leave(self, name: str) -> None:
        connection = self._connections.get(name)
        if connection is not None:
            await connection.close()  # when this is cut short, ``stop`` closes it
            del self._connections[name]
            self._closed.set()

    def _connection(self, cluster: Cluster, transport: Transport | None) -> Connection:
        """Raises CredentialsError."""
        if transport is not None:
            return Connection(cluster["spec"].get("apiEndpoint") or "", NO_TLS, "")
        key = Key("secrets", *secret_name(cluster))
        self._users.setdefault(key, set()).add(cluster["metadata"]["name"])
        entry = self._registry.cache.get(*key)
        return connection(cluster, decode_entry(self._secrets, entry) if entry is not None else None)
