"""Joining a member in Push mode: an account for us in the member, its token in the control plane, and the Cluster object.

Both sides are Kubernetes APIs. Everything that can be checked is checked before anything changes, every step may be repeated, and the
names are Karmada's, so that karmadactl can unjoin what was joined here and the other way round.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from kafila.core import names
from kafila.core.values import Object
from kafila.placement import constants

from .accounts import IMPERSONATOR as IMPERSONATOR
from .accounts import SYSTEM_LABELS as SYSTEM_LABELS
from .accounts import JoinError as JoinError
from .accounts import Print, ensure_namespace, obtain_credentials
from .accounts import create_once as _create
from .client import MemberClient, resource_path
from .permissions import ANNOTATION, Permissions, let_callers_through, needed
from .permissions import known as permissions_known

CLUSTER_API: Final = "cluster.karmada.io/v1alpha1"
CLUSTERS: Final = resource_path(CLUSTER_API, "clusters")
DEFAULT_NAMESPACE: Final = constants.NAMESPACE_KARMADA_CLUSTER
MAX_NAME: Final = 48


@final
@dataclass(frozen=True, slots=True)
class Joining:
    """What the user asks for. ``authority`` is the CA (PEM) that the user's own kubeconfig trusts for the member."""

    name: str
    endpoint: str
    namespace: str = DEFAULT_NAMESPACE
    provider: str = ""
    region: str = ""
    zones: tuple[str, ...] = ()
    insecure: bool = False
    proxy_url: str = ""
    authority: bytes = b""
    dry_run: bool = False
    permissions: Permissions | None = None  # None: those it has, all for a new one


def name_problems(name: str) -> list[str]:
    """Karmada's rule: a DNS label that leaves room for the prefix of its execution namespace."""
    if not name:
        return ["must be not empty"]
    if len(name) > MAX_NAME:
        return [f"must be no more than {MAX_NAME} characters"]
    return names.dns1123_label(name)


async def join(
    member: MemberClient, control_plane: MemberClient, wanted: Joining, report: Print = print
) -> Object | None:
    """The Cluster (None in a dry run). Joining the same cluster again renews its credentials.

    Raises JoinError, or what the APIs said.
    """
    if problems := name_problems(wanted.name):
        raise JoinError(f"invalid cluster name({wanted.name}): {';'.join(problems)}")
    cluster_id = await _cluster_id(member)
    await _check_other(control_plane, cluster_id)
    known = await _known_cluster(control_plane, wanted.name, cluster_id)
    cluster = cluster_object(wanted, cluster_id)
    if known is None:  # the control plane's own rules, before the member is touched
        await control_plane.create(CLUSTERS, cluster, query={"dryRun": "All"})
    permissions = wanted.permissions or await permissions_known(member, wanted.name) or Permissions.ALL
    rules, absent = await needed(control_plane, member, permissions, wanted.name)
    if permissions is Permissions.POLICIES:
        report(f"permissions in cluster({wanted.name}): {', '.join(_resources(rules))}")
    if absent:
        report(f"not served by cluster({wanted.name}), though policies select them: {', '.join(absent)}")
    if wanted.dry_run:
        report(f"cluster({wanted.name}) would be {'joined' if known is None else 'updated'} (dry run)")
        return None
    token, authority, impersonator = await obtain_credentials(
        member, wanted.name, wanted.namespace, rules, _noted(permissions, wanted)
    )
    await _store_credentials(control_plane, wanted, token, _bundle(authority, wanted.authority), impersonator)
    if known is None:
        cluster = await control_plane.create(CLUSTERS, cluster)
    else:
        # what was not given stays, but how to connect must be what works now
        connection = {"insecureSkipTLSVerification": wanted.insecure, "proxyURL": wanted.proxy_url or None}
        cluster = await control_plane.patch(f"{CLUSTERS}/{wanted.name}", {"spec": {**cluster["spec"], **connection}})
    await _own_credentials(control_plane, wanted, cluster)
    if permissions is Permissions.POLICIES:
        await let_callers_through(control_plane, member, wanted.name)
    report(f"cluster({wanted.name}) is {'joined' if known is None else 'updated'} successfully")
    return cluster


def _noted(permissions: Permissions, wanted: Joining) -> dict[str, str] | None:
    """None where nothing has to be noted: what karmadactl makes is not different."""
    if permissions is Permissions.POLICIES or wanted.permissions is not None:
        return {ANNOTATION: permissions.value}
    return None


