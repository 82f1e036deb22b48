"""Replicas that find no node in their cluster are taken from it, and placed where there is room."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, final

import pytest
from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream

from kafila.members.grpc import RawBytes
from kafila.placement.scheduler.estimator_wire import MAX_REPLICAS, UNSCHEDULABLE

Lab = Any
DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}


@final
class Estimator:
    """Of two clusters, m1 and m2: how many replicas fit, and how many have found no node."""

    def __init__(self) -> None:
        self.fit = {b"m1": 2, b"m2": 2}
        self.lost = {b"m1": 0, b"m2": 0}
        self.port = 0

    def __mapping__(self) -> dict[str, Handler]:
        return {
            method: Handler(self._answering(answers), Cardinality.UNARY_UNARY, bytes, bytes)
            for method, answers in ((MAX_REPLICAS, self.fit), (UNSCHEDULABLE, self.lost))
        }

    @staticmethod
    def _answering(answers: dict[bytes, int]) -> Any:
        async def answer(stream: Stream[bytes, bytes]) -> None:
            request = await stream.recv_message()
            assert request is not None
            for cluster, count in answers.items():
                if bytes([0x0A, len(cluster)]) + cluster in request:  # its first field
                    await stream.send_message(b"\x08" + bytes([count]))

        return answer


@pytest.fixture
async def estimator() -> AsyncIterator[Estimator]:
    made = Estimator()
    server = Server([made], codec=RawBytes())
    await server.start("127.0.0.1", 0)
    made.port = server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield made
    server.close()
    await server.wait_closed()


@contextlib.asynccontextmanager
async def started(make_lab: Any, port: int, controllers: str) -> AsyncIterator[Lab]:
    async with make_lab.running(
        controllers=controllers,
        descheduling_interval=0.05,
        enable_scheduler_estimator=True,
        scheduler_estimator_timeout=60.0,
    ) as lab:
        for cluster in ("m1", "m2"):
            metadata = {"name": f"karmada-scheduler-estimator-{cluster}", "namespace": "karmada-system"}
            ports = [{"port": 10352, "targetPort": port}]
            spec = {"type": "ExternalName", "externalName": "127.0.0.1", "ports": ports}
            await lab.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        await lab.join("m1", "m2")
        yield lab


async def place_broken_in_m1(lab: Lab) -> None:
    """Two replicas each; those in m1 do not get ready."""
    replace = {"component": "Registry", "operator": "replace", "value": "registry.invalid"}
    await lab.create(
        {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "OverridePolicy",
            "metadata": {"name": "broken", "namespace": "default"},
            "spec": {
                "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}],
                "overrideRules": [
                    {"targetCluster": {"clusterNames": ["m1"]}, "overriders": {"imageOverrider": [replace]}}
                ],
            },
        }
    )
    await lab.create(lab.deployment(replicas=4))
    await lab.create(lab.policy(scheduling=DYNAMIC))
    await lab.until(lambda: lab.placed("web-deployment") == {"m1": 2, "m2": 2})
    await lab.until(lambda: health(lab) == {"m1": "Unhealthy", "m2": "Healthy"})


def health(lab: Lab) -> dict[str, str]:
    items = (lab.get("ResourceBinding", "web-deployment").get("status") or {}).get("aggregatedStatus") or ()
    return {item["clusterName"]: item.get("health") for item in items}


async def test_replicas_without_a_node_go_elsewhere(make_lab: Any, estimator: Estimator) -> None:
    async with started(make_lab, estimator.port, "*,descheduler") as lab:
        await place_broken_in_m1(lab)
        estimator.fit.update({b"m1": 0, b"m2": 9})
        estimator.lost[b"m1"] = 2
        await lab.until(lambda: lab.placed("web-deployment").get("m2") == 4)
        text = "Binding has been descheduled, 2 replica(s) in cluster(m1), 2 total descheduled replica(s)"
        told = ("Normal", "DescheduleBindingSucceed", text)
        for kind, name in (("ResourceBinding", "web-deployment"), ("Deployment", "web")):
            await lab.until(lambda kind=kind, name=name: told in [each[:3] for each in lab.events(kind, name)])


async def test_it_is_off_where_it_is_not_named(make_lab: Any, estimator: Estimator) -> None:
    async with started(make_lab, estimator.port, "*") as lab:
        await place_broken_in_m1(lab)
        estimator.fit.update({b"m1": 0, b"m2": 9})
        estimator.lost[b"m1"] = 2
        await lab.rest()
        assert lab.placed("web-deployment") == {"m1": 2, "m2": 2}
        assert not any(controller.name == "descheduler" for controller in lab.controllers._controllers)
