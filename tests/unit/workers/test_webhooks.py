"""What is made of the answer of a webhook, and whether another attempt may help."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from kafila.core.webhooks import WebhookError, answered
from kafila.members.kubeconfig import KubeconfigError, access
from kafila.members.transport import Timeouts, Unreachable, UnusableAnswer
from kafila.workers.webhooks import post_to


class Client:
    timeouts = Timeouts()

    def __init__(self, *answers: tuple[int, bytes] | Exception) -> None:
        self._answers = list(answers)

    async def request(self, *_: Any, **__: Any) -> tuple[int, bytes]:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answer", "text", "again"),
    [
        (Unreachable("away", sent=False), "w: away", True),
        (UnusableAnswer("too long"), "w: too long", False),  # it was taken: another attempt would be a second one
        (KubeconfigError("no login"), "w: no login", False),  # as client-go, which says so at once
        ((503, b""), "w: it answered 503", True),
        ((429, b""), "w: it answered 429", True),
        ((403, b""), "w: it answered 403", False),
        ((202, b""), "w: it answered 202", False),
    ],
)
async def test_no_answer(answer: Any, text: str, again: bool) -> None:
    with pytest.raises(WebhookError) as found:
        await post_to(Client(answer), "w: ")(b"{}")  # type: ignore[arg-type]
    assert (str(found.value), found.value.again) == (text, again)


async def test_a_credential_plugin_has_the_time_of_the_webhook(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = f"import os, pathlib, time; pathlib.Path({str(started)!r}).write_text(str(os.getpid())); time.sleep(600)"
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", script],
        "interactiveMode": "Never",
    }
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": plugin}}],
        "current-context": "c",
    }
    client = access(config, "", "file").client(timeout=2.0)
    post = post_to(client, "w: ")
    answers = await asyncio.gather(*(post(b"{}") for _ in range(3)), return_exceptions=True)  # one runs it, two wait
    assert [str(answer) for answer in answers] == ["w: no answer within 2s"] * 3
    assert all(isinstance(answer, WebhookError) and answer.again for answer in answers)
    await client.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


async def test_an_answer() -> None:
    assert await post_to(Client((201, b"yes")))(b"{}") == b"yes"  # type: ignore[arg-type]
    assert await post_to(Client((202, b"")), taken=range(200, 300))(b"{}") == b""  # type: ignore[arg-type]


async def test_attempts_and_their_pauses() -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    post = post_to(Client((503, b""), (503, b""), (200, b"yes")))  # type: ignore[arg-type]
    assert await answered(post, b"", 3, 2.0, pause) == b"yes"
    assert pauses == [2.0, 3.0]
    with pytest.raises(WebhookError):
        await answered(post_to(Client((503, b""), (200, b""))), b"", 2, 2.0, pause, lambda: False)  # type: ignore[arg-type]
    assert len(pauses) == 2
