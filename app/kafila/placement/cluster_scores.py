"""Replicas in proportion to a ClusterScore (cost, carbon, …): annotations of policies, ours, that their bindings carry.

Karmada has nothing like it. They refine ``dynamicWeight``: what clusters have room for is still asked, and is what counts where
a score cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.errors import FieldError
from kafila.core.names import dns1123_label
from kafila.core.values import AnyObject

WEIGHT_BY: Final = "placement.kafila.io/weight-by"  # the name of a ClusterScore: twice as much gets twice as many
INVERSE: Final = "placement.kafila.io/inverse-weight-by"  # the name of one: twice as much gets half as many
ANNOTATIONS: Final = (WEIGHT_BY, INVERSE)
EVENT_NOT_USED: Final = "ClusterScoreNotUsed"
EARLY: Final = 60.0  # seconds that the clock of who writes scores may be ahead
_SCALE: Final = 10**12  # of what is divided by a value


class Score(NamedTuple):
    """``values`` by cluster; times in Unix seconds."""

    values: Mapping[str, int]
    renewed: float
    ttl: float


class Weighting(NamedTuple):
    """``used``: annotations and their scores; ``by`` and ``not_used``: which scores these are, in words."""

    used: tuple[tuple[str, Score], ...]
    by: tuple[str, ...]
    not_used: tuple[str, ...]

    def of(self, cluster: str) -> int | None:
        """The weight of a cluster; None where no score can be used.

        A cluster without a value weighs nothing, and so gets replicas only where the others have no room.
        """
        if not self.used:
            return None
        weight = _SCALE
        for annotation, score in self.used:
            value = score.values.get(cluster)
            if value is None:
                return 0
            weight = weight * value if annotation == WEIGHT_BY else weight // max(value, 1)
        return weight


def score_of(obj: AnyObject) -> Score:
    """Of a ClusterScore as it is stored."""
    spec = obj["spec"]
    values = {each["cluster"]: each["value"] for each in spec["scores"]}
    return Score(values, parse_rfc3339(spec["renewTime"]), spec["ttlSeconds"])


def weighting(annotations: Mapping[str, str], find: Callable[[str], Score | None], now: float) -> Weighting | None:
    """What the annotations of a binding ask for; None: nothing. ``find``: a ClusterScore by name, ``now``: Unix seconds."""
    used: list[tuple[str, Score]] = []
    by: list[str] = []
    not_used: list[str] = []
    for annotation in ANNOTATIONS:
        if annotation not in annotations:
            continue
        name = annotations[annotation]
        score = find(name)
        if score is None or (why := _unusable(score, now)):
            not_used.append(f"{name}: {why if score is not None else 'there is no such ClusterScore'}")
        else:
            used.append((annotation, score))
            by.append(f"{name} ({'more' if annotation == WEIGHT_BY else 'less'} gets more)")
    if not used and not not_used:
        return None
    return Weighting(tuple(used), tuple(by), tuple(not_used))


def _unusable(score: Score, now: float) -> str:
    if score.renewed > now + EARLY:
        return f"it is dated {rfc3339(score.renewed)}, which is to come"
    if score.renewed + score.ttl < now:
        return f"it is stale since {rfc3339(score.renewed + score.ttl)}"
    return ""


def problems(annotations: Mapping[str, str], is_by_room: bool) -> Iterable[FieldError]:
    """``is_by_room``: does the policy divide by dynamicWeight?"""
    for annotation in ANNOTATIONS:
        if annotation not in annotations:
            continue
        path, name = f"metadata.annotations[{annotation}]", annotations[annotation]
        if why := dns1123_label(name):
            yield FieldError.invalid(path, name, "; ".join(why))
        if not is_by_room:
            text = (
                "scores are weights of replicas that are divided by dynamicWeight: spec.placement.replicaScheduling."
                "weightPreference.dynamicWeight AvailableReplicas"
            )
            yield FieldError.forbidden(path, text)
