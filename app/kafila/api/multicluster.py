"""GET and LIST of members' objects from the cache, in every form that kubectl asks for."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import orjson

from kafila.authorization import Attributes
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.names import path_segment
from kafila.core.resources import Key
from kafila.core.selectors import FieldRequirement
from kafila.machinery import yamlout
from kafila.registry.reading import ListOptions, check_match, check_no_version, matcher
from kafila.registry.threads import in_thread
from kafila.search.bodies import version_of, with_version
from kafila.search.rights import MemberRights, can_be
from kafila.search.selection import resource_of
from kafila.search.versions import Continue, encode, parse, parse_continue
from kafila.store.interface import StoreUnavailable
from kafila.store.search import FIRST, PAGE, CachedObject, CachedResource, Place, SearchCache
from kafila.telemetry.tasks import cancelled
from kafila.watch import Entry

from . import tables
from .authorization import verb_of
from .negotiation import Accepted, accepted
from .object_responses import check_form
from .objects import list_options
from .request import Request
from .responses import CHUNK, COMMON, ZIPPED, Response, Sender, encoded, send_response, to_yaml, warning_headers

STALE: Final = 180.0  # seconds without a sign of a cluster: its watch brings a bookmark every minute
MOST_CONVERTED: Final = 20_000  # objects of an answer that has to be made as a whole
Test = Callable[[CachedObject], bool]


def shown_kind(kind: Kind) -> Kind:
    """What is cached has been converted and shaped by its member, in the version that was asked for."""
    return replace(kind, from_storage=None, to_storage=None, converter=None, definition="")


def accept_of(request: Request) -> Accepted:
    target = request.target
    assert target is not None
    return accepted(request.header(b"accept"), False, not target.name)


def options_of(request: Request) -> ListOptions:
    """What a list or a watch is of. A name in the path (of the old form ``/watch/``) selects as a field does."""
    options = list_options(request)
    target = request.target
    assert target is not None
    if not target.name:
        return options
    return options._replace(fields=(*options.fields, FieldRequirement("metadata.name", "=", target.name)))


def asked_of(request: Request, watch: bool = False, fields: Sequence[FieldRequirement] = ()) -> Attributes:
    """What a member is asked whether the caller may do it. ``fields``: of objects that he is shown, of no others."""
    target = request.target
    assert target is not None
    verb = verb_of(request.method, target, watch)
    name = target.name or only_name(fields)
    where = target.namespace, name
    return Attributes(request.user, verb, target.group, target.version, target.plural, target.subresource, *where)


def only_name(fields: Sequence[FieldRequirement]) -> str:
    """The one that objects must have, as Kubernetes reads it off a selector; else empty."""
    names = (each.value for each in fields if each.field == "metadata.name" and each.operator == "=")
    return next((name for name in names if not path_segment(name)), "")


@final
@dataclass(slots=True)
class Reader:
    """What reading needs beside the request."""

    cache: SearchCache
    rights: MemberRights

    async def states(self, kind: Kind, request: Request, asked: Attributes) -> dict[str, CachedResource]:
        """What is cached and may be read, by cluster, in their order. Warns of what is left out or old.

        Raises StatusError 403, 503."""
        if not can_be(asked):
            return {}
        try:
            found = await self.cache.resources(resource_of(kind))
        except StoreUnavailable as error:
            raise errors.storage_unreachable(error) from error
        usable = {state.cluster: state for state in sorted(found, key=_by_cluster) if state.version}
        permitted = await self.rights.permitted(asked, list(usable))
        now = time.time()
        for state in found:
            if not state.version:
                request.warnings.append(f"cluster {state.cluster} is left out: its {kind.plural} are not cached yet")
            elif state.cluster not in permitted.refused and (state.trouble or now - state.at > STALE):
                why = f" ({state.trouble})" if state.trouble else ""
                text = f"its {kind.plural} are those of {rfc3339(state.at)}"
                request.warnings.append(f"cluster {state.cluster} is not followed at the moment{why}: {text}")
        for cluster, why in permitted.refused.items():
            request.warnings.append(f"cluster {cluster} is left out: {why or 'you may not read this there'}")
        return {cluster: usable[cluster] for cluster in permitted.clusters}

    async def get(self, kind: Kind, request: Request) -> Response:
        """Raises StatusError 403, 404, 406, 409, 503."""
        target = request.target
        assert target is not None
        accept = accept_of(request)
        check_form(accept, kind, request, False)
        cluster, found = await self.locate(kind, request, asked_of(request))
        version = encode({cluster: version_of(found.body)})
        body = with_version(found.body, version)
        return await in_thread(len(body), lambda: _object(shown_kind(kind), body, version, accept, request))

    async def locate(self, kind: Kind, request: Request, asked: Attributes) -> tuple[str, CachedObject]:
        """The one cluster that has the object. Raises StatusError 403, 404, 409, 503."""
        states = await self.states(kind, request, asked)
        if not states:
            raise errors.not_found(kind.group, kind.plural, asked.name)
        try:
            found = await self.cache.find(resource_of(kind), list(states), (asked.namespace, asked.name))
        except StoreUnavailable as error:
            raise errors.storage_unreachable(error) from error
        found = [(cluster, row) for cluster, row in found if row.body]
        if not found:
            raise errors.not_found(kind.group, kind.plural, asked.name)
        if len(found) > 1:
            where = ", ".join(cluster for cluster, _ in found)
            raise errors.conflict(kind.group, kind.plural, asked.name, f"ambiguous objects in clusters [{where}]")
        return found[0]

    async def list(self, kind: Kind, request: Request, send: Sender) -> None:
        """Raises StatusError as long as nothing was sent."""
        accept = accept_of(request)
        check_form(accept, kind, request, True)
        options = options_of(request)
        check_match(options)
        listing = await self._listing(kind, options, request)
        if accept.form or accept.encoding != "json":
            response = await _converted(listing, shown_kind(kind), accept, request)
            await send_response(send, request, response)
            return
        await _send_json(listing, kind, request, send)

    async def _listing(self, kind: Kind, options: ListOptions, request: Request) -> Listing:
        start = Continue()
        if options.token:
            check_no_version(options)
            try:
                start = parse_continue(options.token)
            except ValueError as error:
                raise errors.bad_request(f"continue key is not valid: {error}") from None
        states = await self.states(kind, request, asked_of(request, fields=options.fields))
        sent = parse(start.version if options.token else options.resource_version)
        versions = {cluster: state.version for cluster, state in states.items()}
        if options.match == "Exact" and any(sent.number(cluster) != at for cluster, at in versions.items()):
            raise errors.StatusError(410, "Expired", "only the newest state of members' objects is kept")
        if options.token:  # of the first page: from there on nothing was missed
            versions |= {c: number for c in versions if (number := sent.number(c)) is not None}
        return Listing(self.cache, kind, options, list(states), versions, start)


@final
class Listing:
    """The rows that a list asks for, in the order of clusters, namespaces and names."""

    def __init__(
        self,
        cache: SearchCache,
        kind: Kind,
        options: ListOptions,
        clusters: list[str],
        versions: dict[str, int],
        start: Continue,
    ) -> None:
        self.version = encode(versions)
        self.token = ""  # where the next one begins, once all rows were read
        self._cache = cache
        self._resource = resource_of(kind)
        self._options = options
        self._clusters = [cluster for cluster in clusters if cluster >= start.cluster]
        self._start = start
        self._test = field_test(kind, options)

    async def pages(self) -> AsyncIterator[list[CachedObject]]:
        """The next one is read while one is sent. Raises StatusError 503."""
        source = self._pages()
        coming = asyncio.ensure_future(anext(source, None))
        try:
            while (rows := await coming) is not None:
                coming = asyncio.ensure_future(anext(source, None))
                yield rows
        finally:
            await cancelled(coming)
            await source.aclose()

    async def _pages(self) -> AsyncGenerator[list[CachedObject], None]:
        left = self._options.limit
        for index, cluster in enumerate(self._clusters):
            after = (self._start.namespace, self._start.name) if cluster == self._start.cluster else FIRST
            more = True
            while more:
                rows, after, more = await self._page(cluster, after, left)
                if rows:
                    yield rows
                if self._options.limit and (left := left - len(rows)) <= 0:
                    self.token = await self._goes_on(index, after, more)
                    return

    async def _page(self, cluster: str, after: Place, left: int) -> tuple[list[CachedObject], Place, bool]:
        limit = PAGE if self._test is not None or not self._options.limit else min(left, PAGE)
        try:
            page = await self._cache.page(
                self._resource, cluster, self._options.namespace, after, limit, self._options.labels
            )
        except StoreUnavailable as error:
            raise errors.storage_unreachable(error) from error
        rows, more = [row for row in page.rows if row.body], page.more
        if self._test is not None:
            rows = [row for row in rows if self._test(row)]
            if self._options.limit and len(rows) > left:
                return rows[:left], rows[left - 1][:2], True
        return rows, page.rows[-1][:2] if page.rows else after, more

    async def _goes_on(self, index: int, after: Place, more: bool) -> str:
        """Only where something is left."""
        for cluster in self._clusters[index:]:
            while more:
                rows, reached, more = await self._page(cluster, after, 1)
                if rows:
                    return str(Continue(self.version, cluster, *after))
                after = reached
            after, more = FIRST, True
        return ""


def field_test(kind: Kind, options: ListOptions) -> Test | None:
    """Raises StatusError 400."""
    test = matcher(shown_kind(kind), options._replace(labels=None))
    if test is None:
        return None
    resource = kind.resource
    return lambda row: test(entry_of(resource, row))


def entry_of(resource: str, row: CachedObject) -> Entry:
    return Entry(Key(resource, row.namespace, row.name), 0, row.body)


def _object(kind: Kind, body: bytes, version: str, accept: Accepted, request: Request) -> Response:
    entry = Entry(Key(kind.resource, "", ""), 0, body)
    if accept.form == "Table":
        include = request.query.get("includeObject", "")
        body = tables.table(kind, [entry], accept, include, {"resourceVersion": version})
    elif accept.form:
        return encoded(tables.partial(entry.decode(), accept.version), accept)
    if accept.encoding == "yaml":
        return Response(200, to_yaml(body), accept.content_type)
    return Response(200, body + b"\n")


async def _converted(listing: Listing, kind: Kind, accept: Accepted, request: Request) -> Response:
    rows: list[CachedObject] = []
    size = 0
    async for page in listing.pages():
        rows += page
        if len(rows) > MOST_CONVERTED:
            raise errors.bad_request(f"more than {MOST_CONVERTED} objects are only given as JSON, or with a limit")
        read = sum(len(row.body) for row in page)
        await request.hold(read)
        size += read
    metadata = _metadata(listing)
    return await in_thread(size, lambda: _document(kind, rows, metadata, accept, request))


def _document(
    kind: Kind, rows: Sequence[CachedObject], metadata: dict[str, Any], accept: Accepted, request: Request
) -> Response:
    entries = [entry_of(kind.resource, row) for row in rows]
    if accept.form == "Table":
        body = tables.table(kind, entries, accept, request.query.get("includeObject", ""), metadata)
        return Response(200, to_yaml(body) if accept.encoding == "yaml" else body, accept.content_type)
    if accept.form:
        return encoded(tables.partial_list(entries, accept.version, metadata), accept)
    items = [orjson.loads(row.body) for row in rows]
    document = {"apiVersion": kind.api_version, "kind": kind.list_name, "metadata": metadata, "items": items}
    return Response(200, yamlout.dump(document), accept.content_type)


def _metadata(listing: Listing) -> dict[str, Any]:
    return {"resourceVersion": listing.version, "continue": listing.token}


async def _send_json(listing: Listing, kind: Kind, request: Request, send: Sender) -> None:
    """What is short comes whole; what is long is sent while it is read, so that nobody keeps it. Metadata come last: the token
    is known when the rows are."""
    head = b'{"apiVersion":"%b","kind":"%b","items":[' % (kind.api_version.encode(), kind.list_name.encode())
    await send_pages(listing, head, lambda: b'],"metadata":%b}\n' % orjson.dumps(_metadata(listing)), request, send)


async def send_pages(listing: Listing, head: bytes, tail: Callable[[], bytes], request: Request, send: Sender) -> None:
    """JSON of all rows between ``head`` and ``tail``."""
    body = _Body(request, send)
    separator = head
    async for rows in listing.pages():
        await body.add(b"".join((separator, b",".join([row.body for row in rows]))))
        separator = b","
    await body.finish((head if separator is head else b"") + tail())


@final
class _Body:
    """Sent whole if it stays short, or if the client cannot be sent pieces; else piece by piece."""

    def __init__(self, request: Request, send: Sender) -> None:
        self._request, self._send = request, send
        self._parts: list[bytes] = []
        self._size = 0
        self._begun = False
        zipped = b"gzip" in request.headers.get(b"accept-encoding", b"")
        self._packer = zlib.compressobj(1, zlib.DEFLATED, 31) if zipped else None

    async def add(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size < CHUNK:
            return
        if not self._request.chunks:
            await self._request.hold(len(part))
            return
        if not self._begun:
            await self._begin()
        await self._flush()

    async def finish(self, part: bytes) -> None:
        self._parts.append(part)
        if not self._begun:
            await send_response(self._send, self._request, Response(200, b"".join(self._parts)))
            return
        await self._flush()
        rest = self._packer.flush() if self._packer is not None else b""
        await self._send({"type": "http.response.body", "body": rest})

    async def _begin(self) -> None:
        self._begun = True
        headers = [(b"content-type", b"application/json"), *COMMON, *warning_headers(self._request)]
        if self._packer is not None:
            headers += ZIPPED
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _flush(self) -> None:
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._request.method == "HEAD":
            return
        if self._packer is not None:
            data = await asyncio.to_thread(self._packer.compress, data)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})


def _by_cluster(state: CachedResource) -> str:
    return state.cluster
