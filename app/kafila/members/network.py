"""Over the network to a member or a server: all that is made of aiohttp, and what it says in our words.

Loaded when somebody is asked for the first time, at the latest behind the start of a process: loading it takes a tenth of that.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader
from prometheus_client import Counter
from yarl import URL

from .dialing import Dialer, by_proxy, watch
from .transport import NO_TLS, TLS, Headers, Response, Timeouts, sendable, ssl_context
from .wire import MAX_INTERIM, Flow, Unreachable, UnusableAnswer, check_status, inflated, joined, reason

CONNECT_TIMEOUT = 5.0  # seconds
KEEP_ALIVE = 30.0  # below the idle timeout of any API server, so that a reused connection is not one just closed by it


REQUESTS = Counter(
    "rest_client_requests_total", "Requests to members, by the status of the answer.", ["code", "host", "method"]
)
_CODES = frozenset(map(int, HTTPStatus))


@final
class NetworkTransport:
    """``endpoint`` may have a path (members behind Rancher and the like), which goes before every target."""

    def __init__(
        self,
        endpoint: str,
        tls: TLS = NO_TLS,
        proxy_url: str = "",
        proxy_headers: Mapping[str, str] | None = None,
        dialer: Dialer | None = None,
    ) -> None:
        self._endpoint = sendable(endpoint)
        self._host = urlsplit(endpoint).netloc.rpartition("@")[2]
        self._tls = tls
        self._proxy_headers = proxy_headers
        self._session: aiohttp.ClientSession | None = None
        self._retired: aiohttp.ClientSession | None = None
        if urlsplit(endpoint).scheme not in ("http", "https"):
            raise ValueError(f"invalid API endpoint {endpoint!r}: must be an http or https URL")
        by_socks, self._http_proxy = by_proxy(proxy_url, endpoint)
        self._dialer = dialer or by_socks

    async def present(self, certificate: bytes, key: bytes) -> None:
        """From the next request on this is our certificate. What is under way ends as it began."""
        if (certificate, key) == (self._tls.certificate, self._tls.key):
            return
        self._tls = self._tls._replace(certificate=certificate, key=key)
        before, self._session, self._retired = self._retired, None, self._session
        if before is not None:
            await before.close()

    def _open_session(self) -> aiohttp.ClientSession:
        # No timeout here: every request brings its own. No cookies: members are not web sites.
        return aiohttp.ClientSession(
            connector=open_connector(self._endpoint, self._tls, self._dialer),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,  # in ``inflated``, which bounds it
        )

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | None, timeouts: Timeouts
    ) -> Response:
        if self._session is None:
            try:
                self._session = self._open_session()
            except (ssl.SSLError, UnicodeDecodeError) as error:
                raise Unreachable(f"the credentials are not usable: {error}", sent=False) from None
        timeout = aiohttp.ClientTimeout(
            total=timeouts.total or None, sock_connect=CONNECT_TIMEOUT, sock_read=timeouts.idle or None
        )
        try:
            answer = await self._session.request(
                method,
                URL(self._endpoint + target, encoded=True),
                headers=(*headers, ("Accept-Encoding", "gzip")),
                data=body,
                timeout=timeout,
                allow_redirects=False,  # credentials must not follow a redirect to somewhere else
                server_hostname=self._tls.server_name or None,
                proxy=self._http_proxy,
                proxy_headers=self._proxy_headers,
            )
        except (aiohttp.ClientConnectorError, NotDialed) as error:
            REQUESTS.labels("<error>", self._host, method).inc()
            raise Unreachable(reason(error), sent=False) from None
        except ValueError as error:  # such as a name that IDNA cannot write
            REQUESTS.labels("<error>", self._host, method).inc()
            raise Unreachable(f"the request cannot be sent: {error}", sent=False) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            REQUESTS.labels("<error>", self._host, method).inc()
            raise unanswered(error, not isinstance(error, aiohttp.ConnectionTimeoutError)) from None
        code = str(answer.status) if answer.status in _CODES else "<error>"  # a member may say any number
        REQUESTS.labels(code, self._host, method).inc()
        try:
            check_status(answer.status)
        except UnusableAnswer:
            answer.close()
            raise
        return _NetworkResponse(answer)

    async def close(self) -> None:
        for session in (self._session, self._retired):
            if session is not None:
                await session.close()
        self._session = self._retired = None


def open_connector(endpoint: str, tls: TLS, dialer: Dialer | None = None) -> aiohttp.BaseConnector:
    """``dialer``: makes the connections, whatever address the endpoint has. Raises ssl.SSLError or UnicodeDecodeError when the PEM
    data is not usable."""
    secured = ssl_context(tls) if endpoint.startswith("https") else None
    if dialer is not None:
        return DialedConnector(dialer, secured, tls.server_name or urlsplit(endpoint).hostname or "", KEEP_ALIVE)
    context: ssl.SSLContext | bool = secured or True
    connector = aiohttp.TCPConnector(
        ssl=context, limit=0, ttl_dns_cache=30, keepalive_timeout=KEEP_ALIVE, socket_factory=_watched_socket
    )
    connector._factory = partial(Answers, loop=asyncio.get_running_loop())  # type: ignore[assignment]
    return connector


def _watched_socket(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    watch(made)
    return made


@final
class _NetworkResponse:
    __slots__ = ("_answer", "headers", "status")

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers

    async def read(self, most: int) -> bytes:
        return await joined(self.chunks(), most)

    def chunks(self) -> AsyncIterator[bytes]:
        encoding = self._answer.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise UnusableAnswer(f"the answer is encoded in {encoding[:32]}, which was not asked for")
        return inflated(arriving(self._answer)) if encoding == "gzip" else arriving(self._answer)

    async def close(self) -> None:
        # A response that was read to its end has given its connection back already; any other must not be reused.
        self._answer.close()


class Answers(ResponseHandler):
    """One connection's answers. aiohttp reads over interim ones (100 to 199) for as long as they come."""

    _interim = 0
    flow: Flow | None = None  # who is told when to pause writing, once the connection is no HTTP any more

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        self._interim = self._interim + 1 if 100 <= data[0].code < 200 else 0
        if self._interim > MAX_INTERIM:
            self.set_exception(HttpProcessingError(code=502, message=f"more than {MAX_INTERIM} interim answers"))
            if self.transport is not None:
                self.transport.abort()
            return
        super().feed_data(data, size)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.flow is not None:
            self.flow.pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.flow is not None:
            self.flow.resume_writing()

    def close(self) -> None:
        """At once: over TLS a friendly end would go on reading what the other side sends for half a minute."""
        transport = self.transport
        super().close()
        if transport is not None:
            transport.abort()


