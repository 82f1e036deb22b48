from __future__ import annotations

import asyncio
import base64
from typing import Any

import orjson
import pytest

from app.members.credentials import Connection, CredentialsError, connection, secret_name
from app.members.discovery import APIResource
from app.members.informer import Change
from app.members.rooms import Rooms
from app.members.transport import TLS, ASGITransport

DEPLOYMENTS = APIResource("apps/v1", "deployments", "Deployment", True, ("get",))


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def cluster(**spec: Any) -> dict[str, Any]:
    base = {"apiEndpoint": "https://m", "secretRef": {"namespace": "karmada-cluster", "name": "m"}}
    return {"metadata": {"name": "m"}, "spec": {**base, **spec}}


def secret(**data: str) -> dict[str, Any]:
    return {"data": {key: b64(value) for key, value in data.items()}}


GOOD = secret(token="t\n", caBundle="CA")


def test_a_connection_of_a_cluster() -> None:
    assert secret_name(cluster()) == ("karmada-cluster", "m")
    assert connection(cluster(), GOOD) == Connection("https://m", TLS(authority=b"CA"), "t")
    assert connection(cluster(insecureSkipTLSVerification=True), secret(token="t")).tls == TLS(insecure=True)
    proxied = connection(cluster(proxyURL="http://p", proxyHeader={"b": "2", "a": "1"}), GOOD)
    assert (proxied.proxy_url, proxied.proxy_headers) == ("http://p", (("a", "1"), ("b", "2")))


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        ({"apiEndpoint": ""}, GOOD, "the api endpoint of cluster m is empty"),
        ({"secretRef": None}, GOOD, "cluster m does not have a secret"),
        ({}, None, 'secrets "m" not found in namespace karmada-cluster'),
        ({}, secret(caBundle="x"), 'the secret for cluster m is missing a non-empty value for "token"'),
        ({}, secret(token="t"), 'the secret for cluster m is missing the CA data key "caBundle"'),
        (
            {},
            {"data": {"token": "***", "caBundle": ""}},
            'the secret for cluster m has a value for "token" that is no base64',
        ),
    ],
)
def test_what_is_wrong_with_credentials(spec: dict, given: dict | None, message: str) -> None:
    with pytest.raises(CredentialsError) as error:
        connection(cluster(**spec), given)
    assert str(error.value) == message


async def test_a_proxy_that_is_not_supported_is_a_matter_of_credentials() -> None:
    with pytest.raises(CredentialsError, match="socks5"):
        await Rooms().open("m", connection(cluster(proxyURL="socks5://p"), GOOD))


class Member:
    """Serves one list, then keeps watches open."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        self.tokens.append(dict(scope["headers"])[b"authorization"].decode())
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


async def test_rooms_follow_tokens_and_addresses() -> None:
    member = Member()
    rooms = Rooms(lambda name: ASGITransport(member))
    first = Connection("https://m", TLS(authority=b"CA"), "one")
    room = await rooms.open("m", first)
    changes: asyncio.Queue[tuple[APIResource, Change]] = asyncio.Queue()

    def told(resource: APIResource, change: Change) -> None:
        changes.put_nowait((resource, change))

    informer = room.follow(DEPLOYMENTS, told)
    resource, change = await asyncio.wait_for(changes.get(), 10)
    assert (resource, change.name) == (DEPLOYMENTS, ("ns", "web"))
    assert room.follow(DEPLOYMENTS, told) is informer
    assert room.followed(DEPLOYMENTS) is informer

    assert await rooms.open("m", first._replace(token="two")) is room
    await room.client.get("/apis/apps/v1/deployments")
    assert member.tokens[-1] == "Bearer two"

    moved = await rooms.open("m", Connection("https://elsewhere", TLS(authority=b"CA"), "two"))
    assert moved is not room
    assert rooms.get("m") is moved
    assert moved.followed(DEPLOYMENTS) is None
    await rooms.close()
    assert rooms.names() == []


async def test_an_informer_outlives_faults_of_its_listener(caplog: pytest.LogCaptureFixture) -> None:
    from app.members.client import MemberClient
    from app.members.informer import Informer

    calls = 0
    done = asyncio.Event()

    def listener(change: Change) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("fault")
        done.set()

    client = MemberClient("m", token="t", transport=ASGITransport(Member()))
    informer = Informer(client, "/x", listener, jitter=lambda: 0.0)
    task = asyncio.create_task(informer.run())
    await asyncio.wait_for(done.wait(), 10)
    assert "stumbled" in caplog.text
    task.cancel()
