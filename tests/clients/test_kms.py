"""A KMS v2 plugin over Kubernetes' own service (Go, k8s.io/kms): seeds, another key, a plugin that is away and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import final

import pytest

from kafila.core.resources import Key
from kafila.encryption.configuration import read_configuration
from kafila.encryption.encryption import Encryption
from kafila.encryption.kms import KMSError, Periods, hashed
from kafila.store.interface import Transaction, Unreadable, Write
from kafila.store.postgres import PostgresStore
from kafila.store.sealing import CannotOpen, CannotSeal
from tests.integration.encryption.at_rest import configuration, in_clear
from tests.integration.encryption.plane import Plane, secret
from tests.waiting import eventually

from .conftest import built

KEY = Key("secrets", "default", "token")
BODY = b'{"metadata":{"name":"token"},"data":{"password":"c2VzYW1l"}}'
QUICK = Periods(healthy=0.05, unhealthy=0.05, pause=0.05)


@final
class Plugin:
    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self.folder = folder
        self.socket = folder / "kms.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.use("key-1")

    def use(self, name: str) -> None:
        if not (self.folder / name).exists():
            (self.folder / name).write_bytes(os.urandom(32))
        (self.folder / "current").write_text(name)

    def _launch(self) -> None:
        self._process = subprocess.Popen([self._program, self.socket, self.folder])

    async def start(self) -> None:
        self._launch()
        await eventually(self._listens)

    def _listens(self) -> bool:
        """The socket is there a moment before anybody is listened to."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self.socket))
            return True
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.socket.unlink(missing_ok=True)

    @property
    def configuration(self) -> str:
        kms = f"{{kms: {{apiVersion: v2, name: vault, endpoint: 'unix://{self.socket}', timeout: 5s}}}}"
        return configuration(("secrets", kms))

    def encryption(self, periods: Periods = QUICK) -> Encryption:
        return Encryption(read_configuration(self.configuration.encode()), periods)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("./kms", tmp_path_factory.mktemp("kms")) / "kms"


@pytest.fixture
def plugin(program: Path) -> Iterator[Plugin]:
    with tempfile.TemporaryDirectory(prefix="kms-") as name:  # the path of a socket is short
        plugin = Plugin(program, Path(name))
        yield plugin
        plugin.stop()


@contextlib.asynccontextmanager
async def started(encryption: Encryption) -> AsyncIterator[Encryption]:
    await encryption.start(0.0)
    try:
        yield encryption
    finally:
        await encryption.close()


def seal(encryption: Encryption) -> bytes:
    return encryption.seal(KEY, BODY, BODY)


async def opened(encryption: Encryption, stored: bytes) -> bytes:
    await encryption.prepare([stored])
    return encryption.open(KEY, stored)


async def test_what_one_process_sealed_another_opens(plugin: Plugin) -> None:
    await plugin.start()
    async with started(plugin.encryption()) as one, started(plugin.encryption()) as two:
        stored = seal(one)
        assert stored.startswith(b"kafila:enc:kms:v2:vault:")
        assert b"c2VzYW1l" not in stored
        assert await opened(two, stored) == one.open(KEY, stored) == BODY
        with pytest.raises(CannotOpen, match="cipher: message authentication failed"):
            two.open(KEY._replace(name="other"), stored)


async def test_another_key_is_taken_up_and_the_old_one_still_reads(plugin: Plugin) -> None:
    await plugin.start()
    async with started(plugin.encryption()) as encryption:
        old = seal(encryption)
        plugin.use("key-2")
        await eventually(lambda: not encryption.is_current(KEY, old, BODY))
        new = seal(encryption)
        assert encryption.is_current(KEY, new, BODY)
        keys = [f"kms:vault {hashed(name)}" for name in ("key-1", "key-2")]
        assert [encryption.key_of(old), encryption.key_of(new)] == keys
        async with started(plugin.encryption()) as later:
            assert await opened(later, old) == await opened(later, new) == BODY


async def test_while_it_is_away_what_is_known_is_read_and_writes_end(plugin: Plugin) -> None:
    await plugin.start()
    async with started(plugin.encryption(QUICK._replace(lasts=0.5))) as encryption:
        stored = seal(encryption)
        plugin.stop()
        await eventually(lambda: encryption.trouble() is not None)
        assert await opened(encryption, stored) == BODY

        def refused() -> str:
            try:
                seal(encryption)
            except CannotSeal as error:
                return str(error)
            return ""

        await eventually(lambda: refused() != "")
        said = f'encryptedDEKSource with keyID hash "{hashed("key-1")}" expired at '
        assert refused().startswith(said)
        trouble = "failed to perform status section of the healthz check for KMS Provider vault, error: "
        assert (encryption.trouble() or "").startswith(trouble)
        await plugin.start()
        await eventually(lambda: encryption.trouble() is None)
        assert await opened(encryption, seal(encryption)) == BODY


