"""The server that the mode Webhook asks, over HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kafila.authorization import Attributes
from kafila.authorization import webhook as webhooks
from kafila.members.kubeconfig import document
from kafila.registry import User
from kafila.settings.settings import Settings
from kafila.store.memory import MemoryStore
from kafila.watch import Cache
from kafila.workers.authorization import authorizer_of

ASKED = Attributes(User("ann"), "get", "", "v1", "pods")


async def test_it_is_asked_at_the_url_of_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_FIRST_WAIT", 0.0)
    asked: list[tuple[str, Any]] = []
    answers = [b"500 Oops", b"201 Created"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(
            next(line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length"))
        )
        asked.append((head.split("\r\n")[0], json.loads(await reader.readexactly(length))))
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        body = b'{"status":{"allowed":true}}'
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    file = tmp_path / "webhook"
    file.write_text(yaml.safe_dump(document("webhook", f"http://127.0.0.1:{port}/authorize")))
    settings = Settings(authorization_mode="RBAC,Webhook", authorization_webhook_config_file=str(file))
    store = MemoryStore()
    await store.open()
    cache = Cache(store)
    await cache.load()
    authorizer = authorizer_of(cache, settings)
    assert (await authorizer.authorize(ASKED)).allowed
    assert [line for line, _ in asked] == ["POST /authorize HTTP/1.1"] * 2
    assert asked[0][1]["spec"]["user"] == "ann"
    server.close()
    await server.wait_closed()
    gone = await authorizer.authorize(ASKED._replace(name="other"))
    assert (gone.allowed, "authorization webhook" in gone.error) == (False, True)
    await store.close()
