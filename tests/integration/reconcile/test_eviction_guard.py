"""Taints that would empty very much wait until somebody approves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from kafila.core.metadata import ANNOTATIONS_LIMIT
from kafila.core.values import Object
from kafila.placement.withdrawal import APPROVED, waiting
from kafila.reconcile.karmada.failover import eviction_guard

Lab = Any
TAINT = {"key": "broken", "value": "disk", "effect": "NoExecute"}
SELECT = [{"apiVersion": "v1", "kind": "ConfigMap"}]
NAMES = ("a", "b", "c")


@contextlib.asynccontextmanager
async def guarded(make_lab: Any, *members: str, **limits: int) -> AsyncIterator[Lab]:
    """Three objects in all members."""
    gates = "Failover=true"
    async with make_lab.running(
        *members, feature_gates=gates, enable_no_execute_taint_eviction=True, resource_eviction_rate=50, **limits
    ) as lab:
        await lab.create(lab.policy("policy", *members, select=SELECT))
        for name in NAMES:
            await lab.create(lab.config(name))
        await lab.until(lambda: all(lab.in_clusters("ConfigMap", name) == sorted(members) for name in NAMES))
        yield lab


async def taint(lab: Lab, cluster: str, *taints: Object) -> None:
    await lab.change("Cluster", cluster, lambda obj: obj["spec"].update(taints=list(taints)))


async def approve(lab: Lab, cluster: str) -> None:
    generation = str(lab.get("Cluster", cluster)["metadata"]["generation"])
    await lab.change(
        "Cluster", cluster, lambda obj: obj["metadata"].setdefault("annotations", {}).update({APPROVED: generation})
    )


def placed(lab: Lab) -> list[list[str]]:
    return [sorted(lab.placed(f"{name}-configmap")) for name in NAMES]


async def test_too_many_objects_wait(make_lab: Any) -> None:
    async with guarded(make_lab, "m1", "m2", eviction_max_objects=2) as lab:
        await taint(lab, "m2", TAINT)
        await lab.until(lambda: waiting(lab.get("Cluster", "m2")) == "3 objects leave m2 for its taints")
        await lab.rest()
        assert placed(lab) == [["m1", "m2"]] * 3
        assert any(told[1] == "WithdrawalHeld" for told in lab.events("Cluster", "m2"))
        await approve(lab, "m2")
        await lab.until(lambda: placed(lab) == [["m1"]] * 3)
        told = ("Normal", "WithdrawalApproved", "What waited is carried out", 1)
        await lab.until(lambda: told in lab.events("Cluster", "m2"))


async def test_what_tolerates_a_taint_no_more_is_counted_too(make_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction_guard, "AGAIN", 0.0)
    monkeypatch.setattr(eviction_guard, "SHARE", 0)
    async with guarded(make_lab, "m1", "m2", eviction_max_objects=2) as lab:
        tolerations = [{"key": "broken", "operator": "Exists", "effect": "NoExecute"}]
        await lab.change(
            "PropagationPolicy", "policy", lambda obj: obj["spec"]["placement"].update(clusterTolerations=tolerations)
        )
        select = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "other"}]
        await lab.create(lab.policy("others", "m1", "m2", select=select))
        await lab.create(lab.config("other"))
        await lab.until(lambda: lab.in_clusters("ConfigMap", "other") == ["m1", "m2"])
        await lab.rest()
        await taint(lab, "m2", TAINT)
        await lab.until(lambda: sorted(lab.placed("other-configmap")) == ["m1"])
        assert placed(lab) == [["m1", "m2"]] * 3
        await lab.change("PropagationPolicy", "policy", lambda obj: obj["spec"]["placement"].pop("clusterTolerations"))
        await lab.until(lambda: waiting(lab.get("Cluster", "m2")))  # though they come one after the other
        await lab.rest()
        assert sum(each == ["m1", "m2"] for each in placed(lab)) >= 2


async def test_too_many_clusters_wait_and_go_on_when_one_is_well_again(make_lab: Any) -> None:
    async with guarded(make_lab, "m1", "m2", "m3", eviction_max_clusters=1) as lab:
        await lab.controllers_stop()  # whoever leads next finds both tainted
        await taint(lab, "m2", TAINT)
        await taint(lab, "m3", TAINT)
        await lab.restart()
        await lab.until(lambda: waiting(lab.get("Cluster", "m2")) and waiting(lab.get("Cluster", "m3")))
        await lab.rest()
        assert placed(lab) == [["m1", "m2", "m3"]] * 3
        assert waiting(lab.get("Cluster", "m2")).endswith("; 2 clusters are to be emptied at once")
        await taint(lab, "m3")
        await lab.until(lambda: placed(lab) == [["m1", "m3"]] * 3)


async def test_an_approval_is_of_one_cluster(make_lab: Any) -> None:
    async with guarded(make_lab, "m1", "m2", "m3", eviction_max_clusters=1, eviction_max_objects=1) as lab:
        await taint(lab, "m2", TAINT)
        await taint(lab, "m3", TAINT)
        await lab.until(lambda: waiting(lab.get("Cluster", "m2")) and waiting(lab.get("Cluster", "m3")))
        await approve(lab, "m2")
        await lab.until(lambda: placed(lab) == [["m1", "m3"]] * 3)
        await lab.rest()
        assert waiting(lab.get("Cluster", "m3"))
        assert placed(lab) == [["m1", "m3"]] * 3


async def test_within_the_limits_nothing_waits(make_lab: Any) -> None:
    async with guarded(make_lab, "m1", "m2", eviction_max_objects=3, eviction_max_clusters=1) as lab:
        await taint(lab, "m2", TAINT)
        await lab.until(lambda: placed(lab) == [["m1"]] * 3)
        assert not waiting(lab.get("Cluster", "m2"))


async def test_a_binding_that_somebody_has_broken_keeps_nobody_waiting(make_lab: Any) -> None:
    async with guarded(make_lab, "m1", "m2") as lab:
        broken = {"policy.karmada.io/applied-placement": "[]"}
        await lab.change("ResourceBinding", "c-configmap", lambda obj: obj["metadata"]["annotations"].update(broken))
        await taint(lab, "m2", TAINT)
        await lab.until(lambda: placed(lab)[:2] == [["m1"]] * 2)


async def test_what_could_not_be_said_is_tried_again(make_lab: Any) -> None:
    """Nobody would know of a cluster that is held and does not say so."""

    def tried() -> float:
        return REGISTRY.get_sample_value("workqueue_retries_total", {"name": "taint-eviction"}) or 0.0

    async with guarded(make_lab, "m1", "m2", eviction_max_objects=2) as lab:
        filler = {"filler": "x" * (ANNOTATIONS_LIMIT - len("filler"))}  # there is no room for one more
        await lab.change("Cluster", "m2", lambda obj: obj["metadata"].update(annotations=filler))
        before = tried()
        await taint(lab, "m2", TAINT)
        await lab.until(lambda: tried() >= before + len(NAMES), "what is said is refused")
        assert not waiting(lab.get("Cluster", "m2"))
        await lab.change("Cluster", "m2", lambda obj: obj["metadata"]["annotations"].clear())
        await lab.until(lambda: waiting(lab.get("Cluster", "m2")) == "3 objects leave m2 for its taints")
        await lab.rest()
        assert placed(lab) == [["m1", "m2"]] * 3


async def test_a_cluster_that_is_held_is_looked_at_when_that_changes_only(make_lab: Any) -> None:
    def looks() -> float:
        return REGISTRY.get_sample_value("workqueue_adds_total", {"name": "taint-eviction"}) or 0.0

    async with guarded(make_lab, "m1", "m2", "m3", eviction_max_objects=2) as lab:
        await taint(lab, "m2", TAINT)
        await lab.until(lambda: waiting(lab.get("Cluster", "m2")))
        await lab.rest()
        before = looks()
        await approve(lab, "m3")
        await lab.rest()
        assert looks() == before, "an approval is of one cluster"
        await lab.change("Cluster", "m3", lambda obj: obj["spec"].update(zone="elsewhere"))
        await lab.rest()
        assert looks() - before <= 1, (
            "whether a change of another cluster frees it is one question, and not one for each binding"
        )
        assert placed(lab) == [["m1", "m2", "m3"]] * 3
        await approve(lab, "m2")
        await lab.until(lambda: placed(lab) == [["m1", "m3"]] * 3)


async def test_a_further_change_of_a_held_cluster_is_another_question(make_lab: Any) -> None:
    async with guarded(make_lab, "m1", "m2", eviction_max_objects=2) as lab:
        await taint(lab, "m2", TAINT)
        await lab.until(lambda: waiting(lab.get("Cluster", "m2")))
        await taint(lab, "m2", TAINT, {**TAINT, "key": "also"})
        await lab.rest()
        assert waiting(lab.get("Cluster", "m2")) == "3 objects leave m2 for its taints"
        await taint(lab, "m2")
        await lab.rest()
        await taint(lab, "m2", TAINT)
        await lab.until(lambda: waiting(lab.get("Cluster", "m2")))
        await lab.rest()
        assert placed(lab) == [["m1", "m2"]] * 3
