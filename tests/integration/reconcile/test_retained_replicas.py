"""Autoscalers that work in the members: what they scale keeps its replicas there, and the template's follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.core.values import Object

LABEL = "resourcetemplate.karmada.io/retain-replicas"


@pytest.fixture
async def marking(make_lab: Any) -> AsyncIterator[Any]:
    async with make_lab.running("m1", "m2", controllers="*,hpaScaleTargetMarker,deploymentReplicasSyncer") as lab:
        select = [
            {"apiVersion": "apps/v1", "kind": "Deployment"},
            {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"},
        ]
        weights = [{"targetCluster": {"clusterNames": [name]}, "weight": 1} for name in ("m1", "m2")]
        divided = {
            "replicaSchedulingType": "Divided",
            "replicaDivisionPreference": "Weighted",
            "weightPreference": {"staticWeightList": weights},
        }
        await lab.create(lab.policy("policy", "m1", "m2", select=select, scheduling=divided))
        yield lab


def hpa(name: str = "web", target: str = "web") -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": 1,
            "maxReplicas": 9,
        },
    }


def label(lab: Any, name: str = "web") -> str | None:
    return (lab.get("Deployment", name)["metadata"].get("labels") or {}).get(LABEL)


async def scaled_in(lab: Any, member: str, replicas: int) -> None:
    """As an autoscaler there does it."""
    registry = lab.members[member].registry

    def changed(obj: Object) -> Object:
        obj["spec"]["replicas"] = replicas
        return obj

    await registry.modify(lab.kind("Deployment"), "default", "web", changed, lab.user)


async def test_what_an_autoscaler_scales_in_the_members_is_marked(marking: Any) -> None:
    await marking.create(marking.deployment())
    await marking.create(marking.deployment("other"))
    await marking.rest()
    assert label(marking) is None
    await marking.create(hpa())
    await marking.until(lambda: label(marking) == "true")
    await marking.create(hpa("second"))
    await marking.rest()

    def elsewhere(obj: Object) -> None:
        obj["spec"]["scaleTargetRef"]["name"] = "other"

    await marking.change("HorizontalPodAutoscaler", "web", elsewhere)
    await marking.until(lambda: label(marking, "other") == "true")
    await marking.rest()
    assert label(marking) == "true", "the second one still scales it"
    await marking.delete("HorizontalPodAutoscaler", "second")
    await marking.until(lambda: label(marking) is None)
    await marking.delete("HorizontalPodAutoscaler", "web")
    await marking.until(lambda: label(marking, "other") is None)


async def test_the_label_of_somebody_else_stays(marking: Any) -> None:
    obj = marking.deployment()
    obj["metadata"]["labels"][LABEL] = "true"
    await marking.create(obj)
    await marking.create(hpa("other", "other"))
    await marking.delete("HorizontalPodAutoscaler", "other")
    await marking.rest()
    assert label(marking) == "true"


async def test_a_kind_that_nobody_knows_is_told_of(marking: Any) -> None:
    obj = hpa()
    obj["spec"]["scaleTargetRef"] |= {"apiVersion": "example.com/v1", "kind": "Nothing"}
    await marking.create(obj)
    text = 'no matches for kind "Nothing" in version "example.com/v1"'
    said = lambda name: [each[1:3] for each in marking.events("HorizontalPodAutoscaler", name)]  # noqa: E731
    await marking.until(lambda: ("FailedMarkScaleTarget", text) in said("web"))

    obj = hpa("outside", "cluster-admin")  # whose target has no namespace, and is nobody's in this one
    obj["spec"]["scaleTargetRef"] |= {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    await marking.create(obj)
    text = 'clusterroles.rbac.authorization.k8s.io "cluster-admin" not found'
    await marking.until(lambda: ("FailedMarkScaleTarget", text) in said("outside"))
    assert LABEL not in (marking.get("ClusterRole", "cluster-admin")["metadata"].get("labels") or {})


async def test_the_templates_replicas_follow_the_members(marking: Any) -> None:
    await marking.create(marking.deployment(replicas=4))
    await marking.create(hpa())
    await marking.until(lambda: label(marking) == "true")
    await marking.until(lambda: marking.placed("web-deployment") == {"m1": 2, "m2": 2})
    await marking.rest()
    await scaled_in(marking, "m1", 5)
    await marking.until(lambda: marking.get("Deployment", "web")["spec"]["replicas"] == 7)
    await marking.rest()
    assert marking.in_member("m1", "Deployment", "web")["spec"]["replicas"] == 5
    assert marking.in_member("m2", "Deployment", "web")["spec"]["replicas"] == 2


async def test_without_the_label_members_are_put_right(marking: Any) -> None:
    await marking.create(marking.deployment(replicas=4))
    await marking.until(lambda: marking.placed("web-deployment") == {"m1": 2, "m2": 2})
    await marking.rest()
    await scaled_in(marking, "m1", 5)
    await marking.until(lambda: marking.in_member("m1", "Deployment", "web")["spec"]["replicas"] == 2)
    assert marking.get("Deployment", "web")["spec"]["replicas"] == 4


async def test_they_run_only_where_they_are_named(make_lab: Any) -> None:
    lab = await make_lab().start()
    try:
        running = {controller.name for controller in lab.controllers._controllers}
        assert not {"hpaScaleTargetMarker", "deploymentReplicasSyncer"} & running
        assert {"hpaScaleTargetMarker", "deploymentReplicasSyncer"} <= lab.controllers.names
    finally:
        await lab.close()
