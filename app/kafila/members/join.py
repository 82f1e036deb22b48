"""Joining a member in Push mode: an account for us in the member, its token in the control plane, and the Cluster object.

Both sides are Kubernetes APIs. Everything that can be checked is checked before anything changes, every step may be repeated, and the
names are Karmada's, so that karmadactl can unjoin what was joined here and the other way round.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from kafila.core import names
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.placement import constants

from .client import MemberClient, resource_path

CLUSTER_API: Final = "cluster.karmada.io/v1alpha1"
CLUSTERS: Final = resource_path(CLUSTER_API, "clusters")
DEFAULT_NAMESPACE: Final = constants.NAMESPACE_KARMADA_CLUSTER
SYSTEM_LABELS: Final = {constants.SYSTEM: constants.TRUE}
IMPERSONATOR: Final = "karmada-impersonator"
MAX_NAME: Final = 48
TOKEN_TIMEOUT: Final = 30.0  # seconds for the member's token controller
NAMESPACE_TIMEOUT: Final = 60.0  # seconds until a namespace that ends is gone
TOKEN_POLL: Final = 0.2

Print = Callable[[str], None]


class JoinError(Exception):
    """Why a cluster cannot be joined or unjoined; one line for users."""


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


def name_problems(name: str) -> list[str]:
    """Karmada's rule: a DNS label that leaves room for the prefix of its execution namespace."""
    if not name:
        return ["must be not empty"]
    if len(name) > MAX_NAME:
        return [f"must be no more than {MAX_NAME} characters"]
    return names.dns1123_label(name)


def service_account_name(cluster: str) -> str:
    return f"karmada-{cluster}"


def role_name(cluster: str) -> str:
    return f"karmada-controller-manager:{service_account_name(cluster)}"


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
    if wanted.dry_run:
        report(f"cluster({wanted.name}) would be joined (dry run)")
        return None
    token, authority, impersonator = await obtain_credentials(member, wanted.name, wanted.namespace)
    await _store_credentials(control_plane, wanted, token, _bundle(authority, wanted.authority), impersonator)
    if known is None:
        cluster = await control_plane.create(CLUSTERS, cluster)
    else:
        # what was not given stays, but how to connect must be what works now
        connection = {"insecureSkipTLSVerification": wanted.insecure, "proxyURL": wanted.proxy_url or None}
        cluster = await control_plane.patch(f"{CLUSTERS}/{wanted.name}", {"spec": {**cluster["spec"], **connection}})
    await _own_credentials(control_plane, wanted, cluster)
    report(f"cluster({wanted.name}) is {'joined' if known is None else 'updated'} successfully")
    return cluster


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


# -- the member -------------------------------------------------------------------------------------------------------


async def obtain_credentials(member: MemberClient, cluster: str, namespace: str) -> tuple[str, bytes, str]:
    """Makes our accounts in the member: the token that may do everything, the member's CA, the impersonator's token."""
    account = service_account_name(cluster)
    await ensure_namespace(member, namespace)
    uids = {
        name: await _ensure(member, "v1", "serviceaccounts", _account(namespace, name), namespace)
        for name in (IMPERSONATOR, account)
    }
    await _ensure(member, "rbac.authorization.k8s.io/v1", "clusterroles", _role(cluster))
    await _ensure(member, "rbac.authorization.k8s.io/v1", "clusterrolebindings", _binding(cluster, namespace))
    impersonator, own = await asyncio.gather(
        *(_account_secret(member, cluster, namespace, name, uids[name]) for name in (IMPERSONATOR, account))
    )
    return _text(own, "token"), base64.b64decode(own["data"].get("ca.crt", "")), _text(impersonator, "token")


async def ensure_namespace(client: MemberClient, name: str) -> None:
    """The label says that it is ours, so that unjoin may delete it. One that is still ending (the cluster was just
    unjoined) is waited for. Raises JoinError when it does not end."""
    path = resource_path("v1", "namespaces", name=name)
    deadline = time.monotonic() + NAMESPACE_TIMEOUT
    while (found := await client.find(path)) is not None and found["metadata"].get("deletionTimestamp"):
        if time.monotonic() > deadline:
            raise JoinError(f"namespace {name} is being deleted; wait until it is gone")
        await asyncio.sleep(0.2)
    if found is None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(SYSTEM_LABELS)}}
        await _create(client, resource_path("v1", "namespaces"), namespace)


