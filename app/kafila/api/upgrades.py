"""Connections that are taken over for another protocol (``exec``, ``attach``, ``port-forward``): joined to one behind us, byte for byte.

Only when the server behind has said that it switches (101): what a client has sent until then is nobody's request.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, final
from urllib.parse import urlsplit

from prometheus_client import Gauge

from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.members.upgraded import PROTOCOLS, Upgraded

from .client_side import ClientSide
from .listener import descriptors
from .request import Request

OPEN = Gauge("kafila_upgraded_connections", "Connections that are passed on as they are: exec, attach, port-forward.")
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")
MOST: Final = 10_000  # at once, of all; each takes a descriptor of those that the listener leaves


async def joined(client: ClientSide, server: Upgraded) -> None:
    """Passes on what either has to say until one of them ends; the other then gets what is still under way."""
    server.join(client)
    client.join(server)
    try:
        await asyncio.wait((client.ended, server.ended), return_when=asyncio.FIRST_COMPLETED)
        await server.flushed()
    finally:
        client.finish()


def wanted(request: Request) -> bytes:
    """The protocol that a request wants to switch to; empty for none. Raises StatusError 501 for one that nobody speaks here, 403
    for one that a page of somebody else's makes a browser ask for."""
    if not request.switchable:
        return b""
    protocol = request.headers.get(b"upgrade", b"").strip()
    if protocol.lower() not in PROTOCOLS:
        name = protocol.decode("latin-1")
        raise StatusError(
            501, "NotImplemented", f"connections cannot be upgraded to {name}: to websocket and SPDY/3.1 only"
        )
    if _is_of_another_site(request):
        raise errors.forbidden("", "", "", "the request comes from a page of another origin")
    return protocol


def _is_of_another_site(request: Request) -> bool:
    """A browser shows a client certificate whoever's page asks, and shows no token by itself. Pages of this machine are those of
    programs that stand between (kubectl proxy)."""
    origin = request.header(b"origin")
    if not origin or not request.certified or b"x-remote-user" in request.headers:
        return False
    try:
        found = urlsplit(origin)
    except ValueError:
        return True
    return found.hostname not in _THIS_MACHINE and found.netloc.lower() != request.header(b"host").lower()


@final
class Room:
    """How many may be open: of all half of the descriptors that connections leave, and half of those of one user."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    @contextmanager
    def place(self, user: str) -> Iterator[None]:
        """Raises StatusError 429."""
        most = max(2, min(MOST, descriptors() // 2))
        if self._of.total() >= most or self._of[user] >= most // 2:
            raise errors.too_many_requests("too many upgraded connections are open, please try again later")
        self._of[user] += 1
        OPEN.inc()
        try:
            yield
        finally:
            OPEN.dec()
            self._of[user] -= 1
            if not self._of[user]:
                del self._of[user]


ROOM: Final = Room()
