"""What changed of a resource in all clusters, read from the cache once for all who watch it in this process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, NamedTuple, final

import structlog
from prometheus_client import Gauge

from kafila.store.interface import StoreUnavailable
from kafila.store.search import CachedChange, CachedResource, SearchCache

log = structlog.get_logger(__name__)
WATCHERS: Final = Gauge("kafila_search_watchers", "Who watches members' objects from the cache.", ["resource"])
MOST_WAITING: Final = 5_000  # changes of a watcher that does not keep up
MOST_BYTES: Final = 16 << 20
AGAIN: Final = 1.0  # seconds after the database could not be asked


class Delivered(NamedTuple):
    """``reached``: the version that who has this change has reached: that of the change, where no other is of the same."""

    cluster: str
    change: CachedChange
    reached: int


class Interrupted(Exception):
    """A watcher cannot go on from where it is: it has to list."""


@final
class Subscription:
    """A watcher's queue. ``start``: the versions of clusters behind which it is told of everything."""

    def __init__(self, topic: Topic, start: dict[str, int]) -> None:
        self.start = start
        self._topic = topic
        self._waiting: deque[Delivered] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._ended = ""

    def put(self, found: list[Delivered]) -> None:
        self._waiting.extend(found)
        self._bytes += sum(len(each.change.body) for each in found)
        if len(self._waiting) > MOST_WAITING or self._bytes > MOST_BYTES:
            self.end("the client does not keep up")
        self._news.set()

    def end(self, why: str) -> None:
        self._ended = self._ended or why
        self._waiting.clear()
        self._news.set()

    def wake(self) -> None:
        self._news.set()

    async def changes(self, timeout: float) -> list[Delivered]:
        """Those that have come, none after the timeout or when it was woken. Raises Interrupted."""
        if not self._waiting and not self._ended:
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait()
            except TimeoutError:
                return []
        self._news.clear()
        if self._ended:
            raise Interrupted(self._ended)
        found = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return found

    def close(self) -> None:
        self._topic.leave(self)


@final
class Topic:
    """One resource. ``positions``: the versions of clusters up to which subscribers were told."""

    def __init__(self, resource: str, cache: SearchCache) -> None:
        self.positions: dict[str, int] = {}
        self.resource = resource
        self._cache = cache
        self._subscribers: set[Subscription] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._known = False
        self._joining = 0  # who is about to subscribe
        self._reading = asyncio.Lock()

    @property
    def used(self) -> bool:
        return bool(self._subscribers)

    def wake(self) -> None:
        self._wake.set()

    async def subscribe(self) -> Subscription:
        """Raises StoreUnavailable."""
        self._joining += 1
        try:
            async with self._reading:
                await self._read()
                subscription = Subscription(self, dict(self.positions))
                self._subscribers.add(subscription)
        finally:
            self._joining -= 1
        WATCHERS.labels(self.resource).inc()
        self.wake()  # of what came while nobody was here to be told
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"search-feed {self.resource}")
        return subscription

    def leave(self, subscription: Subscription) -> None:
        if subscription in self._subscribers:
            self._subscribers.discard(subscription)
            WATCHERS.labels(self.resource).dec()
        if not self._subscribers and not self._joining:  # else who joins would miss what comes until it has
            self.stop()

    def stop(self) -> None:
        self._known = False
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                async with self._reading:
                    await self._read()
            except (StoreUnavailable, OSError) as error:
                log.warning("members' objects not read", resource=self.resource, error=str(error))
                await asyncio.sleep(AGAIN)
                self._wake.set()

    async def _read(self) -> None:
        """Whoever begins starts at what is there now."""
        states = {state.cluster: state for state in await self._cache.resources(self.resource) if state.version}
        if not self._known:
            self.positions = {cluster: state.version for cluster, state in states.items()}
            self._known = True
            return
        lost = [name for name, at in self.positions.items() if name not in states or states[name].version < at]
        if lost:
            self._interrupt(lost)
        for cluster, state in states.items():
            await self._read_cluster(state, self.positions.get(cluster, 0))

    def _interrupt(self, lost: list[str]) -> None:
        """What was there of a cluster is gone, or is an older state: nobody can be told what left."""
        for name in lost:
            del self.positions[name]
        for subscription in list(self._subscribers):
            subscription.end(f"what is cached of cluster {lost[0]} was dropped or begun anew")

    async def _read_cluster(self, state: CachedResource, position: int) -> None:
        """Of a cluster that is new here all is news."""
        if position == state.version:
            return
        if position and position < state.oldest:  # this process stood still for long
            self._interrupt([state.cluster])
            position = 0
        async for found in read_changes(self._cache, state, position):
            for subscription in list(self._subscribers):
                subscription.put(found)
        self.positions[state.cluster] = state.version


async def read_changes(cache: SearchCache, state: CachedResource, after: int) -> AsyncIterator[list[Delivered]]:
    """Everything between ``after`` and what the resource has reached, page by page. Raises StoreUnavailable."""
    reached, place = after, (after, ("\U0010ffff", ""))  # behind everything of that version
    while True:
        page = await cache.changes(state.resource, state.cluster, place, state.version)
        yield list(_delivered(state.cluster, page.rows, reached, state.version, page.more))
        if not page.more:
            return
        last = page.rows[-1]
        place = last.version, (last.namespace, last.name)
        reached = max(reached, *(row.version for row in page.rows if row.version < last.version), 0)


def _delivered(cluster: str, rows: list[CachedChange], reached: int, upto: int, more: bool) -> Iterator[Delivered]:
    """Many rows of one version (those of a list) count as reached with the last of them."""
    for index, row in enumerate(rows):
        last_of_version = rows[index + 1].version != row.version if index + 1 < len(rows) else not more
        if last_of_version:
            reached = row.version
        yield Delivered(cluster, row, reached)


@final
class Feed:
    """The topics of this process."""

    def __init__(self, cache: SearchCache) -> None:
        self._cache = cache
        self._topics: dict[str, Topic] = {}
        self._unlisten: Callable[[], None] | None = None

    async def subscribe(self, resource: str) -> Subscription:
        """Raises StoreUnavailable."""
        if self._unlisten is None:
            self._unlisten = self._cache.listen(self._changed)
        topic = self._topics.get(resource)
        if topic is None:
            topic = self._topics[resource] = Topic(resource, self._cache)
        return await topic.subscribe()

    def _changed(self, resource: str) -> None:
        for topic in self._topics.values():
            if resource in ("", topic.resource) and topic.used:
                topic.wake()

    def close(self) -> None:
        if self._unlisten is not None:
            self._unlisten()
        for topic in self._topics.values():
            topic.stop()
