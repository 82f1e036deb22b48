"""A member's API passed on to callers of the control plane: what a cluster's upstream is, and requests to it that stream both ways.

The member sees the token of our impersonator and the caller's name in Impersonate headers, so its own RBAC decides. Nothing here
decodes bodies: they go through as they are, compressed or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final, NamedTuple, final
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import structlog
from yarl import URL

from kafila.core.values import Object
from kafila.core.websockets import PROTOCOLS, TOKEN_PROTOCOL, offered_protocols

from .credentials import AUTHORITY, TOKEN, CredentialsError, secret_value
from .dialing import Dialer, by_proxy
from .transport import CONNECT_TIMEOUT, TLS, Unreachable, UnusableAnswer, open_connector, sendable
from .upgraded import Upgraded
from .wire import arriving, check_status, unanswered

log = structlog.get_logger(__name__)
RawHeaders = Sequence[tuple[bytes, bytes]]  # as ASGI has them: lower-case names

# Between two hops only (RFC 9110 7.6.1)
HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
# Who the caller is must be what we say. A member's idea of Host is its own name.
NOT_FORWARDED: Final = HOP_BY_HOP | {b"host", b"authorization", b"proxy-authorization", b"expect", b"cookie"}
IDENTITY_PREFIXES: Final = (b"impersonate-", b"x-remote-", b"x-forwarded-")
# A member answers under our origin: what speaks of the content passes, what would bind a client to anything (cookies, HSTS,
# stored data, scripts of other origins, a way to log in) does not.
RETURNED: Final = frozenset(
    (
        b"accept-ranges",
        b"allow",
        b"cache-control",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-range",
        b"content-type",
        b"etag",
        b"expires",
        b"last-modified",
        b"retry-after",
        b"vary",
        b"warning",
        b"x-content-type-options",
        b"x-kubernetes-pf-flowschema-uid",
        b"x-kubernetes-pf-prioritylevel-uid",
    )
)
# ... and of one that switches protocols
SWITCHING: Final = frozenset((b"sec-websocket-accept", b"sec-websocket-protocol", b"x-stream-protocol-version"))
SWITCHED: Final = 101
BODILESS: Final = (204, 304)  # a length of theirs is that of a body which does not come
IN_PATHS: Final = "/:@!$&'()*+,;=~"  # beside letters, digits, "-", "." and "_": what a path has without encoding
_UNSENDABLE: Final = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
OMITTED_GROUPS: Final = ("system:authenticated", "system:unauthenticated")  # the member adds its own


class Upstream(NamedTuple):
    """Equal upstreams may share connections. ``endpoint`` may have a path, which goes before every target. ``dialer``: makes the
    connections. ``note``: what else to know where it cannot be reached."""

    endpoint: str
    tls: TLS
    token: str
    proxy_url: str = ""
    proxy_headers: tuple[tuple[str, str], ...] = ()
    dialer: Dialer | None = None
    note: str = ""


def upstream(cluster: Object, secret: Object | None, impersonator: Object) -> Upstream:
    """``secret``: what spec.secretRef names, None when it names nothing (Pull mode). Raises CredentialsError in Karmada's words."""
    name, spec = cluster["metadata"]["name"], cluster["spec"]
    endpoint = spec.get("apiEndpoint") or ""
    if not endpoint:
        raise CredentialsError(f"API endpoint of cluster {name} should not be empty")
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise CredentialsError(f"failed to parse api endpoint {endpoint}: must be an http or https URL")
    proxy_url = spec.get("proxyURL") or ""
    try:
        by_proxy(proxy_url, endpoint)
    except ValueError as error:
        raise CredentialsError(str(error)) from None
    token = secret_value(name, impersonator, TOKEN).decode(errors="replace").strip()
    if not token:
        # "impresonate" is Karmada's spelling
        why = f"the impresonate token of cluster {name} is empty"
        raise CredentialsError(f"failed to get impresonateToken for cluster {name}: {why}")
    if spec.get("insecureSkipTLSVerification"):
        tls = TLS(insecure=True)
    else:
        tls = TLS(authority=secret_value(name, secret, AUTHORITY) if secret is not None else b"")
    headers = tuple(sorted((spec.get("proxyHeader") or {}).items())) if proxy_url else ()
    return Upstream(sendable(endpoint), tls, token, proxy_url, headers)


