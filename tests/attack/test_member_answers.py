"""What a hostile member answers to the control plane: too much, no JSON, other shapes. It is not Ready, with the reason; its
neighbours and the control plane notice nothing."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import orjson
import pytest

from kafila.members.client import MemberClient
from kafila.members.discovery import Discovery
from kafila.members.health import observe
from kafila.members.informer import Informer
from kafila.members.resource_summary import node_facts, pod_facts
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.settings.answers import AnswerLimits
from tests.attack.members import Hostile, Write, answer, hostile
from tests.integration.reconcile.conftest import Lab

LIMITS = AnswerLimits(answer=1 << 20, objects=50, kept=1 << 18)
IN_BUFFERS = 24 << 20  # what sockets take before the sender is held up, and a few tries at shorter pages
PODS = "/api/v1/pods"
BEGIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%sconnection: close\r\n\r\n"
ZIPPED = BEGIN % b"content-encoding: gzip\r\n"


@pytest.fixture
async def client(member: Hostile) -> AsyncIterator[MemberClient]:
    made = MemberClient("m1", member.endpoint, limits=LIMITS)
    yield made
    await made.close()


@cache
def bomb() -> bytes:
    """64 MiB of blanks in 64 KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * (1 << 20)) for _ in range(64)) + packer.flush()


def nothing_at_all(member: Hostile) -> Write:
    """gzip whose blocks hold nothing."""
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    begin = packer.compress(b"") + packer.flush(zlib.Z_SYNC_FLUSH)
    return member.endless(ZIPPED + begin, b"\0\0\0\xff\xff" * 10_000)


async def first_event(client: MemberClient) -> object:
    return await anext(client.watch(PODS, "1"))


# -- size --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["get", "list", "watch", "discovery", "probe", "error"])
@pytest.mark.parametrize("kind", ["plain", "bomb", "nothing"])
async def test_of_an_answer_without_end_a_limit_is_read(
    member: Hostile, client: MemberClient, how: str, kind: str
) -> None:
    if kind == "plain":
        status = b"HTTP/1.1 500 Odd\r\nconnection: close\r\n\r\n" if how == "error" else BEGIN % b""
        attack: bytes | Write = member.endless(status, b"[" * 65536)
    elif kind == "bomb":
        attack = ZIPPED + bomb()
    else:
        attack = nothing_at_all(member)
    paths = ("/api/v1/pods", "/api/v1/pods/a", "/api", "/apis", "/readyz")
    member.answers = dict.fromkeys(paths, attack)
    asked = {
        "get": client.get("/api/v1/pods/a"),
        "list": client.list(PODS),
        "watch": first_event(client),
        "discovery": Discovery(client).refresh(),
        "probe": client.request("GET", "/readyz", probe=True),
        "error": client.find("/api/v1/pods/a"),
    }
    for name, unused in asked.items():
        if name != how:
            unused.close()
    async with asyncio.timeout(90):
        with pytest.raises(UnusableAnswer):
            await asked[how]
    assert member.sent < IN_BUFFERS
    if how != "probe":
        now = asyncio.get_running_loop().time()
        assert client.faults.current(now)
        assert not client.faults.current(now + 1000)


async def test_pages_that_are_too_long_are_asked_for_in_parts(member: Hostile, client: MemberClient) -> None:
    """An honest member with big objects: ten of 300 kB each."""

    async def pages(writer: asyncio.StreamWriter) -> None:
        query = member.asked[-1].split(b" ")[1].decode().partition("?")[2]
        asked = dict(part.split("=") for part in query.split("&"))
        first = int(asked.get("continue", "0"))
        last = min(10, first + int(asked["limit"]))
        items = [{"metadata": {"name": str(n)}, "data": {"a": "x" * 300_000}} for n in range(first, last)]
        more = {"continue": str(last)} if last < 10 else {}
        writer.write(answer(orjson.dumps({"kind": "ConfigMapList", "metadata": more, "items": items})))

    member.answers["/api/v1/configmaps"] = pages
    items, _ = await client.list("/api/v1/configmaps")
    assert [item["metadata"]["name"] for item in items] == [str(n) for n in range(10)]
    assert not client.faults.current(asyncio.get_running_loop().time())


async def test_a_list_without_end_has_one(member: Hostile, client: MemberClient) -> None:
    page = {"kind": "PodList", "metadata": {"continue": "x", "resourceVersion": "1"}, "items": []}
    member.answers[PODS] = answer(orjson.dumps(page))
    with pytest.raises(UnusableAnswer, match="more than 50 objects"):
        await client.list(PODS)
    assert len(member.asked) == 51


def pod(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "a", "uid": name, "resourceVersion": "1"}, "spec": {}, **more}


