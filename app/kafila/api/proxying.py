"""``proxying/NAME/proxy/PATH``: one API over the objects of all members, as Karmada chains it.

1. *cache*: get, list and watch of what a ResourceRegistry selects are answered from the cache;
2. *cluster*: whatever else is asked of an object that is selected goes to the member where it is, as the caller;
3. *karmada*: everything else is answered by the control plane itself, as to the caller.
"""

from __future__ import annotations

import asyncio
import posixpath
from typing import Any, Final, final
from urllib.parse import quote

import orjson
from orjson import JSONDecodeError

from kafila.catalog.kind import Kind
from kafila.catalog.protobuf import codec
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.machinery import amount, protobuf
from kafila.members.proxy import IN_PATHS
from kafila.placement.constants import CACHED_FROM_CLUSTER
from kafila.registry.threads import in_thread
from kafila.search.feed import Feed
from kafila.search.selection import Registries, resource_name
from kafila.search.versions import own_version

from .bodies import Receive, decode_protobuf, read_body
from .multicluster import Reader, asked_of
from .multicluster_watch import serve_watch
from .negotiation import PROTOBUF
from .proxy import METHODS, MemberProxy
from .request import Request, Target, parse_target
from .responses import Sender, send_response

BODY_TIMEOUT: Final = 60.0  # seconds
GROUP: Final = "search.karmada.io"


@final
class Proxying:
    def __init__(
        self,
        registries: Registries,
        reader: Reader,
        feed: Feed,
        member_proxy: MemberProxy,
        draining: asyncio.Event,
    ) -> None:
        self._registries, self._reader, self._feed = registries, reader, feed
        self._members = member_proxy
        self._draining = draining

    async def serve(self, request: Request, receive: Receive, send: Sender) -> str:
        """Who answered. Leaves ``request.target`` changed. Raises StatusError as long as nothing was sent."""
        through = request.target
        assert through is not None
        if request.method not in METHODS:
            raise errors.method_not_supported(GROUP, "proxying", request.method.lower())
        path = posixpath.normpath(f"/{through.rest.lstrip('/')}") if through.rest else "/"
        asked = parse_target(path)
        if asked is not None and asked.group == GROUP and asked.plural == "proxying":
            raise errors.bad_request("proxying does not lead to itself")
        kind = None
        if asked is not None and asked.plural:
            kind = self._registries.resources().get(resource_name(asked.group, asked.version, asked.plural))
        if kind is None or asked is None or kind.namespaced < bool(asked.namespace):
            await self._members.serve_here(request, _encoded(path), receive, send)
            return "controlplane"
        if request.method in ("GET", "HEAD") and not asked.subresource:
            await self._from_cache(kind, asked, request, receive, send)
            return "cache"
        await self._at_member(kind, asked, path, request, receive, send)
        return "member"

    async def _from_cache(self, kind: Kind, asked: Target, request: Request, receive: Receive, send: Sender) -> None:
        request.target = asked
        watch = asked.watch or (not asked.name and request.flag("watch"))
        if watch and request.method == "GET":
            await serve_watch(self._reader, self._feed, kind, request, receive, send, self._draining)
        elif asked.name:
            await send_response(send, request, await self._reader.get(kind, request))
        else:
            await self._reader.list(kind, request, send)

    async def _at_member(
        self, kind: Kind, asked: Target, path: str, request: Request, receive: Receive, send: Sender
    ) -> None:
        request.target = asked
        if request.method == "POST" and not asked.name:  # nobody says where it shall be made
            raise errors.method_not_supported(kind.group, kind.plural, "create")
        cluster, _ = await self._reader.locate(kind, request, asked_of(request))
        if request.method == "PUT":
            body = await read_body(receive, BODY_TIMEOUT)
            body = await in_thread(len(body), lambda: restored(body, request.media_type, kind, cluster))
            receive = _sent(body, receive)
            _resize(request, len(body))
        await self._members.serve_member(request, cluster, _encoded(path), receive, send)


def restored(body: bytes, media_type: str, kind: Kind, cluster: str) -> bytes:
    """An object that was read here as its member knows it: with its own resourceVersion, without the annotation. What cannot
    be read goes as it is, for the member to refuse. Raises StatusError 409 for what was read where it no longer is."""
    try:
        if media_type == PROTOBUF:
            obj: Any = decode_protobuf(body, kind)
        else:
            amount.check_json(body)
            obj = orjson.loads(body)
    except (StatusError, JSONDecodeError):
        return body
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(metadata, dict) or not _restore(metadata, cluster, kind):
        return body
    found = codec(*kind.gvk) if media_type == PROTOBUF else None
    if found is None:
        return orjson.dumps(obj)
    return protobuf.envelope(kind.api_version, kind.kind, found.encode(obj))


def _restore(metadata: Object, cluster: str, kind: Kind) -> bool:
    """Whether something was changed. Raises StatusError 409."""
    changed = False
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict) and annotations.pop(CACHED_FROM_CLUSTER, None) is not None:
        changed = True
    version = metadata.get("resourceVersion")
    if isinstance(version, str) and (own := own_version(version, cluster)) is not None:
        if not own:
            raise errors.conflict(kind.group, kind.plural, str(metadata.get("name", "")))
        metadata["resourceVersion"] = own
        changed = True
    return changed


def _sent(body: bytes, receive: Receive) -> Receive:
    """A body that was read, again; then what the client does next."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> dict[str, Any]:
        return waiting.pop() if waiting else await receive()

    return again


def _resize(request: Request, size: int) -> None:
    """Says how long the body is that goes on."""
    length = (b"content-length", str(size).encode())
    dropped = (b"content-length", b"transfer-encoding")
    request.sent_headers = [*(each for each in request.sent_headers if each[0] not in dropped), length]
    request.headers = dict(reversed(request.sent_headers))


def _encoded(path: str) -> str:
    return quote(path, safe=IN_PATHS)
