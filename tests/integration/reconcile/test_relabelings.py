"""Labels of clusters that change, so that much would leave these, wait for an approval."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from kafila.core.values import Object
from kafila.placement.withdrawal import APPROVED, LABELS, approval, waiting
from kafila.reconcile.karmada import relabelings
from kafila.reconcile.karmada.withdrawals import hold

Lab = Any
NAMES = ("a", "b", "c")
PROD = {"matchLabels": {"env": "prod"}}
WHERE = "which their policies do not mean any more"


@contextlib.asynccontextmanager
async def labelled(make_lab: Any, *members: str, **limits: int) -> AsyncIterator[Lab]:
    """Three objects in all members, which have the label that the policy asks for."""
    async with make_lab.running(*members, **limits) as lab:
        for name in members:
            await label(lab, name, "prod")
        policy = lab.policy("policy", select=[{"apiVersion": "v1", "kind": "ConfigMap"}])
        policy["spec"]["placement"] = {"clusterAffinity": {"labelSelector": PROD}}
        await lab.create(policy)
        for name in NAMES:
            await lab.create(lab.config(name))
        await lab.until(lambda: are_in(lab, *members))
        yield lab


async def label(lab: Lab, cluster: str, env: str) -> None:
    await lab.change("Cluster", cluster, lambda obj: obj["metadata"].setdefault("labels", {}).update(env=env))


async def approve(lab: Lab, cluster: str) -> None:
    value = {APPROVED: approval(lab.get("Cluster", cluster))}
    await lab.change("Cluster", cluster, lambda obj: obj["metadata"].setdefault("annotations", {}).update(value))


def are_in(lab: Lab, *clusters: str) -> bool:
    return all(lab.in_clusters("ConfigMap", name) == sorted(clusters) for name in NAMES)


def waits(lab: Lab, cluster: str) -> str:
    obj: Object = lab.get("Cluster", cluster)
    return waiting(obj)


def held() -> float:
    return REGISTRY.get_sample_value("kafila_withdrawals_held_total", {"kind": "Cluster"}) or 0.0


async def test_it_waits_for_an_approval(make_lab: Any) -> None:
    async with labelled(make_lab, "m1", "m2", withdrawal_max_objects=2) as lab:
        before = held()
        await label(lab, "m2", "test")
        await lab.until(lambda: waits(lab, "m2") == f"3 objects leave m2, {WHERE}")
        await lab.rest()
        assert are_in(lab, "m1", "m2")
        assert held() == before + 1
        told = lab.events("Cluster", "m2")
        edition = LABELS.edition(lab.get("Cluster", "m2"))
        text = (
            f"3 objects leave m2, {WHERE}. Nothing is moved until it is approved (kafila approve cluster m2, "
            f"or annotation {APPROVED}: {edition}) or taken back"
        )
        assert ("Warning", "WithdrawalHeld", text, 1) in told
        await lab.change("ConfigMap", "a", lambda obj: obj["data"].update(a="2"))  # all else goes on
        await lab.until(lambda: lab.in_member("m2", "ConfigMap", "a")["data"] == {"a": "2"})
        await lab.create(lab.config("new"))
        await lab.until(lambda: lab.in_clusters("ConfigMap", "new") == ["m1"])
        await approve(lab, "m2")
        await lab.until(lambda: are_in(lab, "m1"))
        approved = ("Normal", "WithdrawalApproved", "What waited is carried out", 1)
        await lab.until(lambda: approved in lab.events("Cluster", "m2"))


async def test_nothing_leaves_while_it_is_being_said(make_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with labelled(make_lab, "m1", "m2", withdrawal_max_objects=2) as lab:
        left: list[str] = []

        async def slow(*arguments: Any) -> None:
            lab.look()
            for _ in range(200):  # the others are decided about meanwhile
                await asyncio.sleep(0)
            left.extend(name for name in NAMES if "m2" not in lab.placed(f"{name}-configmap"))
            await hold(*arguments)

        monkeypatch.setattr(relabelings, "hold", slow)
        await label(lab, "m2", "test")
        await lab.until(lambda: waits(lab, "m2"))
        await lab.rest()
        assert left == []
        assert are_in(lab, "m1", "m2")


async def test_it_can_be_taken_back(make_lab: Any) -> None:
    async with labelled(make_lab, "m1", "m2", withdrawal_max_objects=2) as lab:
        await label(lab, "m2", "test")
        await lab.until(lambda: waits(lab, "m2"))
        await label(lab, "m2", "prod")
        await lab.until(lambda: not waits(lab, "m2"))
        await lab.rest()
        assert are_in(lab, "m1", "m2")


async def test_it_waits_for_whoever_leads_next_too(make_lab: Any) -> None:
    async with labelled(make_lab, "m1", "m2", withdrawal_max_objects=2) as lab:
        await lab.controllers_stop()
        await label(lab, "m2", "test")
        await lab.restart()
        await lab.until(lambda: waits(lab, "m2"))
        await lab.restart()
        await lab.rest()
        assert are_in(lab, "m1", "m2")


async def test_many_clusters_one_after_the_other_are_one_change(make_lab: Any) -> None:
    async with labelled(make_lab, "m1", "m2", "m3", withdrawal_max_clusters=1) as lab:
        await label(lab, "m2", "test")
        await lab.until(lambda: are_in(lab, "m1", "m3"))
        await lab.rest()
        await label(lab, "m3", "test")
        await lab.until(lambda: waits(lab, "m3") == f"3 objects leave m3, {WHERE}; so it is of 2 clusters")
        await lab.rest()
        assert are_in(lab, "m1", "m3")


async def test_a_cluster_expression_too(make_lab: Any) -> None:
    async with labelled(make_lab, "m1", "m2", withdrawal_max_objects=2) as lab:

        def change(obj: Object) -> None:
            obj["spec"]["placement"] = {}
            expression = 'cluster.metadata.labels["env"] == "prod"'
            obj["metadata"].setdefault("annotations", {})["placement.kafila.io/cluster-expression"] = expression

        await lab.change("PropagationPolicy", "policy", change)
        await lab.rest()
        assert are_in(lab, "m1", "m2")
        await label(lab, "m2", "test")
        await lab.until(lambda: waits(lab, "m2"))
        await lab.rest()
        assert are_in(lab, "m1", "m2")


@pytest.mark.parametrize(
    ("limits", "preserve"),
    [({}, False), ({"withdrawal_max_objects": 0, "withdrawal_max_clusters": 0}, False), ({"withdrawal_max_objects": 2}, True)],
)  # fmt: skip
async def test_what_does_not_wait(make_lab: Any, limits: dict[str, int], preserve: bool) -> None:
    async with labelled(make_lab, "m1", "m2", **limits) as lab:
        if preserve:
            await lab.change(
                "PropagationPolicy", "policy", lambda obj: obj["spec"].update(preserveResourcesOnDeletion=True)
            )
            await lab.rest()
        await label(lab, "m2", "test")
        await lab.until(lambda: all(lab.placed(f"{name}-configmap").keys() == {"m1"} for name in NAMES))
        assert not waits(lab, "m2")


async def test_an_edit_of_the_policy_does_not_let_it_slip_through(make_lab: Any) -> None:
    async with labelled(make_lab, "m1", "m2", withdrawal_max_objects=2) as lab:
        await label(lab, "m2", "test")
        await lab.until(lambda: waits(lab, "m2"))
        tolerations = [{"key": "any", "operator": "Exists"}]
        await lab.change(
            "PropagationPolicy", "policy", lambda obj: obj["spec"]["placement"].update(clusterTolerations=tolerations)
        )
        await lab.until(lambda: waiting(lab.get("PropagationPolicy", "policy")))
        await lab.rest()
        assert are_in(lab, "m1", "m2")


async def test_an_approval_of_labels_is_one_of_taints_too(make_lab: Any) -> None:
    settings: Any = {"feature_gates": "Failover=true", "enable_no_execute_taint_eviction": True}
    limits = {"withdrawal_max_objects": 2, "eviction_max_objects": 2, "resource_eviction_rate": 50}
    async with labelled(make_lab, "m1", "m2", **limits, **settings) as lab:

        def change(obj: Object) -> None:
            obj["metadata"]["labels"]["env"] = "test"
            obj["spec"]["taints"] = [{"key": "broken", "effect": "NoExecute"}]

        await lab.change("Cluster", "m2", change)
        both = {f"3 objects leave m2, {WHERE}", "3 objects leave m2 for its taints"}
        await lab.until(lambda: set(waits(lab, "m2").split("; ")) == both)
        await lab.rest()
        assert are_in(lab, "m1", "m2")
        await approve(lab, "m2")
        await lab.until(lambda: are_in(lab, "m1"))
        assert not waits(lab, "m2")
