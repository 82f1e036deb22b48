"""`kafila.members.dialing`: through a real SOCKS5 proxy, and what one that is none can do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from kafila.members import network
from kafila.members.dialing import ProxyDialer
from kafila.members.network import NetworkTransport
from kafila.members.transport import Timeouts, Unreachable
from tests.proxy_server import ProxyServer

Asked = list[web.BaseRequest]


@pytest.fixture
async def member() -> AsyncIterator[str]:
    """HOST:PORT of what answers 200 to everything."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text=request.path)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


async def got(endpoint: str, proxy: str) -> bytes:
    """Raises Unreachable."""
    network = NetworkTransport(endpoint, proxy_url=proxy)
    try:
        answer = await network.send("GET", "/version", (), None, Timeouts())
        return await answer.read(1 << 10)
    finally:
        await network.close()


@pytest.mark.parametrize("user", ["", "jane:p%40ss"])
async def test_requests_go_through_a_socks_proxy(member: str, user: str) -> None:
    with ProxyServer(user.replace("%40", "@")) as proxy:
        assert await got(f"http://{member}", f"socks5://{user}{'@' if user else ''}{proxy.address}") == b"/version"
    assert proxy.passed() == {("socks5", member)}  # which finds the address of a name itself


async def test_a_proxy_that_refuses_the_password(member: str) -> None:
    with ProxyServer("jane:right") as proxy, pytest.raises(Unreachable, match=r"through its proxy: 127\.0\.0\.1"):
        await got(f"http://{member}", f"socks5://jane:wrong@{proxy.address}")
    assert proxy.passed() == set()


HELLO = b"\x05\x00"


@pytest.mark.parametrize(
    "answers",
    [
        b"",
        b"\x05",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff" * 1000,
        HELLO,
        HELLO + b"\x05\x00\x00\x09",
        HELLO * 500,
    ],
    ids=["nothing", "half", "http", "noise", "hello", "unknown", "again"],
)
async def test_what_is_no_proxy_is_said_to_be_unreachable(answers: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answers)
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(Unreachable, match="through its proxy: "):
            await got("http://member.example:8080", f"socks5://{host}:{port}")


async def test_a_proxy_that_says_nothing_is_waited_for_no_longer_than_for_a_member(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "CONNECT_TIMEOUT", 0.05)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(Unreachable, match="its proxy did not lead to its API server in time") as error:
            await got("http://member.example:8080", f"socks5://{host}:{port}")
    assert not error.value.sent


@pytest.mark.parametrize("proxy", ["", "socks5://127.0.0.1:1"])
@pytest.mark.parametrize("host", ["a..b", "a" * 70])
async def test_a_name_that_nobody_can_look_up_is_unreachable(host: str, proxy: str) -> None:
    with pytest.raises(Unreachable) as error:
        await got(f"https://{host}", proxy)
    assert not error.value.sent


@pytest.mark.parametrize(
    ("endpoint", "proxy"),
    [(f"https://{'a' * 256}", "socks5://p"), ("https://a", f"socks5://{'u' * 256}:p@p"), ("https://a", "socks4://p")],
)
def test_addresses_that_socks_cannot_carry(endpoint: str, proxy: str) -> None:
    with pytest.raises(ValueError, match=r"255 bytes|not supported"):
        NetworkTransport(endpoint, proxy_url=proxy)


def test_a_proxy_that_speaks_tls_makes_no_connections() -> None:
    with pytest.raises(ValueError, match="only http and socks5 proxies make them"):
        ProxyDialer("https://p", "https://a")
