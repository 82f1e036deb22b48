"""Two processes whose certificate authority is exchanged under load: nobody who was served before is turned away, also where a
process is killed in between."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio
import yaml

from kafila.store.embedded import EmbeddedPostgres
from tests.waiting import eventually

from .processes import KAFILA, Serve, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH: Final = "/api/v1/namespaces/default/configmaps"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair() -> AsyncIterator[list[Serve]]:
    with tempfile.TemporaryDirectory(prefix="kafila-ca-") as name:
        folder = Path(name)
        os.chmod(folder, 0o711)
        (folder / "db").mkdir(mode=0o711)
        database = EmbeddedPostgres(folder / "db")
        dsn = await database.start()
        try:
            async with serving(folder, ("api", dsn), ("api", dsn)) as started:
                yield started
        finally:
            await database.stop()


def record(serve: Serve) -> dict[str, str]:
    found = json.loads((serve.folder / "pki/certificates.json").read_bytes())
    return {each["name"]: each["certificate"] for each in found}


def login(serve: Serve, name: str) -> ssl.SSLContext:
    """What the process's kubeconfig has now, for a client that keeps it."""
    config = yaml.safe_load((serve.folder / "kubeconfig").read_text())
    user = config["users"][0]["user"]
    file = serve.folder / name
    file.write_bytes(b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
    trusted = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=trusted)
    context.load_cert_chain(file)
    return context


async def said(
    serve: Serve, context: ssl.SSLContext, method: str, path: str, body: Any = None, token: str = ""
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, serve.url + path, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def ask(serve: Serve, context: ssl.SSLContext, method: str = "GET", body: Any = None) -> int:
    """Over a connection of its own."""
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, serve.url + PATH, json=body) as answer,
    ):
        await answer.read()
        return answer.status


async def certs(serve: Serve, *arguments: str, exchange: str = "rotate-ca") -> str:
    command = (str(KAFILA), "certs", exchange, *arguments, f"--data-dir={serve.folder}")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()


async def test_nobody_is_turned_away_while_it_is_exchanged(pair: list[Serve]) -> None:
    logins = [login(serve, "before") for serve in pair]
    answers: list[int] = []
    over = asyncio.Event()

    async def keep_asking(serve: Serve, context: ssl.SSLContext) -> None:
        number = 0
        while not over.is_set():
            number += 1
            name = f"{serve.folder.name}-{id(context):x}-{number}"
            answers.append(await ask(serve, context, "POST", {"metadata": {"name": name}}))

    asking = [asyncio.create_task(keep_asking(serve, context)) for serve in pair for context in logins]
    first = record(pair[0])["ca"]
    await certs(pair[0])
    await eventually(lambda: record(pair[1])["ca"] == record(pair[0])["ca"] != first, "the other process follows")
    asking += [asyncio.create_task(keep_asking(serve, login(by, "after"))) for serve in pair for by in pair]
    enough = len(answers) + 24
    await eventually(lambda: len(answers) > enough, "some more are answered")
    await certs(pair[1], "--rollback")
    await eventually(lambda: record(pair[0])["ca"] == first, "the other process follows")
    await certs(pair[1], "--rollback")
    enough = len(answers) + 24
    await eventually(lambda: len(answers) > enough, "some more are answered")
    over.set()
    await asyncio.gather(*asking)
    assert set(answers) == {201}


async def test_a_killed_process_goes_on_and_makes_no_third_one(pair: list[Serve]) -> None:
    one, other = pair
    await eventually(
        lambda: "ca-previous" in record(one) and record(one).keys() == record(other).keys(), "both know the two"
    )
    await certs(one, "--finish")
    before = record(one)["ca"]
    request = one.folder / "pki/rotate-ca"
    request.write_text(json.dumps({"id": "x1", "action": "rotate", "overlap": 3600}))
    one.kill()  # before, while or after it has been carried out
    one.launch()
    await one.ready()
    await eventually(lambda: not request.exists() and record(one)["ca"] != before, "it is carried out")
    after = record(one)
    assert after["ca-previous"] == before
    request.write_text(
        json.dumps({"id": "x1", "action": "rollback", "overlap": 3600})
    )  # as if it had died before the answer
    await eventually(lambda: not request.exists(), "it is answered")
    assert record(one)["ca"] == after["ca"]
    await eventually(lambda: record(other)["ca"] == after["ca"], "the other process follows")


async def test_the_end_of_one_is_the_end_in_every_process(pair: list[Serve]) -> None:
    one, other = pair
    after = login(one, "after")
    await certs(one, "--rollback")
    await eventually(lambda: record(other)["ca"] == record(one)["ca"], "the other process follows")
    before = login(other, "before")  # of the one that goes
    await certs(one, "--rollback")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=before)) as held:

        async def status() -> int:
            async with held.get(other.url + PATH) as answer:
                await answer.read()
                return answer.status

        assert await status() == 200  # the connection stays open
        await certs(one, "--finish")
        await eventually(lambda: "ca-previous" not in record(other), "the other process follows")
        assert await status() == 401
    for serve in pair:
        assert await ask(serve, after) == 200


ACCOUNTS: Final = "/api/v1/namespaces/default/serviceaccounts"
WHO: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
KEY: Final = "rotate-service-account-key"


async def test_no_token_ends_before_its_time(pair: list[Serve]) -> None:
    """Each process issues tokens all the time, and each of them is shown to both at once."""
    logins = [login(serve, "robot") for serve in pair]
    without = [ssl.create_default_context(cadata=(serve.folder / "pki/ca.crt").read_text()) for serve in pair]
    assert (await said(pair[0], logins[0], "POST", ACCOUNTS, {"metadata": {"name": "robot"}}))[0] == 201
    answers: list[int] = []
    over = asyncio.Event()

    async def issued(number: int) -> str:
        code, found = await said(pair[number], logins[number], "POST", f"{ACCOUNTS}/robot/token", {"spec": {}})
        assert code == 201, found
        token: str = found["status"]["token"]
        return token

    async def shown(number: int, token: str) -> int:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        return (await said(pair[number], without[number], "POST", WHO, body, token))[0]

    async def keep_issuing(by: int, first: str) -> None:
        while not over.is_set():
            token = await issued(by)
            answers.extend([await shown(to, each) for each in (token, first) for to in (by, 1 - by)])

    async def keys(serve: Serve) -> list[str]:
        _, found = await said(serve, logins[pair.index(serve)], "GET", "/openid/v1/jwks")
        return [key["kid"] for key in found["keys"]]

    (before,) = await keys(pair[0])
    old = await issued(0)
    issuing = [asyncio.create_task(keep_issuing(by, old)) for by in (0, 1)]
    told = await certs(pair[0], "--publish=10s", exchange=KEY)
    assert f"key {before} signs" in told
    assert "is published and signs from" in told
    assert await certs(pair[1], "--publish=10s", exchange=KEY) != ""  # the other one knows it, and makes no third one

    async def is_exchanged() -> bool:
        found = [await keys(serve) for serve in pair]
        return all(len(each) == 2 and each[0] != before for each in found)

    await eventually(is_exchanged, "the new key signs")
    enough = len(answers) + 16
    await eventually(lambda: len(answers) > enough, "some more are answered")
    over.set()
    await asyncio.gather(*issuing)
    assert set(answers) == {201}
    new = await issued(1)
    await certs(pair[0], "--finish", exchange=KEY)

    async def is_over() -> bool:
        return all([before not in await keys(serve) for serve in pair])

    await eventually(is_over, "the old key is gone")
    assert [await shown(to, token) for token in (new, old) for to in (0, 1)] == [201, 201, 401, 401]
