"""Kinds of others are divided, placed whole, judged and summed without a customization."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from tests.integration.reconcile import third_party as parties

Lab = Any  # of conftest
ONE = [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]
CLONE_SET, VOLCANO = ("apps.kruise.io/v1alpha1", "CloneSet"), ("batch.volcano.sh/v1alpha1", "Job")


def pods(cpu: str) -> Object:
    return {"spec": {"containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}]}}


def selecting(api_version: str, kind: str) -> list[Object]:
    return [{"apiVersion": api_version, "kind": kind, "name": "it"}]


async def test_replicas_are_divided_and_statuses_summed(lab: Lab) -> None:
    await lab.join("m1", "m2")
    await parties.know(lab, *CLONE_SET)
    clone_set = parties.object_of(*CLONE_SET, {"replicas": 4, "template": pods("100m")})
    divided = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}
    await lab.create(lab.policy(select=selecting(*CLONE_SET), scheduling=divided))
    await parties.create(lab, clone_set)
    await lab.rest()
    for member in ("m1", "m2"):
        copy = parties.stored(lab.members[member].registry, clone_set)
        assert copy["spec"]["replicas"] == 2
        seen = {"observedGeneration": copy["metadata"]["generation"], "labelSelector": "app=it"}
        numbers = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), 2)
        await parties.write_status(lab, member, clone_set, {**seen, **numbers, "extra": "stays there"})
    revision = await lab.rest()
    template = parties.stored(lab.registry, clone_set)
    assert template["status"] == {
        "observedGeneration": template["metadata"]["generation"],
        "replicas": 4,
        "readyReplicas": 4,
        "availableReplicas": 4,
        "updatedReplicas": 4,
        "updatedReadyReplicas": 0,
        "expectedUpdatedReplicas": 0,
        "updateRevision": "",
        "currentRevision": "",
        "labelSelector": "app=it",
    }
    items = lab.get("ResourceBinding", "it-cloneset")["status"]["aggregatedStatus"]
    assert [item["health"] for item in items] == ["Healthy", "Healthy"]
    lab.resync_controllers()
    assert await lab.rest() == revision, lab.log_after(revision)


@pytest.mark.parametrize("fits", [True, False])
async def test_components_go_to_the_cluster_that_has_room_for_all_of_them(make_lab: type[Any], fits: bool) -> None:
    lab = await make_lab(feature_gates="MultiplePodTemplatesScheduling=true").start()
    try:
        await lab.join("small", cpu="4")
        await lab.join("large", cpu="16" if fits else "4")
        await parties.know(lab, *VOLCANO)
        master = {"name": "master", "minAvailable": 1, "template": pods("1")}
        workers = {"name": "worker", "replicas": 9, "minAvailable": 3, "template": pods("2")}
        job = parties.object_of(*VOLCANO, {"minAvailable": 4, "tasks": [master, workers]})
        divided = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}
        await lab.create(
            lab.policy(select=selecting(*VOLCANO), scheduling=divided, placement={"spreadConstraints": ONE})
        )
        await parties.create(lab, job)
        await lab.rest()
        binding = lab.get("ResourceBinding", "it-job")
        assert binding["spec"]["components"] == [
            {"name": "master", "replicas": 1, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}},
            {"name": "worker", "replicas": 3, "replicaRequirements": {"resourceRequest": {"cpu": "2"}}},
        ]
        if fits:
            (target,) = binding["spec"]["clusters"]
            assert target["name"] == "large"
            assert [(part["name"], part["replicas"]) for part in target["components"]] == [("master", 1), ("worker", 3)]
        else:
            assert not binding["spec"].get("clusters"), "no half of it"
            assert lab.condition(binding, "Scheduled")["status"] == "False"
        holders = [m for m in lab.members if parties.stored(lab.members[m].registry, job)]
        assert holders == (["large"] if fits else [])
    finally:
        await lab.close()


async def test_a_customization_goes_first_operation_by_operation(lab: Lab) -> None:
    await lab.join("m1")
    await parties.know(lab, *CLONE_SET)
    sick = "function InterpretHealth(obj) return false end"
    await lab.create(
        {
            "apiVersion": "config.karmada.io/v1alpha1",
            "kind": "ResourceInterpreterCustomization",
            "metadata": {"name": "sick"},
            "spec": {
                "target": {"apiVersion": CLONE_SET[0], "kind": CLONE_SET[1]},
                "customizations": {"healthInterpretation": {"luaScript": sick}},
            },
        }
    )
    clone_set = parties.object_of(*CLONE_SET, {"replicas": 1, "template": pods("100m")})
    await lab.create(lab.policy(select=selecting(*CLONE_SET)))
    await parties.create(lab, clone_set)
    await lab.rest()
    status = {"observedGeneration": 1, "replicas": 1, "availableReplicas": 1, "updatedReplicas": 1, "extra": 1}
    await parties.write_status(lab, "m1", clone_set, status)
    await lab.rest()
    (item,) = lab.get("ResourceBinding", "it-cloneset")["status"]["aggregatedStatus"]
    assert item["health"] == "Unhealthy"
    assert item["status"] == {
        **{key: value for key, value in status.items() if key != "extra"},
        "generation": 1,
        "resourceTemplateGeneration": 1,
    }
