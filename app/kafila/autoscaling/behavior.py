"""From what metrics propose to what is scaled to: stabilization, policies of the behaviour, and the bounds of the autoscaler."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, final

from kafila.core.values import AnyObject

SCALE_UP_FACTOR: Final = 2.0
SCALE_UP_MINIMUM: Final = 4.0
MOST_REMEMBERED: Final = (
    4096  # entries of each kind for one autoscaler: an hour has 240, unless it is edited all the time
)
_IN_RANGE: Final = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_MANY: Final = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW: Final = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_UP_LIMIT: Final = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_DOWN_LIMIT: Final = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
_READY: Final = ("ReadyForNewScale", "recommended size matches current size")
_DOWN_STABILIZED: Final = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
_UP_STABILIZED: Final = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
Said = tuple[str, str]  # reason and message


class Dated(NamedTuple):
    """A number of replicas at a time (seconds of a clock that nobody sets): a recommendation, or by how many it was scaled."""

    replicas: int
    at: float


class Bounds(NamedTuple):
    lowest: int
    highest: int


class Normalized(NamedTuple):
    """``able`` goes into the condition AbleToScale, ``limited`` and ``why_limited`` into ScalingLimited."""

    replicas: int
    able: Said
    limited: bool
    why_limited: Said


@final
class History:
    """What was recommended and done for one autoscaler, as long as a window or a policy looks back."""

    def __init__(self) -> None:
        self.recommended: list[Dated] = []
        self.ups: list[Dated] = []
        self.downs: list[Dated] = []

    def begin(self, current: int, now: float) -> None:
        """What is there at first counts as recommended."""
        if not self.recommended:
            self.recommended.append(Dated(current, now))

    def recommend(self, replicas: int, now: float, window: float) -> None:
        """``window``: seconds that anybody looks back."""
        self.recommended = _kept(self.recommended, now - window)
        self.recommended.append(Dated(replicas, now))

    def scaled(self, behavior: AnyObject | None, before: int, after: int, now: float) -> None:
        """Only behaviours have policies that look at it."""
        if behavior is None:
            return
        rules = behavior["scaleUp"] if after > before else behavior["scaleDown"]
        longest = max((policy["periodSeconds"] for policy in rules.get("policies") or ()), default=0)
        if after > before:
            self.ups = [*_kept(self.ups, now - longest), Dated(after - before, now)]
        else:
            self.downs = [*_kept(self.downs, now - longest), Dated(before - after, now)]


def _kept(entries: list[Dated], cutoff: float) -> list[Dated]:
    return [entry for entry in entries if entry.at >= cutoff][-MOST_REMEMBERED + 1 :]


def normalized(
    behavior: AnyObject | None, history: History, current: int, proposed: int, bounds: Bounds, window: float, now: float
) -> Normalized:
    """``behavior``: with its defaults, None for none. ``window``: seconds for which no scaling down forgets what was recommended,
    where the behaviour does not say. The proposal is remembered in ``history``."""
    if behavior is None:
        stable = max([proposed, *(entry.replicas for entry in history.recommended if entry.at >= now - window)])
        history.recommend(proposed, now, window)
        able = _DOWN_STABILIZED if stable != proposed else _READY
        replicas, why = _bounded(current, stable, bounds)
    else:
        stable = _stabilized(behavior, history, current, proposed, window, now)
        stabilized = _UP_STABILIZED if proposed >= current else _DOWN_STABILIZED
        able = stabilized if stable != proposed else _READY
        replicas, why = _at_rate(behavior, history, current, stable, bounds, now)
    return Normalized(replicas, able, replicas != stable, why)


def _bounded(current: int, desired: int, bounds: Bounds) -> tuple[int, Said]:
    """No more than twice as many at once, or four: a wrong sample must not fill the clusters."""
    limit = int(max(SCALE_UP_FACTOR * current, SCALE_UP_MINIMUM))
    if desired < bounds.lowest:
        return bounds.lowest, _TOO_FEW
    if desired > min(bounds.highest, limit):
        return (limit, _UP_LIMIT) if bounds.highest > limit else (bounds.highest, _TOO_MANY)
    return desired, _IN_RANGE


def _stabilized(behavior: AnyObject, history: History, current: int, proposed: int, window: float, now: float) -> int:
    up_window = behavior["scaleUp"].get("stabilizationWindowSeconds") or 0
    given = behavior["scaleDown"].get("stabilizationWindowSeconds")
    down_window = window if given is None else given
    lowest = highest = proposed
    for entry in history.recommended:
        if entry.at > now - up_window:
            lowest = min(lowest, entry.replicas)
        if entry.at > now - down_window:
            highest = max(highest, entry.replicas)
    history.recommend(proposed, now, max(up_window, down_window))
    return min(max(current, lowest), highest)


def _at_rate(
    behavior: AnyObject, history: History, current: int, desired: int, bounds: Bounds, now: float
) -> tuple[int, Said]:
    if desired > current:
        limit = max(_up_limit(behavior["scaleUp"], history, current, now), current)
        allowed, why = (limit, _UP_LIMIT) if bounds.highest > limit else (bounds.highest, _TOO_MANY)
        if desired > allowed:
            return allowed, why
    elif desired < current:
        limit = min(_down_limit(behavior["scaleDown"], history, current, now), current)
        allowed, why = (limit, _DOWN_LIMIT) if bounds.lowest < limit else (bounds.lowest, _TOO_FEW)
        if desired < allowed:
            return allowed, why
    return desired, _IN_RANGE


def _up_limit(rules: AnyObject, history: History, current: int, now: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in rules.get("policies") or ():
        start = _at_start(policy, history, current, now)
        share = math.ceil(start * (1 + policy["value"] / 100))
        limits.append(start + policy["value"] if policy["type"] == "Pods" else share)
    return _selected(limits, least=rules.get("selectPolicy") == "Min", otherwise=current)


def _down_limit(rules: AnyObject, history: History, current: int, now: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in rules.get("policies") or ():
        start = _at_start(policy, history, current, now)
        share = int(start * (1 - policy["value"] / 100))
        limits.append(start - policy["value"] if policy["type"] == "Pods" else share)
    return _selected(limits, least=rules.get("selectPolicy") != "Min", otherwise=current)


def _selected(limits: Sequence[int], least: bool, otherwise: int) -> int:
    if not limits:
        return otherwise
    return min(limits) if least else max(limits)


def _at_start(policy: AnyObject, history: History, current: int, now: float) -> int:
    """Replicas at the beginning of the policy's period."""
    cutoff = now - policy["periodSeconds"]
    return current - _since(history.ups, cutoff) + _since(history.downs, cutoff)


def _since(entries: Iterable[Dated], cutoff: float) -> int:
    return sum(entry.replicas for entry in entries if entry.at > cutoff)
