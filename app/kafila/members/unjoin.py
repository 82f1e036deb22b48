"""Unjoining: the Cluster goes from the control plane (which first takes back what it placed), then our accounts from the member."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import final

from kafila.core.conditions import find
from kafila.core.errors import StatusError
from kafila.core.resources import split_api_version
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.constants import COND_APPLIED, COND_HEARTBEAT, COND_READY

from .client import MemberClient, resource_path
from .join import CLUSTERS, DEFAULT_NAMESPACE, SYSTEM_LABELS, JoinError, Print, role_name, service_account_name
from .transport import Unreachable

POLL = 0.5  # seconds
RBAC = "rbac.authorization.k8s.io/v1"


@final
class _Steps:
    """Steps that stop at the first error, or with ``force`` report it and go on. What is gone already is no error."""

    def __init__(self, force: bool, report: Print) -> None:
        self._force = force
        self._report = report

    async def __call__(self, what: str, step: Awaitable[object]) -> None:
        try:
            await step
        except (StatusError, Unreachable) as error:
            if isinstance(error, StatusError) and error.is_not_found:
                return
            if not self._force:
                raise
            self._report(f"could not delete {what}: {error}")


async def unjoin(
    control_plane: MemberClient,
    member: MemberClient | None,
    name: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    wait: float = 60.0,
    force: bool = False,
    dry_run: bool = False,
    report: Print = print,
) -> None:
    """``member`` None leaves our accounts in it. ``force`` drops the Cluster even when what was placed in the member cannot be
    taken back, or could not within ``wait`` seconds; it says what stays there. Raises JoinError, or what the APIs said."""
    cluster = await control_plane.find(f"{CLUSTERS}/{name}")
    if cluster is None:
        raise JoinError(f"no cluster object {name} found in karmada control Plane")
    mode = cluster["spec"].get("syncMode")
    if mode == "Pull":
        raise JoinError(
            f"cluster {name} is a {mode} mode member cluster, please use command `unregister` if you want to continue"
            " unregistering the cluster"
        )
    if dry_run:
        report(f"cluster({name}) would be unjoined (dry run)")
        return
    copies = await _copies(control_plane, name)
    if copies and not_ready(cluster) and not force:
        cluster = await _ready_again(control_plane, cluster, len(copies), wait, report)
    await control_plane.delete(f"{CLUSTERS}/{name}", uid=cluster["metadata"]["uid"])
    last = await _gone(control_plane, cluster, wait, report)
    if last is not None and not force:
        raise JoinError(f"cluster {name} was not deleted within {wait:g}s: {await _holding(control_plane, name)}")
    if last is not None:
        copies = await _copies(control_plane, name)
        report(f"Start forced deletion. cluster name: {name}")
        await _force(control_plane, name, report)
        report("Forced deletion is complete.")
    if copies and (last is not None or not_ready(cluster)):
        for line in left_behind(name, copies):
            report(line)
    if member is not None:
        await _leave(member, name, namespace, _Steps(force, report))
    report(f"cluster({name}) is unjoined successfully")


def not_ready(cluster: Object) -> str:
    """Why nothing can be taken back from it now; empty when it can."""
    found = (cluster.get("status") or {}).get("conditions")
    lost, ready = find(found, COND_HEARTBEAT), find(found, COND_READY)
    if lost is None and ready is not None and ready.get("status") == "True":
        return ""
    return ((lost or ready) or {}).get("message") or "it has not been reached yet"


async def _ready_again(control_plane: MemberClient, cluster: Object, count: int, wait: float, report: Print) -> Object:
    """The Cluster, once what is in it can be taken back. Raises JoinError when that does not come in time."""
    name = cluster["metadata"]["name"]
    report(f"Waiting for the cluster {name} to be ready: {count} objects placed there cannot be taken back now")
    deadline = time.monotonic() + wait
    while why := not_ready(cluster):
        if time.monotonic() > deadline:
            raise JoinError(
                f"cluster {name} is not ready ({why}): {count} objects placed there would stay there for good. Nothing was"
                " changed. Unjoin it when it is ready again, or with --force, which says what stays"
            )
        await asyncio.sleep(POLL)
        found = await control_plane.find(f"{CLUSTERS}/{name}")
        if found is None:
            raise JoinError(f"cluster {name} was removed by somebody else")
        cluster = found
    return cluster


async def _copies(control_plane: MemberClient, name: str) -> list[Object]:
    """What was placed in the member, as manifests; without what shall stay there."""
    path = resource_path("work.karmada.io/v1alpha1", "works", constants.execution_namespace(name))
    works, _ = await control_plane.list(path)
    placed = [
        work
        for work in works
        if find((work.get("status") or {}).get("conditions"), COND_APPLIED) is not None
        and not (work.get("spec") or {}).get("preserveResourcesOnDeletion")
    ]
    return [manifest for work in placed for manifest in (work["spec"].get("workload") or {}).get("manifests") or ()]


def left_behind(cluster: str, copies: Sequence[Object]) -> list[str]:
    """What stays in a cluster, as the commands that remove it there."""
    lines = [f"{len(copies)} objects stay in cluster {cluster}, as it could not be asked. There, this removes them:"]
    for manifest in copies:
        group, version = split_api_version(manifest["apiVersion"])
        kind = f"{manifest['kind']}.{version}.{group}" if group else manifest["kind"]
        metadata = manifest["metadata"]
        where = f"-n {metadata['namespace']} " if metadata.get("namespace") else ""
        lines.append(f"  kubectl delete {where}{kind}/{metadata['name']}")
    return lines


async def _gone(control_plane: MemberClient, cluster: Object, wait: float, report: Print) -> Object | None:
    """None when it went in time, else what it is now. ``cluster`` gets the last status that was seen."""
    name = cluster["metadata"]["name"]
    deadline = time.monotonic() + wait
    warned = False
    while True:
        current = await control_plane.find(f"{CLUSTERS}/{name}")
        if current is None or current["metadata"]["uid"] != cluster["metadata"]["uid"]:
            return None
        cluster["status"] = current.get("status") or {}
        if time.monotonic() > deadline:
            return current
        if not warned:
            report(f"Waiting for the cluster object {name} to be deleted")
            warned = True
        await asyncio.sleep(POLL)


async def _holding(control_plane: MemberClient, name: str) -> str:
    """What is left, for the message."""
    works, _ = await control_plane.list(
        resource_path("work.karmada.io/v1alpha1", "works", constants.execution_namespace(name))
    )
    if works:
        return f"{len(works)} objects placed there are not taken back yet; --force drops it without waiting for them"
    return "its finalizers are not removed yet (is the control plane running its controllers?)"


async def _leave(member: MemberClient, name: str, namespace: str, steps: _Steps) -> None:
    role, account = role_name(name), service_account_name(name)
    binding_path = resource_path(RBAC, "clusterrolebindings", name=role)
    await steps(f"cluster role binding {role}", member.delete(binding_path))
    await steps(f"cluster role {role}", member.delete(resource_path(RBAC, "clusterroles", name=role)))
    account_path = resource_path("v1", "serviceaccounts", namespace, account)
    await steps(f"service account {account}", member.delete(account_path))
    await steps(f"namespace {namespace}", _delete_own_namespace(member, namespace))


async def _delete_own_namespace(member: MemberClient, name: str) -> None:
    """Only what join made: with --cluster-namespace the user may have named a namespace of their own."""
    path = resource_path("v1", "namespaces", name=name)
    found = await member.get(path)
    if SYSTEM_LABELS.items() <= (found["metadata"].get("labels") or {}).items():
        await member.delete(path)


async def _force(control_plane: MemberClient, name: str, report: Print) -> None:
    """Takes away the finalizers that wait for the member: Works, their namespace, the Cluster."""
    space = constants.execution_namespace(name)
    works = resource_path("work.karmada.io/v1alpha1", "works", space)
    try:
        for work in (await control_plane.list(works))[0]:
            await _without_finalizer(
                control_plane, f"{works}/{work['metadata']['name']}", constants.FINALIZER_EXECUTION
            )
        await _finalize_namespace(control_plane, space)
        await _without_finalizer(control_plane, f"{CLUSTERS}/{name}", constants.FINALIZER_CLUSTER)
    except StatusError as error:
        report(f"Force deletion. {error}")


async def _without_finalizer(client: MemberClient, path: str, finalizer: str) -> None:
    while (obj := await client.find(path)) is not None and finalizer in (obj["metadata"].get("finalizers") or ()):
        obj["metadata"]["finalizers"].remove(finalizer)
        try:
            await client.update(path, obj)
        except StatusError as error:
            if not error.is_conflict and not error.is_not_found:
                raise


async def _finalize_namespace(client: MemberClient, name: str) -> None:
    path = resource_path("v1", "namespaces", name=name)
    namespace = await client.find(path)
    if namespace is not None and namespace["metadata"].get("deletionTimestamp"):
        namespace["spec"]["finalizers"] = []
        await client.update(f"{path}/finalize", namespace)
