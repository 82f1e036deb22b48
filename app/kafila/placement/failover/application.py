"""Application failover: a workload that stays unhealthy in a cluster for too long leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kafila.core.feature_gates import GRACEFUL_EVICTION, STATEFUL_FAILOVER_INJECTION, Gates
from kafila.placement import constants
from kafila.placement.failover.eviction import EvictionRefused, evict, preserved_state
from kafila.placement.spec import targets
from kafila.placement.types import ApplicationFailoverBehavior, Binding

TOLERATED = 300  # seconds, Karmada's default


class Look(NamedTuple):
    """``since``: when it was first seen to be unhealthy, by cluster; ``due``: the clusters that it has to leave now;
    ``wait``: seconds until the next one is due, None when there is none.
    """

    since: dict[str, float]
    due: tuple[str, ...]
    wait: float | None


def behavior_of(binding: Binding) -> ApplicationFailoverBehavior | None:
    """None where unhealthy copies stay: nobody asked for anything else, or dependencies would not come along."""
    spec = binding["spec"]
    if not spec.get("propagateDeps"):
        return None
    return (spec.get("failover") or {}).get("application")


def look(binding: Binding, behavior: ApplicationFailoverBehavior, since: Mapping[str, float], now: float) -> Look:
    """What the health that members report means at ``now`` (seconds of any clock), when ``since`` was known before.

    A cluster that is left already does not count. Unknown health goes on with what was known: a status that is missing for a
    moment is no recovery.
    """
    spec = binding["spec"]
    leaving = {task.get("fromCluster") for task in spec.get("gracefulEvictionTasks") or ()}
    health = {
        item["clusterName"]: item.get("health")
        for item in (binding.get("status") or {}).get("aggregatedStatus") or ()
        if item["clusterName"] not in leaving
    }
    seen: dict[str, float] = {}
    for cluster in (target["name"] for target in targets(spec)):
        if health.get(cluster) == constants.UNHEALTHY:
            seen[cluster] = since.get(cluster, now)
        elif cluster in since and health.get(cluster) != constants.HEALTHY and cluster not in leaving:
            seen[cluster] = since[cluster]
    tolerated = tolerated_seconds(behavior)
    left = {
        cluster: started + tolerated - now
        for cluster, started in seen.items()
        if health.get(cluster) == constants.UNHEALTHY
    }
    waits = [seconds for seconds in left.values() if seconds > 0]
    due = tuple(cluster for cluster, seconds in left.items() if seconds <= 0)
    return Look(seen, due, min(waits) if waits else None)


def tolerated_seconds(behavior: ApplicationFailoverBehavior) -> int:
    """For how long a copy may be unhealthy."""
    tolerated = (behavior.get("decisionConditions") or {}).get("tolerationSeconds")
    return TOLERATED if tolerated is None else tolerated


def failed_over(
    binding: Binding, behavior: ApplicationFailoverBehavior, clusters: Sequence[str], gates: Gates, now: float
) -> Binding:
    """The binding without ``clusters``, which become its tasks; the same object if it is in none of them.

    Raises EvictionRefused.
    """
    before = [target["name"] for target in targets(binding["spec"])]
    mode = behavior.get("purgeMode") or constants.GRACEFULLY
    graceful = mode in constants.PURGE_LATER
    if graceful and GRACEFUL_EVICTION not in gates:
        raise EvictionRefused(f"GracefulEviction featureGate must be enabled when purgeMode is {mode}")
    spec = binding["spec"]
    for cluster in clusters:
        kept: dict[str, str] = {}
        if STATEFUL_FAILOVER_INJECTION in gates:
            kept = preserved_state(behavior, binding.get("status") or {}, cluster)
        spec = evict(
            spec,
            cluster,
            now,
            reason=constants.EVICTION_APPLICATION,
            producer=producer(binding),
            purge_mode=mode,
            grace_period_seconds=behavior.get("gracePeriodSeconds") if graceful else None,
            suppress_deletion=True if mode == constants.PURGE_NEVER else None,
            preserved_labels=kept,
            clusters_before=before if kept else (),
        )
    return binding if spec is binding["spec"] else {**binding, "spec": spec}


def producer(binding: Binding) -> str:
    """Karmada's controller of namespaced bindings, or that of the others."""
    return constants.PRODUCER_RB_FAILOVER if binding["metadata"].get("namespace") else constants.PRODUCER_CRB_FAILOVER
