"""A room per member: its client, what it serves, what we follow there. Rooms share nothing, so a bad member harms only itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, final

from .client import MemberClient, Object, resource_path
from .credentials import Connection
from .discovery import APIResource, Discovery
from .health import Observation, observe
from .informer import Change, Informer, without_managed_fields
from .tally import Tally, node_facts, pod_facts
from .transport import Transport

NODES = resource_path("v1", "nodes")
PODS = resource_path("v1", "pods")


@final
class Room:
    """Close it when the member leaves or is reached in another way; a new token alone does not need a new room."""

    def __init__(self, client: MemberClient) -> None:
        self.client = client
        self.discovery = Discovery(client)
        self._tally: Tally | None = None
        self._informers: dict[str, Informer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def name(self) -> str:
        return self.client.name

    # -- following --------------------------------------------------------------------------------------------------

    def follow(
        self,
        resource: APIResource,
        on_change: Callable[[APIResource, Change], None],
        *,
        keep: Callable[[Object], Any] = without_managed_fields,
        resume: str = "",
    ) -> Informer:
        """Managed objects of a resource, in all namespaces; the informer that there is when it is followed already."""
        path = resource.path()
        if path not in self._informers:
            tell = lambda change: on_change(resource, change)  # noqa: E731
            self._start(Informer(self.client, path, tell, keep=keep, resume=resume))
        return self._informers[path]

    def followed(self, resource: APIResource) -> Informer | None:
        return self._informers.get(resource.path())

    async def unfollow(self, resource: APIResource) -> None:
        """For resources the member stopped serving."""
        path = resource.path()
        if path in self._informers:
            del self._informers[path]
            await _ended(self._tasks.pop(path))

    def _start(self, informer: Informer) -> None:
        self._informers[informer.path] = informer
        self._tasks[informer.path] = asyncio.create_task(informer.run(), name=f"{self.name}{informer.path}")

    # -- health -----------------------------------------------------------------------------------------------------

    def summarize(self) -> None:
        """Starts to add up nodes and pods; may be called again. Without it the Cluster's status has no summaries."""
        if self._tally is not None:
            return
        tally = self._tally = Tally()
        nodes = lambda change: tally.node(change.name.name, change.after and change.after.kept)  # noqa: E731
        pods = lambda change: tally.pod(change.before and change.before.kept, change.after and change.after.kept)  # noqa: E731
        self._start(Informer(self.client, NODES, nodes, selector="", keep=node_facts))
        self._start(Informer(self.client, PODS, pods, selector="", keep=pod_facts))

    async def observe(self, models: Sequence[Object] = ()) -> Observation:
        """One look at the member. ``models``: the Cluster's resourceModels, when modelings are wanted."""
        complete = self._tally is not None and all(self._informers[path].synced.is_set() for path in (NODES, PODS))
        return await observe(self.client, self.discovery, self._tally if complete else None, models)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self._informers.clear()
        await _ended(*tasks)
        await self.client.close()


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@final
class Rooms:
    """The rooms of the members that this process works for.

    ``transport`` gives simulated members their way (None: the network); ``options`` go to every client (qps, burst …).
    """

    def __init__(self, transport: Callable[[str], Transport | None] | None = None, **options: Any) -> None:
        self._transport = transport
        self._options = options
        self._rooms: dict[str, tuple[Connection, Room]] = {}

    def get(self, name: str) -> Room | None:
        found = self._rooms.get(name)
        return found[1] if found else None

    def names(self) -> list[str]:
        return list(self._rooms)

    async def open(self, name: str, connection: Connection) -> Room:
        """The member's room; a new one when it is reached in another way than before. Raises CredentialsError."""
        found = self._rooms.get(name)
        if found is not None:
            known, room = found
            if known._replace(token=connection.token) == connection:
                if known != connection:
                    room.client.set_token(connection.token)
                    self._rooms[name] = (connection, room)
                return room
        transport = self._transport(name) if self._transport else None
        fresh = Room(connection.client(name, transport, **self._options))
        self._rooms[name] = (connection, fresh)
        if found is not None:
            await found[1].close()
        return fresh

    async def leave(self, name: str) -> None:
        if found := self._rooms.pop(name, None):
            await found[1].close()

    async def close(self) -> None:
        for name in list(self._rooms):
            await self.leave(name)