class NotDialed(aiohttp.ClientConnectionError):
    """No connection came about: the member saw nothing."""


@final
class DialedConnector(aiohttp.BaseConnector):
    """``context``: None for a member that speaks no TLS; ``server_name``: whom its certificate has to be of."""

    def __init__(self, dialer: Dialer, context: ssl.SSLContext | None, server_name: str, keep_alive: float) -> None:
        super().__init__(limit=0, keepalive_timeout=keep_alive)
        self._factory = partial(Answers, loop=asyncio.get_running_loop())  # type: ignore[assignment]
        self._dialer = dialer
        self._context = context
        self._server_name = server_name

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        via = self._dialer.via
        try:
            async with asyncio.timeout(timeout.sock_connect):
                made = await self._dialer.dial()
                try:
                    return await self._spoken(made)
                except BaseException:
                    made.close()
                    raise
        except ssl.CertificateError as error:
            raise NotDialed(f"its certificate is not believed: {error.verify_message}") from None
        except TimeoutError:
            raise NotDialed(f"{via} did not lead to its API server in time") from None
        except (OSError, ValueError) as error:  # ValueError: a name that IDNA cannot write
            raise NotDialed(f"through {via}: {error}") from None

    async def _spoken(self, made: socket.socket) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        connect: Any = loop.create_unix_connection if made.family == socket.AF_UNIX else loop.create_connection
        server_name = self._server_name if self._context is not None else None
        _, protocol = await connect(self._factory, sock=made, ssl=self._context, server_hostname=server_name)
        found: ResponseHandler = protocol
        return found


async def arriving(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Unreachable when the member breaks off."""
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unanswered(error, sent=True) from None


def unanswered(error: BaseException, sent: bool) -> Unreachable:
    """What an exception of aiohttp's says about the member."""
    if isinstance(error, aiohttp.ClientResponseError):
        return UnusableAnswer(f"the answer is no HTTP: {error.message}")
    return Unreachable(reason(error), sent)
