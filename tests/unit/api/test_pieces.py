"""The head of a request comes in pieces of any size, and its end with whatever stands behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, final

import pytest
import uvicorn
from uvicorn.server import ServerState

from kafila.api.listener import Listener
from kafila.api.server import DIRECT, ObjectsProtocol
from kafila.core.sockets import bind
from kafila.settings.serving import ServingOptions

PATIENCE = 60.0  # seconds for anything that has to come
HEAD = b"POST /echo HTTP/1.1\r\nHost: a\r\nX-Of: abc\r\nContent-Length: 9\r\n\r\n"
CHUNKED = HEAD.replace(b"Content-Length: 9", b"Transfer-Encoding: chunked")


async def echo(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Each piece of the body when it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


@final
class Counting(ObjectsProtocol):
    """Tells when it has read what was sent: the pieces arrive as they were cut."""

    read = 0
    reads = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.read += len(data)
        self.reads += 1


@final
class Wire:
    def __init__(self, protocol: Counting, stream: socket.socket) -> None:
        self.protocol = protocol
        self._stream = stream
        self._sent = 0

    async def send(self, piece: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._stream, piece)
        self._sent += len(piece)
        async with asyncio.timeout(PATIENCE):
            while self.protocol.read < self._sent:
                await asyncio.sleep(0)

    async def until(self, wanted: bytes) -> None:
        found = b""
        async with asyncio.timeout(PATIENCE):
            while wanted not in found:
                part = await asyncio.get_running_loop().sock_recv(self._stream, 1 << 16)
                assert part, found
                found += part


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    config = uvicorn.Config(echo, http=Counting, ws="none", loop="none", lifespan="off", log_config=None)
    config.load()
    made: list[Counting] = []

    def make(listener: Listener) -> Counting:
        made.append(Counting(listener, config=config, server_state=ServerState(), app_state={}))
        return made[-1]

    listener = Listener(bind("127.0.0.1", 0), None, ServingOptions(), make)
    listener.start()
    with socket.socket() as stream:
        stream.setblocking(False)
        await asyncio.get_running_loop().sock_connect(stream, listener.sockets[0].getsockname())
        while not made:
            await asyncio.sleep(0)
        yield Wire(made[0], stream)
    listener.close()
    made[0].transport.abort()


@pytest.mark.parametrize("behind", range(5))
async def test_the_end_of_a_head_is_read_with_what_comes_behind_it(wire: Wire, behind: int) -> None:
    """A request whose body came with the last bytes of its head was never answered. ``behind``: so many of them."""
    for at in range(len(HEAD) - behind):
        await wire.send(HEAD[at : at + 1])
    assert wire.protocol.reads > DIRECT
    await wire.send(HEAD[len(HEAD) - behind :] + b'{"a":"b"}')
    await wire.until(b'{"a":"b"}')


async def test_a_chunk_is_read_with_the_end_of_its_head(wire: Wire) -> None:
    await wire.send(CHUNKED)
    for byte in b"9;of=" + b"a" * DIRECT:
        await wire.send(bytes([byte]))
    await wire.send(b'\r\n{"a":"b"}')
    await wire.until(b'{"a":"b"}')
