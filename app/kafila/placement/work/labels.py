"""The labels and annotations of a manifest by which its Work, its template and its managed labels are found in a member."""

from __future__ import annotations

from typing import Final

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.objects import own_map

# What a resource loses that stays in a member when its Work goes: neither the labels of a ClusterResourceBinding, nor those of
# a ClusterPropagationPolicy on what is in a namespace are in Karmada's list.
_LABELS: Final = frozenset({constants.RB_PERMANENT_ID, constants.WORK_PERMANENT_ID, constants.MANAGED})
_ANNOTATIONS: Final = frozenset(
    {
        constants.MANAGED_ANNOTATIONS,
        constants.MANAGED_LABELS,
        constants.RB_NAMESPACE,
        constants.RB_NAME,
        constants.TEMPLATE_UID,
        constants.TEMPLATE_GENERATION,
        constants.WORK_NAME,
        constants.WORK_NAMESPACE,
    }
)
_PP_CLAIM: Final = frozenset({constants.PP_PERMANENT_ID}), frozenset({constants.PP_NAMESPACE, constants.PP_NAME})
_CPP_CLAIM: Final = frozenset({constants.CPP_PERMANENT_ID}), frozenset({constants.CPP_NAME})


def record_managed(manifest: Object, work_id: str) -> Object:
    """Records which labels and annotations are ours, so that others in the member survive an update. Changes ``manifest``."""
    meta = own_map(manifest, "metadata")
    annotations, labels = own_map(meta, "annotations"), own_map(meta, "labels")
    keys = {*annotations, constants.MANAGED_ANNOTATIONS, constants.MANAGED_LABELS}
    annotations[constants.MANAGED_ANNOTATIONS] = ",".join(sorted(keys))
    if work_id:
        labels[constants.WORK_PERMANENT_ID] = work_id
    annotations[constants.MANAGED_LABELS] = ",".join(sorted(labels))
    if not labels:
        del meta["labels"]
    return manifest


def strip(manifest: Object) -> Object:
    """A manifest without Karmada's labels and annotations, for resources that stay when their Work goes. A new object."""
    meta = {**(manifest.get("metadata") or {})}
    claim_labels, claim_notes = _PP_CLAIM if meta.get("namespace") else _CPP_CLAIM
    for field, drop in (("labels", _LABELS | claim_labels), ("annotations", _ANNOTATIONS | claim_notes)):
        kept = {key: value for key, value in (meta.get(field) or {}).items() if key not in drop}
        if kept:
            meta[field] = kept
        else:
            meta.pop(field, None)
    return {**manifest, "metadata": meta}
