"""Follows one resource of one member, and writes what it sees into the cache: nothing of it is kept in this process.

Whoever leads next goes on from what the cache has reached, with a watch and without a list, if that is not long ago. Otherwise, and
where the member says that it is too long ago, it lists: what is unchanged is not written again, and what is not listed is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, final

import orjson
import structlog

from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.rates import Backoff
from kafila.core.values import Object
from kafila.members.client import MemberClient, WatchEvent, resource_path
from kafila.members.informer import FIRST_PAUSE, LONGEST_PAUSE, QUICK_END
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.search.bodies import kept_body
from kafila.search.selection import resource_of
from kafila.store.interface import StoreUnavailable
from kafila.store.search import FIRST, CachedResource, NotTheWriter, ObjectWrite, SearchCache
from kafila.telemetry.tasks import cancelled

log = structlog.get_logger(__name__)
FRESH: Final = 300.0  # seconds for which a member is trusted not to have been replaced by an older state
GATHER: Final = 0.02  # seconds that changes are gathered for one transaction
BATCH: Final = 500  # changes
BATCH_BYTES: Final = 16 << 20  # of them, as they came
SWEPT: Final = 5_000  # places looked at at once


class Target(NamedTuple):
    """What is followed. ``namespaces``: empty for all."""

    kind: Kind
    cluster: str
    namespaces: frozenset[str]

    @property
    def resource(self) -> str:
        return resource_of(self.kind)

    @property
    def path(self) -> str:
        namespace = next(iter(self.namespaces)) if len(self.namespaces) == 1 else ""
        return resource_path(self.kind.api_version, self.kind.plural, namespace)


@final
class Follower:
    """``writer``: the number by which this process is known to the cache; ``most_bytes``: of what is kept;
    ``rewrites``: at the first list all is written (it may be sealed with another key by now); ``changed`` is called when
    :attr:`trouble` changes, or when everything is there."""

    def __init__(
        self,
        cache: SearchCache,
        client: MemberClient,
        target: Target,
        writer: int,
        most_bytes: int,
        rewrites: bool,
        changed: Callable[[], None],
    ) -> None:
        self.target = target
        self.trouble = ""
        self.ended = False  # another process took over
        self.state: CachedResource | None = None
        self._cache, self._client = cache, client
        self._writer = writer
        self._most_bytes = most_bytes
        self._rewrites = rewrites
        self._changed = changed
        self._lists = False  # the next time, whatever is there
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, random.random)
        self._task = asyncio.create_task(self._run(), name=f"search {target.cluster} {target.resource}")

    @property
    def synced(self) -> bool:
        return self.state is not None and self.state.version > 0

    def goes_over(self, client: MemberClient) -> bool:
        return self._client is client

    async def stop(self) -> None:
        await cancelled(self._task)

    async def _run(self) -> None:
        """Until it is stopped, or another process has taken over."""
        target = self.target
        while True:
            try:
                if self.state is None:
                    self.state = await self._take_over()
                    if self.synced and not self._lists:
                        self._changed()
                if self._lists or not self.state.version:
                    await self._list(self.state)
                await self._watch(self.state.version)
            except NotTheWriter:
                log.info("another process follows it", resource=target.resource, cluster=target.cluster)
                self.ended = True
                self._changed()
                return
            except StatusError as error:
                self._lists = self._lists or error.code == 410  # what was seen last is compacted there
                await self._rest(f"{error.code} {error.message}", quietly=error.code == 410)
            except (UnusableAnswer, ValueError) as error:
                self._client.faults.record(f"GET {target.path}", str(error), asyncio.get_running_loop().time())
                self._lists = True
                await self._rest(str(error))
            except Unreachable as error:
                await self._rest(str(error))
            except (StoreUnavailable, OSError) as error:
                log.warning("members' objects not written", resource=target.resource, error=str(error))
                self.state = None
                await asyncio.sleep(self._backoff.failed())
            except Exception as error:  # a fault of ours must not end the following for good
                log.exception("search follower stumbled", resource=target.resource, cluster=target.cluster)
                self._lists = True
                await self._rest(f"{type(error).__name__}: {error}")

    async def _take_over(self) -> CachedResource:
        target = self.target
        found = await self._cache.take_over(target.resource, target.cluster, sorted(target.namespaces), self._writer)
        self._lists = self._lists or self._rewrites or time.time() - found.at > FRESH
        return found

    async def _rest(self, why: str, quietly: bool = False) -> None:
        """After a first failure it goes on where it was; after more the member may have been restored meanwhile."""
        known_away = self._client.breaker.remaining(asyncio.get_running_loop().time())
        self._lists = self._lists or self._backoff.failures > 0 or known_away > 0
        if not quietly:
            await self._say(why)
        await asyncio.sleep(max(self._backoff.failed(), known_away))

    async def _say(self, trouble: str) -> None:
        if self.trouble == trouble:
            return
        self.trouble = trouble
        with contextlib.suppress(StoreUnavailable, OSError, NotTheWriter):
            await self._cache.say(self.target.resource, self.target.cluster, self._writer, trouble[:1024])
        self._changed()

    def _follows(self) -> None:
        self._backoff.reset()
        if self.trouble:
            self.trouble = ""
            self._changed()

    # -- list ----------------------------------------------------------------------------------------------------------

    async def _list(self, before: CachedResource) -> None:
        present: set[int] = set()
        reached = 0
        others = before.bytes  # at most: of what is not listed. It counts once all is listed, or when both are too much
        anew = not before.version or self._rewrites
        async for items, listed in self._client.pages(self.target.path):
            version = _number(listed, self.target.path)
            if not reached and version < before.version:
                log.warning("resourceVersions went back", cluster=self.target.cluster, path=self.target.path)
                await self._cache.start_over(self.target.resource, self.target.cluster, self._writer)
                anew = True
            reached = reached or version
            writes = await asyncio.to_thread(self._listed, items, reached)
            present.update(hash(write[:2]) for write in writes)
            now = await self._write(writes, None, anew)
            self._check(now.bytes - others, len(present))
            if now.bytes > 2 * self._most_bytes or now.objects > 2 * self._client.limits.objects:
                await self._sweep(present, reached)
                others = 0
        await self._sweep(present, reached)
        now = await self._write([], None)
        self._check(now.bytes, now.objects)
        await self._write([], reached)
        self._lists = self._rewrites = False
        self._changed()

    def _listed(self, items: Sequence[Object], version: int) -> list[ObjectWrite]:
        return [write for obj in items if (write := self._put(obj, version)) is not None]

    async def _sweep(self, present: set[int], version: int) -> None:
        """What was not listed is gone. Numbers stand for places: of a million these are some megabytes, and only now."""
        after = FIRST
        while True:
            places = await self._cache.places(self.target.resource, self.target.cluster, after, SWEPT)
            gone = [ObjectWrite(*place, version) for place in places if hash(place) not in present]
            if gone:
                await self._write(gone, None)
            if len(places) < SWEPT:
                return
            after = places[-1]

    # -- watch ---------------------------------------------------------------------------------------------------------

    async def _watch(self, version: int) -> None:
        started = asyncio.get_running_loop().time()
        events = Arrivals()
        pump = asyncio.create_task(self._pump(version, events))
        heard = False
        try:
            while await events.some():
                heard = True
                await asyncio.sleep(GATHER)
                version = await self._apply(events.take(), version)
                self._follows()
            await pump
        finally:
            await cancelled(pump)
        if not heard and asyncio.get_running_loop().time() - started < QUICK_END:
            await self._rest("the watch ended at once")

    async def _pump(self, version: int, events: Arrivals) -> None:
        try:
            async for event in self._client.watch(self.target.path, str(version)):
                await events.put(event)
        finally:
            events.end()

    async def _apply(self, batch: Sequence[WatchEvent], reached: int) -> int:
        writes = []
        for event in batch:
            metadata = event.object.get("metadata") or {}
            version = _number(metadata.get("resourceVersion") or "", self.target.path)
            if version < reached:
                self._lists = True
                raise StatusError(410, "Expired", "the member's resourceVersions went back")
            reached = version
            if event.type == "BOOKMARK":
                continue
            write = self._put(event.object, version)
            if write is not None:
                writes.append(write._replace(body=None) if event.type == "DELETED" else write)
        now = await self._write(writes, reached)
        self._check(now.bytes, now.objects)
        return reached

    # -- what is written -----------------------------------------------------------------------------------------------

    def _put(self, obj: Object, version: int) -> ObjectWrite | None:
        """None for one in a namespace that is not wanted. Raises UnusableAnswer."""
        path = self.target.path
        metadata = obj.get("metadata") or {}
        namespace, name, own = metadata.get("namespace") or "", metadata.get("name"), metadata.get("resourceVersion")
        if not name or not own:
            raise UnusableAnswer(f"the answer to GET {path} has an object without name or resourceVersion")
        if self.target.namespaces and namespace not in self.target.namespaces:
            return None
        try:
            labels = orjson.dumps(metadata.get("labels") or {})
            body = kept_body(self.target.kind, obj, self.target.cluster)
        except orjson.JSONEncodeError:
            raise UnusableAnswer(f"the answer to GET {path} has an object that is nested too deep") from None
        if "\0" in f"{namespace}{name}{own}" or b"\\u0000" in labels or '"' in own or "\\" in own:
            raise UnusableAnswer(f"the answer to GET {path} has an object whose metadata no API would have")
        return ObjectWrite(namespace, name, version, own, labels, body)

    async def _write(self, writes: Sequence[ObjectWrite], version: int | None, anew: bool = False) -> CachedResource:
        """Raises NotTheWriter, StoreUnavailable."""
        target = self.target
        self.state = await self._cache.write(
            target.resource, target.cluster, self._writer, writes, version=version, anew=anew
        )
        return self.state

    def _check(self, size: int, objects: int) -> None:
        """Raises UnusableAnswer for more than may be kept."""
        if size > self._most_bytes:
            raise UnusableAnswer(f"{self.target.path} takes more than {self._most_bytes} bytes as it is kept")
        if objects > self._client.limits.objects:
            raise UnusableAnswer(f"{self.target.path} has more than {self._client.limits.objects} objects")


@final
class Arrivals:
    """What a watch has brought and is not written yet: so many events and bytes, or one event, and who brings more waits."""

    def __init__(self, most: int = BATCH, most_bytes: int = BATCH_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._events: list[WatchEvent] = []
        self._bytes = 0
        self._ended = False
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def put(self, event: WatchEvent) -> None:
        while self._events and (len(self._events) >= self._most or self._bytes + event.size > self._most_bytes):
            self._room.clear()
            await self._room.wait()
        self._events.append(event)
        self._bytes += event.size
        self._news.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._news.set()

    async def some(self) -> bool:
        """Waits for events. False: they have ended."""
        await self._news.wait()
        return bool(self._events)

    def take(self) -> list[WatchEvent]:
        found, self._events, self._bytes = self._events, [], 0
        if not self._ended:
            self._news.clear()
        self._room.set()
        return found


def _number(version: str, path: str) -> int:
    """Raises UnusableAnswer."""
    if version.isascii() and version.isdigit() and len(version) <= 18 and int(version):
        return int(version)
    raise UnusableAnswer(f"the answer to GET {path} has a resourceVersion that is no number")
