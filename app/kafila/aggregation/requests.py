"""What is sent to an extension server: over TLS with our front proxy's certificate, with headers that say who asks (X-Remote-…)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, final

from kafila.identity.certificates import KeyPair
from kafila.members.pool import Pool
from kafila.members.proxy import Upstream
from kafila.members.transport import TLS, UnusableAnswer
from kafila.members.wire import joined
from kafila.registry import User
from kafila.watch import Cache
from kafila.webhooks.services import resolved

from .apiservices import APIService

if TYPE_CHECKING:
    from kafila.members.connections import Connections

RawHeaders = list[tuple[bytes, bytes]]
AGGREGATOR: Final = User("system:kube-aggregator", ("system:masters",))
# of HTTP's tokens, but for "%", with which the others are written
_LEGAL: Final = frozenset(b"!#$&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_UNSENDABLE: Final = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
NOBODY: Final = KeyPair(b"", b"")  # no certificate at all
MOST_ENDPOINTS: Final = 16  # of one server to which connections are kept
LARGEST_DOCUMENT: Final = 16 << 20  # bytes of a document about its API


class Document(NamedTuple):
    status: int
    body: bytes
    media_type: bytes
    etag: bytes = b""


@final
class Extensions:
    """Connections to extension servers, a set for each APIService. ``identity``: what this server shows them."""

    def __init__(self, cache: Cache, identity: Callable[[], KeyPair] = lambda: NOBODY) -> None:
        self._cache = cache
        self._identity = identity
        self._pool = Pool()
        self._ways: dict[str, list[str]] = {}  # of an APIService, the newest last
        self._retiring: set[asyncio.Task[None]] = set()

    async def connections(self, service: APIService) -> Connections:
        """Raises Unresolved."""
        host, port = resolved(self._cache, service.namespace, service.service, service.port)
        endpoint = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        pair = self._identity()
        tls = TLS(service.authority, pair.certificate, pair.key, service.insecure, service.server_name)
        ways, way = self._ways.setdefault(service.name, []), f"{service.name} {endpoint}"
        if way not in ways:
            ways.append(way)
            if len(ways) > MOST_ENDPOINTS:
                self._retire(ways.pop(0))
        return await self._pool.connections(way, Upstream(endpoint, tls, ""))

    async def document(
        self, service: APIService, path: str, accept: str, known: bytes = b"", most: int = LARGEST_DOCUMENT
    ) -> Document:
        """The answer to a GET of ours. ``known``: the ETag of what we have: 304 when it is that still.

        Raises Unresolved, Unreachable, UnusableAnswer.
        """
        connections = await self.connections(service)
        headers = [
            *caller(AGGREGATOR),
            (b"accept", accept.encode()),
            (b"accept-encoding", b"identity"),
            (b"user-agent", b"kube-aggregator"),
        ]
        if known:
            headers.append((b"if-none-match", known))
        answer = await connections.send("GET", path, headers, None)
        try:
            given = dict(answer.headers)
            if given.get(b"content-encoding", b"identity") != b"identity":
                raise UnusableAnswer("the answer is compressed, which was not asked for")
            body = await joined(answer.chunks(), most)
            return Document(answer.status, body, given.get(b"content-type", b""), given.get(b"etag", b""))
        finally:
            await answer.close()

    def forget(self, name: str) -> None:
        """Its connections serve out what they have begun."""
        for way in self._ways.pop(name, ()):
            self._retire(way)

    def _retire(self, way: str) -> None:
        task = asyncio.get_running_loop().create_task(self._pool.forget(way))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        await self._pool.close()
        await asyncio.gather(*self._retiring, return_exceptions=True)


def caller(user: User) -> RawHeaders:
    """Raises ValueError for a name that would arrive as another one."""
    named = [("user", user.name), *(("group", group) for group in user.groups), ("uid", user.uid)]
    named += [(f"extra {key}", value) for key, values in user.extra for value in values]
    for what, name in named:
        if _UNSENDABLE.search(name) or name != name.strip(" \t"):
            raise ValueError(f"{what} {name!a} cannot be named to a server: no header carries it as it is")
    headers = [(b"x-remote-user", user.name.encode())]
    if user.uid:
        headers.append((b"x-remote-uid", user.uid.encode()))
    headers += [(b"x-remote-group", group.encode()) for group in user.groups]
    headers += [
        (b"x-remote-extra-" + _escaped(key.lower()), value.encode()) for key, values in user.extra for value in values
    ]
    return headers


def _escaped(key: str) -> bytes:
    return b"".join(bytes([byte]) if byte in _LEGAL else b"%%%02X" % byte for byte in key.encode())
