"""How namespaces and definitions end: what lives in them goes first."""

from __future__ import annotations

from typing import Final

from kafila.core.conditions import with_condition
from kafila.core.values import Object

UNDELETABLE_NAMESPACES: Final = frozenset({"default", "kube-system", "kube-public"})
CUSTOM_RESOURCE_CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"


def holds_content(namespace: Object) -> bool:
    return bool((namespace.get("spec") or {}).get("finalizers"))


def end_namespace(namespace: Object) -> None:
    """It has no grace period: it ends by its finalizers alone."""
    namespace["metadata"].pop("deletionGracePeriodSeconds", None)
    namespace["status"] = dict(namespace.get("status") or {}, phase="Terminating")


def end_definition(old: Object, now: str) -> Object:
    """A definition always ends by a finalizer: its instances go first."""
    metadata, status = dict(old["metadata"]), dict(old.get("status") or {})
    metadata["deletionTimestamp"] = now
    finalizers = metadata.get("finalizers") or []
    metadata["finalizers"] = (
        finalizers if CUSTOM_RESOURCE_CLEANUP in finalizers else [*finalizers, CUSTOM_RESOURCE_CLEANUP]
    )
    pending = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    status["conditions"] = with_condition(status.get("conditions"), pending)
    return {**old, "metadata": metadata, "status": status}
