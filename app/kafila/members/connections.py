"""Connections to one upstream, and requests to it whose bodies stream both ways."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any, final

import aiohttp
from yarl import URL

from .dialing import by_proxy
from .network import CONNECT_TIMEOUT, arriving, open_connector, unanswered
from .proxy import SWITCHED, SWITCHING, RawHeaders, Upstream, response_headers
from .upgraded import Upgraded
from .wire import Unreachable, UnusableAnswer, check_status


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
