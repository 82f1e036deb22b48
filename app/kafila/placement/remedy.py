"""Remedies: what is to be done about a cluster, by its conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kafila.core.conditions import by_type
from kafila.core.values import AnyObject, Object
from kafila.placement.types import Cluster

MOST_ACTIONS: Final = 100  # of one cluster: Karmada knows one
LONGEST_ACTION: Final = 256  # characters


class Actions(NamedTuple):
    """Of one cluster, in order; ``left_out``: how many are not among them because there are too many, or they are too long."""

    actions: list[str]
    left_out: int


def clusters_named(remedy: Object) -> list[str] | None:
    """The clusters that a remedy is for; None for all."""
    affinity = (remedy.get("spec") or {}).get("clusterAffinity")
    return None if affinity is None else list(affinity.get("clusterNames") or ())


def actions_for(cluster: Cluster, remedies: Iterable[Object]) -> Actions:
    """All actions of those of ``remedies`` that match. ``remedies``: those that are for this cluster."""
    conditions = by_type((cluster.get("status") or {}).get("conditions"))
    wanted = {
        action
        for remedy in remedies
        if _matches((remedy.get("spec") or {}).get("decisionMatches"), conditions)
        for action in (remedy.get("spec") or {}).get("actions") or ()
    }
    usable = sorted(action for action in wanted if len(action) <= LONGEST_ACTION)[:MOST_ACTIONS]
    return Actions(usable, len(wanted) - len(usable))


def _matches(wanted: Sequence[AnyObject] | None, conditions: Mapping[str, AnyObject]) -> bool:
    """Any of ``wanted``. None always matches; an empty list never does, as in Karmada."""
    return wanted is None or any(_met(each.get("clusterConditionMatch"), conditions) for each in wanted)


def _met(wanted: AnyObject | None, conditions: Mapping[str, AnyObject]) -> bool:
    """A condition that the cluster does not have is neither equal nor unequal to anything."""
    found = conditions.get(wanted.get("conditionType") or "") if wanted is not None else None
    if wanted is None or found is None:
        return False
    return (found.get("status") == wanted.get("conditionStatus")) == (wanted.get("operator") == "Equal")
