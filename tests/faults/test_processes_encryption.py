"""Keys are exchanged in two processes, one after the other, while both serve: no request fails, no write is lost, no watch ends."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import final

import pytest

from kafila.core.values import Object
from tests.integration.encryption.at_rest import IDENTITY, configuration, in_clear, provider
from tests.waiting import eventually

from .processes import KAFILA, Answer, Serve

ONE, TWO = provider("aesgcm", "key1"), provider("secretbox", "key2")
SECRETS = "/api/v1/namespaces/default/secrets"


@final
class Clients:
    """Write and read Secrets through both processes, each what the other has just written."""

    def __init__(self, servers: list[Serve]) -> None:
        self._servers = servers
        self.refused: list[Answer] = []
        self.written: dict[str, str] = {}
        self._seen: list[dict[str, str]] = [{}, {}]
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = False

    async def __aenter__(self) -> Clients:
        start = (await self._servers[0].request("GET", SECRETS)).body["metadata"]["resourceVersion"]
        self._watches = [asyncio.create_task(self._watch(number, start)) for number in range(2)]
        self._tasks = [asyncio.create_task(self._work(number)) for number in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)
        await eventually(lambda: self._seen == [self.written, self.written], "what was written is watched")
        for watch in self._watches:
            assert not watch.done()
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def more(self, count: int = 30) -> None:
        """Waits until so many more writes were acknowledged."""
        wanted = self._count + count
        await eventually(lambda: self._count >= wanted, "writes")

    _count = 0

    async def _work(self, number: int) -> None:
        writer, reader = self._servers[number % 2], self._servers[1 - number % 2]
        turn = 0
        while not self._ending:
            turn += 1
            name, text = f"s{number}-{turn % 20}", f"sesame-{number}-{turn}"
            body = {"metadata": {"name": name}, "stringData": {"password": text}}
            method, path = ("PATCH", f"{SECRETS}/{name}") if name in self.written else ("POST", SECRETS)
            self._look(await writer.request(method, path, body))
            self.written[name] = text
            self._count += 1
            answer = self._look(await reader.request("GET", f"{SECRETS}/{name}", resourceVersion=""))
            if answer.status == 200:
                await self._catch_up(reader, name, text)

    async def _catch_up(self, reader: Serve, name: str, text: str) -> None:
        listed = self._look(await reader.request("GET", SECRETS, fieldSelector=f"metadata.name={name}"))
        assert [password(item) for item in listed.body.get("items", ())] == [text]

    def _look(self, answer: Answer) -> Answer:
        if answer.status >= 400 and answer.status != 404:  # a GET that asks for no newest state may come before the log
            self.refused.append(answer)
        return answer

    async def _watch(self, number: int, start: str) -> None:
        server = self._servers[number]
        query = {"watch": "true", "resourceVersion": start, "timeoutSeconds": "600"}
        async with server.session.get(server.url + SECRETS, params=query, timeout=None) as stream:
            async for line in stream.content:
                event = json.loads(line)
                assert event["type"] in ("ADDED", "MODIFIED"), event
                self._seen[number][event["object"]["metadata"]["name"]] = password(event["object"])


def password(obj: Object) -> str:
    return base64.b64decode(obj["data"]["password"]).decode()


@pytest.mark.long
async def test_keys_are_exchanged_while_two_processes_serve(postgres_dsn: str) -> None:
    with tempfile.TemporaryDirectory(prefix="kafila-keys-") as name:
        folder = Path(name)
        files = [folder / f"encryption{number}.yaml" for number in range(2)]
        async with contextlib.AsyncExitStack() as stack:
            servers = []
            for file in files:
                file.write_text(configuration(("secrets", IDENTITY)))
                flags = [f"--encryption-provider-config={file}", "--encryption-provider-config-automatic-reload"]
                server = Serve(folder / file.stem, "api", postgres_dsn, flags)
                server.folder.mkdir()
                stack.push_async_callback(server.stop)
                server.launch()
                servers.append(server)
            await asyncio.gather(*(server.ready() for server in servers))
            clients = await stack.enter_async_context(Clients(servers))

            async def in_force(*providers: str) -> None:
                """In one process, and a while later in the other."""
                for server, file in zip(servers, files, strict=True):
                    before = reloads(server)
                    file.write_text(configuration(("secrets", ", ".join(providers))))
                    await eventually(lambda s=server, b=before: reloads(s) > b, "reloaded")
                    await clients.more()

            await clients.more()
            for providers in ((IDENTITY, ONE), (ONE, IDENTITY)):
                await in_force(*providers)
            assert (await rewritten(files[0], postgres_dsn))["rewritten"] > 0
            for providers in ((ONE,), (ONE, TWO), (TWO, ONE)):
                await in_force(*providers)
            assert in_clear(postgres_dsn, ["sesame"]) == []
            assert (await rewritten(files[0], postgres_dsn))["rewritten"] > 0
            await in_force(TWO)
            assert clients.refused == []
            keys = {each["key"] for each in (await rewritten(files[0], postgres_dsn, "--check"))["keys"]}
            assert keys == {"secretbox:key2"}


def reloads(server: Serve) -> int:
    return sum(line["event"] == "reloaded" for line in server.lines())


async def rewritten(file: Path, dsn: str, *more: str) -> Object:
    command = [
        KAFILA,
        "encrypt",
        "rewrite",
        f"--encryption-provider-config={file}",
        f"--database-url={dsn}",
        "-o",
        "json",
    ]
    process = await asyncio.create_subprocess_exec(*command, *more, stdout=subprocess.PIPE, env={**os.environ})
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    report: Object = json.loads(said)
    return report
