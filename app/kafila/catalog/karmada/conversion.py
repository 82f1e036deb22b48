"""Conversion of bindings between v1alpha2, which is stored, and v1alpha1, which old clients still read."""

from __future__ import annotations

from kafila.core.values import Object

_REFERENCE = ("apiVersion", "kind", "namespace", "name", "resourceVersion")
_TARGET = ("name", "replicas")
_AGGREGATED = ("clusterName", "status", "applied", "appliedMessage")


def to_v1alpha2(obj: Object) -> Object:
    """A v1alpha1 binding as v1alpha2. Fields that only v1alpha2 has are not there, or have their default."""
    spec: Object = obj.get("spec") or {}
    resource: Object = spec.get("resource") or {}
    hub: Object = {"resource": _only(resource, _REFERENCE)}
    if resource.get("resourcePerReplicas") is not None:
        hub["replicaRequirements"] = {"resourceRequest": resource["resourcePerReplicas"]}
    if resource.get("replicas"):
        hub["replicas"] = resource["replicas"]
    if spec.get("clusters"):
        hub["clusters"] = [_only(c, _TARGET) for c in spec["clusters"]]
    hub["conflictResolution"] = "Abort"  # the default of the stored version
    return _whole(obj, "work.karmada.io/v1alpha2", hub)


def to_v1alpha1(obj: Object) -> Object:
    """A v1alpha2 binding as v1alpha1; what v1alpha1 has no place for is left out."""
    spec: Object = obj.get("spec") or {}
    resource = _only(spec.get("resource") or {}, _REFERENCE)
    request = (spec.get("replicaRequirements") or {}).get("resourceRequest")
    if request is not None:
        resource["resourcePerReplicas"] = request
    if spec.get("replicas"):
        resource["replicas"] = spec["replicas"]
    old: Object = {"resource": resource}
    if spec.get("clusters"):
        old["clusters"] = [_only(c, _TARGET) for c in spec["clusters"]]
    return _whole(obj, "work.karmada.io/v1alpha1", old)


def _whole(obj: Object, api_version: str, spec: Object) -> Object:
    out: Object = {n: obj[n] for n in ("kind", "metadata") if n in obj}
    if "apiVersion" in obj:
        out["apiVersion"] = api_version
    out["spec"] = spec
    status = obj.get("status")
    if status is not None:
        shared: Object = {}
        if status.get("conditions"):
            shared["conditions"] = status["conditions"]
        if status.get("aggregatedStatus"):
            shared["aggregatedStatus"] = [_only(item, _AGGREGATED) for item in status["aggregatedStatus"]]
        out["status"] = shared
    return out


def _only(source: Object, names: tuple[str, ...]) -> Object:
    return {n: source[n] for n in names if n in source}
