"""policy.karmada.io/v1alpha1: which objects go to which clusters, and how replicas are divided."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .model import (
    CONDITION_TYPE,
    Int32,
    Int64,
    LabelSelector,
    Model,
    NodeSelectorRequirement,
    ResourceList,
    Toleration,
)

ConflictResolution = Literal["Abort", "Overwrite"]
MOST_ORDERED = 1000  # clusters that a rollout's order names
MOST_STAGES = 100
MOST_CONDITIONS = 16
_DURATION = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+$"
_STAGE = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


class ResourceSelector(Model):
    api_version: str = Field(description="API version of the selected objects.")
    kind: str = Field(description="Kind of the selected objects.")
    namespace: str | None = Field(None, description="Namespace of the objects; a policy's own when empty.")
    name: str | None = Field(None, description="Name of one object; all of the kind when empty.")
    label_selector: LabelSelector | None = Field(
        None, description="Labels of the objects; not used when a name is set."
    )


class FieldSelector(Model):
    match_expressions: list[NodeSelectorRequirement] | None = Field(
        None, description="Conditions on provider, region and zone of a cluster, all of which must hold."
    )


class ClusterAffinity(Model):
    label_selector: LabelSelector | None = Field(None, description="Labels of clusters.")
    field_selector: FieldSelector | None = Field(None, description="Fields of clusters.")
    cluster_names: list[str] | None = Field(None, description="Names of the clusters that may be chosen.")
    exclude: list[str] | None = Field(None, description="Names of clusters that are never chosen.")


class OverflowClusterAffinity(ClusterAffinity):
    affinity_name: str = Field(min_length=1, max_length=32, description="Name of the group.")


class ClusterAffinityTerm(ClusterAffinity):
    affinity_name: str = Field(min_length=1, max_length=32, description="Name of the group.")
    overflow_affinities: list[OverflowClusterAffinity] | None = Field(
        None, description="Groups that take, in order, the replicas this group has no room for."
    )


class SpreadConstraint(Model):
    spread_by_field: Literal["cluster", "region", "zone", "provider"] | None = Field(
        None, description="Field of clusters that makes the groups."
    )
    spread_by_label: str | None = Field(None, description="Label of clusters that makes the groups.")
    max_groups: int | None = Field(None, description="Largest number of groups to choose.")
    min_groups: int | None = Field(None, description="Smallest number of groups to choose.")


class StaticClusterWeight(Model):
    target_cluster: ClusterAffinity = Field(description="Clusters the weight is for.")
    weight: Int64 = Field(ge=1, description="Share of each of these clusters.")


class ClusterPreferences(Model):
    static_weight_list: list[StaticClusterWeight] | None = Field(None, description="Fixed weights.")
    dynamic_weight: Literal["AvailableReplicas"] | None = Field(None, description="What weights are computed from.")


class ReplicaSchedulingStrategy(Model):
    replica_scheduling_type: Literal["Duplicated", "Divided"] | None = Field(
        "Divided", description="Whether every cluster gets all replicas or they are divided."
    )
    replica_division_preference: Literal["Aggregated", "Weighted"] | None = Field(
        None, description="Whether replicas are divided over few clusters or by weight."
    )
    weight_preference: ClusterPreferences | None = Field(None, description="Weights when divided by weight.")


class WorkloadAffinityTerm(Model):
    group_by_label_key: str = Field(description="Key of the template's label whose value names the group.")


class WorkloadAffinity(Model):
    affinity: WorkloadAffinityTerm | None = Field(None, description="Workloads of a group share their clusters.")
    anti_affinity: WorkloadAffinityTerm | None = Field(None, description="Workloads of a group share no cluster.")


class Placement(Model):
    cluster_affinity: ClusterAffinity | None = Field(None, description="Clusters that may be chosen.")
    cluster_affinities: list[ClusterAffinityTerm] | None = Field(
        None, description="Groups of clusters that are tried in order; excludes clusterAffinity."
    )
    cluster_tolerations: list[Toleration] | None = Field(None, description="Taints of clusters that are tolerated.")
    spread_constraints: list[SpreadConstraint] | None = Field(None, description="How the clusters are spread.")
    replica_scheduling: ReplicaSchedulingStrategy | None = Field(None, description="How replicas are divided.")
    workload_affinity: WorkloadAffinity | None = Field(None, description="Relation to other workloads.")


class DecisionConditions(Model):
    toleration_seconds: Int32 | None = Field(300, description="Seconds an unhealthy state lasts before it counts.")


class StatePreservationRule(Model):
    alias_label_name: str = Field(description="Label that carries the value to the next cluster.")
    json_path: str = Field(alias="jsonPath", description="JSONPath into the object's status.")


class StatePreservation(Model):
    rules: list[StatePreservationRule] = Field(description="What is kept.")


class ApplicationFailoverBehavior(Model):
    decision_conditions: DecisionConditions = Field(description="When the application counts as failed.")
    purge_mode: Literal["Directly", "Gracefully", "Never", "Immediately", "Graciously"] | None = Field(
        "Gracefully", description="How the old copy is removed. Immediately and Graciously are names of old releases."
    )
    grace_period_seconds: Int32 | None = Field(
        None, description="Longest wait for the new copy before the old one is removed, with Gracefully only."
    )
    state_preservation: StatePreservation | None = Field(None, description="State carried to the next cluster.")


class ClusterFailoverBehavior(Model):
    purge_mode: Literal["Directly", "Gracefully"] | None = Field(
        "Gracefully", description="How the old copy is removed."
    )
    state_preservation: StatePreservation | None = Field(None, description="State carried to the next cluster.")


class FailoverBehavior(Model):
    application: ApplicationFailoverBehavior | None = Field(None, description="When the application fails.")
    cluster: ClusterFailoverBehavior | None = Field(None, description="When the cluster fails.")


class SuspendClusters(Model):
    cluster_names: list[str] | None = Field(None, description="Names of clusters.")


class Suspension(Model):
    dispatching: bool | None = Field(None, description="True stops writes to all clusters.")
    dispatching_on_clusters: SuspendClusters | None = Field(None, description="Stops writes to these clusters.")


class SchedulePriority(Model):
    priority_class_source: Literal["KubePriorityClass"] = Field(description="Where the class is looked up.")
    priority_class_name: str = Field(description="Name of the class.")


# Staged rollout: Karmada's open proposal (issue 7767, pull request 7891). Ours are the stages and the action Rollback.
class RolloutConditionRequirement(Model):
    type: str = Field(
        min_length=1, max_length=316, pattern=CONDITION_TYPE, description="Type of a condition in the object's status."
    )
    status: Literal["True", "False", "Unknown"] | None = Field("True", description="The status that it has to have.")


class RolloutGate(Model):
    require_healthy: bool | None = Field(True, description="Whether the object has to be healthy there.")
    required_conditions: list[RolloutConditionRequirement] | None = Field(
        None, max_length=MOST_CONDITIONS, description="Conditions that the object has to have there, all of them."
    )
    min_success_time: str | None = Field(
        "0s", max_length=32, pattern=_DURATION, description="How long all of it has to hold without a break."
    )


class RolloutStage(Model):
    name: str = Field(min_length=1, max_length=63, pattern=_STAGE, description="Name, unique in the list.")
    target_clusters: ClusterAffinity = Field(description="Clusters of the stage; the first stage that fits counts.")
    require_approval: bool | None = Field(None, description="Wait for an approval before the stage begins.")
    max_concurrency: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        description="Clusters of the stage under way at a time, in place of that of all stages.",
    )


class RolloutFailurePolicy(Model):
    action: Literal["Pause", "Continue", "Rollback"] | None = Field(
        "Pause",
        description="Pause: no further cluster; Continue: go on all the same; Rollback: all clusters get the last revision back.",
    )


class StagedRollout(Model):
    order: list[str] | None = Field(
        None, max_length=MOST_ORDERED, description="Names of clusters that go first, in this order; others by name."
    )
    stages: list[RolloutStage] | None = Field(
        None, max_length=MOST_STAGES, description="Groups of clusters that go together; excludes order."
    )
    max_concurrency: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        description="Clusters of one stage under way at a time, without it all of them; of those in no stage, without it one.",
    )
    gate: RolloutGate | None = Field(None, description="What a cluster has to show before the next one gets its turn.")
    timeout: str | None = Field(
        "30m", max_length=32, pattern=_DURATION, description="How long each cluster has for that."
    )
    on_failure: RolloutFailurePolicy | None = Field(None, description="What follows when a cluster has not shown it.")


class RolloutStrategy(Model):
    type: Literal["AllAtOnce", "Staged"] | None = Field("AllAtOnce", description="How a new revision gets to clusters.")
    staged: StagedRollout | None = Field(None, description="With Staged only.")


class PropagationSpec(Model):
    resource_selectors: list[ResourceSelector] = Field(min_length=1, description="Objects this policy is for.")
    association: bool | None = Field(None, description="Deprecated name of propagateDeps.")
    propagate_deps: bool | None = Field(None, description="Send what the objects refer to as well.")
    placement: Placement | None = Field(None, description="Clusters the objects go to.")
    priority: Int32 | None = Field(0, description="The highest wins when several policies match.")
    preemption: Literal["Always", "Never"] | None = Field("Never", description="Take objects from lower policies.")
    dependent_overrides: list[str] | None = Field(None, description="Override policies that must exist first.")
    scheduler_name: str | None = Field("default-scheduler", description="Scheduler that decides.")
    failover: FailoverBehavior | None = Field(None, description="What happens on failures.")
    conflict_resolution: ConflictResolution | None = Field(
        "Abort", description="What happens when the object is in the cluster already."
    )
    activation_preference: Literal["Lazy"] | None = Field(
        None, description="Lazy: changes of the policy wait for the next change of the object."
    )
    suspension: Suspension | None = Field(None, description="What is on hold.")
    preserve_resources_on_deletion: bool | None = Field(None, description="Leave the objects in clusters on deletion.")
    schedule_priority: SchedulePriority | None = Field(None, description="Place in the scheduler's queue.")
    rollout_strategy: RolloutStrategy | None = Field(None, description="How a new revision gets to the clusters.")


class PropagationPolicy(Model):
    """Says where objects of its namespace go."""

    spec: PropagationSpec = Field(description="Desired behaviour.")


class ClusterPropagationPolicy(Model):
    """Says where objects go, of any namespace or of none."""

    spec: PropagationSpec = Field(description="Desired behaviour.")


class StaticClusterAssignment(Model):
    cluster_name: str = Field(description="Name of the cluster.")
    hard: ResourceList = Field(description="Limits in this cluster.")


class FederatedResourceQuotaSpec(Model):
    overall: ResourceList = Field(description="Limits over all clusters.")
    static_assignments: list[StaticClusterAssignment] | None = Field(None, description="Limits per cluster.")


class ClusterQuotaStatus(Model):
    cluster_name: str = Field(description="Name of the cluster.")
    hard: ResourceList | None = Field(None, description="Limits in the cluster.")
    used: ResourceList | None = Field(None, description="What is used there.")


class FederatedResourceQuotaStatus(Model):
    overall: ResourceList | None = Field(None, description="Limits in force.")
    overall_used: ResourceList | None = Field(None, description="What is used over all clusters.")
    aggregated_status: list[ClusterQuotaStatus] | None = Field(None, description="State per cluster.")


class FederatedResourceQuota(Model):
    """A quota of a namespace over all clusters."""

    spec: FederatedResourceQuotaSpec = Field(description="Limits.")
    status: FederatedResourceQuotaStatus | None = Field(None, description="What is used.")


class MatchCondition(Model):
    condition_type: str = Field(description="Type of the cluster's condition.")
    operator: str = Field(description="In or NotIn.")
    status_values: list[str] = Field(description="Values to compare with.")


class Taint(Model):
    key: str = Field(description="Key of the taint.")
    effect: str = Field(description="NoSchedule or NoExecute.")
    value: str | None = Field(None, description="Value of the taint.")


class ClusterTaintPolicySpec(Model):
    target_clusters: ClusterAffinity | None = Field(None, description="Clusters it is for, all when not set.")
    add_on_conditions: list[MatchCondition] | None = Field(None, description="When all hold, the taints are added.")
    remove_on_conditions: list[MatchCondition] | None = Field(None, description="When all hold, they are removed.")
    taints: list[Taint] = Field(min_length=1, description="The taints.")


class ClusterTaintPolicy(Model):
    """Adds taints to clusters and removes them by the clusters' conditions."""

    spec: ClusterTaintPolicySpec = Field(description="Desired behaviour.")
