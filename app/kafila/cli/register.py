"""``register`` and ``unregister``, with karmadactl's flags."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from kafila.placement.constants import NAMESPACE_KARMADA_CLUSTER, NAMESPACE_KARMADA_SYSTEM

from .durations import duration
from .flags import (
    ClusterNamespace,
    ClusterProvider,
    ClusterRegion,
    ClusterZones,
    DryRun,
    Force,
    ProxyServerAddress,
    Wait,
)
from .membership import access, run

Namespace = Annotated[str, Parameter(name=["--namespace", "-n"], help="Namespace of the agent in the cluster.")]
IMAGE = "docker.io/karmada/karmada-agent:v1.18.2"


def register(
    endpoint: Annotated[str, Parameter(name="ENDPOINT", help="HOST:PORT of the control plane.")],
    /,
    *,
    cluster_name: Annotated[str, Parameter(help="Name of the cluster (default: as the kubeconfig's context).")] = "",
    token: Annotated[str, Parameter(help="Bootstrap token: kafila token create.")] = "",
    discovery_token_ca_cert_hash: Annotated[
        list[str] | None, Parameter(help="Hash of the control plane's CA: sha256:HEX; with commas, or repeated.")
    ] = None,
    discovery_token_unsafe_skip_ca_verification: Annotated[
        bool, Parameter(help="Believe whatever CA the control plane shows, if it knows the token.")
    ] = False,
    discovery_timeout: Annotated[str, Parameter(help="How long to wait for the control plane's answers.")] = "5m",
    kubeconfig: Annotated[str, Parameter(help="Path of the cluster's kubeconfig (default: kubectl's).")] = "",
    context: Annotated[str, Parameter(help="Context of the cluster in it (default: the current).")] = "",
    namespace: Namespace = NAMESPACE_KARMADA_SYSTEM,
    cluster_namespace: ClusterNamespace = NAMESPACE_KARMADA_CLUSTER,
    cluster_provider: ClusterProvider = "",
    cluster_region: ClusterRegion = "",
    cluster_zones: ClusterZones = None,
    proxy_server_address: ProxyServerAddress = "",
    karmada_agent_image: Annotated[str, Parameter(help="Image of the agent.")] = IMAGE,
    agent_image: Annotated[
        str,
        Parameter(
            help="Image of kafila, whose own agent runs then: kafila agent. None: leave its Secret, and no agent."
        ),
    ] = "",
    karmada_agent_replicas: Annotated[int, Parameter(help="Pods of the agent; one of them works.")] = 1,
    cert_expiration_seconds: Annotated[
        int, Parameter(help="Life of the agent's certificate; it renews it.")
    ] = 31536000,
    dry_run: DryRun = False,
) -> None:
    """Register a cluster to the control plane with Pull mode. Again for the same cluster: finish, or change its agent."""
    from kafila.members.agent_deployment import Registering
    from kafila.members.register import register as register_cluster

    cluster = access(kubeconfig, context)
    wanted = Registering(
        name=cluster_name or cluster.context,
        endpoint=endpoint.removeprefix("https://").rstrip("/"),
        token=token,
        pins=_listed(discovery_token_ca_cert_hash),
        unsafe=discovery_token_unsafe_skip_ca_verification,
        cluster_endpoint=cluster.endpoint,
        namespace=namespace,
        cluster_namespace=cluster_namespace,
        provider=cluster_provider,
        region=cluster_region,
        zones=_listed(cluster_zones),
        image="" if agent_image == "None" else agent_image or karmada_agent_image,
        own=bool(agent_image),
        replicas=karmada_agent_replicas,
        proxy=proxy_server_address,
        lifetime=cert_expiration_seconds,
        timeout=duration(discovery_timeout, "--discovery-timeout"),
        dry_run=dry_run,
    )
    run(cluster, None, lambda member, _: register_cluster(member, wanted))


def unregister(
    cluster_name: Annotated[str, Parameter(name="NAME", help="Name of the cluster.")],
    /,
    *,
    cluster_kubeconfig: Annotated[
        str, Parameter(help="Path of the cluster's kubeconfig; without it the agent stays there, without rights here.")
    ] = "",
    cluster_context: Annotated[str, Parameter(help="Context of the cluster in it (default: the current).")] = "",
    kubeconfig: Annotated[
        str,
        Parameter(name=["--kubeconfig", "--karmada-config"], help="Path of the control plane's kubeconfig."),
    ] = "",
    karmada_context: Annotated[str, Parameter(help="Context of the control plane in it (default: the current).")] = "",
    namespace: Namespace = NAMESPACE_KARMADA_SYSTEM,
    cluster_namespace: ClusterNamespace = NAMESPACE_KARMADA_CLUSTER,
    force: Force = False,
    wait: Wait = "60s",
    dry_run: DryRun = False,
) -> None:
    """Remove a cluster in Pull mode from the control plane, and with --cluster-kubeconfig its agent from the cluster."""
    from kafila.members.unregister import unregister as unregister_cluster

    options: dict[str, Any] = {"namespace": namespace, "cluster_namespace": cluster_namespace, "force": force}
    options |= {"wait": duration(wait), "dry_run": dry_run}
    control_plane = access(kubeconfig, karmada_context)
    cluster = access(cluster_kubeconfig, cluster_context) if cluster_kubeconfig else None
    run(control_plane, cluster, lambda plane, member: unregister_cluster(plane, member, cluster_name, **options))


def _listed(given: list[str] | None) -> tuple[str, ...]:
    return tuple(part for text in given or () for part in text.split(",") if part)