async def test_what_could_not_be_read_is_asked_for_again_when_it_is_back(plugin: Plugin) -> None:
    await plugin.start()
    async with started(plugin.encryption()) as other:
        stored = seal(other)
    async with started(plugin.encryption()) as encryption:
        recovered = asyncio.Event()
        encryption.recovered = recovered.set
        plugin.stop()
        await eventually(lambda: encryption.trouble() is not None)
        with pytest.raises(CannotOpen, match="failed to decrypt DEK, error: "):
            await opened(encryption, stored)
        await plugin.start()
        await asyncio.wait_for(recovered.wait(), 60)
        assert await opened(encryption, stored) == BODY


async def test_one_that_is_away_at_the_start_is_one_line(
    plugin: Plugin, server_folder: Path, postgres_dsn: str
) -> None:
    with pytest.raises(KMSError) as caught:
        await plugin.encryption().start(0.0)
    assert str(caught.value) == (
        "failed to perform status section of the healthz check for KMS Provider vault, error:"
        f" {plugin.socket}: no such file or directory"
    )


async def test_what_the_plugin_says_of_itself_is_shown(plugin: Plugin) -> None:
    await plugin.start()
    (plugin.folder / "current").unlink()
    with pytest.raises(KMSError) as caught:
        await plugin.encryption().start(0.0)
    assert str(caught.value) == (
        "kmsv2 Provider vault is not healthy, error: got unexpected healthz status: there is no current key"
    )


async def test_a_key_that_is_gone_is_an_unreadable_object(plugin: Plugin, postgres_dsn: str) -> None:
    await plugin.start()
    async with started(plugin.encryption()) as encryption:
        store = PostgresStore(postgres_dsn, sealer=encryption)
        await store.open()
        try:
            await store.commit(Transaction([], [Write(KEY, BODY)]))
            assert in_clear(postgres_dsn, ["sesame"]) == []
            plugin.use("key-2")
            (plugin.folder / "key-1").unlink()
            async with started(plugin.encryption()) as later:
                reader = PostgresStore(postgres_dsn, sealer=later)
                await reader.open()
                try:
                    (found,) = (await reader.snapshot())[1]
                finally:
                    await reader.close()
        finally:
            await store.close()
    assert isinstance(found.body, Unreadable)
    assert found.body.reason == "failed to decrypt DEK, error: rpc error: code = UNKNOWN desc = there is no key key-1"


async def test_a_control_plane_serves_with_it(plugin: Plugin, server_folder: Path, postgres_dsn: str) -> None:
    await plugin.start()
    for start in range(2):
        async with Plane(server_folder, postgres_dsn, plugin.configuration) as plane:
            if not start:
                await plane.create(secret("token", "sesame"))
            assert (await plane.get("secrets", "token"))["data"] == {"password": "c2VzYW1l"}
            assert in_clear(postgres_dsn, ["sesame", "PRIVATE KEY"]) == []


async def test_a_file_that_names_a_plugin_that_is_away_is_not_taken_up_until_it_is_there(
    plugin: Plugin, server_folder: Path, postgres_dsn: str
) -> None:
    local = configuration(("secrets", "{identity: {}}"))
    async with Plane(server_folder, postgres_dsn, local) as plane:
        at_rest = plane.process._at_rest
        assert at_rest is not None
        await plane.create(secret("before", "sesame"))
        plane.file.write_text(plugin.configuration.replace("}}]}", "}}, {identity: {}}]}"))
        await plugin.start()
        await eventually(lambda: bool(at_rest.encryption._plan.plugins))
        await plane.create(secret("after", "sesame"))
        assert plane.sealed("after")
        assert not plane.sealed("before")


async def test_a_key_that_was_taken_away_for_a_while_is_asked_for_again(plugin: Plugin) -> None:
    await plugin.start()
    async with started(plugin.encryption()) as other:
        stored = seal(other)
    plugin.use("key-2")
    key = (plugin.folder / "key-1").rename(plugin.folder / "away")
    async with started(plugin.encryption()) as encryption:
        recovered = asyncio.Event()
        encryption.recovered = recovered.set
        with pytest.raises(CannotOpen, match="there is no key key-1"):
            await opened(encryption, stored)
        key.rename(plugin.folder / "key-1")
        await asyncio.wait_for(recovered.wait(), 60)
        assert await opened(encryption, stored) == BODY
