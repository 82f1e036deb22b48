"""WATCH of members' objects from the cache: one stream of what changes in all clusters."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Final, final

import orjson

from kafila.authorization import Attributes
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.selectors import Selector
from kafila.registry.reading import ListOptions
from kafila.search.bodies import with_version
from kafila.search.feed import Delivered, Feed, Interrupted, Subscription, read_changes
from kafila.search.rights import DENIED_FOR
from kafila.search.selection import resource_of
from kafila.search.versions import encode, parse
from kafila.store.interface import StoreUnavailable
from kafila.store.search import FIRST, PAGE, CachedObject, CachedResource

from . import tables
from .bodies import Receive
from .frames import Frames
from .multicluster import Reader, accept_of, asked_of, entry_of, field_test, options_of, shown_kind
from .negotiation import Accepted, for_streams
from .object_responses import check_form
from .request import Request
from .responses import COMMON, Sender, warning_headers
from .watching import initial_events, timeout_of, until_gone

BOOKMARK_PERIOD: Final = 60.0  # seconds
EXPIRED: Final = "too old resource version"


async def serve_watch(
    reader: Reader, feed: Feed, kind: Kind, request: Request, receive: Receive, send: Sender, draining: asyncio.Event
) -> None:
    """Streams until the timeout, the client's leave, the server's end or an error event. Raises StatusError before it begins."""
    options = options_of(request)
    accept = for_streams(accept_of(request))
    check_form(accept, kind, request, False)
    initial, says_end = initial_events(options, request)
    asked = asked_of(request, True, options.fields)
    try:
        subscription = await feed.subscribe(resource_of(kind))
    except StoreUnavailable as error:
        raise errors.storage_unreachable(error) from error
    try:
        states = await reader.states(kind, request, asked)  # now: of what comes later all is told
        watch = _Watch(reader, kind, options, request, accept, send, asked, subscription, states)
        watch.check(initial)
        await send({"type": "http.response.start", "status": 200, "headers": _head(accept, request)})
        leaving = asyncio.create_task(until_gone(receive, draining, subscription))
        try:
            await watch.run(initial, says_end, leaving)
        except Interrupted as error:
            await watch.end(StatusError(410, "Expired", f"{EXPIRED}: {error}"))
        except StoreUnavailable:
            pass  # the client goes on from where it is, as after any other broken connection
        finally:
            leaving.cancel()
    finally:
        subscription.close()
    await send({"type": "http.response.body", "body": b""})


@final
class _Watch:
    def __init__(
        self,
        reader: Reader,
        kind: Kind,
        options: ListOptions,
        request: Request,
        accept: Accepted,
        send: Sender,
        asked: Attributes,
        subscription: Subscription,
        states: dict[str, CachedResource],
    ) -> None:
        self._reader, self._request, self._asked = reader, request, asked
        self._kind = shown_kind(kind)
        self._resource = resource_of(kind)
        self._accept = accept
        self._options = options
        self._selector = options.labels if options.labels is not None and not options.labels.empty else None
        self._test = field_test(kind, options)
        # these never change: of what does not have them nothing is told, not even that it is gone
        lasting = tuple(each for each in options.fields if each.field in ("metadata.name", "metadata.namespace"))
        self._lasting = field_test(kind, options._replace(fields=lasting))
        self._subscription = subscription
        self._permitted = set(states)
        # what they have by now nobody has told: once they may be read, the client has to list
        self._left_out = {cluster: 0.0 for cluster in subscription.start if cluster not in states}
        self._oldest = {cluster: state.oldest for cluster, state in states.items()}
        self._sent = parse(options.resource_version)
        self._known: dict[str, int] = {}  # what the client has of every cluster
        self._frames = Frames(send)
        self._columns = True  # the first table has them

    def check(self, initial: bool) -> None:
        """Raises StatusError 410 where the client cannot be told what it missed."""
        if initial:
            return
        start = self._subscription.start
        for cluster in self._sent.of:
            at = self._sent.number(cluster)
            gone = cluster not in start or cluster not in self._permitted
            if gone or (at is not None and not self._oldest[cluster] <= at <= start[cluster]):
                raise StatusError(410, "Expired", f"{EXPIRED}: {at} of cluster {cluster}")

    async def run(self, initial: bool, says_end: bool, leaving: asyncio.Task[None]) -> None:
        """Raises Interrupted, StoreUnavailable."""
        start = {c: at for c, at in sorted(self._subscription.start.items()) if c in self._permitted}
        if not initial:
            self._known = {cluster: at for cluster in start if (at := self._sent.number(cluster)) is not None}
        for cluster, position in start.items():
            if (at := self._known.get(cluster)) is None:
                await self._send_state(cluster)
            else:
                await self._catch_up(cluster, at, position)
            self._known[cluster] = position
        if says_end:
            self._frames.add(self._bookmark({"k8s.io/initial-events-end": "true"}))
        await self._frames.flush()
        if self._request.seat is not None:
            self._request.seat.leave(time.perf_counter())
        await self._follow(leaving)

    async def _follow(self, leaving: asyncio.Task[None]) -> None:
        deadline = time.monotonic() + timeout_of(self._request)
        bookmarks = self._request.flag("allowWatchBookmarks")
        next_bookmark = time.monotonic() + BOOKMARK_PERIOD * random.uniform(0.9, 1.0)
        while not leaving.done() and (now := time.monotonic()) < deadline:
            for each in await self._subscription.changes(max(min(deadline, next_bookmark) - now, 0.0)):
                if await self._may_see(each.cluster):
                    await self._deliver(each)
            if time.monotonic() >= next_bookmark:
                if bookmarks:
                    self._frames.add(self._bookmark())
                next_bookmark = time.monotonic() + BOOKMARK_PERIOD
            await self._frames.flush()

    async def _may_see(self, cluster: str) -> bool:
        """A cluster that came while the watch was under way is asked when the first of its objects comes; one that said no, now
        and then. Raises Interrupted when it no longer does: the client has missed what came until now."""
        if cluster in self._permitted:
            return True
        now = time.monotonic()
        if now < self._left_out.get(cluster, 0.0):
            return False
        if not await self._reader.rights.allows(self._asked, cluster):
            self._left_out[cluster] = now + DENIED_FOR
            return False
        if cluster in self._left_out:
            raise Interrupted(f"cluster {cluster} may be read by now")
        self._permitted.add(cluster)
        return True

    # -- what is there, and what changed -------------------------------------------------------------------------------

    async def _send_state(self, cluster: str) -> None:
        """Only the last object says that the cluster is known: who is cut off before begins again."""
        namespace, after, more = self._options.namespace, FIRST, True
        waiting: CachedObject | None = None
        while more:
            page = await self._reader.cache.page(self._resource, cluster, namespace, after, PAGE, self._selector)
            more = page.more and bool(page.rows)
            for row in page.rows:
                if row.body and (self._test is None or self._test(row)):
                    if waiting is not None:
                        await self._event("ADDED", waiting)
                    waiting = row
            after = page.rows[-1][:2] if page.rows else after
        self._known[cluster] = self._subscription.start[cluster]
        if waiting is not None:
            await self._event("ADDED", waiting)

    async def _catch_up(self, cluster: str, at: int, position: int) -> None:
        if at < position:
            state = CachedResource(self._resource, cluster, (), position, 0, 0, 0, "", 0.0)
            async for found in read_changes(self._reader.cache, state, at):
                for each in found:
                    await self._deliver(each)

    async def _deliver(self, each: Delivered) -> None:
        change, known = each.change, self._known.get(each.cluster, 0)
        row = CachedObject(change.namespace, change.name, change.body)
        event = self._event_type(each, row, known)
        self._known[each.cluster] = max(each.reached, known)
        if event and row.body and self._options.namespace in ("", row.namespace):
            await self._event(event, row)

    def _event_type(self, each: Delivered, row: CachedObject, known: int) -> str:
        """As the client sees it: "" for what it neither had nor gets. It may have more than ``known`` says: a later page of the
        list that it goes on from."""
        change = each.change
        if self._lasting is not None and not self._lasting(row):
            return ""
        passes = self._test is None or not row.body or self._test(row)
        now = not change.deleted and passes and matches(self._selector, change.labels)
        if now and change.since > known:
            return "ADDED"
        # whether the client has it can only be said when this is the first change since then
        had = change.before_version > known
        if not had and change.before is not None:
            had = matches(self._selector, change.before)
        if now:
            return "MODIFIED" if had else "ADDED"
        return "DELETED" if had else ""

    # -- frames --------------------------------------------------------------------------------------------------------

    async def _event(self, event: str, row: CachedObject) -> None:
        version = encode(self._known)
        body = with_version(row.body, version)
        if self._accept.form == "Table":
            include = self._request.query.get("includeObject", "")
            entry = entry_of(self._kind.resource, row._replace(body=body))
            columns, self._columns = self._columns, False
            metadata = {"resourceVersion": version}
            body = tables.table(self._kind, [entry], self._accept, include, metadata, columns=columns)
        elif self._accept.form:
            body = orjson.dumps(tables.partial(orjson.loads(body), self._accept.version))
        await self._frames.put(_line(event, body))

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": encode(self._known)}
        if annotations:
            metadata["annotations"] = annotations
        obj: dict[str, Any] = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": metadata}
        if self._accept.form == "Table":
            rows = [{"cells": [], "object": obj}]
            shown = {"resourceVersion": metadata["resourceVersion"]}
            obj = {"kind": "Table", "apiVersion": f"meta.k8s.io/{self._accept.version}", "metadata": shown}
            obj |= {"columnDefinitions": [], "rows": rows}
        elif self._accept.form:
            obj |= {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{self._accept.version}"}
        return _line("BOOKMARK", orjson.dumps(obj))

    async def end(self, error: StatusError) -> None:
        self._frames.add(_line("ERROR", orjson.dumps(error.status())))
        await self._frames.flush()


def matches(selector: Selector | None, labels: bytes) -> bool:
    return selector is None or selector.matches(orjson.loads(labels))


def _line(event: str, body: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (event.encode(), body)


def _head(accept: Accepted, request: Request) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", accept.content_type), *COMMON, *warning_headers(request)]
