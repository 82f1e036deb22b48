"""What becomes of copies in members: evictions, refusals, and what is reported of them."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from tests.integration.reconcile.conftest import CATALOG, Lab, make_lab, two
from tests.integration.reconcile.conftest import lab as _lab

__all__ = ["CATALOG", "make_lab", "two"]
lab = _lab
TAINT = {"key": "broken", "value": "disk", "effect": "NoExecute"}
EVERYTHING = [{"apiVersion": "v1", "kind": "ConfigMap"}]


async def taint(lab: Lab, cluster: str, *taints: Object) -> None:
    await lab.change("Cluster", cluster, lambda obj: obj["spec"].update(taints=list(taints)))


# -- evictions -----------------------------------------------------------------------------------------------------------


async def test_an_eviction_that_is_not_needed_any_more_keeps_nobody_waiting(make_lab: Any) -> None:
    """40 at one in 4 s: behind their slots the last one would wait for 160 s, longer than ``until`` does."""
    many, rate = 40, 0.25
    lab = await make_lab(
        feature_gates="Failover=true", enable_no_execute_taint_eviction=True, resource_eviction_rate=rate
    ).start()
    try:
        await lab.join("m1", "m2")
        for number in range(many):
            await lab.create(lab.config(f"settings-{number}"))
        await lab.create(lab.policy("all", "m1", select=EVERYTHING))
        await lab.create(lab.deployment())
        await lab.create(lab.policy("web", "m2"))
        await lab.until(lambda: len(lab.list("ConfigMap", lab.members["m1"].registry)) > many)
        await lab.until(lambda: lab.in_clusters("Deployment", "web") == ["m2"])

        def leaving() -> int:
            return sum(1 for each in lab.list("ResourceBinding") if each["spec"].get("gracefulEvictionTasks"))

        await taint(lab, "m1", TAINT)
        await lab.until(leaving)
        await lab.rest()  # the others wait
        await taint(lab, "m1")
        await lab.rest()
        before = leaving()
        await taint(lab, "m2", TAINT)
        await lab.until(lambda: leaving() > before)
        assert leaving() == before + 1
    finally:
        await lab.close()


# -- what a rollout waits for --------------------------------------------------------------------------------------------


def workload(kind: str, **spec: Any) -> Object:
    pods = {"metadata": {"labels": {"app": "it"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "it", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "it"}}, "template": pods, **spec},
    }


ROLLED_OUT = (
    workload("Deployment", replicas=1),
    workload("ReplicaSet", replicas=1),
    workload("StatefulSet", replicas=1, serviceName="it"),
    workload("DaemonSet"),
)


async def test_the_members_have_seen_the_newest_generation(two: Lab) -> None:
    selected = [{"apiVersion": "apps/v1", "kind": each["kind"], "name": "it"} for each in ROLLED_OUT]
    await two.create(two.policy("all", select=selected))
    for each in ROLLED_OUT:
        await two.create(each)

    def is_seen(kind: str, image: str) -> bool:
        """Whether `kubectl rollout status` would go on, and rightly so."""
        obj = two.get(kind, "it")
        if (obj.get("status") or {}).get("observedGeneration") != obj["metadata"]["generation"]:
            return False
        copies = [two.in_member(member, kind, "it") for member in two.members]
        assert all(copy["spec"]["template"]["spec"]["containers"][0]["image"] == image for copy in copies)
        return True

    def newer(obj: Object) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2"

    for each in ROLLED_OUT:
        await two.until(lambda kind=each["kind"]: is_seen(kind, "nginx:1"), each["kind"])
        await two.change(each["kind"], "it", newer)
        await two.until(lambda kind=each["kind"]: is_seen(kind, "nginx:2"), each["kind"])


# -- what is refused in a member -----------------------------------------------------------------------------------------


def refused_override(path: str = "/spec/template/spec/restartPolicy", value: str = "Never") -> Object:
    """No member takes a Deployment whose pods are not started again."""
    patch = {"path": path, "operator": "replace", "value": value}
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "OverridePolicy",
        "metadata": {"name": "bad", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}],
            "overrideRules": [{"overriders": {"plaintext": [patch]}}],
        },
    }


def ready(lab: Lab, kind: str = "Deployment", name: str = "web") -> int:
    return (lab.get(kind, name).get("status") or {}).get("readyReplicas") or 0


def item(lab: Lab, cluster: str, binding: str = "web-deployment") -> Object:
    items = lab.get("ResourceBinding", binding).get("status", {}).get("aggregatedStatus") or []
    return next((each for each in items if each["clusterName"] == cluster), {})


async def test_a_refused_update_leaves_a_running_copys_numbers(two: Lab) -> None:
    await two.create(two.deployment(replicas=3))
    await two.create(two.policy("web", "m1"))
    await two.until(lambda: ready(two) == 3)
    await two.create(refused_override())
    await two.until(lambda: "restartPolicy" in item(two, "m1").get("appliedMessage", ""))
    await two.rest()
    assert "applied" not in item(two, "m1")
    assert item(two, "m1")["health"] == "Unknown"
    assert ready(two) == 3
    assert two.condition(two.get("ResourceBinding", "web-deployment"), "FullyApplied")["status"] == "False"
    # what goes on there is still told
    member = two.members["m1"].registry
    kind = two.kind("Deployment")
    await member.modify(kind, "default", "web", lambda obj: {**obj, "spec": {**obj["spec"], "replicas": 2}}, two.user)
    await two.until(lambda: ready(two) == 2)
    # a copy that is gone has no numbers, even when it cannot be made again
    await member.delete(kind, "default", "web", DeleteOptions())
    await two.until(lambda: ready(two) == 0 and "status" not in item(two, "m1"))


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_refusal_to_create_does_not_hide_that_it_is_there(two: Lab, overwrite: bool) -> None:
    """A Service's own port, taken by itself, is refused before its name is looked at."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}], "selector": {"app": "web"}},
    }
    member = two.members["m1"].registry
    kind = two.kind("Service")
    await member.create(kind, "default", decode_object(kind, {**service, "status": {}}, two.user), two.user)
    resolution = {"conflictResolution": "Overwrite"} if overwrite else {}
    selected = [{"apiVersion": "v1", "kind": "Service", "name": "web"}]
    await two.create(two.policy("web", "m1", select=selected, **resolution))
    await two.create(service)
    if overwrite:
        await two.until(lambda: item(two, "m1", "web-service").get("applied"))
        assert two.in_member("m1", "Service", "web")["metadata"]["labels"]["karmada.io/managed"] == "true"
    else:
        await two.until(lambda: "already exists" in item(two, "m1", "web-service").get("appliedMessage", ""))
        assert "conflict-resolution" in item(two, "m1", "web-service")["appliedMessage"]


