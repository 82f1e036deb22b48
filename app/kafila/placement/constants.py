"""Karmada's vocabulary: names derived from objects, and the labels, annotations, finalizers, conditions and event reasons.

Clients read these in stored objects, so every one of them must agree with Karmada byte for byte.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Final, NamedTuple

from kafila.core import cluster_report
from kafila.core.hashes import SAFE_ALPHABET, name_hash
from kafila.core.names import dns1123_subdomain

_LONGEST_NAME: Final = 253
_SUFFIX: Final = 12  # characters that tell objects apart, of 27
_UNLAWFUL: Final = re.compile("[^a-z0-9]+")
_SAFE: Final = bytes(ord(SAFE_ALPHABET[byte % len(SAFE_ALPHABET)]) for byte in range(256))

EXECUTION_NAMESPACE_PREFIX: Final = "karmada-es-"
NAMESPACE_KARMADA_SYSTEM: Final = "karmada-system"
NAMESPACE_KARMADA_CLUSTER: Final = "karmada-cluster"
NAMESPACE_DEFAULT: Final = "default"
DEFAULT_SCHEDULER: Final = "default-scheduler"

# Labels.
PP_PERMANENT_ID: Final = "propagationpolicy.karmada.io/permanent-id"
CPP_PERMANENT_ID: Final = "clusterpropagationpolicy.karmada.io/permanent-id"
RB_PERMANENT_ID: Final = "resourcebinding.karmada.io/permanent-id"
CRB_PERMANENT_ID: Final = "clusterresourcebinding.karmada.io/permanent-id"
WORK_PERMANENT_ID: Final = "work.karmada.io/permanent-id"
MCS_PERMANENT_ID: Final = "multiclusterservice.karmada.io/permanent-id"
MANAGED: Final = "karmada.io/managed"
SYSTEM: Final = "karmada.io/system"
TRUE: Final = "true"  # the value of the two labels above and of RETAIN_REPLICAS
RETAIN_REPLICAS: Final = "resourcetemplate.karmada.io/retain-replicas"
CLAIMED_BY: Final = "resourcetemplate.karmada.io/claimed-by"
DELETION_PROTECTED: Final = "resourcetemplate.karmada.io/deletion-protected"
BINDING_MANAGED_BY: Final = "binding.karmada.io/managed-by"
SKIP_AUTO_PROPAGATION: Final = "namespace.karmada.io/skip-auto-propagation"
DEPENDED_BY_PREFIX: Final = "resourcebinding.karmada.io/depended-by-"
ENDPOINTSLICE_NAMESPACE: Final = "endpointslice.karmada.io/namespace"
ENDPOINTSLICE_NAME: Final = "endpointslice.karmada.io/name"
ENDPOINTSLICE_MANAGED_BY: Final = "endpointslice.karmada.io/managed-by"
ENDPOINTSLICE_CONTROLLER: Final = "endpointslice-controller.karmada.io"
ENDPOINTSLICE_DISPATCH_CONTROLLER: Final = "endpointslice-dispatch-controller.karmada.io"
MCS_NAMESPACE: Final = "multiclusterservice.karmada.io/namespace"  # label and annotation
MCS_NAME: Final = "multiclusterservice.karmada.io/name"  # label and annotation
MCS_KIND: Final = "MultiClusterService"  # value of CLAIMED_BY, BINDING_MANAGED_BY and ENDPOINTSLICE_MANAGED_BY
SERVICE_EXPORT_KIND: Final = "ServiceExport"  # value of ENDPOINTSLICE_MANAGED_BY
SERVICE_IMPORT_KIND: Final = "ServiceImport"
SERVICE_OF_SLICE: Final = "kubernetes.io/service-name"  # on an EndpointSlice
SLICE_MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"  # on an EndpointSlice
FRQ_NAMESPACE: Final = "federatedresourcequota.karmada.io/namespace"
FRQ_NAME: Final = "federatedresourcequota.karmada.io/name"

# Annotations.
PP_NAMESPACE: Final = "propagationpolicy.karmada.io/namespace"
PP_NAME: Final = "propagationpolicy.karmada.io/name"
CPP_NAME: Final = "clusterpropagationpolicy.karmada.io/name"
RB_NAMESPACE: Final = "resourcebinding.karmada.io/namespace"
RB_NAME: Final = "resourcebinding.karmada.io/name"
RB_DEPENDENCIES: Final = "resourcebinding.karmada.io/dependencies"
CRB_NAME: Final = "clusterresourcebinding.karmada.io/name"
WORK_NAMESPACE: Final = "work.karmada.io/namespace"
WORK_NAME: Final = "work.karmada.io/name"
CONFLICT_RESOLUTION: Final = "work.karmada.io/conflict-resolution"
CONFLICT_OVERWRITE: Final = "overwrite"
CONFLICT_ABORT: Final = "abort"
TEMPLATE_UID: Final = "resourcetemplate.karmada.io/uid"
TEMPLATE_GENERATION: Final = "resourcetemplate.karmada.io/generation"
MANAGED_LABELS: Final = "resourcetemplate.karmada.io/managed-labels"
MANAGED_ANNOTATIONS: Final = "resourcetemplate.karmada.io/managed-annotations"
APPLIED_PLACEMENT: Final = "policy.karmada.io/applied-placement"
APPLIED_OVERRIDES: Final = "policy.karmada.io/applied-overrides"
APPLIED_CLUSTER_OVERRIDES: Final = "policy.karmada.io/applied-cluster-overrides"
PROVISION_CLUSTER: Final = "endpointslice.karmada.io/provision-cluster"
CACHED_FROM_CLUSTER: Final = "resource.karmada.io/cached-from-cluster"
QUERY_FROM_CLUSTER: Final = "resource.karmada.io/query-from-cluster"

# Finalizers.
FINALIZER_CLUSTER: Final = "karmada.io/cluster-controller"
FINALIZER_EXECUTION: Final = "karmada.io/execution-controller"
FINALIZER_BINDING: Final = "karmada.io/binding-controller"
FINALIZER_CLUSTER_BINDING: Final = "karmada.io/cluster-resource-binding-controller"
FINALIZER_ENDPOINTSLICE: Final = "karmada.io/endpointslice-controller"
FINALIZER_MCS_DISPATCH: Final = "karmada.io/mcs-endpointslice-dispatch-controller"
FINALIZER_MCS: Final = "karmada.io/multiclusterservice-controller"
FINALIZER_PP: Final = "karmada.io/propagation-policy-controller"
FINALIZER_CPP: Final = "karmada.io/cluster-propagation-policy-controller"
FINALIZER_DEPENDENCIES: Final = "karmada.io/binding-dependencies-distributor"

# Taints of clusters.
TAINT_UNSCHEDULABLE: Final = cluster_report.UNSCHEDULABLE
TAINT_NOT_READY: Final = "cluster.karmada.io/not-ready"
TAINT_UNREACHABLE: Final = "cluster.karmada.io/unreachable"

# Condition types, with their reasons and messages.
COND_SCHEDULED: Final = "Scheduled"
REASON_SUCCESS: Final = "Success"
REASON_SCHEDULER_ERROR: Final = "SchedulerError"
REASON_NO_CLUSTER_FIT: Final = "NoClusterFit"
REASON_UNSCHEDULABLE: Final = "Unschedulable"
REASON_QUOTA_EXCEEDED: Final = "QuotaExceeded"
MESSAGE_SCHEDULED: Final = "Binding has been scheduled successfully."
COND_FULLY_APPLIED: Final = "FullyApplied"
REASON_FULLY_APPLIED: Final = "FullyAppliedSuccess"
REASON_NOT_FULLY_APPLIED: Final = "FullyAppliedFailed"
MESSAGE_FULLY_APPLIED: Final = "All works have been successfully applied"
MESSAGE_NOT_FULLY_APPLIED: Final = "Failed to apply all works, see status.aggregatedStatus for details"
COND_APPLIED: Final = "Applied"
REASON_APPLIED: Final = "AppliedSuccessful"
REASON_NOT_APPLIED: Final = "AppliedFailed"
REASON_RECREATED: Final = "ReCreateSuccessful"
REASON_NOT_RECREATED: Final = "ReCreateFailed"
MESSAGE_APPLIED: Final = "Manifest has been successfully applied"
MESSAGE_NO_WORK: Final = "the Work cannot be written: "  # ours: begins the appliedMessage of a cluster without one
COND_DISPATCHING: Final = "Dispatching"
REASON_DISPATCHING: Final = "Dispatching"
REASON_SUSPENDED: Final = "SuspendDispatching"
MESSAGE_DISPATCHING: Final = "Work is being dispatched to member clusters."
MESSAGE_SUSPENDED: Final = "Work dispatching is in a suspended state."
COND_READY: Final = "Ready"
COND_COMPLETE_API: Final = "CompleteAPIEnablements"
COND_SERVICE_APPLIED: Final = "ServiceApplied"
REASON_SERVICE_APPLIED: Final = "ServiceAppliedSucceed"
REASON_SERVICE_NOT_APPLIED: Final = "ServiceAppliedFailed"
MESSAGE_SERVICE_APPLIED: Final = "Service is propagated to target clusters."
COND_ENDPOINTSLICE_DISPATCHED: Final = "EndpointSliceDispatched"
REASON_ENDPOINTSLICE_DISPATCHED: Final = "EndpointSliceDispatchedSucceed"
REASON_ENDPOINTSLICE_NOT_DISPATCHED: Final = "EndpointSliceDispatchedFailed"
MESSAGE_ENDPOINTSLICE_DISPATCHED: Final = "EndpointSlice are dispatched successfully"
COND_CONFLICT: Final = "Conflict"  # of a ServiceExport: the Multi-Cluster Services API's, as its two reasons
REASON_PORT_CONFLICT: Final = "PortConflict"
REASON_NO_CONFLICTS: Final = "NoConflicts"

# What fields of policies and bindings say; a test compares them with the schemas in ``catalog/karmada``.
DUPLICATED: Final = "Duplicated"
DIVIDED: Final = "Divided"
AGGREGATED: Final = "Aggregated"
WEIGHTED: Final = "Weighted"
LAZY: Final = "Lazy"
OVERWRITE: Final = "Overwrite"
ABORT: Final = "Abort"
GRACEFULLY: Final = "Gracefully"
PURGE_NOW: Final = ("Directly", "Immediately")  # in each pair the second is the older name of the first
PURGE_LATER: Final = (GRACEFULLY, "Graciously")
PURGE_NEVER: Final = "Never"

# Health of a resource in a member.
HEALTHY: Final = "Healthy"
UNHEALTHY: Final = "Unhealthy"
UNKNOWN: Final = "Unknown"

# Eviction.
EVICTION_TAINT: Final = "TaintUntolerated"
EVICTION_APPLICATION: Final = "ApplicationFailure"
PRODUCER_TAINT_MANAGER: Final = "TaintManager"
PRODUCER_RB_FAILOVER: Final = "resource-binding-application-failover-controller"
PRODUCER_CRB_FAILOVER: Final = "cluster-resource-binding-application-failover-controller"

# Event reasons.
EVENT_CREATE_EXECUTION_SPACE_FAILED: Final = "CreateExecutionSpaceFailed"
EVENT_CREATE_EXECUTION_SPACE: Final = "CreateExecutionSpaceSucceed"
EVENT_REMOVE_EXECUTION_SPACE_FAILED: Final = "RemoveExecutionSpaceFailed"
EVENT_REMOVE_EXECUTION_SPACE: Final = "RemoveExecutionSpaceSucceed"
EVENT_TAINT_CLUSTER_FAILED: Final = "TaintClusterFailed"
EVENT_TAINT_CLUSTER: Final = "TaintClusterSucceed"
EVENT_IMPERSONATION: Final = "SyncImpersonationConfigSucceed"
EVENT_IMPERSONATION_FAILED: Final = "SyncImpersonationConfigFailed"
EVENT_REFLECT_STATUS: Final = "ReflectStatusSucceed"
EVENT_REFLECT_STATUS_FAILED: Final = "ReflectStatusFailed"
EVENT_INTERPRET_HEALTH: Final = "InterpretHealthSucceed"
EVENT_INTERPRET_HEALTH_FAILED: Final = "InterpretHealthFailed"
EVENT_SYNC_FAILED: Final = "SyncFailed"
EVENT_COPY_LEFT_BEHIND: Final = "CopyLeftBehind"  # ours
EVENT_COPY_UNDONE: Final = "CopyUndone"  # ours
EVENT_SYNC: Final = "SyncSucceed"
EVENT_WORK_DISPATCHING: Final = "WorkDispatching"
EVENT_CLEANUP_WORK_FAILED: Final = "CleanupWorkFailed"
EVENT_SYNC_DEPENDENCIES: Final = "SyncScheduleResultToDependenciesSucceed"
EVENT_SYNC_DEPENDENCIES_FAILED: Final = "SyncScheduleResultToDependenciesFailed"
EVENT_DEPENDENCY_CONFLICT: Final = "DependencyPolicyConflict"
EVENT_SYNC_WORK: Final = "SyncWorkSucceed"
EVENT_SYNC_WORK_FAILED: Final = "SyncWorkFailed"
EVENT_AGGREGATE_STATUS: Final = "AggregateStatusSucceed"
EVENT_AGGREGATE_STATUS_FAILED: Final = "AggregateStatusFailed"
EVENT_SCHEDULE: Final = "ScheduleBindingSucceed"
EVENT_SCHEDULE_FAILED: Final = "ScheduleBindingFailed"
EVENT_DESCHEDULE: Final = "DescheduleBindingSucceed"
EVENT_DESCHEDULE_FAILED: Final = "DescheduleBindingFailed"
EVENT_EVICT: Final = "EvictWorkloadFromClusterSucceed"
EVENT_EVICT_FAILED: Final = "EvictWorkloadFromClusterFailed"
EVENT_OVERALL_STATUS: Final = "CollectOverallStatusSucceed"
EVENT_APPLY_POLICY: Final = "ApplyPolicySucceed"
EVENT_APPLY_POLICY_FAILED: Final = "ApplyPolicyFailed"
EVENT_APPLY_OVERRIDE: Final = "ApplyOverridePolicySucceed"
EVENT_APPLY_OVERRIDE_FAILED: Final = "ApplyOverridePolicyFailed"
EVENT_GET_DEPENDENCIES: Final = "GetDependenciesSucceed"
EVENT_GET_DEPENDENCIES_FAILED: Final = "GetDependenciesFailed"
EVENT_GET_COMPONENTS: Final = "GetComponentsSucceed"
EVENT_GET_COMPONENTS_FAILED: Final = "GetComponentsFailed"
EVENT_GET_REPLICAS: Final = "GetReplicasSucceed"
EVENT_GET_REPLICAS_FAILED: Final = "GetReplicasFailed"
EVENT_PREEMPT_POLICY: Final = "PreemptPolicySucceed"
EVENT_PREEMPT_POLICY_FAILED: Final = "PreemptPolicyFailed"
EVENT_SYNC_DERIVED_SERVICE: Final = "SyncDerivedServiceSucceed"
EVENT_SYNC_DERIVED_SERVICE_FAILED: Final = "SyncDerivedServiceFailed"
EVENT_SYNC_SERVICE: Final = "SyncServiceSucceed"
EVENT_SYNC_SERVICE_FAILED: Final = "SyncServiceFailed"
EVENT_DISPATCH_ENDPOINTSLICE: Final = "DispatchEndpointSliceSucceed"
EVENT_DISPATCH_ENDPOINTSLICE_FAILED: Final = "DispatchEndpointSliceFailed"
EVENT_CLUSTER_NOT_FOUND: Final = "ClusterNotFound"
EVENT_API_INCOMPATIBLE: Final = "APIIncompatible"
EVENT_ENDPOINTSLICE_REFUSED: Final = "EndpointSliceRefused"  # ours
EVENT_PORT_CONFLICT: Final = "PortConflict"  # ours


class Identity(NamedTuple):
    """Which object it is, in whatever version it is read. ``namespace``: "" for an object without one."""

    group: str
    kind: str
    namespace: str
    name: str


def binding_name(kind: str, name: str) -> str:
    """Karmada's, the same for a ResourceBinding and a ClusterResourceBinding. Two objects may have one, or one that is no name."""
    return f"{name.replace(':', '.')}-{kind}".lower()


