"""Requests passed on to a server behind this one, and its answers as they come: members, and servers of APIServices.

Bodies stream both ways without a limit of ours; watches and logs last as long as both sides want.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, final

import structlog

from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.members.proxy import SWITCHED, location_of
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.members.upgraded import Upgraded
from kafila.telemetry.tasks import cancelled

from .bodies import Disconnected, Receive
from .request import Request
from .responses import Sender
from .upgrades import ROOM, joined

if TYPE_CHECKING:
    from kafila.members.connections import Answer, Connections

log = structlog.get_logger(__name__)
WHOLE: Final = 1 << 20  # bytes; longer bodies are passed on while they come


@final
class Relay:
    def __init__(self) -> None:
        self._exchanges: set[asyncio.Future[None]] = set()

    async def close(self) -> None:
        """Breaks off everything that is under way."""
        await cancelled(*self._exchanges)

    async def serve(
        self,
        connections: Connections,
        request: Request,
        target: str,
        headers: list[tuple[bytes, bytes]],
        receive: Receive,
        send: Sender,
        root: str,
    ) -> None:
        """``target``: path and query there; ``root``: the path here below which its redirects lead on.

        Raises StatusError as long as nothing was sent.
        """
        incoming = _Incoming(receive)
        body = await incoming.open(_announces_body(request))
        # A caller who leaves is noticed by whoever asks for his next message: the body first, then the watchman.
        exchange = asyncio.ensure_future(self._exchange(connections, request, target, headers, body, send, root))
        self._exchanges.add(exchange)
        watchman = asyncio.ensure_future(incoming.gone())
        try:
            await asyncio.wait((exchange, watchman), return_when=asyncio.FIRST_COMPLETED)
            if send.status == SWITCHED:  # its end is noticed by who passes it on
                await asyncio.wait((exchange,))
            if not exchange.done():
                raise Disconnected
            if exchange.cancelled() and send.status not in (0, SWITCHED):
                send.break_off()
                return
            if exchange.cancelled():  # without Retry-After: the member may have done what was asked
                raise errors.service_unavailable("the server is shutting down", None)
            exchange.result()
        finally:
            self._exchanges.discard(exchange)
            await cancelled(exchange, watchman)

    async def _exchange(
        self,
        connections: Connections,
        request: Request,
        target: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes | AsyncIterator[bytes] | None,
        send: Sender,
        root: str,
    ) -> None:
        with ROOM.place(request.user.name) if request.switchable else contextlib.nullcontext():
            await self._passed_on(connections, request, target, headers, body, send, root)

    async def _passed_on(
        self,
        connections: Connections,
        request: Request,
        target: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes | AsyncIterator[bytes] | None,
        send: Sender,
        root: str,
    ) -> None:
        try:
            answer = await connections.send(request.method, target, headers, body)
        except UnusableAnswer as error:
            raise _bad_gateway(str(error)) from None
        except Unreachable as error:
            # without Retry-After: the member may have done what was asked
            raise errors.service_unavailable(f"error trying to reach service: {error}", None) from None
        try:
            if answer.switched is not None:
                await _switch(answer, answer.switched, request, send)
                return
            _turn(answer, connections.upstream.endpoint, root)
            await _relay(answer, request, send)
        except Unreachable as error:
            # The answer has begun
            path = target.partition("?")[0]
            log.warning("a server behind this one broke off its answer", path=path, below=root, error=str(error))
            send.break_off()
        finally:
            await answer.close()


async def _switch(answer: Answer, server: Upgraded, request: Request, send: Sender) -> None:
    protocol = request.headers[b"upgrade"].strip()
    client = send.switched([(b"connection", b"Upgrade"), (b"upgrade", protocol), *answer.headers])
    if client is not None:
        await joined(client, server)


async def _relay(answer: Answer, request: Request, send: Sender) -> None:
    """An answer that cannot be completed (the member broke off) is left unfinished. Raises Unreachable."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    if request.method != "HEAD":
        async for chunk in answer.chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _turn(answer: Answer, endpoint: str, root: str) -> None:
    """A redirect leads on below the proxy, or is refused, as kube-apiserver does to servers behind it. Raises StatusError."""
    if not 300 <= answer.status < 400 or not answer.location:
        return
    location = location_of(answer.location, endpoint, root)
    if location is None:
        raise _bad_gateway("the backend attempted to redirect this request, which is not permitted")
    answer.headers.append((b"location", location.encode()))


def _bad_gateway(why: str) -> StatusError:
    return StatusError(502, "InternalError", f"error trying to reach service: {why}")


def _announces_body(request: Request) -> bool:
    return b"transfer-encoding" in request.headers or request.headers.get(b"content-length", b"0") != b"0"


@final
class _Incoming:
    """A caller's messages, which only one reader at a time may ask for."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = asyncio.Event()

    async def open(self, expected: bool) -> bytes | AsyncIterator[bytes] | None:
        """The body: whole when it is short, else as it comes; None when none is announced. Raises Disconnected."""
        if not expected:
            self._ended.set()
            return None
        parts: list[bytes] = []
        size = 0
        while True:
            part, more = await self._next()
            parts.append(part)
            size += len(part)
            if not more:
                self._ended.set()
                return b"".join(parts)
            if size > WHOLE:
                return self._rest(b"".join(parts))

    async def _rest(self, beginning: bytes) -> AsyncIterator[bytes]:
        yield beginning
        more = True
        while more:
            part, more = await self._next()
            if part:
                yield part
        self._ended.set()

    async def _next(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        return message.get("body", b""), bool(message.get("more_body"))

    async def gone(self) -> None:
        """Returns when the caller has left after his request was complete."""
        await self._ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
