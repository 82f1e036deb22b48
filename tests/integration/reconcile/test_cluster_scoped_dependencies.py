"""propagateDeps with what has no namespace: a binding in each namespace where a workload needs it, one Work in each member."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kafila.core.values import Object
from kafila.placement import constants

from .conftest import Lab

CALLED = "reader-clusterrole"
BY_LABEL = """
function GetDependencies(obj)
  local found = {}
  if obj.metadata.labels.role ~= nil then
    found[1] = {apiVersion = 'rbac.authorization.k8s.io/v1', kind = 'ClusterRole', name = obj.metadata.labels.role}
  end
  return found
end"""


def customization(script: str = BY_LABEL) -> Object:
    return {
        "apiVersion": "config.karmada.io/v1alpha1",
        "kind": "ResourceInterpreterCustomization",
        "metadata": {"name": "dependencies"},
        "spec": {
            "target": {"apiVersion": "apps/v1", "kind": "Deployment"},
            "customizations": {"dependencyInterpretation": {"luaScript": script}},
        },
    }


def naming(**reference: str) -> Object:
    """A script that always tells of one dependent."""
    fields = ", ".join(f"{field} = '{value}'" for field, value in reference.items())
    return customization(f"function GetDependencies(obj) return {{{{{fields}}}}} end")


def role(name: str = "reader", verb: str = "get", **labels: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}],
    }


async def namespace(lab: Lab, name: str) -> None:
    await lab.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


async def workload(lab: Lab, *clusters: str, where: str = "default", role: str = "reader", **spec: Any) -> None:
    """A Deployment that needs a ClusterRole, and its policy."""
    deployment = lab.deployment(role=role)
    deployment["metadata"]["namespace"] = where
    await lab.create(deployment)
    await lab.create(lab.policy("policy", *clusters, namespace=where, **{"propagateDeps": True, **spec}))


def own_policy(lab: Lab, *clusters: str, **spec: Any) -> Object:
    select = [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "reader"}]
    return lab.policy("own", *clusters, select=select, namespace="", **spec)


def follower(lab: Lab, where: str = "default", name: str = CALLED) -> Object:
    return lab.get("ResourceBinding", name, where)


def work(lab: Lab, member: str) -> Object:
    name = constants.work_name("ClusterRole", "reader", "")
    return lab.get("Work", name, constants.execution_namespace(member))


def whose(lab: Lab, member: str) -> str:
    """The namespace of the binding that a Work was last written for."""
    notes = work(lab, member)["metadata"]["annotations"]
    found: str = notes[constants.RB_NAMESPACE]
    return found


def applied(binding: Object) -> list[str]:
    items = binding.get("status", {}).get("aggregatedStatus") or ()
    return [item["clusterName"] for item in items if item.get("applied")]


async def is_settled(lab: Lab) -> None:
    """Looking at everything again changes nothing (but what members tell of themselves)."""
    revision = await lab.rest()
    lab.resync_controllers()
    await lab.rest()
    assert [entry for entry in lab.log_after(revision) if entry[0] != "clusters.cluster.karmada.io"] == []


async def test_a_role_follows_a_deployment(two: Lab) -> None:
    await two.create(customization())
    created = await two.create(role())
    await workload(two, "m1")
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader") == ["m1"]
    parent, binding = two.get("ResourceBinding", "web-deployment"), follower(two)
    assert orjson.loads(parent["metadata"]["annotations"][constants.RB_DEPENDENCIES]) == [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "reader"}
    ]
    assert binding["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]
    assert "namespace" not in binding["spec"]["resource"]
    assert applied(binding) == ["m1"]
    assert two.is_true(binding, "FullyApplied")
    assert two.get("ClusterResourceBinding", CALLED) == {}
    synced = f"Sync work of ResourceBinding(default/{CALLED}) successful."
    told = [event for event in two.list("Event") if event["message"] == synced]
    assert {(event["involvedObject"]["kind"], event["source"]["component"]) for event in told} == {
        ("ResourceBinding", "binding-controller"),
        ("ClusterRole", "binding-controller"),
    }
    await is_settled(two)

    await two.change("ClusterRole", "reader", lambda r: r["rules"][0].update(verbs=["list"]))
    await two.change("PropagationPolicy", "policy", lambda p: p["spec"].update(placement={}))
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader") == ["m1", "m2"]
    assert two.in_member("m1", "ClusterRole", "reader")["rules"][0]["verbs"] == ["list"]

    await two.delete("Deployment", "web")
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader") == []
    assert "requiredBy" not in follower(two)["spec"]
    await is_settled(two)
    await two.delete("ClusterRole", "reader")
    await two.rest()
    assert follower(two) == {}


async def test_what_is_needed_changes(two: Lab) -> None:
    await two.create(customization())
    await two.create(role())
    await workload(two, "m1", role="later")
    await two.rest()
    await two.create(role("later"))
    await two.rest()
    assert two.in_clusters("ClusterRole", "later") == ["m1"]
    await two.change("Deployment", "web", lambda d: d["metadata"]["labels"].update(role="reader"))
    await two.rest()
    assert two.in_clusters("ClusterRole", "later") == []
    assert two.in_clusters("ClusterRole", "reader") == ["m1"]
    await two.delete("ClusterRole", "reader")
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader") == []
    assert work(two, "m1") == {}
    await two.create(role(verb="list"))
    await two.rest()
    assert two.in_member("m1", "ClusterRole", "reader")["rules"][0]["verbs"] == ["list"]


async def test_roles_follow_by_their_labels(two: Lab) -> None:
    script = """
