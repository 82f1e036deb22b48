"""Metrics: members that answer what no API answers, and callers who would have members asked for other things, or all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kafila.api.app import ObjectsApp
from kafila.api.meta import build_shell
from kafila.api.proxy import MemberProxy
from kafila.members.limits import CircuitBreaker
from kafila.settings.answers import AnswerLimits
from tests.attack.members import Hostile, answer
from tests.integration.api.conftest import Api

CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
SAMPLE = {"timestamp": "2026-01-01T00:00:00Z", "window": "10s"}
SECRET = {"namespace": "karmada-cluster", "name": "m"}


@pytest.fixture
async def api(member: Hostile) -> AsyncIterator[Api]:
    """Its only member is the hostile one, of whose answers little is read."""
    server = await Api().open()
    proxy = MemberProxy(server.registry, limits=AnswerLimits(answer=64 << 10, kept=96 << 10))
    server.app = ObjectsApp(server.registry, build_shell({}), proxy, authorizer=server.authorizer)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "m"}, "data": {"token": "dA=="}}
    await server.made("/api/v1/namespaces/karmada-cluster/secrets", secret)
    await join(server, member, "m1")
    try:
        yield server
    finally:
        await proxy.close()
        await server.close()


async def join(api: Api, member: Hostile, name: str) -> None:
    spec = {
        "syncMode": "Push",
        "apiEndpoint": member.endpoint,
        "secretRef": SECRET,
        "insecureSkipTLSVerification": True,
    }
    head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}}
    await api.made(CLUSTERS, {**head, "spec": spec})
    ready = {"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": SAMPLE["timestamp"]}
    patched = await api.patch(f"{CLUSTERS}/{name}/status", {"status": {"conditions": [ready]}})
    assert patched.status_code == 200, patched.text


def pod(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, **SAMPLE, "containers": [], **more}


def listed(*items: Any) -> bytes:
    return answer(orjson.dumps({"kind": "PodMetricsList", "metadata": {}, "items": items}))


def warnings(response: Any) -> str:
    return " ".join(response.headers.get_list("warning"))


DEEP = b'{"items":[{"metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(b"no"), "is no JSON"),
        (answer(b"[]"), "is no object"),
        (answer(DEEP), ""),
        (answer(b'{"items":[' + b'{"metadata":{"name":"x"}},' * 9000 + b"{}]}"), ""),
        (listed(pod("a", metadata={"name": "a", "namespace": "kube-system"})), "pods of another namespace"),
        (listed(pod("a", containers=[{"name": "c", "usage": {"cpu": "9" * 2000}}])), "metrics that are none"),
        (listed(pod("a" * 2000)), "metadata that are none"),
        (answer(b"{}", "500 Internal Server Error"), ""),
        (answer(b"{}", "999 Much"), ""),
    ],
)
async def test_a_member_that_says_what_are_no_metrics_is_left_out(
    api: Api, member: Hostile, said: bytes, why: str
) -> None:
    member.answers[PODS] = said
    response = await api.get(PODS)
    assert (response.status_code, response.json()["items"]) == (200, [])
    assert "cluster m1 is left out: " in warnings(response)
    assert why in warnings(response)


async def test_an_answer_without_end_is_not_read_to_its_end(api: Api, member: Hostile) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    member.answers[PODS] = member.endless(head, b" " * 65536)
    assert "cluster m1 is left out: " in warnings(await api.get(PODS))
    assert member.sent < 1 << 25


async def test_one_that_does_not_answer_keeps_nobody_waiting(api: Api, member: Hostile) -> None:
    members = api.app.metrics._members
    members._one_timeout = 0.1
    members._clients.get("m1").breaker = CircuitBreaker(shortest=600.0, longest=600.0)

    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    member.answers[PODS] = silent
    async with asyncio.timeout(30):
        said = [warnings(await api.get(PODS)) for _ in range(6)]
    assert all("cluster m1 is left out: " in each for each in said)
    assert ["tried again soon" in each for each in said] == [False] * 5 + [True]  # the last one is not even asked


async def test_members_together_fill_no_more_than_is_kept(api: Api, member: Hostile) -> None:
    for name in ("m2", "m3"):
        await join(api, member, name)
    member.answers[PODS] = listed(*(pod(f"p{n}", metadata=labelled(f"p{n}")) for n in range(100)))
    response = await api.get(PODS)
    assert 0 < len(response.json()["items"]) < 300
    assert "all members together have more metrics than are kept in memory" in warnings(response)


@pytest.mark.parametrize("host", ["a..b", "a" * 70, f"a.{'b' * 64}.c"])
async def test_an_address_that_no_name_can_have_is_that_members_own_trouble(
    api: Api, member: Hostile, host: str
) -> None:
    """An agent writes the address of its own Cluster."""
    await join(api, member, "m2")
    patched = await api.patch(f"{CLUSTERS}/m2", {"spec": {"apiEndpoint": f"https://{host}"}})
    assert patched.status_code == 200, patched.text
    member.answers[PODS] = listed(pod("here"))
    response = await api.get(PODS)
    assert [each["metadata"]["name"] for each in response.json()["items"]] == ["here"]
    assert "cluster m2 is left out: " in warnings(response)


@pytest.mark.parametrize(
    "path",
    [f"{CUSTOM}/namespaces/default/pods/*/m", "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/m"],
)
async def test_values_of_members_together_fill_no_more_than_is_kept(api: Api, member: Hostile, path: str) -> None:
    for name in ("m2", "m3"):
        await join(api, member, name)
    member.answers["/apis/custom.metrics.k8s.io"] = answer(b'{"versions":[{"version":"v1beta2"}]}')
    values = [{"describedObject": {"name": f"p{n}"}, "metricName": f"m{n}", "value": "1"} for n in range(80)]
    member.answers[path] = answer(orjson.dumps({"items": values}))
    response = await api.get(path)
    assert len(response.json()["items"]) == 80
    assert warnings(response).count("all members together have more metrics than are kept in memory") == 1
    response = await api.get(path)  # what that took is given back
    assert len(response.json()["items"]) == 80


async def test_questions_that_are_asked_at_once_share_the_room(api: Api, member: Hostile) -> None:
    answered = asyncio.Event()

    async def one(writer: asyncio.StreamWriter) -> None:
        writer.write(listed(*(pod(f"p{n}", metadata=labelled(f"p{n}")) for n in range(100))))

    async def slow(writer: asyncio.StreamWriter) -> None:
        await answered.wait()
        writer.write(answer(b'{"items":[]}'))

    await join(api, member, "m2")
    turns = iter([one, slow])

    async def first_then_slow(writer: asyncio.StreamWriter) -> None:
        await next(turns, one)(writer)

    member.answers[PODS] = first_then_slow
    asking = asyncio.create_task(api.get(PODS))  # which holds what one member said until the other has answered
    members = api.app.metrics._members
    while members._room._left == members._clients.limits.kept:
        await asyncio.sleep(0)
    member.answers[f"{PODS}?labelSelector=a"] = one
    other = await api.get(f"{PODS}?labelSelector=a")
    assert other.json()["items"] == []
    assert "all members together have more metrics than are kept in memory" in warnings(other)
    answered.set()
    assert len((await asking).json()["items"]) == 100
    assert len((await api.get(f"{PODS}?labelSelector=a")).json()["items"]) == 100


def labelled(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": "default", "labels": {"a": "x" * 300}}


async def test_a_member_answers_for_no_other_pod(api: Api, member: Hostile) -> None:
    member.answers[f"{PODS}/mine"] = answer(orjson.dumps(pod("yours")))
    assert (await api.get(f"{PODS}/mine")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        f"{CUSTOM}/namespaces/%2e%2e/pods/%2e%2e/x",
        f"{CUSTOM}/namespaces/default/pods/%2e%2e/secrets",
        f"{CUSTOM}/namespaces/default/%2e%2e/x/y",
        f"{CUSTOM}/pods/x/%2e%2e",
        f"{CUSTOM}/namespaces/default/pods/x/a%252fb",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/%2e%2e/x",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/%2e%2e",
        "/apis/metrics.k8s.io/v1beta1/namespaces/%2e%2e/pods",
        "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/%2e%2e",
        "/apis/metrics.k8s.io/v1beta1/nodes/%2e%2e",
    ],
)
async def test_nobody_has_a_member_asked_for_something_else(api: Api, member: Hostile, path: str) -> None:
    """Members are asked with the rights of the control plane."""
    assert (await api.get(path)).status_code in (400, 404)
    assert member.asked == []


async def test_discovery_is_everybodys_and_asks_members_now_and_then(api: Api, member: Hostile) -> None:
    for _ in range(50):
        assert (await api.get(CUSTOM)).status_code == 200
    assert len(member.asked) <= 2
