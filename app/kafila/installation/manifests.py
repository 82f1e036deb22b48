"""The objects of an installation, from the rendered chart. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import orjson

from kafila.core.values import Object

from . import placeholders

MANAGER: Final = "kafila-init"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
COMPONENT: Final = "app.kubernetes.io/component"
OURS: Final = {MANAGED_BY: MANAGER}
DATABASE_SECRET: Final = "kafila-database"
DATABASE_KEY: Final = "uri"
KUBECONFIG_SECRET: Final = "kafila-kubeconfig"
API, WORKERS = "kafila-api", "kafila-workers"
RESOURCES: Final = {  # by kind, in the order in which they are made
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "ConfigMap": "configmaps",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "NetworkPolicy": "networkpolicies",
    "Service": "services",
    "Cluster": "clusters",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Deployment": "deployments",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "Job": "jobs",
}
ServiceType = Literal["NodePort", "LoadBalancer", "ClusterIP"]
_IMAGE: Final = re.compile(r"[a-z0-9][\w.:/-]{0,254}(@sha256:[0-9a-f]{64})?", re.ASCII)


class Wanted(NamedTuple):
    """``advertise``: HOST:PORT. Of the database either the name of a Secret, or nothing: then CloudNativePG makes it.
    ``run``: a name for this run of the Job."""

    namespace: str
    image: str
    advertise: str
    run: str
    database_secret: str = ""
    database_key: str = DATABASE_KEY
    service_type: ServiceType = "NodePort"
    node_port: int = placeholders.NODE_PORT
    api_replicas: int = 2
    workers_replicas: int = 2


def is_image(text: str) -> bool:
    return _IMAGE.fullmatch(text) is not None


def objects(wanted: Wanted) -> list[Object]:
    """In the order in which they are made."""
    found = [_changed(each, wanted) for each in _rendered() if each["kind"] != "Cluster" or not wanted.database_secret]
    return sorted(found, key=lambda each: list(RESOURCES).index(each["kind"]))


def database_secret(namespace: str, url: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": DATABASE_SECRET, "namespace": namespace, "labels": dict(OURS)},
        "stringData": {DATABASE_KEY: url},
    }


@cache
def _rendered() -> list[Object]:
    return orjson.loads(Path(__file__).with_name("manifests.json").read_bytes())


def _changed(rendered: Object, wanted: Wanted) -> Object:
    obj: Object = _replaced(
        rendered,
        {
            placeholders.NAMESPACE: wanted.namespace,
            placeholders.IMAGE: wanted.image,
            placeholders.ADVERTISE: wanted.advertise,
        },
    )
    for metadata in _metadata(obj):
        metadata.pop("annotations", None)  # Helm's
        labels = metadata.get("labels", {})
        labels.pop("helm.sh/chart", None)
        if MANAGED_BY in labels:
            labels.update(OURS)
    if wanted.database_secret:
        for reference in _database_references(obj):
            reference.update(name=wanted.database_secret, key=wanted.database_key)
    if change := _CHANGES.get(obj["kind"]):
        change(obj, wanted)
    return obj


def _replaced(value: Any, texts: dict[str, str]) -> Any:
    """In the texts of a value, never in what they mean to YAML."""
    if isinstance(value, str):
        for before, after in texts.items():
            value = value.replace(before, after)
        return value
    if isinstance(value, list):
        return [_replaced(each, texts) for each in value]
    if isinstance(value, dict):
        return {key: _replaced(each, texts) for key, each in value.items()}
    return value


def _metadata(obj: Object) -> Iterator[Object]:
    yield obj["metadata"]
    if "template" in obj.get("spec", {}):
        yield obj["spec"]["template"]["metadata"]


def _database_references(obj: Object) -> Iterator[Object]:
    containers = obj.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
    for variable in (each for container in containers for each in container["env"]):
        if variable["name"] == "KAFILA_DATABASE_URL":
            yield variable["valueFrom"]["secretKeyRef"]


def _change_service(obj: Object, wanted: Wanted) -> None:
    obj["spec"]["type"] = wanted.service_type
    for port in obj["spec"]["ports"]:
        port.pop("nodePort", None)
        if wanted.service_type == "NodePort":
            port["nodePort"] = wanted.node_port


def _change_autoscaler(obj: Object, wanted: Wanted) -> None:
    spec = obj["spec"]
    spec["minReplicas"] = wanted.api_replicas
    spec["maxReplicas"] = max(spec["maxReplicas"], wanted.api_replicas)


def _change_deployment(obj: Object, wanted: Wanted) -> None:
    if obj["metadata"]["name"] == WORKERS:
        obj["spec"]["replicas"] = wanted.workers_replicas


def _change_job(obj: Object, wanted: Wanted) -> None:
    """A Job runs once: each init has one of its own, which issues new certificates."""
    obj["metadata"]["name"] = f"kafila-migrate-{wanted.run}"


_CHANGES: Final = {
    "Service": _change_service,
    "HorizontalPodAutoscaler": _change_autoscaler,
    "Deployment": _change_deployment,
    "Job": _change_job,
}
