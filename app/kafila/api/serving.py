"""uvicorn with our own way to accept connections, and our protocol on them."""

from __future__ import annotations

import socket
import ssl
from contextlib import nullcontext
from typing import Any

import uvicorn

from kafila.core.sockets import bind
from kafila.settings.serving import ServingOptions

from .app import ASGI
from .listener import Listener
from .point_protocol import PointProtocol
from .point_reads import PointReads
from .server import ObjectsProtocol


class Server(uvicorn.Server):
    """uvicorn without its own signal handling (the command that started it decides when to stop), accepting by itself."""

    def __init__(
        self,
        config: uvicorn.Config,
        tls: ssl.SSLContext,
        options: ServingOptions,
        point_reads: PointReads | None = None,
    ) -> None:
        super().__init__(config)
        self._tls = tls
        self._options = options
        self._point_reads = point_reads

    def capture_signals(self) -> Any:
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """``sockets``: bound; without any it binds itself. Raises OSError."""
        bound = sockets or bind(self.config.host, self.config.port)
        listener = Listener(bound, self._tls, self._options, self._make)
        listener.start()
        self.servers = [listener]  # type: ignore[list-item]
        self.started = True

    def _make(self, listener: Listener) -> ObjectsProtocol:
        of_all: dict[str, Any] = {"config": self.config, "server_state": self.server_state, "app_state": {}}
        if self._point_reads is None:
            return ObjectsProtocol(listener, **of_all)
        return PointProtocol(listener, point_reads=self._point_reads, **of_all)


def make_server(
    app: ASGI,
    host: str,
    port: int,
    tls: ssl.SSLContext,
    options: ServingOptions,
    point_reads: PointReads | None = None,
) -> Server:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=ObjectsProtocol,
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        date_header=True,
        timeout_graceful_shutdown=10,
    )
    return Server(config, tls, options, point_reads)
