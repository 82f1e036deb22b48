"""`kafila deinit`: what `kafila init` made in a host cluster goes again. Data stay unless they are asked for, too."""

from __future__ import annotations

import time
from typing import Final

from kafila.core.errors import ignoring_not_found
from kafila.core.values import Object
from kafila.members.client import MemberClient, resource_path

from .host import CLOUD_NATIVE_PG, InstallationError, Print, delete, eventually, shown
from .manifests import MANAGED_BY, MANAGER, OURS, RESOURCES

_GROUPS: Final = {
    "Secret": "v1",
    "ServiceAccount": "v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Job": "batch/v1",
    "Cluster": CLOUD_NATIVE_PG,
}
_RUNNING_OURS: Final = {"app.kubernetes.io/name": "kafila", "app.kubernetes.io/instance": "kafila"}
_OF_CLUSTER: Final = "cnpg.io/cluster"


async def remove(
    host: MemberClient,
    namespace: str,
    *,
    purge_data: bool,
    purge_namespace: bool,
    wait: float,
    dry_run: bool,
    report: Print,
) -> int:
    """How many objects there were. Raises InstallationError, or what the API said."""
    found = await installed(host, namespace)
    kept = [] if purge_data else [obj for obj in found if obj["kind"] == "Cluster"]
    going = [obj for obj in found if obj not in kept]
    if purge_namespace and not kept:
        await _check_nothing_elses(
            host, namespace, {obj["metadata"]["name"] for obj in going if obj["kind"] == "Cluster"}
        )
    for obj in going:
        if not dry_run:
            await delete(host, _path(obj), obj["metadata"]["uid"])
        report(f"{shown(obj)} {'would be deleted (dry run)' if dry_run else 'deleted'}")
    for obj in kept:
        report(f"{shown(obj)} stays, with all data: --purge-data deletes it")
    if purge_namespace and not kept:
        await _remove_namespace(host, namespace, dry_run, report)
    if not dry_run and going:

        async def gone() -> bool:
            return len(await installed(host, namespace)) <= len(kept)

        async def nothing() -> str:
            return ""

        await eventually("the end of all objects", time.monotonic() + wait, gone, nothing)
    return len(going)


async def installed(host: MemberClient, namespace: str) -> list[Object]:
    """What init made there, in the order in which it goes: what runs first."""
    query = {"labelSelector": f"{MANAGED_BY}={MANAGER}"}
    found: list[Object] = []
    for kind in reversed(RESOURCES):
        with ignoring_not_found():  # of a kind that is not served there
            items, _ = await host.list(resource_path(_GROUPS[kind], RESOURCES[kind], namespace), query=query)
            found += items
    return found


def _path(obj: Object) -> str:
    metadata = obj["metadata"]
    return resource_path(_GROUPS[obj["kind"]], RESOURCES[obj["kind"]], metadata["namespace"], metadata["name"])


async def _check_nothing_elses(host: MemberClient, namespace: str, clusters: set[str]) -> None:
    """What runs or keeps data in a namespace that would go, such as a database of the user's, would go, too. ``clusters``: ours, of
    CloudNativePG. Raises InstallationError."""
    found = await host.find(resource_path("v1", "namespaces", name=namespace))
    if found is None or not _is_ours(found):
        return
    for resource in ("persistentvolumeclaims", "pods"):
        for obj in (await host.list(resource_path("v1", resource, namespace)))[0]:
            labels = obj["metadata"].get("labels", {})
            if not _RUNNING_OURS.items() <= labels.items() and labels.get(_OF_CLUSTER) not in clusters:
                raise InstallationError(
                    f"--purge-namespace: {shown(obj)} in namespace {namespace} is not of kafila init, and would be deleted; "
                    "remove it first, or leave out --purge-namespace"
                )


def _is_ours(obj: Object) -> bool:
    return OURS.items() <= obj["metadata"].get("labels", {}).items()


async def _remove_namespace(host: MemberClient, name: str, dry_run: bool, report: Print) -> None:
    """Only one that init made."""
    path = resource_path("v1", "namespaces", name=name)
    found = await host.find(path)
    if found is None:
        return
    if not _is_ours(found):
        report(f"namespace/{name} stays: kafila init did not make it")
        return
    if not dry_run:
        await delete(host, path, found["metadata"]["uid"])
    report(f"namespace/{name} {'would be deleted (dry run)' if dry_run else 'deleted'}")
