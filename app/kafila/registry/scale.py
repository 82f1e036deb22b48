"""The scale subresource: ``autoscaling/v1 Scale`` as a view of a workload's replicas."""

from __future__ import annotations

from typing import Any

from kafila.catalog.kind import Kind
from kafila.core import errors, selectors
from kafila.core.values import Object


def scale_of(kind: Kind, obj: Object) -> Object:
    """The Scale object of a workload."""
    assert kind.scale is not None
    metadata = obj["metadata"]
    view = {
        k: metadata[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in metadata
    }
    status: Object = {"replicas": _lookup(obj, kind.scale.status_replicas) or 0}
    selector = _lookup(obj, kind.scale.label_selector) if kind.scale.label_selector else None
    if isinstance(selector, dict):
        selector = str(selectors.from_object(selector)) if not kind.strategy.plain_selector else _pairs(selector)
    if selector:
        status["selector"] = selector
    replicas = _lookup(obj, kind.scale.spec_replicas)
    spec = {"replicas": replicas} if replicas else {}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": view, "spec": spec, "status": status}


def with_replicas(kind: Kind, obj: Object, scale: Object) -> Object:
    """``obj`` with the replicas that ``scale`` asks for. Raises StatusError 422."""
    assert kind.scale is not None
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    name = obj["metadata"]["name"]
    if replicas < 0 and not kind.definition:  # its own validation says so in its own words
        found = [errors.FieldError.invalid("spec.replicas", replicas, "must be greater than or equal to 0")]
        raise errors.invalid("autoscaling", "Scale", name, found)
    metadata = scale.get("metadata") or {}
    if metadata.get("uid") and metadata["uid"] != obj["metadata"].get("uid"):
        raise other_uid(kind, name, metadata["uid"], obj)
    version = metadata.get("resourceVersion")
    if version and version != obj["metadata"]["resourceVersion"]:
        raise errors.conflict(kind.group, kind.plural, name)
    parent, path = obj, replicas_path(kind)
    for step in path[:-1]:
        parent = parent.setdefault(step, {})
    parent[path[-1]] = replicas
    return obj


def other_uid(kind: Kind, name: str, wanted: str, obj: Object) -> errors.StatusError:
    was = obj["metadata"].get("uid", "")
    why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {was}"
    return errors.conflict(kind.group, kind.plural, name, why)


def has_replicas(kind: Kind, obj: Object) -> bool:
    assert kind.scale is not None
    return _lookup(obj, kind.scale.spec_replicas) is not None


def replicas_path(kind: Kind) -> list[str]:
    assert kind.scale is not None
    return kind.scale.spec_replicas.strip(".").split(".")


def _lookup(obj: Any, path: str) -> Any:
    for step in path.strip(".").split("."):
        if not isinstance(obj, dict):
            return None
        obj = obj.get(step)
    return obj


def _pairs(labels: Object) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
