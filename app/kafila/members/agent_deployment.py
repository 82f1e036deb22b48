"""What runs an agent in its cluster: namespace, credentials, account and Deployment, as ``karmadactl register`` makes them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final, final

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.placement import constants

from .accounts import SYSTEM_LABELS, ensure_namespace
from .client import MemberClient, resource_path
from .join import DEFAULT_NAMESPACE

RBAC: Final = "rbac.authorization.k8s.io/v1"
AGENT: Final = "karmada-agent"  # Deployment, ClusterRole and binding
AGENT_SECRET: Final = "karmada-kubeconfig"  # the Secret, and the key in it
ACCOUNT: Final = "karmada-agent-sa"
_MOUNT: Final = "/etc/kubeconfig"
YEAR: Final = 365 * 86400


@final
@dataclass(frozen=True, slots=True)
class Registering:
    """What the user asks for. ``endpoint``: HOST:PORT of the control plane; ``pins``: ``sha256:HEX``, none to believe any CA.
    ``cluster_endpoint``: where the member is reached."""

    name: str
    endpoint: str
    token: str
    pins: tuple[str, ...] = ()
    unsafe: bool = False
    cluster_endpoint: str = ""
    namespace: str = constants.NAMESPACE_KARMADA_SYSTEM
    cluster_namespace: str = DEFAULT_NAMESPACE
    provider: str = ""
    region: str = ""
    zones: tuple[str, ...] = ()
    image: str = ""  # without one there is no agent, but its credentials
    own: bool = False  # the image is kafila's, and `kafila agent` runs in it
    replicas: int = 1
    proxy: str = ""
    lifetime: int = YEAR
    timeout: float = 300.0
    dry_run: bool = False


async def ensure_agent(member: MemberClient, wanted: Registering, kubeconfig: str) -> None:
    """What is missing is made, and what is there becomes what was asked for. Without an image the Secret alone."""
    space = wanted.namespace
    await ensure_namespace(member, space)
    data = {AGENT_SECRET: base64.b64encode(kubeconfig.encode()).decode()}
    made = [("secrets", {**_head("v1", "Secret", AGENT_SECRET, space), "type": "Opaque", "data": data})]
    if wanted.image:
        made += [
            ("serviceaccounts", _head("v1", "ServiceAccount", ACCOUNT, space)),
            ("clusterroles", {**_head(RBAC, "ClusterRole", AGENT), "rules": _RULES}),
            ("clusterrolebindings", _binding(space)),
            ("deployments", deployment(wanted)),
        ]
    for resource, obj in made:
        where = obj["metadata"].get("namespace", "")
        collection = resource_path(obj["apiVersion"], resource, where)
        try:
            await member.create(collection, obj)
        except StatusError as error:
            if not error.is_already_exists:
                raise
            await member.patch(f"{collection}/{obj['metadata']['name']}", obj)


_RULES: Final = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["get"]},
]


def _head(api_version: str, kind: str, name: str, namespace: str = "") -> Object:
    metadata: Object = {"name": name, "labels": dict(SYSTEM_LABELS)}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _binding(namespace: str) -> Object:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": AGENT}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    return {**_head(RBAC, "ClusterRoleBinding", AGENT), "roleRef": role, "subjects": [subject]}


def command(wanted: Registering) -> list[str]:
    """With what both agents know first."""
    both = [
        f"--karmada-kubeconfig={_MOUNT}/{AGENT_SECRET}",
        f"--cluster-name={wanted.name}",
        f"--cluster-api-endpoint={wanted.cluster_endpoint}",
        f"--cluster-provider={wanted.provider}",
        f"--cluster-region={wanted.region}",
        f"--cluster-zones={','.join(wanted.zones)}",
        f"--proxy-server-address={wanted.proxy}",
        f"--karmada-kubeconfig-namespace={wanted.namespace}",
        f"--cluster-namespace={wanted.cluster_namespace}",
    ]
    if wanted.own:
        return ["kafila", "agent", *both, "--metrics-bind-address=0.0.0.0:8080"]
    return [
        "/bin/karmada-agent",
        *both,
        "--controllers=*,certRotation",  # else its certificate ends, and so does the cluster
        f"--leader-elect-resource-namespace={wanted.namespace}",
        "--metrics-bind-address=:8080",
        "--health-probe-bind-address=0.0.0.0:10357",
    ]


def deployment(wanted: Registering) -> Object:
    labels = {"app": AGENT}
    container = {
        "name": AGENT,
        "image": wanted.image,
        "command": command(wanted),
        "ports": [{"name": "metrics", "containerPort": 8080, "protocol": "TCP"}],
        "volumeMounts": [{"name": "kubeconfig", "mountPath": _MOUNT}],
    }
    spec = {
        "serviceAccountName": ACCOUNT,
        "containers": [container],
        "volumes": [{"name": "kubeconfig", "secret": {"secretName": AGENT_SECRET}}],
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    made = _head("apps/v1", "Deployment", AGENT, wanted.namespace)
    made["metadata"]["labels"] = {**labels, constants.SYSTEM: constants.TRUE}
    replicas = 1 if wanted.own else wanted.replicas  # karmada-agents agree which of them works
    return {
        **made,
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "Recreate", "rollingUpdate": None},
            "selector": {"matchLabels": labels},
            "template": template,
        },
    }
