"""Objects that every cluster has from its first second."""

from __future__ import annotations

from typing import Any

from app.core import errors

from .context import Options
from .decoding import decode_object
from .registry import Registry

OPTIONS = Options(manager="kafila")
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease", "karmada-system", "karmada-cluster")
Object = dict[str, Any]

# Name, rules and subject of what Kubernetes and Karmada bind from the beginning. Both matter to members too: who is bound here to
# a role that covers clusters/proxy may be impersonated there, and administrators come with their group.
_RBAC_DEFAULTS: dict[str, Any] = {
    "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
    "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
}
CLUSTER_ROLES: tuple[tuple[Object, list[Object], Object], ...] = (
    (
        {"name": "cluster-admin", **_RBAC_DEFAULTS},
        [
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]},
        ],
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:masters"},
    ),
    (
        {"name": "cluster-proxy-admin"},
        [{"apiGroups": ["cluster.karmada.io"], "resources": ["clusters/proxy"], "verbs": ["*"]}],
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:admin"},
    ),
)


async def ensure(registry: Registry, obj: Object) -> None:
    """Creates ``obj`` when it does not exist; somebody else doing it at the same time is fine."""
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = registry.catalog.by_kind(group, version, obj["kind"])
    assert kind is not None, obj["kind"]
    namespace = obj["metadata"].get("namespace", "")
    if registry.cache.get(kind.resource, namespace, obj["metadata"]["name"]) is not None:
        return
    try:
        await registry.create(kind, namespace, decode_object(kind, obj, OPTIONS), OPTIONS)
    except errors.StatusError as error:
        if not error.is_already_exists:
            raise


async def bootstrap(registry: Registry, host: str, port: int, first_service_address: str) -> None:
    for name in NAMESPACES:
        await ensure(registry, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": first_service_address,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }
    await ensure(registry, service)
    for metadata, rules, subject in CLUSTER_ROLES:
        api_version = "rbac.authorization.k8s.io/v1"
        role = {"apiVersion": api_version, "kind": "ClusterRole", "metadata": metadata, "rules": rules}
        await ensure(registry, role)
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": metadata["name"]}
        binding = {"apiVersion": api_version, "kind": "ClusterRoleBinding", "metadata": metadata}
        await ensure(registry, {**binding, "roleRef": reference, "subjects": [subject]})
