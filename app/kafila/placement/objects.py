"""Reading of plain JSON objects, those whose type says nothing; a binding's spec is ``binding["spec"]``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kafila.core.resources import split_api_version
from kafila.core.values import AnyObject, Object
from kafila.placement.constants import Identity


def metadata(obj: AnyObject) -> Object:
    found: Object = obj.get("metadata") or {}
    return found


def identity(obj: AnyObject) -> Identity:
    meta = metadata(obj)
    return _identity(obj, meta.get("namespace"), meta.get("name"))


def identity_in(reference: AnyObject) -> Identity:
    """Of the object that a reference names: ``spec.resource`` of a binding, a workload of a WorkloadRebalancer."""
    return _identity(reference, reference.get("namespace"), reference.get("name"))


def _identity(obj: AnyObject, where: Any, called: Any) -> Identity:
    group, _ = split_api_version(obj.get("apiVersion") or "")
    return Identity(group, obj.get("kind") or "", where or "", called or "")


def labels_of(obj: AnyObject) -> dict[str, str]:
    found: dict[str, str] = metadata(obj).get("labels") or {}
    return found


def annotations_of(obj: AnyObject) -> dict[str, str]:
    found: dict[str, str] = metadata(obj).get("annotations") or {}
    return found


def without(obj: Object, labels: Collection[str], annotations: Collection[str]) -> Object:
    """The object without these labels and annotations. The same object when it has none of them."""
    if not any(key in labels_of(obj) for key in labels) and not any(key in annotations_of(obj) for key in annotations):
        return obj
    meta = {**metadata(obj)}
    for field, found, gone in (("labels", labels_of(obj), labels), ("annotations", annotations_of(obj), annotations)):
        kept = {key: value for key, value in found.items() if key not in gone}
        if kept:
            meta[field] = kept
        else:
            meta.pop(field, None)
    return {**obj, "metadata": meta}


def name(obj: AnyObject) -> str:
    return metadata(obj).get("name") or ""


def namespace(obj: AnyObject) -> str:
    return metadata(obj).get("namespace") or ""


def uid(obj: AnyObject) -> str:
    return metadata(obj).get("uid") or ""


def spec(obj: AnyObject) -> Object:
    found: Object = obj.get("spec") or {}
    return found


def status(obj: AnyObject) -> Object:
    found: Object = obj.get("status") or {}
    return found


def own_map(parent: Object, key: str) -> dict[str, Any]:
    """The map at ``key`` to write into; made when it is missing or null."""
    found = parent.get(key)
    if found is None:
        found = parent[key] = {}
    return found


def semantically_equal(left: Any, right: Any) -> bool:
    """As apimachinery's Semantic.DeepEqual: absent, null and empty collections are alike where both sides have the key."""
    if left == right:
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(semantically_equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(semantically_equal, left, right))
    return _is_empty(left) and _is_empty(right)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, dict | list) and not value)
