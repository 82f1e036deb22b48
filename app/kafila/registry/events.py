"""Kubernetes' Events: they are in no cache and are read from the store, lists page by page as of one revision (``docs/adr/0007``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import final

import orjson

from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.resources import Key
from kafila.core.selectors import FieldRequirement
from kafila.store.interface import EVENTS, EVENTS_PAGE, Compacted, EventPage, EventQuery, StoreUnavailable
from kafila.watch import Cache, Entry
from kafila.watch.resource import path_of

from .continuation import decode_token, encode_token, expired_list
from .reading import (
    ListOptions,
    Matches,
    Page,
    check_match,
    check_no_version,
    limit_of,
    matcher,
    parse_resource_version,
    wait_for,
)
from .unreadable import check_read


@final
class EventStorage:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def find(self, key: Key) -> Entry | None:
        try:
            found = await self._cache.store.event(key.namespace, key.name)
        except StoreUnavailable as error:
            raise errors.storage_unreachable(error) from error
        if found is None:
            return None
        check_read(found.key, found.body)
        return Entry(*found)

    async def read(self, kind: Kind, namespace: str, name: str) -> Entry:
        found = await self.find(Key(EVENTS, namespace, name))
        if found is None:
            raise errors.not_found(kind.group, kind.plural, name)
        return found

    async def newest(self, kind: Kind, namespace: str, name: str) -> Entry:
        return await self.read(kind, namespace, name)

    async def list_page(self, kind: Kind, options: ListOptions) -> Page:
        check_match(options)
        matches = matcher(kind, options)
        revision, after = 0, None
        if options.token:
            check_no_version(options)
            revision, path = decode_token(options.token)
            revision, after = max(revision, 0), (path.rpartition("/")[0], path.rpartition("/")[2])
        elif options.resource_version not in ("", "0"):
            wanted = parse_resource_version(options.resource_version)
            await wait_for(self._cache, wanted)
            if options.is_exact:
                revision = wanted
        asked = EventQuery(revision, options.namespace, after, containing=_containing(options.fields))
        entries, revision, remaining = await self._selected(asked, matches, limit_of(options))
        if not remaining:
            return Page(entries, revision)
        key = entries[-1].key
        token = encode_token(revision, path_of(key.namespace, key.name))
        return Page(entries, revision, token, remaining if matches is None else None)

    async def _selected(self, asked: EventQuery, matches: Matches | None, limit: int) -> tuple[list[Entry], int, int]:
        """At most ``limit`` (0: all) that match; the revision they are at; about how many more there are to go through."""
        found: list[Entry] = []
        if matches is None and limit:
            asked = asked._replace(limit=min(limit, EVENTS_PAGE), counted=True)
        async for entries, page in self._pages(asked):
            for number, entry in enumerate(entries, 1):
                if matches is None or matches(entry):
                    found.append(entry)
                if limit and len(found) == limit:
                    return found, page.revision, len(entries) - number + page.remaining
        return found, page.revision, 0

    async def _pages(self, asked: EventQuery) -> AsyncIterator[tuple[list[Entry], EventPage]]:
        """All pages of one list; what was given by then stays so when Events end meanwhile."""
        while True:
            entries, page = await self._page(asked)
            yield entries, page
            if not page.remaining:
                return
            last = entries[-1].key
            asked = asked._replace(revision=page.revision, after=(last.namespace, last.name))

    async def _page(self, asked: EventQuery) -> tuple[list[Entry], EventPage]:
        """Raises StatusError 410, 500, 503."""
        try:
            page = await self._cache.store.list_events(asked)
        except Compacted as gone:
            raise expired_list("/".join(asked.after) if asked.after is not None else None) from gone
        except StoreUnavailable as error:
            raise errors.storage_unreachable(error) from error
        for found in page.objects:
            check_read(found.key, found.body)
        return [Entry(*found) for found in page.objects], page

    async def all(self, kind: Kind, namespace: str) -> tuple[list[Entry], int]:
        entries, revision, _ = await self._selected(EventQuery(namespace=namespace), None, 0)
        return entries, revision

    async def chunks(self, kind: Kind, namespace: str, size: int) -> AsyncIterator[list[Entry]]:
        after = None
        while True:
            entries, page = await self._page(EventQuery(namespace=namespace, after=after, limit=size))
            yield entries
            if not page.remaining:
                return
            after = entries[-1].key.namespace, entries[-1].key.name

    async def some(self, kind: Kind, namespace: str) -> tuple[list[Entry], int]:
        """The first one stands for all."""
        entries, page = await self._page(EventQuery(namespace=namespace, limit=1, counted=True))
        return entries, len(entries) + page.remaining


def _containing(fields: Iterable[FieldRequirement]) -> bytes:
    """What the stored JSON of an Event must contain to be selected: the store looks for it, which is quicker than to decode it."""
    values = [r.value for r in fields if r.operator != "!=" and r.value and r.field != "metadata.namespace"]
    return orjson.dumps(max(values, key=len)) if values else b""
