"""Behaviour of Karmada that clients rely on and that is easy to miss, where no other test shows it."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.registry.decoding import decode_object

from .conftest import CATALOG, USER

Lab = Any


async def test_a_work_has_one_manifest_status_that_is_overwritten(two: Lab) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())

    def statuses() -> list[Object]:
        works = [work for work in two.list("Work") if work["metadata"]["name"].startswith("web-")]
        return [found for work in works for found in (work.get("status") or {}).get("manifestStatuses") or ()]

    await two.until(lambda: statuses() and statuses()[0]["status"].get("readyReplicas") == 2)
    await two.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=3))
    await two.until(lambda: statuses()[0]["status"].get("readyReplicas") == 3)
    assert len(statuses()) == 1
    assert statuses()[0]["identifier"]["resource"] == "", "though the schema requires it"


async def test_a_binding_is_not_fully_applied_while_a_cluster_is_left(two: Lab) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.config())
    select = [{"apiVersion": "v1", "kind": "ConfigMap"}]
    await two.create(two.policy("configs", "m1", select=select))

    def applied() -> bool:
        return bool(two.is_true(two.get("ResourceBinding", "settings-configmap"), "FullyApplied"))

    await two.until(applied)

    def leave(obj: Object) -> None:
        task = {"fromCluster": "m2", "reason": "r", "producer": "tester", "suppressDeletion": True}
        obj["spec"]["gracefulEvictionTasks"] = [task]

    await two.change("ResourceBinding", "settings-configmap", leave)
    await two.until(lambda: not applied())  # there is no Work in the cluster that it leaves


async def test_a_stale_cluster_is_refused_with_a_conflict(two: Lab) -> None:
    """Clients of Clusters, and agents, write them whole and count on it."""
    kind = two.kind("Cluster")
    old = two.get("Cluster", "m1")
    await two.change("Cluster", "m1", lambda obj: obj["metadata"].setdefault("labels", {}).update(new="er"))
    old["metadata"].setdefault("labels", {})["stale"] = "yes"
    sent = decode_object(kind, {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", **old}, USER)
    with pytest.raises(StatusError) as caught:
        await two.registry.update(kind, "", "m1", sent, USER)
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert "stale" not in two.get("Cluster", "m1")["metadata"]["labels"]


async def test_templates_are_stored_without_what_only_a_cluster_adds(lab: Lab) -> None:
    """No ServiceAccount admission, no StorageObjectInUseProtection: a copy would bring its additions to every member."""
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = await lab.create({"apiVersion": "v1", "kind": "Pod", **pod})
    assert "volumes" not in made["spec"]
    assert "volumeMounts" not in made["spec"]["containers"][0]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "c", "namespace": "default"}
    made = await lab.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim})
    assert "finalizers" not in made["metadata"]


def test_the_priority_of_a_policy_is_printed_as_a_string() -> None:
    for resource in ("propagationpolicies.policy.karmada.io", "clusterpropagationpolicies.policy.karmada.io"):
        kind = CATALOG.storage_kind(resource)
        assert kind is not None
        (column,) = [each for each in kind.columns if each.name == "PRIORITY"]
        assert column.type == "string"
