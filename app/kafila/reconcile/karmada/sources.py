"""Who tells of what: the names of Karmada's controllers, by which users filter events."""

from __future__ import annotations

from typing import Any, Final

from kafila.placement import names

Object = dict[str, Any]
_BINDING: Final = {  # for namespaced objects; cluster-scoped ones have a controller of their own
    names.EVENT_SYNC_WORK: ("binding-controller", "cluster-resource-binding-controller"),
    names.EVENT_SYNC_WORK_FAILED: ("binding-controller", "cluster-resource-binding-controller"),
    names.EVENT_CLEANUP_WORK_FAILED: ("binding-controller", "cluster-resource-binding-controller"),
    names.EVENT_AGGREGATE_STATUS: ("resource-binding-status-controller", "cluster-resource-binding-status-controller"),
    names.EVENT_AGGREGATE_STATUS_FAILED: (
        "resource-binding-status-controller",
        "cluster-resource-binding-status-controller",
    ),
    names.EVENT_EVICT: (
        "resource-binding-graceful-eviction-controller",
        "cluster-resource-binding-graceful-eviction-controller",
    ),
    names.EVENT_EVICT_FAILED: (
        "resource-binding-graceful-eviction-controller",
        "cluster-resource-binding-graceful-eviction-controller",
    ),
}
_SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "resource-detector": (
        names.EVENT_APPLY_POLICY,
        names.EVENT_APPLY_POLICY_FAILED,
        names.EVENT_PREEMPT_POLICY,
        names.EVENT_PREEMPT_POLICY_FAILED,
        names.EVENT_GET_REPLICAS,
        names.EVENT_GET_REPLICAS_FAILED,
        names.EVENT_GET_COMPONENTS,
        names.EVENT_GET_COMPONENTS_FAILED,
    ),
    "default-scheduler": (names.EVENT_SCHEDULE, names.EVENT_SCHEDULE_FAILED),
    "override-manager": (names.EVENT_APPLY_OVERRIDE, names.EVENT_APPLY_OVERRIDE_FAILED),
    "execution-controller": (names.EVENT_SYNC, names.EVENT_SYNC_FAILED, names.EVENT_WORK_DISPATCHING),
    "work-status-controller": (
        names.EVENT_REFLECT_STATUS,
        names.EVENT_REFLECT_STATUS_FAILED,
        names.EVENT_INTERPRET_HEALTH,
        names.EVENT_INTERPRET_HEALTH_FAILED,
    ),
    "dependencies-distributor": (
        names.EVENT_SYNC_DEPENDENCIES,
        names.EVENT_SYNC_DEPENDENCIES_FAILED,
        names.EVENT_DEPENDENCY_CONFLICT,
        names.EVENT_GET_DEPENDENCIES,
        names.EVENT_GET_DEPENDENCIES_FAILED,
    ),
    "cluster-controller": (
        names.EVENT_CREATE_EXECUTION_SPACE,
        names.EVENT_CREATE_EXECUTION_SPACE_FAILED,
        names.EVENT_REMOVE_EXECUTION_SPACE,
        names.EVENT_REMOVE_EXECUTION_SPACE_FAILED,
        names.EVENT_TAINT_CLUSTER,
        names.EVENT_TAINT_CLUSTER_FAILED,
    ),
    "unified-auth-controller": (names.EVENT_IMPERSONATION, names.EVENT_IMPERSONATION_FAILED),
}
_BY_REASON: Final = {reason: source for source, reasons in _SOURCES.items() for reason in reasons}


def source_of(obj: Object, reason: str) -> str:
    """The component that Karmada names as an event's source, "" for events that are not Karmada's."""
    if reason in _BINDING:
        namespaced, cluster_scoped = _BINDING[reason]
        return namespaced if obj["metadata"].get("namespace") else cluster_scoped
    return _BY_REASON.get(reason, "")
