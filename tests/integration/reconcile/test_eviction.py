"""Bindings leave clusters: taints and their policies, tolerations in time, graceful eviction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from kafila.core.errors import StatusError
from kafila.core.values import Object

Lab = Any
TAINT = {"key": "broken", "value": "disk", "effect": "NoExecute"}
DIVIDED = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}


@pytest.fixture
async def failing(make_lab: Any) -> AsyncIterator[Any]:
    """Two members; what cannot be tolerated is evicted, one a fiftieth of a second."""
    async with make_lab.running(
        "m1",
        "m2",
        feature_gates="Failover=true",
        enable_no_execute_taint_eviction=True,
        resource_eviction_rate=50,
        allow_no_execute_taint_policy=True,
    ) as lab:
        yield lab


async def taint(lab: Lab, cluster: str, *taints: Object) -> None:
    await lab.change("Cluster", cluster, lambda obj: obj["spec"].update(taints=list(taints)))


def tasks(lab: Lab, binding: str = "web-deployment") -> list[Object]:
    return lab.get("ResourceBinding", binding)["spec"].get("gracefulEvictionTasks") or []


async def place(lab: Lab, replicas: int = 2, **policy: Any) -> None:
    await lab.create(lab.deployment(replicas=replicas))
    await lab.create(lab.policy(scheduling=DIVIDED, **policy))
    await lab.until(lambda: lab.placed("web-deployment") == {"m1": replicas // 2, "m2": replicas // 2})


async def test_a_copy_leaves_when_the_others_are_healthy(failing: Lab) -> None:
    await place(failing)
    await taint(failing, "m2", TAINT)
    await failing.until(lambda: failing.placed("web-deployment") == {"m1": 2})
    await failing.until(lambda: not tasks(failing), "m1 runs both replicas")
    await failing.until(lambda: failing.in_clusters("Deployment", "web") == ["m1"])
    told = ("Normal", "EvictWorkloadFromClusterSucceed", "Evict from cluster m2 succeed.", 1)
    await failing.until(lambda: told in failing.events("ResourceBinding", "web-deployment"))
    await failing.until(lambda: told in failing.events("Deployment", "web"))


async def test_the_task_says_who_and_why(failing: Lab) -> None:
    await place(failing, failover={"cluster": {"purgeMode": "Directly"}})
    seen: list[Object] = []
    failing.registry.cache.listen(
        "resourcebindings.work.karmada.io",
        lambda event: seen.extend((event.new.decode()["spec"].get("gracefulEvictionTasks") or ()) if event.new else ()),
    )
    await taint(failing, "m2", TAINT)
    await failing.until(lambda: failing.placed("web-deployment") == {"m1": 2})
    assert datetime.fromisoformat(seen[0].pop("creationTimestamp"))
    assert seen[0] == {
        "fromCluster": "m2",
        "purgeMode": "Directly",
        "replicas": 1,
        "reason": "TaintUntolerated",
        "producer": "TaintManager",
    }


async def test_an_eviction_takes_few_writes(failing: Lab) -> None:
    """While very many copies leave a cluster, others wait behind each write and each run."""
    await failing.create(failing.policy(select=[{"apiVersion": "v1", "kind": "ConfigMap"}]))
    await failing.create(failing.config("web"))
    await failing.until(lambda: failing.in_clusters("ConfigMap", "web") == ["m1", "m2"])
    await failing.rest()
    before = failing.get("ResourceBinding", "web-configmap")["metadata"]["generation"]
    found: list[Object] = []
    failing.registry.cache.listen(
        "resourcebindings.work.karmada.io",
        lambda event: found.append(event.new.decode()) if event.key.name == "web-configmap" else None,
    )
    await taint(failing, "m2", TAINT)
    await failing.until(lambda: failing.in_clusters("ConfigMap", "web") == ["m1"])
    await failing.rest()
    reported = [[item["clusterName"] for item in each["status"]["aggregatedStatus"]] for each in found]
    assert reported[-1] == ["m1"]
    generations = [generation for each in found if (generation := each["metadata"]["generation"]) > before]
    assert generations[-1] == before + 2, "the task comes, and goes"
    assert len(generations) <= 4, "it leaves, is decided about, its task is done, and what it left is gone"


async def test_a_cluster_that_changes_is_noted_and_its_bindings_are_looked_for_later(failing: Lab) -> None:
    """Who writes a Cluster waits for its listeners, and so does everybody else on the event loop."""
    await failing.create(failing.policy(select=[{"apiVersion": "v1", "kind": "ConfigMap"}]))
    names = [f"c{number}" for number in range(5)]
    for name in names:
        await failing.create(failing.config(name))
    await failing.until(lambda: all(failing.in_clusters("ConfigMap", name) == ["m1", "m2"] for name in names))
    await failing.rest()
    queues = [failing.queue(name) for name in ("taint-eviction", "resource-template-again", "resource-template")]
    waiting: list[list[int]] = []

    def look(event: Any) -> None:
        if event.old.meta.generation != event.new.meta.generation:
            waiting.append(list(map(len, queues)))

    failing.registry.cache.listen("clusters.cluster.karmada.io", look)
    await taint(failing, "m2", TAINT)
    assert waiting == [[1, 1, 0]]
    await failing.until(lambda: all(failing.in_clusters("ConfigMap", name) == ["m1"] for name in names))


async def test_new_templates_go_before_evictions_and_these_before_what_is_decided_about_anew(failing: Lab) -> None:
    await failing.create(failing.policy(select=[{"apiVersion": "v1", "kind": "ConfigMap"}]))
    names = [f"c{number}" for number in range(40)]
    for name in names:
        await failing.create(failing.config(name))
    await failing.until(lambda: all(failing.in_clusters("ConfigMap", name) == ["m1", "m2"] for name in names))
    await failing.rest()
    queue = failing.queue("resource-template")
    runs: list[tuple[str, bool]] = []  # templates as they are begun with, and whether with low priority
    evicted: dict[str, int] = {}  # how many runs there were when it was told to leave
    reconcile = queue._reconcile

    async def noted(key: Any) -> None:
        runs.append((key.name, queue.is_low_priority(key)))
        await reconcile(key)

    def look(event: Any) -> None:
        if event.new is not None and event.new.decode()["spec"].get("gracefulEvictionTasks"):
            evicted.setdefault(event.key.name.removesuffix("-configmap"), len(runs))

    queue._reconcile = noted
    failing.registry.cache.listen("resourcebindings.work.karmada.io", look)
    await taint(failing, "m2", TAINT)
    await failing.until(lambda: evicted)
    new = [f"new{number}" for number in range(3)]
    for name in new:
        created = len(runs)
        await failing.create(failing.config(name))
        await failing.until(lambda name=name: (name, False) in runs)
        between = runs[created : runs.index((name, False))]
        assert sum(low for _, low in between) <= 2, f"one that had its turn, and another until it was stored: {between}"
    await failing.until(lambda: len(evicted) == len(names))
    await failing.rest()
    for name, count in evicted.items():
        assert (name, True) in runs[count:], f"{name} went before new templates: {runs}"
        between = runs[count : runs.index((name, True), count)]
        assert sum(low and evicted[run] >= count for run, low in between) <= 4, f"{name} waited for others: {between}"


async def test_tolerated_for_a_while(failing: Lab) -> None:
    toleration = {"key": "broken", "operator": "Exists", "tolerationSeconds": 2}
    await place(failing, placement={"clusterTolerations": [toleration]})
    await taint(failing, "m2", TAINT)
    added = datetime.fromisoformat(failing.get("Cluster", "m2")["spec"]["taints"][0]["timeAdded"])
    await failing.until(lambda: "m2" not in failing.placed("web-deployment"))
    assert datetime.now(UTC) >= added + timedelta(seconds=2), "not before its time, which has whole seconds"


async def test_tolerated_for_ever(failing: Lab) -> None:
    await place(failing, placement={"clusterTolerations": [{"operator": "Exists"}]})
    await taint(failing, "m2", TAINT)
    await failing.rest()
    assert failing.placed("web-deployment") == {"m1": 1, "m2": 1}


async def say_ready(lab: Lab, cluster: str, status: str) -> None:
    def said(obj: Object) -> None:
        next(c for c in obj["status"]["conditions"] if c["type"] == "Ready")["status"] = status

    await lab.change("Cluster", cluster, said, subresource="status")


async def test_evictions_halt_while_most_clusters_are_not_ready(failing: Lab) -> None:
    await failing.join("m3", "m4")
    await place(failing, placement={"clusterAffinity": {"clusterNames": ["m1", "m2"]}})
    await failing.look_away()
    for name in ("m2", "m3", "m4"):
        await say_ready(failing, name, "False")
    await taint(failing, "m2", TAINT)
    because = "3 of 4 clusters are not Ready: nothing is evicted until more of them are"
    await failing.until(lambda: ("Warning", "EvictionsHalted", because, 1) in failing.events("Cluster", "m2"))
    assert REGISTRY.get_sample_value("kafila_eviction_rate") == 0
    await failing.rest()
    assert failing.placed("web-deployment") == {"m1": 1, "m2": 1}
    await say_ready(failing, "m3", "True")
    await failing.until(lambda: failing.placed("web-deployment") == {"m1": 2})
    resumed = ("Normal", "EvictionsResumed", "Enough clusters are Ready again", 1)
    await failing.until(lambda: resumed in failing.events("Cluster", "m2"))
    assert REGISTRY.get_sample_value("kafila_eviction_rate") == 50


async def test_nothing_is_evicted_unless_asked_for(two: Lab) -> None:
    await place(two)
    await taint(two, "m2", TAINT)
    await two.rest()
    assert len(two.placed("web-deployment")) == 2


async def test_a_task_times_out(failing: Lab) -> None:
    """Nothing gets healthy elsewhere: after its grace period the copy goes anyway."""
    await place(failing, placement={"clusterAffinity": {"clusterNames": ["m1", "m2"]}})

    def leaving(obj: Object) -> None:
        obj["spec"]["gracefulEvictionTasks"] = [
            {
                "fromCluster": "m2",
                "reason": "r",
                "producer": "tester",
                "gracePeriodSeconds": 1,
                "purgeMode": "Gracefully",
            }
        ]
        obj["spec"]["clusters"] = [{"name": "m1", "replicas": 1}]
        obj["spec"]["suspension"] = {"scheduling": True}
        obj["spec"]["replicas"] = 2

    await failing.change("ResourceBinding", "web-deployment", leaving)
    await failing.until(lambda: tasks(failing) and tasks(failing)[0].get("creationTimestamp"))
    await failing.until(lambda: not tasks(failing))
    await failing.until(lambda: failing.in_clusters("Deployment", "web") == ["m1"])


async def test_suppressed_deletion_waits_for_the_user(failing: Lab) -> None:
    await place(failing)

    def leaving(obj: Object) -> None:
        task = {"fromCluster": "m2", "reason": "r", "producer": "tester", "suppressDeletion": True}
        obj["spec"]["gracefulEvictionTasks"] = [task]
        obj["spec"]["clusters"] = [{"name": "m1", "replicas": 2}]

    await failing.change("ResourceBinding", "web-deployment", leaving)
    await failing.rest()
    assert [task["fromCluster"] for task in tasks(failing)] == ["m2"]
    assert failing.in_clusters("Deployment", "web") == ["m1", "m2"]

    def confirmed(obj: Object) -> None:
        obj["spec"]["gracefulEvictionTasks"][0]["suppressDeletion"] = False

    await failing.change("ResourceBinding", "web-deployment", confirmed)
    await failing.until(lambda: failing.in_clusters("Deployment", "web") == ["m1"])


def taint_policy(effect: str = "NoSchedule", **spec: Any) -> Object:
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "ClusterTaintPolicy",
        "metadata": {"name": "not-ready"},
        "spec": {
            "addOnConditions": [{"conditionType": "Ready", "operator": "NotIn", "statusValues": ["True"]}],
            "removeOnConditions": [{"conditionType": "Ready", "operator": "In", "statusValues": ["True"]}],
            "taints": [{"key": "lost", "value": "yes", "effect": effect}],
            **spec,
        },
    }


async def test_conditions_bring_taints_and_take_them_away(failing: Lab) -> None:
    await place(failing)
    await failing.create(taint_policy("NoExecute"))
    await failing.look_away()  # a status that is just being written would take back what follows

    async def is_ready(status: str) -> None:
        def change(obj: Object) -> None:
            failing.condition(obj, "Ready").update(status=status)

        await failing.change("Cluster", "m2", change, subresource="status")

    await is_ready("False")
    text = "{Key:lost,Value:yes,Effect:NoExecute}"
    await failing.until(lambda: any(text in said for _, _, said, _ in failing.events("Cluster", "m2")))
    assert failing.get("Cluster", "m2")["spec"]["taints"]
    await is_ready("True")
    await failing.until(lambda: not failing.get("Cluster", "m2")["spec"].get("taints"))


async def test_a_no_execute_policy_has_to_be_allowed(two: Lab) -> None:
    with pytest.raises(StatusError, match="Configuring taint with NoExecute effect is not allowed"):
        await two.create(taint_policy("NoExecute"))
