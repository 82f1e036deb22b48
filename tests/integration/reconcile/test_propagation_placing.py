"""Where a template goes, how its replicas are divided, and what the clusters make of it."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object

Lab = Any  # of conftest


def divided(**more: Any) -> Object:
    return {"replicaSchedulingType": "Divided", **more}


WEIGHTS = [
    {"targetCluster": {"clusterNames": ["m1"]}, "weight": 2},
    {"targetCluster": {"clusterNames": ["m2"]}, "weight": 1},
]


@pytest.mark.parametrize(
    ("scheduling", "wanted"),
    [
        (None, {"m1": 6, "m2": 6}),
        ({"replicaSchedulingType": "Duplicated"}, {"m1": 6, "m2": 6}),
        (
            divided(replicaDivisionPreference="Weighted", weightPreference={"staticWeightList": WEIGHTS}),
            {"m1": 4, "m2": 2},
        ),
        (
            divided(replicaDivisionPreference="Weighted", weightPreference={"dynamicWeight": "AvailableReplicas"}),
            {"m1": 3, "m2": 3},
        ),
    ],
    ids=["none", "duplicated", "static", "dynamic"],
)
async def test_replicas(two: Lab, scheduling: Object | None, wanted: Object) -> None:
    await two.create(two.policy("policy", "m1", "m2", scheduling=scheduling))
    await two.create(two.deployment(replicas=6, cpu="1"))
    await two.rest()
    assert two.placed("web-deployment") == wanted
    for name, count in wanted.items():
        assert two.in_member(name, "Deployment", "web")["spec"]["replicas"] == count
    assert two.get("Deployment", "web")["status"]["readyReplicas"] == sum(wanted.values())


async def test_aggregated_fills_as_few_as_possible(two: Lab) -> None:
    await two.create(two.policy("policy", scheduling=divided(replicaDivisionPreference="Aggregated")))
    await two.create(two.deployment(replicas=6, cpu="1"))
    await two.rest()
    assert len(two.placed("web-deployment")) == 1
    await two.counted()  # else there seems to be room where there is none
    await two.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=20))
    await two.rest()
    assert sum(two.placed("web-deployment").values()) == 20
    assert two.get("Deployment", "web")["status"]["readyReplicas"] == 20


async def test_scaled_and_deleted(two: Lab) -> None:
    scheduling = divided(replicaDivisionPreference="Weighted", weightPreference={"staticWeightList": WEIGHTS})
    await two.create(two.policy("policy", "m1", "m2", scheduling=scheduling))
    await two.create(two.deployment(replicas=3))
    await two.rest()
    await two.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=9))
    await two.rest()
    assert two.placed("web-deployment") == {"m1": 6, "m2": 3}
    assert two.get("Deployment", "web")["status"]["readyReplicas"] == 9
    await two.delete("Deployment", "web")
    await two.rest()
    assert two.in_clusters("Deployment", "web") == []
    assert two.list("ResourceBinding") == []
    assert [w for w in two.list("Work") if "web" in w["metadata"]["name"]] == []
    assert all(two.list("Pod", member.registry) == [] for member in two.members.values())


async def test_unschedulable(two: Lab) -> None:
    weighted = divided(replicaDivisionPreference="Weighted", weightPreference={"dynamicWeight": "AvailableReplicas"})
    await two.create(two.policy("policy", "m1", scheduling=weighted))
    await two.create(two.deployment(replicas=100, cpu="1"))
    await two.rest()
    scheduled = two.condition(two.get("ResourceBinding", "web-deployment"), "Scheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    assert scheduled["message"].endswith("are not enough to schedule.")
    assert two.placed("web-deployment") == {}
    await two.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=4))
    await two.rest()
    assert two.placed("web-deployment") == {"m1": 4}


async def test_when_nothing_fits_any_more_the_workload_is_withdrawn(two: Lab) -> None:
    await two.create(
        two.policy("policy", placement={"clusterAffinity": {"labelSelector": {"matchLabels": {"tier": "a"}}}})
    )
    await two.create(two.deployment())
    await two.rest()
    scheduled = two.condition(two.get("ResourceBinding", "web-deployment"), "Scheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "NoClusterFit")
    assert scheduled["message"] == (
        "0/2 clusters are available: 2 cluster(s) did not match the placement cluster affinity constraint."
    )
    await two.change("Cluster", "m1", lambda obj: obj["metadata"].setdefault("labels", {}).update(tier="a"))
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m1"])
    await two.change("Cluster", "m1", lambda obj: obj["metadata"]["labels"].update(tier="b"))
    await two.until(lambda: two.in_clusters("Deployment", "web") == [])
    await two.rest()
    assert two.condition(two.get("ResourceBinding", "web-deployment"), "Scheduled")["reason"] == "NoClusterFit"
    assert [w for w in two.list("Work") if "web" in w["metadata"]["name"]] == []


async def test_taints_keep_away_only_what_is_new(two: Lab) -> None:
    await two.create(two.policy("policy", select=[{"apiVersion": "apps/v1", "kind": "Deployment"}]))
    await two.create(two.deployment("old"))
    await two.rest()
    taint = {"key": "maintenance", "value": "now", "effect": "NoSchedule"}
    await two.change("Cluster", "m1", lambda obj: obj["spec"].update(taints=[taint]))
    await two.create(two.deployment("new"))
    await two.rest()
    assert two.in_clusters("Deployment", "old") == ["m1", "m2"]
    assert two.in_clusters("Deployment", "new") == ["m2"]
    tolerated = {"clusterTolerations": [{"key": "maintenance", "operator": "Exists"}]}
    await two.change("PropagationPolicy", "policy", lambda obj: obj["spec"]["placement"].update(tolerated))
    await two.until(lambda: two.in_clusters("Deployment", "new") == ["m1", "m2"])


async def test_a_cluster_that_leaves_gives_its_replicas_to_others(two: Lab) -> None:
    weighted = divided(replicaDivisionPreference="Weighted", weightPreference={"dynamicWeight": "AvailableReplicas"})
    await two.create(two.policy("policy", scheduling=weighted))
    await two.create(two.deployment(replicas=4, cpu="1"))
    await two.rest()
    assert two.placed("web-deployment") == {"m1": 2, "m2": 2}
    await two.delete("Cluster", "m1")
    await two.until(lambda: two.get("Cluster", "m1") == {})
    await two.rest()
    assert two.placed("web-deployment") == {"m2": 4}
    assert two.in_clusters("Deployment", "web") == ["m2"]
    assert two.get("Namespace", "karmada-es-m1") == {}


async def test_rescheduling_is_asked_for_by_a_time(two: Lab) -> None:
    weighted = divided(replicaDivisionPreference="Weighted", weightPreference={"dynamicWeight": "AvailableReplicas"})
    await two.create(two.policy("policy", "m1", scheduling=weighted))
    await two.create(two.deployment(replicas=4, cpu="1"))
    await two.rest()
    await two.change(
        "PropagationPolicy",
        "policy",
        lambda obj: obj["spec"]["placement"]["clusterAffinity"].update(clusterNames=["m1", "m2"]),
    )
    await two.rest()
    assert two.placed("web-deployment") == {"m1": 4}  # what runs is left where it is
    await two.change(
        "ResourceBinding",
        "web-deployment",
        lambda obj: obj["spec"].update(rescheduleTriggeredAt="2099-01-01T00:00:00Z"),
    )
    await two.until(lambda: len(two.placed("web-deployment")) == 2)


async def test_overrides_differ_by_cluster(two: Lab) -> None:
    def override(kind: str, name: str, cluster: str, value: str) -> Object:
        rule = {
            "targetCluster": {"clusterNames": [cluster]},
            "overriders": {"labelsOverrider": [{"operator": "add", "value": {"from": value}}]},
        }
        namespaced = {"namespace": "default"} if kind == "OverridePolicy" else {}
        return {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, **namespaced},
            "spec": {
                "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}],
                "overrideRules": [rule],
            },
        }

    def marks() -> list[str | None]:
        return [two.in_member(m, "Deployment", "web")["metadata"]["labels"].get("from") for m in ("m1", "m2")]

    await two.create(override("ClusterOverridePolicy", "wide", "m1", "wide"))
    await two.create(two.policy("policy"))
    await two.create(two.deployment())
    await two.rest()
    assert marks() == ["wide", None]
    await two.create(override("OverridePolicy", "own", "m2", "own"))
    await two.rest()
    assert marks() == ["wide", "own"]
    works = {
        w["metadata"]["namespace"]: w["metadata"]["annotations"]
        for w in two.list("Work")
        if "web" in w["metadata"]["name"]
    }
    assert "policy.karmada.io/applied-cluster-overrides" in works["karmada-es-m1"]
    assert "policy.karmada.io/applied-overrides" in works["karmada-es-m2"]
    await two.delete("ClusterOverridePolicy", "wide")
    await two.rest()
    assert marks() == [None, "own"]


async def test_suspension(two: Lab) -> None:
    only_m2 = {"dispatchingOnClusters": {"clusterNames": ["m2"]}}
    await two.create(two.policy("policy", suspension=only_m2))
    await two.create(two.deployment())
    await two.rest()
    assert two.in_clusters("Deployment", "web") == ["m1"]
    work = next(
        w for w in two.list("Work") if w["metadata"]["namespace"] == "karmada-es-m2" and "web" in w["metadata"]["name"]
    )
    assert two.condition(work, "Dispatching")["reason"] == "SuspendDispatching"
    await two.change("PropagationPolicy", "policy", lambda obj: obj["spec"].pop("suspension"))
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m1", "m2"])
    # scheduling is suspended on the binding, and no policy takes that back
    await two.change(
        "ResourceBinding", "web-deployment", lambda obj: obj["spec"].update(suspension={"scheduling": True})
    )
    await two.change(
        "PropagationPolicy",
        "policy",
        lambda obj: obj["spec"]["placement"].update(clusterAffinity={"clusterNames": ["m1"]}),
    )
    await two.rest()
    assert sorted(two.placed("web-deployment")) == ["m1", "m2"]
    await two.change("ResourceBinding", "web-deployment", lambda obj: obj["spec"].pop("suspension"))
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m1"])


async def test_resources_can_be_preserved(two: Lab) -> None:
    await two.create(two.policy("policy", "m1", preserveResourcesOnDeletion=True))
    await two.create(two.deployment())
    await two.rest()
    await two.delete("Deployment", "web")
    await two.rest()
    assert two.list("ResourceBinding") == []
    left = two.in_member("m1", "Deployment", "web")["metadata"]
    assert "karmada.io/managed" not in left["labels"]
    marks = ("resourcetemplate.", "resourcebinding.", "propagationpolicy.", "work.karmada.io/name")
    assert not [key for key in (*left["labels"], *left["annotations"]) if key.startswith(marks)]


async def test_statuses_are_added_up_by_kind(two: Lab) -> None:
    def workload(kind: str, **spec: Any) -> Object:
        labels = {"app": kind.lower()}
        pod: Object = {"containers": [{"name": "c", "image": "i"}]}
        if kind == "Job":
            pod["restartPolicy"] = "Never"
        else:
            spec = {"selector": {"matchLabels": labels}, **spec}
        template = {"metadata": {"labels": labels}, "spec": pod}
        group = "batch/v1" if kind == "Job" else "apps/v1"
        metadata = {"name": "it", "namespace": "default"}
        return {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": {**spec, "template": template}}

    templates = [
        workload("StatefulSet", replicas=3, serviceName="s"),
        workload("DaemonSet"),
        workload("Job", completions=1),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "it", "namespace": "default"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "it", "namespace": "default"},
            "spec": {"defaultBackend": {"service": {"name": "it", "port": {"number": 80}}}},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "it", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        },
    ]
    select = [{"apiVersion": t["apiVersion"], "kind": t["kind"], "name": "it"} for t in templates]
    await two.create(two.policy("policy", select=select))
    for template in templates:
        await two.create(template)
    await two.rest()
    for name, member in two.members.items():
        for kind in ("Service", "Ingress"):
            address = {"status": {"loadBalancer": {"ingress": [{"ip": f"10.0.0.{name[1:]}"}]}}}
            found = two.kind(kind)
            await member.registry.modify(found, "default", "it", lambda o, a=address: {**o, **a}, two.user, "status")
        running = {"status": {"phase": "Running", "containerStatuses": []}}
        await member.registry.modify(
            two.kind("Pod"), "default", "it", lambda o, r=running: {**o, **r}, two.user, "status"
        )
    await two.rest()
    assert two.get("StatefulSet", "it")["status"]["readyReplicas"] == 6
    assert two.get("DaemonSet", "it")["status"]["numberReady"] == 2
    assert two.get("Job", "it")["status"]["succeeded"] == 2
    assert two.is_true(two.get("Job", "it"), "Complete")
    for kind in ("Service", "Ingress.networking.k8s.io"):
        addresses = two.get(kind, "it")["status"]["loadBalancer"]["ingress"]
        assert sorted(a["ip"] for a in addresses) == ["10.0.0.1", "10.0.0.2"]
    assert two.get("Pod", "it")["status"]["phase"] == "Running"
    assert all(two.is_true(b, "FullyApplied") for b in two.list("ResourceBinding")), two.describe()


async def test_what_fitted_nowhere_goes_where_its_kind_is_served_now(two: Lab) -> None:
    """A change of a cluster's status alone, without a new generation or label."""
    served = {name: two.get("Cluster", name)["status"]["apiEnablements"] for name in ("m1", "m2")}
    await two.look_away()
    for name in served:
        await two.change("Cluster", name, lambda obj: obj["status"].update(apiEnablements=[]), subresource="status")
    await two.create(two.policy("policy", "m1", "m2"))
    await two.create(two.deployment())
    reason = "NoClusterFit"
    await two.until(
        lambda: two.condition(two.get("ResourceBinding", "web-deployment"), "Scheduled").get("reason") == reason, reason
    )
    for name, apis in served.items():
        await two.change(
            "Cluster", name, lambda obj, apis=apis: obj["status"].update(apiEnablements=apis), subresource="status"
        )
    await two.until(lambda: set(two.placed("web-deployment")) == {"m1", "m2"}, "placed")


async def test_what_runs_somewhere_follows_where_its_kind_is_served_now(two: Lab) -> None:
    """Members get a CustomResourceDefinition one after the other."""
    apis = two.get("Cluster", "m2")["status"]["apiEnablements"]
    await two.look_away()
    await two.change("Cluster", "m2", lambda obj: obj["status"].update(apiEnablements=[]), subresource="status")
    await two.create(two.policy("policy", "m1", "m2"))
    await two.create(two.deployment())
    await two.until(lambda: set(two.placed("web-deployment")) == {"m1"}, "placed where it is served")
    await two.rest()
    await two.change("Cluster", "m2", lambda obj: obj["status"].update(apiEnablements=apis), subresource="status")
    await two.until(lambda: set(two.placed("web-deployment")) == {"m1", "m2"}, "placed in both")
