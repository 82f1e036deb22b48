"""Lists of Events: they are read from the store, page by page, as of one revision."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable

import orjson

from kafila.core import errors
from kafila.core.selectors import FieldRequirement
from kafila.store.interface import EVENTS_PAGE, Compacted, EventPage, EventQuery, Store, StoreUnavailable
from kafila.watch import Entry

from .continuation import expired_token

Matches = Callable[[Entry], bool]


async def pages(store: Store, asked: EventQuery) -> AsyncIterator[tuple[list[Entry], EventPage]]:
    """All pages of one list; what was given by then stays so when Events end meanwhile. Raises StatusError 410, 503."""
    while True:
        page = await page_of(store, asked)
        yield [Entry(*found) for found in page.objects], page
        if not page.remaining:
            return
        last = page.objects[-1].key
        asked = asked._replace(revision=page.revision, after=(last.namespace, last.name))


async def page_of(store: Store, asked: EventQuery) -> EventPage:
    try:
        return await store.list_events(asked)
    except Compacted as gone:
        if asked.after is None:
            raise errors.expired("The resourceVersion for the provided list is too old.") from gone
        raise expired_token("/".join(asked.after)) from gone
    except StoreUnavailable as error:
        raise errors.service_unavailable(f"storage is not reachable: {error}") from error


async def selected(
    store: Store, asked: EventQuery, matches: Matches | None, limit: int
) -> tuple[list[Entry], int, int]:
    """The Events that match, at most ``limit`` (0: all); the revision they are at; about how many more there are to look at."""
    found: list[Entry] = []
    if matches is None and limit:
        asked = asked._replace(limit=min(limit, EVENTS_PAGE), counted=True)
    async for entries, page in pages(store, asked):
        for number, entry in enumerate(entries, 1):
            if matches is None or matches(entry):
                found.append(entry)
            if limit and len(found) == limit:
                return found, page.revision, len(entries) - number + page.remaining
    return found, page.revision, 0


def containing(fields: Iterable[FieldRequirement]) -> bytes:
    """What the stored JSON of an Event must contain to be selected: the store looks for it, which is quicker than to decode it."""
    values = [r.value for r in fields if r.operator != "!=" and r.value and r.field != "metadata.namespace"]
    return orjson.dumps(max(values, key=len)) if values else b""
