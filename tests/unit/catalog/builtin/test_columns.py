"""Rows as ``kubectl get -o wide`` shows them."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.builtin import print_columns, selectable_fields
from kafila.core.clock import parse_rfc3339
from kafila.core.resources import GroupVersionKind

NOW = parse_rfc3339("2026-01-01T01:00:00Z")
META = {"name": "x", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"}
TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}]}}


def row(gvk: str, **fields: Any) -> dict[str, Any]:
    group, version, kind = gvk.split("/")
    printed = print_columns(GroupVersionKind(group, version, kind))
    assert printed is not None
    columns, cells = printed
    metadata = {**META, **fields.pop("metadata", {})}
    return dict(zip([c.name for c in columns], cells({"metadata": metadata, **fields}, NOW), strict=True))


def test_columns_say_their_type_and_priority():
    columns, _ = print_columns(GroupVersionKind("apps", "v1", "ReplicaSet"))  # type: ignore[misc]
    assert [(c.name, c.type, c.format, c.priority) for c in columns][:2] == [
        ("Name", "string", "name", 0),
        ("Desired", "integer", "", 0),
    ]
    assert columns[-1].priority == 1
    assert print_columns(GroupVersionKind("", "v1", "LimitRange")) is None
    assert print_columns(GroupVersionKind("example.com", "v1", "Pod")) is None


def pod(**status: Any) -> dict[str, Any]:
    metadata = status.pop("metadata", {})
    spec = {"containers": [{"name": "c"}], "initContainers": status.pop("init", [])}
    return row("/v1/Pod", metadata=metadata, spec=spec, status=status)


WAITING = {"restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
CRASHED = {
    "restartCount": 3,
    "state": {"running": {}},
    "ready": True,
    "lastState": {"terminated": {"finishedAt": "2026-01-01T00:55:00Z"}},
}


@pytest.mark.parametrize(
    ("status", "ready", "shown", "restarts"),
    [
        ({"phase": "Pending"}, "0/1", "Pending", "0"),
        ({"phase": "Pending", "containerStatuses": [WAITING]}, "0/1", "ImagePullBackOff", "0"),
        ({"phase": "Running", "containerStatuses": [CRASHED]}, "1/1", "Running", "3 (5m ago)"),
        (
            {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 2}}}]},
            "0/1",
            "ExitCode:2",
            "0",
        ),
        ({"phase": "Running", "metadata": {"deletionTimestamp": "2026-01-01T00:59:00Z"}}, "0/1", "Terminating", "0"),
        (
            {
                "phase": "Pending",
                "init": [{"name": "i"}],
                "initContainerStatuses": [{"name": "i", "state": {"running": {}}}],
            },
            "0/1",
            "Init:0/1",
            "0",
        ),
        (
            {
                "phase": "Running",
                "init": [{"name": "i", "restartPolicy": "Always"}],
                "initContainerStatuses": [{"name": "i", "started": True, "ready": True, "state": {"running": {}}}],
            },
            "1/2",
            "Running",
            "0",
        ),
        (
            {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"reason": "Completed"}}}]},
            "0/1",
            "Completed",
            "0",
        ),
    ],
)
def test_pods(status, ready, shown, restarts):
    cells = pod(**status)
    assert (cells["Ready"], cells["Status"], cells["Restarts"], cells["Age"]) == (ready, shown, restarts, "60m")
    assert (cells["IP"], cells["Node"], cells["Readiness Gates"]) == ("<none>", "<none>", "<none>")


def test_workloads():
    selector = {
        "matchLabels": {"b": "c", "a": "b"},
        "matchExpressions": [{"key": "aa", "operator": "In", "values": ["y", "x"]}],
    }
    cells = row(
        "apps/v1/Deployment",
        spec={"replicas": 3, "template": TEMPLATE, "selector": selector},
        status={"readyReplicas": 1, "updatedReplicas": 2},
    )
    assert cells == {
        "Name": "x",
        "Ready": "1/3",
        "Up-to-date": 2,
        "Available": 0,
        "Age": "60m",
        "Containers": "a,b",
        "Images": "i,j",
        "Selector": "a=b,aa in (x,y),b=c",
    }
    daemons = row("apps/v1/DaemonSet", spec={"template": TEMPLATE, "selector": {}}, status={"numberReady": 2})
    assert (daemons["Ready"], daemons["Node Selector"], daemons["Selector"]) == (2, "<none>", "<none>")


def test_jobs():
    done = {"succeeded": 2, "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:02:05Z"}
    done["conditions"] = [{"type": "Complete", "status": "True"}]
    cells = row("batch/v1/Job", spec={"completions": 2, "template": TEMPLATE}, status=done)
    assert (cells["Status"], cells["Completions"], cells["Duration"]) == ("Complete", "2/2", "2m5s")
    cells = row("batch/v1/Job", spec={"parallelism": 4, "template": TEMPLATE})
    assert (cells["Status"], cells["Completions"], cells["Duration"]) == ("Running", "0/1 of 4", "")
    cells = row("batch/v1/CronJob", spec={"schedule": "* * * * *", "suspend": False})
    assert (cells["Timezone"], cells["Suspend"], cells["Active"], cells["Last Schedule"]) == (
        "<none>",
        "False",
        0,
        "<none>",
    )


@pytest.mark.parametrize(
    ("spec", "status", "shown"),
    [
        ({"type": "ClusterIP", "clusterIPs": ["10.0.0.1"]}, {}, ("10.0.0.1", "<none>", "<none>")),
        ({"type": "ExternalName", "externalName": "a.b"}, {}, ("<none>", "a.b", "<none>")),
        (
            {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]},
            {},
            ("<none>", "<pending>", "80:30080/TCP"),
        ),
        (
            {"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]},
            {"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}, {"hostname": "1.lb"}, {"ip": "2.2.2.2"}]}},
            ("<none>", "1.lb,2.2.2.2,9.9.9.9", "<none>"),
        ),
    ],
)
def test_services(spec, status, shown):
    cells = row("/v1/Service", spec=spec, status=status)
    assert (cells["Cluster-IP"], cells["External-IP"], cells["Port(s)"]) == shown


def test_lists_are_cut():
    hosts = [{"host": f"{i}.a"} for i in range(5)]
    cells = row("networking.k8s.io/v1/Ingress", spec={"rules": hosts, "tls": [{}]})
    assert (cells["Hosts"], cells["Ports"], cells["Class"]) == ("0.a,1.a,2.a + 2 more...", "80, 443", "<none>")
    assert row("networking.k8s.io/v1/Ingress", spec={"rules": [{}]})["Hosts"] == "*"
    endpoints = [{"addresses": [f"10.0.0.{i}"]} for i in range(4)]
    cells = row("discovery.k8s.io/v1/EndpointSlice", addressType="IPv4", endpoints=endpoints)
    assert (cells["Ports"], cells["Endpoints"]) == ("<unset>", "10.0.0.0,10.0.0.1,10.0.0.2 + 1 more...")


def test_nodes():
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {"kubeletVersion": "v1.30.1", "kernelVersion": "6.1", "architecture": "arm64"},
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
    }
    labels = {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": ""}
    cells = row("/v1/Node", metadata={"labels": labels}, spec={"unschedulable": True}, status=status)
    assert cells["Status"] == "Ready,SchedulingDisabled"
    assert cells["Roles"] == "control-plane,worker"
    assert (cells["Internal-IP"], cells["External-IP"], cells["Kernel-Version"]) == (
        "10.0.0.1",
        "<none>",
        "6.1 (arm64)",
    )


def test_both_kinds_of_events_look_the_same():
    old = row(
        "/v1/Event",
        involvedObject={"kind": "Pod", "name": "p"},
        source={"component": "kubelet", "host": "n"},
        message=" m ",
        lastTimestamp="2026-01-01T00:59:00Z",
        firstTimestamp="2026-01-01T00:00:00Z",
    )
    new = row(
        "events.k8s.io/v1/Event",
        regarding={"kind": "Pod", "name": "p"},
        deprecatedSource={"component": "kubelet", "host": "n"},
        note=" m ",
        deprecatedLastTimestamp="2026-01-01T00:59:00Z",
        deprecatedFirstTimestamp="2026-01-01T00:00:00Z",
    )
    assert old == new
    assert (old["Object"], old["Source"], old["Message"], old["Last Seen"], old["Count"]) == (
        "pod/p",
        "kubelet, n",
        "m",
        "60s",
        1,
    )


def test_autoscalers():
    metrics = [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
        {"type": "Pods", "pods": {"target": {"averageValue": "10"}}},
        {"type": "External", "external": {"target": {"value": "5"}}},
    ]
    status = {"currentMetrics": [{"resource": {"current": {"averageUtilization": 10}}}]}
    target = {"kind": "Deployment", "name": "d"}
    cells = row(
        "autoscaling/v2/HorizontalPodAutoscaler",
        spec={"metrics": metrics, "scaleTargetRef": target, "maxReplicas": 3},
        status=status,
    )
    assert cells["Targets"] == "cpu: 10%/80%, <unknown>/10 + 1 more..."
    assert (cells["Reference"], cells["MinPods"], cells["MaxPods"]) == ("Deployment/d", "<unset>", 3)
    v1 = row("autoscaling/v1/HorizontalPodAutoscaler", spec={"targetCPUUtilizationPercentage": 80})
    assert v1["Targets"] == "cpu: <unknown>/80%"


def test_quotas_and_volumes():
    status = {"hard": {"pods": "4", "limits.cpu": "2", "cpu": "1"}, "used": {"pods": "1"}}
    cells = row("/v1/ResourceQuota", status=status)
    assert (cells["Request"], cells["Limit"]) == ("cpu: 0/1, pods: 1/4", "limits.cpu: 0/2")
    cells = row("/v1/PersistentVolumeClaim", spec={"volumeMode": "Filesystem"}, status={"phase": "Pending"})
    assert (cells["Capacity"], cells["Access Modes"], cells["VolumeMode"]) == ("", "", "Filesystem")
    default = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    assert row("storage.k8s.io/v1/StorageClass", metadata=default)["Name"] == "x (default)"


def test_selectable_fields():
    fields = selectable_fields(GroupVersionKind("", "v1", "Pod"))
    pod = {"spec": {"nodeName": "n"}, "status": {"podIPs": [{"ip": "1.1.1.1"}]}}
    assert fields["spec.nodeName"](pod) == "n"
    assert fields["spec.hostNetwork"](pod) == "false"
    assert fields["status.phase"](pod) == ""
    assert set(selectable_fields(GroupVersionKind("", "v1", "Service"))) == {"spec.clusterIP", "spec.type"}
    assert selectable_fields(GroupVersionKind("apps", "v1", "ReplicaSet")) == {}
