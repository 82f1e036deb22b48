"""``clusters/NAME/proxy``: a member's API through the control plane, as the caller.

What is needed to reach a member comes from the cache (its Cluster and Secrets), so a process without controllers serves this as well.
Bodies stream both ways without a limit of ours; watches and logs last as long as both sides want.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, final
from urllib.parse import quote, unquote

from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.members.credentials import CredentialsError
from kafila.members.pool import Pool
from kafila.members.proxy import (
    IN_PATHS,
    Upstream,
    impersonation,
    request_headers,
    response_headers,
    target_of,
    upgrade_headers,
    upstream,
)
from kafila.members.transport import ASGITransport, Timeouts, Transport, UnusableAnswer
from kafila.members.tunnels import Tunnels, Way, through
from kafila.members.wire import joined
from kafila.registry import Registry, User
from kafila.registry.codec import decode_entry
from kafila.settings.answers import ANSWER_LIMITS, AnswerLimits
from kafila.watch import Entry, Event

from . import proxy_all, proxy_all_watch
from .bodies import Receive
from .relaying import Relay
from .request import Request, Target
from .responses import Response, Sender, send_response
from .upgrades import wanted

if TYPE_CHECKING:
    from kafila.members.connections import Connections

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class _Known(NamedTuple):
    """An upstream, and the entries it was read from: as long as these are current there is nothing to decode."""

    entries: tuple[Entry | None, ...]
    way: Way | None  # through a tunnel
    upstream: Upstream


@final
class MemberProxy:
    """``transport_for``: a Cluster's own transport (simulation), None for the network."""

    def __init__(
        self,
        registry: Registry,
        transport_for: Callable[[Object], Transport | None] = lambda cluster: None,
        limits: AnswerLimits = ANSWER_LIMITS,
        tunnels: Tunnels | None = None,
    ) -> None:
        """``tunnels``: of clusters in Pull mode; None: there are none."""
        self.here: Any = None  # our own application, which answers for all members what concerns no object
        self._registry = registry
        self.limits = limits
        self.tunnels = tunnels
        self.transport_for = transport_for
        self._kind = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")
        self._pool = Pool()
        self._known: dict[str, _Known] = {}
        self._relay = Relay()
        self._forgetting: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self.before_close: list[Callable[[], Awaitable[None]]] = []
        registry.cache.listen(self._kind.resource, self._observe)

    async def serve(self, request: Request, receive: Receive, send: Sender) -> None:
        """Raises StatusError as long as nothing was sent."""
        target = request.target
        assert target is not None
        if request.method not in METHODS:
            raise errors.method_not_supported(self._kind.group, self._kind.plural, request.method.lower())
        if target.name != proxy_all.ALL and self._registry.cache.get(self._kind.resource, "", target.name) is None:
            raise errors.not_found(self._kind.group, self._kind.plural, target.name)
        wanted(request)  # whoever asks for what nobody speaks learns it first
        rest = _rest(request)
        if not rest and not request.raw_path.endswith("/") and request.method in ("GET", "HEAD"):
            await _redirect_to_root(request, send)
            return
        request.target = target = target._replace(rest=rest)
        _check_sendable(request)
        if target.name != proxy_all.ALL:
            await self._serve_member(request, receive, send)
            return
        asked = proxy_all.wanted(target)
        if asked is None:
            if self.here is None:
                raise errors.page_not_found()
            await self._serve_here(self.here, request, receive, send)
            return
        ask = partial(self._ask, request.user)
        if not asked.name and request.method == "GET" and (asked.watch or request.flag("watch")):
            open_ = partial(self._opened, request.user)
            await proxy_all_watch.serve_watch(
                request, self._names, ask, open_, self.limits, self._closing, receive, send
            )
            return
        clusters = self._names()
        if not asked.name:
            await send_response(send, request, await proxy_all.merged_list(request, asked, clusters, ask, self.limits))
            return
        request.target = target._replace(name=await proxy_all.locate(request, asked, clusters, ask))
        await self._serve_member(request, receive, send)

    def _names(self) -> list[str]:
        return [entry.key.name for entry in self._registry.cache.resource(self._kind.resource).entries()]

    async def serve_member(self, request: Request, cluster: str, rest: str, receive: Receive, send: Sender) -> None:
        """A request that came another way, for the encoded path ``rest`` of a member."""
        kind = self._kind
        request.target = Target(kind.group, kind.version, kind.plural, "", cluster, "proxy", rest)
        wanted(request)
        _check_sendable(request)
        await self._serve_member(request, receive, send)

    async def serve_here(self, request: Request, rest: str, receive: Receive, send: Sender) -> None:
        """The same for the control plane itself, which asks again what the caller may do."""
        if self.here is None:
            raise errors.page_not_found()
        kind = self._kind
        request.target = Target(kind.group, kind.version, kind.plural, "", proxy_all.ALL, "proxy", rest)
        wanted(request)
        await self._serve_here(self.here, request, receive, send)

    async def _serve_member(self, request: Request, receive: Receive, send: Sender) -> None:
        assert request.target is not None
        way = await self._way_to(request.target.name)
        if isinstance(way, ASGITransport):
            await self._serve_here(way.app, request, receive, send)
        else:
            await self._serve_there(way, request, receive, send)

    async def _ask(self, user: User, cluster: str, target: str, accept: str) -> tuple[int, bytes]:
        """Status and body of a GET as ``user``, not compressed. Raises StatusError, Unreachable, UnusableAnswer."""
        async with self._opened(user, cluster, target, accept) as (status, chunks):
            return status, await joined(chunks, self.limits.answer)

    @contextlib.asynccontextmanager
    async def _opened(
        self, user: User, cluster: str, target: str, accept: str
    ) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """The same, while it comes."""
        way = await self._way_to(cluster)
        if isinstance(way, ASGITransport):
            transport = ASGITransport(way.app, {"user": user})
            simulated = await transport.send("GET", target, [("accept", accept)], None, Timeouts(0, 0))
            try:
                yield simulated.status, simulated.chunks()
            finally:
                await simulated.close()
            return
        headers = [(b"accept", accept.encode()), (b"accept-encoding", b"identity")]
        headers += impersonation(user.name, user.groups, way.upstream.token)
        answer = await way.send("GET", target, headers, None)
        try:
            if any(name == b"content-encoding" and value != b"identity" for name, value in answer.headers):
                raise UnusableAnswer("the answer is compressed, which was not asked for")
            yield answer.status, answer.chunks()
        finally:
            await answer.close()

    async def close(self) -> None:
        """Breaks off everything that is under way."""
        self._closing.set()
        for close in self.before_close:
            await close()
        await self._relay.close()
        await self._pool.close()

    # -- what a cluster needs --------------------------------------------------------------------------------------

    async def _way_to(self, name: str) -> Connections | ASGITransport:
        """Raises StatusError."""
        entry = self._registry.cache.get(self._kind.resource, "", name)
        if entry is None:
            raise errors.not_found(self._kind.group, self._kind.plural, name)
        cluster = decode_entry(self._kind, entry)
        transport = self.transport_for(cluster)
        if isinstance(transport, ASGITransport):
            return transport
        return await self._pool.connections(name, self._upstream(cluster, entry))

    def _upstream(self, cluster: Object, entry: Entry) -> Upstream:
        """Raises StatusError."""
        name, spec = cluster["metadata"]["name"], cluster["spec"]
        reference = spec.get("impersonatorSecretRef")
        if not reference:
            raise StatusError(500, "", f"the impersonatorSecretRef of cluster {name} is nil")
        secret = self._secret(spec["secretRef"]) if spec.get("secretRef") else None
        impersonator = self._secret(reference)
        entries = (entry, secret, impersonator)
        pulled = spec.get("syncMode") == "Pull"
        way = self.tunnels.way(name) if pulled and self.tunnels is not None else None
        known = self._known.get(name)
        if known is not None and known.way == way and all(a is b for a, b in zip(known.entries, entries, strict=True)):
            return known.upstream
        try:
            found = upstream(cluster, secret.decode() if secret is not None else None, impersonator.decode())
        except CredentialsError as error:
            raise StatusError(500, "", str(error)) from None
        if way is not None:
            found = through(found, way)
        elif pulled:
            found = found._replace(note=f"cluster {name} has no tunnel, and {found.endpoint} cannot be reached")
        self._known[name] = _Known(entries, way, found)
        return found

    def _secret(self, reference: Object) -> Entry:
        key = Key("secrets", reference.get("namespace", ""), reference.get("name", ""))
        found = self._registry.cache.get(*key)
        if found is None:
            raise errors.not_found("", "secrets", key.name)
        return found

    def _observe(self, event: Event) -> None:
        name = event.key.name
        if event.new is None and self._known.pop(name, None) is not None:
            task = asyncio.get_running_loop().create_task(self._pool.forget(name))
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)

    # -- the two ways ----------------------------------------------------------------------------------------------

    async def _serve_here(self, app: Any, request: Request, receive: Receive, send: Sender) -> None:
        """A simulated member: its application answers the caller itself."""
        assert request.target is not None
        if wanted(request):
            why = f"nothing runs in the pods of {request.target.name}: connections to them cannot be upgraded"
            raise StatusError(501, "NotImplemented", why)
        path, _, query = target_of(request.target.rest, request.raw_query).partition("?")
        headers = request_headers(request.sent_headers)
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "https",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 443),
            "state": {"user": request.user},
        }

        async def returned(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": response_headers(message["headers"], message["status"])}
            await send(message)

        await app(scope, receive, returned)

    async def _serve_there(self, connections: Connections, request: Request, receive: Receive, send: Sender) -> None:
        assert request.target is not None
        given, protocol = request.sent_headers, wanted(request)
        headers = upgrade_headers(given, protocol) if protocol else request_headers(given)
        headers += impersonation(request.user.name, request.user.groups, connections.upstream.token)
        target = target_of(request.target.rest, request.raw_query)
        await self._relay.serve(connections, request, target, headers, receive, send, _root(request))


def _root(request: Request) -> str:
    assert request.target is not None
    group, version, plural, _, name, subresource, *_ = request.target
    return f"/apis/{group}/{version}/{plural}/{quote(name)}/{subresource}"


def _rest(request: Request) -> str:
    """The path behind ``proxy`` as it arrived, encoded: a member shall read the bytes that the caller wrote."""
    assert request.target is not None
    decoded = request.target.rest
    before = request.path.removesuffix(decoded)
    *pieces, raw = request.raw_path.split("/", before.count("/")) if decoded else [""]
    # an encoded slash before it: the pieces are not those that were authorized
    return raw if "/".join(map(unquote, [*pieces, ""])) == before else quote(decoded, safe=IN_PATHS)


def _check_sendable(request: Request) -> None:
    """Raises StatusError for what would arrive at a member as something else."""
    try:
        impersonation(request.user.name, request.user.groups, "")
    except ValueError as error:
        assert request.target is not None
        raise errors.forbidden("cluster.karmada.io", "clusters", request.target.name, str(error)) from None
    for name, value in request_headers(request.sent_headers):
        try:
            value.decode()
        except UnicodeDecodeError:
            raise errors.bad_request(f"header {name.decode('latin-1')} is not in UTF-8") from None


async def _redirect_to_root(request: Request, send: Sender) -> None:
    """The root has a slash, without which relative links in its answers would lead elsewhere."""
    location = f"{_root(request)}/?{request.raw_query}" if request.raw_query else f"{_root(request)}/"
    headers = ((b"location", quote(location, safe=IN_PATHS + "%?").encode()),)
    await send_response(send, request, Response(301, b"", headers=headers))
