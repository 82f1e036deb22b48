"""Whether a template's status tells what its members have come to, so that its replicas may follow (Karmada's replicas syncer)."""

from __future__ import annotations

from kafila.core.values import AnyObject

from . import constants
from .types import Binding


def replicas_to_follow(deployment: AnyObject, binding: Binding) -> int | None:
    """The replicas that the template is to have; None: it has them, or is not divided."""
    scheduling = (binding["spec"].get("placement") or {}).get("replicaScheduling") or {}
    if scheduling.get("replicaSchedulingType") != constants.DIVIDED:
        return None
    reported = (deployment.get("status") or {}).get("replicas", 0)
    return None if deployment["spec"].get("replicas") == reported else reported


def is_collected(deployment: AnyObject, binding: Binding) -> bool:
    """Whether the last change of the replicas has come to all members, and their statuses back to the template."""
    spec, status = binding["spec"], binding.get("status") or {}
    if deployment["spec"].get("replicas") != spec.get("replicas", 0):
        return False
    if binding["metadata"].get("generation", 0) != status.get("schedulerObservedGeneration", 0):
        return False
    items = status.get("aggregatedStatus") or []
    if len(items) != len(spec.get("clusters") or ()):
        return False
    counts = [(item.get("status") or {}).get("replicas", 0) for item in items]
    if not all(isinstance(count, int) and count > 0 for count in counts):
        return False  # an autoscaler in a member leaves at least one: this one has told nothing yet
    return sum(counts) == (deployment.get("status") or {}).get("replicas", 0)
