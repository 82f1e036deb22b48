"""Simulated members behind sockets, for processes of their own: each notes which process wrote to it, and when."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, final

import uvicorn

from kafila.catalog.catalog import Catalog
from kafila.core.values import Object
from kafila.registry import SYSTEM_ADMIN
from kafila.simulation import SimulatedCluster
from tests.waiting import eventually

from .processes import ControlPlane

CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
SECRETS = "/api/v1/namespaces/karmada-cluster/secrets"
_READING = ("GET", "HEAD", "OPTIONS")


class Written(NamedTuple):
    pid: int  # 0 for a process that has ended
    at: datetime
    what: str


@final
class HTTPMember:
    def __init__(self, name: str, catalog: Catalog) -> None:
        self.name = name
        self.cluster = SimulatedCluster(name, catalog, nodes=1)
        self.writes: list[Written] = []
        self.held = asyncio.Event()
        self._hold = False
        self._go_on = asyncio.Event()
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app, port=0, interface="asgi3", lifespan="off", log_config=None, timeout_graceful_shutdown=1
            )
        )
        self._processes: Sequence[int] = ()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.cluster.start()
        serving = asyncio.create_task(self._server._serve())
        try:
            await eventually(lambda: self._server.started, f"{self.name} listens")
            yield
        finally:
            self._go_on.set()
            self._server.should_exit = True
            await self.cluster.stop()
            await serving

    @property
    def url(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def hold(self) -> None:
        """The next write waits, before it is carried out, until ``release``."""
        self._hold = True

    def release(self) -> None:
        self._go_on.set()

    def watched_by(self, processes: Sequence[int]) -> None:
        """Those that are told apart."""
        self._processes = processes

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] not in _READING:
            pid = _whose(scope["client"][1], self._processes)
            self.writes.append(Written(pid, datetime.now(UTC), f"{scope['method']} {scope['path']}"))
            if self._hold:
                self._hold = False
                self.held.set()
                await self._go_on.wait()
        scope["state"] = {**scope.get("state", {}), "user": SYSTEM_ADMIN}
        await self.cluster.app(scope, receive, send)


def _whose(port: int, processes: Sequence[int]) -> int:
    """Which of them has the socket on that local port."""
    ending = f":{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{fields[9]}]" for fields in lines if fields[1].endswith(ending)}
    for pid in processes:
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(entry.path) in sockets:
                        return pid
    return 0


@contextlib.asynccontextmanager
async def joined(plane: ControlPlane, catalog: Catalog, *names: str) -> AsyncIterator[dict[str, HTTPMember]]:
    """Members of the control plane, until they have left it again."""
    members = {name: HTTPMember(name, catalog) for name in names}
    api = plane.api[1]
    async with contextlib.AsyncExitStack() as stack:
        for member in members.values():
            member.watched_by([worker.pid for worker in plane.workers])
            await stack.enter_async_context(member.running())
            await _created(plane, SECRETS, _secret(member))
            await _created(plane, CLUSTERS, _cluster(member))
        for name in names:
            await eventually(lambda name=name: _ready(plane, name), f"{name} is ready")
        yield members
        for name in names:
            await api.request("DELETE", f"{CLUSTERS}/{name}")
        for name in names:
            await eventually(lambda name=name: _gone(plane, name), f"{name} has left")
            await api.request("DELETE", f"{SECRETS}/{name}")


async def _created(plane: ControlPlane, path: str, body: Object) -> None:
    answer = await plane.api[1].request("POST", path, body)
    assert answer.status == 201, answer


async def _ready(plane: ControlPlane, name: str) -> bool:
    body = (await plane.api[1].request("GET", f"{CLUSTERS}/{name}")).body
    conditions = (body.get("status") or {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not body["spec"].get("taints")


async def _gone(plane: ControlPlane, name: str) -> bool:
    return (await plane.api[1].request("GET", f"{CLUSTERS}/{name}")).status == 404


def _secret(member: HTTPMember) -> Object:
    data = {"token": base64.b64encode(b"member").decode()}
    return {"metadata": {"name": member.name, "namespace": "karmada-cluster"}, "data": data}


def _cluster(member: HTTPMember) -> Object:
    spec = {
        "syncMode": "Push",
        "apiEndpoint": member.url,
        "insecureSkipTLSVerification": True,
        "secretRef": {"namespace": "karmada-cluster", "name": member.name},
    }
    head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": member.name}}
    return {**head, "spec": spec}
