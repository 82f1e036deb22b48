"""What Karmada's objects hold (written by hack/typed_dicts.py from the models in catalog/karmada).

A key is required where the schema requires it: whoever writes an object has been refused without. Of metadata it is none.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class OwnerReference(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool
    blockOwnerDeletion: bool


class ObjectMeta(TypedDict, total=False):
    name: str
    generateName: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: int
    creationTimestamp: str
    deletionTimestamp: str
    deletionGracePeriodSeconds: int
    labels: dict[str, str]
    annotations: dict[str, str]
    ownerReferences: list[OwnerReference]
    finalizers: list[str]
    managedFields: list[dict[str, Any]]


class APIEnablement(TypedDict):
    groupVersion: NotRequired[str]
    resources: NotRequired[list[APIResource]]


class APIResource(TypedDict):
    name: NotRequired[str]
    kind: NotRequired[str]


class AggregatedStatusItem(TypedDict):
    clusterName: str
    status: NotRequired[dict[str, Any]]
    applied: NotRequired[bool]
    appliedMessage: NotRequired[str]
    health: NotRequired[Literal["Healthy", "Unhealthy", "Unknown"]]


class AllocatableModeling(TypedDict):
    grade: NotRequired[int]
    count: NotRequired[int]


class ApplicationFailoverBehavior(TypedDict):
    decisionConditions: DecisionConditions
    purgeMode: NotRequired[Literal["Directly", "Gracefully", "Never", "Immediately", "Graciously"]]
    gracePeriodSeconds: NotRequired[int]
    statePreservation: NotRequired[StatePreservation]


class BindingSchedulePriority(TypedDict):
    priority: NotRequired[int]


class BindingSnapshot(TypedDict):
    namespace: NotRequired[str]
    name: str
    clusters: NotRequired[list[TargetCluster]]


class BindingSuspension(TypedDict):
    dispatching: NotRequired[bool]
    dispatchingOnClusters: NotRequired[SuspendClusters]
    scheduling: NotRequired[bool]


class ClusterAffinity(TypedDict):
    labelSelector: NotRequired[dict[str, Any]]
    fieldSelector: NotRequired[FieldSelector]
    clusterNames: NotRequired[list[str]]
    exclude: NotRequired[list[str]]


class ClusterAffinityTerm(TypedDict):
    labelSelector: NotRequired[dict[str, Any]]
    fieldSelector: NotRequired[FieldSelector]
    clusterNames: NotRequired[list[str]]
    exclude: NotRequired[list[str]]
    affinityName: str
    overflowAffinities: NotRequired[list[OverflowClusterAffinity]]


class ClusterFailoverBehavior(TypedDict):
    purgeMode: NotRequired[Literal["Directly", "Gracefully"]]
    statePreservation: NotRequired[StatePreservation]


class ClusterPreferences(TypedDict):
    staticWeightList: NotRequired[list[StaticClusterWeight]]
    dynamicWeight: NotRequired[Literal["AvailableReplicas"]]


class ClusterQuotaStatus(TypedDict):
    clusterName: str
    hard: NotRequired[dict[str, str | int]]
    used: NotRequired[dict[str, str | int]]


class ClusterSpec(TypedDict):
    id: NotRequired[str]
    syncMode: NotRequired[str]
    apiEndpoint: NotRequired[str]
    secretRef: NotRequired[LocalSecretReference]
    impersonatorSecretRef: NotRequired[LocalSecretReference]
    insecureSkipTLSVerification: NotRequired[bool]
    proxyURL: NotRequired[str]
    proxyHeader: NotRequired[dict[str, str]]
    provider: NotRequired[str]
    region: NotRequired[str]
    zone: NotRequired[str]
    zones: NotRequired[list[str]]
    taints: NotRequired[list[dict[str, Any]]]
    resourceModels: NotRequired[list[ResourceModel]]


class ClusterStatus(TypedDict):
    kubernetesVersion: NotRequired[str]
    apiEnablements: NotRequired[list[APIEnablement]]
    conditions: NotRequired[list[dict[str, Any]]]
    nodeSummary: NotRequired[NodeSummary]
    resourceSummary: NotRequired[ResourceSummary]
    remedyActions: NotRequired[list[str]]


class CommandArgsOverrider(TypedDict):
    containerName: str
    operator: Literal["add", "remove"]
    value: NotRequired[list[str]]


class Component(TypedDict):
    name: str
    replicas: int
    replicaRequirements: NotRequired[ComponentReplicaRequirements]


class ComponentReplicaRequirements(TypedDict):
    nodeClaim: NotRequired[NodeClaim]
    resourceRequest: NotRequired[dict[str, str | int]]
    priorityClassName: NotRequired[str]


class Condition(TypedDict):
    lastTransitionTime: str
    message: str
    observedGeneration: NotRequired[int]
    reason: str
    status: Literal["True", "False", "Unknown"]
    type: str


class DecisionConditions(TypedDict):
    tolerationSeconds: NotRequired[int]


class FailoverBehavior(TypedDict):
    application: NotRequired[ApplicationFailoverBehavior]
    cluster: NotRequired[ClusterFailoverBehavior]


class FederatedResourceQuotaSpec(TypedDict):
    overall: dict[str, str | int]
    staticAssignments: NotRequired[list[StaticClusterAssignment]]


class FederatedResourceQuotaStatus(TypedDict):
    overall: NotRequired[dict[str, str | int]]
    overallUsed: NotRequired[dict[str, str | int]]
    aggregatedStatus: NotRequired[list[ClusterQuotaStatus]]


class FieldOverrider(TypedDict):
    fieldPath: str
    json: NotRequired[list[PatchOperation]]
    yaml: NotRequired[list[PatchOperation]]


class FieldSelector(TypedDict):
    matchExpressions: NotRequired[list[dict[str, Any]]]


class GracefulEvictionTask(TypedDict):
    fromCluster: str
    purgeMode: NotRequired[str]
    replicas: NotRequired[int]
    reason: str
    message: NotRequired[str]
    producer: str
    gracePeriodSeconds: NotRequired[int]
    suppressDeletion: NotRequired[bool]
    creationTimestamp: NotRequired[str]
    preservedLabelState: NotRequired[dict[str, str]]
    clustersBeforeFailover: NotRequired[list[str]]


class ImageOverrider(TypedDict):
    predicate: NotRequired[ImagePredicate]
    component: Literal["Registry", "Repository", "Tag"]
    operator: Literal["add", "remove", "replace"]
    value: NotRequired[str]


class ImagePredicate(TypedDict):
    path: str


class LabelAnnotationOverrider(TypedDict):
    operator: Literal["add", "remove", "replace"]
    value: dict[str, str]


class LocalSecretReference(TypedDict):
    namespace: NotRequired[str]
    name: NotRequired[str]


class ManifestStatus(TypedDict):
    identifier: ResourceIdentifier
    status: NotRequired[dict[str, Any]]
    health: NotRequired[Literal["Healthy", "Unhealthy", "Unknown"]]


class NodeClaim(TypedDict):
    hardNodeAffinity: NotRequired[dict[str, Any]]
    nodeSelector: NotRequired[dict[str, str]]
    tolerations: NotRequired[list[dict[str, Any]]]


class NodeSummary(TypedDict):
    totalNum: NotRequired[int]
    readyNum: NotRequired[int]


class ObjectReference(TypedDict):
    apiVersion: str
    kind: str
    namespace: NotRequired[str]
    name: str
    uid: NotRequired[str]
    resourceVersion: NotRequired[str]


class OverflowClusterAffinity(TypedDict):
    labelSelector: NotRequired[dict[str, Any]]
    fieldSelector: NotRequired[FieldSelector]
    clusterNames: NotRequired[list[str]]
    exclude: NotRequired[list[str]]
    affinityName: str


class OverrideSpec(TypedDict):
    resourceSelectors: NotRequired[list[ResourceSelector]]
    overrideRules: NotRequired[list[RuleWithCluster]]
    targetCluster: NotRequired[ClusterAffinity]
    overriders: NotRequired[Overriders]


class Overriders(TypedDict):
    plaintext: NotRequired[list[PlaintextOverrider]]
    imageOverrider: NotRequired[list[ImageOverrider]]
    commandOverrider: NotRequired[list[CommandArgsOverrider]]
    argsOverrider: NotRequired[list[CommandArgsOverrider]]
    labelsOverrider: NotRequired[list[LabelAnnotationOverrider]]
    annotationsOverrider: NotRequired[list[LabelAnnotationOverrider]]
    fieldOverrider: NotRequired[list[FieldOverrider]]


class PatchOperation(TypedDict):
    subPath: str
    operator: Literal["add", "remove", "replace"]
    value: NotRequired[Any]


class Placement(TypedDict):
    clusterAffinity: NotRequired[ClusterAffinity]
    clusterAffinities: NotRequired[list[ClusterAffinityTerm]]
    clusterTolerations: NotRequired[list[dict[str, Any]]]
    spreadConstraints: NotRequired[list[SpreadConstraint]]
    replicaScheduling: NotRequired[ReplicaSchedulingStrategy]
    workloadAffinity: NotRequired[WorkloadAffinity]


class PlaintextOverrider(TypedDict):
    path: str
    operator: Literal["add", "remove", "replace"]
    value: NotRequired[Any]


class PropagationSpec(TypedDict):
    resourceSelectors: list[ResourceSelector]
    association: NotRequired[bool]
    propagateDeps: NotRequired[bool]
    placement: NotRequired[Placement]
    priority: NotRequired[int]
    preemption: NotRequired[Literal["Always", "Never"]]
    dependentOverrides: NotRequired[list[str]]
    schedulerName: NotRequired[str]
    failover: NotRequired[FailoverBehavior]
    conflictResolution: NotRequired[Literal["Abort", "Overwrite"]]
    activationPreference: NotRequired[Literal["Lazy"]]
    suspension: NotRequired[Suspension]
    preserveResourcesOnDeletion: NotRequired[bool]
    schedulePriority: NotRequired[SchedulePriority]
    rolloutStrategy: NotRequired[RolloutStrategy]


class ReplicaRequirements(TypedDict):
    nodeClaim: NotRequired[NodeClaim]
    resourceRequest: NotRequired[dict[str, str | int]]
    priorityClassName: NotRequired[str]
    namespace: NotRequired[str]


class ReplicaSchedulingStrategy(TypedDict):
    replicaSchedulingType: NotRequired[Literal["Duplicated", "Divided"]]
    replicaDivisionPreference: NotRequired[Literal["Aggregated", "Weighted"]]
    weightPreference: NotRequired[ClusterPreferences]


class ResourceBindingSpec(TypedDict):
    resource: ObjectReference
    propagateDeps: NotRequired[bool]
    replicaRequirements: NotRequired[ReplicaRequirements]
    replicas: NotRequired[int]
    components: NotRequired[list[Component]]
    clusters: NotRequired[list[TargetCluster]]
    gracefulEvictionTasks: NotRequired[list[GracefulEvictionTask]]
    requiredBy: NotRequired[list[BindingSnapshot]]
    schedulerName: NotRequired[str]
    placement: NotRequired[Placement]
    rescheduleTriggeredAt: NotRequired[str]
    failover: NotRequired[FailoverBehavior]
    conflictResolution: NotRequired[Literal["Abort", "Overwrite"]]
    suspension: NotRequired[BindingSuspension]
    preserveResourcesOnDeletion: NotRequired[bool]
    schedulePriority: NotRequired[BindingSchedulePriority]
    workloadAffinityGroups: NotRequired[WorkloadAffinityGroups]
    rolloutStrategy: NotRequired[RolloutStrategy]
    rollout: NotRequired[RolloutControl]


class ResourceBindingStatus(TypedDict):
    schedulerObservedGeneration: NotRequired[int]
    lastScheduledTime: NotRequired[str]
    schedulerObservingAffinityName: NotRequired[str]
    conditions: NotRequired[list[Condition]]
    aggregatedStatus: NotRequired[list[AggregatedStatusItem]]
    rollout: NotRequired[RolloutStatus]


class ResourceIdentifier(TypedDict):
    ordinal: int
    group: NotRequired[str]
    version: str
    kind: str
    resource: str
    namespace: NotRequired[str]
    name: str


class ResourceModel(TypedDict):
    grade: NotRequired[int]
    ranges: NotRequired[list[ResourceModelRange]]


class ResourceModelRange(TypedDict):
    name: NotRequired[str]
    min: NotRequired[str | int]
    max: NotRequired[str | int]


class ResourceSelector(TypedDict):
    apiVersion: str
    kind: str
    namespace: NotRequired[str]
    name: NotRequired[str]
    labelSelector: NotRequired[dict[str, Any]]


class ResourceSummary(TypedDict):
    allocatable: NotRequired[dict[str, str | int]]
    allocating: NotRequired[dict[str, str | int]]
    allocated: NotRequired[dict[str, str | int]]
    allocatableModelings: NotRequired[list[AllocatableModeling]]


class RolloutClusterStatus(TypedDict):
    name: str
    stage: NotRequired[str]
    requireApproval: NotRequired[bool]
    phase: Literal["Pending", "Progressing", "Succeeded", "Failed", "Skipped", "RolledBack"]
    revision: NotRequired[str]
    startedAt: NotRequired[str]
    gateSatisfiedSince: NotRequired[str]
    completedAt: NotRequired[str]
    message: NotRequired[str]


class RolloutConditionRequirement(TypedDict):
    type: str
    status: NotRequired[Literal["True", "False", "Unknown"]]


class RolloutControl(TypedDict):
    paused: NotRequired[bool]
    revision: NotRequired[str]
    approvedStages: NotRequired[list[str]]
    undo: NotRequired[bool]
    resumeTriggeredAt: NotRequired[str]


class RolloutFailurePolicy(TypedDict):
    action: NotRequired[Literal["Pause", "Continue", "Rollback"]]


class RolloutGate(TypedDict):
    requireHealthy: NotRequired[bool]
    requiredConditions: NotRequired[list[RolloutConditionRequirement]]
    minSuccessTime: NotRequired[str]


class RolloutStage(TypedDict):
    name: str
    targetClusters: ClusterAffinity
    requireApproval: NotRequired[bool]
    maxConcurrency: NotRequired[int]


class RolloutStatus(TypedDict):
    observedGeneration: NotRequired[int]
    revision: str
    stableRevision: NotRequired[str]
    phase: Literal["Progressing", "Paused", "WaitingForApproval", "Failed", "Succeeded", "RolledBack"]
    startedAt: NotRequired[str]
    completedAt: NotRequired[str]
    heldSince: NotRequired[str]
    resumeTriggeredAt: NotRequired[str]
    message: NotRequired[str]
    clusters: NotRequired[list[RolloutClusterStatus]]


class RolloutStrategy(TypedDict):
    type: NotRequired[Literal["AllAtOnce", "Staged"]]
    staged: NotRequired[StagedRollout]


class RuleWithCluster(TypedDict):
    targetCluster: NotRequired[ClusterAffinity]
    overriders: Overriders


class SchedulePriority(TypedDict):
    priorityClassSource: Literal["KubePriorityClass"]
    priorityClassName: str


class SpreadConstraint(TypedDict):
    spreadByField: NotRequired[Literal["cluster", "region", "zone", "provider"]]
    spreadByLabel: NotRequired[str]
    maxGroups: NotRequired[int]
    minGroups: NotRequired[int]


class StagedRollout(TypedDict):
    order: NotRequired[list[str]]
    stages: NotRequired[list[RolloutStage]]
    maxConcurrency: NotRequired[int]
    gate: NotRequired[RolloutGate]
    timeout: NotRequired[str]
    onFailure: NotRequired[RolloutFailurePolicy]


class StatePreservation(TypedDict):
    rules: list[StatePreservationRule]


class StatePreservationRule(TypedDict):
    aliasLabelName: str
    jsonPath: str


class StaticClusterAssignment(TypedDict):
    clusterName: str
    hard: dict[str, str | int]


class StaticClusterWeight(TypedDict):
    targetCluster: ClusterAffinity
    weight: int


class SuspendClusters(TypedDict):
    clusterNames: NotRequired[list[str]]


class Suspension(TypedDict):
    dispatching: NotRequired[bool]
    dispatchingOnClusters: NotRequired[SuspendClusters]


class TargetCluster(TypedDict):
    name: str
    replicas: NotRequired[int]
    components: NotRequired[list[TargetComponent]]


class TargetComponent(TypedDict):
    name: str
    replicas: int


class WorkSpec(TypedDict):
    workload: NotRequired[WorkloadTemplate]
    suspendDispatching: NotRequired[bool]
    preserveResourcesOnDeletion: NotRequired[bool]


class WorkStatus(TypedDict):
    conditions: NotRequired[list[Condition]]
    manifestStatuses: NotRequired[list[ManifestStatus]]


class WorkloadAffinity(TypedDict):
    affinity: NotRequired[WorkloadAffinityTerm]
    antiAffinity: NotRequired[WorkloadAffinityTerm]


class WorkloadAffinityGroups(TypedDict):
    affinityGroup: NotRequired[str]
    antiAffinityGroup: NotRequired[str]


class WorkloadAffinityTerm(TypedDict):
    groupByLabelKey: str


class WorkloadTemplate(TypedDict):
    manifests: NotRequired[list[dict[str, Any]]]


class Binding(TypedDict):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ResourceBindingSpec
    status: NotRequired[ResourceBindingStatus]


class Work(TypedDict):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: WorkSpec
    status: NotRequired[WorkStatus]


class Cluster(TypedDict):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: NotRequired[ClusterSpec]
    status: NotRequired[ClusterStatus]


class PropagationPolicy(TypedDict):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: PropagationSpec


class OverridePolicy(TypedDict):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: OverrideSpec


class FederatedResourceQuota(TypedDict):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: FederatedResourceQuotaSpec
    status: NotRequired[FederatedResourceQuotaStatus]
