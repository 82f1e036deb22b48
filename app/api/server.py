"""uvicorn, taught to hand the client's certificate to the application, to write streams quickly and to offer HTTP/1.1 only.

HTTP/2 is not offered because client-go falls back by itself and no Python server keeps a connection with thousands of
streams (docs/adr/0001).
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .app import ObjectsApp

_LAST_BYTES = 0.5  # seconds for the end of an answer to leave, once we are shutting down


class ObjectsProtocol(HttpToolsProtocol):
    """Puts into ``scope["state"]`` the verified client certificate (``peer_cert_der``) and short ways to the client:
    ``answer`` for whole answers, ``push`` for chunks of one that has begun."""

    alpn_protocols: ClassVar[list[str]] = ["http/1.1"]
    _ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True) if tls else None
        self.app_state = {**self.app_state, "push": self._push, "answer": self._answer}
        if der:
            self.app_state["peer_cert_der"] = der
        super().connection_made(transport)

    def _answer(self, send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Writes an answer as a whole, in one piece (TLS record, packet) and without ASGI's detours; False when the client
        does not keep up. ``send`` is the request's own: what came behind it on this connection waits for its turn."""
        cycle = send.__self__
        if self.flow.write_paused or cycle.response_started:
            return False
        if cycle.disconnected:
            return True
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
        self.transport.write(b"".join(lines))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def _push(self, chunk: bytes) -> bool:
        """Writes a finished chunk of an answer that has begun, without ASGI's detours; False when the client does not keep up."""
        if self.flow.write_paused:
            return False
        if not self.transport.is_closing():
            self.transport.write(chunk)
        return True

    def shutdown(self) -> None:
        """Closing TLS waits for the peer's answer, which clients with idle connections do not give: those are cut."""
        self._ending = True
        idle = self.cycle is None or self.cycle.response_complete
        super().shutdown()
        if idle:
            self._cut_soon()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._ending:
            self._cut_soon()

    def _cut_soon(self) -> None:
        self.loop.call_later(_LAST_BYTES, self.transport.abort)


class Server(uvicorn.Server):
    """uvicorn without its own signal handling: the command that started it decides when to stop."""

    def capture_signals(self) -> Any:
        return nullcontext()


def make_server(app: ObjectsApp, host: str, port: int, certificate: Path, key: Path, client_ca: Path) -> Server:
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
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        ssl_ca_certs=str(client_ca),
        ssl_cert_reqs=ssl.CERT_OPTIONAL,
        timeout_keep_alive=600,
        timeout_graceful_shutdown=10,
        backlog=4096,
    )
    return Server(config)
