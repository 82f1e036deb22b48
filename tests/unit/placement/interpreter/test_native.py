from typing import Any

import pytest

from kafila.core.resources import GroupVersionKind
from kafila.placement.interpreter import NATIVE, Operation
from kafila.placement.interpreter import aggregate as agg
from tests.unit.placement.objects import deployment

DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")


def obj(api_version: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "x", "namespace": "ns", "generation": 2},
        **fields,
    }


def items(*statuses: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [{"clusterName": f"m{i}"} | ({} if s is None else {"status": s}) for i, s in enumerate(statuses, 1)]


def aggregated(template: dict[str, Any], *statuses: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = NATIVE.aggregate_status(template, items(*statuses)).get("status", {})
    return found


@pytest.mark.parametrize(
    ("operation", "count"),
    [
        (Operation.REPLICA, 5 + 9),  # of Kubernetes' kinds and of others
        (Operation.REVISE_REPLICA, 4 + 6),
        (Operation.RETAIN, 8 + 9 + 10),  # superset: tests/attack/test_member_fields.py
        (Operation.AGGREGATE_STATUS, 13 + 26),
        (Operation.REFLECT_STATUS, 9 + 20),
        (Operation.HEALTH, 9 + 26),
        (Operation.DEPENDENCY, 9 + 19),
        (Operation.COMPONENT, 0 + 8),
    ],
)
def test_as_many_kinds_as_karmada_has(operation: Operation, count: int) -> None:
    from kafila.placement.interpreter import native

    assert len(native._HOOKS[operation]) == count


def test_hooks_are_by_version() -> None:
    assert NATIVE.hook_enabled(DEPLOYMENT, Operation.REPLICA)
    assert not NATIVE.hook_enabled(DEPLOYMENT._replace(version="v1beta1"), Operation.REPLICA)
    assert not NATIVE.hook_enabled(GroupVersionKind("", "v1", "ConfigMap"), Operation.HEALTH)


def test_replicas() -> None:
    template = deployment(replicas=3)
    assert NATIVE.get_replicas(template) == (3, None)
    template["spec"]["template"]["spec"].update(
        nodeSelector={"a": "b"},
        tolerations=[{"key": "k"}],
        affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
        containers=[{"resources": {"requests": {"cpu": "500m", "memory": "1024Mi"}}}],
        priorityClassName="p",
    )
    assert NATIVE.get_replicas(template)[1] == {
        "nodeClaim": {
            "hardNodeAffinity": {"nodeSelectorTerms": []},
            "nodeSelector": {"a": "b"},
            "tolerations": [{"key": "k"}],
        },
        "resourceRequest": {"cpu": "500m", "memory": "1Gi"},
    }
    assert NATIVE.get_replicas(obj("v1", "Pod", spec={}))[0] == 1
    assert NATIVE.get_replicas(obj("batch/v1", "Job", spec={"parallelism": 5, "completions": 3}))[0] == 3
    assert NATIVE.get_replicas(obj("batch/v1", "Job", spec={"parallelism": 5}))[0] == 5


def test_revising_replicas() -> None:
    template = deployment(replicas=3)
    assert NATIVE.revise_replica(template, 9)["spec"]["replicas"] == 9
    assert template["spec"]["replicas"] == 3
    assert NATIVE.revise_replica(obj("batch/v1", "Job", spec={"parallelism": 1}), 4)["spec"] == {"parallelism": 4}
    without = obj("apps/v1", "Deployment", spec={})
    assert NATIVE.revise_replica(without, 4) is without


def member(**fields: Any) -> dict[str, Any]:
    return {"generation": 1, "observedGeneration": 1, "resourceTemplateGeneration": 2, **fields}


def test_deployments_are_summed() -> None:
    template = obj("apps/v1", "Deployment", status={"conditions": [1], "observedGeneration": 1, "replicas": 9})
    done = member(replicas=2, readyReplicas=1, updatedReplicas=2, availableReplicas=1, unavailableReplicas=1)
    assert aggregated(template, done, done) == {
        "conditions": [1],
        "observedGeneration": 2,
        "replicas": 4,
        "readyReplicas": 2,
        "updatedReplicas": 4,
        "availableReplicas": 2,
        "unavailableReplicas": 2,
    }
    # Until every member has seen the newest manifest, the template's generation is not observed.
    assert aggregated(template, done, None)["observedGeneration"] == 1
    assert aggregated(template, done, {**done, "resourceTemplateGeneration": 1})["observedGeneration"] == 1
    assert aggregated(template, done, {**done, "generation": 2})["observedGeneration"] == 1
    settled = NATIVE.aggregate_status(template, items(done))
    assert NATIVE.aggregate_status(settled, items(done)) is settled


def test_other_workloads() -> None:
    assert aggregated(obj("apps/v1", "ReplicaSet"), member(replicas=0)) == {"replicas": 0, "observedGeneration": 2}
    assert aggregated(obj("apps/v1", "StatefulSet"), member(replicas=1, readyReplicas=1)) == {
        "replicas": 1,
        "availableReplicas": 0,
        "readyReplicas": 1,
        "observedGeneration": 2,
    }
    assert aggregated(obj("apps/v1", "DaemonSet"), member(numberReady=1), member(numberReady=2)) == {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 3,
        "observedGeneration": 2,
    }
    # Superset: Karmada measures a StatefulSet by generations that it does not bring back
    old = {**member(replicas=1), "resourceTemplateGeneration": 1}
    assert "observedGeneration" not in aggregated(obj("apps/v1", "StatefulSet"), old)


def load_balancer(*ingress: dict[str, Any]) -> dict[str, Any]:
    return {"loadBalancer": {"ingress": list(ingress)}}


def test_addresses_are_joined() -> None:
    service = obj("v1", "Service", spec={"type": "LoadBalancer"})
    one = load_balancer({"ip": "2.2.2.2", "ports": [{"port": 80, "protocol": "TCP"}]}, {"hostname": "b"})
    two = load_balancer(
        {"ip": "1.1.1.1"}, {"ip": "2.2.2.2", "ports": [{"port": 80, "protocol": "TCP"}]}, {"hostname": "a"}
    )
    expected = load_balancer(
        {"hostname": "a"},
        {"hostname": "b"},
        {"ip": "1.1.1.1"},
        {"ip": "2.2.2.2", "ports": [{"port": 80, "protocol": "TCP"}]},
    )
    assert aggregated(service, one, two) == expected
    assert aggregated(obj("networking.k8s.io/v1", "Ingress"), one, two) == expected
    internal = obj("v1", "Service", spec={"type": "ClusterIP"})
    assert NATIVE.aggregate_status(internal, items(one)) is internal


COMPLETE = {
    "conditions": [{"type": "Complete", "status": "True"}],
    "succeeded": 1,
    "startTime": "2026-01-01T00:00:02Z",
    "completionTime": "2026-01-01T00:00:03Z",
}


def test_jobs() -> None:
    job = obj("batch/v1", "Job")
    both = agg.job(job, items(COMPLETE, {**COMPLETE, "startTime": "2026-01-01T00:00:01Z"}), now=0)
    assert both["status"] == {
        "succeeded": 2,
        "startTime": "2026-01-01T00:00:01Z",
        "completionTime": "2026-01-01T00:00:03Z",
        "conditions": [
            {
                "type": "Complete",
                "status": "True",
                "lastProbeTime": "1970-01-01T00:00:00Z",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
                "reason": "Completed",
                "message": "Job completed",
            }
        ],
    }
    assert agg.job(both, items({"failed": 1})) is both
    assert aggregated(job, COMPLETE, {"active": 1}) == {"succeeded": 1, "active": 1}
    failed = {"conditions": [{"type": "Failed", "status": "True"}], "failed": 1}
    conditions = aggregated(job, failed, COMPLETE, failed)["conditions"]
    assert [(c["type"], c["message"]) for c in conditions] == [
        ("Failed", "Job executed failed in member clusters m1,m3")
    ]
    met = {**COMPLETE, "conditions": [*COMPLETE["conditions"], {"type": "SuccessCriteriaMet", "status": "True"}]}  # type: ignore[misc]
    assert [c["type"] for c in aggregated(job, met)["conditions"]] == ["Complete", "SuccessCriteriaMet"]


def test_a_job_is_not_complete_before_it_has_done_what_is_asked_for_now() -> None:
    done = [{"type": kind, "status": "True"} for kind in ("Suspended", "SuccessCriteriaMet", "Complete")]
    status = {"succeeded": 4, "conditions": done, "completionTime": "2026-01-01T00:00:00Z"}
    asks = obj("batch/v1", "Job", spec={"completions": 4})
    assert agg.reported_status(asks, status) is status
    asks["spec"]["completions"] = 8
    assert agg.reported_status(asks, status) == {"succeeded": 4, "conditions": done[:1]}
    asks["spec"]["successPolicy"] = {"rules": []}
    assert agg.reported_status(asks, status) is status


def test_cron_jobs() -> None:
    early = {"active": [{"name": "a"}], "lastScheduleTime": "2026-01-01T00:00:00Z"}
    late = {"lastScheduleTime": "2026-01-02T00:00:00Z", "lastSuccessfulTime": "2026-01-02T00:00:00Z"}
    assert aggregated(obj("batch/v1", "CronJob"), early, late) == {"active": [{"name": "a"}], **late}


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        (["Running", "Failed", "Pending"], "Failed"),
        (["Running", "Succeeded"], "Running"),
        (["Succeeded", None], "Pending"),
        (["Succeeded", "Succeeded"], "Succeeded"),
    ],
)
def test_pods(phases: list[str | None], expected: str) -> None:
    statuses = [None if phase is None else {"phase": phase} for phase in phases]
    assert aggregated(obj("v1", "Pod"), *statuses)["phase"] == expected


