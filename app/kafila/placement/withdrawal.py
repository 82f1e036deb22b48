"""How much one change takes out of clusters, and whether somebody has to approve of it first.

What waits stands in an annotation of the policy or Cluster that was changed, and so does the approval. Both are of one generation of it:
a further change is another question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kafila.core.values import AnyObject
from kafila.placement.cluster_affinity import matcher
from kafila.placement.objects import annotations_of
from kafila.placement.spec import target_names, terms
from kafila.placement.types import Cluster, Placement, ResourceBindingSpec

APPROVED: Final = "kafila.io/approved-withdrawal"  # a generation, or ALWAYS
HELD: Final = "kafila.io/held-withdrawal"  # generation, and what would leave
ALWAYS: Final = "always"
NAMED: Final = 10  # clusters in one text
LONGEST: Final = 1000  # characters that are shown: whoever writes policies may have written them


class Limits(NamedTuple):
    """More than so many objects, or out of more than so many clusters, wait for an approval; 0: there is no limit."""

    objects: int
    clusters: int

    def exceeded(self, objects: int, clusters: int) -> bool:
        return 0 < self.objects < objects or 0 < self.clusters < clusters


class Withdrawal:
    """Counts what leaves which clusters."""

    def __init__(self) -> None:
        self.objects = 0
        self.clusters: Counter[str] = Counter()

    def add(self, leaving: Iterable[str]) -> None:
        """An object that leaves these clusters."""
        found = list(leaving)
        self.objects += bool(found)
        self.clusters.update(found)

    def exceeds(self, limits: Limits) -> bool:
        return limits.exceeded(self.objects, len(self.clusters))

    def __str__(self) -> str:
        most = sorted(self.clusters, key=lambda cluster: (-self.clusters[cluster], cluster))
        listed = ", ".join(f"{cluster} ({self.clusters[cluster]})" for cluster in most[:NAMED])
        more = f" and {len(most) - NAMED} more" if len(most) > NAMED else ""
        return f"{self.objects} objects leave {len(most)} clusters: {listed}{more}"


def affinities(placement: Placement) -> Sequence[AnyObject]:
    """Any of which may hold the object; an empty one holds all clusters."""
    groups = terms(placement)
    if not groups:
        return [placement.get("clusterAffinity") or {}]
    return [*groups, *(each for group in groups for each in group.get("overflowAffinities") or ())]


def fitting(placement: Placement, clusters: Mapping[str, Cluster]) -> frozenset[str]:
    """Names of the clusters that a placement's affinities mean."""
    tests = [matcher(affinity) for affinity in affinities(placement)]
    return frozenset(name for name, cluster in clusters.items() if any(test(cluster) for test in tests))


def leaving(spec: ResourceBindingSpec, placement: Placement, fits: frozenset[str]) -> frozenset[str]:
    """The clusters that a binding would leave for a new placement; one that has it already leaves none."""
    return frozenset() if spec.get("placement") == placement else target_names(spec) - fits


def generation(obj: AnyObject) -> int:
    return int((obj.get("metadata") or {}).get("generation") or 0)


def is_approved(obj: AnyObject) -> bool:
    """Whoever may change the policy or the Cluster has approved of this generation of it, or of all."""
    return annotations_of(obj).get(APPROVED) in (str(generation(obj)), ALWAYS)


def mark(obj: AnyObject, text: str) -> str:
    """The value of `HELD`."""
    return f"{generation(obj)}: {text}"


def waiting(obj: AnyObject) -> str:
    """What waits for an approval, "" for nothing."""
    of, _, text = annotations_of(obj).get(HELD, "").partition(": ")
    if of != str(generation(obj)) or is_approved(obj):
        return ""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:LONGEST])