function GetDependencies(obj)
  local selector = {matchLabels = {readers = 'yes'}}
  return {{apiVersion = 'rbac.authorization.k8s.io/v1', kind = 'ClusterRole', labelSelector = selector}}
end"""
    await two.create(customization(script))
    await two.create(role("one", readers="yes"))
    await two.create(role("two"))
    await workload(two, "m1")
    await two.rest()
    assert [two.in_clusters("ClusterRole", name) for name in ("one", "two")] == [["m1"], []]
    await two.change("ClusterRole", "one", lambda r: r["metadata"].update(labels={}))
    await two.change("ClusterRole", "two", lambda r: r["metadata"].update(labels={"readers": "yes"}))
    await two.rest()
    assert [two.in_clusters("ClusterRole", name) for name in ("one", "two")] == [[], ["m1"]]


@pytest.mark.parametrize("which", ["default", "other"])
async def test_two_namespaces_share_a_role(two: Lab, which: str) -> None:
    """The younger binding's word counts in a member where both need it; whoever stays keeps it there."""
    await namespace(two, "other")
    await two.create(customization())
    await two.create(role())
    await workload(two)
    await two.rest()
    assert [whose(two, member) for member in ("m1", "m2")] == ["default", "default"]
    await workload(two, "m2", where="other", conflictResolution="Overwrite")
    await two.rest()
    assert [whose(two, member) for member in ("m1", "m2")] == ["default", "other"]
    resolution = [work(two, m)["metadata"]["annotations"][constants.CONFLICT_RESOLUTION] for m in ("m1", "m2")]
    assert resolution == ["abort", "overwrite"]
    assert [applied(follower(two, where)) for where in ("default", "other")] == [["m1", "m2"], ["m2"]]
    assert all(two.is_true(follower(two, where), "FullyApplied") for where in ("default", "other"))
    await is_settled(two)

    uid = two.in_member("m2", "ClusterRole", "reader")["metadata"]["uid"]
    await two.delete("Deployment", "web", which)
    await two.rest()
    stay = {"default": (["m2"], "other"), "other": (["m1", "m2"], "default")}[which]
    assert (two.in_clusters("ClusterRole", "reader"), whose(two, "m2")) == stay
    assert two.in_member("m2", "ClusterRole", "reader")["metadata"]["uid"] == uid  # it was never away
    await is_settled(two)

    await two.delete("ClusterRole", "reader")
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader") == []
    assert [work(two, member) for member in ("m1", "m2")] == [{}, {}]
    assert [follower(two, where) for where in ("default", "other")] == [{}, {}]


