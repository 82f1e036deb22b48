"""ResourceInterpreterCustomization over simulated members: scripts say what kinds mean."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.placement import constants

from .conftest import Lab

FIELDS = {
    "Retain": "retention",
    "InterpretReplica": "replicaResource",
    "InterpretComponent": "componentResource",
    "ReviseReplica": "replicaRevision",
    "InterpretStatus": "statusReflection",
    "AggregateStatus": "statusAggregation",
    "InterpretHealth": "healthInterpretation",
    "InterpretDependency": "dependencyInterpretation",
}


def customization(name: str, kind: str, **scripts: str) -> Object:
    api_version = "v1" if kind == "ConfigMap" else "apps/v1"
    return {
        "apiVersion": "config.karmada.io/v1alpha1",
        "kind": "ResourceInterpreterCustomization",
        "metadata": {"name": name},
        "spec": {
            "target": {"apiVersion": api_version, "kind": kind},
            "customizations": {FIELDS[operation]: {"luaScript": script} for operation, script in scripts.items()},
        },
    }


def config_policy(lab: Lab, *clusters: str, **spec: Any) -> Object:
    select = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]
    return lab.policy("policy", *clusters, select=select, **spec)


DIVIDED = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {
        "staticWeightList": [
            {"targetCluster": {"clusterNames": ["m1"]}, "weight": 1},
            {"targetCluster": {"clusterNames": ["m2"]}, "weight": 2},
        ]
    },
}
WORKERS = {
    "InterpretReplica": """
local kube = require("kube")
function GetReplicas(obj)
  return tonumber(obj.data.workers), kube.accuratePodRequirements({spec = {containers = {
    {name = "c", resources = {requests = {cpu = kube.resourceAdd("100m", "0.4")}}}}}})
end""",
    "ReviseReplica": """
function ReviseReplica(obj, desired)
  obj.data.workers = tostring(desired)
  return obj
end""",
}


def workers(lab: Lab, count: int = 6) -> Object:
    return {**lab.config(), "data": {"workers": str(count)}}


def share(lab: Lab, member: str) -> str | None:
    return lab.in_member(member, "ConfigMap", "settings").get("data", {}).get("workers")


async def test_replicas_are_interpreted_and_divided(two: Lab) -> None:
    await two.create(customization("workers", "ConfigMap", **WORKERS))
    await two.create(config_policy(two, scheduling=DIVIDED))
    await two.create(workers(two))
    await two.rest()
    binding = two.get("ResourceBinding", "settings-configmap")
    assert binding["spec"]["replicas"] == 6
    assert binding["spec"]["replicaRequirements"]["resourceRequest"] == {"cpu": "500m"}
    assert (share(two, "m1"), share(two, "m2")) == ("2", "4")
    await two.change("ConfigMap", "settings", lambda c: c["data"].update(workers="9"))
    await two.rest()
    assert (share(two, "m1"), share(two, "m2")) == ("3", "6")
    revision = await two.rest()
    two.resync_controllers()
    assert await two.rest() == revision, two.log_after(revision)


async def test_a_customization_comes_changes_and_goes(two: Lab) -> None:
    await two.create(config_policy(two, scheduling=DIVIDED))
    await two.create(workers(two))
    await two.rest()
    assert (share(two, "m1"), share(two, "m2")) == ("6", "6")
    await two.create(customization("workers", "ConfigMap", **WORKERS))
    await two.rest()
    assert (share(two, "m1"), share(two, "m2")) == ("2", "4")
    half = "function GetReplicas(obj) return tonumber(obj.data.workers) / 2 end"

    def halve(obj: Object) -> None:
        obj["spec"]["customizations"]["replicaResource"]["luaScript"] = half

    await two.change("ResourceInterpreterCustomization", "workers", halve)
    await two.rest()
    assert (share(two, "m1"), share(two, "m2")) == ("1", "2")
    await two.delete("ResourceInterpreterCustomization", "workers")
    await two.rest()
    assert (share(two, "m1"), share(two, "m2")) == ("6", "6")


async def test_status_and_health_of_a_kind_without_native_ones(two: Lab) -> None:
    """And where there are native ones, the script comes first."""
    scripts = {
        "InterpretStatus": "function ReflectStatus(obj) return {ready = obj.status.readyReplicas, name = obj.metadata.name} end",
        "InterpretHealth": "function InterpretHealth(obj) return obj.metadata.labels.well == 'true' end",
        "AggregateStatus": """
function AggregateStatus(desired, items)
  local total = 0
  for _, item in ipairs(items) do total = total + item.status.ready end
  desired.status = {replicas = total * 100, readyReplicas = total, conditions = {}}
  return desired
