"""How worker processes share member clusters out among themselves: pure, so that each comes to the same result by itself.

A cluster belongs to a shard, by the hash of its name; a shard is one process's at a time, by a lease. Who has which one follows from
three things that all of them read in the database: who is there, who holds what, and how many clusters each shard has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kafila.core.hashes import fnv1a_32

SHARDS: Final = 64
"""Never to be changed while processes of another number run: they would share the same clusters out in two ways."""


class Plan(NamedTuple):
    """What one process has to do: shards that it may take, and shards that another one is to have."""

    take: list[int]
    give: list[int]


def shard_of(cluster: str) -> int:
    return fnv1a_32(cluster.encode()) % SHARDS


def weights_of(clusters: Iterable[str]) -> list[int]:
    """How much work each shard is. Clusters count; where they are even, so do shards, for clusters that are still to come."""
    weights = [1] * SHARDS
    for cluster in clusters:
        weights[shard_of(cluster)] += SHARDS
    return weights


def owners(weights: Sequence[int], holders: Mapping[int, str], workers: Collection[str]) -> list[str]:
    """Who is to have each shard: as it is, but that what nobody who is there has goes to whoever has least, and that a shard
    moves from who has most to who has least as long as that makes them more equal. ``workers``: not empty."""
    loads = dict.fromkeys(sorted(workers), 0)
    found = [holder if (holder := holders.get(shard, "")) in loads else "" for shard in range(len(weights))]
    for shard, owner in enumerate(found):
        if owner:
            loads[owner] += weights[shard]
    for free in sorted((s for s, owner in enumerate(found) if not owner), key=lambda s: (-weights[s], s)):
        _give(free, _least(loads), found, weights, loads)
    while (moving := _uneven(weights, found, loads)) is not None:
        _give(moving, _least(loads), found, weights, loads)
    return found


def plan(weights: Sequence[int], holders: Mapping[int, str], workers: Collection[str], me: str) -> Plan:
    """``workers``: ``me`` among them."""
    wanted = owners(weights, holders, workers)
    mine = [shard for shard, holder in holders.items() if holder == me]
    taken = {shard for shard, holder in holders.items() if holder in workers}
    return Plan(
        [shard for shard, owner in enumerate(wanted) if owner == me and shard not in taken],
        sorted(shard for shard in mine if wanted[shard] != me),
    )


def _least(loads: Mapping[str, int]) -> str:
    return min(loads, key=lambda worker: (loads[worker], worker))


def _give(shard: int, to: str, found: list[str], weights: Sequence[int], loads: dict[str, int]) -> None:
    if found[shard]:
        loads[found[shard]] -= weights[shard]
    found[shard] = to
    loads[to] += weights[shard]


def _uneven(weights: Sequence[int], found: Sequence[str], loads: Mapping[str, int]) -> int | None:
    """The shard of the busiest that brings it nearest to the idlest; None: every one would only turn the two around."""
    most = max(loads, key=lambda worker: (loads[worker], worker))
    gap = loads[most] - min(loads.values())
    candidates = (shard for shard, owner in enumerate(found) if owner == most and weights[shard] < gap)
    return min(candidates, key=lambda shard: (abs(gap - 2 * weights[shard]), shard), default=None)