def applied_message(lab: Lab, binding: str) -> str:
    return lab.condition(lab.get("ResourceBinding", binding), "FullyApplied").get("message", "")


LATER = "2099-01-01T00:00:00Z"


async def stop_workloads(member: Any) -> None:
    """Its Jobs do what a test says, and not what the simulation does."""
    (simulator,) = [each for each in member._controllers if each.name == "workloads"]
    await simulator.stop()


async def report_complete(lab: Lab, cluster: str, done: int) -> None:
    now = "2026-01-01T00:00:00Z"
    conditions = [
        {"type": kind, "status": "True", "reason": "CompletionsReached", "lastTransitionTime": now}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    status = {"succeeded": done, "conditions": conditions, "startTime": now, "completionTime": now}
    member = lab.members[cluster].registry
    await member.modify(
        lab.kind("Job"), "default", "it", lambda obj: {**obj, "status": {**obj["status"], **status}}, lab.user, "status"
    )


async def test_completions_that_did_not_happen_are_not_claimed(make_lab: Any) -> None:
    """A Job divided in two that loses a cluster: the other one's Job cannot take over what is left."""
    lab = await make_lab(feature_gates="Failover=true", enable_no_execute_taint_eviction=True).start()
    try:
        await lab.join("m1", "m2")
        for member in lab.members.values():
            await stop_workloads(member)
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "it", "namespace": "default"},
            "spec": {
                "parallelism": 8,
                "completions": 8,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}},
            },
        }
        selected = [{"apiVersion": "batch/v1", "kind": "Job", "name": "it"}]
        halves = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}
        evicted = {"cluster": {"purgeMode": "Directly"}}
        await lab.create(lab.policy("it", select=selected, scheduling=halves, failover=evicted))
        await lab.create(job)
        await lab.until(lambda: lab.in_clusters("Job", "it") == ["m1", "m2"])
        await report_complete(lab, "m1", 4)
        await lab.until(lambda: lab.get("Job", "it")["status"].get("succeeded") == 4)
        await taint(lab, "m2", TAINT)
        left_over = "4 of 8 completions are left over"
        await lab.until(lambda: left_over in applied_message(lab, "it-job"))
        await lab.rest()
        assert lab.in_member("m1", "Job", "it")["spec"]["parallelism"] == 8
        assert any(left_over in message for _, _, message, _ in lab.events("Job", "it"))
        assert lab.get("Job", "it")["status"]["succeeded"] == 4
        assert not lab.is_true(lab.get("Job", "it"), "Complete")
        assert "applied" in item(lab, "m1", "it-job")
        # there is room elsewhere: what is left is done there
        await lab.join("m3")
        await stop_workloads(lab.members["m3"])
        await lab.change("ResourceBinding", "it-job", lambda obj: obj["spec"].update(rescheduleTriggeredAt=LATER))
        await lab.until(lambda: lab.in_member("m3", "Job", "it"))
        assert lab.in_member("m3", "Job", "it")["spec"]["completions"] == 4
        await report_complete(lab, "m3", 4)
        await lab.until(lambda: lab.is_true(lab.get("Job", "it"), "Complete"))
        assert lab.get("Job", "it")["status"]["succeeded"] == 8
        await lab.until(lambda: lab.is_true(lab.get("ResourceBinding", "it-job"), "FullyApplied"))
    finally:
        await lab.close()
