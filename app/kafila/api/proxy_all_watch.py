"""WATCH through ``clusters/*/proxy``: what every member tells, as one stream.

What a member has is listed and then followed; nothing is kept here, so who reads slowly makes the members wait. A resourceVersion
says how far the client is in each of them, as in lists; of one of whom it has only a part, nothing. A member that is away at first is
left out with a warning, one that goes away later is asked again until it is back. Where one can no longer tell what was missed the watch
ends with 410, and the client lists.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, final
from urllib.parse import urlencode

import orjson
import structlog

from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.rates import Backoff
from kafila.core.values import Object
from kafila.members.answers import event_error, status_error
from kafila.members.client import WATCH_IDLE, WATCH_SECONDS
from kafila.members.paging import Page, pages
from kafila.members.proxy import target_of
from kafila.members.shapes import mapping
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.members.wire import joined, lines
from kafila.search.versions import encode, parse
from kafila.settings.answers import AnswerLimits
from kafila.telemetry.tasks import cancelled

from .bodies import Receive
from .member_lists import content_of, is_table, marked, with_column
from .proxy_all import TIMEOUT, Ask, everywhere, form_of, query_of, version_of
from .request import Request
from .responses import COMMON, Sender, warning_headers
from .watching import timeout_of

log = structlog.get_logger(__name__)
MOST: Final = 200  # clusters in one watch: each is a connection for each client
BOOKMARKS: Final = 30.0  # seconds between two of them, at least
AT_ONCE: Final = 100  # objects of one answer, before others have a turn
AGAIN: Final = 10.0  # seconds between looks which clusters there are
FIRST_PAUSE: Final = 0.5  # seconds before a member is asked again
LONGEST_PAUSE: Final = 30.0
EXPIRED: Final = "too old resource version"
OURS: Final = ("watch", "resourceVersion", "resourceVersionMatch", "sendInitialEvents", "allowWatchBookmarks", "limit")

# (cluster, path and query, what is accepted) to status and body of a GET as the caller
Open = Callable[[str, str, str], AbstractAsyncContextManager[tuple[int, AsyncIterator[bytes]]]]


async def serve_watch(
    request: Request,
    names: Callable[[], list[str]],
    ask: Ask,
    open_: Open,
    limits: AnswerLimits,
    closing: asyncio.Event,
    receive: Receive,
    send: Sender,
) -> None:
    """``names``: of the clusters there are. Until the timeout, the client's leave, our end or an error event. Raises StatusError 400, 404,
    406, 410 before it begins."""
    clusters = names()
    if len(clusters) > MOST:
        raise errors.bad_request(f"more than {MOST} clusters cannot be watched at once: see search.karmada.io")
    sent = _versions(request)
    if gone := sorted(sent.keys() - set(clusters)):
        raise _expired(f"cluster {gone[0]} is not there")
    watch = _Watch(request, ask, open_, limits, send)
    sources: dict[str, AsyncGenerator[None, None]] = {}

    forgotten: list[str] = []

    async def begun(cluster: str) -> bool:
        source = sources[cluster] = watch.follow(cluster, sent.get(cluster, ""))
        try:
            await anext(source)
        except StatusError as error:
            if error.code == 410:
                forgotten.append(cluster)
            raise
        return True

    try:
        found = {one.cluster for one in await everywhere(clusters, begun, request.warnings)}
        if forgotten:
            raise _expired(f"of cluster {min(forgotten)}")
        if not found:
            raise StatusError(404, "NotFound", "not found")
        await send({"type": "http.response.start", "status": 200, "headers": _head(request)})
        if request.seat is not None:
            request.seat.leave(time.perf_counter())
        watch.waiting = found - sent.keys()
        others = [watch.follow_late(cluster, sent.get(cluster, "")) for cluster in clusters if cluster not in found]
        followed = [_exhaust(source) for cluster, source in sources.items() if cluster in found]
        await watch.run([*followed, *others, _as_before(names, clusters), _gone(receive), _set(closing)])
    finally:
        for source in sources.values():
            await source.aclose()
    await send({"type": "http.response.body", "body": b""})


def _versions(request: Request) -> Mapping[str, str]:
    """Where the client is; nothing where it wants all that is there. Raises StatusError 410."""
    text = request.query.get("resourceVersion", "")
    if text in ("", "0") or request.flag("sendInitialEvents"):
        return {}
    found = parse(text).of
    if not found or not all(version_of({"resourceVersion": version}) for version in found.values()):
        raise _expired(f"{text[:64]} is none of a list of all members")
    return found


class _Stopped(Exception):
    """The stream ends with this event."""

    def __init__(self, error: StatusError) -> None:
        super().__init__(str(error))
        self.error = error


@final
class _Watch:
    """``waiting``: of whom the client has not been told yet what they have."""

    def __init__(self, request: Request, ask: Ask, open_: Open, limits: AnswerLimits, send: Sender) -> None:
        assert request.target is not None
        self.waiting: set[str] = set()
        self._request = request
        self._query = {name: value for name, value in query_of(request).items() if name not in OURS}
        self._path = request.target.rest
        self._what = f"GET {self._path}"
        self._ask, self._open, self._limits, self._send = ask, open_, limits, send
        self._accept = form_of(request)
        self._bookmarks = request.flag("allowWatchBookmarks")
        self._told_at = time.monotonic()  # the last bookmark
        explicit = "sendInitialEvents" in request.query
        self._tells = request.flag("sendInitialEvents") or not explicit
        self._says_end = self._bookmarks and explicit and self._tells
        self._known: dict[str, str] = {}  # what the client was sent
        self._stamp: str | None = ""  # the same, as text; None until it is needed
        self._columns: list[Object] | None = None  # of the last table that was sent
        self._sending = asyncio.Lock()

    async def run(self, parts: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Until one of them ends."""
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            timeout = timeout_of(self._request)
            done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancelled(*tasks)
        for task in done:
            failure = task.exception()
            if isinstance(failure, _Stopped):
                await self._put("ERROR", failure.error.status())
            elif failure is not None:
                raise failure

    # -- one member ----------------------------------------------------------------------------------------------------

    async def follow(self, cluster: str, version: str) -> AsyncGenerator[None, None]:
        """Yields once, when the member has answered: what comes behind that is told. Raises StatusError, Unreachable,
        UnusableAnswer until then, _Stopped later on."""
        begun = not version
        if begun:
            listed = pages(self._page(cluster), self._what, self._query, self._limits, read=content_of)
            async with contextlib.aclosing(listed):
                first = await anext(listed)
                yield
                version = await self._state(cluster, first, listed)
        else:
            self._reached(cluster, version)
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, random.random)
        member = _Member(cluster, version)
        while True:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    source = await self._opened(member, stack)
                    if not begun:
                        begun = True
                        yield
                    await self._pass_on(member, source, backoff)
            except (StatusError, Unreachable, UnusableAnswer, TimeoutError) as error:
                if not begun:
                    raise
                if isinstance(error, StatusError) and error.code == 410:
                    raise _Stopped(_expired(f"of cluster {cluster}")) from None
                log.info("left out of a watch of all members for now", cluster=cluster, error=str(error))
            await asyncio.sleep(backoff.failed())

    async def _pass_on(self, member: _Member, source: AsyncIterator[bytes], backoff: Backoff) -> None:
        """Until the member ends it. Raises UnusableAnswer, and _Stopped when that comes again: else all that is behind it would
        never be told, and nobody would know."""
        count = 0
        try:
            while (line := await _next(source)) is not None:
                await self._told(member, line)
                backoff.reset()
                if (count := count + 1) % AT_ONCE == 0:
                    await asyncio.sleep(0)
        except UnusableAnswer as error:
            if member.unusable_behind == member.version:
                raise _Stopped(_expired(f"of cluster {member.cluster}: {error}")) from None
            member.unusable_behind = member.version
            raise

    async def follow_late(self, cluster: str, version: str) -> None:
        """One that did not answer at first."""
        while True:
            await asyncio.sleep(LONGEST_PAUSE * random.uniform(0.5, 1.0))
            try:
                await _exhaust(self.follow(cluster, version))
            except (StatusError, Unreachable, UnusableAnswer, TimeoutError) as error:
                if isinstance(error, StatusError) and error.code == 410:
                    raise _Stopped(_expired(f"of cluster {cluster}")) from None

    async def _state(self, cluster: str, first: Page, listed: AsyncGenerator[Page, None]) -> str:
        """Tells what is there. Returns its version."""
        member = _Member(cluster, version_of(first.metadata))
        page: Page | None = first
        try:
            while page is not None:
                if self._tells:
                    await self._items(member, "ADDED", page.answer, page.items)
                page = await anext(listed, None)
        except (StatusError, Unreachable, UnusableAnswer, TimeoutError) as error:
            raise _Stopped(_expired(f"of cluster {cluster}: {error}")) from None
        if not member.version:
            raise _Stopped(_expired(f"cluster {cluster} gives none"))
        self._reached(cluster, member.version)
        self.waiting.discard(cluster)
        if self._says_end and not self.waiting:
            self._says_end = False
            await self._put("BOOKMARK", _bookmark(first.answer, {"k8s.io/initial-events-end": "true"}))
        return member.version

    async def _opened(self, member: _Member, stack: contextlib.AsyncExitStack) -> AsyncIterator[bytes]:
        """What it tells, line by line. Raises StatusError."""
        following = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        asked = {**self._query, **following, "resourceVersion": member.version}
        target = target_of(self._path, urlencode(asked, encoding="latin-1"))
        async with asyncio.timeout(TIMEOUT):
            status, chunks = await stack.enter_async_context(self._open(member.cluster, target, self._accept))
            if status != 200:
                raise status_error(status, await joined(chunks, self._limits.answer))
        return lines(chunks, self._limits.answer)

    async def _told(self, member: _Member, line: bytes) -> None:
        """Passes one event on. Raises UnusableAnswer, StatusError."""
        event = mapping(line, self._what)
        kind, obj = event.get("type"), event.get("object")
        if not isinstance(obj, dict):
            raise UnusableAnswer(f"an event of {self._what} has no object")
        if kind == "ERROR":
            raise event_error(obj)
        if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            raise UnusableAnswer(f"an event of {self._what} is of no type that there is")
        items = content_of(obj if is_table(obj) else {"items": [obj]}, self._what)
        about = [row.get("object") or {} for row in items] if is_table(obj) else items
        reached = next((v for each in (*about, obj) if (v := version_of(each.get("metadata") or {}))), "")
        if not reached:
            raise UnusableAnswer(f"an event of {self._what} has no resourceVersion")
        if kind != "BOOKMARK":
            await self._items(member, kind, obj, items, reached)
            member.version = reached
            return
        member.version = reached
        self._reached(member.cluster, reached)  # of it nothing waits to be sent
        if self._bookmarks and not self.waiting and time.monotonic() > self._told_at + BOOKMARKS:
            self._told_at = time.monotonic()
            await self._put("BOOKMARK", _bookmark(obj))

    async def _items(self, member: _Member, event: str, answer: Object, items: list[Object], reached: str = "") -> None:
        """``answer``: what they came in; ``reached``: the version that who has them has reached."""
        table = is_table(answer)
        if table:
            member.columns = answer.get("columnDefinitions") or member.columns
            answer = {**answer, "columnDefinitions": member.columns}
        marked(answer, items, member.cluster)
        for number, item in enumerate(items):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if table:
                item = {**answer, "columnDefinitions": with_column(member.columns), "rows": [item]}
            elif "kind" not in item:  # in lists of kube-apiserver they have none
                item = _kind_of(answer) | item
            await self._put(event, item, member.cluster, reached)

    # -- the client ----------------------------------------------------------------------------------------------------

    def _reached(self, cluster: str, version: str) -> None:
        if self._known.get(cluster) != version:
            self._known[cluster] = version
            self._stamp = None

    async def _put(self, event: str, obj: Object, cluster: str = "", reached: str = "") -> None:
        """The event says how far the client is with it: of other members no more than it was sent. Raises UnusableAnswer."""
        async with self._sending:
            if reached:
                self._reached(cluster, reached)
            try:
                body = orjson.dumps({"type": event, "object": obj if event == "ERROR" else self._stamped(obj)})
            except orjson.JSONEncodeError:
                raise UnusableAnswer("an object is nested too deep") from None
            await self._send({"type": "http.response.body", "body": body + b"\n", "more_body": True})

    def _stamped(self, obj: Object) -> Object:
        """With the version of all. Of tables the first has columns, and one whose columns are others."""
        if self._stamp is None:
            self._stamp = encode(self._known)
        stamp = {"resourceVersion": self._stamp}
        if not is_table(obj):
            return {**obj, "metadata": {**(obj.get("metadata") or {}), **stamp}}
        columns = obj["columnDefinitions"]
        if columns == self._columns or not columns:
            columns = []
        else:
            self._columns = columns
        rows = [{**row, "object": self._stamped(row["object"])} if row.get("object") else row for row in obj["rows"]]
        return {**obj, "metadata": stamp, "columnDefinitions": columns, "rows": rows}

    def _page(self, cluster: str) -> Callable[[Mapping[str, str]], Awaitable[tuple[int, bytes]]]:
        async def page(asked: Mapping[str, str]) -> tuple[int, bytes]:
            async with asyncio.timeout(TIMEOUT):
                target = target_of(self._path, urlencode(asked, encoding="latin-1"))
                return await self._ask(cluster, target, self._accept)

        return page


