"""Writes what search keeps of members to one backend store, an OpenSearch: from the cache, page by page, behind its changes.

How far it is, is kept beside the cache: whoever leads next goes on there. Nothing waits in memory but one page, so a store that is slow
or away costs nothing but being late. What is begun anew, or not wanted any more, is followed by one look at all documents of an index
(a sweep): those that nobody has any more go.

Who wrote before and stood still may have had a request on its way, which puts older documents over newer ones. Once none can be any
more (:data:`LATE`), all that changed since is written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, final

import structlog
from prometheus_client import Counter, Gauge

from kafila.catalog.kind import Kind
from kafila.core.rates import Backoff
from kafila.search.documents import Owner, document_of, id_of, index_of, owner_of
from kafila.search.opensearch import TIMES, Action, BackendError, OpenSearch, TooMuch
from kafila.search.selection import Selected
from kafila.store.exports import START, Export
from kafila.store.interface import StoreUnavailable
from kafila.store.search import FIRST, LAST, CachedChange, CachedResource, SearchCache
from kafila.telemetry.tasks import cancelled

log = structlog.get_logger(__name__)
PAUSE: Final = 1.0  # seconds between two looks at what has changed: no earlier does an index show it
CHECKED: Final = 60.0  # seconds after which it is asked again whether indices are those that were written to
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
REQUEST_BYTES: Final = 5 << 20  # of documents in one request, or one document
TRIES: Final = 6  # of what a store says it may take later
SWEPT: Final = 5_000  # places looked at at once
LATE: Final = (
    2 * TIMES.total
)  # seconds after which no request of who wrote before is on its way: none is begun after its lease
DOCUMENTS: Final = Counter(
    "kafila_search_backend_documents_total",
    "Documents of members' objects in backend stores: written, deleted or refused.",
    ["outcome"],
)
BEHIND: Final = Gauge(
    "kafila_search_backend_pending",
    "Resources of members of which a backend store does not have everything yet.",
    ["backend"],
)

Which = tuple[str, str]  # resource and cluster


class Trouble(NamedTuple):
    """``reason``: of the condition."""

    reason: str
    text: str


@final
class Exporter:
    """``backend`` identifies the store, ``host`` names it to people; ``connect`` raises BackendError; ``wanted`` is asked at every look; ``changed`` is called when
    something of :attr:`trouble`, :attr:`refused` or :meth:`pending` is another."""

    def __init__(
        self,
        backend: str,
        host: str,
        cache: SearchCache,
        connect: Callable[[], OpenSearch],
        wanted: Callable[[], Mapping[Which, Selected]],
        changed: Callable[[], None],
    ) -> None:
        self.trouble: Trouble | None = None
        self.refused: Counts[Which] = Counts()  # documents, since this process leads
        self.why_refused = ""
        self._backend = backend
        self._host = host
        self._cache = cache
        self._connect = connect
        self._wanted = wanted
        self._changed = changed
        self._store: OpenSearch | None = None
        self._renews = False
        self._exports: dict[Which, Export] | None = None
        self._before: dict[Which, Export | None] = {}  # as who wrote before left them, until it has nothing on its way
        self._begun = 0.0
        self._uids: dict[str, str] = {}  # of indices
        self._checked = 0.0
        self._done: set[Which] = set()
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self._wake = asyncio.Event()
        self._wake.set()
        self._again = asyncio.Event()
        self._unlisten = cache.listen(lambda resource: self._wake.set())
        self._task = asyncio.create_task(self._run(), name=f"search-export {backend}")

    async def stop(self) -> None:
        self._unlisten()
        await cancelled(self._task)
        await self._disconnect()
        with contextlib.suppress(KeyError):
            BEHIND.remove(self._host)

    def look(self) -> None:
        """Something else is wanted."""
        self._wake.set()

    def reconnect(self) -> None:
        """The credentials are others."""
        self._renews = True
        self._wake.set()
        self._again.set()

    def pending(self, wanted: Iterable[Which]) -> list[Which]:
        """Of these, what it does not have everything of yet."""
        return [which for which in wanted if which not in self._done]

    async def _disconnect(self) -> None:
        store, self._store = self._store, None
        self._uids.clear()
        if store is not None:
            await store.close()

    async def _run(self) -> None:
        while True:
            await _set_within(self._wake, CHECKED)
            pause = PAUSE
            try:
                await self._look()
                self._backoff.reset()
                self._say(None)
            except BackendError as error:
                pause = self._failed(Trouble(error.reason, str(error)))
            except (StoreUnavailable, OSError) as error:
                log.warning("members' objects not read for a backend store", error=str(error))
                pause = self._failed(self.trouble)
            except Exception as error:  # a fault of ours must not end it for good
                log.exception("search exporter stumbled", backend=self._backend)
                pause = self._failed(Trouble("Failed", f"{type(error).__name__}: {error}"[:256]))
            await asyncio.sleep(PAUSE)
            await _set_within(self._again, pause - PAUSE)

    def _failed(self, trouble: Trouble | None) -> float:
        self._say(trouble)
        self._uids.clear()  # it may be another one when it is back
        self._wake.set()
        return self._backoff.failed()

    def _say(self, trouble: Trouble | None) -> None:
        if self.trouble != trouble:
            self.trouble = trouble
            self._changed()

    # -- one look ------------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Raises BackendError, StoreUnavailable."""
        wanted = self._wanted()
        exports = await self._known(wanted)
        store = await self._connected()
        await self._go_back()
        states = {(state.resource, state.cluster): state for state in await self._cache.resources() if state.version}
        for which, selected in wanted.items():
            if which in states:
                await self._export(store, states[which], selected)
        gone = [export for which, export in exports.items() if which not in wanted]
        await self._sweep(store, wanted, gone)
        BEHIND.labels(self._host).set(len(self.pending(wanted)))

    async def _known(self, wanted: Iterable[Which] = ()) -> dict[Which, Export]:
        if self._exports is None:
            found = await self._cache.exports.of(self._backend)
            self._exports = {(export.resource, export.cluster): export for export in found}
            self._before, self._begun = {**dict.fromkeys(wanted), **self._exports}, time.monotonic()
        return self._exports

    async def _go_back(self) -> None:
        """Once, to where who wrote before was: all since is written again, and what is not wanted any more swept again."""
        if not self._before or time.monotonic() - self._begun < LATE:
            return
        exports = await self._known()
        for which, before in self._before.items():
            export = exports.get(which, before)
            if export is not None:
                reached = min(export.reached, before.reached if before is not None else START)
                is_same = before is None or before[:5] == export[:5]
                await self._save(export._replace(reached=reached, swept=export.swept and is_same))
        self._before = {}

    async def _connected(self) -> OpenSearch:
        """Raises BackendError."""
        if self._renews:
            self._renews = False
            await self._disconnect()
        if self._store is None:
            self._store = self._connect()
        if not self._uids or time.monotonic() - self._checked > CHECKED:
            self._uids.clear()
            await self._store.check()
            self._checked = time.monotonic()
        return self._store

    async def _uid(self, store: OpenSearch, index: str) -> str:
        if index not in self._uids:
            self._uids[index] = await store.index(index)
        return self._uids[index]

    async def _save(self, export: Export) -> None:
        (await self._known())[export.resource, export.cluster] = export
        await self._cache.exports.put(self._backend, export)

    # -- what changed --------------------------------------------------------------------------------------------------

    async def _export(self, store: OpenSearch, state: CachedResource, selected: Selected) -> None:
        which, index = (state.resource, state.cluster), index_of(selected.kind)
        at = (await self._known()).get(which)
        begun = Export(*which, tuple(sorted(selected.namespaces)), index, await self._uid(store, index))
        if at is None or not _goes_on(at, begun, state):
            self._set_done(which, False)
            self.refused.pop(which, None)
            at = begun
        while at.reached != (state.version, LAST):
            page = await self._cache.changes(*which, at.reached, state.version)
            rows = [row for row in page.rows if not at.namespaces or row.namespace in at.namespaces]
            actions = await asyncio.to_thread(_actions, selected.kind, index, state.cluster, rows)
            await self._write(store, which, actions)
            reached = (state.version, LAST)
            if page.more:
                last = page.rows[-1]
                reached = last.version, (last.namespace, last.name)
            at = at._replace(reached=reached)
            await self._save(at)
        if at.swept:
            self._set_done(which, True)

    def _set_done(self, which: Which, done: bool) -> None:
        if done != (which in self._done):
            (self._done.add if done else self._done.discard)(which)
            self._changed()

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _write(self, store: OpenSearch, which: Which, actions: list[Action]) -> None:
        """Raises BackendError."""
        start = size = 0
        for index, action in enumerate(actions):
            size += len(action.document or b"")
            if size >= REQUEST_BYTES:
                await self._request(store, which, actions[start : index + 1])
                start, size = index + 1, 0
        await self._request(store, which, actions[start:])

    async def _request(self, store: OpenSearch, which: Which, actions: list[Action]) -> None:
        """What it does not take now is sent again, for a while. Raises BackendError."""
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        for _ in range(TRIES):
            if not actions:
                return
            try:
                outcomes = await store.bulk(actions)
            except TooMuch:
                await self._request_halves(store, which, actions)
                return
            left = [action for action, outcome in zip(actions, outcomes, strict=True) if outcome.again]
            why = next((outcome.refused for outcome in outcomes if outcome.again), "")
            for action, outcome in zip(actions, outcomes, strict=True):
                if not outcome.again:
                    self._count(which, action, outcome.refused)
            actions = left
            if actions:
                self._say(Trouble("Overloaded", f"{len(actions)} documents are not taken: {why}"))
                await asyncio.sleep(backoff.failed())
        if actions:
            raise BackendError("Overloaded", f"{len(actions)} documents are not taken: {why}")

    async def _request_halves(self, store: OpenSearch, which: Which, actions: list[Action]) -> None:
        if len(actions) == 1:
            self._count(which, actions[0], "it is larger than the server takes at once")
            return
        middle = len(actions) // 2
        await self._request(store, which, actions[:middle])
        await self._request(store, which, actions[middle:])

    def _count(self, which: Which, action: Action, refused: str) -> None:
        outcome = "refused" if refused else "deleted" if action.document is None else "written"
        DOCUMENTS.labels(outcome).inc()
        if refused:
            self.refused[which] += 1
            self.why_refused = refused
            self._changed()

    # -- what is too much ----------------------------------------------------------------------------------------------

    async def _sweep(self, store: OpenSearch, wanted: Mapping[Which, Selected], gone: Sequence[Export]) -> None:
        """Documents that nobody has any more, of what was begun anew, and all of what is not wanted any more. Raises BackendError."""
        anew = [
            export
            for which, export in (await self._known()).items()
            if which in wanted and not export.swept and export.reached[1] == LAST
        ]
        for index in sorted({export.index_name for export in (*anew, *gone)}):
            here = [export for export in anew if export.index_name == index]
            kept: dict[Owner, set[int]] = {_owner(export): set() for export in gone if export.index_name == index}
            for export in here:
                kept[_owner(export)] = await self._ids(export, wanted[export.resource, export.cluster].kind)
            here = [export for export in here if await self._is_there(export)]
            there = {_owner(export) for export in (*here, *gone)}
            await self._sweep_index(store, index, {owner: ids for owner, ids in kept.items() if owner in there})
            for export in here:
                await self._save(export._replace(swept=True))
                self._set_done((export.resource, export.cluster), True)
        for export in gone:
            await self._ended(export)

    async def _is_there(self, export: Export) -> bool:
        """What was dropped from the cache meanwhile has no places, and will be there again."""
        return any(state.version for state in await self._cache.resources(export.resource, export.cluster))

    async def _ended(self, export: Export) -> None:
        which = export.resource, export.cluster
        await self._cache.exports.end(self._backend, *which)
        (await self._known()).pop(which, None)
        self.refused.pop(which, None)
        self._set_done(which, False)

    async def _ids(self, export: Export, kind: Kind) -> set[int]:
        """Numbers stand for ids: of a million these are some megabytes, and only now."""
        found: set[int] = set()
        after = FIRST
        while True:
            places = await self._cache.places(export.resource, export.cluster, after, SWEPT)
            found.update(
                hash(id_of(kind, export.cluster, *place))
                for place in places
                if not export.namespaces or place[0] in export.namespaces
            )
            if len(places) < SWEPT:
                return found
            after = places[-1]

    async def _sweep_index(self, store: OpenSearch, index: str, kept: Mapping[Owner, set[int]]) -> None:
        async for documents in store.documents(index):
            extra = [
                Action(index, document.id)
                for document in documents
                if (owner := owner_of(document.source)) is not None
                and owner in kept
                and hash(document.id) not in kept[owner]
            ]
            await self._write(store, ("", ""), extra)


def _goes_on(at: Export, begun: Export, state: CachedResource) -> bool:
    """Whether nothing is missing of what changed behind ``at``. Deleted ones need not be told to what is swept yet."""
    same = at[:5] == begun[:5]
    return same and at.reached[0] <= state.version and (not at.swept or at.reached[0] >= state.oldest)


def _owner(export: Export) -> Owner:
    return Owner(export.resource.rpartition("/")[0].lstrip("/"), export.cluster)


def _actions(kind: Kind, index: str, cluster: str, rows: Sequence[CachedChange]) -> list[Action]:
    """What cannot be read is left as it is."""
    return [
        Action(index, id_of(kind, cluster, row.namespace, row.name), None if row.deleted else document_of(row.body))
        for row in rows
        if row.deleted or row.body
    ]


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
