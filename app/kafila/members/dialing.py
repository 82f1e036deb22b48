"""Connections to a member by another way than straight to its address: through its agent's tunnel, or a proxy."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import partial
from typing import Any, Protocol, final
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from python_socks import ProxyError, ProxyType
from python_socks.async_.asyncio import Proxy

from .wire import Answers

_SOCKS = "socks5"
_PORTS = {"http": 80, "https": 443}
_DIALED = {_SOCKS: (ProxyType.SOCKS5, 1080), "http": (ProxyType.HTTP, 80)}
UNACKNOWLEDGED_TIMEOUT = 30_000  # milliseconds until a silent peer's connection is given up (TCP_USER_TIMEOUT)


class NotDialed(aiohttp.ClientConnectionError):
    """No connection came about: the member saw nothing."""


class Dialer(Protocol):
    """A way to a member's API server. Equal ones are the same way. ``via``: how it is called when it fails."""

    via: str

    async def dial(self) -> socket.socket:
        """A connected socket that does not block. Raises OSError."""
        ...


@final
class ProxyDialer:
    """Through the proxy ``url``, by SOCKS5 (RFC 1928, 1929) or HTTP's CONNECT, which finds the address of ``endpoint``'s host itself, as with
    client-go."""

    via = "its proxy"

    def __init__(self, url: str, endpoint: str) -> None:
        """Raises ValueError for an address that is none, and for a proxy that speaks TLS itself."""
        proxy, to = urlsplit(url), urlsplit(endpoint)
        if proxy.scheme not in _DIALED:
            raise ValueError(f"no connection can be made through proxy {url!r}: only http and socks5 proxies make them")
        self._type, port = _DIALED[proxy.scheme]
        self._proxy = proxy.hostname or "", proxy.port or port
        self._user = unquote(proxy.username or ""), unquote(proxy.password or "")
        self._to = to.hostname or "", to.port or _PORTS[to.scheme]
        if any(len(part.encode()) > 255 for part in (*self._user, self._to[0])):
            raise ValueError("a name, a password or a host is longer than the 255 bytes that SOCKS can carry")

    async def dial(self) -> socket.socket:
        user, password = self._user
        proxy = Proxy(self._type, *self._proxy, username=user or None, password=password or None, rdns=True)
        try:
            made = await proxy.connect(*self._to)
        except (ProxyError, ValueError) as error:  # also a host that no name server could be asked for
            raise ConnectionError(f"{self._proxy[0]}:{self._proxy[1]}: {error}") from None
        watch(made)
        return made


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


def by_proxy(proxy_url: str, endpoint: str) -> tuple[Dialer | None, str | None]:
    """What leads through that proxy: a dialer, or the address that aiohttp asks; neither without one. Raises ValueError."""
    if not proxy_url:
        return None, None
    scheme = urlsplit(proxy_url).scheme
    if scheme == _SOCKS:
        return ProxyDialer(proxy_url, endpoint), None
    if scheme not in ("http", "https"):
        raise ValueError(f"proxy {proxy_url!r} is not supported: only http, https and socks5 proxies are")
    return None, proxy_url


def watch(made: socket.socket) -> None:
    """A peer that vanished without a word is noticed by the kernel, also on a quiet watch."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 30),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_TIMEOUT),
    ):
        if hasattr(socket, option):  # not every system has them all
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