end""",
    }
    await two.create(customization("deployments", "Deployment", **scripts))
    await two.create(two.policy())
    await two.create(two.deployment(well="true"))
    await two.rest()
    binding = two.get("ResourceBinding", "web-deployment")
    items = binding["status"]["aggregatedStatus"]
    assert [(item["health"], item["status"]) for item in items] == [("Healthy", {"ready": 2, "name": "web"})] * 2
    assert two.get("Deployment", "web")["status"] == {"replicas": 400, "readyReplicas": 4}
    await two.change("Deployment", "web", lambda d: d["metadata"]["labels"].update(well="false"))
    await two.rest()
    items = two.get("ResourceBinding", "web-deployment")["status"]["aggregatedStatus"]
    assert [item["health"] for item in items] == ["Unhealthy", "Unhealthy"]


async def test_what_the_member_decides_is_retained(two: Lab) -> None:
    script = "function Retain(desired, observed) desired.data.node = observed.data.node return desired end"
    await two.create(customization("nodes", "ConfigMap", Retain=script))
    await two.create(config_policy(two, "m1"))
    await two.create(two.config())
    await two.rest()
    member = two.members["m1"].registry
    kind = two.kind("ConfigMap")

    def decided(obj: Object) -> Object:
        obj["data"] = {"a": "changed", "node": "n1"}
        return obj

    await member.modify(kind, "default", "settings", decided, two.user)
    await two.rest()
    assert two.in_member("m1", "ConfigMap", "settings")["data"] == {"a": "1", "node": "n1"}


async def test_dependencies_of_several_customizations_add_up(two: Lab) -> None:
    first = """
function GetDependencies(obj)
  return {{apiVersion = "v1", kind = "ConfigMap", namespace = obj.metadata.namespace, name = "settings"}}
end"""
    second = """
function GetDependencies(obj)
  local found = {}
  found[1] = {apiVersion = "v1", kind = "ConfigMap", namespace = obj.metadata.namespace, name = "settings"}
  found[2] = {apiVersion = "v1", kind = "ConfigMap", namespace = obj.metadata.namespace, name = "other"}
  return found
end"""
    await two.create(customization("one", "Deployment", InterpretDependency=first))
    await two.create(customization("two", "Deployment", InterpretDependency=second))
    for name in ("settings", "other"):
        await two.create(two.config(name))
    await two.create(two.policy("policy", "m1", propagateDeps=True))
    await two.create(two.deployment())
    await two.rest()
    written = two.get("ResourceBinding", "web-deployment")["metadata"]["annotations"][constants.RB_DEPENDENCIES]
    assert [each["name"] for each in orjson.loads(written)] == ["other", "settings"]
    assert two.in_clusters("ConfigMap", "other") == two.in_clusters("ConfigMap", "settings") == ["m1"]


async def test_a_loop_of_dependencies_is_recorded(two: Lab) -> None:
    own = """
function GetDependencies(obj)
  return {{apiVersion = obj.apiVersion, kind = obj.kind, namespace = obj.metadata.namespace, name = obj.metadata.name},
    {apiVersion = "v1", kind = "ConfigMap", namespace = "default", name = "settings"}}