def work_name(kind: str, name: str, namespace: str = "") -> str:
    """Karmada's: ``work_name("Deployment", "nginx", "default") == "nginx-687f7fb96f"``."""
    name = name.replace(":", ".").lower()
    full = f"{namespace}-{name}-{kind}" if namespace else f"{name}-{kind}"
    return f"{name}-{name_hash(full.lower())}"


def own_binding_name(obj: Identity) -> str:
    """For an object whose binding cannot have Karmada's name, or whose name another one has. No two objects share it."""
    return _with_suffix(binding_name(obj.kind, obj.name), obj)


def own_work_name(obj: Identity) -> str:
    """As ``own_binding_name``."""
    return _with_suffix(work_name(obj.kind, obj.name, obj.namespace), obj)


def binding_names(obj: Identity) -> list[str]:
    """The names that the binding of an object may have."""
    theirs = binding_name(obj.kind, obj.name)
    own = _with_suffix(theirs, obj)
    return [theirs, own] if is_lawful(theirs) else [own]


def is_lawful(name: str) -> bool:
    """Can a binding or a Work have this name?"""
    return not dns1123_subdomain(name, False)


def _with_suffix(name: str, obj: Identity) -> str:
    digest = hashlib.blake2b("\0".join(obj).encode(), digest_size=_SUFFIX).digest()
    suffix = digest.translate(_SAFE).decode()
    if not is_lawful(name[:_LONGEST_NAME]):
        name = _UNLAWFUL.sub("-", name).strip("-")
    name = name[: _LONGEST_NAME - _SUFFIX - 1].rstrip("-.")
    return f"{name}-{suffix}" if name else suffix


