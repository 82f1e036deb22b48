"""Workloads of several pod templates (gate MultiplePodTemplatesScheduling)."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object

Lab = Any  # of conftest
COMPONENTS = """
function GetComponents(obj)
  return {{name = "driver", replicas = 1}, {name = "worker", replicas = tonumber(obj.data.workers)}}
end
"""


def labels(obj: Object) -> Object:
    return {**obj["metadata"]["labels"], "mine": "yes"}


async def test_all_components_go_to_one_cluster_and_rest_there(make_lab: type[Any]) -> None:
    lab = await make_lab(feature_gates="MultiplePodTemplatesScheduling=true").start()
    try:
        await lab.join("m1", "m2")
        await lab.create(
            {
                "apiVersion": "config.karmada.io/v1alpha1",
                "kind": "ResourceInterpreterCustomization",
                "metadata": {"name": "jobs"},
                "spec": {
                    "target": {"apiVersion": "v1", "kind": "ConfigMap"},
                    "customizations": {"componentResource": {"luaScript": COMPONENTS}},
                },
            }
        )
        one = [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]
        divided = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}
        select = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]
        await lab.create(lab.policy(select=select, scheduling=divided, placement={"spreadConstraints": one}))
        job = lab.config()
        job["data"]["workers"] = "3"
        await lab.create(job)
        await lab.rest()
        binding = lab.get("ResourceBinding", "settings-configmap")
        assert binding["spec"]["components"] == [{"name": "driver", "replicas": 1}, {"name": "worker", "replicas": 3}]
        assert lab.condition(binding, "Scheduled")["reason"] == "Success"
        (target,) = binding["spec"]["clusters"]
        assert target["components"] == binding["spec"]["components"]
        assert lab.in_clusters("ConfigMap", "settings") == [target["name"]]
        await lab.change(
            "ResourceBinding", "settings-configmap", lambda obj: obj["metadata"].update(labels=labels(obj))
        )
        assert lab.get("ResourceBinding", "settings-configmap")["spec"]["clusters"] == [target], "others may write it"
        revision = await lab.rest()
        lab.resync_controllers()
        assert await lab.rest() == revision, lab.log_after(revision)
    finally:
        await lab.close()
