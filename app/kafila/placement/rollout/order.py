"""The clusters of a rollout in the order in which they get a revision: fixed when it begins."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from kafila.placement.cluster_affinity import matcher
from kafila.placement.types import Cluster, RolloutClusterStatus, StagedRollout


class Place(NamedTuple):
    """``stage``: "" for those of none."""

    stage: str
    cluster: str
    requires_approval: bool = False


def ordered(targets: Collection[str], wanted: StagedRollout, clusters: Mapping[str, Cluster]) -> list[Place]:
    """Those of no stage come last. ``clusters``: Cluster objects by name."""
    left = sorted(targets)
    found: list[Place] = []
    for stage in wanted.get("stages") or ():
        fits = matcher(stage.get("targetClusters"))
        chosen = frozenset(name for name in left if name in clusters and fits(clusters[name]))
        found += [Place(stage["name"], name, bool(stage.get("requireApproval"))) for name in left if name in chosen]
        left = [name for name in left if name not in chosen]
    place = {name: index for index, name in enumerate(wanted.get("order") or ())}
    left.sort(key=lambda name: (place.get(name, len(place)), name))
    return [*found, *(Place("", name) for name in left)]


def groups(rows: Sequence[RolloutClusterStatus]) -> Iterator[list[RolloutClusterStatus]]:
    """The clusters of one stage after the other, in their order; those of none are one group."""
    group: list[RolloutClusterStatus] = []
    for row in rows:
        if group and row.get("stage") != group[0].get("stage"):
            yield group
            group = []
        group.append(row)
    if group:
        yield group