def event(obj: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": "ADDED", "object": obj}) + b"\n"


@pytest.mark.parametrize("way", ["many", "big"])
async def test_what_is_kept_of_a_member_is_bounded(member: Hostile, client: MemberClient, way: str) -> None:
    """Also what comes by a watch, an object after the other."""
    listed = answer(orjson.dumps({"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": []}))
    filler = {"data": "x" * (0 if way == "many" else 20_000)}
    events = b"".join(event(pod(f"p{n}", **filler)) for n in range(60))

    async def told(writer: asyncio.StreamWriter) -> None:
        writer.write(BEGIN % b"" + events if b"watch=true" in member.asked[-1] else listed)
        if b"watch=true" in member.asked[-1]:
            await writer.drain()
            writer.close()

    member.answers[PODS] = told
    kept: Any = orjson.dumps if way == "big" else pod_facts
    informer = Informer(client, PODS, lambda change: None, selector="", keep=kept)
    await informer._list()
    with pytest.raises(UnusableAnswer, match="more than"):
        await informer._watch()
    assert len(informer) == (50 if way == "many" else 12)
    assert 0 < client.kept <= LIMITS.kept
    informer.forget()
    assert (client.kept, len(informer)) == (0, 0)


# -- shape -------------------------------------------------------------------------------------------------------------

DEEP = b"[" * 900 + b"]" * 900
SHAPES = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"<html>",
    b"{",
    b'{"items":{}}',
    b'{"items":"x"}',
    b'{"items":[1]}',
    b'{"items":[[]]}',
    b'{"items":[null]}',
    b'{"metadata":[],"items":[]}',
    b'{"metadata":{"continue":1},"items":[]}',
    b'{"metadata":{"resourceVersion":1},"items":[]}',
    b'{"kind":1,"items":[]}',
    b'{"items":[{"metadata":"x"}]}',
    b'{"items":[{"metadata":{"name":1}}]}',
    b'{"items":[{"metadata":{"name":"a","labels":[]}}]}',
    b'{"items":[{"metadata":{"name":"a","annotations":{"a":1}}}]}',
    b'{"items":[{"metadata":{"name":"a","finalizers":{}}}]}',
    b'{"items":[{"metadata":{"name":"a","ownerReferences":[1]}}]}',
    b'{"items":' + b"[" * 2000 + b"]" * 2000 + b"}",
    b'{"items":[' + b",".join([b"[]"] * 401_000) + b"]}",
    b'{"items":[{"metadata":{"name":"' + b"a" * 5000 + b'"}}]}',
]


@pytest.mark.parametrize("body", SHAPES, ids=lambda body: body[:50].decode())
async def test_a_list_of_another_shape_is_unusable(member: Hostile, client: MemberClient, body: bytes) -> None:
    member.answers[PODS] = answer(body)
    with pytest.raises(UnusableAnswer):
        await client.list(PODS)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"x",
        b'{"type":1,"object":{}}',
        b'{"type":"ADDED","object":[]}',
        b'{"type":"ADDED","object":{"metadata":[]}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}',
        b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"5"}}}',
        b'{"type":"BOOKMARK","object":{}}',
        b'{"type":"DELETED","object":{"metadata":{"resourceVersion":"5"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"},"spec":[1]}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"},"spec":{"containers":"x"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"},"spec":{"nodeName":[1]}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"},"spec":{"containers":[{"resources":1}]}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"},'
        b'"spec":{"containers":[{"resources":{"requests":{"cpu":"9e99999999"}}}]}}}',
    ],
    ids=lambda line: line[:90].decode(),
)
async def test_an_event_of_another_shape_is_unusable(member: Hostile, client: MemberClient, line: bytes) -> None:
    member.answers[PODS] = BEGIN % b"" + line + b"\n"
    informer = Informer(client, PODS, lambda change: None, selector="", keep=pod_facts, resume="1")
    with pytest.raises(UnusableAnswer):
        await informer._watch()


async def test_an_error_that_is_none_is_reported_shortly(member: Hostile, client: MemberClient) -> None:
    odd = {
        "kind": "Status",
        "code": "x",
        "reason": [],
        "message": "m" * 100_000,
        "details": {"name": 1, "kind": "pods"},
    }
    member.answers["/x"] = answer(orjson.dumps(odd), "409 Conflict", "retry-after: " + "9" * 5000)
    with pytest.raises(Exception, match="mmm") as raised:
        await client.get("/x")
    error: Any = raised.value
    assert (error.code, error.reason, len(error.message), error.details) == (
        409,
        "Conflict",
        4096,
        {"name": "", "kind": "pods"},
    )


