"""Annotations of a namespace say which clusters it may use: that holds whatever asks for others, and whenever."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement.allowed_clusters import EVENT_NOT_ALLOWED, NAMES, SELECTOR

DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}
CONFIG = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]


def allowing(names: str | None = None, selector: str | None = None) -> Any:
    wanted = {key: value for key, value in ((NAMES, names), (SELECTOR, selector)) if value is not None}

    def change(namespace: Object) -> None:
        kept = namespace["metadata"].get("annotations") or {}
        kept = {key: value for key, value in kept.items() if key not in (NAMES, SELECTOR)}
        namespace["metadata"]["annotations"] = {**kept, **wanted}

    return change


async def limit(lab: Any, *values: str | None, namespace: str = "default") -> None:
    await lab.change("Namespace", namespace, allowing(*values))


@pytest.fixture
async def limited(two: Any) -> Any:
    """``default`` may use m1."""
    await limit(two, "m1")
    return two


@pytest.mark.parametrize("namespace", ["default", ""])  # a policy of the namespace, and one of the cluster
@pytest.mark.parametrize("clusters", [(), ("m1", "m2")])
async def test_no_policy_goes_beyond(limited: Any, namespace: str, clusters: tuple[str, ...]) -> None:
    await limited.create(limited.policy("p", *clusters, select=CONFIG, namespace=namespace))
    await limited.create(limited.config())
    await limited.until(lambda: limited.in_clusters("ConfigMap", "settings") == ["m1"])
    await limited.rest()
    assert limited.placed("settings-configmap") == {"m1": None}
    assert limited.in_clusters("ConfigMap", "settings") == ["m1"]
    what = "cluster(s) m2" if clusters else "1 cluster(s) that the placement means"  # names nobody wrote are not told
    said = f"namespace default may not use {what} (annotations {NAMES[:-1]}…)"
    for about in (("ConfigMap", "settings"), ("ResourceBinding", "settings-configmap")):
        assert ("Normal", EVENT_NOT_ALLOWED, said, 1) in limited.events(*about)


async def test_where_nothing_is_allowed_the_binding_says_so(two: Any) -> None:
    await limit(two, "")
    await two.create(two.policy(select=CONFIG))
    await two.create(two.config())
    await two.until(lambda: two.condition(two.get("ResourceBinding", "settings-configmap"), "Scheduled"))
    found = two.condition(two.get("ResourceBinding", "settings-configmap"), "Scheduled")
    assert (found["status"], found["reason"]) == ("False", "NoClusterFit")
    assert (
        found["message"] == "0/2 clusters are available: 2 cluster(s) are not allowed for the namespace."
    )  # byte for byte what a user reads
    await limit(two, "m2")
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m2"], "it is looked at again")


async def test_replicas_leave_a_cluster_that_is_not_allowed_any_more(two: Any) -> None:
    await two.create(two.policy(scheduling=DYNAMIC))
    await two.create(two.deployment(replicas=4))
    await two.until(lambda: two.placed("web-deployment") == {"m1": 2, "m2": 2})
    await limit(two, "m1")
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m1"])
    assert two.placed("web-deployment") == {"m1": 4}
    await limit(two)
    await two.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=8))
    await two.until(lambda: set(two.placed("web-deployment")) == {"m1", "m2"}, "without a limit all clusters are there")


async def test_labels_count_and_clusters_that_come_later(two: Any) -> None:
    await limit(two, None, "team=a")
    await two.change("Cluster", "m1", lambda obj: obj["metadata"].update(labels={"team": "a"}))
    await two.create(two.policy(select=CONFIG))
    await two.create(two.config())
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m1"])
    await two.join("m3")
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1"], "one that joins is not allowed by itself"
    await two.change("Cluster", "m3", lambda obj: obj["metadata"].update(labels={"team": "a"}))
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m1", "m3"])
    await two.change("Cluster", "m1", lambda obj: obj["metadata"].update(labels={"team": "b"}))
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m3"])


async def test_a_binding_that_somebody_writes_brings_nothing_there(limited: Any) -> None:
    await limited.create(limited.policy(select=CONFIG))
    await limited.create(limited.config())
    await limited.until(lambda: limited.in_clusters("ConfigMap", "settings") == ["m1"])
    for wanted in (
        {"clusters": [{"name": "m1"}, {"name": "m2"}]},
        {"requiredBy": [{"namespace": "default", "name": "x", "clusters": [{"name": "m2"}]}]},
        {"suspension": {"scheduling": True}, "clusters": [{"name": "m2"}]},  # the scheduler leaves it alone
    ):
        await limited.change("ResourceBinding", "settings-configmap", lambda obj, w=wanted: obj["spec"].update(w))
        await limited.rest()
        assert "m2" not in limited.in_clusters("ConfigMap", "settings")


async def test_one_that_nobody_schedules_says_why(limited: Any) -> None:
    template = await limited.create(limited.config())
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "settings",
        "uid": template["metadata"]["uid"],
        "controller": True,
    }
    resource = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "settings"}
    await limited.create(
        {
            "apiVersion": "work.karmada.io/v1alpha2",
            "kind": "ResourceBinding",
            "metadata": {"name": "settings-configmap", "namespace": "default", "ownerReferences": [owner]},
            "spec": {"resource": resource, "clusters": [{"name": "m1"}, {"name": "m2"}]},
        }
    )
    await limited.until(lambda: limited.in_clusters("ConfigMap", "settings") == ["m1"])
    said = f"namespace default may not use cluster(s) m2 (annotations {NAMES[:-1]}…)"

    def shown() -> bool:
        events = limited.events("ResourceBinding", "settings-configmap")
        return any(event[1] == "SyncWorkFailed" and said in event[2] for event in events)

    await limited.until(shown)


async def test_dependencies_go_no_further(limited: Any) -> None:
    workload = limited.deployment()
    volume = {"name": "v", "configMap": {"name": "settings"}}
    workload["spec"]["template"]["spec"]["volumes"] = [volume]
    await limited.create(limited.config())
    await limited.create(limited.policy(propagateDeps=True))
    await limited.create(workload)
    await limited.until(lambda: limited.in_clusters("ConfigMap", "settings") == ["m1"])
    await limited.rest()
    assert limited.in_clusters("ConfigMap", "settings") == ["m1"]
    assert limited.in_clusters("Deployment", "web") == ["m1"]


async def test_what_is_moved_away_does_not_go_there(limited: Any) -> None:
    await limited.create(limited.policy(scheduling=DYNAMIC))
    await limited.create(limited.deployment())
    await limited.until(lambda: limited.placed("web-deployment") == {"m1": 2})

    def evicting(binding: Object) -> None:
        binding["spec"]["gracefulEvictionTasks"] = [{"fromCluster": "m1", "reason": "test", "producer": "test"}]
        binding["spec"]["clusters"] = []

    await limited.change("ResourceBinding", "web-deployment", evicting)
    await limited.create(
        {
            "apiVersion": "apps.karmada.io/v1alpha1",
            "kind": "WorkloadRebalancer",
            "metadata": {"name": "again"},
            "spec": {
                "workloads": [{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "web"}]
            },
        }
    )
    await limited.rest()
    assert "m2" not in limited.in_clusters("Deployment", "web")


async def test_a_namespace_is_made_where_it_may_be_used_and_stays_where_it_is(two: Any) -> None:
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "annotations": {NAMES: "m1"}}}
    await two.create(made)
    await two.until(lambda: two.in_clusters("Namespace", "team") == ["m1"])
    await two.rest()
    assert two.in_clusters("Namespace", "team") == ["m1"]
    await limit(two, "m1,m2", namespace="team")
    await two.until(lambda: two.in_clusters("Namespace", "team") == ["m1", "m2"])
    await limit(two, "m2", namespace="team")
    await two.rest()
    assert two.in_clusters("Namespace", "team") == ["m1", "m2"], "with all that is in it"
