"""A hostile member: a raw server that answers whatever the test wants, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import final

Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@final
class Hostile:
    """Each path has its answer, or a coroutine that writes one. ``asked`` are the heads of the requests so far."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Write] = {}
        self.otherwise: bytes = answer(b'{"kind":"Status","code":404}', "404 Not Found")
        self.asked: list[bytes] = []
        self.endpoint = ""
        self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked.append(head)
                await self._skip_body(head, reader)
                path = head.split(b" ")[1].decode().partition("?")[0]
                found = self.answers.get(path, self.otherwise)
                if isinstance(found, bytes):
                    writer.write(found)
                else:
                    await found(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _skip_body(self, head: bytes, reader: asyncio.StreamReader) -> None:
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.partition(b":")[2]))

    def endless(self, head: bytes, piece: bytes, most: int = 1 << 30) -> Write:
        """Sends ``piece`` again and again, until the other side closes or ``most`` bytes were sent (then the test failed)."""

        async def write(writer: asyncio.StreamWriter) -> None:
            writer.write(head)
            while self.sent < most and not writer.transport.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)  # over TLS the end of the connection is not seen before
                self.sent += len(piece)

        return write


@asynccontextmanager
async def hostile(tls: ssl.SSLContext | None = None) -> AsyncIterator[Hostile]:
    member = Hostile()
    server = await asyncio.start_server(member.serve, "127.0.0.1", 0, limit=1 << 20, ssl=tls)
    host, port = server.sockets[0].getsockname()[:2]
    member.endpoint = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield member
    finally:
        server.close()
