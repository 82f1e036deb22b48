"""Which workloads the marker of scale targets takes for let go, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, final

import pytest

from kafila.core.values import Object
from kafila.placement import constants
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.hpascaletargetmarker.controller import KEPT, HPAScaleTargetMarker
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object

USER = Options(manager="tester")


@final
class Marking:
    """A marker by a clock that the test sets, and a workload ``web``. It leads once it is started."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.now = 1000.0
        self.recorder = Recorder(registry)
        self.marker = HPAScaleTargetMarker(registry, self.recorder, lambda: self.now)

    async def create(self, group: str, version: str, plural: str, obj: Object) -> None:
        kind = self.registry.kind(group, version, plural)
        await self.registry.create(kind, "default" if kind.namespaced else "", decode_object(kind, obj, USER), USER)

    async def deployed(self, **labels: str) -> None:
        obj: Object = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default", "labels": labels},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "c", "image": "nginx"}]},
                },
            },
        }
        await self.create("apps", "v1", "deployments", obj)

    async def scaled_by(self, name: str = "web", target: Object | None = None) -> None:
        obj: Object = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": "default", "labels": {constants.PP_PERMANENT_ID: "policy"}},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", **(target or {})},
                "maxReplicas": 9,
            },
        }
        await self.create("autoscaling", "v2", "horizontalpodautoscalers", obj)

    async def let_go(self, name: str = "web") -> None:
        kind = self.registry.kind("autoscaling", "v2", "horizontalpodautoscalers")
        await self.registry.delete(kind, "default", name, DeleteOptions())

    async def labelled(self, value: str | None) -> None:
        kind = self.registry.kind("apps", "v1", "deployments")

        def changed(obj: Object) -> Object:
            obj["metadata"]["labels"] = {constants.RETAIN_REPLICAS: value} if value else {}
            return obj

        await self.registry.modify(kind, "default", "web", changed, USER)

    def label(self) -> str | None:
        obj = self.registry.object(self.registry.kind("apps", "v1", "deployments"), "default", "web")
        return (obj["metadata"].get("labels") or {}).get(constants.RETAIN_REPLICAS)


@pytest.fixture
async def marking(registry: Registry) -> AsyncIterator[Marking]:
    found = Marking(registry)
    yield found
    await found.marker.stop()


async def test_let_go_while_the_label_is_written(marking: Marking, monkeypatch: pytest.MonkeyPatch) -> None:
    await marking.deployed()
    await marking.marker.start()
    modify, writes, goes_on = marking.registry.modify, asyncio.Event(), asyncio.Event()

    async def slowly(*arguments: Any) -> Any:
        found = await modify(*arguments)
        writes.set()
        await goes_on.wait()
        return found

    monkeypatch.setattr(marking.registry, "modify", slowly)
    await marking.scaled_by()
    await asyncio.wait_for(writes.wait(), 30)
    await marking.let_go()
    goes_on.set()
    await marking.marker.queue.idle()
    assert marking.label() is None


async def test_who_leads_later_takes_off_no_label_of_a_user(marking: Marking) -> None:
    await marking.deployed()
    await marking.scaled_by()
    await marking.let_go()
    marking.now += KEPT + 1
    await marking.labelled("true")
    await marking.marker.start()
    await marking.marker.queue.idle()
    assert marking.label() == "true"


async def test_who_leads_next_takes_off_what_was_let_go_a_moment_ago(marking: Marking) -> None:
    await marking.deployed(**{constants.RETAIN_REPLICAS: "true"})
    await marking.scaled_by()
    await marking.let_go()
    marking.now += KEPT - 1
    await marking.marker.start()
    await marking.marker.queue.idle()
    assert marking.label() is None


async def test_who_never_leads_remembers_little(marking: Marking) -> None:
    for number in range(5):
        await marking.scaled_by(name=f"w{number}")
        await marking.let_go(f"w{number}")
        marking.now += KEPT + 1
    assert len(marking.marker._let_go) == 1


async def test_a_target_without_a_namespace_is_nobody_s(marking: Marking, registry: Registry) -> None:
    """Whoever may write in one namespace changes nothing outside of it."""
    group, plural = "scheduling.k8s.io", "priorityclasses"
    obj: Object = {"apiVersion": f"{group}/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 5}
    await marking.create(group, "v1", plural, obj)
    await marking.marker.start()
    await marking.scaled_by(target={"apiVersion": f"{group}/v1", "kind": "PriorityClass", "name": "high"})
    await marking.marker.queue.idle()
    found = registry.object(registry.kind(group, "v1", plural), "", "high")
    assert constants.RETAIN_REPLICAS not in (found["metadata"].get("labels") or {})
