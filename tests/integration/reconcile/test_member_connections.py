"""The connections of members: what lives in one ends with it, whenever that is."""

from __future__ import annotations

import asyncio
from typing import Any, final

import pytest
from prometheus_client import REGISTRY

from kafila.core.conditions import is_true
from kafila.reconcile.karmada.member import cluster_status
from kafila.reconcile.karmada.member.cluster_status import ClusterStatus
from kafila.registry import Options
from kafila.watch import Event

from .conftest import PATIENCE, Lab


@final
class Slow:
    """A controller whose first end takes for ever."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def start(self) -> None:
        pass

    async def stop(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
            await asyncio.Event().wait()


async def test_a_connection_that_is_being_left_when_everything_stops_is_closed(two: Lab) -> None:
    connection = two.controllers.member_manager.get("m1")
    assert connection is not None
    status, slow = connection.controllers[0], Slow()
    connection.controllers.append(slow)
    await two.change("Cluster", "m1", lambda obj: obj["spec"].update(apiEndpoint="https://elsewhere.internal"))
    await asyncio.wait_for(slow.asked.wait(), PATIENCE)
    await two.controllers.stop()
    assert status._task.done()  # type: ignore[attr-defined]


async def test_the_first_summary_does_not_wait_for_a_whole_period(
    make_lab: type[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when nodes and pods come to be known while the member is asked for its kinds."""
    starting: list[Any] = []
    start, ask = ClusterStatus.start, cluster_status.observe

    def noted(status: ClusterStatus) -> None:
        starting.append(status)
        start(status)

    async def slow(*arguments: Any) -> Any:
        for informer in starting[0]._informers:
            await informer.synced.wait()
        return await ask(*arguments)

    monkeypatch.setattr(ClusterStatus, "start", noted)
    monkeypatch.setattr(cluster_status, "observe", slow)
    lab = await make_lab(cluster_status_frequency=600.0).start()
    try:
        await lab.join("m1")
    finally:
        await lab.close()


async def test_a_status_is_brought_back_without_looking_for_drift(two: Lab) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}}
    await two.create(service | {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}})
    await two.create(two.policy("policy", "m1", select=[{"apiVersion": "v1", "kind": "Service", "name": "web"}]))
    await two.until(lambda: two.in_member("m1", "Service", "web"))
    await two.rest()

    async def in_member(subresource: str, **change: Any) -> float:
        member = two.members["m1"].registry
        await member.modify(two.kind("Service"), "default", "web", lambda obj: obj | change, Options(), subresource)
        await two.rest()
        return REGISTRY.get_sample_value("workqueue_adds_total", {"name": "execution/m1"}) or 0.0

    looked = await in_member("", spec=two.in_member("m1", "Service", "web")["spec"] | {"sessionAffinity": "ClientIP"})
    assert two.in_member("m1", "Service", "web")["spec"]["sessionAffinity"] == "None"  # drift was corrected
    assert await in_member("status", status={"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}) == looked
    ingress = two.get("Service", "web")["status"]["loadBalancer"]["ingress"]
    assert ingress == [{"ip": "192.0.2.7", "ipMode": "VIP"}]


async def test_the_queues_of_a_member_that_left_are_measured_no_more(two: Lab) -> None:
    def measured(cluster: str) -> set[tuple[str, str]]:
        """Labels that are a queue's own name."""
        return {
            (label, value)
            for metric in REGISTRY.collect()
            for sample in metric.samples
            for label, value in sample.labels.items()
            if label in ("name", "controller") and value.endswith(f"/{cluster}")
        }

    await two.rest()
    of_each = ("endpointslice-collect", "execution", "workStatus")
    assert measured("m2") == {("name", f"{each}/m2") for each in of_each}, "controllers are those of all members"
    await two.delete("Cluster", "m2")
    await two.rest()
    assert two.get("Cluster", "m2") == {}
    assert measured("m2") == set()
    assert measured("m1") == {("name", f"{each}/m1") for each in of_each}


async def test_how_long_a_member_may_fail_before_it_counts_is_a_setting(make_lab: type[Lab]) -> None:
    lab = await make_lab(cluster_failure_threshold=0.0, cluster_success_threshold=0.0).start()
    await lab.join("m1")
    connection = lab.controllers.member_manager.get("m1")
    assert connection is not None
    transport: Any = connection.client._transport
    there = transport.app

    async def away(*arguments: Any) -> None:
        raise ConnectionError("nobody is there")

    try:
        transport.app = away
        await lab.until(lambda: not lab.is_true(lab.get("Cluster", "m1"), "Ready"), "the member is gone")
        transport.app = there
        await lab.until(lambda: lab.is_true(lab.get("Cluster", "m1"), "Ready"), "the member is back")
    finally:
        await lab.close()


async def test_a_member_is_ready_when_its_resource_summary_is_known(
    make_lab: type[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever places something at once must not take it for full."""
    monkeypatch.setattr(cluster_status, "FIRST_SUMMARY", PATIENCE)
    release, asked, ask = asyncio.Event(), asyncio.Event(), cluster_status.observe
    follow = cluster_status.Informer.run

    async def held(informer: Any) -> None:
        await release.wait()
        await follow(informer)

    async def noted(*arguments: Any) -> Any:
        found = await ask(*arguments)
        asked.set()
        return found

    monkeypatch.setattr(cluster_status.Informer, "run", held)
    monkeypatch.setattr(cluster_status, "observe", noted)
    lab = await make_lab().start()
    try:
        joining = asyncio.create_task(lab.join("m1"))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        for _ in range(100):
            await asyncio.sleep(0)
        assert lab.condition(lab.get("Cluster", "m1"), "Ready") == {}
        release.set()
        await joining
        assert lab.get("Cluster", "m1")["status"]["resourceSummary"]["allocatable"]["cpu"] == "16"
    finally:
        await lab.close()


async def test_it_is_also_known_when_the_lists_come_while_the_member_is_asked(
    make_lab: type[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its first answer is there, and after it was asked for: that answer has no summary yet."""
    ask, follow = cluster_status.observe, cluster_status.Informer.run
    informers: list[Any] = []
    asked = asyncio.Event()

    async def held(informer: Any) -> None:
        informers.append(informer)
        await asked.wait()
        await follow(informer)

    async def slow(*arguments: Any) -> Any:
        found = await ask(*arguments)
        asked.set()
        for informer in informers:
            await informer.synced.wait()
        return found

    monkeypatch.setattr(cluster_status.Informer, "run", held)
    monkeypatch.setattr(cluster_status, "observe", slow)
    lab = await make_lab().start()
    unknown: list[Any] = []

    def seen(event: Event) -> None:
        status = (event.new.decode() if event.new is not None else {}).get("status") or {}
        if is_true(status.get("conditions"), "Ready") and "resourceSummary" not in status:
            unknown.append(status)

    lab.registry.cache.listen("clusters.cluster.karmada.io", seen)
    try:
        await lab.join("m1")
        assert not unknown
    finally:
        await lab.close()
