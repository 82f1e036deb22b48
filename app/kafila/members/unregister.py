"""Unregistering a cluster in pull mode: as unjoining one, and then its agent goes, here and there."""

from __future__ import annotations

from kafila.catalog.karmada.agent_roles import agent_name, agent_roles
from kafila.core.errors import StatusError
from kafila.placement import constants

from .accounts import RBAC, Print
from .agent_deployment import ACCOUNT, AGENT, AGENT_SECRET
from .client import MemberClient, resource_path
from .join import CLUSTERS, DEFAULT_NAMESPACE
from .leaving import Account, remove_accounts
from .transport import Unreachable
from .unjoin import unjoin


async def unregister(
    control_plane: MemberClient,
    member: MemberClient | None,
    name: str,
    *,
    namespace: str = constants.NAMESPACE_KARMADA_SYSTEM,
    cluster_namespace: str = DEFAULT_NAMESPACE,
    wait: float = 60.0,
    force: bool = False,
    dry_run: bool = False,
    report: Print = print,
) -> None:
    """``member`` None leaves the agent in it, without rights here. Otherwise as ``unjoin``. Raises JoinError, or what the APIs said."""
    if await _is_registered_only(control_plane, name):
        if dry_run:
            report(f"cluster({name}) would be unregistered, whose agent has not reported yet (dry run)")
            return
        space = constants.execution_namespace(name)
        await _delete(control_plane, resource_path("v1", "namespaces", name=space), force, report)
        if member is not None:
            await remove_accounts(member, name, cluster_namespace, Account(), force, report)
        await _remove_agent(control_plane, member, name, namespace, cluster_namespace, force, report)
        report(f"cluster({name}), whose agent had not reported yet, is unregistered successfully")
        return
    await unjoin(
        control_plane,
        member,
        name,
        namespace=cluster_namespace,
        wait=wait,
        force=force,
        dry_run=dry_run,
        report=report,
        mode="Pull",
    )
    if not dry_run:
        await _remove_agent(control_plane, member, name, namespace, cluster_namespace, force, report)


async def _remove_agent(
    control_plane: MemberClient,
    member: MemberClient | None,
    name: str,
    namespace: str,
    cluster_namespace: str,
    force: bool,
    report: Print,
) -> None:
    """Its rights here first."""
    paths = []
    for role in reversed(agent_roles(name, cluster_namespace, constants.execution_namespace(name))):
        metadata, resource = role["metadata"], f"{role['kind'].lower()}s"
        paths.append(resource_path(role["apiVersion"], resource, metadata.get("namespace", ""), metadata["name"]))
    paths.append(resource_path("coordination.k8s.io/v1", "leases", namespace, f"{AGENT}-{name}"))
    for path in paths:
        await _delete(control_plane, path, force, report)
    for api_version, resource, where, what in (
        ("apps/v1", "deployments", namespace, AGENT),
        ("v1", "secrets", namespace, AGENT_SECRET),
        ("v1", "serviceaccounts", namespace, ACCOUNT),
        (RBAC, "clusterrolebindings", "", AGENT),
        (RBAC, "clusterroles", "", AGENT),
    ):
        if member is not None:
            await _delete(member, resource_path(api_version, resource, where, what), force, report)


async def _delete(client: MemberClient, path: str, force: bool, report: Print) -> None:
    """What is gone already is no error; with ``force`` others are told."""
    try:
        await client.delete(path)
    except (StatusError, Unreachable) as error:
        if isinstance(error, StatusError) and error.is_not_found:
            return
        if not force:
            raise
        report(f"could not delete {path}: {error}")


async def _is_registered_only(control_plane: MemberClient, name: str) -> bool:
    """Its agent may report, and has not done so: there is no Cluster yet."""
    role = resource_path(RBAC, "clusterroles", name=agent_name(name))
    return await control_plane.find(f"{CLUSTERS}/{name}") is None and await control_plane.find(role) is not None
