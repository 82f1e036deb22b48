"""The roles of an agent end with its Cluster, and with its being in Pull mode."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.karmada.agent_roles import agent_roles
from kafila.reconcile.karmada.cluster import controller

Lab = Any  # of conftest
GROUP = "rbac.authorization.k8s.io"


def left(lab: Lab) -> int:
    cache, found = lab.registry.cache, 0
    for role in agent_roles("edge", "karmada-cluster", "karmada-es-edge"):
        resource = f"{role['kind'].lower()}s.{GROUP}"
        found += cache.get(resource, role["metadata"].get("namespace", ""), role["metadata"]["name"]) is not None
    return found


async def registered(lab: Lab) -> None:
    for role in agent_roles("edge", "karmada-cluster", "karmada-es-edge"):
        if role["metadata"].get("namespace") != "karmada-es-edge":
            await lab.create(role)


@pytest.mark.parametrize("mode", ["Push", "Pull"])
async def test_the_roles_of_an_agent_end(lab: Lab, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "SEES_END", 2.0)
    await registered(lab)
    spec = {"syncMode": mode, "apiEndpoint": "https://edge.internal"}
    head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster"}
    await lab.create({**head, "metadata": {"name": "edge"}, "spec": spec})
    await lab.until(lambda: "finalizers" in lab.get("Cluster", "edge")["metadata"])
    assert left(lab) == (4 if mode == "Pull" else 0)
    await lab.delete("Cluster", "edge")
    await lab.until(lambda: not lab.get("Cluster", "edge"))
    assert left(lab) == (2 if mode == "Pull" else 0)  # the agent sees that its Cluster is gone
    await lab.restart()
    await lab.until(lambda: left(lab) == 0)
