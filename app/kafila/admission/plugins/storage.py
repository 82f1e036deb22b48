"""Plugins about volumes and devices: DefaultStorageClass, PersistentVolumeClaimResize, StorageObjectInUseProtection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kafila.core import errors, quantity
from kafila.core.values import Object

from .attributes import Attributes, Lookups

_STORAGE_DEFAULTS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_CLASSES: Final = "storageclasses.storage.k8s.io"
_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
_ADMIN_ACCESS: Final = "resource.kubernetes.io/admin-access"
_PROTECTIONS: Final = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
}


def annotated(objects: Iterable[Object], annotations: tuple[str, ...]) -> str | None:
    """The newest object that an annotation makes the default; by name among those of one second."""
    found = [
        obj
        for obj in objects
        if any((obj["metadata"].get("annotations") or {}).get(name) == "true" for name in annotations)
    ]
    found.sort(key=lambda obj: obj["metadata"]["name"])
    found.sort(key=lambda obj: obj["metadata"].get("creationTimestamp") or "", reverse=True)
    return found[0]["metadata"]["name"] if found else None


def default_class(asked: Attributes, look: Lookups) -> None:
    spec = asked.new.setdefault("spec", {})
    annotations = asked.new["metadata"].get("annotations") or {}
    if asked.old is None and spec.get("storageClassName") is None and _CLASS not in annotations:
        name = annotated(look.objects(_CLASSES), _STORAGE_DEFAULTS)
        if name is not None:
            spec["storageClassName"] = name


def check_expansion(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    """PersistentVolumeClaimResize: only what a class makes bigger can grow."""
    old = asked.old
    if old is None or _size(asked.new) <= _size(old):
        return ()
    if (old.get("status") or {}).get("phase") != "Bound":
        raise asked.refused("Only bound persistent volume claims can be expanded")
    annotations = old["metadata"].get("annotations") or {}
    name = annotations.get(_CLASS) or (old.get("spec") or {}).get("storageClassName") or ""
    found = look.one(_CLASSES, "", name) if name else None
    if not (found or {}).get("allowVolumeExpansion"):
        text = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
        raise asked.refused(text)
    return ()


def _size(claim: Object) -> quantity.Quantity:
    return quantity.of((((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage") or "0")


def protect(asked: Attributes, look: Lookups) -> None:
    """StorageObjectInUseProtection: a finalizer that a controller takes away once nobody uses the volume."""
    finalizer = _PROTECTIONS[asked.kind.resource]
    metadata = asked.new["metadata"]
    if asked.old is None and finalizer not in (metadata.get("finalizers") or ()):
        metadata["finalizers"] = [*(metadata.get("finalizers") or ()), finalizer]


def check_admin_access(asked: Attributes, look: Lookups) -> tuple[str, ...]:
    """Devices that others use are given only in namespaces that are marked for it."""
    spec = asked.new.get("spec") or {}
    requests = ((spec.get("spec") or spec).get("devices") or {}).get("requests") or ()
    wanted = [i for i, r in enumerate(requests) if (r.get("exactly") or {}).get("adminAccess")]
    if asked.old is not None or not wanted:
        return ()
    namespace = look.one("namespaces", "", asked.namespace)
    if ((namespace or {}).get("metadata") or {}).get("labels", {}).get(_ADMIN_ACCESS) != "true":
        text = f"admin access to devices requires the `{_ADMIN_ACCESS}: true` label on the containing namespace"
        found = [errors.FieldError.forbidden(f"spec.devices.requests[{i}].adminAccess", text) for i in wanted]
        raise errors.invalid(asked.kind.group, asked.kind.kind, asked.new["metadata"].get("name", ""), found)
    return ()
