"""Members in pull mode whose agent has a tunnel: connected to be read, as members in push mode are, and never to be written.

What is placed there, and how they are, is their agent's to do and to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import final

from kafila.core import tunnels
from kafila.core.resources import Key
from kafila.members.credentials import Connection, CredentialsError, connection, secret_name
from kafila.members.tunnels import Tunnels, connected_through
from kafila.placement.types import Cluster
from kafila.reconcile.controller import QueueController
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import CLUSTERS
from kafila.reconcile.karmada.member.manager import MemberConnection, MemberController
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.settings.answers import AnswerLimits
from kafila.watch import Event


@final
class TunnelledMembers(QueueController[str]):
    """``readers``: what runs for each."""

    name = "search"
    about = CLUSTERS

    def __init__(
        self,
        registry: Registry,
        clusters: Clusters,
        ways: Tunnels,
        readers: Sequence[Callable[[MemberConnection], list[MemberController]]],
        limits: AnswerLimits,
    ) -> None:
        super().__init__(registry.cache, "tunnelled-members", concurrency=2)
        self._cache = registry.cache
        self._clusters = clusters
        self._ways = ways
        self._readers = readers
        self._limits = limits
        self._connections: dict[str, MemberConnection] = {}
        self._users: dict[Key, str] = {}  # of Secrets, by cluster
        registry.cache.listen(CLUSTERS, self._observe)
        registry.cache.listen("secrets", self._observe_secret)
        registry.cache.listen(tunnels.LEASES, self._observe_lease)

    async def stop(self) -> None:
        await super().stop()
        for name in list(self._connections):
            await self._connections.pop(name).close()

    def resync(self) -> None:
        for name in {*self._clusters.by_name, *self._connections}:
            self.queue.add(name, background=True)

    def _observe(self, event: Event) -> None:
        if event.generation_changed:
            self.queue.add(event.key.name)

    def _observe_secret(self, event: Event) -> None:
        if (cluster := self._users.get(event.key)) is not None:
            self.queue.add(cluster)

    def _observe_lease(self, event: Event) -> None:
        if event.key.namespace == tunnels.NAMESPACE and (name := tunnels.cluster_of(event.key.name)):
            self.queue.add(name)

    async def _reconcile(self, name: str) -> None:
        wanted = self._wanted(name)
        found = self._connections.get(name)
        if wanted is None or found is None or not found.adopt(wanted):
            if found is not None:
                await found.close()  # when this is cut short, ``stop`` closes it
                del self._connections[name]
            if wanted is not None:
                made = MemberConnection(wanted.client(name, limits=self._limits), wanted)
                self._connections[name] = made
                made.open([controller for reader in self._readers for controller in reader(made)])
        route = self._ways.route(name)
        if wanted is not None and route is not None:  # one that nobody renews has ended
            raise Requeue(max(route.until - time.time(), 0.0) + 0.01, timed=True)

    def _wanted(self, name: str) -> Connection | None:
        """None for one that is not reached by a tunnel."""
        cluster = self._clusters.get(name)
        if cluster is None or cluster["spec"].get("syncMode") != "Pull" or self._clusters.is_leaving(name):
            return None
        way = self._ways.way(name)
        return connected_through(found, way) if way is not None and (found := self._connection(cluster)) else None

    def _connection(self, cluster: Cluster) -> Connection | None:
        """None without credentials."""
        try:
            key = Key("secrets", *secret_name(cluster))
            self._users[key] = cluster["metadata"]["name"]
            entry = self._cache.get(*key)
            return connection(cluster, entry.decode() if entry is not None else None)
        except CredentialsError:
            return None
