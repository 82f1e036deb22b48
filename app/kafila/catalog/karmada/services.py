"""networking.karmada.io and multicluster.x-k8s.io: services and ingresses over several clusters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from .model import CORE, Conditions, Int32, ListMap, Model, Ref

NETWORKING = "io.k8s.api.networking.v1."


class ExposurePort(Model):
    name: str | None = Field(None, description="Name of the port.")
    port: Int32 = Field(description="Number of the port.")


class ClusterSelector(Model):
    name: str = Field(description="Name of the cluster.")


class ExposureRange(Model):
    cluster_names: list[str] | None = Field(None, description="Names of clusters.")


class MultiClusterServiceSpec(Model):
    types: list[str] = Field(description="How it is exposed: CrossCluster or LoadBalancer.")
    ports: list[ExposurePort] | None = Field(None, description="Ports that are exposed, all when empty.")
    provider_clusters: list[ClusterSelector] | None = Field(None, description="Clusters that have the endpoints.")
    consumer_clusters: list[ClusterSelector] | None = Field(None, description="Clusters that use the service.")
    range: ExposureRange | None = Field(None, description="Deprecated.")
    service_provision_clusters: list[str] | None = Field(None, description="Deprecated, use providerClusters.")
    service_consumption_clusters: list[str] | None = Field(None, description="Deprecated, use consumerClusters.")


class MultiClusterServiceStatus(Model):
    conditions: Conditions | None = Field(None, description="State of the service.")
    load_balancer: Annotated[dict[str, Any], Ref(CORE + "LoadBalancerStatus")] | None = Field(
        None, description="State of the load balancer."
    )


class MultiClusterService(Model):
    """A Service that clusters share."""

    spec: MultiClusterServiceSpec = Field(description="Desired behaviour.")
    status: MultiClusterServiceStatus | None = Field(None, description="Latest state.")


class ServiceLocation(Model):
    name: str = Field(description="Name of the service.")
    clusters: list[str] | None = Field(None, description="Clusters it is in.")


class MultiClusterIngressStatus(Model):
    load_balancer: Annotated[dict[str, Any], Ref(NETWORKING + "IngressLoadBalancerStatus")] | None = Field(
        None, description="State of the load balancer."
    )
    service_locations: list[ServiceLocation] | None = Field(None, description="Where the backends are.")
    traffic_block_clusters: list[str] | None = Field(None, description="Clusters that get no traffic.")


class MultiClusterIngress(Model):
    """Rules for traffic to services in several clusters."""

    spec: Annotated[dict[str, Any], Ref(NETWORKING + "IngressSpec")] | None = Field(None, description="The rules.")
    status: MultiClusterIngressStatus | None = Field(None, description="Latest state.")


class ServiceExportStatus(Model):
    conditions: Conditions | None = Field(None, description="State of the export.")


class ServiceExport(Model):
    """Offers the Service of the same name to other clusters."""

    status: ServiceExportStatus | None = Field(None, description="Latest state.")


class ServicePort(Model):
    name: str | None = Field(None, description="Name of the port.")
    protocol: str | None = Field(None, description="TCP, UDP or SCTP.")
    app_protocol: str | None = Field(None, description="Protocol of the application.")
    port: Int32 = Field(description="Number of the port.")


class ServiceImportSpec(Model):
    ports: list[ServicePort] = Field(description="Ports of the service.")
    ips: list[str] | None = Field(None, max_length=1, description="Its address.")
    type: Literal["ClusterSetIP", "Headless"] = Field(description="Whether it has an address.")
    session_affinity: str | None = Field(None, description="ClientIP or None.")
    session_affinity_config: Annotated[dict[str, Any], Ref(CORE + "SessionAffinityConfig")] | None = Field(
        None, description="Settings of the affinity."
    )


class ClusterStatus(Model):
    cluster: str = Field(description="Name of the cluster.")


class ServiceImportStatus(Model):
    clusters: Annotated[list[ClusterStatus], ListMap(("cluster",))] | None = Field(None, description="Who exports it.")


class ServiceImport(Model):
    """A Service that other clusters export."""

    spec: ServiceImportSpec | None = Field(None, description="Desired behaviour.")
    status: ServiceImportStatus | None = Field(None, description="Latest state.")
