"""A client for each member, made when somebody asks: from what the cache has of its Cluster and of the Secret named there.

For readers that do not connect members themselves, in a process with or without controllers. A client is exchanged when its
member is reached in another way, or with another token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from kafila.core.conditions import conditions_of, is_true
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.settings.answers import ANSWER_LIMITS, AnswerLimits
from kafila.watch import Cache, Entry, Event

from .client import MemberClient
from .credentials import Connection, CredentialsError, connection, secret_name
from .transport import NO_TLS, Transport
from .tunnels import Tunnels, Way, connected_through

CLUSTERS: Final = "clusters.cluster.karmada.io"

TransportFor = Callable[[Object], Transport | None]


@final
class MemberClients:
    """``transport_for``: a Cluster's own transport (simulation), None for the network; ``tunnels``: by which members in pull mode are
    reached that have one."""

    def __init__(
        self,
        cache: Cache,
        transport_for: TransportFor,
        limits: AnswerLimits = ANSWER_LIMITS,
        tunnels: Tunnels | None = None,
    ) -> None:
        self.limits = limits
        self._tunnels = tunnels
        self._cache = cache
        self._transport_for = transport_for
        self._clients: dict[str, tuple[tuple[Entry | None, Entry | None, Way | None], MemberClient]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._gone: list[Callable[[str], None]] = []
        cache.listen(CLUSTERS, self._observe)

    def on_gone(self, listener: Callable[[str], None]) -> None:
        """Called with a name when its Cluster goes, or is replaced by another one of that name."""
        self._gone.append(listener)

    def ready(self) -> tuple[list[str], list[str]]:
        """Names of the Clusters that can be asked, and of those that are not Ready; without those that leave."""
        able: list[str] = []
        unable: list[str] = []
        for entry in self._cache.resource(CLUSTERS).entries():
            if not entry.meta.deletionTimestamp:
                (able if is_true(conditions_of(entry.decode()), "Ready") else unable).append(entry.key.name)
        return sorted(able), sorted(unable)

    def get(self, name: str) -> MemberClient:
        """Raises CredentialsError."""
        entry = self._cache.get(CLUSTERS, "", name)
        if entry is None:
            raise CredentialsError(f"cluster {name} is not there")
        known = self._clients.get(name)
        cluster = entry.decode()
        transport = self._transport_for(cluster)
        secret = self._cache.get(*Key("secrets", *secret_name(cluster))) if transport is None else None
        pulled = transport is None and cluster["spec"].get("syncMode") == "Pull"
        way = self._tunnels.way(name) if pulled and self._tunnels is not None else None
        if known is not None and known[0] == (entry, secret, way):
            return known[1]
        if transport is not None:
            reached_by = Connection(cluster["spec"].get("apiEndpoint") or "", NO_TLS, "")
        else:
            reached_by = connection(cluster, secret.decode() if secret is not None else None)
            reached_by = connected_through(reached_by, way) if way is not None else reached_by
        if known is not None and known[0][1:] == (secret, way) and _same_way(known[0][0], cluster):
            self._clients[name] = (entry, secret, way), known[1]
            return known[1]
        client = reached_by.client(name, transport, limits=self.limits)
        self._forget(name)
        self._clients[name] = (entry, secret, way), client
        return client

    async def close(self) -> None:
        for _, client in self._clients.values():
            await client.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _forget(self, name: str) -> None:
        found = self._clients.pop(name, None)
        if found is not None:
            task = asyncio.get_running_loop().create_task(found[1].close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _observe(self, event: Event) -> None:
        if event.new is None or (event.old is not None and event.old.meta.uid != event.new.meta.uid):
            self._forget(event.key.name)
            for listener in self._gone:
                listener(event.key.name)


def _same_way(before: Entry | None, cluster: Object) -> bool:
    """Heartbeats change a Cluster all the time, but not how it is reached."""
    return before is not None and before.decode()["spec"] == cluster["spec"]
