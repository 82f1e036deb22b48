"""Is an object in a member cluster healthy?"""

from __future__ import annotations

from kafila.core.conditions import is_true
from kafila.core.values import Object, nested


def _settled(obj: Object) -> bool:
    """Has its controller seen the latest generation?"""
    return (nested(obj, "status", "observedGeneration") or 0) == (nested(obj, "metadata", "generation") or 0)


def rolled_out(obj: Object) -> bool:
    """Deployment, StatefulSet: all replicas updated, and all updated ones available."""
    status, wanted = obj.get("status") or {}, nested(obj, "spec", "replicas")
    updated = status.get("updatedReplicas") or 0
    if not _settled(obj) or (wanted is not None and updated < wanted):
        return False
    return (status.get("availableReplicas") or 0) >= updated


def replica_set(obj: Object) -> bool:
    wanted = nested(obj, "spec", "replicas")
    return _settled(obj) and (wanted is None or (nested(obj, "status", "availableReplicas") or 0) >= wanted)


def daemon_set(obj: Object) -> bool:
    status = obj.get("status") or {}
    updated = status.get("updatedNumberScheduled") or 0
    if not _settled(obj) or updated < (status.get("desiredNumberScheduled") or 0):
        return False
    return (status.get("numberAvailable") or 0) >= updated


def service(obj: Object) -> bool:
    return nested(obj, "spec", "type") != "LoadBalancer" or has_ingress(obj)


def has_ingress(obj: Object) -> bool:
    """Has its load balancer an address?"""
    ingress = nested(obj, "status", "loadBalancer", "ingress") or ()
    return any(point.get("hostname") or point.get("ip") for point in ingress)


def persistent_volume_claim(obj: Object) -> bool:
    return nested(obj, "status", "phase") == "Bound"


def pod(obj: Object) -> bool:
    status = obj.get("status") or {}
    if status.get("phase") == "Succeeded":
        return True
    return status.get("phase") == "Running" and is_true(status.get("conditions"), "Ready")


def pod_disruption_budget(obj: Object) -> bool:
    status = obj.get("status") or {}
    return (status.get("currentHealthy") or 0) >= (status.get("desiredHealthy") or 0)
