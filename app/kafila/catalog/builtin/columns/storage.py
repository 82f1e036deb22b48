"""Rows of volumes, claims and storage drivers."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object

from .common import NONE, UNSET, Row, age, name_of

_MODES = (("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"))
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"


def _modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _MODES if mode in (modes or ()))


def _class(obj: Object) -> str:
    old = ((obj.get("metadata") or {}).get("annotations") or {}).get(_OLD_CLASS)
    return old if old is not None else (obj.get("spec") or {}).get("storageClassName") or ""


def _phase(obj: Object) -> str:
    if (obj.get("metadata") or {}).get("deletionTimestamp"):
        return "Terminating"
    return (obj.get("status") or {}).get("phase") or ""


def _or_unset(value: Any) -> Any:
    return UNSET if value is None else value


def persistent_volume(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    claim = spec.get("claimRef")
    return [
        name_of(obj),
        (spec.get("capacity") or {}).get("storage", "0"),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy") or "",
        _phase(obj),
        "" if claim is None else f"{claim.get('namespace') or ''}/{claim.get('name') or ''}",
        _class(obj),
        _or_unset(spec.get("volumeAttributesClassName")),
        (obj.get("status") or {}).get("reason") or "",
        age(obj, now),
        _or_unset(spec.get("volumeMode")),
    ]


def claim(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    bound = bool(spec.get("volumeName"))
    return [
        name_of(obj),
        _phase(obj),
        spec.get("volumeName") or "",
        (status.get("capacity") or {}).get("storage", "0") if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        _class(obj),
        _or_unset(spec.get("volumeAttributesClassName")),
        age(obj, now),
        _or_unset(spec.get("volumeMode")),
    ]


def storage_class(obj: Object, now: float) -> list[Any]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    keys = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
    default = any(annotations.get(key) == "true" for key in keys)
    return [
        name_of(obj) + (" (default)" if default else ""),
        obj.get("provisioner") or "",
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "Immediate",
        bool(obj.get("allowVolumeExpansion")),
        age(obj, now),
    ]


def volume_attributes_class(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), obj.get("driverName") or "", age(obj, now)]


def volume_attachment(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    return [
        name_of(obj),
        spec.get("attacher") or "",
        (spec.get("source") or {}).get("persistentVolumeName") or "",
        spec.get("nodeName") or "",
        bool((obj.get("status") or {}).get("attached")),
        age(obj, now),
    ]


def csi_node(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), len((obj.get("spec") or {}).get("drivers") or ()), age(obj, now)]


def csi_driver(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    requests = spec.get("tokenRequests")
    return [
        name_of(obj),
        spec.get("attachRequired") is not False,
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        UNSET if requests is None else ",".join(request.get("audience") or "" for request in requests),
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or ()) or NONE,
        age(obj, now),
    ]


ROWS = {
    "PersistentVolume": Row(
        "Name | Capacity | Access Modes | Reclaim Policy | Status | Claim | StorageClass"
        " | VolumeAttributesClass | Reason | Age | VolumeMode^1",
        persistent_volume,
    ),
    "PersistentVolumeClaim": Row(
        "Name | Status | Volume | Capacity | Access Modes | StorageClass | VolumeAttributesClass | Age | VolumeMode^1",
        claim,
    ),
    "StorageClass": Row(
        "Name | Provisioner | ReclaimPolicy | VolumeBindingMode | AllowVolumeExpansion | Age",
        storage_class,
    ),
    "VolumeAttributesClass": Row("Name | DriverName | Age", volume_attributes_class),
    "VolumeAttachment": Row("Name | Attacher/name | PV | Node | Attached:boolean | Age", volume_attachment),
    "CSINode": Row("Name | Drivers:integer | Age", csi_node),
    "CSIDriver": Row(
        "Name | AttachRequired:boolean | PodInfoOnMount:boolean | StorageCapacity:boolean"
        " | TokenRequests | RequiresRepublish:boolean | Modes | Age",
        csi_driver,
    ),
}