def target_of(rest: str, query: str) -> str:
    """Path and query for the member. ``rest`` is the encoded path behind ``proxy``; it cannot climb above the endpoint."""
    decoded = unquote(rest)
    if ".." in decoded.split("/"):
        rest = quote(posixpath.normpath("/" + decoded.lstrip("/")), safe=IN_PATHS)
        rest += "/" if decoded.endswith("/") else ""
    path = "/" + "/".join(part for part in rest.split("/") if part not in ("", "."))
    if rest.endswith("/") and path != "/":
        path += "/"
    return quote(f"{path}?{query}" if query else path, safe=IN_PATHS + '%?[]"<>\\^`{|}')  # one line, in ASCII


def location_of(given: str, endpoint: str, root: str) -> str | None:
    """A redirect within the member, as the caller can follow it below ``root``; None for any other: a client would take its
    credentials along."""
    base = urlsplit(endpoint)
    try:
        found = urlsplit(given)
    except ValueError:
        return None
    if (found.scheme, found.netloc) not in (("", ""), (base.scheme, base.netloc)) or not found.path.startswith("/"):
        return None
    prefix = base.path.rstrip("/")
    if not found.path.startswith(f"{prefix}/") or ".." in unquote(found.path).split("/"):
        return None
    return root + target_of(found.path[len(prefix) :], found.query)


def request_headers(given: RawHeaders) -> list[tuple[bytes, bytes]]:
    """What of a caller's headers the member gets; without anything that says who the caller is. A token among WebSocket protocols
    is the caller's own."""
    dropped = NOT_FORWARDED | _named_by_connection(given)
    passing = [(name, value) for name, value in given if name not in dropped and not name.startswith(IDENTITY_PREFIXES)]
    kept = [one for one in offered_protocols(passing) if not one.startswith(TOKEN_PROTOCOL)]
    out = [(name, value) for name, value in passing if name != PROTOCOLS]
    return [*out, (PROTOCOLS, b", ".join(kept))] if kept else out


def upgrade_headers(given: RawHeaders, protocol: bytes) -> list[tuple[bytes, bytes]]:
    """As :func:`request_headers`, for a request to switch to ``protocol``."""
    return [*request_headers(given), (b"connection", b"Upgrade"), (b"upgrade", protocol)]


def impersonation(user: str, groups: Iterable[str], token: str) -> list[tuple[bytes, bytes]]:
    """Raises ValueError for a name that would arrive as another one."""
    groups = tuple(groups)
    for kind, name in (("user", user), *(("group", group) for group in groups)):
        if not name or name != name.strip(" \t") or _UNSENDABLE.search(name):
            raise ValueError(f"{kind} {name!a} cannot be named to a member: no header carries it as it is")
    headers = [(b"authorization", b"bearer " + token.encode()), (b"impersonate-user", user.encode())]
    headers += [(b"impersonate-group", group.encode()) for group in groups if group not in OMITTED_GROUPS]
    return headers


def response_headers(given: RawHeaders, status: int) -> list[tuple[bytes, bytes]]:
    passing = RETURNED - _named_by_connection(given)
    if status in BODILESS:
        passing -= {b"content-length"}
    return [(name, value) for name, value in given if name in passing]


def _named_by_connection(headers: RawHeaders) -> set[bytes]:
    named = (value for name, value in headers if name == b"connection")
    return {token.strip().lower() for value in named for token in value.split(b",")}


