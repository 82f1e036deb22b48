"""Removal of what belongs to one cluster only, or to the control plane: an object without it can be created or compared in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kafila.core.values import Object, nested, remove_nested
from kafila.placement.objects import name
from kafila.placement.withdrawal import APPROVED, HELD

_METADATA: Final = (
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
    "ownerReferences",
    "finalizers",
)


def prune(obj: Object) -> Object:
    """Changes ``obj`` in place, and returns it."""
    meta = obj.get("metadata")
    if isinstance(meta, dict):
        for field in _METADATA:
            meta.pop(field, None)
        _forget(
            meta.get("annotations"), HELD, APPROVED
        )  # of a deletion that waits: no member is to be written for that
    obj.pop("status", None)
    by_kind = _BY_KIND.get(obj.get("kind") or "")
    if by_kind is not None:
        by_kind(obj)
    return obj


def _deployment(obj: Object) -> None:
    remove_nested(obj, "metadata", "annotations", "deployment.kubernetes.io/revision")
    remove_nested(obj, "metadata", "annotations", "deployment.kubernetes.io/revision-history")


def _job(obj: Object) -> None:
    # A TTL would delete the Job in the member, and it would be created and run again.
    remove_nested(obj, "spec", "ttlSecondsAfterFinished")
    if nested(obj, "spec", "manualSelector"):
        return
    _forget(nested(obj, "spec", "selector", "matchLabels"), "controller-uid", "batch.kubernetes.io/controller-uid")
    _forget(
        nested(obj, "spec", "template", "metadata", "labels"),
        "controller-uid",
        "job-name",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
    )


def _forget(found: Any, *keys: str) -> None:
    if isinstance(found, dict):
        for key in keys:
            found.pop(key, None)


def _secret(obj: Object) -> None:
    if obj.get("type") == "kubernetes.io/service-account-token":
        remove_nested(obj, "metadata", "annotations", "kubernetes.io/service-account.uid")
        obj["data"] = None


def _service_account(obj: Object) -> None:
    if obj.get("secrets"):
        prefix = f"{name(obj)}-token-"
        obj["secrets"] = [s for s in obj["secrets"] if not (s.get("name") or "").startswith(prefix)]


def _service(obj: Object) -> None:
    address = nested(obj, "spec", "clusterIP")
    if isinstance(address, str) and address != "None":
        remove_nested(obj, "spec", "clusterIP")
        remove_nested(obj, "spec", "clusterIPs")


def _persistent_volume_claim(obj: Object) -> None:
    remove_nested(obj, "metadata", "annotations", "volume.kubernetes.io/selected-node")


_BY_KIND: Final[dict[str, Callable[[Object], None]]] = {
    "Deployment": _deployment,
    "Job": _job,
    "Secret": _secret,
    "ServiceAccount": _service_account,
    "Service": _service,
    "PersistentVolumeClaim": _persistent_volume_claim,
}
