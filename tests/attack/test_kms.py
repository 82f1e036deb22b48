"""A KMS plugin that lies, floods or sleeps: it is away, and says so in one line; and a database full of seeds that nobody made."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream

from kafila.core.resources import Key
from kafila.encryption import wire
from kafila.encryption.configuration import Configuration, Remote, Rule
from kafila.encryption.encryption import Encryption
from kafila.encryption.kms import KMSError, Periods
from kafila.machinery.protobuf_wire import bytes_field, text_field
from kafila.members.grpc import RawBytes
from kafila.store.sealing import CannotOpen

KEY = Key("secrets", "default", "token")
QUICK = Periods(healthy=60.0, unhealthy=60.0, pause=60.0)
Answer = Callable[[bytes], Awaitable[bytes]]
WELL = text_field(1, "v2") + text_field(2, "ok") + text_field(3, "key-1")
ENCRYPTED = bytes_field(1, b"sealed") + text_field(2, "key-1")


class Plugin:
    """Answers with what it is given."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def __mapping__(self) -> dict[str, Handler]:
        return {
            wire.SERVICE + name: Handler(self._answering(name), Cardinality.UNARY_UNARY, bytes, bytes)
            for name in ("Status", "Encrypt", "Decrypt")
        }

    def _answering(self, name: str) -> Callable[[Stream[bytes, bytes]], Awaitable[None]]:
        async def answer(stream: Stream[bytes, bytes]) -> None:
            await stream.recv_message()
            self.asked.append(name)
            answer = self._answers.get(name, b"")
            if answer is None:
                await asyncio.Event().wait()
            await stream.send_message(answer)

        return answer


@pytest.fixture
def socket() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="kms-") as name:
        yield str(Path(name) / "socket")


@contextlib.asynccontextmanager
async def serving(socket: str, plugin: Plugin, timeout: float = 20.0) -> AsyncIterator[Encryption]:
    server = Server([plugin], codec=RawBytes())
    await server.start(path=socket)
    encryption = Encryption(Configuration((Rule(("secrets",), (Remote("vault", socket, timeout),)),)), QUICK)
    try:
        yield encryption
    finally:
        await encryption.close()
        server.close()


UNHEALTHY = "kmsv2 Provider vault is not healthy, error: "
LIES = [
    ({"Status": b"\xff\xff"}, "not an answer of a KMS v2 plugin"),
    ({"Status": b""}, f"{UNHEALTHY}got unexpected healthz status: "),
    (
        {"Status": text_field(1, "v1") + text_field(2, "ok") + text_field(3, "a")},
        f"{UNHEALTHY}expected KMSv2 API version v2, got v1",
    ),
    (
        {"Status": text_field(1, "v2") + text_field(2, "ok")},
        f'{UNHEALTHY}got invalid KMSv2 KeyID hash "": keyID is empty',
    ),
    (
        {"Status": text_field(1, "v2") + text_field(2, "ok") + text_field(3, "k" * 1025)},
        "keyID is 1025 bytes, which exceeds the max size of 1024",
    ),
    ({"Status": text_field(1, "v2") + text_field(2, "x" * 60_000)}, f"{UNHEALTHY}got unexpected healthz status: xxx"),
    ({"Status": b"x" * 70_000}, "an answer of 700"),
    ({"Status": WELL, "Encrypt": b""}, "failed to encrypt DEK, error: keyID is empty"),
    (
        {"Status": WELL, "Encrypt": text_field(2, "key-1")},
        "failed to validate encrypted DEK source: encrypted DEK source is empty",
    ),
    (
        {"Status": WELL, "Encrypt": text_field(2, "key-1") + bytes_field(1, b"x" * 1025)},
        "encrypted DEK source is 1025 bytes, which exceeds the max size of 1024",
    ),
    (
        {"Status": WELL, "Encrypt": ENCRYPTED + bytes_field(3, text_field(1, "no domain") + bytes_field(2, b"x"))},
        "failed to validate annotations: a name is no fully qualified domain name",
    ),
    (
        {"Status": WELL, "Encrypt": ENCRYPTED + bytes_field(3, text_field(1, "a.b") + bytes_field(2, b"x" * 33_000))},
        "total size of annotations is 33003, which exceeds the max size of 32768",
    ),
    ({"Status": WELL, "Encrypt": bytes_field(1, b"sealed") + text_field(2, "key-2")}, "failed to rotate DEK, "),
]


@pytest.mark.parametrize(("answers", "said"), LIES, ids=[said[-40:] for _, said in LIES])
async def test_what_it_says_is_not_believed(socket: str, answers: dict[str, Any], said: str) -> None:
    async with serving(socket, Plugin(**answers)) as encryption:
        with pytest.raises(KMSError) as caught:
            await encryption.start(0.0)
        assert said in str(caught.value)
        assert len(str(caught.value)) <= 512 + 200
        assert "\n" not in str(caught.value)


async def test_one_that_sleeps_is_not_waited_for(socket: str) -> None:
    async with serving(socket, Plugin(Status=None), timeout=0.1) as encryption:
        with pytest.raises(KMSError, match=r"no answer within 0\.1 s"):
            await encryption.start(0.0)


async def test_seeds_that_nobody_made_are_asked_for_once_each_and_then_not(socket: str) -> None:
    """Who can write to the database cannot keep the plugin, or those who read, busy."""
    plugin = Plugin(Status=WELL, Encrypt=ENCRYPTED, Decrypt=b"no seed")
    async with serving(socket, plugin) as encryption:
        await encryption.start(0.0)
        headers = [wire.header(wire.SealedSeed("key-1", b"forged-%d" % n, {})) for n in range(20)]
        bodies = [b"kafila:enc:kms:v2:vault:" + header + bytes(100) for header in headers]
        for _ in range(3):
            await encryption.prepare(bodies)
        assert plugin.asked.count("Decrypt") == 20
        with pytest.raises(CannotOpen, match="failed to decrypt DEK, error: "):
            encryption.open(KEY, bodies[0])


@pytest.mark.parametrize(
    "tail",
    [b"", b"\xff\xff\xff\xff", b"\x00\x00\x00\x04\xff\xff\xff\xff", b"\x00\x00\x00\x00" + bytes(99), b"\x00" * 3],
)
async def test_a_broken_header_is_an_unreadable_body(socket: str, tail: bytes) -> None:
    plugin = Plugin(Status=WELL, Encrypt=ENCRYPTED)
    async with serving(socket, plugin) as encryption:
        await encryption.start(0.0)
        stored = b"kafila:enc:kms:v2:vault:" + tail
        await encryption.prepare([stored])
        with pytest.raises(CannotOpen):
            encryption.open(KEY, stored)
        assert encryption.key_of(stored) == "kms:vault"


async def test_one_that_sleeps_later_is_asked_once_in_a_while(socket: str) -> None:
    """A page of the log with a thousand unknown seeds waits for one answer, not for a thousand."""
    plugin = Plugin(Status=WELL, Encrypt=ENCRYPTED, Decrypt=None)
    async with serving(socket, plugin, timeout=0.2) as encryption:
        await encryption.start()  # what it answers may take longer than that, on a busy machine: asked again
        headers = [wire.header(wire.SealedSeed("key-1", b"unknown-%d" % n, {})) for n in range(1000)]
        await encryption.prepare([b"kafila:enc:kms:v2:vault:" + header + bytes(100) for header in headers])
        assert plugin.asked.count("Decrypt") <= 8