def test_containers_of_pods() -> None:
    status = {
        "phase": "Running",
        "containerStatuses": [{"name": "a", "ready": True, "state": {"running": {}}, "image": "x"}],
    }
    assert aggregated(obj("v1", "Pod"), status)["containerStatuses"] == [
        {
            "name": "",
            "state": {"running": {}},
            "lastState": {},
            "ready": True,
            "restartCount": 0,
            "image": "",
            "imageID": "",
        }
    ]


def test_volumes() -> None:
    assert aggregated(obj("v1", "PersistentVolume"), {"phase": "Bound"}, {"phase": "Available"}) == {
        "phase": "Available"
    }
    assert aggregated(obj("v1", "PersistentVolume"), {"phase": "Bound"}, None) == {"phase": "Pending"}
    claim = obj("v1", "PersistentVolumeClaim")
    assert aggregated(claim, {"phase": "Pending"}, {"phase": "Bound"}) == {"phase": "Pending"}
    assert aggregated(claim, {"phase": "Lost"}, {"phase": "Pending"}) == {"phase": "Lost"}
    assert aggregated(claim, {"phase": "Bound"}) == {"phase": "Bound"}


def test_budgets_and_autoscalers() -> None:
    status = {
        "currentHealthy": 1,
        "desiredHealthy": 2,
        "expectedPods": 3,
        "disruptionsAllowed": 4,
        "disruptedPods": {"p": "t"},
    }
    assert aggregated(obj("policy/v1", "PodDisruptionBudget"), status, status) == {
        "currentHealthy": 2,
        "desiredHealthy": 4,
        "expectedPods": 6,
        "disruptionsAllowed": 8,
        "disruptedPods": {"m1/p": "t", "m2/p": "t"},
    }
    scaler = obj("autoscaling/v2", "HorizontalPodAutoscaler")
    assert aggregated(scaler, {"currentReplicas": 1, "desiredReplicas": 2}, {"desiredReplicas": 2}) == {
        "currentReplicas": 1,
        "desiredReplicas": 4,
        "currentMetrics": None,
    }


