"""Connections to a member by another way than straight to its address: through its agent's tunnel, or a proxy."""

from __future__ import annotations

import socket
from typing import Protocol, final
from urllib.parse import unquote, urlsplit

_SOCKS = "socks5"
_PORTS = {"http": 80, "https": 443}
_DIALED = {_SOCKS: ("SOCKS5", 1080), "http": ("HTTP", 80)}  # python_socks' name, and the port where none is said
UNACKNOWLEDGED_TIMEOUT = 30_000  # milliseconds until a silent peer's connection is given up (TCP_USER_TIMEOUT)


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
        from python_socks import ProxyError, ProxyType
        from python_socks.async_.asyncio import Proxy

        user, password = self._user
        proxy = Proxy(ProxyType[self._type], *self._proxy, username=user or None, password=password or None, rdns=True)
        try:
            made = await proxy.connect(*self._to)
        except (ProxyError, ValueError) as error:  # also a host that no name server could be asked for
            raise ConnectionError(f"{self._proxy[0]}:{self._proxy[1]}: {error}") from None
        watch(made)
        return made


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