@final
@dataclass(slots=True)
class _Member:
    """How far it is told, and what its tables look like."""

    cluster: str
    version: str
    unusable_behind: str = ""  # the version after which something came that cannot be passed on
    columns: list[Object] = field(default_factory=list)


def _kind_of(answer: Object) -> Object:
    return {"kind": str(answer.get("kind", "")).removesuffix("List"), "apiVersion": str(answer.get("apiVersion", ""))}


def _bookmark(answer: Object, annotations: Object | None = None) -> Object:
    """Of the kind of a list, an object or a table."""
    metadata: Object = {"annotations": annotations} if annotations else {}
    if not is_table(answer):
        return {**_kind_of(answer), "metadata": metadata}
    about = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return {**_kind_of(answer), "columnDefinitions": [], "rows": [{"cells": [], "object": about}]}


async def _next(source: AsyncIterator[bytes]) -> bytes | None:
    """Raises TimeoutError: bookmarks come every minute."""
    async with asyncio.timeout(WATCH_IDLE):
        return await anext(source, None)


async def _as_before(names: Callable[[], list[str]], clusters: list[str]) -> None:
    """Raises _Stopped once others are there."""
    while True:
        await asyncio.sleep(AGAIN)
        if names() != clusters:
            raise _Stopped(_expired("clusters have joined or left"))


async def _exhaust(source: AsyncGenerator[None, None]) -> None:
    async for _ in source:
        pass


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _expired(why: str) -> StatusError:
    return StatusError(410, "Expired", f"{EXPIRED}: {why}")


def _head(request: Request) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), *COMMON, *warning_headers(request)]