def execution_namespace(cluster: str) -> str:
    return EXECUTION_NAMESPACE_PREFIX + cluster


def cluster_of(execution_namespace: str) -> str:
    """Raises ValueError with Karmada's words when it is no execution namespace."""
    if not execution_namespace.startswith(EXECUTION_NAMESPACE_PREFIX):
        raise ValueError("the execution space name is in wrong format")
    return execution_namespace[len(EXECUTION_NAMESPACE_PREFIX) :]


def is_reserved_namespace(namespace: str) -> bool:
    return namespace in (NAMESPACE_KARMADA_SYSTEM, NAMESPACE_KARMADA_CLUSTER) or namespace.startswith(
        EXECUTION_NAMESPACE_PREFIX
    )


def binding_reference_hash(namespace: str, name: str) -> str:
    return name_hash(f"{namespace}/{name}" if namespace else name)


def depended_by_label(namespace: str, name: str) -> str:
    """The label key on an attached binding that names its parent binding."""
    return DEPENDED_BY_PREFIX + binding_reference_hash(namespace, name)


def derived_service(name: str) -> str:
    return f"derived-{name}"


def imported_slice(cluster: str, name: str) -> str:
    """What an EndpointSlice that ``cluster`` exports is called in the control plane."""
    return f"imported-{cluster}-{name}"


def dispatched_slice(cluster: str, name: str) -> str:
    """What an EndpointSlice of ``cluster`` is called in the clusters that consume its MultiClusterService."""
    return f"{cluster}-{name}"


def permanent_id(*parts: str) -> str:
    """A permanent id that the same parts give again, so that a repeated step finds what it made before.

    Karmada draws it at random in a webhook; nobody can tell, and a derived one needs no round trip before it is known.
    """
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))
