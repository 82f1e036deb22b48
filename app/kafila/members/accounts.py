"""What join makes in a member: a namespace, our accounts, what they may do there, and their tokens."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.placement import constants

from .client import MemberClient, resource_path

SYSTEM_LABELS: Final = {constants.SYSTEM: constants.TRUE}
IMPERSONATOR: Final = "karmada-impersonator"
RBAC: Final = "rbac.authorization.k8s.io/v1"
TOKEN_TIMEOUT: Final = 30.0  # seconds for the member's token controller
NAMESPACE_TIMEOUT: Final = 60.0  # seconds until a namespace that ends is gone
POLL: Final = 0.2
QUIET: Final = 3.0  # seconds until we tell what we wait for
EVERYTHING: Final = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["get"], "nonResourceURLs": ["*"]},
)

Print = Callable[[str], None]


class JoinError(Exception):
    """Why a cluster cannot be joined or unjoined; one line for users."""


def tell(line: str) -> None:
    """What is waited for: not part of the outcome."""
    print(line, file=sys.stderr, flush=True)


def service_account_name(cluster: str) -> str:
    return f"karmada-{cluster}"


def role_name(cluster: str) -> str:
    return f"karmada-controller-manager:{service_account_name(cluster)}"


async def obtain_credentials(
    member: MemberClient,
    cluster: str,
    namespace: str,
    rules: Sequence[Object] = EVERYTHING,
    annotations: dict[str, str] | None = None,
) -> tuple[str, bytes, str]:
    """Makes our accounts in the member: the token that may do what ``rules`` say, the member's CA, the impersonator's token.
    ``annotations``: of the ClusterRole."""
    account = service_account_name(cluster)
    await ensure_namespace(member, namespace)
    uids = {
        name: await _ensure(member, "v1", "serviceaccounts", _account(namespace, name), namespace)
        for name in (IMPERSONATOR, account)
    }
    await _ensure(member, RBAC, "clusterroles", _role(cluster, rules, annotations))
    await _ensure(member, RBAC, "clusterrolebindings", _binding(cluster, namespace))
    impersonator, own = await asyncio.gather(
        *(_account_secret(member, cluster, namespace, name, uids[name]) for name in (IMPERSONATOR, account))
    )
    return _text(own, "token"), base64.b64decode(own["data"].get("ca.crt", "")), _text(impersonator, "token")


class Waiting:
    """Has an end, and tells what for when it takes its time."""

    def __init__(self, seconds: float, what: str) -> None:
        self._what = what
        self._end = time.monotonic() + seconds
        self._telling = time.monotonic() + QUIET

    def is_over(self) -> bool:
        return time.monotonic() > self._end

    async def pause(self) -> None:
        if time.monotonic() > self._telling:
            left = self._end - time.monotonic()
            tell(f"Waiting for {self._what} (up to {max(left, 0):.0f}s more)")
            self._telling = time.monotonic() + 3 * QUIET
        await asyncio.sleep(POLL)


async def ensure_namespace(client: MemberClient, name: str) -> None:
    """The label says that it is ours, so that unjoin may delete it. One that is still ending (the cluster was just
    unjoined) is waited for. Raises JoinError when it does not end."""
    path = resource_path("v1", "namespaces", name=name)
    waiting = Waiting(NAMESPACE_TIMEOUT, f"namespace {name}, which is being deleted, to be gone")
    while (found := await client.find(path)) is not None and found["metadata"].get("deletionTimestamp"):
        if waiting.is_over():
            held = _what_holds(found)
            raise JoinError(f"namespace {name} is being deleted{held}; wait until it is gone")
        await waiting.pause()
    if found is None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(SYSTEM_LABELS)}}
        await create_once(client, resource_path("v1", "namespaces"), namespace)


async def _ensure(client: MemberClient, api_version: str, resource: str, obj: Object, namespace: str = "") -> str:
    """Creates what is missing, and brings rules and subjects of what is there in line. Returns its uid."""
    path = resource_path(api_version, resource, namespace, obj["metadata"]["name"])
    current = await client.find(path)
    if current is None:
        await create_once(client, resource_path(api_version, resource, namespace), obj)
        current = await client.get(path)
    else:
        changes: Object = {
            part: obj[part] for part in ("rules", "subjects") if part in obj and current.get(part) != obj[part]
        }
        noted = current["metadata"].get("annotations") or {}
        if others := {k: v for k, v in obj["metadata"].get("annotations", {}).items() if noted.get(k) != v}:
            changes["metadata"] = {"annotations": others}
        if changes:
            await client.patch(path, changes)
    return current["metadata"]["uid"]


async def create_once(client: MemberClient, path: str, obj: Object) -> None:
    try:
        await client.create(path, obj)
    except StatusError as error:
        if not error.is_already_exists:  # someone else joins at the same time
            raise


def _account(namespace: str, name: str) -> Object:
    metadata = {"namespace": namespace, "name": name, "labels": dict(SYSTEM_LABELS)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _role(cluster: str, rules: Sequence[Object], annotations: dict[str, str] | None) -> Object:
    metadata: Object = {"name": role_name(cluster), "labels": dict(SYSTEM_LABELS)}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": metadata, "rules": list(rules)}


def _binding(cluster: str, namespace: str) -> Object:
    subject = {"kind": "ServiceAccount", "name": service_account_name(cluster), "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role_name(cluster)}
    return {
        "apiVersion": RBAC,
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
    waiting = Waiting(timeout, f"the token of service account {namespace}/{account}")
    while True:
        secret = await member.find(path)
        if secret is None:
            await create_once(member, collection, _token_secret(namespace, account))
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
        if waiting.is_over():
            raise JoinError(
                f"failed to get serviceAccount secret from cluster({cluster}): its token controller did not fill"
                f" {namespace}/{account} within {timeout:.0f}s (is kube-controller-manager running there?)"
            )
        await waiting.pause()


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


def _what_holds(namespace: Object) -> str:
    """A namespace that ends says so itself."""
    said = [
        c.get("message", "")
        for c in (namespace.get("status") or {}).get("conditions") or ()
        if c.get("status") == "True" and c.get("message")
    ]
    return f" ({'; '.join(said)})" if said else ""
