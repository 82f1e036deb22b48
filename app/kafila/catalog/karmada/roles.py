"""The ClusterRoles and bindings that Karmada installs beside Kubernetes' own."""

from __future__ import annotations

from typing import Final

from kafila.core.values import Object

from .agent_roles import BOOTSTRAP

_API_VERSION: Final = "rbac.authorization.k8s.io/v1"
_NAMESPACED: Final = (
    (
        "autoscaling.karmada.io",
        ("cronfederatedhpas", "cronfederatedhpas/status", "federatedhpas", "federatedhpas/status"),
    ),
    (
        "multicluster.x-k8s.io",
        ("serviceexports", "serviceexports/status", "serviceimports", "serviceimports/status"),
    ),
    (
        "networking.karmada.io",
        (
            "multiclusteringresses",
            "multiclusteringresses/status",
            "multiclusterservices",
            "multiclusterservices/status",
        ),
    ),
    ("policy.karmada.io", ("overridepolicies", "propagationpolicies")),
    ("work.karmada.io", ("resourcebindings", "resourcebindings/status", "works", "works/status")),
)


def _aggregated(name: str, into: str, verbs: tuple[str, ...]) -> Object:
    """A role that ``into`` takes its rules from, and what takes ``into``'s."""
    labels = {
        "kubernetes.io/bootstrapping": "rbac-defaults",
        f"rbac.authorization.k8s.io/aggregate-to-{into}": "true",
    }
    metadata = {
        "name": name,
        "labels": labels,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }
    rules = [
        {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)} for group, resources in _NAMESPACED
    ]
    return {"apiVersion": _API_VERSION, "kind": "ClusterRole", "metadata": metadata, "rules": rules}


_PROXY_ADMIN: Final = "cluster-proxy-admin"
ROLES: Final[tuple[Object, ...]] = (
    {
        "apiVersion": _API_VERSION,
        "kind": "ClusterRole",
        "metadata": {"name": _PROXY_ADMIN},
        "rules": [{"apiGroups": ["cluster.karmada.io"], "resources": ["clusters/proxy"], "verbs": ["*"]}],
    },
    _aggregated("karmada-view", "view", ("get", "list", "watch")),
    _aggregated("karmada-edit", "edit", ("create", "update", "patch", "delete", "deletecollection")),
    {
        "apiVersion": _API_VERSION,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": _PROXY_ADMIN},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _PROXY_ADMIN},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:admin"}],
    },
    *BOOTSTRAP,
)