async def _ensure(client: MemberClient, api_version: str, resource: str, obj: Object, namespace: str = "") -> str:
    """Creates what is missing, and brings rules and subjects of what is there in line. Returns its uid."""
    path = resource_path(api_version, resource, namespace, obj["metadata"]["name"])
    current = await client.find(path)
    if current is None:
        await _create(client, resource_path(api_version, resource, namespace), obj)
        current = await client.get(path)
    elif changes := {
        part: obj[part] for part in ("rules", "subjects") if part in obj and current.get(part) != obj[part]
    }:
        await client.patch(path, changes)
    return current["metadata"]["uid"]


async def _create(client: MemberClient, path: str, obj: Object) -> None:
    try:
        await client.create(path, obj)
    except StatusError as error:
        if not error.is_already_exists:  # someone else joins at the same time
            raise


def _account(namespace: str, name: str) -> Object:
    metadata = {"namespace": namespace, "name": name, "labels": dict(SYSTEM_LABELS)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _role(cluster: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": role_name(cluster), "labels": dict(SYSTEM_LABELS)},
        "rules": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["get"], "nonResourceURLs": ["*"]},
        ],
    }


def _binding(cluster: str, namespace: str) -> Object:
    subject = {"kind": "ServiceAccount", "name": service_account_name(cluster), "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role_name(cluster)}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": role_name(cluster), "labels": dict(SYSTEM_LABELS)},
        "subjects": [subject],
        "roleRef": role,
    }


async def _account_secret(
    member: MemberClient, cluster: str, namespace: str, account: str, uid: str, timeout: float = TOKEN_TIMEOUT
) -> Object:
    """The account's token Secret. Clusters since 1.24 make none by themselves, so we ask for one and wait for its token."""
    collection = resource_path("v1", "secrets", namespace)
    path = f"{collection}/{account}"
    deadline = time.monotonic() + timeout
    while True:
        secret = await member.find(path)
        if secret is None:
            await _create(member, collection, _token_secret(namespace, account))
        elif secret.get("type") != "kubernetes.io/service-account-token":
            raise JoinError(
                f"secret {namespace}/{account} in cluster({cluster}) exists and holds no service account token"
            )
        elif _belongs_to(secret) not in ("", uid):
            # of an account of this name that is gone, as its token is; the token controller will remove it, if it runs
            with contextlib.suppress(StatusError):  # checked again below, whoever removed it
                await member.delete(path, uid=secret["metadata"]["uid"])
        elif (secret.get("data") or {}).get("token"):
            return secret
        if time.monotonic() > deadline:
            raise JoinError(
                f"failed to get serviceAccount secret from cluster({cluster}): its token controller did not fill"
                f" {namespace}/{account} within {timeout:.0f}s (is kube-controller-manager running there?)"
            )
        await asyncio.sleep(TOKEN_POLL)


def _belongs_to(secret: Object) -> str:
    return (secret["metadata"].get("annotations") or {}).get("kubernetes.io/service-account.uid", "")


def _token_secret(namespace: str, account: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "namespace": namespace,
            "name": account,
            "annotations": {"kubernetes.io/service-account.name": account},
        },
        "type": "kubernetes.io/service-account-token",
    }


def _text(secret: Object, key: str) -> str:
    return base64.b64decode(secret["data"][key]).decode()


def _bundle(authority: bytes, trusted: bytes) -> bytes:
    """The member's own CA and the one the user's kubeconfig trusts: endpoints behind a load balancer have another."""
    ours, theirs = authority.strip(), trusted.strip()
    if not theirs or theirs in ours:
        return authority
    return ours + b"\n" + theirs + b"\n" if ours else trusted


# -- the control plane ------------------------------------------------------------------------------------------------


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
