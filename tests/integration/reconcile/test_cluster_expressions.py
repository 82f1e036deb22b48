"""Policies that choose clusters by an expression, as clusters and expressions change."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object
from kafila.placement.cluster_expression import ANNOTATION
from kafila.placement.withdrawal import APPROVED, edition, waiting
from kafila.reconcile.karmada.scheduler import context

Lab = Any
CONFIGS = [{"apiVersion": "v1", "kind": "ConfigMap"}]


def by(lab: Lab, expression: str) -> Object:
    made: Object = lab.policy("policy", select=CONFIGS)
    return {**made, "metadata": {**made["metadata"], "annotations": {ANNOTATION: expression}}}


async def express(lab: Lab, text: str) -> None:
    await lab.change(
        "PropagationPolicy",
        "policy",
        lambda obj: obj["metadata"].setdefault("annotations", {}).update({ANNOTATION: text}),
    )


async def test_copies_follow_clusters_and_expressions(two: Lab, monkeypatch: Any) -> None:
    monkeypatch.setattr(context, "AT_ONCE", 0)  # evaluated in a thread, as for a large fleet
    await two.create(by(two, "cluster.spec.provider == 'own'"))
    await two.create(two.config())
    await two.until(lambda: _reason(two) == "NoClusterFit")
    await two.change("Cluster", "m2", lambda obj: obj["spec"].update({"provider": "own"}))
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m2"])
    await express(two, "cluster.metadata.name == 'm1'")
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m1"])


async def test_a_status_that_matches_at_last_is_noticed(two: Lab) -> None:
    await two.create(by(two, "cluster.status.?kubernetesVersion.orValue('') == 'v9.0.0'"))
    await two.create(two.config())
    await two.until(lambda: _reason(two) == "NoClusterFit")
    await two.rest()
    await two.look_away()
    await two.change(
        "Cluster", "m1", lambda obj: obj["status"].update({"kubernetesVersion": "v9.0.0"}), subresource="status"
    )
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m1"])


async def test_an_expression_that_takes_much_away_waits(make_lab: Any) -> None:
    lab = await make_lab(withdrawal_max_objects=1).start()
    try:
        await lab.join("m1", "m2")
        await lab.create(by(lab, "true"))
        for name in ("a", "b"):
            await lab.create(lab.config(name))
        await lab.until(lambda: all(lab.in_clusters("ConfigMap", name) == ["m1", "m2"] for name in ("a", "b")))
        await express(lab, "cluster.metadata.name == 'm1'")
        await lab.until(lambda: waiting(lab.get("PropagationPolicy", "policy")))
        assert waiting(lab.get("PropagationPolicy", "policy")) == "2 objects leave 1 clusters: m2 (2)"
        await lab.rest()
        assert lab.in_clusters("ConfigMap", "a") == ["m1", "m2"]
        assert lab.get("ResourceBinding", "a-configmap")["metadata"]["annotations"][ANNOTATION] == "true"
        approved = edition(lab.get("PropagationPolicy", "policy"))
        await lab.change(
            "PropagationPolicy", "policy", lambda obj: obj["metadata"]["annotations"].update({APPROVED: approved})
        )
        await lab.until(lambda: all(lab.in_clusters("ConfigMap", name) == ["m1"] for name in ("a", "b")))
        await express(lab, "cluster.metadata.name == 'm2'")  # another question, of the same generation
        await lab.until(lambda: waiting(lab.get("PropagationPolicy", "policy")))
        assert lab.in_clusters("ConfigMap", "a") == ["m1"]
    finally:
        await lab.close()


def _reason(lab: Lab, name: str = "settings") -> str:
    found = lab.get("ResourceBinding", f"{name}-configmap") or {}
    return next((c["reason"] for c in found.get("status", {}).get("conditions", ()) if c["type"] == "Scheduled"), "")


async def test_of_many_that_wait_for_one_cluster_each_is_noticed(two: Lab) -> None:
    """More than are asked again at a time."""
    names = [f"e{index}" for index in range(20)]
    for index, name in enumerate(names):
        made = two.policy(name, select=[{**CONFIGS[0], "name": name}])
        made["metadata"]["annotations"] = {
            ANNOTATION: f"cluster.status.?kubernetesVersion.orValue('') == 'v9.{index}.0'"
        }
        await two.create(made)
        await two.create(two.config(name))
    await two.until(lambda: all(_reason(two, name) == "NoClusterFit" for name in names))
    await two.rest()
    await two.look_away()
    for index in (19, 3):
        await two.change(
            "Cluster",
            "m1",
            lambda obj, index=index: obj["status"].update({"kubernetesVersion": f"v9.{index}.0"}),
            subresource="status",
        )
        await two.until(lambda index=index: two.in_clusters("ConfigMap", f"e{index}") == ["m1"])
