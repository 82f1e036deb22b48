"""cluster.karmada.io/v1alpha1: a member cluster. A typed API (aggregated in Karmada), not a CustomResourceDefinition."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .model import (
    CORE,
    META,
    Always,
    CanonicalQuantity,
    CanonicalResourceList,
    Int32,
    Model,
    Ref,
)

# The typed API does not check what is inside a condition or a taint by schema; the strategy does.
Taint = Annotated[dict[str, Any], Ref(CORE + "Taint")]
MetaCondition = Annotated[dict[str, Any], Ref(META + "Condition")]


class LocalSecretReference(Model):
    namespace: Annotated[str, Always("")] = Field("", description="Namespace of the Secret.")
    name: Annotated[str, Always("")] = Field("", description="Name of the Secret.")


class ResourceModelRange(Model):
    name: Annotated[str, Always("")] = Field("", description="Name of the resource.")
    min: Annotated[CanonicalQuantity, Always("0")] = Field("0", description="Smallest amount, inclusive.")
    max: Annotated[CanonicalQuantity, Always("0")] = Field("0", description="Largest amount, exclusive.")


class ResourceModel(Model):
    grade: Annotated[int, Always(0)] = Field(0, description="Number of the grade.")
    ranges: Annotated[list[ResourceModelRange], Always(None)] = Field(
        [], description="Amounts of a node of this grade."
    )


class ClusterSpec(Model):
    id: str | None = Field(None, description="UID of the cluster's kube-system namespace.")
    sync_mode: Annotated[str, Always("")] = Field(
        "", description="Push: we write to it. Pull: its agent reads from us."
    )
    api_endpoint: str | None = Field(None, description="URL of its API server.")
    secret_ref: LocalSecretReference | None = Field(None, description="Secret with token and caBundle.")
    impersonator_secret_ref: LocalSecretReference | None = Field(
        None, description="Secret with a token to impersonate."
    )
    insecure_skip_tls_verification: bool | None = Field(
        None, alias="insecureSkipTLSVerification", description="Do not verify its certificate."
    )
    proxy_url: str | None = Field(None, alias="proxyURL", description="Proxy on the way to it.")
    proxy_header: dict[str, str] | None = Field(None, description="Headers sent to the proxy.")
    provider: str | None = Field(None, description="Who runs it.")
    region: str | None = Field(None, description="Region it is in.")
    zone: str | None = Field(None, description="Deprecated, use zones.")
    zones: list[str] | None = Field(None, description="Zones it is in.")
    taints: list[Taint] | None = Field(None, description="What keeps workloads away.")
    resource_models: list[ResourceModel] | None = Field(None, description="Grades its nodes are counted by.")


class APIResource(Model):
    name: Annotated[str, Always("")] = Field("", description="Plural name.")
    kind: Annotated[str, Always("")] = Field("", description="Kind.")


class APIEnablement(Model):
    group_version: Annotated[str, Always("")] = Field("", description="Group and version.")
    resources: list[APIResource] | None = Field(None, description="Resources served.")


class NodeSummary(Model):
    total_num: Int32 | None = Field(None, description="Number of nodes.")
    ready_num: Int32 | None = Field(None, description="Number of ready nodes.")


class AllocatableModeling(Model):
    grade: Annotated[int, Always(0)] = Field(0, description="Number of the grade.")
    count: Annotated[int, Always(0)] = Field(0, description="Nodes of this grade.")


class ResourceSummary(Model):
    allocatable: CanonicalResourceList | None = Field(None, description="What nodes offer.")
    allocating: CanonicalResourceList | None = Field(None, description="What waits for a node.")
    allocated: CanonicalResourceList | None = Field(None, description="What is in use.")
    allocatable_modelings: list[AllocatableModeling] | None = Field(None, description="Nodes per grade.")


class ClusterStatus(Model):
    kubernetes_version: str | None = Field(None, description="Version of its API server.")
    api_enablements: list[APIEnablement] | None = Field(None, description="APIs it serves.")
    conditions: list[MetaCondition] | None = Field(None, description="State of the cluster.")
    node_summary: NodeSummary | None = Field(None, description="Its nodes.")
    resource_summary: ResourceSummary | None = Field(None, description="Its resources.")
    remedy_actions: list[str] | None = Field(None, description="Actions remedies ask for.")


class Cluster(Model):
    """A cluster that objects are sent to."""

    spec: Annotated[ClusterSpec, Always({"syncMode": ""})] = Field(
        ClusterSpec.model_construct(), description="Desired behaviour."
    )
    status: Annotated[ClusterStatus, Always({})] = Field(ClusterStatus.model_construct(), description="Latest state.")
