"""The client over an application in this process: what needs no network to prove."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.errors import StatusError
from kafila.members.answers import status_error
from kafila.members.client import MemberClient, resource_path
from kafila.members.network import NetworkTransport
from kafila.members.transport import ASGITransport, Unreachable
from kafila.members.wire import lines as split


class Server:
    """Answers with what ``answer(scope, body)`` says: (status, headers, chunks)."""

    def __init__(self, answer: Callable[[dict, bytes], tuple[int, dict[str, str], list[bytes]]]) -> None:
        self.answer = answer
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        query = scope["query_string"].decode()
        self.requests.append((scope["method"], scope["path"] + (f"?{query}" if query else ""), headers, body))
        status, answered, chunks = self.answer(scope, body)
        encoded = [(k.encode(), v.encode()) for k, v in answered.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def client_of(server: Any, **options: Any) -> MemberClient:
    return MemberClient("m", transport=ASGITransport(server), **options)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("v1", "pods", "ns", "p"), "/api/v1/namespaces/ns/pods/p"),
        (("v1", "nodes"), "/api/v1/nodes"),
        (("apps/v1", "deployments", "ns"), "/apis/apps/v1/namespaces/ns/deployments"),
        (("apps/v1", "deployments", "ns", "d", "scale"), "/apis/apps/v1/namespaces/ns/deployments/d/scale"),
        (
            ("rbac.authorization.k8s.io/v1", "clusterroles", "", "system:node"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
        ),
        (("v1", "configmaps", "ns", "a/../b?c"), "/api/v1/namespaces/ns/configmaps/a%2F..%2Fb%3Fc"),
    ],
)
def test_paths(arguments: tuple[str, ...], path: str) -> None:
    assert resource_path(*arguments) == path


def test_a_status_keeps_what_the_member_said() -> None:
    status = {
        "kind": "Status",
        "status": "Failure",
        "message": "no",
        "reason": "Invalid",
        "details": {"name": "x", "causes": [{"field": "x"}]},
        "code": 422,
    }
    error = status_error(422, orjson.dumps(status))
    assert (error.code, error.reason, error.message) == (422, "Invalid", "no")
    assert error.details == {"name": "x", "causes": [{"field": "x"}]}


@pytest.mark.parametrize(
    ("code", "body", "reason", "message"),
    [
        (502, b"<html>bad gateway</html>", "", "<html>bad gateway</html>"),
        (404, b"404 page not found\n", "NotFound", "404 page not found"),
        (503, b"", "ServiceUnavailable", "the server answered 503"),
        (409, b"[1]", "Conflict", "[1]"),
    ],
)
def test_answers_that_are_no_status(code: int, body: bytes, reason: str, message: str) -> None:
    error = status_error(code, body)
    assert (error.code, error.reason, error.message) == (code, reason, message)


async def test_a_request_carries_credentials_and_types() -> None:
    server = Server(lambda scope, body: (200, {}, [b"{}"]))
    client = client_of(server, token="secret", headers=[("Impersonate-Group", "a"), ("Impersonate-Group", "b")])
    await client.patch("/x", {"a": None}, query={"fieldManager": "f"})
    method, target, headers, body = server.requests[0]
    assert (method, target, body) == ("PATCH", "/x?fieldManager=f", b'{"a":null}')
    assert headers["authorization"] == "Bearer secret"
    assert headers["content-type"] == "application/merge-patch+json"
    client.set_token("renewed")
    await client.get("/x")
    assert server.requests[1][2]["authorization"] == "Bearer renewed"
    assert "content-type" not in server.requests[1][2]


@pytest.mark.parametrize("begun", [False, True])
async def test_who_waits_for_an_answer_gets_an_error_when_the_transport_closes(begun: bool) -> None:
    """As over the network, where the connection ends; otherwise it would wait for ever."""
    reached = asyncio.Event()

    async def silent(scope: dict, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        reached.set()
        await asyncio.Event().wait()

    client = client_of(silent)
    reading = asyncio.create_task(client.get("/x"))
    await reached.wait()
    await client.close()
    with pytest.raises(Unreachable):
        await asyncio.wait_for(reading, 90)


async def test_a_write_asks_the_fence_each_time_it_is_sent() -> None:
    may_write = [True, True]

    def fence() -> None:
        if not may_write.pop():
            raise PermissionError

    def throttle(scope: dict, body: bytes) -> tuple[int, dict[str, str], list[bytes]]:
        may_write[:] = [False]  # it changes while the answer is on its way
        return 429, {"retry-after": "0"}, []

    server = Server(throttle)
    client = client_of(server, fence=fence)
    with pytest.raises(PermissionError):
        await client.create("/x", {})
    assert len(server.requests) == 1
    for write in (client.update("/x", {}), client.patch("/x", {}), client.delete("/x"), client.stream("POST", "/x")):
        may_write[:] = [False]
        with pytest.raises(PermissionError):
            await write
    assert len(server.requests) == 1
    server.answer = lambda scope, body: (200, {}, [b"{}"])
    assert await client.get("/x") == {}  # looking is free


async def test_a_delete_names_its_preconditions() -> None:
    server = Server(lambda scope, body: (200, {}, [b"{}"]))
    await client_of(server).delete("/x", uid="u", resource_version="7", propagation="Background", grace_period=0)
    assert orjson.loads(server.requests[0][3]) == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "propagationPolicy": "Background",
        "gracePeriodSeconds": 0,
    }


async def test_a_throttled_request_is_repeated() -> None:
    left = [429, 429, 200]
    server = Server(lambda scope, body: (left.pop(0), {"retry-after": "0"}, [b"{}"]))
    assert await client_of(server).create("/x", {}) == {}
    assert len(server.requests) == 3


async def test_a_conflict_is_not_repeated() -> None:
    server = Server(lambda scope, body: (409, {}, [b'{"kind":"Status","reason":"Conflict","message":"m","code":409}']))
    with pytest.raises(StatusError) as conflict:
        await client_of(server).update("/x", {})
    assert conflict.value.is_conflict
    assert len(server.requests) == 1


async def test_pages_follow_the_continue_token() -> None:
    def answer(scope: dict, body: bytes) -> tuple[int, dict, list[bytes]]:
        more = b"continue=abc" in scope["query_string"]
        page = {
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": "9"} | ({} if more else {"continue": "abc"}),
            "items": [{"metadata": {"name": "b" if more else "a"}}],
        }
        return 200, {}, [orjson.dumps(page)]

    items, version = await client_of(Server(answer)).list("/pods", query={"labelSelector": "a=b"})
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert {(item["kind"], item["apiVersion"]) for item in items} == {("Pod", "v1")}
    assert version == "9"


@pytest.mark.parametrize(("length", "second"), [(102_400, 512), (1_048_576, 50), (1_000, 1000), (4_194_304, 12)])
async def test_pages_are_as_long_as_their_bytes_allow(length: int, second: int) -> None:
    def answer(scope: dict, body: bytes) -> tuple[int, dict, list[bytes]]:
        more = b"continue=" in scope["query_string"]
        page = orjson.dumps({"metadata": {} if more else {"continue": "c"}, "items": []})
        return 200, {}, [page.ljust(length)]

    server = Server(answer)
    await client_of(server).list("/pods")
    assert ["limit=100" in server.requests[0][1], f"limit={second}&" in server.requests[1][1]] == [True, True]


async def test_a_probe_goes_past_requests_that_hang() -> None:
    async def hang(scope: dict, receive: Any, send: Any) -> None:
        if scope["path"] == "/x":
            await asyncio.Event().wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    client = client_of(hang, concurrency=1)
    stuck = asyncio.create_task(client.get("/x"))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(client.request("GET", "/readyz", probe=True), 90) == (200, b"ok")
    stuck.cancel()


async def test_a_watch_ends_with_the_error_it_was_told() -> None:
    lines = [
        b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"5"}}}\n',
        b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n',
    ]
    client = client_of(Server(lambda scope, body: (200, {}, lines)))
    events = client.watch("/x", "4")
    assert (await anext(events)).type == "ADDED"
    with pytest.raises(StatusError) as error:
        await anext(events)
    assert error.value.code == 410


async def test_leaving_a_watch_ends_it_at_the_server() -> None:
    ended = asyncio.Event()

    async def endless(scope: dict, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                line = b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"1"}}}\n'
                await send({"type": "http.response.body", "body": line, "more_body": True})
        finally:
            ended.set()

    events = client_of(endless).watch("/x", "0")
    async for _ in events:
        break
    await events.aclose()
    await asyncio.wait_for(ended.wait(), 90)


async def test_a_crashing_member_is_unreachable() -> None:
    async def crash(scope: dict, receive: Any, send: Any) -> None:
        raise RuntimeError("boom")

    with pytest.raises(Unreachable, match="boom") as away:
        await client_of(crash).get("/x")
    assert away.value.sent


async def test_requests_under_way_are_bounded() -> None:
    inside = highest = 0
    gate = asyncio.Event()

    async def slow(scope: dict, receive: Any, send: Any) -> None:
        nonlocal inside, highest
        inside += 1
        highest = max(highest, inside)
        if inside == 3:
            gate.set()
        await gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
        inside -= 1

    client = client_of(slow, concurrency=3)
    await asyncio.gather(*(client.get("/x") for _ in range(20)))
    assert highest == 3


@pytest.mark.parametrize("endpoint", ["member:6443", "ftp://x", ""])
def test_endpoints_that_are_none(endpoint: str) -> None:
    with pytest.raises(ValueError, match="invalid API endpoint"):
        NetworkTransport(endpoint)


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b and b), max_size=10), st.data())
def test_lines_do_not_depend_on_how_bytes_arrive(lines: list[bytes], data: st.DataObject) -> None:
    text = b"".join(line + b"\n" for line in lines) + data.draw(st.sampled_from([b"", b"unfinished"]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    async def collect() -> list[bytes]:
        async def chunks():
            for piece in pieces:
                yield piece

        return [line async for line in split(chunks(), 1 << 20)]

    assert asyncio.run(collect()) == lines
