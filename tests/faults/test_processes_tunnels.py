"""A tunnel that ends in one of several API processes: the others use it, and it moves when its process dies or the agent comes anew."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from kafila.agent.tunnel import TunnelKeeper
from kafila.members.kubeconfig import Access
from kafila.members.transport import TLS
from kafila.members.tunnel.frames import REPLACED
from kafila.members.tunnel.websocket import Closed
from tests.proxy_server import ProxyServer
from tests.waiting import eventually

from .processes import Answer, ControlPlane, Serve

pytestmark = pytest.mark.asyncio(loop_scope="package")
CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kafila-tunnel-edge"
AS_AGENT = (("Impersonate-User", "system:karmada:agent:edge"), ("Impersonate-Group", "system:karmada:agents"))
MUCH = bytes(range(256)) * (8 << 10)  # 2 MiB


async def answer(request: web.Request) -> web.StreamResponse:
    if request.path == "/echo":
        spoken = web.WebSocketResponse(max_msg_size=0)
        await spoken.prepare(request)
        async for message in spoken:
            await spoken.send_bytes(message.data)
        return spoken
    if request.path == "/api/v1/configmaps":
        return await configmaps(request)
    if request.path == "/apis/metrics.k8s.io/v1beta1/nodes":
        usage = {"timestamp": "2026-01-01T00:00:00Z", "window": "10s", "usage": {"cpu": "1", "memory": "1Gi"}}
        items = [{"metadata": {"name": "edge-node"}, **usage}]
        head = {"kind": "NodeMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}}
        return web.json_response({**head, "items": items})
    data = await request.read()
    return web.json_response({"as": request.headers["Impersonate-User"], "bytes": len(data)})


async def configmaps(request: web.Request) -> web.StreamResponse:
    """One that is listed, and one that comes later."""
    assert request.headers["Authorization"] == "Bearer agents"

    def made(name: str, version: int) -> dict[str, object]:
        metadata = {"name": name, "namespace": "default", "uid": name, "resourceVersion": str(version)}
        return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": {"a": name}}

    if "watch" not in request.query:
        head = {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "5"}}
        return web.json_response({**head, "items": [made("listed", 5)]})
    watch = web.StreamResponse()
    await watch.prepare(request)
    await watch.write(json.dumps({"type": "ADDED", "object": made("watched", 6)}).encode() + b"\n")
    await asyncio.Event().wait()  # until whoever watches leaves: the server cancels it then
    return watch


@pytest_asyncio.fixture(loop_scope="package")
async def member(plane: ControlPlane) -> AsyncIterator[str]:
    """An API server of its own sort, and its Cluster; its address in the Cluster leads nowhere."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    api = plane.api[1]
    made = await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "karmada-cluster"}})
    assert made.status in (201, 409)
    secret = {"metadata": {"name": "edge-impersonator"}, "stringData": {"token": "ours"}}
    await api.request("POST", "/api/v1/namespaces/karmada-cluster/secrets", secret)
    secret = {"metadata": {"name": "edge"}, "stringData": {"token": "agents", "caBundle": "-"}}
    await api.request("POST", "/api/v1/namespaces/karmada-cluster/secrets", secret)
    spec = {
        "syncMode": "Pull",
        "apiEndpoint": "http://127.0.0.1:1",
        "id": "edge",
        "secretRef": {"namespace": "karmada-cluster", "name": "edge"},
        "impersonatorSecretRef": {"namespace": "karmada-cluster", "name": "edge-impersonator"},
    }
    head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "edge"}}
    await api.request("POST", CLUSTERS, {**head, "spec": spec})
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def access(api: Serve) -> Access:
    config = yaml.safe_load((api.folder / "kubeconfig").read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    parts = (cluster["certificate-authority-data"], user["client-certificate-data"], user["client-key-data"])
    return Access("", api.url, TLS(*map(base64.b64decode, parts)), "", impersonation=AS_AGENT)


@contextlib.asynccontextmanager
async def tunnel(
    plane: ControlPlane, api: Serve, member: str, to_plane: str = "", to_member: str = ""
) -> AsyncIterator[asyncio.Task[Closed]]:
    """One connection of the agent, announced to all; through proxies, where they are named."""
    before = await holder(plane)
    found = Access("", member, TLS(), "", proxy_url=to_member)
    keeper = TunnelKeeper(replace(access(api), proxy_url=to_plane), found, "edge")
    task = asyncio.create_task(keeper._serve())
    try:

        async def announced() -> bool:
            assert not task.done(), task
            found = [await holder(plane, each) for each in plane.api if each.alive]
            return found[0] not in ("", before) and len(set(found)) == 1

        await eventually(announced, "the tunnel is open")
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def holder(plane: ControlPlane, api: Serve | None = None) -> str:
    found = await (api or next(each for each in plane.api if each.alive)).request("GET", LEASE)
    return found.body["spec"]["holderIdentity"] if found.status == 200 else ""


async def asked(api: Serve) -> Answer:
    return await api.request("POST", f"{CLUSTERS}/edge/proxy/version", {"x": "y" * 100_000})


async def echoed(api: Serve) -> bytes:
    async with api.session.ws_connect(f"{api.url}{CLUSTERS}/edge/proxy/echo", max_msg_size=0) as spoken:
        await spoken.send_bytes(MUCH)
        return (await spoken.receive_bytes(timeout=60)) or b""


async def test_every_process_uses_it(plane: ControlPlane, member: str) -> None:
    async with tunnel(plane, plane.api[0], member):
        found = [await asked(api) for api in plane.api]
        assert [one.status for one in found] == [200, 200], found
        assert found[0].body == found[1].body == {"as": "system:admin", "bytes": 100_009}
        assert await asyncio.gather(*(echoed(api) for api in plane.api)) == [MUCH, MUCH]

        async def told() -> bool:
            cluster = (await plane.api[1].request("GET", f"{CLUSTERS}/edge")).body
            found = {c["type"]: c for c in (cluster.get("status") or {}).get("conditions") or ()}
            return found.get("kafila.io/TunnelConnected", {}).get("status") == "True"

        await eventually(told, "it is told")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_through_proxies_on_both_sides_of_the_agent(plane: ControlPlane, member: str, scheme: str) -> None:
    api = plane.api[0]
    with ProxyServer("jane:word") as outside, ProxyServer("jane:word") as inside:
        ways = [f"{scheme}://jane:word@{proxy.address}" for proxy in (outside, inside)]
        async with tunnel(plane, api, member, *ways):
            assert [(await asked(each)).status for each in plane.api] == [200, 200]
            assert await echoed(api) == MUCH
    assert outside.passed() == {(scheme, urlsplit(api.url).netloc)}
    assert inside.passed() == {(scheme, urlsplit(member).netloc)}


async def test_a_proxy_that_leads_nowhere_is_named(plane: ControlPlane, member: str) -> None:
    async with tunnel(plane, plane.api[0], member, to_member="socks5://127.0.0.1:1"):
        found = await asked(plane.api[0])
        assert found.status == 503
        why = "the agent cannot reach its cluster's API server: [Errno 111] Could not connect to proxy 127.0.0.1:1"
        assert why in found.body["message"]


async def test_the_newest_counts_wherever_it_ends(plane: ControlPlane, member: str) -> None:
    first, second = plane.api
    echo = f"{first.url}{CLUSTERS}/edge/proxy/echo"
    async with tunnel(plane, first, member) as older, first.session.ws_connect(echo) as spoken:
        await spoken.send_bytes(b"x")
        assert await spoken.receive_bytes(timeout=60) == b"x"
        async with tunnel(plane, second, member):
            closed = await asyncio.wait_for(older, 60)
            assert closed.code == REPLACED
            assert (await spoken.receive(timeout=60)).type is not aiohttp.WSMsgType.BINARY
            assert [(await asked(api)).status for api in plane.api] == [200, 200]


async def test_it_moves_when_its_process_dies(plane: ControlPlane, member: str) -> None:
    first, second = plane.api
    async with tunnel(plane, first, member) as task:
        assert (await asked(second)).status == 200
        first.kill()
        with contextlib.suppress(Exception):
            assert (await asyncio.wait_for(task, 60)).code == 1006
        lost = await asked(second)
        assert lost.status == 503, lost
        assert f"it ends in {urlsplit(first.url).netloc}, which cannot be reached" in lost.body["message"]
        async with tunnel(plane, second, member):
            assert (await asked(second)).status == 200


async def test_without_one_it_is_said(plane: ControlPlane, member: str) -> None:
    async with tunnel(plane, plane.api[1], member):
        pass

    async def withdrawn() -> bool:
        return await holder(plane) == ""

    await eventually(withdrawn, "it is withdrawn")
    for api in plane.api:
        found = await asked(api)
        assert found.status == 503
        assert "cluster edge has no tunnel, and http://127.0.0.1:1 cannot be reached: " in found.body["message"]


async def test_what_is_searched_and_measured_comes_through_it(plane: ControlPlane, member: str) -> None:
    """The workers, who follow the member, and the API's processes all reach it in the one where it ends."""
    registry = {
        "apiVersion": "search.karmada.io/v1alpha1",
        "kind": "ResourceRegistry",
        "metadata": {"name": "edges"},
        "spec": {
            "targetCluster": {"clusterNames": ["edge"]},
            "resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}],
        },
    }
    path = "/apis/search.karmada.io/v1alpha1/resourceregistries"
    cached = "/apis/search.karmada.io/v1alpha1/search/cache/api/v1/namespaces/default/configmaps"
    assert (await plane.api[1].request("POST", path, registry)).status == 201
    try:
        async with tunnel(plane, plane.api[1], member):

            async def found() -> bool:
                items = (await plane.api[0].request("GET", cached)).body.get("items") or ()
                return [item["metadata"]["name"] for item in items] == ["listed", "watched"]

            await eventually(found, "both are found")
            ready = {"type": "Ready", "status": "True", "reason": "ClusterReady", "message": ""}
            ready["lastTransitionTime"] = "2026-01-01T00:00:00Z"

            async def measured() -> bool:
                cluster = (await plane.api[0].request("GET", f"{CLUSTERS}/edge")).body
                cluster["status"] = {**(cluster.get("status") or {}), "conditions": [ready]}
                await plane.api[0].request("PUT", f"{CLUSTERS}/edge/status", cluster)
                said = [await api.request("GET", "/apis/metrics.k8s.io/v1beta1/nodes") for api in plane.api]
                return all(
                    [i["metadata"]["name"] for i in each.body.get("items") or ()] == ["edge-node"] for each in said
                )

            await eventually(measured, "its node is measured")
    finally:
        await plane.api[1].request("DELETE", f"{path}/edges")
