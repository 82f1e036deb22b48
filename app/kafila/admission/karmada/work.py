"""Work: its identity, and manifests cut down to what a member may be sent and stamped with what Karmada manages."""

from __future__ import annotations

import json
from typing import Any, Final

from kafila.core.values import Object, copy_json
from kafila.placement import constants
from kafila.placement.work.prune import prune

from .binding import ensure_id
from .errors import Denied

_JSON_TYPES: Final = {int: "number", float: "number", str: "string", bool: "bool", list: "array"}
_GO_MAP: Final = "map[string]interface {}"


def mutate_work(new: Object) -> None:
    ensure_id(new, constants.WORK_PERMANENT_ID)
    identity = new["metadata"]["labels"][constants.WORK_PERMANENT_ID]
    workload = (new.get("spec") or {}).get("workload") or {}
    manifests = workload.get("manifests")
    if manifests:
        workload["manifests"] = [_prepared(m, identity) for m in manifests]


def _prepared(manifest: Any, identity: str) -> Object:
    _check(manifest)
    out = prune(copy_json(manifest))
    stamp(out, identity)
    return out


def _check(manifest: Any) -> None:
    """A manifest is raw, so nothing has checked its shape yet. Karmada's webhook answers 500 here."""
    if manifest is not None and type(manifest) is not dict:
        raise Denied(f"json: cannot unmarshal {_JSON_TYPES[type(manifest)]} into Go value of type {_GO_MAP}", "", 500)
    if manifest is None or not manifest.get("kind"):
        text = json.dumps(manifest, separators=(",", ":"), ensure_ascii=False)
        raise Denied(f"Object 'Kind' is missing in '{text}'", "", 500)
    metadata = manifest.get("metadata")
    for path, value in (("metadata", metadata), *(_maps(metadata) if type(metadata) is dict else ())):
        if value is not None and type(value) is not dict:
            raise Denied(f"{path} of a manifest must be an object", "", 500)


def _maps(metadata: Object) -> list[tuple[str, Any]]:
    return [(f"metadata.{name}", metadata.get(name)) for name in ("labels", "annotations")]


def stamp(manifest: Object, identity: str) -> None:
    """Labels the manifest with its Work and writes down which labels and annotations are Karmada's to remove later."""
    metadata = manifest["metadata"] = manifest.get("metadata") or {}
    annotations = dict(metadata.get("annotations") or {})
    others = annotations.keys() - {constants.MANAGED_ANNOTATIONS, constants.MANAGED_LABELS}
    annotations[constants.MANAGED_ANNOTATIONS] = ",".join(
        sorted({*others, constants.MANAGED_ANNOTATIONS, constants.MANAGED_LABELS})
    )
    labels = {**(metadata.get("labels") or {}), constants.WORK_PERMANENT_ID: identity}
    annotations[constants.MANAGED_LABELS] = ",".join(sorted(labels))
    metadata["labels"], metadata["annotations"] = labels, annotations
