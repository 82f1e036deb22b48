"""An answer that cannot be completed ends with its connection, and is no fault of the server's."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from kafila.api.listener import Listener
from kafila.api.responses import Sender
from kafila.api.server import ObjectsProtocol
from kafila.core.sockets import bind
from kafila.settings.serving import ServingOptions

PATIENCE = 60.0  # seconds


async def torn(scope: Any, receive: Any, send: Any) -> None:
    sender = Sender(send, break_off=scope["state"]["break_off"])
    await sender({"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"chunked")]})
    await sender({"type": "http.response.body", "body": b"half", "more_body": True})
    sender.break_off()


async def test_who_reads_it_sees_that_it_is_not_complete(caplog: pytest.LogCaptureFixture) -> None:
    config = uvicorn.Config(torn, http=ObjectsProtocol, ws="none", loop="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()

    def make(listener: Listener) -> ObjectsProtocol:
        return ObjectsProtocol(listener, config=config, server_state=state, app_state={})

    listener = Listener(bind("127.0.0.1", 0), None, ServingOptions(), make)
    listener.start()
    loop, found = asyncio.get_running_loop(), b""
    with caplog.at_level(logging.INFO), socket.socket() as stream:
        stream.setblocking(False)
        await loop.sock_connect(stream, listener.sockets[0].getsockname())
        await loop.sock_sendall(stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            while part := await loop.sock_recv(stream, 1 << 16):
                found += part
            await asyncio.gather(*state.tasks)  # uvicorn has looked at how it ended
    listener.close()
    assert found.endswith(b"4\r\nhalf\r\n"), found
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
