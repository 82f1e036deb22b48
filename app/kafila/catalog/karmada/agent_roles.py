"""Who may register a cluster in pull mode, and what its agent may do here: Karmada's names, with fewer rights.

Whoever has a bootstrap token is given a certificate as :data:`kafila.core.agents.GENERATOR`, which Karmada lets do everything. Here it writes the
roles of agents (``authorization/agents.py``) and little else.
"""

from __future__ import annotations

from typing import Final

from kafila.core.agents import BOOTSTRAPPERS, GENERATOR, GROUP, PREFIX
from kafila.core.values import Object

RBAC: Final = "rbac.authorization.k8s.io"

_CERTIFICATES: Final = "certificates.k8s.io"
_APPROVER: Final = "system:karmada:certificatesigningrequest:autoapprover"
_SELF_APPROVER: Final = "system:karmada:certificatesigningrequest:selfautoapprover"
_TUNNEL: Final = "system:karmada:agent-tunnel"  # of kafila's agents; whose tunnel each may open, is decided beside it
_CREDENTIALS: Final = "system:karmada:agent-credentials"  # what of its Cluster each may write, is decided beside it
_CLUSTER_INFO: Final = "system:karmada:bootstrap-signer-clusterinfo"
_GENERATOR_ROLE: Final = "system:karmada:agent-rbac-generator"


def rule(group: str, resources: str, verbs: str, *names: str) -> Object:
    made = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return {**made, "resourceNames": list(names)} if names else made


def role(name: str, rules: list[Object], namespace: str = "", labels: dict[str, str] | None = None) -> Object:
    """A ClusterRole, or a Role."""
    metadata: Object = {"name": name}
    if labels:
        metadata["labels"] = labels
    if namespace:
        metadata["namespace"] = namespace
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": metadata,
        "rules": rules,
    }


def binding(
    name: str, of: str, kind: str, subject: str, namespace: str = "", labels: dict[str, str] | None = None
) -> Object:
    """Binds the role ``of`` to a User or a Group."""
    head = role(name, [], namespace, labels)
    del head["rules"]
    reference = {"apiGroup": RBAC, "kind": head["kind"], "name": of}
    subjects = [{"apiGroup": RBAC, "kind": kind, "name": subject}]
    return {**head, "kind": f"{head['kind']}Binding", "roleRef": reference, "subjects": subjects}


_LABELS: Final = {"karmada.io/bootstrapping": "rbac-defaults"}

# what every control plane has
BOOTSTRAP: Final[tuple[Object, ...]] = (
    role(_CLUSTER_INFO, [rule("", "configmaps", "get", "cluster-info")], "kube-public", _LABELS),
    binding(_CLUSTER_INFO, _CLUSTER_INFO, "User", "system:anonymous", "kube-public", _LABELS),
    binding("system:karmada:agent-bootstrap", "system:node-bootstrapper", "Group", BOOTSTRAPPERS, labels=_LABELS),
    role(_APPROVER, [rule(_CERTIFICATES, "certificatesigningrequests/clusteragent", "create")], labels=_LABELS),
    binding("system:karmada:agent-autoapprove-bootstrap", _APPROVER, "Group", BOOTSTRAPPERS, labels=_LABELS),
    role(
        _SELF_APPROVER, [rule(_CERTIFICATES, "certificatesigningrequests/selfclusteragent", "create")], labels=_LABELS
    ),
    binding("system:karmada:agent-autoapprove-certificate-rotation", _SELF_APPROVER, "Group", GROUP, labels=_LABELS),
    role(_TUNNEL, [rule("cluster.karmada.io", "clusters/tunnel", "get")], labels=_LABELS),
    binding(_TUNNEL, _TUNNEL, "Group", GROUP, labels=_LABELS),
    role(_CREDENTIALS, [rule("cluster.karmada.io", "clusters", "patch")], labels=_LABELS),
    binding(_CREDENTIALS, _CREDENTIALS, "Group", GROUP, labels=_LABELS),
    role(
        _GENERATOR_ROLE,
        [
            rule("cluster.karmada.io", "clusters", "get"),
            rule("", "namespaces", "create"),
            rule(RBAC, "clusterroles clusterrolebindings roles rolebindings", "create"),
            rule(_CERTIFICATES, "certificatesigningrequests", "delete"),
        ],
        labels=_LABELS,
    ),
    binding(_GENERATOR_ROLE, _GENERATOR_ROLE, "User", GENERATOR, labels=_LABELS),
)


def cluster_rules(cluster: str) -> list[Object]:
    """What an agent may do that belongs to no namespace, or to many."""
    return [
        rule("cluster.karmada.io", "clusters", "get delete", cluster),
        rule("cluster.karmada.io", "clusters", "create list watch"),
        rule("cluster.karmada.io", "clusters/status", "update", cluster),
        rule(
            "config.karmada.io",
            "resourceinterpreterwebhookconfigurations resourceinterpretercustomizations",
            "get list watch",
        ),
        rule("", "namespaces", "get"),
        rule("coordination.k8s.io", "leases", "get create update"),
        rule(_CERTIFICATES, "certificatesigningrequests", "get create"),
        rule("", "services", "list watch"),
        rule("", "events", "patch create update"),
    ]


def secret_rules(cluster: str) -> list[Object]:
    """In the namespace of the members' credentials."""
    return [
        rule("", "secrets", "get patch", cluster, f"{cluster}-impersonator"),
        rule("", "secrets", "create"),
    ]


def work_rules() -> list[Object]:
    """In the cluster's execution namespace."""
    return [
        rule("work.karmada.io", "works", "get create list watch update delete"),
        rule("work.karmada.io", "works/status", "patch update"),
    ]


def agent_name(cluster: str) -> str:
    """Of the ClusterRole; those of the Roles go on with ``-secret`` and ``-work``."""
    return f"system:karmada:{cluster}:agent"


def agent_roles(cluster: str, secrets: str, works: str) -> list[Object]:
    """As ``karmadactl register`` makes them, each role before its binding. ``secrets``, ``works``: the namespaces of its
    credentials and of its Works."""
    name, user = agent_name(cluster), PREFIX + cluster
    made: list[Object] = []
    for each, rules, namespace in (
        (name, cluster_rules(cluster), ""),
        (f"{name}-secret", secret_rules(cluster), secrets),
        (f"{name}-work", work_rules(), works),
    ):
        made += [role(each, rules, namespace), binding(each, each, "User", user, namespace)]
    return made
