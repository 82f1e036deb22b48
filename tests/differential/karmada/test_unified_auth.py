"""The same roles and bindings make the same Works for impersonation as in Karmada 1.18.2 (unified_auth.json, recorded by unified_auth.py)."""

from __future__ import annotations

import json
from typing import Any

from unified_auth import CLUSTERS, NAMES, RECORDED, STEPS, in_short, normal

from tests.integration.reconcile.conftest import _known_queues, lab

__all__ = ["_known_queues", "lab"]


async def test_the_works_are_karmadas(lab: Any) -> None:
    for cluster in CLUSTERS:
        reference = {"namespace": "karmada-cluster", "name": f"{cluster}-impersonator"}
        await lab.join(cluster, impersonatorSecretRef=reference)
    states = []
    for step in STEPS:
        for each in step:
            await _done(lab, each)
        await lab.rest()
        states.append(
            {
                cluster: {kind: normal(lab.get("Work", name, f"karmada-es-{cluster}")) for kind, name in NAMES.items()}
                for cluster in CLUSTERS
            }
        )
    ours, theirs = in_short(states), json.loads(RECORDED.read_text())
    assert ours["works"] == theirs["works"]
    for step, our, their in zip(STEPS, ours["impersonated"], theirs["impersonated"], strict=True):
        assert our == their, step


async def _done(lab: Any, each: Any) -> None:
    if isinstance(each, str):
        kind, _, name = each.partition("/")
        await lab.delete({"clusterrole": "ClusterRole", "clusterrolebinding": "ClusterRoleBinding"}[kind], name)
    elif lab.get(each["kind"], each["metadata"]["name"]):
        await lab.change(each["kind"], each["metadata"]["name"], lambda obj: obj.update(rules=each["rules"]))
    else:
        await lab.create(each)
