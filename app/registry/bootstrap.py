"""Objects that every cluster has from its first second."""

from __future__ import annotations

from typing import Any

from app.core import errors
from app.core.clock import rfc3339

from .context import Options
from .decoding import decode_object
from .registry import Registry

OPTIONS = Options(manager="kube-apiserver")  # whom every cluster has these from
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

# those that pods of the system name
PRIORITY_CLASSES = (
    (
        "system-node-critical",
        2000001000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
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


async def publish_authorities(registry: Registry, clients: bytes, front_proxy: bytes) -> None:
    """Says whom servers beside ours may believe: kube-controller-manager and kube-scheduler look for it before they start."""
    data = {
        "client-ca-file": clients.decode(),
        "requestheader-client-ca-file": front_proxy.decode(),
        "requestheader-allowed-names": '["front-proxy-client"]',
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        "requestheader-username-headers": '["X-Remote-User"]',
    }
    await ensure(registry, _system_config("extension-apiserver-authentication", data))


def _system_config(name: str, data: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


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
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }
    await ensure(registry, service)
    # from when on the uses of tokens in Secrets are known: kube-controller-manager ends unused ones a year later
    today = {"since": rfc3339()[:10]}
    await ensure(registry, _system_config("kube-apiserver-legacy-service-account-token-tracking", today))
    for name, value, description in PRIORITY_CLASSES:
        head = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        await ensure(registry, {**head, "value": value, "description": description})
    for metadata, rules, subject in CLUSTER_ROLES:
        api_version = "rbac.authorization.k8s.io/v1"
        role = {"apiVersion": api_version, "kind": "ClusterRole", "metadata": metadata, "rules": rules}
        await ensure(registry, role)
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": metadata["name"]}
        binding = {"apiVersion": api_version, "kind": "ClusterRoleBinding", "metadata": metadata}
        await ensure(registry, {**binding, "roleRef": reference, "subjects": [subject]})