async def test_a_namespace_that_shared_a_role_goes(two: Lab) -> None:
    await namespace(two, "other")
    await two.create(customization())
    await two.create(role())
    await workload(two, "m1")
    await two.rest()
    await workload(two, where="other")
    await two.rest()
    assert [whose(two, member) for member in ("m1", "m2")] == ["other", "other"]
    await two.delete("Namespace", "other")
    await two.rest()
    assert follower(two, "other") == {}
    assert two.in_clusters("ClusterRole", "reader") == ["m1"]
    assert whose(two, "m1") == "default"
    await is_settled(two)


async def test_a_role_with_a_policy_of_its_own(two: Lab) -> None:
    """Where both want it, it stays until neither does; marks of the one that has gone go too."""
    await two.create(customization())
    await two.create(role())
    await workload(two, "m1")
    await two.rest()
    await two.create(own_policy(two))
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader") == ["m1", "m2"]
    own = two.get("ClusterResourceBinding", CALLED)
    assert (applied(own), applied(follower(two))) == (["m1", "m2"], ["m1"])
    marks = [work(two, member)["metadata"]["labels"].keys() for member in ("m1", "m2")]
    assert [constants.RB_PERMANENT_ID in each for each in marks] == [True, False]
    assert all(constants.CRB_PERMANENT_ID in each for each in marks)
    await is_settled(two)

    await two.delete("Deployment", "web")
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader") == ["m1", "m2"]
    assert constants.RB_PERMANENT_ID not in work(two, "m1")["metadata"]["labels"]
    assert constants.RB_NAME not in work(two, "m1")["metadata"]["annotations"]
    assert applied(follower(two)) == []
    await is_settled(two)


async def test_a_policy_of_its_own_moves_away(two: Lab) -> None:
    await two.create(customization())
    await two.create(role())
    await two.create(own_policy(two, "m1"))
    await two.rest()
    await workload(two, "m1")
    await two.rest()
    await two.change("ClusterPropagationPolicy", "own", lambda p: p["spec"].update(own_policy(two, "m2")["spec"]), "")
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader") == ["m1", "m2"]
    marks = [work(two, member)["metadata"]["labels"].keys() for member in ("m1", "m2")]
    assert [constants.RB_PERMANENT_ID in each for each in marks] == [True, False]
    assert [constants.CRB_PERMANENT_ID in each for each in marks] == [False, True]
    await is_settled(two)


async def test_the_status_of_all_members_is_summed_up(two: Lab) -> None:
    """Two bindings of one object do not overwrite each other's sum."""
    await namespace(two, "other")
    summing = naming(apiVersion="v1", kind="PersistentVolume", name="disk")
    await two.create(summing)
    counting = """
function AggregateStatus(desired, items)
  desired.status = {phase = 'Available', message = tostring(#items)}
  return desired
end"""
    await two.create(
        {
            "apiVersion": "config.karmada.io/v1alpha1",
            "kind": "ResourceInterpreterCustomization",
            "metadata": {"name": "sums"},
            "spec": {
                "target": {"apiVersion": "v1", "kind": "PersistentVolume"},
                "customizations": {"statusAggregation": {"luaScript": counting}},
            },
        }
    )
    await two.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "disk"},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/disk"},
            },
        }
    )
    await workload(two, "m1")
    await workload(two, "m2", where="other")
    await two.rest()
    assert two.in_clusters("PersistentVolume", "disk") == ["m1", "m2"]
    assert two.get("PersistentVolume", "disk")["status"]["message"] == "2"
    two.resync_controllers()
    await two.rest()
    assert two.get("PersistentVolume", "disk")["status"]["message"] == "2"
    await is_settled(two)