def test_reflected_statuses() -> None:
    made = obj("apps/v1", "Deployment", status={"replicas": 2, "observedGeneration": 2, "conditions": [1]})
    made["metadata"]["annotations"] = {"resourcetemplate.karmada.io/generation": "7"}
    assert NATIVE.reflect_status(made) == {
        "generation": 2,
        "resourceTemplateGeneration": 7,
        "observedGeneration": 2,
        "replicas": 2,
    }
    assert NATIVE.reflect_status(obj("apps/v1", "Deployment")) is None
    assert NATIVE.reflect_status(obj("v1", "Service", spec={"type": "ClusterIP"}, status={"loadBalancer": {}})) is None
    balanced = obj(
        "v1", "Service", spec={"type": "LoadBalancer"}, status={"loadBalancer": {"ingress": []}, "conditions": []}
    )
    assert NATIVE.reflect_status(balanced) == {"loadBalancer": {"ingress": []}}
    assert NATIVE.reflect_status(obj("example.io/v1", "Thing", status={"a": 1})) == {"a": 1}
    job = obj("batch/v1", "Job", status={"active": 1, "ready": 1, "succeeded": 0})
    assert NATIVE.reflect_status(job) == {"active": 1}


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "status", "expected"),
    [
        (
            "apps/v1",
            "Deployment",
            {"replicas": 2},
            {"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2},
            True,
        ),
        (
            "apps/v1",
            "Deployment",
            {"replicas": 2},
            {"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2},
            False,
        ),
        (
            "apps/v1",
            "StatefulSet",
            {"replicas": 2},
            {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 2},
            False,
        ),
        (
            "apps/v1",
            "Deployment",
            {"replicas": 2},
            {"observedGeneration": 2, "updatedReplicas": 3, "availableReplicas": 2},
            False,
        ),
        ("apps/v1", "ReplicaSet", {"replicas": 2}, {"observedGeneration": 2, "availableReplicas": 1}, False),
        ("apps/v1", "ReplicaSet", {"replicas": 2}, {"observedGeneration": 2, "availableReplicas": 2}, True),
        (
            "apps/v1",
            "DaemonSet",
            {},
            {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1},
            False,
        ),
        (
            "apps/v1",
            "DaemonSet",
            {},
            {"observedGeneration": 2, "updatedNumberScheduled": 1, "numberAvailable": 1},
            True,
        ),
        ("v1", "Service", {"type": "ClusterIP"}, {}, True),
        ("v1", "Service", {"type": "LoadBalancer"}, {}, False),
        ("v1", "Service", {"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "1"}]}}, True),
        ("networking.k8s.io/v1", "Ingress", {}, {"loadBalancer": {"ingress": [{"hostname": "h"}]}}, True),
        ("networking.k8s.io/v1", "Ingress", {}, {}, False),
        ("v1", "PersistentVolumeClaim", {}, {"phase": "Bound"}, True),
        ("v1", "Pod", {}, {"phase": "Succeeded"}, True),
        ("v1", "Pod", {}, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, True),
        ("v1", "Pod", {}, {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, False),
        ("policy/v1", "PodDisruptionBudget", {}, {"currentHealthy": 1, "desiredHealthy": 2}, False),
    ],
)
def test_health(api_version: str, kind: str, spec: dict[str, Any], status: dict[str, Any], expected: bool) -> None:
    assert NATIVE.interpret_health(obj(api_version, kind, spec=spec, status=status)) is expected


POD = {
    "serviceAccountName": "robot",
    "imagePullSecrets": [{"name": "pull"}],
    "volumes": [
        {"configMap": {"name": "b"}},
        {"secret": {"secretName": "s1"}},
        {"persistentVolumeClaim": {"claimName": "data"}},
        {"persistentVolumeClaim": {"claimName": "own"}},
        {"projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "s2"}}]}},
        {"csi": {"nodePublishSecretRef": {"name": "s3"}}},
    ],
    "containers": [
        {
            "env": [
                {"valueFrom": {"configMapKeyRef": {"name": "a"}}},
                {"valueFrom": {"secretKeyRef": {"name": "s4"}}},
                {"value": "x"},
            ],
            "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": ""}}],
        }
    ],
    "initContainers": [{"envFrom": [{"secretRef": {"name": "s5"}}]}],
}


def test_dependencies() -> None:
    found = NATIVE.get_dependencies(obj("apps/v1", "Deployment", spec={"template": {"spec": POD}}))
    assert [(each["kind"], each["name"]) for each in found] == [
        *(("ConfigMap", name) for name in ("a", "b", "c")),
        *(("Secret", name) for name in ("pull", "s1", "s2", "s3", "s4", "s5")),
        ("ServiceAccount", "robot"),
        ("PersistentVolumeClaim", "data"),
        ("PersistentVolumeClaim", "own"),
    ]
    assert found[0] == {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "ns", "name": "a"}
    stateful = {"template": {"spec": POD}, "volumeClaimTemplates": [{"metadata": {"name": "own"}}]}
    kept = NATIVE.get_dependencies(obj("apps/v1", "StatefulSet", spec=stateful))
    assert [each["name"] for each in kept if each["kind"] == "PersistentVolumeClaim"] == ["data"]
    cron = {"jobTemplate": {"spec": {"template": {"spec": {"serviceAccountName": "default"}}}}}
    assert NATIVE.get_dependencies(obj("batch/v1", "CronJob", spec=cron)) is None
    assert NATIVE.get_dependencies(obj("networking.k8s.io/v1", "Ingress", spec={"tls": [{"secretName": "t"}]})) == [
        {"apiVersion": "v1", "kind": "Secret", "namespace": "ns", "name": "t"}
    ]
    imported = NATIVE.get_dependencies(obj("multicluster.x-k8s.io/v1alpha1", "ServiceImport"))
    assert imported[0]["name"] == "derived-x"
    assert imported[1]["labelSelector"] == {"matchLabels": {"kubernetes.io/service-name": "derived-x"}}


def test_components_of_a_kind_that_has_several() -> None:
    template = {"spec": {"priorityClassName": "high", "containers": [{"resources": {"requests": {"cpu": "1"}}}]}}
    task = {"name": "work", "minAvailable": 3, "template": template}
    job = obj("batch.volcano.sh/v1alpha1", "Job", spec={"tasks": [task, {"template": {"spec": {}}}]})
    needs: dict[str, Any] = {"resourceRequest": {"cpu": "1"}}
    assert NATIVE.get_components(job) == [
        {"name": "work", "replicas": 3, "replicaRequirements": needs},
        {"name": "task-1", "replicas": 1},
    ]
    by_quota = NATIVE.get_components(job, with_priority_class=True)
    assert by_quota[0]["replicaRequirements"] == {**needs, "priorityClassName": "high"}
    assert not NATIVE.hook_enabled(DEPLOYMENT, Operation.COMPONENT)
