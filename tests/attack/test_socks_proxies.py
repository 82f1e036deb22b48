"""SOCKS proxies between us and a member: what they answer is bounded in bytes and time, and they see no credential."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kafila.identity.certificates import issue, new_authority
from kafila.members import network
from kafila.members.network import NetworkTransport
from kafila.members.transport import TLS, Timeouts, Unreachable
from tests.attack.members import hostile

HELLO = b"\x05\x00"  # version 5, no authentication
CONNECTED = HELLO + b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"
MEMBERS, OTHERS = new_authority("member-ca"), new_authority("other-ca")
TOKEN = (("authorization", "Bearer secret"),)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def proxy(serve: Serve) -> AsyncIterator[str]:
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"socks5://{host}:{port}"


async def asked(proxy_url: str) -> Unreachable:
    """What a request that does not reach the member says."""
    tls = TLS(authority=MEMBERS.certificate)
    network = NetworkTransport("https://member.example", tls, proxy_url=proxy_url)
    try:
        with pytest.raises(Unreachable) as error:
            await network.send("GET", "/version", TOKEN, None, Timeouts())
        return error.value
    finally:
        await network.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"\x04\x5a" + b"\x00" * 6,
        b"\x05\x02",
        b"\x05\xff",
        b"\x05\x00\x04\x00\x00\x01" + b"\x00" * 6,
        HELLO + b"\x05\x01\x00\x01" + b"\x00" * 6,
    ],
    ids=["version 4", "a password that nobody has", "no way in", "another version later", "refused"],
)
async def test_what_it_answers_wrongly_is_told_and_gets_nothing(answer: bytes) -> None:
    got = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        while piece := await reader.read(1 << 16):
            got.extend(piece)
        writer.close()

    async with proxy(serve) as url:
        error = await asked(url)
    assert "through its proxy: 127.0.0.1:" in str(error)
    assert not error.sent
    assert b"secret" not in got


@pytest.mark.parametrize("begin", [b"", HELLO, CONNECTED], ids=["nothing", "hello", "connected"])
async def test_of_noise_without_end_little_is_taken(begin: bytes) -> None:
    """What comes before TLS is spoken is read as it is expected, and no further; TLS ends with the first wrong record."""
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(begin)
        while not writer.is_closing() and sent < 1 << 28:
            writer.write(b"\xfe" * (1 << 16))
            try:
                await writer.drain()
            except ConnectionError:
                return
            sent += 1 << 16

    async with proxy(serve) as url:
        error = await asked(url)
    assert not error.sent
    assert sent < 1 << 24  # what sockets hold


async def test_drops_without_end_are_waited_for_no_longer_than_for_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest answer there is, a byte after the other: each read comes in time, and all of them do not."""
    monkeypatch.setattr(network, "CONNECT_TIMEOUT", 0.2)
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for byte in HELLO + b"\x05\x00\x00\x03\xff" + b"a" * 257:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            ended.set()

    async with proxy(serve) as url:
        error = await asked(url)
        assert "its proxy did not lead to its API server in time" in str(error)
        assert not error.sent
        await ended.wait()  # nobody listens any more


async def test_a_server_that_is_not_the_member_sees_no_credential(tmp_path: Path) -> None:
    """The proxy leads to a server of its own, which has a certificate that the member's authority did not sign."""
    pair = issue(OTHERS, "member", hosts=["member.example"])
    (tmp_path / "other.pem").write_bytes(pair.certificate + b"\n" + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "other.pem")
    async with hostile(context) as other:
        port = int(other.endpoint.rpartition(":")[2])

        async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while piece := await reader.read(1 << 16):
                    writer.write(piece)
                    await writer.drain()
            except (ConnectionError, ssl.SSLError):
                pass
            finally:
                writer.close()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(3)
            writer.write(HELLO)
            await reader.readexactly(4)
            await reader.readexactly((await reader.readexactly(1))[0] + 2)
            writer.write(CONNECTED[2:])
            there = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

        async with proxy(serve) as url:
            error = await asked(url)
        assert "its certificate is not believed" in str(error)
        assert not error.sent
        assert other.asked == []