async def test_overrides_of_what_follows(two: Lab) -> None:
    """Those of the cluster scope; whatever was changed while no process ran is found at the start."""
    await two.create(customization())
    await two.create(role())
    await workload(two)
    await two.rest()
    override = {
        "resourceSelectors": [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}],
        "overrideRules": [
            {
                "targetCluster": {"clusterNames": ["m1"]},
                "overriders": {"labelsOverrider": [{"operator": "add", "value": {"a": "1"}}]},
            }
        ],
    }
    meta: Object = {"name": "labels"}
    wide = {"apiVersion": "policy.karmada.io/v1alpha1", "kind": "ClusterOverridePolicy", "metadata": meta}
    await two.create({**wide, "spec": override})
    await two.rest()
    assert two.in_member("m1", "ClusterRole", "reader")["metadata"]["labels"]["a"] == "1"
    assert "a" not in two.in_member("m2", "ClusterRole", "reader")["metadata"]["labels"]
    await two.controllers_stop()
    await two.delete("ClusterOverridePolicy", "labels", "")
    await two.restart()
    await two.rest()
    assert "a" not in two.in_member("m1", "ClusterRole", "reader")["metadata"]["labels"]


async def test_another_process_goes_on(two: Lab) -> None:
    """What happened to parents while no controller ran is seen at the start."""
    await namespace(two, "other")
    await two.create(customization())
    await two.create(role())
    await workload(two)
    await two.rest()
    await two.controllers_stop()
    await two.delete("Deployment", "web")
    await workload(two, "m2", where="other")
    await two.restart()
    await two.rest()
    assert two.in_clusters("ClusterRole", "reader") == ["m2"]
    assert whose(two, "m2") == "other"


async def test_a_reference_with_the_wrong_scope_names_nothing(two: Lab) -> None:
    await namespace(two, "other")
    await two.create(role())
    await two.create(two.config("reader"))
    for wrong in (
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "namespace": "default"},
        {"apiVersion": "v1", "kind": "ConfigMap"},
    ):
        await two.create(naming(**wrong, name="reader"))
        await workload(two)
        await two.rest()
        assert (
            two.get("ResourceBinding", "web-deployment")["metadata"]["annotations"][constants.RB_DEPENDENCIES] != "null"
        )
        bindings = [binding["metadata"]["name"] for binding in two.list("ResourceBinding")]
        assert bindings == ["web-deployment"]
        for kind in ("PropagationPolicy", "ResourceInterpreterCustomization", "Deployment"):
            name = {"PropagationPolicy": "policy", "Deployment": "web"}.get(kind, "dependencies")
            await two.delete(kind, name)
        await two.rest()


async def test_a_namespace_that_a_workload_names_goes_everywhere_anyway(two: Lab) -> None:
    await namespace(two, "other")
    await two.create(naming(apiVersion="v1", kind="Namespace", name="other"))
    await workload(two, "m1")
    await two.rest()
    assert two.in_clusters("Namespace", "other") == ["m1", "m2"]
    await is_settled(two)
    await two.delete("Deployment", "web")
    await two.rest()
    assert two.in_clusters("Namespace", "other") == ["m1", "m2"]


async def test_a_dependent_in_another_namespace_does_not_follow(two: Lab) -> None:
    """A binding cannot be owned by an object of another namespace: garbage collection takes it away, once."""
    await namespace(two, "other")
    config = two.config("far")
    config["metadata"]["namespace"] = "other"
    await two.create(config)
    await two.create(naming(apiVersion="v1", kind="ConfigMap", namespace="other", name="far"))
    await workload(two)
    await two.rest()
    assert two.in_clusters("ConfigMap", "far", "other") == []
