"""The Webster method (Sainte-Laguë): seats in proportion to votes, without bounds and within them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kafila.core.hashes import fnv1a_32
from kafila.placement.replica_bounds import Bounds

# Up to this many seats per party a plain queue is quicker than to reckon the first seats at once.
_SEATS_BY_QUEUE: Final = 8
_HALVINGS: Final = 128  # of an interval of divisors at most: more than a float tells apart
_APART: Final = 1 + 1e-9  # quotients that are closer than this are compared one by one


class Target(NamedTuple):
    name: str
    replicas: int


def webster(seats: int, votes: Mapping[str, int], uid: str = "") -> list[Target]:
    """Give ``seats`` one by one to the party with the greatest ``votes / (2·its seats + 1)``; sorted by name, zeros included.

    Ties: fewer seats first, then the name; ascending, or descending where the FNV-1a hash of ``uid`` is odd, so that not every
    resource favours the same cluster. All seats are given away when there is a party at all.
    """
    if not votes:
        return []
    descending = bool(uid) and fnv1a_32(uid.encode()) & 1 == 1
    parties = sorted(votes, reverse=descending)
    ranked = [votes[party] for party in parties]
    given = _first_seats(seats, ranked)
    queue = [
        (-(vote / (2 * count + 1)), count, rank, vote)
        for rank, (vote, count) in enumerate(zip(ranked, given, strict=True))
    ]
    heapq.heapify(queue)
    for _ in range(seats - sum(given)):
        _, count, rank, vote = queue[0]
        given[rank] = count + 1
        heapq.heapreplace(queue, (-(vote / (2 * count + 3)), count + 1, rank, vote))
    result = list(map(Target, parties, given))
    return result[::-1] if descending else result


def _first_seats(seats: int, votes: Sequence[int]) -> list[int]:
    """Seats that the queue would give first, all at once: those whose quotient reaches a divisor that is surely too great.

    With divisor d the party with v votes has floor(v/d + 1/2) seats; for d = sum/(seats - parties) these are at most
    seats - parties/2, and every seat given has a greater quotient than every seat not given.
    """
    parties, total = len(votes), sum(votes)
    if seats <= parties * _SEATS_BY_QUEUE or total <= 0:
        return [0] * parties
    enough = seats - parties
    return [(2 * vote * enough + total) // (2 * total) for vote in votes]


def spread_by_targets(seats: int, weights: Iterable[Target], uid: str = "") -> list[Target]:
    """Divide ``seats`` in proportion to the replicas of ``weights``; nothing when they have none."""
    votes = dict(weights)
    return webster(seats, votes, uid) if sum(votes.values()) else []


def webster_within(seats: int, votes: Mapping[str, int], bounds: Mapping[str, Bounds], uid: str = "") -> list[Target]:
    """As `webster` gives them, but that each begins with its minimum and ends at its maximum.

    So parties that no bound touches share in proportion to their votes. One without votes has its minimum, and more only where
    all others are at their maximum. ``bounds``: of every party. Raises ValueError where minimums or maximums leave no
    division; ties are broken as there.
    """
    least, most = (sum(each[end] for each in bounds.values()) for end in (0, 1))
    if not least <= seats <= most:
        raise ValueError(f"{seats} seats where there are {least} to {most}")
    descending = bool(uid) and fnv1a_32(uid.encode()) & 1 == 1
    parties = sorted(votes, reverse=descending)
    voted = [party for party in parties if votes[party] > 0]
    others = [party for party in parties if votes[party] <= 0]
    reserved = sum(bounds[party].minimum for party in others)
    first = min(seats - reserved, sum(bounds[party].maximum for party in voted))
    given = _divided(first, [votes[party] for party in voted], [bounds[party] for party in voted])
    rest = _divided(seats - first, [1] * len(others), [bounds[party] for party in others])
    return sorted(map(Target, [*voted, *others], [*given, *rest]))


def _divided(seats: int, votes: Sequence[int], bounds: Sequence[Bounds]) -> list[int]:
    """In the order of the parties, which is their rank in ties."""
    given = _first_seats_within(seats, votes, bounds)
    queue = [
        (-(vote / (2 * count + 1)), count, rank)
        for rank, (vote, count, bound) in enumerate(zip(votes, given, bounds, strict=True))
        if count < bound.maximum
    ]
    heapq.heapify(queue)
    for _ in range(seats - sum(given)):
        _, count, rank = heapq.heappop(queue)
        given[rank] = count + 1
        if count + 1 < bounds[rank].maximum:
            heapq.heappush(queue, (-(votes[rank] / (2 * count + 3)), count + 1, rank))
    return given


def _first_seats_within(seats: int, votes: Sequence[int], bounds: Sequence[Bounds]) -> list[int]:
    """Those that are surely theirs, all at once: what a divisor gives that is a little too great to give all seats."""

    def seats_by(divisor: float) -> list[int]:
        return [
            min(max(int(vote / divisor + 0.5), bound.minimum), bound.maximum)
            for vote, bound in zip(votes, bounds, strict=True)
        ]

    great = 2.0 * max(votes, default=0) + 1  # gives nothing but the minimums
    small = 0.0
    for _ in range(_HALVINGS):
        middle = (small + great) / 2
        if middle in (small, great):
            break
        given = sum(seats_by(middle))
        if given > seats:
            small = middle
            continue
        great = middle
        if seats - given <= len(votes):
            break  # the queue gives the rest as quickly
    return seats_by(great * _APART)
