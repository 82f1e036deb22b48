from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from app.members.client import MemberClient
from app.members.informer import Change, Informer
from app.members.transport import ASGITransport


class Member:
    """Serves one list, then keeps watches open."""

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if b"watch=true" in scope["query_string"]:
            await asyncio.Event().wait()
        item = {"metadata": {"namespace": "ns", "name": "web", "uid": "u", "resourceVersion": "3", "managedFields": []}}
        page = {
            "kind": "DeploymentList",
            "apiVersion": "apps/v1",
            "metadata": {"resourceVersion": "3"},
            "items": [item],
        }
        await send({"type": "http.response.body", "body": orjson.dumps(page)})


async def test_an_informer_outlives_faults_of_its_listener(caplog: pytest.LogCaptureFixture) -> None:

    calls = 0
    done = asyncio.Event()

    def listener(change: Change) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("fault")
        done.set()

    client = MemberClient("m", transport=ASGITransport(Member()))
    informer = Informer(client, "/x", listener, jitter=lambda: 0.0)
    task = asyncio.create_task(informer.run())
    await asyncio.wait_for(done.wait(), 10)
    assert "stumbled" in caplog.text
    task.cancel()
