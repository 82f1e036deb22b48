"""A tunnel that ends in one of several API processes: the others use it, and it moves when its process dies or the agent comes anew."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from kafila.agent.tunnel import TunnelKeeper
from kafila.members.kubeconfig import Access
from kafila.members.transport import TLS
from kafila.members.tunnel.websocket import REPLACED, Closed

from .processes import Answer, ControlPlane, Serve, eventually

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
    data = await request.read()
    return web.json_response({"as": request.headers["Impersonate-User"], "bytes": len(data)})


@pytest_asyncio.fixture(loop_scope="package")
async def member(plane: ControlPlane) -> AsyncIterator[str]:
    """An API server of its own sort, and its Cluster; its address in the Cluster leads nowhere."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    api = plane.api[1]
    made = await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "karmada-cluster"}})
    assert made.status in (201, 409)
    secret = {"metadata": {"name": "edge-impersonator"}, "stringData": {"token": "ours"}}
    await api.request("POST", "/api/v1/namespaces/karmada-cluster/secrets", secret)
    spec = {
        "syncMode": "Pull",
        "apiEndpoint": "http://127.0.0.1:1",
        "id": "edge",
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
async def tunnel(plane: ControlPlane, api: Serve, member: str) -> AsyncIterator[asyncio.Task[Closed]]:
    """One connection of the agent, announced to all."""
    before = await holder(plane)
    keeper = TunnelKeeper(access(api), Access("", member, TLS(), ""), "edge")
    task = asyncio.create_task(keeper._serve())
    try:

        async def announced() -> bool:
            assert not task.done(), task
            found = [await holder(plane, each) for each in plane.api if each.alive]
            return found[0] not in ("", before) and len(set(found)) == 1

        await eventually("the tunnel is open", announced)
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

        await eventually("it is told", told)


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

    await eventually("it is withdrawn", withdrawn)
    for api in plane.api:
        found = await asked(api)
        assert found.status == 503
        assert "cluster edge has no tunnel, and http://127.0.0.1:1 cannot be reached: " in found.body["message"]
