"""What a workload depends on while clusters have different revisions of it: in each cluster what the revision needs that is there.

What the last revision that was everywhere needs stays with it until the new one is: pods of it still run, and it may come back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from kafila.core.values import Object
from kafila.placement.types import Binding, RolloutStatus, TargetCluster

from .begin import is_under_way, revisions_by_cluster

# By revision; None: it is not kept any more, and nobody knows.
Needs = Mapping[str, Sequence[Object] | None]
NOTHING: Final[Sequence[Object]] = ()


def revisions_somewhere(parent: Binding, rollout: RolloutStatus) -> list[str]:
    """All that are to be in a cluster, or may come back there; the one that is rolled out first."""
    found = {rollout["revision"]: None}
    for target in parent["spec"].get("clusters") or ():
        found.update(dict.fromkeys(_revisions_in(rollout, target["name"])))
    return list(found)


def all_of(needs: Needs) -> list[Object]:
    """Each once, in order."""
    found: list[Object] = []
    for dependencies in needs.values():
        found += [each for each in dependencies or () if each not in found]
    return found


def needing(
    parent: Binding,
    rollout: RolloutStatus,
    needs: Needs,
    is_among: Callable[[Sequence[Object]], bool],
    before: Collection[str],
) -> list[TargetCluster]:
    """The clusters of the parent that an object has to be in. ``is_among``: whether dependencies name it; ``before``: where it was required."""
    answers = {revision: None if needed is None else is_among(needed) for revision, needed in needs.items()}

    def is_needed(cluster: str) -> bool:
        found = [answers.get(revision) for revision in _revisions_in(rollout, cluster)]
        return any(found) or (None in found and cluster in before)

    return [target for target in parent["spec"].get("clusters") or () if is_needed(target["name"])]


def _revisions_in(rollout: RolloutStatus, cluster: str) -> Iterator[str]:
    """None as long as it has nothing: its turn has not come."""
    revision, stable = revisions_by_cluster(rollout)(cluster), rollout.get("stableRevision")
    if not revision:
        return
    yield revision
    if stable and is_under_way(rollout):
        yield stable
