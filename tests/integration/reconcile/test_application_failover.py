"""A workload that is not healthy in one cluster goes to another one, with its state where the policy says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.core.values import Object

Lab = Any
SPREAD = {"spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]}
BROKEN = "registry.invalid/web:1"  # cannot be pulled, in simulated members as anywhere


@pytest.fixture
async def moving(make_lab: Any) -> AsyncIterator[Any]:
    """Two members, of which a workload is in one; state goes along."""
    async with make_lab.running("m1", "m2", feature_gates="StatefulFailoverInjection=true") as lab:
        yield lab


def breaking(cluster: str, kind: str = "Deployment") -> Object:
    """An image of its own for one cluster, which cannot be pulled."""
    replace = {"component": "Registry", "operator": "replace", "value": "registry.invalid"}
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "OverridePolicy",
        "metadata": {"name": "broken", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": kind}],
            "overrideRules": [
                {"targetCluster": {"clusterNames": [cluster]}, "overriders": {"imageOverrider": [replace]}}
            ],
        },
    }


def tasks(lab: Lab, binding: str = "web-deployment") -> list[Object]:
    return lab.get("ResourceBinding", binding)["spec"].get("gracefulEvictionTasks") or []


def failover(seconds: int = 1, **application: Any) -> Object:
    return {"application": {"decisionConditions": {"tolerationSeconds": seconds}, **application}}


def written_tasks(lab: Lab) -> list[Object]:
    """All tasks that bindings get from now on, also those that go soon."""
    seen: list[Object] = []
    lab.registry.cache.listen(
        "resourcebindings.work.karmada.io",
        lambda event: seen.extend((event.new.decode()["spec"].get("gracefulEvictionTasks") or ()) if event.new else ()),
    )
    return seen


async def placed_in_one(lab: Lab, kind: str = "Deployment", **policy: Any) -> str:
    """The cluster that a workload of two replicas is in, where it is healthy."""
    workload = lab.deployment()
    if kind != "Deployment":
        workload |= {"kind": kind}
        workload["spec"] |= {"serviceName": "web"}
    select = [{"apiVersion": "apps/v1", "kind": kind, "name": "web"}]
    await lab.create(workload)
    await lab.create(lab.policy(select=select, placement=SPREAD, propagateDeps=True, **policy))
    binding = f"web-{kind.lower()}"
    await lab.until(lambda: health(lab, binding) == ["Healthy"])
    (cluster,) = lab.placed(binding)
    return str(cluster)


def health(lab: Lab, binding: str) -> list[str]:
    status = lab.get("ResourceBinding", binding).get("status") or {}
    return [item.get("health") for item in status.get("aggregatedStatus") or ()]


async def test_it_moves_when_it_is_unhealthy_for_too_long(moving: Lab) -> None:
    seen = written_tasks(moving)
    first = await placed_in_one(moving, failover=failover(purgeMode="Gracefully", gracePeriodSeconds=60))
    (other,) = {"m1", "m2"} - {first}
    await moving.create(breaking(first))
    await moving.until(lambda: set(moving.placed("web-deployment")) == {other}, "it is where it runs")
    await moving.until(lambda: not tasks(moving) and moving.in_clusters("Deployment", "web") == [other])
    assert {key: seen[0][key] for key in ("fromCluster", "reason", "producer", "purgeMode", "gracePeriodSeconds")} == {
        "fromCluster": first,
        "reason": "ApplicationFailure",
        "producer": "resource-binding-application-failover-controller",
        "purgeMode": "Gracefully",
        "gracePeriodSeconds": 60,
    }
    told = ("Normal", "EvictWorkloadFromClusterSucceed", f"Evict from cluster {first} succeed.", 1)
    await moving.until(lambda: told in moving.events("ResourceBinding", "web-deployment"))
    await moving.until(lambda: told in moving.events("Deployment", "web"))


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
async def test_its_state_goes_along(moving: Lab, kind: str) -> None:
    rules = {"rules": [{"aliasLabelName": "failover.example.org/had", "jsonPath": "{.updatedReplicas}"}]}
    seen = written_tasks(moving)
    first = await placed_in_one(moving, kind, failover=failover(purgeMode="Directly", statePreservation=rules))
    (other,) = {"m1", "m2"} - {first}
    await moving.create(breaking(first, kind))
    await moving.until(lambda: moving.in_clusters(kind, "web") == [other])
    task = next(each for each in seen if each["fromCluster"] == first)
    assert task["clustersBeforeFailover"] == [first]
    assert task["preservedLabelState"] == {"failover.example.org/had": "2"}, "as it was reported when it left"
    assert moving.in_member(other, kind, "web")["metadata"]["labels"]["failover.example.org/had"] == "2"


async def test_a_copy_that_nobody_removes_waits_for_the_user(moving: Lab) -> None:
    first = await placed_in_one(moving, failover=failover(purgeMode="Never"))
    (other,) = {"m1", "m2"} - {first}
    await moving.create(breaking(first))
    await moving.until(lambda: moving.in_clusters("Deployment", "web") == ["m1", "m2"])
    await moving.rest()
    assert set(moving.placed("web-deployment")) == {other}
    (task,) = tasks(moving)
    assert task["suppressDeletion"] is True

    def confirmed(obj: Object) -> None:
        obj["spec"]["gracefulEvictionTasks"][0]["suppressDeletion"] = False

    await moving.change("ResourceBinding", "web-deployment", confirmed)
    await moving.until(lambda: moving.in_clusters("Deployment", "web") == [other])


async def test_state_that_is_not_there_is_told(moving: Lab) -> None:
    """The workload stays and says why; another one is not kept waiting."""
    rules = {"rules": [{"aliasLabelName": "job", "jsonPath": "{.jobStatus.id}"}]}
    first = await placed_in_one(moving, failover=failover(purgeMode="Directly", statePreservation=rules))
    await moving.create(breaking(first))
    text = (
        f'Evict from cluster {first} failed: failed to execute jsonpath "{{.jobStatus.id}}": jobStatus.id is not found'
    )

    def is_told(kind: str, name: str) -> bool:
        return any(
            told[:3] == ("Warning", "EvictWorkloadFromClusterFailed", text) for told in moving.events(kind, name)
        )

    await moving.until(lambda: is_told("ResourceBinding", "web-deployment") and is_told("Deployment", "web"))
    assert set(moving.placed("web-deployment")) == {first}


async def test_a_healthy_workload_and_one_that_is_not_asked_for_stay(moving: Lab) -> None:
    first = await placed_in_one(moving)
    await moving.create(breaking(first))
    await moving.until(lambda: health(moving, "web-deployment") == ["Unhealthy"])
    await moving.rest()
    assert set(moving.placed("web-deployment")) == {first}
    assert not tasks(moving)


async def test_cluster_scoped_objects_move_too(moving: Lab) -> None:
    """A script says what their health is."""
    script = "function InterpretHealth(observedObj) return observedObj.metadata.labels.broken == nil end"
    target = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    await moving.create(
        {
            "apiVersion": "config.karmada.io/v1alpha1",
            "kind": "ResourceInterpreterCustomization",
            "metadata": {"name": "roles"},
            "spec": {"target": target, "customizations": {"healthInterpretation": {"luaScript": script}}},
        }
    )
    await moving.create({**target, "metadata": {"name": "reader", "labels": {"a": "b"}}, "rules": []})
    select = [{**target, "name": "reader"}]
    failing = failover(purgeMode="Directly")
    await moving.create(
        moving.policy(select=select, namespace="", placement=SPREAD, propagateDeps=True, failover=failing)
    )

    def where() -> set[str]:
        return set(moving.placed("reader-clusterrole", ""))

    await moving.until(lambda: where() and moving.in_clusters("ClusterRole", "reader"))
    (first,) = where()
    add = {"operator": "add", "value": {"broken": "yes"}}
    rule = {"targetCluster": {"clusterNames": [first]}, "overriders": {"labelsOverrider": [add]}}
    await moving.create(
        {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "ClusterOverridePolicy",
            "metadata": {"name": "broken"},
            "spec": {"resourceSelectors": select, "overrideRules": [rule]},
        }
    )
    await moving.until(lambda: where() == {"m1", "m2"} - {first})
    await moving.until(lambda: moving.in_clusters("ClusterRole", "reader") == sorted({"m1", "m2"} - {first}))