def aggregated(**resource: Any) -> bytes:
    found = {"resource": "pods", "responseKind": {"kind": "Pod"}, "scope": "Namespaced", "verbs": ["get"], **resource}
    version = {"version": "v1", "resources": [found]}
    return orjson.dumps({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": ""}, "versions": [version]}]})


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"[]",
        b'{"kind":"APIGroupDiscoveryList","items":1}',
        b'{"kind":"APIGroupDiscoveryList","items":[[]]}',
        b'{"kind":"APIGroupDiscoveryList","items":[{}]}',
        aggregated(resource=1),
        aggregated(resource="x" * 100_000),
        aggregated(verbs=[{}]),
        aggregated(responseKind={"kind": [1]}),
        aggregated().replace(
            b'"resources":[', b'"resources":[' + b'{"resource":"a","responseKind":{"kind":"A"}},' * 10_001
        ),
        b'{"versions":1}',
        b'{"versions":[[]]}',
    ],
    ids=lambda body: body[:60].decode(),
)
async def test_discovery_of_another_shape_is_unusable(member: Hostile, client: MemberClient, body: bytes) -> None:
    member.answers = {"/readyz": answer(b"ok"), "/version": answer(b"{}"), "/api": answer(body), "/apis": answer(b"{}")}
    with pytest.raises(UnusableAnswer):
        await Discovery(client).refresh()
    seen = await observe(client, Discovery(client))
    assert (seen.online, seen.healthy, bool(seen.unusable)) == (True, False, True)
    member.answers["/api"] = answer(aggregated())
    assert (await observe(client, Discovery(client))).healthy


async def test_groups_that_are_asked_one_by_one_are_bounded(member: Hostile, client: MemberClient) -> None:
    """Their names are the member's, and stand in the next requests."""
    odd = "a/v1 HTTP/1.1\r\nx: y"
    groups = [{"name": "a", "versions": [{"groupVersion": version} for version in (odd, "a/v2", "a/v3", "a/v4")]}]
    resources = [{"name": f"r{n}", "kind": "R"} for n in range(4000)]
    listed = answer(orjson.dumps({"resources": resources}))
    member.answers = {"/api": answer(b"{}"), "/apis": answer(orjson.dumps({"groups": groups}))}
    member.answers |= dict.fromkeys(("/apis/a/v2", "/apis/a/v3", "/apis/a/v4"), listed)
    with pytest.raises(UnusableAnswer, match="more than 10000 resources"):
        await Discovery(client).refresh()
    paths = [head.split(b" ")[1] for head in member.asked]
    assert b"/apis/a/v1%20HTTP/1.1%0D%0Ax%3A%20y" in paths
    assert all(b"\nx: y" not in head for head in member.asked)


@pytest.mark.parametrize("body", [b"x", b"[]", b'{"gitVersion":1}', b'{"gitVersion":"' + b"v" * 1000 + b'"}'])
async def test_a_version_of_another_shape_is_unusable(member: Hostile, client: MemberClient, body: bytes) -> None:
    member.answers = {"/readyz": answer(b"ok"), "/version": answer(body), "/api": answer(b"{}"), "/apis": answer(b"{}")}
    assert (await observe(client, Discovery(client))).unusable


def test_a_node_of_another_shape_is_reported() -> None:
    for status in ([1], {"allocatable": [1]}, {"allocatable": {"cpu": {}}}, {"conditions": 1}, {"conditions": [1]}):
        with pytest.raises((AttributeError, TypeError, ValueError)):
            node_facts({"status": status})


