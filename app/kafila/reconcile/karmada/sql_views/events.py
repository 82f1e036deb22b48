"""Kubernetes' Events, as rows: read from the store as watchers read them, page by page."""

from __future__ import annotations

from typing import Final, final

from kafila.core.resources import Key
from kafila.store.interface import EVENTS, Compacted, EventQuery, Row, Store, StoredObject, Unreadable

from .projection import projected_events
from .writer import Writer

PAGES: Final = 20  # read in one round: who writes thousands of Events does not keep objects waiting
_Change = tuple[Key, bytes | None, bool]


@final
class EventTail:
    """All raise StoreUnavailable, NotTheProjector."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store = store
        self._writer = writer
        self._read_to = 0  # 0: nothing is known

    def begin(self, revision: int) -> None:
        self._read_to = revision

    async def follow(self, revision: int) -> None:
        """What happened since the last time, up to ``revision`` at least."""
        if revision <= self._read_to:
            return
        if not self._read_to:
            await self._read_all()
            return
        try:
            for _ in range(PAGES):
                if not await self._page():
                    return
        except Compacted:
            await self._read_all()

    async def _page(self) -> bool:
        """Whether there may be more."""
        before = self._read_to
        page = await self._store.read_events(before)
        await self._put([self._of(row) for row in page.rows])
        if page.expiry:
            after = 0
            while ended := await self._store.events_ended(page.expiry, after):
                await self._put([(each.key, None, False) for each in ended])
                after = ended[-1].revision
        self._read_to = page.expiry or page.revision
        if page.rows or page.expiry:
            await self._writer.reached(events=self._read_to)
        return bool(page.rows or page.expiry)

    async def _read_all(self) -> None:
        """What is there now, and nothing else."""
        found: set[tuple[str, str]] = set()
        asked = EventQuery()
        while True:
            page = await self._store.list_events(asked)
            await self._put([self._now(each) for each in page.objects])
            found.update(each.key[1:] for each in page.objects)
            if not page.remaining:
                break
            asked = asked._replace(revision=page.revision, after=page.objects[-1].key[1:])
        after = ("", "")
        while known := await self._writer.tables.known_events(after):
            await self._put([(Key(EVENTS, *place), None, False) for place in known if place not in found])
            after = known[-1]
        self._read_to = page.revision
        await self._writer.reached(events=self._read_to)

    async def _put(self, changes: list[_Change]) -> None:
        await self._writer.put(changes, projected_events)

    def _of(self, row: Row) -> _Change:
        body = None if row.deleted or isinstance(row.body, Unreadable) else row.body
        return row.key, body, self._is_sealed(row.key, body)

    def _now(self, found: StoredObject) -> _Change:
        body = None if isinstance(found.body, Unreadable) else found.body
        return found.key, body, self._is_sealed(found.key, body)

    def _is_sealed(self, key: Key, body: bytes | None) -> bool:
        sealer = self._store.sealer
        return body is not None and sealer.active and sealer.concerns(EVENTS) and sealer.seals(key, body)
