"""The choice of regions: each is scored by its clusters, and the best feasible combination of regions wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_WEIGHT_UNIT: Final = 1000


@dataclass(frozen=True, slots=True)
class Region:
    name: str
    value: int  # how many clusters it has
    weight: int  # its score


def region_score(
    clusters: Sequence[tuple[int, int]], replicas: int, duplicated: bool, min_groups: int, min_clusters: int
) -> int:
    """``clusters``: (available replicas, score) of each in order of preference.

    What a region can hold counts a thousand times as much as the score of its clusters.
    """
    if duplicated:
        scores = [score for available, score in clusters if available >= replicas]
        return len(scores) * _WEIGHT_UNIT + sum(scores) // len(scores) if scores else 0
    # Go divides by zero to infinity here; without a minimum one region must be able to take everything.
    wanted = -(-replicas // min_groups) if min_groups > 0 else replicas
    found = total = visited = 0
    for available, score in clusters:
        found, total, visited = found + available, total + score, visited + 1
        if visited >= min_clusters and found >= wanted:
            break
    if found < wanted:
        return found * _WEIGHT_UNIT + total // len(clusters)
    return wanted * _WEIGHT_UNIT + total // visited


@dataclass(frozen=True, slots=True)
class _Path:
    id: int
    regions: tuple[Region, ...]  # by weight, then name

    @property
    def weight(self) -> int:
        return sum(region.weight for region in self.regions)

    @property
    def value(self) -> int:
        return sum(region.value for region in self.regions)


def choose_regions(regions: Sequence[Region], fewest: int, most: int, min_clusters: int) -> tuple[Region, ...]:
    """The best combination of ``fewest`` to ``most`` regions that has ``min_clusters`` clusters; empty when there is none."""
    paths = _feasible_paths(
        sorted(regions, key=lambda region: (region.value, -region.weight, region.name)), fewest, most, min_clusters
    )
    if not paths:
        return ()
    paths.sort(key=lambda path: (-path.weight, -path.value, path.id))
    best = paths[0].regions
    for path in paths[1:]:
        # A shorter beginning of the best path does as well, with fewer regions.
        if len(path.regions) < len(best) and best[: len(path.regions)] == path.regions:
            best = path.regions
    return best


def _feasible_paths(regions: Sequence[Region], fewest: int, most: int, min_clusters: int) -> list[_Path]:
    """Combinations found depth first; a combination that is enough is not extended."""
    paths: list[_Path] = []
    if len(regions) == fewest:
        # There is no choice: all of them or none.
        if len(regions) <= most and sum(region.value for region in regions) >= min_clusters:
            paths.append(_Path(1, _by_weight(regions)))
        return paths
    current: list[Region] = []

    def descend(value: int, begin: int) -> None:
        if value >= min_clusters and fewest <= len(current) <= most:
            paths.append(_Path(len(paths) + 1, _by_weight(current)))
            return
        if len(current) >= most:
            return
        for index in range(begin, len(regions)):
            current.append(regions[index])
            descend(value + regions[index].value, index + 1)
            current.pop()

    descend(0, 0)
    return paths


def _by_weight(regions: Sequence[Region]) -> tuple[Region, ...]:
    return tuple(sorted(regions, key=lambda region: (-region.weight, region.name)))