end"""
    await two.create(customization("own", "Deployment", InterpretDependency=own))
    await two.create(two.config())
    await two.create(two.policy("policy", "m1", propagateDeps=True))
    await two.create(two.deployment())
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m1"])
    warnings = ("Warning", "SyncScheduleResultToDependenciesFailed", "Deployment(default/web) depends on itself")
    await two.until(lambda: warnings in [event[:3] for event in two.events("ResourceBinding", "web-deployment")])


FAILING = {
    "error": (
        "function GetReplicas(obj)\n  return obj.spec.nothing.there\nend",
        "<string>:2: attempt to index field 'nothing'",
    ),
    "forever": ("function GetReplicas(obj)\n  while true do end\nend", "<string>:2: the script ran longer than 1 s"),
    "memory": (
        "function GetReplicas(obj) local s = 'x' while true do s = s .. s end end",
        "the script needs more than 64 MiB",
    ),
    "wrong": ("function GetReplicas(obj) return 'three' end", "result type string is not number"),
    "absent": ("function Replicas(obj) return 3 end", "not found function GetReplicas"),
}


@pytest.mark.parametrize("how", FAILING)
async def test_a_script_that_fails_says_what_and_where(two: Lab, how: str) -> None:
    script, expected = FAILING[how]
    await two.create(customization("bad", "Deployment", InterpretReplica=script))
    await two.create(two.policy())
    await two.create(two.deployment())
    await two.create(config_policy(two) | {"metadata": {"name": "config", "namespace": "default"}})
    await two.create(two.config())
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m1", "m2"], "others are not delayed")

    def warnings(kind: str, name: str, reason: str) -> list[str]:
        return [message for type, why, message, _ in two.events(kind, name) if (type, why) == ("Warning", reason)]

    await two.until(lambda: warnings("ResourceInterpreterCustomization", "bad", "InterpretFailed"))
    (about_script,) = set(warnings("ResourceInterpreterCustomization", "bad", "InterpretFailed"))
    assert about_script.startswith("InterpretReplica: ")
    assert expected in about_script
    await two.until(lambda: warnings("Deployment", "web", "ApplyPolicyFailed"))
    assert expected in warnings("Deployment", "web", "GetReplicasFailed")[0]
    assert (
        "ResourceInterpreterCustomization(bad) InterpretReplica: "
        in warnings("Deployment", "web", "GetReplicasFailed")[0]
    )
    await two.delete("ResourceInterpreterCustomization", "bad")
    await two.rest()
    assert two.in_clusters("Deployment", "web") == ["m1", "m2"]


async def test_where_each_failure_shows(two: Lab) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.rest()
    broken = {
        "ReviseReplica": "function ReviseReplica(obj) error('no revision') end",
        "Retain": "function Retain(obj) error('no retention') end",
        "InterpretHealth": "function InterpretHealth(obj) error('no health') end",
        "InterpretStatus": "function ReflectStatus(obj) error('no status') end",
        "AggregateStatus": "function AggregateStatus(obj) error('no sum') end",
    }
    shown = {
        "ReviseReplica": ("ResourceBinding", "web-deployment", "SyncWorkFailed"),
        "AggregateStatus": ("Deployment", "web", "AggregateStatusFailed"),
    }
    work = next(
        w["metadata"]["name"] for w in two.list("Work") if w["spec"]["workload"]["manifests"][0]["kind"] == "Deployment"
    )
    shown["InterpretHealth"] = ("Work", work, "InterpretHealthFailed")
    shown["InterpretStatus"] = ("Work", work, "ReflectStatusFailed")
    for operation, script in broken.items():
        await two.create(customization("bad", "Deployment", **{operation: script}))
        if operation == "Retain":
            await two.until(
                lambda: (
                    "no retention"
                    in two.condition(two.get("Work", work, "karmada-es-m1"), "Applied").get("message", "")
                ),
                operation,
            )
        else:
            kind, name, reason = shown[operation]
            await two.until(
                lambda kind=kind, name=name, reason=reason: any(e[1] == reason for e in two.events(kind, name)),
                operation,
            )
        if operation == "InterpretHealth":
            await two.until(
                lambda: two.get("Work", work, "karmada-es-m1")["status"]["manifestStatuses"][0]["health"] == "Unknown"
            )
        await two.delete("ResourceInterpreterCustomization", "bad")
        await two.until(lambda: two.is_true(two.get("Work", work, "karmada-es-m1"), "Applied"), operation)
        await two.rest()


async def test_admission_of_customizations(two: Lab) -> None:
    await two.create(customization("one", "ConfigMap", InterpretHealth="function InterpretHealth(obj) return true end"))
    with pytest.raises(StatusError) as refused:
        await two.create(
            customization("two", "ConfigMap", InterpretHealth="function InterpretHealth(obj) return 1 end")
        )
    assert str(refused.value).endswith(
        "conflicting with InterpreterOperation(InterpretHealth) of existing ResourceInterpreterCustomization(one)"
    )
    with pytest.raises(StatusError) as refused:
        await two.create(customization("two", "ConfigMap", Retain="function Retain(\nend"))
    assert "InterpreterOperation(Retain) Lua script error: <string>:2: " in str(refused.value)


async def test_reading_a_status_is_recorded_when_its_outcome_changes(two: Lab) -> None:
    """On the Work, as Karmada, but not anew with each status: what tools wait for comes, and costs nothing later."""
    health = "function InterpretHealth(obj) if obj.data.mood == 'odd' then error('odd') end return obj.data.mood == 'good' end"
    status = "function ReflectStatus(obj) if obj.data.blind then error('blind') end return {mood = obj.data.mood} end"
    await two.create(customization("moods", "ConfigMap", InterpretHealth=health, InterpretStatus=status))
    await two.create(config_policy(two, "m1"))
    await two.create({**two.config(), "data": {"mood": "bad"}})
    await two.rest()
    (work,) = two.list("Work")

    def counts() -> dict[str, int]:
        found: dict[str, int] = {}
        for _, reason, _, count in two.events("Work", work["metadata"]["name"]):
            found[reason] = found.get(reason, 0) + count
        return {reason: count for reason, count in found.items() if reason.startswith(("Reflect", "Interpret"))}

    what = "object(ConfigMap/default/settings)"
    said = [message for _, _, message, _ in two.events("Work", work["metadata"]["name"])]
    assert f"Reflect status for {what} succeed." in said
    assert f"Interpret health of {what} as unhealthy." in said
    assert counts() == {"ReflectStatusSucceed": 1, "InterpretHealthSucceed": 1}

    async def change(**data: str) -> None:
        await two.change("ConfigMap", "settings", lambda obj: obj.update(data=data))
        await two.rest()

    await change(mood="bad", more="1")
    assert counts() == {"ReflectStatusSucceed": 1, "InterpretHealthSucceed": 1}
    await change(mood="good")
    assert counts() == {"ReflectStatusSucceed": 1, "InterpretHealthSucceed": 2}
    await change(mood="good", blind="1")
    assert counts()["ReflectStatusFailed"] > 0
    await change(mood="good")
    assert counts()["ReflectStatusSucceed"] == 2
    await two.restart()
    await two.rest()
    assert counts()["ReflectStatusSucceed"] == 2
