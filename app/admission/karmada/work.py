"""Work: its identity, and manifests cut down to what a member may be sent and stamped with what Karmada manages."""

from __future__ import annotations

from typing import Any

from app.machinery.values import copy_json
from app.placement.prune import prune

from .binding import ensure_id

Object = dict[str, Any]

WORK_ID = "work.karmada.io/permanent-id"
MANAGED_LABELS = "resourcetemplate.karmada.io/managed-labels"
MANAGED_ANNOTATIONS = "resourcetemplate.karmada.io/managed-annotations"


def mutate_work(new: Object) -> None:
    ensure_id(new, WORK_ID)
    identity = new["metadata"]["labels"][WORK_ID]
    workload = (new.get("spec") or {}).get("workload") or {}
    manifests = workload.get("manifests")
    if manifests:
        workload["manifests"] = [_prepared(m, identity) for m in manifests]


def _prepared(manifest: Object, identity: str) -> Object:
    out = prune(copy_json(manifest))
    stamp(out, identity)
    return out


def stamp(manifest: Object, identity: str) -> None:
    """Labels the manifest with its Work and writes down which labels and annotations are Karmada's to remove later."""
    metadata = manifest.setdefault("metadata", {})
    annotations = dict(metadata.get("annotations") or {})
    others = annotations.keys() - {MANAGED_ANNOTATIONS, MANAGED_LABELS}
    annotations[MANAGED_ANNOTATIONS] = ",".join(sorted({*others, MANAGED_ANNOTATIONS, MANAGED_LABELS}))
    labels = {**(metadata.get("labels") or {}), WORK_ID: identity}
    annotations[MANAGED_LABELS] = ",".join(sorted(labels))
    metadata["labels"], metadata["annotations"] = labels, annotations
