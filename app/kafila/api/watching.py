"""Watch streams: one line per event, encoded once for all who asked for the same form."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Protocol

import orjson

from kafila.catalog.kind import Kind
from kafila.catalog.protobuf import codec
from kafila.core import errors
from kafila.machinery import protobuf
from kafila.registry import Registry
from kafila.registry.codec import all_shown, decode_entry, wire_bytes
from kafila.registry.reading import ListOptions, matcher, parse_resource_version
from kafila.store.interface import StoreUnavailable
from kafila.watch import Cache, Entry, Groups, Watcher
from kafila.watch.watcher import Change

from . import tables
from .bodies import Receive
from .frames import FLUSH_BYTES, Frames
from .negotiation import Accepted
from .request import Request
from .responses import COMMON, Send, warning_headers

BOOKMARK_PERIOD = 60.0  # seconds
BEFORE_END = 2.0  # the last bookmark
FUTURE_WAIT = 3.0
MATCH = "resourceVersionMatch"
MINIMUM_TIMEOUT = 1800  # --min-request-timeout
GATHER = 0.005  # seconds between two sends of a stream that is served alone

Encode = Callable[[str, Entry], bytes]


async def serve_watch(
    registry: Registry,
    groups: Groups,
    kind: Kind,
    options: ListOptions,
    request: Request,
    accept: Accepted,
    receive: Receive,
    send: Send,
    draining: asyncio.Event,
) -> None:
    """Streams until the timeout, the client's leave, the server's end or an error event."""
    initial, wait_end = initial_events(options, request)
    timeout = timeout_of(request)
    cache = registry.cache
    matches = matcher(kind, options)
    name = next((r.value for r in options.fields if r.field == "metadata.name" and r.operator != "!="), "")
    namespace = options.namespace
    version = _version(options.resource_version)
    if (not version and options.resource_version != "0") or version > cache.revision:
        await registry.wait_for_consistent_read()
    start = version if version and not initial else cache.revision
    encode = _encoder(kind, request, accept)
    await send(_head(accept, request))
    # tables differ from stream to stream (only the first event has columns), so their frames are not shared
    form = None if accept.form == "Table" else (kind.gvk, accept)
    stream = _Stream(send, encode, form)
    if version > cache.revision:
        if request.seat is not None:
            request.seat.leave(time.perf_counter())
        await _from_the_future(cache, version, timeout, accept, stream)
        await send({"type": "http.response.body", "body": b""})
        return
    with Watcher(cache, kind.resource, start, namespace, name, matches) as watcher:
        if initial:
            # now: the headers may have had to wait for the client
            snapshot, start = await registry.storage(kind.resource).all(kind, namespace)
            watcher.position = start
            if kind.converter is not None:
                try:
                    snapshot = await all_shown(kind, list(snapshot))
                except errors.StatusError as error:
                    await stream.put(_error(accept, error))
                    await stream.flush()
                    await send({"type": "http.response.body", "body": b""})
                    return
            for entry in snapshot:
                if (not name or entry.key.name == name) and (matches is None or matches(entry)):
                    await stream.put_change(Change("ADDED", entry, None))
            if wait_end:
                await stream.put(_bookmark(kind, accept, start, end=True))
            await stream.flush()
        if request.seat is not None:  # it has begun: from now on it costs what changes cost
            request.seat.leave(time.perf_counter())
        leaving = asyncio.create_task(until_gone(receive, draining, watcher))
        try:
            alike = (
                kind.gvk,
                namespace,
                name,
                request.query.get("labelSelector"),
                request.query.get("fieldSelector"),
                accept,
            )
            together = None
            if form is not None and request.push is not None and kind.converter is None:
                together = partial(groups.serve, alike, watcher, request.push, stream.chunk)
            await _follow(watcher, stream, kind, accept, request, timeout, leaving, together)
        finally:
            leaving.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _from_the_future(cache: Cache, version: int, timeout: float, accept: Accepted, stream: _Stream) -> None:
    """A revision that nobody has given yet: kube-apiserver waits a moment for it too, and then says so."""
    await asyncio.sleep(min(FUTURE_WAIT, timeout))
    if timeout > FUTURE_WAIT and version > cache.revision:
        await stream.put(_error(accept, errors.too_large_resource_version(version, cache.revision)))
        await stream.flush()


async def _follow(
    watcher: Watcher,
    stream: _Stream,
    kind: Kind,
    accept: Accepted,
    request: Request,
    timeout: float,
    leaving: asyncio.Task[None],
    together: Callable[[float], Awaitable[None]] | None,
) -> None:
    """``together`` serves the client as long as it keeps up and there is nothing but changes to be sent."""
    bookmarks = request.flag("allowWatchBookmarks")
    deadline = time.monotonic() + timeout
    next_bookmark = time.monotonic() + BOOKMARK_PERIOD * random.uniform(0.9, 1.0)
    last_bookmark = deadline - BEFORE_END
    while not leaving.done():
        now = time.monotonic()
        if now >= deadline:
            return
        until = min(deadline, next_bookmark, last_bookmark if now < last_bookmark else deadline)
        try:
            if together is not None:
                await together(max(until - now, 0.0))
            changes = await watcher.changes(max(until - time.monotonic(), 0.0))
            if kind.converter is not None:
                entries = await all_shown(kind, [change.entry for change in changes])
                changes = [change._replace(entry=each) for change, each in zip(changes, entries, strict=True)]
        except errors.StatusError as error:
            await stream.put(_error(accept, error))
            await stream.flush()
            return
        except StoreUnavailable:
            return  # the client goes on from where it is, as after any other broken connection
        for change in changes:
            await stream.put_change(change)
        if time.monotonic() >= until and time.monotonic() < deadline:
            if bookmarks:
                await stream.put(_bookmark(kind, accept, watcher.position))
            next_bookmark = time.monotonic() + BOOKMARK_PERIOD
            if until == last_bookmark:
                last_bookmark = deadline
        await stream.flush()
        if changes:
            await asyncio.sleep(GATHER)


async def until_gone(receive: Receive, draining: asyncio.Event, watcher: Wakes) -> None:
    """Ends when the client has left or the server stops, and wakes the watcher so that it notices."""
    stop = asyncio.create_task(draining.wait())
    left = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((stop, left), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        left.cancel()
        watcher.wake()


class Wakes(Protocol):
    def wake(self) -> None: ...


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Stream(Frames):
    """Of changes, whose frames other streams of the same form share."""

    def __init__(self, send: Send, encode: Encode, form: Any) -> None:
        super().__init__(send)
        self._encode = encode
        self._form = form

    def frame(self, change: Change) -> bytes:
        event = change.event
        if event is None or event.frames is None or self._form is None:
            return self._encode(change.type, change.entry)
        key = (change.type, self._form)
        found = event.frames.get(key)
        if found is None:
            found = event.frames[key] = self._encode(change.type, change.entry)
        return found

    def chunk(self, changes: list[Change]) -> tuple[bytes, int]:
        """An HTTP chunk with the first changes, and how many those are."""
        frames: list[bytes] = []
        size = 0
        for change in changes:
            frames.append(self.frame(change))
            size += len(frames[-1])
            if size >= FLUSH_BYTES:
                break
        return b"%x\r\n%b\r\n" % (size, b"".join(frames)), len(frames)

    async def put_change(self, change: Change) -> None:
        await self.put(self.frame(change))


def initial_events(options: ListOptions, request: Request) -> tuple[bool, bool]:
    """Whether the current objects come first, and whether a bookmark says that they ended. Raises StatusError 422."""
    asked = "sendInitialEvents" in request.query
    found = [errors.FieldError.forbidden(MATCH, why) for why in _forbidden(options, asked)]
    if options.match not in ("", "NotOlderThan"):
        found.insert(1, errors.FieldError.not_supported(MATCH, options.match, ("NotOlderThan",)))
    if found:
        raise errors.invalid("meta.k8s.io", "ListOptions", "", found)
    if not asked and options.resource_version not in ("", "0"):
        return False, False
    send = request.flag("sendInitialEvents") or not asked
    return send, send and request.flag("allowWatchBookmarks")


def _version(text: str) -> int:
    try:
        return parse_resource_version(text or "0")
    except errors.StatusError as error:  # only a list says whose fault it is
        raise errors.StatusError(500, "", error.message.partition(": ")[2]) from error


def _forbidden(options: ListOptions, initial: bool) -> Iterator[str]:
    """What is wrong with resourceVersionMatch (internalversion/validation)."""
    if initial and options.match != "NotOlderThan":
        yield "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    if options.match and not initial:
        yield "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    if options.token:
        yield "resourceVersionMatch is forbidden when continue is provided"


def timeout_of(request: Request) -> float:
    given = request.number("timeoutSeconds")
    if given is not None and given > 0:
        return float(given)
    return random.uniform(MINIMUM_TIMEOUT, 2 * MINIMUM_TIMEOUT)


def _head(accept: Accepted, request: Request) -> dict[str, Any]:
    content_type = accept.content_type
    if accept.encoding == "protobuf":
        content_type += b";stream=watch"
    headers = [(b"content-type", content_type), *COMMON, *warning_headers(request)]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _encoder(kind: Kind, request: Request, accept: Accepted) -> Encode:
    if accept.form == "Table":
        include = request.query.get("includeObject", "")
        first = [True]

        def as_table(event_type: str, entry: Entry) -> bytes:
            columns, first[0] = first[0], False
            metadata = {"resourceVersion": str(entry.revision)}
            return _line(event_type, tables.table(kind, [entry], accept, include, metadata, columns=columns))

        return as_table
    if accept.form:
        return lambda t, e: _framed(t, tables.partial(decode_entry(kind, e), accept.version), accept)
    if accept.encoding == "protobuf":
        return lambda t, e: _framed(t, decode_entry(kind, e), accept)
    return lambda t, e: _line(t, wire_bytes(kind, e))


def _framed(event_type: str, document: dict[str, Any], accept: Accepted) -> bytes:
    """An event with a document of any kind."""
    if accept.encoding != "protobuf":
        return _line(event_type, orjson.dumps(document))
    group, _, version = document["apiVersion"].rpartition("/")
    found = codec(group, version, document["kind"])
    assert found is not None
    return protobuf.watch_frame(event_type, found.envelope(found.encode(document)))


def _line(event_type: str, document: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (event_type.encode(), document)


def _bookmark(kind: Kind, accept: Accepted, revision: int, end: bool = False) -> bytes:
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    if accept.form == "Table":
        obj: dict[str, Any] = {
            "kind": "Table",
            "apiVersion": f"meta.k8s.io/{accept.version}",
            "metadata": {"resourceVersion": str(revision)},
            "columnDefinitions": [],
            "rows": [
                {"cells": [], "object": {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}}
            ],
        }
    elif accept.form:
        obj = {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{accept.version}", "metadata": metadata}
    else:
        obj = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
    return _framed("BOOKMARK", obj, accept)


def _error(accept: Accepted, error: errors.StatusError) -> bytes:
    return _framed("ERROR", error.status(), accept)
