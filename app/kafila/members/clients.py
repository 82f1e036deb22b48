"""A client for each member, made when somebody asks: from what the cache has of its Cluster and of the Secret named there.

For readers that do not connect members themselves, in a process with or without controllers. A client is exchanged when its
member is reached in another way, or with another token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, final

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


_ReachedBy = tuple[Object, Entry | None, Way | None]  # a Cluster's spec, its Secret, its tunnel


class _Known(NamedTuple):
    """What is read of a Cluster at one revision."""

    entry: Entry
    ready: bool
    cluster: Object  # its metadata and spec: the status is long, and not needed again


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
        self._known: dict[str, _Known] = {}  # by name: decoded once, however often it is asked
        self._clients: dict[str, tuple[_ReachedBy, MemberClient]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._gone: list[Callable[[str], None]] = []
        cache.listen(CLUSTERS, self._observe)
        cache.on_reset(self._known.clear)

    def on_gone(self, listener: Callable[[str], None]) -> None:
        """Called with a name when its Cluster goes, or is replaced by another one of that name."""
        self._gone.append(listener)

    def ready(self) -> tuple[list[str], list[str]]:
        """Names of the Clusters that can be asked, and of those that are not Ready; without those that leave."""
        able: list[str] = []
        unable: list[str] = []
        for entry in self._cache.resource(CLUSTERS).entries():
            known = self._read(entry)
            if not known.cluster["metadata"].get("deletionTimestamp"):
                (able if known.ready else unable).append(entry.key.name)
        return sorted(able), sorted(unable)

    def get(self, name: str) -> MemberClient:
        """Raises CredentialsError."""
        entry = self._cache.get(CLUSTERS, "", name)
        if entry is None:
            raise CredentialsError(f"cluster {name} is not there")
        cluster = self._read(entry).cluster
        transport = self._transport_for(cluster)
        secret = self._cache.get(*Key("secrets", *secret_name(cluster))) if transport is None else None
        pulled = transport is None and cluster["spec"].get("syncMode") == "Pull"
        way = self._tunnels.way(name) if pulled and self._tunnels is not None else None
        by = cluster["spec"], secret, way  # heartbeats change a Cluster all the time, but not these
        made = self._clients.get(name)
        if made is not None and made[0] == by:
            return made[1]
        if transport is not None:
            reached_by = Connection(cluster["spec"].get("apiEndpoint") or "", NO_TLS, "")
        else:
            reached_by = connection(cluster, secret.decode() if secret is not None else None)
            reached_by = connected_through(reached_by, way) if way is not None else reached_by
        client = reached_by.client(name, transport, limits=self.limits)
        self._forget(name)
        self._clients[name] = by, client
        return client

    def _read(self, entry: Entry) -> _Known:
        name = entry.key.name
        known = self._known.get(name)
        if known is None or known.entry is not entry:
            decoded = entry.decode()
            cluster = {"metadata": decoded["metadata"], "spec": decoded.get("spec") or {}}
            known = self._known[name] = _Known(entry, is_true(conditions_of(decoded), "Ready"), cluster)
        return known

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
        self._known.pop(event.key.name, None)
        if event.new is None or (event.old is not None and event.old.meta.uid != event.new.meta.uid):
            self._forget(event.key.name)
            for listener in self._gone:
                listener(event.key.name)