def _resources(rules: Sequence[Object]) -> list[str]:
    found = [
        (group, resource) for rule in rules for group in rule.get("apiGroups", ()) for resource in rule["resources"]
    ]
    return [f"{resource}.{group}" if group else resource for group, resource in found]


def cluster_object(wanted: Joining, cluster_id: str) -> Object:
    spec: dict[str, Any] = {
        "syncMode": "Push",
        "id": cluster_id,
        "apiEndpoint": wanted.endpoint,
        "secretRef": {"namespace": wanted.namespace, "name": wanted.name},
        "impersonatorSecretRef": {"namespace": wanted.namespace, "name": f"{wanted.name}-impersonator"},
    }
    optional = {
        "insecureSkipTLSVerification": wanted.insecure,
        "proxyURL": wanted.proxy_url,
        "provider": wanted.provider,
        "region": wanted.region,
        "zones": list(wanted.zones),
    }
    spec |= {name: value for name, value in optional.items() if value}
    return {"apiVersion": CLUSTER_API, "kind": "Cluster", "metadata": {"name": wanted.name}, "spec": spec}


async def _cluster_id(member: MemberClient) -> str:
    namespace = await member.get(resource_path("v1", "namespaces", name="kube-system"))
    return namespace["metadata"]["uid"]


async def _check_other(control_plane: MemberClient, cluster_id: str) -> None:
    """A control plane in itself would place objects over their own templates. Raises JoinError."""
    own = await control_plane.find(resource_path("v1", "namespaces", name="kube-system"))
    if own is not None and own["metadata"]["uid"] == cluster_id:
        raise JoinError(
            f"this cluster is the control plane itself (cluster ID {cluster_id}): --cluster-kubeconfig and"
            " --cluster-context have to name another one"
        )


async def _known_cluster(control_plane: MemberClient, name: str, cluster_id: str) -> Object | None:
    """The Cluster when it is this very member; raises JoinError when its name or its identity is taken."""
    clusters, _ = await control_plane.list(CLUSTERS)
    for cluster in clusters:
        same_name = cluster["metadata"]["name"] == name
        same_id = cluster["spec"].get("id") == cluster_id
        if not same_name and not same_id:
            continue
        if not (same_name and same_id):
            raise JoinError(f"the cluster ID {cluster_id} or the cluster name {name} has been registered")
        if cluster["spec"].get("syncMode") != "Push":
            raise JoinError(f"cluster {name} is registered in {cluster['spec'].get('syncMode')} mode")
        if cluster["metadata"].get("deletionTimestamp"):
            raise JoinError(f"cluster {name} is being deleted; wait until it is gone")
        return cluster
    return None


# -- the control plane ------------------------------------------------------------------------------------------------


def _bundle(authority: bytes, trusted: bytes) -> bytes:
    """The member's own CA and the one the user's kubeconfig trusts: endpoints behind a load balancer have another."""
    ours, theirs = authority.strip(), trusted.strip()
    if not theirs or theirs in ours:
        return authority
    return ours + b"\n" + theirs + b"\n" if ours else trusted


async def _store_credentials(
    control_plane: MemberClient, wanted: Joining, token: str, authority: bytes, impersonator: str
) -> None:
    await ensure_namespace(control_plane, wanted.namespace)
    await _write_secret(
        control_plane, wanted.namespace, f"{wanted.name}-impersonator", {"token": impersonator.encode()}
    )
    await _write_secret(control_plane, wanted.namespace, wanted.name, {"caBundle": authority, "token": token.encode()})


async def _write_secret(control_plane: MemberClient, namespace: str, name: str, data: dict[str, bytes]) -> None:
    """Credentials that are there already are replaced: a cluster that was made anew has new ones."""
    collection = resource_path("v1", "secrets", namespace)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name, "labels": dict(SYSTEM_LABELS)},
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
    path = f"{collection}/{name}"
    if await control_plane.find(path) is None:
        await _create(control_plane, collection, secret)
    await control_plane.patch(path, {"data": secret["data"]})


async def _own_credentials(control_plane: MemberClient, wanted: Joining, cluster: Object) -> None:
    """The secrets go when the Cluster goes."""
    owner = {
        "apiVersion": CLUSTER_API,
        "kind": "Cluster",
        "name": cluster["metadata"]["name"],
        "uid": cluster["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    for name in (f"{wanted.name}-impersonator", wanted.name):
        path = resource_path("v1", "secrets", wanted.namespace, name)
        await control_plane.patch(path, {"metadata": {"ownerReferences": [owner]}})
