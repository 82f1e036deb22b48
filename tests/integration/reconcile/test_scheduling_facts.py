"""What the scheduler gets from outside: accurate estimators and plugins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, final

import pytest
from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from grpclib.server import Server, Stream

from kafila.core.values import Object
from kafila.placement.scheduler.estimator_wire import MAX_REPLICAS
from kafila.placement.scheduler.plugins import SchedulerPlugin

from .test_customizations import WORKERS, customization

DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}


@final
class Plain(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return bytes(data)


@final
class Estimator:
    """Says for every cluster what it was told to say."""

    def __init__(self, answers: dict[bytes, int]) -> None:
        self.answers = answers
        self.asked: list[bytes] = []

    def __mapping__(self) -> dict[str, Handler]:
        return {MAX_REPLICAS: Handler(self._answer, Cardinality.UNARY_UNARY, bytes, bytes)}

    async def _answer(self, stream: Stream[bytes, bytes]) -> None:
        request = await stream.recv_message()
        assert request is not None
        self.asked.append(request)
        for cluster, replicas in self.answers.items():
            if cluster in request:
                await stream.send_message(b"\x08" + bytes([replicas]))


@pytest.fixture
async def estimator() -> AsyncIterator[Estimator]:
    made = Estimator({b"m1": 1, b"m2": 3})
    server = Server([made], codec=Plain())
    await server.start("127.0.0.1", 0)
    made.port = server._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined,union-attr]
    yield made
    server.close()
    await server.wait_closed()


async def asking(make_lab: Any, port: int, *clusters: str) -> Any:
    lab = await make_lab(enable_scheduler_estimator=True, scheduler_estimator_timeout=60.0).start()
    for cluster in clusters:
        await lab.create(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": f"karmada-scheduler-estimator-{cluster}", "namespace": "karmada-system"},
                "spec": {
                    "type": "ExternalName",
                    "externalName": "127.0.0.1",
                    "ports": [{"port": 10352, "targetPort": port}],
                },
            }
        )
    await lab.join("m1", "m2")
    return lab


async def test_accurate_estimators_have_their_say(make_lab: Any, estimator: Any) -> None:
    lab = await asking(make_lab, estimator.port, "m1", "m2")
    await lab.create(lab.policy(scheduling=DYNAMIC))
    await lab.create(lab.deployment(replicas=4, cpu="100m"))
    await lab.until(lambda: lab.placed("web-deployment") == {"m1": 1, "m2": 3})
    decision = lab.get("Decision", "web-deployment")
    assert {c["name"]: c["available"] for c in decision["scheduling"]["attempts"][0]["clusters"]} == {"m1": 1, "m2": 3}
    assert all(b"100m" in request for request in estimator.asked)
    await lab.close()


async def test_what_estimators_are_asked_a_script_has_to_tell_first(make_lab: Any, estimator: Any) -> None:
    lab = await asking(make_lab, estimator.port, "m1", "m2")
    await lab.create(customization("workers", "ConfigMap", **WORKERS))
    select = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]
    await lab.create(lab.policy(select=select, scheduling=DYNAMIC))
    await lab.create({**lab.config(), "data": {"workers": "4"}})
    await lab.until(lambda: lab.placed("settings-configmap") == {"m1": 1, "m2": 3})
    assert all(b"500m" in request for request in estimator.asked), "none was asked about what stood in for an answer"
    assert len(estimator.asked) == 2, "each estimator once"
    await lab.close()


async def test_without_all_answers_the_summaries_decide(make_lab: Any, estimator: Any) -> None:
    """As in Karmada: one estimator that does not answer, and none is heard."""
    lab = await asking(make_lab, estimator.port, "m1", "m2")
    estimator.answers.pop(b"m2")
    await lab.create(lab.policy(scheduling=DYNAMIC))
    await lab.create(lab.deployment(replicas=4, cpu="100m"))
    await lab.until(lambda: lab.placed("web-deployment") == {"m1": 2, "m2": 2})
    await lab.close()


@final
class OnlyM2(SchedulerPlugin):
    def filter(self, binding_spec: Object, cluster: Object) -> str:
        return "" if cluster["metadata"]["name"] == "m2" else "cluster(s) too expensive"


async def test_plugins_are_found_by_entry_point(make_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    import kafila.workers.plugins as plugins

    point = EntryPoint("Price", f"{__name__}:OnlyM2", "kafila.scheduler")
    monkeypatch.setattr(EntryPoint, "load", lambda self: OnlyM2)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == "kafila.scheduler" else [])
    assert plugins.load_plugins("-Price,*") == []
    lab = await make_lab().start()
    await lab.join("m1", "m2")
    await lab.create(lab.policy())
    await lab.create(lab.deployment())
    await lab.until(lambda: lab.placed("web-deployment") == {"m2": 2})
    (rejected,) = lab.get("Decision", "web-deployment")["scheduling"]["attempts"][0]["rejected"]
    assert (rejected["filter"], rejected["reason"]) == ("Price", "cluster(s) too expensive")
    await lab.close()
