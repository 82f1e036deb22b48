"""aiohttp's connections to a member, over sockets that lead through its tunnel."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import partial
from typing import Any, Protocol, final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from kafila.members.wire import Answers

from .ends import socket_to
from .streams import Tunnel


class Dialer(Protocol):
    """A way to a member's API server. Equal ones are the same way."""

    async def dial(self) -> socket.socket:
        """A connected socket that does not block. Raises OSError."""
        ...


@final
class Here:
    """Through a tunnel that ends in this process."""

    __slots__ = ("_tunnel",)

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Here) and other._tunnel is self._tunnel

    def __hash__(self) -> int:
        return id(self._tunnel)

    async def dial(self) -> socket.socket:
        return await socket_to(await self._tunnel.open())


@final
class TunnelConnector(aiohttp.BaseConnector):
    """``context``: None for a member that speaks no TLS; ``server_name``: whom its certificate has to be of."""

    def __init__(self, dialer: Dialer, context: ssl.SSLContext | None, server_name: str, keep_alive: float) -> None:
        super().__init__(limit=0, keepalive_timeout=keep_alive)
        self._factory = partial(Answers, loop=asyncio.get_running_loop())  # type: ignore[assignment]
        self._dialer = dialer
        self._context = context
        self._server_name = server_name

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout.sock_connect):
                made = await self._dialer.dial()
                try:
                    server_name = self._server_name if self._context is not None else None
                    _, protocol = await loop.create_unix_connection(
                        self._factory, sock=made, ssl=self._context, server_hostname=server_name
                    )
                except BaseException:
                    made.close()
                    raise
        except ssl.CertificateError as error:
            raise aiohttp.ClientConnectionError(f"its certificate is not believed: {error.verify_message}") from None
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError("the tunnel did not lead to its API server in time") from None
        except OSError as error:
            raise aiohttp.ClientConnectionError(f"through its tunnel: {error}") from None
        return protocol
