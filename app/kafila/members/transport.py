"""How bytes reach a member's API: one seam, two ways.

A :class:`Transport` has one verb, ``send``: it gives back the answer's head, and the body as it comes. Over the network that is
aiohttp (:mod:`.network`: one session per member); for simulated members it is their ASGI application in this process. Everything above
(:mod:`kafila.members.client`) does not know which of them it talks to.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, final
from urllib.parse import quote

from yarl import URL

from kafila.telemetry.tasks import cancelled

from .wire import TooLong as TooLong
from .wire import Unreachable as Unreachable
from .wire import UnusableAnswer as UnusableAnswer
from .wire import joined

Headers = Sequence[tuple[str, str]]  # a name may come twice (Impersonate-Group)


class Response(Protocol):
    status: int
    headers: Mapping[str, str]

    async def read(self, most: int) -> bytes: ...  # raises UnusableAnswer for more bytes
    def chunks(self) -> AsyncIterator[bytes]: ...
    async def close(self) -> None: ...


class Timeouts(NamedTuple):
    """Seconds. ``total`` bounds a whole exchange (0: unbounded, for streams), ``idle`` the silence within it."""

    total: float = 30.0
    idle: float = 30.0


class Transport(Protocol):
    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | None, timeouts: Timeouts
    ) -> Response:
        """``target`` is path and query, already encoded. Raises Unreachable."""
        ...

    async def close(self) -> None: ...


class TLS(NamedTuple):
    """PEM of the CA (empty: the system's roots) and of a client certificate with its key (empty: none)."""

    authority: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    insecure: bool = False
    server_name: str = ""


NO_TLS = TLS()


def ssl_context(tls: TLS) -> ssl.SSLContext:
    """Raises ssl.SSLError when the PEM data is not usable."""
    context = ssl.create_default_context(cadata=tls.authority.decode() if tls.authority else None)
    # OpenSSL's strict mode refuses CAs without key identifiers; Go accepts them and clusters have them
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate:
        _load_certificate(context, tls)
    return context


def _load_certificate(context: ssl.SSLContext, tls: TLS) -> None:
    # the ssl module reads client certificates from files only
    descriptor, path = tempfile.mkstemp(prefix="kafila-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(tls.certificate + b"\n" + tls.key)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)


def sendable(endpoint: str) -> str:
    """As it can stand in a request's line: Go encodes there what a path may not have."""
    return quote(endpoint.rstrip("/"), safe="/:@!$&'()*+,;=~%[]?")


@final
class ASGITransport:
    """Hands requests to an application in this process. Answers stream, with one chunk in flight at a time."""

    def __init__(self, app: Any, state: Mapping[str, Any] | None = None) -> None:
        self.app = app
        self._state = dict(state or {})
        self._running: set[asyncio.Task[None]] = set()

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | None, timeouts: Timeouts
    ) -> Response:
        path, _, query = target.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": URL(path, encoded=True).path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 443),
            "state": dict(self._state),
        }
        response = _ASGIResponse(body or b"")
        task = asyncio.create_task(response.run(self.app, scope))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        response.task = task
        try:
            # not wait_for: in Python 3.11 it swallows a cancellation that comes together with the answer
            async with asyncio.timeout(timeouts.total or None):
                await response.started.wait()
        except (TimeoutError, asyncio.CancelledError) as error:
            await response.close()
            if isinstance(error, TimeoutError):
                raise Unreachable("timed out", sent=True) from None
            raise
        if response.failure is not None:
            raise Unreachable(str(response.failure) or type(response.failure).__name__, sent=True)
        return response

    async def close(self) -> None:
        await cancelled(*self._running)


@final
class _ASGIResponse:
    task: asyncio.Task[None]

    def __init__(self, body: bytes) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.started = asyncio.Event()
        self.failure: BaseException | None = None
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(1)

    async def run(self, app: Any, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
            await self._parts.put(None)
        except Exception as error:  # the member's fault must look like a broken connection, not like ours
            self.failure = error
            self.started.set()
            await self._parts.put(None)
        except (
            asyncio.CancelledError
        ):  # the transport was closed: who still waits for the answer must not wait for ever
            self.failure = ConnectionAbortedError("the connection was closed")
            self.started.set()
            if self._parts.full():
                self._parts.get_nowait()
            self._parts.put_nowait(None)
            raise

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message.get("headers", ())}
            self.started.set()
        elif message.get("body"):
            await self._parts.put(message["body"])

    async def read(self, most: int) -> bytes:
        return await joined(self.chunks(), most)

    async def chunks(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not None:
            yield part
        if self.failure is not None:
            raise Unreachable(str(self.failure) or type(self.failure).__name__, sent=True)

    async def close(self) -> None:
        self._gone.set()
        await cancelled(self.task)
