"""propagateDeps over simulated members: what a workload needs goes where the workload goes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kafila.core.values import Object
from kafila.placement import constants

from .conftest import Lab

LABEL = constants.depended_by_label("default", "web-deployment")


def workload(lab: Lab, name: str = "web", config: str = "settings", secret: str = "") -> Object:
    """A Deployment that reads a ConfigMap, and perhaps a Secret."""
    obj = lab.deployment(name)
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container["envFrom"] = [{"configMapRef": {"name": config}}]
    if secret:
        container["envFrom"].append({"secretRef": {"name": secret}})
    return obj


def policy(lab: Lab, name: str = "policy", *clusters: str, of: str = "web", **spec: Any) -> Object:
    select = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": of}]
    return lab.policy(name, *clusters, select=select, **{"propagateDeps": True, **spec})


def follower(lab: Lab, name: str = "settings-configmap") -> Object:
    return lab.get("ResourceBinding", name)


def required(binding: Object) -> dict[str, list[str]]:
    return {
        each["name"]: [target["name"] for target in each.get("clusters") or ()]
        for each in binding.get("spec", {}).get("requiredBy") or ()
    }


async def test_a_config_follows_its_deployment(two: Lab) -> None:
    await two.create(two.config())
    await two.create(policy(two, "policy", "m1"))
    await two.create(workload(two))
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1"]
    parent, binding = two.get("ResourceBinding", "web-deployment"), follower(two)
    assert orjson.loads(parent["metadata"]["annotations"][constants.RB_DEPENDENCIES]) == [
        {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "settings"}
    ]
    assert constants.FINALIZER_DEPENDENCIES in parent["metadata"]["finalizers"]
    assert binding["metadata"]["labels"][LABEL] == parent["metadata"]["labels"][constants.RB_PERMANENT_ID]
    assert binding["metadata"]["ownerReferences"][0]["kind"] == "ConfigMap"
    assert "placement" not in binding["spec"]
    assert required(binding) == {"web-deployment": ["m1"]}
    assert two.is_true(binding, "FullyApplied")
    conflicts = two.events("Deployment", "web")
    text = (
        "Get dependencies([{APIVersion:v1 Kind:ConfigMap Namespace:default Name:settings LabelSelector:nil}]) succeed."
    )
    assert ("Normal", "GetDependenciesSucceed", text, 1) in conflicts
    done = ("Normal", "SyncScheduleResultToDependenciesSucceed", "Sync schedule results to dependencies succeed.", 1)
    assert done in two.events("ResourceBinding", "web-deployment")

    await two.change("PropagationPolicy", "policy", lambda p: p["spec"].update(placement={}))
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1", "m2"]
    await two.counted()
    revision = await two.rest()
    two.resync_controllers()
    assert await two.rest() == revision, two.log_after(revision)


async def test_a_config_that_comes_later_changes_and_goes(two: Lab) -> None:
    await two.create(policy(two, "policy", "m1"))
    await two.create(workload(two))
    await two.rest()
    assert follower(two) == {}
    created = await two.create(two.config())
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1"]
    assert follower(two)["spec"]["resource"]["resourceVersion"] == created["metadata"]["resourceVersion"]

    await two.change("ConfigMap", "settings", lambda c: c["data"].update(a="2"))
    await two.rest()
    assert two.in_member("m1", "ConfigMap", "settings")["data"] == {"a": "2"}

    await two.delete("ConfigMap", "settings")
    await two.rest()
    assert follower(two) == {}
    assert two.in_clusters("ConfigMap", "settings") == []
    await two.create(two.config())
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1"]


async def test_a_config_no_longer_needed_leaves_the_members(two: Lab) -> None:
    await two.create(two.config())
    await two.create(two.config("other"))
    await two.create(policy(two))
    await two.create(workload(two))
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1", "m2"]

    def use_other(obj: Object) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "other"}}]

    await two.change("Deployment", "web", use_other)
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == []
    assert two.in_clusters("ConfigMap", "other") == ["m1", "m2"]
    # as in Karmada the binding stays, without anybody who needs it, until its object goes
    left = follower(two)
    assert LABEL not in left["metadata"]["labels"]
    assert left["spec"].keys() == {"resource", "conflictResolution"}  # which is Abort by default


@pytest.mark.parametrize("how", ["policy", "deployment"])
async def test_the_end_of_following(two: Lab, how: str) -> None:
    await two.create(two.config())
    await two.create(policy(two))
    await two.create(workload(two))
    await two.rest()
    if how == "policy":
        await two.change("PropagationPolicy", "policy", lambda p: p["spec"].update(propagateDeps=False))
    else:
        await two.delete("Deployment", "web")
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == []
    assert required(follower(two)) == {}
    parent = two.get("ResourceBinding", "web-deployment")
    if how == "policy":
        assert constants.FINALIZER_DEPENDENCIES not in parent["metadata"]["finalizers"]
        assert two.in_clusters("Deployment", "web") == ["m1", "m2"]
    else:
        assert parent == {}


async def test_two_workloads_share_a_config(two: Lab) -> None:
    await two.create(two.config())
    await two.create(policy(two, "one", "m1"))
    await two.create(policy(two, "two", "m2", of="job", conflictResolution="Overwrite"))
    await two.create(workload(two))
    await two.create(workload(two, "job"))
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1", "m2"]
    binding = follower(two)
    assert required(binding) == {"web-deployment": ["m1"], "job-deployment": ["m2"]}
    assert binding["spec"]["conflictResolution"] == "Overwrite"
    assert binding["spec"]["preserveResourcesOnDeletion"] is False
    conflict = "Dependency policy conflict detected: ConflictResolution conflicted (Overwrite vs Abort)."
    assert [e[:3] for e in two.events("ResourceBinding", "settings-configmap") if e[0] == "Warning"] == [
        ("Warning", "DependencyPolicyConflict", conflict)
    ]
    await two.delete("Deployment", "job")
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1"]
    assert follower(two)["spec"]["conflictResolution"] == "Abort"


async def test_a_conflict_is_recorded_again_when_it_is_another_one(two: Lab) -> None:
    """Nothing is stored anew of what both need: one of two fields is in conflict still."""

    def conflicts() -> list[str]:
        return [e[2] for e in two.events("ResourceBinding", "settings-configmap") if e[1] == "DependencyPolicyConflict"]

    await two.create(two.config())
    await two.create(policy(two, "one", "m1"))
    both = {"conflictResolution": "Overwrite", "preserveResourcesOnDeletion": True}
    await two.create(policy(two, "two", "m2", of="job", **both))
    await two.create(workload(two))
    await two.create(workload(two, "job"))
    await two.until(lambda: any("; " in text for text in conflicts()))
    await two.rest()
    before = follower(two)
    await two.change("PropagationPolicy", "one", lambda obj: obj["spec"].update(preserveResourcesOnDeletion=True))
    one = "Dependency policy conflict detected: ConflictResolution conflicted (Overwrite vs Abort)."
    await two.until(lambda: one in conflicts())
    assert follower(two) == before
    await two.rest()
    assert conflicts().count(one) == 1
    # another one is left when one of those who disagree goes
    await two.create(policy(two, "three", "m2", of="third", conflictResolution="Overwrite"))
    await two.create(workload(two, "third"))
    await two.until(lambda: len(required(follower(two))) == 3)
    await two.rest()
    await two.delete("Deployment", "web")
    other = "Dependency policy conflict detected: PreserveResourcesOnDeletion conflicted (true vs false)."
    await two.until(lambda: other in conflicts())


async def test_a_config_with_a_policy_of_its_own(two: Lab) -> None:
    await two.create(two.config())
    await two.create(policy(two, "policy", "m1"))
    await two.create(workload(two))
    await two.rest()
    select = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]
    await two.create(two.policy("own", "m2", select=select, conflictResolution="Overwrite"))
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1", "m2"]
    binding = follower(two)
    assert two.placed("settings-configmap") == {"m2": None}
    assert required(binding) == {"web-deployment": ["m1"]}
    await two.delete("Deployment", "web")
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m2"]
    assert follower(two)["spec"]["conflictResolution"] == "Overwrite"


async def test_a_service_import_brings_its_service_and_slices(two: Lab) -> None:
    metadata = {"name": "shop", "namespace": "default"}
    await two.create(
        {
            "apiVersion": "multicluster.x-k8s.io/v1alpha1",
            "kind": "ServiceImport",
            "metadata": metadata,
            "spec": {"type": "ClusterSetIP", "ports": [{"port": 80, "protocol": "TCP"}]},
        }
    )
    select = [{"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceImport", "name": "shop"}]
    made = await two.create(two.policy("policy", "m1", select=select))
    assert made["spec"]["propagateDeps"] is True
    await two.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "derived-shop", "namespace": "default"},
            "spec": {"ports": [{"port": 80, "protocol": "TCP"}]},
        }
    )
    for name, service in (("a", "derived-shop"), ("b", "another")):
        await two.create(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "labels": {"kubernetes.io/service-name": service},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.1.2.3"]}],
                "ports": [{"port": 80, "protocol": "TCP", "name": ""}],
            }
        )
    await two.rest()
    assert two.in_clusters("Service", "derived-shop") == ["m1"]
    assert two.in_clusters("EndpointSlice", "a") == ["m1"]
    assert two.in_clusters("EndpointSlice", "b") == []

    marks = {"kubernetes.io/service-name": "derived-shop"}
    await two.change("EndpointSlice", "b", lambda s: s["metadata"].update(labels=marks))
    await two.change("EndpointSlice", "a", lambda s: s["metadata"].update(labels={}))
    await two.rest()
    assert two.in_clusters("EndpointSlice", "a") == []
    assert two.in_clusters("EndpointSlice", "b") == ["m1"]


async def test_without_the_gate_nothing_follows(make_lab: type[Lab]) -> None:
    lab = await make_lab(feature_gates="PropagateDeps=false").start()
    try:
        await lab.join("m1")
        await lab.create(lab.config())
        await lab.create(policy(lab))
        await lab.create(workload(lab))
        await lab.rest()
        assert lab.in_clusters("Deployment", "web") == ["m1"]
        assert follower(lab) == {}
    finally:
        await lab.close()


async def test_another_process_goes_on(two: Lab) -> None:
    """What happened to dependents and parents while no controller ran is seen at the start."""
    await two.create(two.config())
    await two.create(policy(two))
    await two.create(workload(two))
    await two.rest()
    await two.controllers_stop()
    await two.delete("Deployment", "web")
    await two.create(workload(two, "job"))
    await two.create(policy(two, "two", "m2", of="job"))
    await two.restart()
    await two.rest()
    assert required(follower(two)) == {"job-deployment": ["m2"]}
    assert two.in_clusters("ConfigMap", "settings") == ["m2"]
