"""Small objects that the tests of placement share."""

from __future__ import annotations

from typing import Any

PP_ID = "propagationpolicy.karmada.io/permanent-id"
CPP_ID = "clusterpropagationpolicy.karmada.io/permanent-id"


def deployment(name: str = "nginx", replicas: int = 2, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": "uid-of-template",
            "resourceVersion": "7",
            "generation": 3,
            "labels": {"app": name},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "docker.io/library/nginx:1.2"}]},
            },
            **spec,
        },
    }


def policy(name: str = "pp", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    kind, label = ("PropagationPolicy", PP_ID) if namespace else ("ClusterPropagationPolicy", CPP_ID)
    meta: dict[str, Any] = {"name": name, "labels": {label: f"id-of-{name}"}}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": "policy.karmada.io/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def selector(kind: str = "Deployment", api_version: str = "apps/v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, **fields}


def cluster(
    name: str,
    *,
    cpu: str = "100",
    pods: str = "1000",
    region: str = "",
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    if region:
        spec["region"] = region
    return {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"syncMode": "Push", **spec},
        "status": {
            "apiEnablements": [
                {"groupVersion": "apps/v1", "resources": [{"name": "deployments", "kind": "Deployment"}]},
                {"groupVersion": "v1", "resources": [{"name": "configmaps", "kind": "ConfigMap"}]},
            ],
            "resourceSummary": {"allocatable": {"cpu": cpu, "memory": "1000Gi", "pods": pods}},
        },
    }


def binding(
    replicas: int = 0, placement: dict[str, Any] | None = None, kind: str = "Deployment", **spec: Any
) -> dict[str, Any]:
    api_version = "apps/v1" if kind == "Deployment" else "v1"
    wanted: dict[str, Any] = {
        "resource": {"apiVersion": api_version, "kind": kind, "namespace": "default", "name": "nginx", "uid": ""},
        "placement": placement or {},
        **spec,
    }
    if replicas:
        wanted["replicas"] = replicas
        wanted.setdefault("replicaRequirements", {"resourceRequest": {"cpu": "1"}})
    return {
        "apiVersion": "work.karmada.io/v1alpha2",
        "kind": "ResourceBinding",
        "metadata": {
            "name": f"nginx-{kind.lower()}",
            "namespace": "default",
            "generation": 1,
            "labels": {PP_ID: "id-of-pp", "resourcebinding.karmada.io/permanent-id": "id-of-binding"},
        },
        "spec": wanted,
    }


def divided(preference: str = "Weighted", **weights: Any) -> dict[str, Any]:
    strategy: dict[str, Any] = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": preference}
    if weights:
        strategy["weightPreference"] = weights
    return strategy


DYNAMIC = divided(dynamicWeight="AvailableReplicas")
AGGREGATED = divided("Aggregated")
DUPLICATED = {"replicaSchedulingType": "Duplicated"}


def static(**weights: int) -> dict[str, Any]:
    rules = [{"targetCluster": {"clusterNames": [name]}, "weight": weight} for name, weight in weights.items()]
    return divided(staticWeightList=rules)


def as_map(clusters: list[dict[str, Any]] | None) -> dict[str, int]:
    return {each["name"]: each.get("replicas", 0) for each in clusters or ()}
