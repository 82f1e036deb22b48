"""search.karmada.io/v1alpha1: which objects of members are cached. A typed API like Cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .cluster import LocalSecretReference, MetaCondition
from .model import Always, Model
from .policy import ClusterAffinity


class SearchSelector(Model):
    api_version: Annotated[str, Always("")] = Field("", description="API version of the objects.")
    kind: Annotated[str, Always("")] = Field("", description="Kind of the objects.")
    namespace: str | None = Field(None, description="Namespace of the objects, all when empty.")


class OpenSearchConfig(Model):
    addresses: Annotated[list[str], Always(None)] = Field([], description="URLs of the nodes.")
    secret_ref: Annotated[LocalSecretReference, Always({"namespace": "", "name": ""})] = Field(
        LocalSecretReference.model_construct(), description="Secret with the credentials."
    )


class BackendStoreConfig(Model):
    open_search: OpenSearchConfig | None = Field(None, description="Write what is found to OpenSearch.")


class ResourceRegistrySpec(Model):
    target_cluster: Annotated[ClusterAffinity, Always({})] = Field(
        ClusterAffinity.model_construct(), description="Clusters to look into."
    )
    resource_selectors: Annotated[list[SearchSelector], Always(None)] = Field([], description="Objects to look for.")
    backend_store: BackendStoreConfig | None = Field(None, description="Where to keep them.")


class ResourceRegistryStatus(Model):
    conditions: list[MetaCondition] | None = Field(None, description="State of the registry.")


class ResourceRegistry(Model):
    """Objects of member clusters that can be searched."""

    spec: Annotated[ResourceRegistrySpec, Always({"targetCluster": {}, "resourceSelectors": None})] = Field(
        ResourceRegistrySpec.model_construct(), description="Desired behaviour."
    )
    status: Annotated[ResourceRegistryStatus, Always({})] = Field(
        ResourceRegistryStatus.model_construct(), description="Latest state."
    )
