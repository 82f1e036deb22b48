"""The sources of events: the names of Karmada's controllers, by which users filter events."""

from __future__ import annotations

from typing import Final

from kafila.core.values import AnyObject
from kafila.placement import constants

_BINDING: Final = {  # for namespaced objects; cluster-scoped ones have a controller of their own
    constants.EVENT_SYNC_WORK: ("binding-controller", "cluster-resource-binding-controller"),
    constants.EVENT_SYNC_WORK_FAILED: ("binding-controller", "cluster-resource-binding-controller"),
    constants.EVENT_CLEANUP_WORK_FAILED: ("binding-controller", "cluster-resource-binding-controller"),
    constants.EVENT_AGGREGATE_STATUS: (
        "resource-binding-status-controller",
        "cluster-resource-binding-status-controller",
    ),
    constants.EVENT_AGGREGATE_STATUS_FAILED: (
        "resource-binding-status-controller",
        "cluster-resource-binding-status-controller",
    ),
    constants.EVENT_EVICT: (
        "resource-binding-graceful-eviction-controller",
        "cluster-resource-binding-graceful-eviction-controller",
    ),
    constants.EVENT_EVICT_FAILED: (
        "resource-binding-graceful-eviction-controller",
        "cluster-resource-binding-graceful-eviction-controller",
    ),
}
_SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "resource-detector": (
        constants.EVENT_APPLY_POLICY,
        constants.EVENT_APPLY_POLICY_FAILED,
        constants.EVENT_PREEMPT_POLICY,
        constants.EVENT_PREEMPT_POLICY_FAILED,
        constants.EVENT_GET_REPLICAS,
        constants.EVENT_GET_REPLICAS_FAILED,
        constants.EVENT_GET_COMPONENTS,
        constants.EVENT_GET_COMPONENTS_FAILED,
    ),
    "default-scheduler": (constants.EVENT_SCHEDULE, constants.EVENT_SCHEDULE_FAILED),
    "karmada-descheduler": (constants.EVENT_DESCHEDULE, constants.EVENT_DESCHEDULE_FAILED),
    "override-manager": (constants.EVENT_APPLY_OVERRIDE, constants.EVENT_APPLY_OVERRIDE_FAILED),
    "execution-controller": (
        constants.EVENT_SYNC,
        constants.EVENT_SYNC_FAILED,
        constants.EVENT_WORK_DISPATCHING,
        constants.EVENT_COPY_UNDONE,
    ),
    "work-status-controller": (
        constants.EVENT_REFLECT_STATUS,
        constants.EVENT_REFLECT_STATUS_FAILED,
        constants.EVENT_INTERPRET_HEALTH,
        constants.EVENT_INTERPRET_HEALTH_FAILED,
    ),
    "dependencies-distributor": (
        constants.EVENT_SYNC_DEPENDENCIES,
        constants.EVENT_SYNC_DEPENDENCIES_FAILED,
        constants.EVENT_DEPENDENCY_CONFLICT,
        constants.EVENT_GET_DEPENDENCIES,
        constants.EVENT_GET_DEPENDENCIES_FAILED,
    ),
    "cluster-controller": (
        constants.EVENT_CREATE_EXECUTION_SPACE,
        constants.EVENT_CREATE_EXECUTION_SPACE_FAILED,
        constants.EVENT_REMOVE_EXECUTION_SPACE,
        constants.EVENT_REMOVE_EXECUTION_SPACE_FAILED,
        constants.EVENT_TAINT_CLUSTER,
        constants.EVENT_TAINT_CLUSTER_FAILED,
    ),
    "service-export-controller": (constants.EVENT_ENDPOINTSLICE_REFUSED, constants.EVENT_PORT_CONFLICT),
    "multiclusterservice-controller": (
        constants.EVENT_SYNC_SERVICE,
        constants.EVENT_SYNC_SERVICE_FAILED,
        constants.EVENT_CLUSTER_NOT_FOUND,
        constants.EVENT_API_INCOMPATIBLE,
    ),
    "endpointslice-dispatch-controller": (
        constants.EVENT_DISPATCH_ENDPOINTSLICE,
        constants.EVENT_DISPATCH_ENDPOINTSLICE_FAILED,
    ),
    "service-import-controller": (
        constants.EVENT_SYNC_DERIVED_SERVICE,
        constants.EVENT_SYNC_DERIVED_SERVICE_FAILED,
    ),
    "unified-auth-controller": (constants.EVENT_IMPERSONATION, constants.EVENT_IMPERSONATION_FAILED),
}
_BY_REASON: Final = {reason: source for source, reasons in _SOURCES.items() for reason in reasons}


def source_of(obj: AnyObject, reason: str) -> str:
    """The component that Karmada names as an event's source, "" for events that are not Karmada's."""
    if reason in _BINDING:
        namespaced, cluster_scoped = _BINDING[reason]
        return namespaced if obj["metadata"].get("namespace") else cluster_scoped
    return _BY_REASON.get(reason, "")
