"""The objects that are measured with: a Deployment of 2 kB, its policy, and a ConfigMap of 2 kB."""

from __future__ import annotations

from typing import Any

REPLICAS = 10
NAMESPACES = "/api/v1/namespaces"


def deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def policies(namespace: str) -> str:
    return f"/apis/policy.karmada.io/v1alpha1/namespaces/{namespace}/propagationpolicies"


def configmaps(namespace: str) -> str:
    return f"{NAMESPACES}/{namespace}/configmaps"


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def configmap(namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"bench": "1", "shard": name[-1]}},
        "data": {f"setting-{i}": "v" * 180 for i in range(10)},
    }


def deployment(namespace: str, name: str) -> dict[str, Any]:
    labels = {"app": name, "team": "bench", "tier": "backend"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": {"example.com/owner": "bench team", "example.com/notes": "x" * 300},
        },
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [_container()],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                    "terminationGracePeriodSeconds": 5,
                },
            },
        },
    }


def _container() -> dict[str, Any]:
    settings: list[dict[str, Any]] = [{"name": f"SETTING_{i}", "value": f"value of setting {i}"} for i in range(8)]
    pod_name = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}
    return {
        "name": "main",
        "image": "registry.example.com/team/service:1.2.3",
        "imagePullPolicy": "IfNotPresent",
        "args": ["--listen=:8080", "--log-level=info", "--config=/etc/app/config.yaml"],
        "ports": [
            {"name": "http", "containerPort": 8080, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9090, "protocol": "TCP"},
        ],
        "env": [*settings, pod_name],
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": "100m", "memory": "64Mi"},
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 10},
        "livenessProbe": {"httpGet": {"path": "/live", "port": "http"}, "periodSeconds": 20},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def policy(namespace: str, name: str, clusters: list[str], divided: bool) -> dict[str, Any]:
    """For the Deployment of its name. Divided: static weights 1, 2, 3 …"""
    scheduling: dict[str, Any] = {"replicaSchedulingType": "Duplicated"}
    if divided:
        weights = [
            {"targetCluster": {"clusterNames": [cluster]}, "weight": weight}
            for weight, cluster in enumerate(clusters, start=1)
        ]
        scheduling = {
            "replicaSchedulingType": "Divided",
            "replicaDivisionPreference": "Weighted",
            "weightPreference": {"staticWeightList": weights},
        }
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}],
            "placement": {"clusterAffinity": {"clusterNames": clusters}, "replicaScheduling": scheduling},
        },
    }


def configmap_policy(namespace: str, clusters: list[str]) -> dict[str, Any]:
    """For all ConfigMaps of the benchmark in the namespace."""
    selector = {"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {"bench": "1"}}}
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": {"name": "configmaps", "namespace": namespace},
        "spec": {
            "resourceSelectors": [selector],
            "placement": {"clusterAffinity": {"clusterNames": clusters}},
        },
    }
