"""Replicas of clusters that have bounds (`placement/replica_bounds.py`) or weights of their own (`placement/cluster_scores.py`):
Karmada's strategies, within these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kafila.placement.replica_bounds import NO_BOUNDS, Bounds
from kafila.placement.scheduler.select import Candidate
from kafila.placement.scheduler.webster import Target, webster_within


class Unschedulable(Exception):
    """The clusters have too few replicas available; trying again helps only once they have more."""


def is_needed(candidates: Sequence[Candidate], wanted: int) -> bool:
    """What is scaled to nothing runs nowhere, whatever the minimums are."""
    return wanted > 0 and any(candidate.bounds != NO_BOUNDS for candidate in candidates)


def least(candidates: Sequence[Candidate], wanted: int) -> int:
    """Replicas that all minimums take together, none where none are wanted.

    Raises Unschedulable where bounds contradict each other or what is wanted.
    """
    if not is_needed(candidates, wanted):
        return 0
    for name, bounds in ((each.name, each.bounds) for each in candidates):
        if bounds.minimum > bounds.maximum:
            raise Unschedulable(
                f"the minimum of cluster {name} is {bounds.minimum}, its maximum {bounds.maximum} replicas"
            )
    total = sum(candidate.bounds.minimum for candidate in candidates)
    if total > wanted:
        raise Unschedulable(f"the minimums of the clusters add up to {total} replicas, and {wanted} are wanted")
    return total


def by_weights(candidates: Sequence[Candidate], weights: Mapping[str, int], wanted: int, uid: str) -> list[Target]:
    """By fixed weights, from scratch every time. A cluster without a weight gets its minimum and no more."""
    bounds = {
        each.name: each.bounds if each.name in weights else Bounds(each.bounds.minimum, each.bounds.minimum)
        for each in candidates
    }
    _check_maximums(bounds.values(), wanted)
    votes = {name: weights.get(name, 0) for name in bounds}
    return webster_within(wanted, votes, bounds, uid)


def by_room(
    candidates: Sequence[Candidate],
    scheduled: Sequence[Target],
    wanted: int,
    uid: str,
    *,
    aggregated: bool,
    fresh: bool,
) -> list[Target]:
    """By the weights of clusters, else the replicas that they have available, which they take no more than. What runs stays
    where it is as far as the bounds let it.

    ``scheduled``: what the candidates have now; with ``fresh`` it counts as room that is free.
    """
    _check_maximums([each.bounds for each in candidates], wanted)
    before = dict(scheduled)
    kept = {each.name: 0 if fresh else min(before.get(each.name, 0), each.bounds.maximum) for each in candidates}
    room = {each.name: each.allocatable + before.get(each.name, 0) - kept[each.name] for each in candidates}
    for name, bounds in ((each.name, each.bounds) for each in candidates):
        if kept[name] + room[name] < bounds.minimum:
            text = (
                f"cluster {name} has room for {kept[name] + room[name]} replicas, and its minimum is {bounds.minimum}"
            )
            raise Unschedulable(text)
    if sum(max(kept[each.name], each.bounds.minimum) for each in candidates) > wanted:
        limits = {
            each.name: Bounds(each.bounds.minimum, max(kept[each.name], each.bounds.minimum)) for each in candidates
        }
        return _shared(wanted, kept, limits, {}, uid, aggregated)
    limits = {each.name: _more(each.bounds, kept[each.name], room[each.name]) for each in candidates}
    votes = room if aggregated else {each.name: _vote(each, room[each.name]) for each in candidates}
    return _shared(wanted - sum(kept.values()), votes, limits, kept, uid, aggregated)


def _check_maximums(bounds: Iterable[Bounds], wanted: int) -> None:
    most = sum(each.maximum for each in bounds)
    if most < wanted:
        raise Unschedulable(f"the maximums of the clusters add up to {most} replicas, and {wanted} are wanted")


def _vote(candidate: Candidate, room: int) -> int:
    return room if candidate.weight is None else candidate.weight


def _more(bounds: Bounds, kept: int, room: int) -> Bounds:
    """Of what comes on top of ``kept``."""
    return Bounds(max(bounds.minimum - kept, 0), min(bounds.maximum - kept, room))


def _shared(
    share: int,
    votes: Mapping[str, int],
    limits: Mapping[str, Bounds],
    kept: Mapping[str, int],
    uid: str,
    aggregated: bool,
) -> list[Target]:
    """``share`` on top of ``kept``, within ``limits``."""
    most = sum(each.maximum for each in limits.values())
    if most < share:
        raise Unschedulable(f"Clusters available replicas {most} within their bounds are not enough to schedule.")
    used = _fewest(votes, limits, kept, share) if aggregated else list(votes)
    given: dict[str, int] = dict(
        webster_within(share, {name: votes[name] for name in used}, {name: limits[name] for name in used}, uid)
    )
    return [Target(name, kept.get(name, 0) + given.get(name, 0)) for name in sorted(votes)]


def _fewest(votes: Mapping[str, int], limits: Mapping[str, Bounds], kept: Mapping[str, int], share: int) -> list[str]:
    """Those that need more, and of the others as few as can take the rest: first where something runs, then the roomiest."""
    ordered = sorted(votes, key=lambda name: votes[name], reverse=True)
    ordered.sort(key=lambda name: not kept.get(name))
    ordered.sort(key=lambda name: not limits[name].minimum)
    found: list[str] = []
    total = 0
    for name in ordered:
        if total >= share and not limits[name].minimum:
            break
        total += limits[name].maximum
        found.append(name)
    return found
