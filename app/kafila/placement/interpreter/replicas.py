"""How many replicas a workload has and what each needs, and the same workload with another number of replicas."""

from __future__ import annotations

from kafila.core.values import Object, nested
from kafila.placement.resources import pod_request


def replica_requirements(pod_spec: Object, *, with_priority_class: bool = False) -> Object | None:
    """``ReplicaRequirements`` of a pod; None when it needs nothing particular."""
    requirements: Object = {}
    claim = node_claim(pod_spec)
    if claim:
        requirements["nodeClaim"] = claim
    request = pod_request(pod_spec)
    if request:
        requirements["resourceRequest"] = request
    if requirements and with_priority_class and pod_spec.get("priorityClassName"):
        requirements["priorityClassName"] = pod_spec["priorityClassName"]
    return requirements or None


def node_claim(pod_spec: Object) -> Object:
    """Which nodes a pod can run on: its selector, tolerations and required node affinity; empty when on any."""
    claim: Object = {}
    required = nested(pod_spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        claim["hardNodeAffinity"] = required
    if pod_spec.get("nodeSelector"):
        claim["nodeSelector"] = pod_spec["nodeSelector"]
    if pod_spec.get("tolerations"):
        claim["tolerations"] = pod_spec["tolerations"]
    return claim


def of_replicas(obj: Object, with_priority_class: bool) -> tuple[int, Object | None]:
    """Deployment, ReplicaSet, StatefulSet."""
    return nested(obj, "spec", "replicas") or 0, _template_needs(obj, with_priority_class)


def of_job(obj: Object, with_priority_class: bool) -> tuple[int, Object | None]:
    parallelism = nested(obj, "spec", "parallelism") or 0
    completions = nested(obj, "spec", "completions")
    wanted = parallelism if completions is None else min(parallelism, completions)
    return wanted, _template_needs(obj, with_priority_class)


def of_pod(obj: Object, with_priority_class: bool) -> tuple[int, Object | None]:
    return 1, replica_requirements(obj.get("spec") or {}, with_priority_class=with_priority_class)


def _template_needs(obj: Object, with_priority_class: bool) -> Object | None:
    pod_spec = nested(obj, "spec", "template", "spec") or {}
    return replica_requirements(pod_spec, with_priority_class=with_priority_class)


def with_field(obj: Object, field: str, value: int) -> Object:
    """``spec.<field>`` set, where the object has that field at all."""
    spec = obj.get("spec") or {}
    if spec.get(field) is None:
        return obj
    return {**obj, "spec": {**spec, field: value}}


def revise_replicas(obj: Object, replicas: int) -> Object:
    return with_field(obj, "replicas", replicas)


def revise_job(obj: Object, replicas: int) -> Object:
    return with_field(obj, "parallelism", replicas)
