"""``join`` and ``unjoin``, with karmadactl's flags."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from . import CommandError, UsageError
from .durations import duration
from .flags import (
    ClusterNamespace,
    ClusterProvider,
    ClusterRegion,
    ClusterZones,
    DryRun,
    Force,
    KarmadaContext,
    Kubeconfig,
    Wait,
)

if TYPE_CHECKING:
    from kafila.members.client import MemberClient
    from kafila.members.kubeconfig import Access

T = TypeVar("T")

ClusterName = Annotated[str, Parameter(name="NAME", help="Name of the cluster: a DNS label of at most 48 characters.")]
ClusterKubeconfig = Annotated[str, Parameter(help="Path of the cluster's kubeconfig.")]


def join(
    cluster_name: ClusterName,
    /,
    *,
    cluster_kubeconfig: ClusterKubeconfig,
    cluster_context: Annotated[
        str, Parameter(help="Context of the cluster in its kubeconfig (default: the current).")
    ] = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
    cluster_namespace: ClusterNamespace = "karmada-cluster",
    cluster_provider: ClusterProvider = "",
    cluster_region: ClusterRegion = "",
    cluster_zones: ClusterZones = None,
    karmada_as: Annotated[str, Parameter(help="User to impersonate in the control plane.")] = "",
    karmada_as_group: Annotated[list[str] | None, Parameter(help="Group to impersonate; may be repeated.")] = None,
    karmada_as_uid: Annotated[str, Parameter(help="UID to impersonate.")] = "",
    permissions: Annotated[
        str,
        Parameter(
            help="What our account may do in the cluster: all, or what policies need by now (policies). Joining again leaves it as"
            " it was, and brings policies up to date."
        ),
    ] = "",
    dry_run: DryRun = False,
) -> None:
    """Register a cluster to the control plane with Push mode. Again for the same cluster: renew its credentials."""
    from kafila.members.join import Joining
    from kafila.members.permissions import Permissions

    if permissions not in ("", *Permissions):
        raise UsageError(f'invalid --permissions "{permissions}": must be one of {", ".join(Permissions)}')
    from kafila.members.join import join as join_cluster

    control_plane = access(kubeconfig, karmada_context)
    cluster = access(cluster_kubeconfig, cluster_context)
    wanted = Joining(
        name=cluster_name,
        endpoint=cluster.endpoint,
        namespace=cluster_namespace,
        provider=cluster_provider,
        region=cluster_region,
        zones=tuple(zone for listed in cluster_zones or () for zone in listed.split(",") if zone),
        insecure=cluster.tls.insecure,
        proxy_url=cluster.proxy_url,
        authority=cluster.tls.authority,
        dry_run=dry_run,
        permissions=Permissions(permissions) if permissions else None,
    )
    headers = _impersonation_of(karmada_as, karmada_as_group or [], karmada_as_uid)
    run(control_plane, cluster, lambda plane, member: join_cluster(member, plane, wanted), headers)


def unjoin(
    cluster_name: ClusterName,
    /,
    *,
    cluster_kubeconfig: Annotated[
        str, Parameter(help="Path of the cluster's kubeconfig; without it our accounts stay in the cluster.")
    ] = "",
    cluster_context: Annotated[
        str, Parameter(help="Context of the cluster in its kubeconfig (default: named as the cluster, or the current).")
    ] = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
    cluster_namespace: ClusterNamespace = "karmada-cluster",
    force: Force = False,
    wait: Wait = "60s",
    dry_run: DryRun = False,
) -> None:
    """Remove a cluster from the control plane, and with --cluster-kubeconfig our accounts from the cluster."""
    from kafila.members.kubeconfig import KubeconfigError, contexts
    from kafila.members.unjoin import unjoin as unjoin_cluster

    seconds = duration(wait)
    control_plane = access(kubeconfig, karmada_context)
    cluster = None
    if cluster_kubeconfig:
        try:
            if not cluster_context and cluster_name in contexts(cluster_kubeconfig):
                cluster_context = cluster_name
        except KubeconfigError as error:
            raise CommandError(str(error)) from None
        cluster = access(cluster_kubeconfig, cluster_context)
    options: dict[str, Any] = {"namespace": cluster_namespace, "wait": seconds, "force": force, "dry_run": dry_run}
    run(control_plane, cluster, lambda plane, member: unjoin_cluster(plane, member, cluster_name, **options))


def access(file: str, context: str) -> Access:
    from kafila.members.kubeconfig import KubeconfigError, load

    try:
        return load(file, context)
    except KubeconfigError as error:
        raise CommandError(str(error)) from None


def _impersonation_of(user: str, groups: list[str], uid: str) -> list[tuple[str, str]]:
    from kafila.members.kubeconfig import impersonation

    if not user and (groups or uid):
        raise UsageError("--karmada-as-group and --karmada-as-uid need --karmada-as")
    return impersonation(user, groups, uid)


def run(
    control_plane: Access,
    cluster: Access | None,
    work: Callable[..., Awaitable[object]],
    headers: Sequence[tuple[str, str]] = (),
) -> None:
    """Runs ``work(control plane, cluster)`` and prints its errors in one line."""

    async def both(plane: MemberClient) -> None:
        member = cluster.client() if cluster is not None else None
        try:
            await work(plane, member)
        except _errors() as error:
            from kafila.members.explain import explain

            raise CommandError(explain(error, member, plane)) from None
        finally:
            if member is not None:
                await member.close()

    told(control_plane, both, headers)


def told(
    control_plane: Access, work: Callable[[MemberClient], Awaitable[T]], headers: Sequence[tuple[str, str]] = ()
) -> T:
    """What ``work(control plane)`` gives. Raises CommandError in one line for whatever the way there can meet with."""
    from kafila.members.explain import explain

    async def session() -> T:
        plane = control_plane.client(headers=headers)
        try:
            return await work(plane)
        except _errors() as error:
            raise CommandError(explain(error, None, plane)) from None
        finally:
            await plane.close()

    try:
        return asyncio.run(session())
    except ValueError as error:  # an endpoint or a proxy that we cannot use
        raise CommandError(str(error)) from None


def _errors() -> tuple[type[Exception], ...]:
    from kafila.core.errors import StatusError
    from kafila.members.join import JoinError
    from kafila.members.kubeconfig import KubeconfigError
    from kafila.members.transport import Unreachable

    return (JoinError, KubeconfigError, StatusError, Unreachable)