@final
class OnceBody:
    """A body as it comes. A lost connection must not make it be sent again: its beginning is gone."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._taken = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._taken:
            raise ConnectionError("the connection was lost while the request was sent")
        self._taken = True
        return self._chunks


@final
class Answer:
    """Head of an answer; the body comes by :meth:`chunks`. Must be closed."""

    def __init__(self, answer: aiohttp.ClientResponse, connections: Connections) -> None:
        self._answer = answer
        self._connections = connections
        self.status = answer.status
        given = [(name.lower(), value) for name, value in answer.raw_headers]
        self.headers = response_headers(given, answer.status)
        self.location = answer.headers.get("location", "")
        self.switched: Upgraded | None = None  # the connection, when the answer is that it speaks another protocol now
        if answer.status == SWITCHED:
            self.headers = [(name, value) for name, value in given if name in SWITCHING]
            self.switched = Upgraded(answer)

    def chunks(self) -> AsyncIterator[bytes]:
        """Raises Unreachable when the member breaks off."""
        return arriving(self._answer)

    async def close(self) -> None:
        self._answer.close()
        await self._connections.release()


@final
class Connections:
    """Connections to one upstream. Retired ones serve out what they have begun."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        by_socks, self._http_proxy = by_proxy(upstream.proxy_url, upstream.endpoint)
        self._dialer = upstream.dialer or by_socks
        self._session: aiohttp.ClientSession | None = None
        self._users = 0
        self._retired = False

    async def send(
        self, method: str, target: str, headers: RawHeaders, body: bytes | AsyncIterator[bytes] | None
    ) -> Answer:
        """Raises Unreachable; ValueError for headers that are no text and could not arrive as they are.

        With a header ``upgrade`` the answer may be that the protocol was switched.
        """
        to = self.upstream
        shown = [(name.decode("latin-1"), value.decode()) for name, value in headers]  # written as UTF-8 again
        data: Any = OnceBody(body) if isinstance(body, AsyncIterator) else body
        asked = next((value for name, value in headers if name == b"upgrade"), b"").decode().lower()
        try:
            session = self._open()
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise Unreachable(f"the credentials are not usable: {error}", sent=False) from None
        self._users += 1
        try:
            answer = await session.request(
                method,
                URL(to.endpoint + target, encoded=True),
                headers=shown,
                data=data,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),  # watches and logs stay open
                allow_redirects=False,  # credentials must not follow a redirect to somewhere else
                skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
                server_hostname=to.tls.server_name or None,
                proxy=self._http_proxy,
                proxy_headers=dict(to.proxy_headers) or None,
            )
            try:
                if not (answer.status == SWITCHED and asked and answer.headers.get("upgrade", "").lower() == asked):
                    check_status(answer.status)
                return Answer(answer, self)
            except (UnusableAnswer, ConnectionError):
                answer.close()
                raise
        except (aiohttp.ClientError, ValueError, TimeoutError, OSError) as error:
            await self.release()
            why = unanswered(error, sent=True)
            if to.note and isinstance(error, aiohttp.ClientConnectionError):
                why.args = (f"{to.note}: {why}",)
            raise why from None
        except BaseException:
            await self.release()
            raise

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=open_connector(self.upstream.endpoint, self.upstream.tls, self._dialer),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # bytes go through as they are
                read_bufsize=1 << 16,
            )
        return self._session

    async def release(self) -> None:
        self._users -= 1
        if self._retired and not self._users:
            await self.close()

    async def retire(self) -> None:
        self._retired = True
        if not self._users:
            await self.close()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await session.close()


@final
class Pool:
    """Connections by cluster: one set each, replaced when the upstream changes."""

    def __init__(self) -> None:
        self._known: dict[str, Connections] = {}

    async def connections(self, cluster: str, upstream: Upstream) -> Connections:
        found = self._known.get(cluster)
        if found is not None and found.upstream == upstream:
            return found
        made = self._known[cluster] = Connections(upstream)
        if found is not None:
            log.info("a member's address or credentials have changed", cluster=cluster)
            await found.retire()
        return made

    async def forget(self, cluster: str) -> None:
        found = self._known.pop(cluster, None)
        if found is not None:
            await found.retire()

    async def close(self) -> None:
        """Breaks off everything that is under way."""
        for cluster in list(self._known):
            await self._known.pop(cluster).close()
