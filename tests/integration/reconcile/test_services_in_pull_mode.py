"""Services of a cluster in pull mode: kafila's agent collects its slices, with the rights of an agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kafila.agent.session import AgentOptions, Session
from kafila.api.app import ObjectsApp
from kafila.api.deferred import DeferredMetaRoutes
from kafila.catalog.karmada.agent_roles import agent_roles
from kafila.core.agents import GROUP, PREFIX
from kafila.core.values import Object
from kafila.members.client import MemberClient
from kafila.members.transport import TLS, ASGITransport
from kafila.registry import SYSTEM_ADMIN, User
from kafila.settings.federation import FederationOptions
from kafila.simulation import SimulatedCluster

from .conftest import CATALOG, Lab
from .test_exported_services import endpoint_slice, export, importing, in_member, policy, service
from .test_multi_cluster_services import shared

AGENT = User(f"{PREFIX}edge", (GROUP, "system:authenticated"))


@pytest.fixture
async def edge() -> AsyncIterator[Lab]:
    """Members m1 in push mode and edge in pull mode, with an agent."""
    lab = await Lab(feature_gates="MultiClusterService=true").start()
    await lab.join("m1")
    member = SimulatedCluster("edge", CATALOG, nodes=1)
    await member.start()
    member.registry.cache.listen_to_all(lambda event: lab.look())
    lab.members["edge"] = member
    for namespace in ("karmada-cluster", "karmada-es-edge"):
        if not lab.get("Namespace", namespace):
            await lab.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for each in agent_roles("edge", "karmada-cluster", "karmada-es-edge"):
        await lab.create(each)
    plane = ObjectsApp(lab.registry, DeferredMetaRoutes({}), definitions=lab.definitions)
    agent = Session(
        MemberClient("plane", transport=ASGITransport(plane, {"user": AGENT})),
        MemberClient("edge", transport=ASGITransport(member.app, {"user": SYSTEM_ADMIN})),
        TLS(),
        AgentOptions("edge", "https://edge.internal", report_secrets=False, lease_duration=4.0),
        FederationOptions(cluster_status_frequency=0.1),
        lambda *pair: "",
    )
    running = asyncio.create_task(agent.run())
    running.add_done_callback(lambda task: lab.look())
    await lab.until(lambda: running.done() or lab.is_true(lab.get("Cluster", "edge"), "Ready"), "the agent reports")
    if running.done():
        running.result()
    await lab.until(lambda: not lab.get("Cluster", "edge")["spec"].get("taints"))
    yield lab
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    plane.draining.set()
    await lab.close()


async def test_an_agent_collects_what_its_cluster_exports(edge: Lab) -> None:
    await edge.create(service())
    await in_member(edge, "edge", endpoint_slice("web-1"))
    await edge.create(export())
    await edge.create(policy(edge, "exports", "ServiceExport", "edge"))
    await edge.create(importing())
    await edge.create(policy(edge, "imports", "ServiceImport", "m1"))
    await edge.until(lambda: edge.in_member("m1", "EndpointSlice", "imported-edge-web-1"))

    def changed(obj: Object) -> Object:
        obj["endpoints"][0]["addresses"] = ["10.1.0.9"]
        return obj

    from .conftest import USER

    theirs = edge.members["edge"].registry
    await theirs.modify(edge.kind("EndpointSlice"), "default", "web-1", changed, USER)
    there = lambda: edge.in_member("m1", "EndpointSlice", "imported-edge-web-1")  # noqa: E731
    await edge.until(lambda: there()["endpoints"][0]["addresses"] == ["10.1.0.9"])
    await edge.delete("ServiceExport", "web")
    await edge.until(lambda: not there(), "it is not exported any more")
    await edge.until(lambda: not edge.get("EndpointSlice", "imported-edge-web-1"))


async def test_a_cluster_in_pull_mode_provides_and_consumes(edge: Lab) -> None:
    await edge.create(service())
    await in_member(edge, "edge", endpoint_slice("web-edge", "web", "10.2.0.1"))
    await in_member(edge, "m1", endpoint_slice("web-m1"))
    await edge.create(shared(("m1", "edge"), ("m1", "edge")))
    await edge.until(lambda: edge.in_member("m1", "EndpointSlice", "edge-web-edge"))
    await edge.until(lambda: edge.in_member("edge", "EndpointSlice", "m1-web-m1"))
    await edge.delete("MultiClusterService", "web")
    await edge.until(lambda: not edge.in_member("m1", "EndpointSlice", "edge-web-edge"))
    await edge.until(lambda: not edge.in_member("edge", "EndpointSlice", "m1-web-m1"))
    await edge.until(lambda: not edge.get("MultiClusterService", "web"))
