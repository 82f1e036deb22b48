"""Clusters in pull mode, without an agent: what the control plane does by itself."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from kafila.core.values import Object
from kafila.reconcile.karmada import deleted_works
from kafila.reconcile.karmada.cluster.health_monitor import HealthMonitor
from kafila.store.interface import StoreUnavailable
from kafila.store.memory import MemoryStore

from .conftest import PATIENCE

Lab = Any  # of conftest

READY = {
    "type": "Ready",
    "status": "True",
    "reason": "ClusterReady",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def lease(renewed: int) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "edge", "namespace": "karmada-cluster"},
        "spec": {"holderIdentity": "edge", "renewTime": f"2026-01-01T00:00:{renewed:02}.000000Z"},
    }


async def joined(lab: Lab) -> None:
    spec = {"syncMode": "Pull", "apiEndpoint": "https://edge.internal"}
    cluster = {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "edge"},
        "spec": spec,
    }
    await lab.create(cluster)
    await lab.until(lambda: lab.get("Namespace", "karmada-es-edge"))


async def reports(lab: Lab) -> None:
    apis = [{"groupVersion": "apps/v1", "resources": [{"name": "deployments", "kind": "Deployment"}]}]

    def report(cluster: Object) -> None:
        cluster["status"] = {"conditions": [dict(READY)], "apiEnablements": apis}

    await lab.change("Cluster", "edge", report, subresource="status")


def ready(lab: Lab) -> tuple[str, str]:
    found = lab.condition(lab.get("Cluster", "edge"), "Ready")
    return found.get("status", ""), found.get("reason", "")


def taints(lab: Lab) -> list[str]:
    return [taint["key"] for taint in lab.get("Cluster", "edge")["spec"].get("taints", ())]


async def test_one_that_never_reports_is_unknown(make_lab: type[Lab]) -> None:
    lab = await make_lab(cluster_startup_grace_period=0.2).start()
    try:
        await joined(lab)
        await lab.until(lambda: ready(lab) == ("Unknown", "ClusterStatusNeverUpdated"))
        await lab.until(lambda: taints(lab) == ["cluster.karmada.io/unreachable"])
        await lab.rest()
        ((kind, reason, message, _),) = [e for e in lab.events("Cluster", "edge") if e[1].startswith("ClusterStatus")]
        assert (kind, reason) == ("Warning", "ClusterStatusNeverUpdated")
        assert "Its agent has not renewed its lease for" in message
    finally:
        await lab.close()


async def test_one_whose_lease_is_renewed_is_not_until_that_ends(make_lab: type[Lab]) -> None:
    lab = await make_lab(cluster_monitor_grace_period=1.0).start()
    try:
        await joined(lab)
        await lab.create(lease(0))
        await reports(lab)
        await lab.until(lambda: taints(lab) == [])
        await lab.until(lambda: ready(lab) == ("Unknown", "ClusterStatusUnknown"))
        await lab.until(lambda: taints(lab) == ["cluster.karmada.io/unreachable"])
        await reports(lab)
        await lab.until(lambda: taints(lab) == [] and ready(lab)[0] == "True")
    finally:
        await lab.close()


async def test_works_that_somebody_deletes_come_back_a_while_later(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleted_works, "PAUSE", 0.5)
    await joined(lab)
    await reports(lab)
    await lab.until(lambda: taints(lab) == [])
    await lab.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    await lab.create(lab.policy("policy", "edge"))
    await lab.create(lab.deployment())

    def works() -> set[str]:
        return {work["metadata"]["name"].rpartition("-")[0] for work in lab.list("Work")}

    await lab.until(lambda: works() == {"shop", "web"})
    for work in lab.list("Work"):  # as the agent of a cluster that is unregistered does
        name, space = work["metadata"]["name"], work["metadata"]["namespace"]
        await lab.delete("Work", name, space)
        await lab.change("Work", name, lambda obj: obj["metadata"].pop("finalizers"), space)
    await lab.until(lambda: works() == set())
    await lab.until(lambda: works() == {"shop", "web"})
    await lab.delete("Cluster", "edge")
    await lab.change(
        "Cluster", "edge", lambda obj: obj["status"]["conditions"][0].update(status="Unknown"), subresource="status"
    )
    await lab.until(lambda: lab.get("Cluster", "edge") == {} and works() == set())


async def test_a_work_that_we_deleted_is_made_again_at_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleted_works, "PAUSE", 3600.0)
    await joined(lab)
    await reports(lab)
    await lab.until(lambda: taints(lab) == [])
    await lab.create(lab.policy("policy", "edge"))

    def works() -> list[Object]:
        return [work for work in lab.list("Work") if work["metadata"]["name"].startswith("web-")]

    for _ in range(2):
        await lab.create(lab.deployment())
        await lab.until(lambda: len(works()) == 1)
        await lab.delete("Deployment", "web")
        await lab.until(lambda: all("deletionTimestamp" in work["metadata"] for work in works()))
        (name,) = [work["metadata"]["name"] for work in works()]
        await lab.change("Work", name, lambda obj: obj["metadata"].pop("finalizers"), "karmada-es-edge")
        await lab.until(lambda: works() == [])


@pytest.mark.parametrize("away", [("commit", "head"), ("commit",)], ids=["away", "read-only"])
async def test_one_that_could_not_renew_its_lease_is_not_unknown(
    make_lab: type[Lab], monkeypatch: pytest.MonkeyPatch, away: tuple[str, ...]
) -> None:
    grace = 3.0
    lab = await make_lab(cluster_monitor_grace_period=grace).start()
    late, judged = asyncio.Event(), asyncio.Event()
    look = HealthMonitor._look
    over = 0.0

    async def refuse(*arguments: Any) -> Any:
        if time.monotonic() > over:
            late.set()
        raise StoreUnavailable("away")

    async def looked(self: HealthMonitor) -> float:
        try:
            return await look(self)
        finally:
            judged.set()

    try:
        await joined(lab)
        await lab.create(lease(0))
        await reports(lab)
        await lab.until(lambda: taints(lab) == [])
        monkeypatch.setattr(HealthMonitor, "_look", looked)
        with monkeypatch.context() as patch:
            for method in away:
                patch.setattr(MemoryStore, method, refuse)
            over = time.monotonic() + grace
            await asyncio.wait_for(late.wait(), PATIENCE)
        judged.clear()
        await asyncio.wait_for(judged.wait(), PATIENCE)  # who failed meanwhile has tried again, but for the agent
        await lab.change("Lease", "edge", lambda obj: obj.update(spec=lease(1)["spec"]), "karmada-cluster")
        assert ready(lab) == ("True", "ClusterReady")
        assert taints(lab) == []
        await lab.until(lambda: ready(lab) == ("Unknown", "ClusterStatusUnknown"))
    finally:
        await lab.close()
