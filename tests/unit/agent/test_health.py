"""What an agent tells a kubelet, and whoever speaks no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kafila.agent import health
from kafila.agent.health import Health


class Asked:
    def __init__(self) -> None:
        self.health = Health()
        self.port = 0

    async def answer(self, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            return await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()

    async def status(self, path: str, method: str = "GET") -> int:
        answer = await self.answer(f"{method} {path} HTTP/1.1\r\nHost: pod\r\n\r\n".encode())
        return int(answer.split(b" ")[1])


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    made = Asked()
    made.port = await made.health.serve("127.0.0.1", 0)
    yield made
    await made.health.stop()


async def test_it_lives_before_it_is_ready(asked: Asked) -> None:
    assert [await asked.status(path) for path in ("/healthz", "/livez", "/readyz")] == [200, 200, 503]
    asked.health.ready = True
    assert await asked.status("/readyz?verbose") == 200
    asked.health.ready = False
    assert await asked.status("/readyz") == 503


async def test_there_is_nothing_else(asked: Asked) -> None:
    assert await asked.status("/metrics") == 404
    assert await asked.status("/healthz", "DELETE") == 405
    answer = await asked.answer(b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"GET /healthz HTTP/1.1 more\r\n\r\n", b"G" * 100_000]
)
async def test_what_is_not_http_gets_no_answer(asked: Asked, sent: bytes) -> None:
    try:
        assert await asked.answer(sent) == b""
    except ConnectionError:  # closed before all of it was read
        pass
    assert await asked.status("/healthz") == 200


async def test_who_says_nothing_is_not_waited_for(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE", 0.05)
    assert await asked.answer(b"GET /healthz") == b""


async def test_who_opens_very_many_connections_gets_no_more(asked: Asked) -> None:
    """Who has asked nothing holds a place until his time is over; whoever comes beside them all is closed at once."""
    silent = [await asyncio.open_connection("127.0.0.1", asked.port) for _ in range(health.MOST)]
    try:
        assert await asked.answer(b"GET /healthz HTTP/1.1\r\n\r\n") == b""
    except ConnectionResetError:
        pass  # the same, where the request had come by then
    for reader, writer in silent:
        writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
    assert await asked.status("/healthz") == 200
