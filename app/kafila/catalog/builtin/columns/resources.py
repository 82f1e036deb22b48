"""Rows of classes, devices, workloads and the API server's own kinds."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object

from .common import NONE, UNSET, Row, age, at_most, name_of, since


def only_age(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), age(obj, now)]


def priority_class(obj: Object, now: float) -> list[Any]:
    value, default = obj.get("value") or 0, bool(obj.get("globalDefault"))
    return [name_of(obj), value, default, age(obj, now), obj.get("preemptionPolicy") or ""]


def runtime_class(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), obj.get("handler") or "", age(obj, now)]


def resource_claim(obj: Object, now: float) -> list[Any]:
    status = obj.get("status") or {}
    deleted = bool((obj.get("metadata") or {}).get("deletionTimestamp"))
    states = ["deleted"] if deleted else []
    if status.get("allocation") is not None:
        states.append("allocated")
        if status.get("reservedFor"):
            states.append("reserved")
    elif not deleted:
        states.append("pending")
    return [name_of(obj), ",".join(states), age(obj, now)]


def resource_slice(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    pool = (spec.get("pool") or {}).get("name") or ""
    return [name_of(obj), spec.get("nodeName") or "", spec.get("driver") or "", pool, age(obj, now)]


def device_taint(obj: Object, now: float) -> list[Any]:
    taint = (obj.get("spec") or {}).get("taint") or {}
    added = taint.get("timeAdded")
    return [
        name_of(obj),
        *(taint.get(field) or "" for field in ("key", "value", "effect")),
        since(added, now) if added else "",
        age(obj, now),
    ]


_POOL_SUMS = ("totalDevices", "availableDevices", "allocatedDevices", "unavailableDevices")


def pool_status_request(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status")
    state, completed, count = "Pending", NONE, 0
    sums = ["-"] * 5
    if status is not None:
        pools = status.get("pools") or []
        for condition in status.get("conditions") or ():
            if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
                state = condition["type"]
                if state == "Complete":
                    completed = since(condition.get("lastTransitionTime"), now)
                break
        count = status.get("poolCount") or 0
        if state != "Failed":
            sums = [str(sum(pool.get(field) or 0 for pool in pools)) for field in _POOL_SUMS]
            sums.append(str(sum(pool.get("validationError") is not None for pool in pools)))
        if state == "Complete" and count > len(pools):
            state = f"Complete ({len(pools)}/{count} pools)"
    return [name_of(obj), spec.get("driver") or "", *sums, count, state, completed]


def storage_version(obj: Object, now: float) -> list[Any]:
    status = obj.get("status") or {}
    common = status.get("commonEncodingVersion")
    versions = [
        f"{version.get('apiServerID') or ''}={version.get('encodingVersion') or ''}"
        for version in status.get("storageVersions") or ()
    ]
    return [name_of(obj), UNSET if common is None else common, at_most(versions) or UNSET, age(obj, now)]


def storage_version_migration(obj: Object, now: float) -> list[Any]:
    resource = (obj.get("spec") or {}).get("resource") or {}
    group = resource.get("group")
    state = "Unknown"
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("status") == "True" and condition.get("type") in ("Running", "Failed", "Succeeded"):
            state = condition["type"]
    shown = (resource.get("resource") or "") + (f".{group}" if group else "")
    return [name_of(obj), shown, state]


def pod_group(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    conditions = {c.get("type"): c for c in (obj.get("status") or {}).get("conditions") or ()}
    state = "Pending"
    if "PodGroupScheduled" in conditions:
        state = "Scheduled" if conditions["PodGroupScheduled"].get("status") == "True" else "Unschedulable"
    if "DisruptionTarget" in conditions:
        state = conditions["DisruptionTarget"].get("reason") or ""
    reference = spec.get("podGroupTemplateRef")
    workload = NONE if reference is None else (reference.get("workload") or {}).get("workloadName") or ""
    gang = (spec.get("schedulingPolicy") or {}).get("gang") is not None
    return [name_of(obj), "Gang" if gang else "Basic", workload, state, age(obj, now)]


ROWS = {
    "PriorityClass": Row(
        "Name | Value:integer | Global-Default:boolean | Age | PreemptionPolicy",
        priority_class,
    ),
    "RuntimeClass": Row("Name | Handler | Age", runtime_class),
    "DeviceClass": Row("Name | Age", only_age),
    "ResourceClaim": Row("Name | State | Age", resource_claim),
    "ResourceClaimTemplate": Row("Name | Age", only_age),
    "ResourceSlice": Row("Name | Node | Driver | Pool | Age", resource_slice),
    "DeviceTaint": Row("Name | Key | Value | Effect | TimeAdded | Age", device_taint),
    "ResourcePoolStatusRequest": Row(
        "Name | Driver | Total | Available | Allocated | Unavailable | Errors | Pools:integer | Status | Completed",
        pool_status_request,
    ),
    "StorageVersion": Row("Name | CommonEncodingVersion | StorageVersions | Age", storage_version),
    "StorageVersionMigration": Row("Name | Resource | Status", storage_version_migration),
    "Workload": Row("Name | Age", only_age),
    "PodGroup": Row("Name | Policy | Workload | Status | Age", pod_group),
}
