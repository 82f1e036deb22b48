"""What operators that make pods themselves say of them in fields of their own."""

from __future__ import annotations

from typing import Any

from .values import at, is_empty, is_true


def claim_of(pod: Any, *, with_affinity: bool = False) -> dict[str, Any]:
    """`nodeClaim` and `priorityClassName` of ReplicaRequirements, as far as the pod (None for none) says something of them."""
    if pod is None:
        return {}
    claim = {"nodeSelector": at(pod, "nodeSelector"), "tolerations": at(pod, "tolerations")}
    if with_affinity:
        affinity = at(pod, "affinity")
        nodes = at(affinity, "nodeAffinity") if is_true(affinity) else None
        if is_true(nodes):
            claim["hardNodeAffinity"] = at(nodes, "requiredDuringSchedulingIgnoredDuringExecution")
    found: dict[str, Any] = {"nodeClaim": claim} if any(each is not None for each in claim.values()) else {}
    if not is_empty(at(pod, "priorityClassName")):
        found["priorityClassName"] = at(pod, "priorityClassName")
    return found