async def test_an_answer_that_breaks_off_is_no_fault(member: Hostile, client: MemberClient) -> None:
    packed = gzip.compress(b'{"a":' + bytes(range(48, 57)) * 1000 + b"}")
    member.answers["/x"] = ZIPPED + packed[: len(packed) // 2]

    async def half(writer: asyncio.StreamWriter) -> None:
        writer.write(ZIPPED + packed[: len(packed) // 2])
        await writer.drain()
        writer.close()

    member.answers["/x"] = half
    with pytest.raises(Unreachable, match="broke off") as raised:
        await client.get("/x")
    assert not isinstance(raised.value, UnusableAnswer)


# -- the federation ----------------------------------------------------------------------------------------------------


def warnings(lab: Lab) -> list[tuple[str, str, str, int]]:
    return [event for event in lab.events("Cluster", "m1") if event[0] == "Warning"]


async def test_a_hostile_member_is_not_ready_and_its_neighbours_notice_nothing() -> None:
    async with hostile() as member:
        lab = await Lab(cluster_failure_threshold=0.0, cluster_success_threshold=0.0).start()
        try:
            await lab.join("m2")
            member.answers = {
                "/readyz": answer(b"ok"),
                "/version": answer(b'{"gitVersion":"v1.30.0"}'),
                "/api": answer(aggregated()),
                "/apis": answer(b'{"kind":"APIGroupDiscoveryList"}'),
                "/api/v1/nodes": member.endless(BEGIN % b"", b'{"items":' + b"[" * 65536),
                PODS: answer(b'{"items":[{"metadata":[]}]}'),
            }
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "m1", "namespace": "default"}}
            await lab.create({**secret, "stringData": {"token": "t", "caBundle": "c"}})
            spec = {
                "syncMode": "Push",
                "apiEndpoint": member.endpoint,
                "secretRef": {"namespace": "default", "name": "m1"},
                "id": "m1",
            }
            cluster = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "m1"}}
            await lab.create({**cluster, "spec": spec})

            def refused() -> bool:
                ready = lab.condition(lab.get("Cluster", "m1"), "Ready")
                return ready.get("status") == "False" and "its answers cannot be used" in ready["message"]

            await lab.until(refused, "m1 is not ready, with the reason")
            heartbeat = lab.condition(lab.get("Cluster", "m1"), "kafila.io/Heartbeat")
            assert heartbeat["status"] == "False"
            await lab.until(lambda: warnings(lab), "an event tells it")
            assert {reason for _, reason, _, _ in warnings(lab)} == {"ClusterNotReady"}
            await lab.create(lab.config())
            select = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]
            await lab.create(lab.policy("p", "m2", select=select))
            await lab.until(lambda: lab.in_clusters("ConfigMap", "settings") == ["m2"], "the neighbour gets its copy")
            assert lab.is_true(lab.get("Cluster", "m2"), "Ready")
            assert member.sent < 40 * IN_BUFFERS
        finally:
            await lab.close()


async def test_a_member_that_is_lost_is_reported_at_the_first_failed_probe() -> None:
    lab = await Lab().start()  # not ready only after 30 s
    try:
        await lab.join("m1")
        connection = lab.controllers.member_manager.get("m1")
        assert connection is not None
        transport: Any = connection.client._transport

        async def nowhere(scope: Any, receive: Any, send: Any) -> None:
            raise ConnectionError("no route to host")

        app, transport.app = transport.app, nowhere
        await lab.until(lambda: lab.condition(lab.get("Cluster", "m1"), "kafila.io/Heartbeat"), "it is told")
        cluster = lab.get("Cluster", "m1")
        heartbeat = lab.condition(cluster, "kafila.io/Heartbeat")
        assert (heartbeat["status"], heartbeat["reason"]) == ("False", "ClusterNotReachable")
        assert heartbeat["message"].startswith("not seen since 20")
        assert heartbeat["message"].endswith(": no route to host")
        assert lab.is_true(cluster, "Ready")  # a short break moves nothing
        await lab.until(lambda: warnings(lab), "an event tells it")
        told = ("Warning", "ClusterNotReachable", "cluster is not reachable: no route to host", 1)
        assert warnings(lab) == [told]
        transport.app = app
        await lab.until(lambda: not lab.condition(lab.get("Cluster", "m1"), "kafila.io/Heartbeat"), "it is over")
        seen = ("Normal", "ClusterSeenAgain", "cluster m1 is seen again", 1)
        await lab.until(lambda: seen in lab.events("Cluster", "m1"), "that is told")
    finally:
        await lab.close()


async def test_a_member_may_name_more_resources_than_are_reported() -> None:
    lab = await Lab().start()
    try:
        await lab.join("m1")
        registry = lab.members["m1"].registry
        (node,) = lab.list("Node", registry)

        async def names(count: int) -> None:
            def changed(obj: Any) -> Any:
                more = {f"example.com/n{number:05}": "1" for number in range(count)}
                obj["status"]["allocatable"] = node["status"]["allocatable"] | more
                return obj

            await registry.modify(lab.kind("Node"), "", node["metadata"]["name"], changed, lab.user, "status")

        def told() -> Any:
            return lab.condition(lab.get("Cluster", "m1"), "kafila.io/CompleteResourceSummary")

        await names(5000)
        await lab.until(told, "it is told that not all are")
        assert (told()["status"], told()["reason"]) == ("False", "TooManyResources")
        assert told()["message"].startswith("4748 resources are left out")
        allocatable = lab.get("Cluster", "m1")["status"]["resourceSummary"]["allocatable"]
        assert len(allocatable) == 256
        assert allocatable["cpu"] == "16"
        assert lab.is_true(lab.get("Cluster", "m1"), "Ready")
        await names(3)
        await lab.until(lambda: not told(), "all are told")
    finally:
        await lab.close()
