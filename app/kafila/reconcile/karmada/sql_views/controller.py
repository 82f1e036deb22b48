"""Keeps the tables that ``kafila sql`` reads up to date, behind all writes: it hears what changed and projects it soon after.

Nobody waits for it, and it keeps nothing in memory but the keys of what it has not projected yet. What it missed while it did not run
is what differs in revision: it compares once, at its start. It is off unless ``--controllers`` names it, and costs nothing then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final, final

import structlog
from prometheus_client import Gauge

from kafila.core.rates import Backoff
from kafila.core.resources import Key
from kafila.reconcile.events import Recorder
from kafila.registry import Registry
from kafila.store.fleet import NotTheProjector
from kafila.store.interface import EVENTS, StoreUnavailable
from kafila.telemetry.tasks import cancelled
from kafila.watch import Event

from .events import EventTail
from .members import MemberObjects
from .projection import Stored, projected
from .rows import Named
from .writer import CHUNK, Writer

log = structlog.get_logger(__name__)
GATHER: Final = 0.1  # seconds that changes are gathered for: an object that changes again meanwhile is projected once
LOOK: Final = 1.0  # seconds between two looks for new Events
BEAT: Final = 5.0  # seconds between two notes of the revision, when nothing else changes
BETWEEN: Final = 0.01  # seconds between two portions: others come first
NOT_SHOWN: Final = "SQLViewsRefused"  # reason of an event
LEFT_OUT: Final = frozenset({EVENTS, "leases.coordination.k8s.io"})  # Events have a table; leases only beat
REVISION: Final = Gauge("kafila_sql_views_revision", "Everything up to this revision is in the views of kafila sql.")
WAITING: Final = Gauge("kafila_sql_views_waiting", "Objects whose change is not yet in the views of kafila sql.")


@final
class SQLViews:
    """``progressed``: called after each round, with the revision that is reached."""

    name = "sql-views"

    def __init__(self, registry: Registry, recorder: Recorder) -> None:
        self._registry = registry
        self._cache = registry.cache
        self._recorder = recorder
        self._writer = Writer(registry.store.fleet, self._refused)
        self._events = EventTail(registry.store, self._writer)
        self._members = MemberObjects(registry.store, self._writer, self._wake)
        self._changed: dict[Key, None] = {}
        self._woken = asyncio.Event()
        self._everything = False  # is to be compared again
        self._listening = False
        self._task: asyncio.Task[None] | None = None
        self.progressed: Callable[[int], None] = REVISION.set

    async def start(self) -> None:
        if not self._listening:  # nobody stops listening to a cache: what comes while we do not run is left out
            self._listening = True
            self._cache.listen_to_all(self._observe)
            self._cache.on_reset(self._compare_again)
        self._task = asyncio.create_task(self._run(), name="sql-views")

    async def stop(self) -> None:
        await cancelled(self._task)
        self._task = None
        self._members.stop()
        self._changed.clear()

    def _observe(self, event: Event) -> None:
        if self._task is not None and event.key.resource not in LEFT_OUT:
            self._changed[event.key] = None
            self._woken.set()

    def _compare_again(self) -> None:
        """Another history: what was projected may never have been."""
        self._everything = True
        self._woken.set()

    def _wake(self) -> None:
        self._woken.set()

    async def _run(self) -> None:
        backoff = Backoff(0.5, 10.0)
        while True:
            try:
                await self._follow(backoff)
            except NotTheProjector:
                log.warning("another process fills the views of kafila sql")
            except StoreUnavailable as error:
                log.warning("the views of kafila sql are behind", error=str(error))
            except Exception:
                log.exception("the views of kafila sql are behind")
            await asyncio.sleep(backoff.failed())

    async def _follow(self, backoff: Backoff) -> None:
        sealed = self._registry.store.sealer.sealed
        progress = await self._writer.take_over(sealed)
        # taken before it is done: while it is, it may be called for again
        everything, self._everything = self._everything, False
        try:
            self._events.begin(0 if everything else progress.events)
            self._members.begin(await self._writer.tables.followed())
            await self._compare(all_of_it=everything)
        except BaseException:
            self._everything |= everything
            raise
        noted = 0.0
        while True:
            todo, upto = self._changed, self._cache.revision
            self._changed = {}
            WAITING.set(len(todo))
            try:
                await self._project(list(todo))
            except BaseException:
                self._changed = {**todo, **self._changed}
                raise
            if todo or time.monotonic() - noted >= BEAT:
                await self._writer.reached(revision=upto)
                noted = time.monotonic()
                self.progressed(upto)
            await self._events.follow(self._cache.revision)
            await self._members.follow()
            backoff.reset()
            WAITING.set(len(self._changed))
            if self._everything or self._registry.store.sealer.sealed != sealed:
                return
            await self._pause()

    async def _pause(self) -> None:
        self._woken.clear()
        if not self._changed:
            try:
                async with asyncio.timeout(LOOK):
                    await self._woken.wait()
            except TimeoutError:
                return
        await asyncio.sleep(GATHER)

    # -- what differs --------------------------------------------------------------------------------------------------

    async def _compare(self, all_of_it: bool) -> None:
        """Projects what is not there at the revision that it has, and takes away what is gone."""
        upto = self._cache.revision
        there = {resource.name for resource in self._cache.resources()} - LEFT_OUT
        for resource in sorted({*there, *await self._writer.tables.resources()}):
            for keys in await self._differing(resource, all_of_it):
                await self._project(keys)
                await asyncio.sleep(BETWEEN)
        await self._writer.reached(revision=upto)
        self.progressed(upto)

    async def _differing(self, resource: str, all_of_it: bool) -> Iterator[list[Key]]:
        known: dict[tuple[str, str], int] = {}
        after = ("", "")
        while page := await self._writer.tables.known(resource, "", after):
            known.update(((namespace, name), revision) for namespace, name, revision in page)
            after = page[-1][0], page[-1][1]
        keys = []
        for chunk in self._cache.resource(resource).chunks():
            for entry in chunk:
                if known.pop(entry.key[1:], 0) != entry.revision or all_of_it:
                    keys.append(entry.key)
            await asyncio.sleep(0)
        keys += [Key(resource, *place) for place in known]
        return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))

    async def _project(self, keys: list[Key]) -> None:
        for start in range(0, len(keys), CHUNK):
            if start:
                await asyncio.sleep(BETWEEN)
            await self._writer.put([self._stored(key) for key in keys[start : start + CHUNK]], projected)

    def _stored(self, key: Key) -> Stored:
        where = Named("", *key)
        entry = self._cache.get(*key)
        if entry is None:
            return Stored(where)
        kind = self._registry.catalog.storage_kind(key.resource)
        api_version, name = (kind.api_version, kind.kind) if kind is not None else ("", "")
        return Stored(where, entry.body, entry.revision, api_version, name, self._is_sealed(key, entry.body))

    def _is_sealed(self, key: Key, body: bytes) -> bool:
        sealer = self._registry.store.sealer
        return sealer.active and sealer.concerns(key.resource) and sealer.seals(key, body)

    def _refused(self, what: object, why: str) -> None:
        """One object is left out; whoever looks at it is told, where it is ours."""
        if not isinstance(what, Stored):
            log.warning("something is not in the views of kafila sql", what=repr(what)[:200], error=why)
            return
        log.warning("an object is not in the views of kafila sql", **what.where._asdict(), error=why)
        if not what.where.cluster and what.kind:
            metadata = {"namespace": what.where.namespace, "name": what.where.name}
            about = {"apiVersion": what.api_version, "kind": what.kind, "metadata": metadata}
            self._recorder.event(about, "Warning", NOT_SHOWN, f"It is not in the views of kafila sql: {why}")
