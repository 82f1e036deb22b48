"""work.karmada.io: bindings (v1alpha2, and the older v1alpha1) and Work, the object a cluster's agent applies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .model import (
    REASON,
    Int32,
    Int64,
    Model,
    NodeSelector,
    OneOf,
    PlainConditions,
    RawObject,
    ResourceList,
    Time,
    Toleration,
)
from .policy import ConflictResolution, FailoverBehavior, Placement, RolloutStrategy, SuspendClusters
from .rollout import RolloutControl, RolloutStatus

Health = Literal["Healthy", "Unhealthy", "Unknown"]


class ObjectReference(Model):
    api_version: str = Field(description="API version of the template.")
    kind: str = Field(description="Kind of the template.")
    namespace: str | None = Field(None, description="Namespace of the template.")
    name: str = Field(description="Name of the template.")
    uid: str | None = Field(None, description="UID of the template.")
    resource_version: str | None = Field(None, description="Version of the template that was read.")


class NodeClaim(Model):
    hard_node_affinity: NodeSelector | None = Field(None, description="Nodes that are required.")
    node_selector: dict[str, str] | None = Field(None, description="Labels nodes must have.")
    tolerations: list[Toleration] | None = Field(None, description="Taints of nodes that are tolerated.")


class ComponentReplicaRequirements(Model):
    node_claim: NodeClaim | None = Field(None, description="Demands on nodes.")
    resource_request: ResourceList | None = Field(None, description="Resources one replica asks for.")
    priority_class_name: str | None = Field(None, description="Priority class of the pods.")


class ReplicaRequirements(ComponentReplicaRequirements):
    namespace: str | None = Field(None, description="Namespace of the pods.")


class Component(Model):
    name: str = Field(max_length=32, description="Name, unique in the list.")
    replicas: Int32 = Field(description="Replicas of this component.")
    replica_requirements: ComponentReplicaRequirements | None = Field(None, description="What one replica needs.")


class TargetClusterV1alpha1(Model):
    name: str = Field(description="Name of the cluster.")
    replicas: Int32 | None = Field(None, description="Replicas for this cluster.")


class TargetComponent(Model):
    name: str = Field(description="Name of the component.")
    replicas: Int32 = Field(description="Replicas of the component in this cluster.")


class TargetCluster(TargetClusterV1alpha1):
    components: list[TargetComponent] | None = Field(None, description="Components of the workload in this cluster.")


class GracefulEvictionTask(Model):
    from_cluster: str = Field(description="Cluster to leave.")
    purge_mode: Annotated[str, OneOf(("Immediately", "Directly", "Graciously", "Gracefully", "Never"))] | None = Field(
        None, description="How the old copy is removed."
    )
    replicas: Int32 | None = Field(None, description="Replicas that ran there.")
    reason: str = Field(min_length=1, max_length=32, pattern=REASON, description="Why, CamelCase.")
    message: str | None = Field(None, max_length=1024, description="Why, for people.")
    producer: str = Field(description="Controller that asked for it.")
    grace_period_seconds: Int32 | None = Field(None, description="Longest wait for the new copy.")
    suppress_deletion: bool | None = Field(None, description="Wait for people to decide.")
    creation_timestamp: Time | None = Field(None, description="When it was asked for.")
    preserved_label_state: dict[str, str] | None = Field(None, description="State carried to the next cluster.")
    clusters_before_failover: list[str] | None = Field(None, description="Clusters before the failover.")


class BindingSnapshot(Model):
    namespace: str | None = Field(None, description="Namespace of the binding.")
    name: str = Field(description="Name of the binding.")
    clusters: list[TargetCluster] | None = Field(None, description="Its clusters.")


class BindingSuspension(Model):
    dispatching: bool | None = Field(None, description="True stops writes to all clusters.")
    dispatching_on_clusters: SuspendClusters | None = Field(None, description="Stops writes to these clusters.")
    scheduling: bool | None = Field(None, description="True stops scheduling.")


class BindingSchedulePriority(Model):
    priority: Int32 | None = Field(0, description="The higher, the earlier.")


class WorkloadAffinityGroups(Model):
    affinity_group: str | None = Field(None, description="Group that shares clusters.")
    anti_affinity_group: str | None = Field(None, description="Group that shares none.")


class ResourceBindingSpec(Model):
    resource: ObjectReference = Field(description="The template.")
    propagate_deps: bool | None = Field(None, description="Send what the template refers to as well.")
    replica_requirements: ReplicaRequirements | None = Field(None, description="What one replica needs.")
    replicas: Int32 | None = Field(None, description="Replicas the template asks for.")
    components: list[Component] | None = Field(None, description="Parts of a workload with several pod templates.")
    clusters: list[TargetCluster] | None = Field(None, description="Clusters that were chosen.")
    graceful_eviction_tasks: list[GracefulEvictionTask] | None = Field(None, description="Clusters being left.")
    required_by: list[BindingSnapshot] | None = Field(None, description="Bindings that depend on this object.")
    scheduler_name: str | None = Field(None, description="Scheduler that decides.")
    placement: Placement | None = Field(None, description="Rules of the policy.")
    reschedule_triggered_at: Time | None = Field(None, description="When a new decision was asked for.")
    failover: FailoverBehavior | None = Field(None, description="What happens on failures.")
    conflict_resolution: ConflictResolution | None = Field(
        "Abort", description="What happens when the object is in the cluster already."
    )
    suspension: BindingSuspension | None = Field(None, description="What is on hold.")
    preserve_resources_on_deletion: bool | None = Field(None, description="Leave the objects in clusters on deletion.")
    schedule_priority: BindingSchedulePriority | None = Field(None, description="Place in the scheduler's queue.")
    workload_affinity_groups: WorkloadAffinityGroups | None = Field(None, description="Groups it belongs to.")
    rollout_strategy: RolloutStrategy | None = Field(None, description="How a new revision gets to the clusters.")
    rollout: RolloutControl | None = Field(None, description="What is asked of its rollout.")


class AggregatedStatusItemV1alpha1(Model):
    cluster_name: str = Field(description="Name of the cluster.")
    status: RawObject | None = Field(None, description="Status of the object there.")
    applied: bool | None = Field(None, description="Whether it was applied.")
    applied_message: str | None = Field(None, description="Why it was not.")


class AggregatedStatusItem(AggregatedStatusItemV1alpha1):
    health: Health | None = Field(None, description="Health of the object there.")


class ResourceBindingStatus(Model):
    scheduler_observed_generation: Int64 | None = Field(None, description="Generation that was scheduled.")
    last_scheduled_time: Time | None = Field(None, description="When it was scheduled last.")
    scheduler_observing_affinity_name: str | None = Field(None, description="Group of clusters in use.")
    conditions: PlainConditions | None = Field(None, description="State of the binding.")
    aggregated_status: list[AggregatedStatusItem] | None = Field(None, description="Status per cluster.")
    rollout: RolloutStatus | None = Field(None, description="How far the newest revision has got.")


class ResourceBinding(Model):
    """A namespaced template, and the clusters it goes to."""

    spec: ResourceBindingSpec = Field(description="Desired behaviour.")
    status: ResourceBindingStatus | None = Field(None, description="Latest state.")


class ClusterResourceBinding(Model):
    """A cluster-scoped template, and the clusters it goes to."""

    spec: ResourceBindingSpec = Field(description="Desired behaviour.")
    status: ResourceBindingStatus | None = Field(None, description="Latest state.")


class ObjectReferenceV1alpha1(Model):
    api_version: str = Field(description="API version of the template.")
    kind: str = Field(description="Kind of the template.")
    namespace: str | None = Field(None, description="Namespace of the template.")
    name: str = Field(description="Name of the template.")
    resource_version: str | None = Field(None, description="Version of the template that was read.")
    resource_per_replicas: ResourceList | None = Field(None, description="Resources one replica asks for.")
    replicas: Int32 | None = Field(None, description="Replicas the template asks for.")


class ResourceBindingSpecV1alpha1(Model):
    resource: ObjectReferenceV1alpha1 = Field(description="The template.")
    clusters: list[TargetClusterV1alpha1] | None = Field(None, description="Clusters that were chosen.")


class ResourceBindingStatusV1alpha1(Model):
    conditions: PlainConditions | None = Field(None, description="State of the binding.")
    aggregated_status: list[AggregatedStatusItemV1alpha1] | None = Field(None, description="Status per cluster.")


class ResourceBindingV1alpha1(Model):
    """A namespaced template and its clusters, as old clients see it."""

    spec: ResourceBindingSpecV1alpha1 = Field(description="Desired behaviour.")
    status: ResourceBindingStatusV1alpha1 | None = Field(None, description="Latest state.")


class ClusterResourceBindingV1alpha1(Model):
    """A cluster-scoped template and its clusters, as old clients see it."""

    spec: ResourceBindingSpecV1alpha1 = Field(description="Desired behaviour.")
    status: ResourceBindingStatusV1alpha1 | None = Field(None, description="Latest state.")


class WorkloadTemplate(Model):
    manifests: list[RawObject] | None = Field(None, description="Objects to apply.")


class WorkSpec(Model):
    workload: WorkloadTemplate | None = Field(None, description="What to apply.")
    suspend_dispatching: bool | None = Field(None, description="True stops writes to the cluster.")
    preserve_resources_on_deletion: bool | None = Field(
        None, description="Leave the objects in the cluster on deletion."
    )


class ResourceIdentifier(Model):
    ordinal: int = Field(description="Position in the list of manifests.")
    group: str | None = Field(None, description="Group of the object.")
    version: str = Field(description="Version of the object.")
    kind: str = Field(description="Kind of the object.")
    resource: str = Field(description="Resource of the object; may be empty.")
    namespace: str | None = Field(None, description="Namespace of the object.")
    name: str = Field(description="Name of the object.")


class ManifestStatus(Model):
    identifier: ResourceIdentifier = Field(description="Which object.")
    status: RawObject | None = Field(None, description="Its status in the cluster.")
    health: Health | None = Field(None, description="Its health in the cluster.")


class WorkStatus(Model):
    conditions: PlainConditions | None = Field(None, description="State of the work.")
    manifest_statuses: list[ManifestStatus] | None = Field(None, description="State per object.")


class Work(Model):
    """Objects to apply in one cluster, which its namespace names."""

    spec: WorkSpec = Field(description="What to apply.")
    status: WorkStatus | None = Field(None, description="What became of it.")
