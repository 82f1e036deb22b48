"""From what metrics propose to what is scaled to: stabilization, policies of the behaviour, and the bounds of the autoscaler."""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
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
class _Extremes:
    """The highest number (or the lowest) since a time, without going through all of them: what a later one outdoes can never be it."""

    def __init__(self, is_better: Callable[[int, int], bool]) -> None:
        self._is_better = is_better
        self._entries: list[Dated] = []  # each better than all that follow

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Dated) -> None:
        entries = self._entries
        while entries and not self._is_better(entries[-1].replicas, entry.replicas):
            entries.pop()
        entries.append(entry)
        if len(entries) > MOST_REMEMBERED:
            del entries[0]

    def forget(self, cutoff: float) -> None:
        if self._entries and self._entries[0].at < cutoff:
            del self._entries[: bisect_left(self._entries, cutoff, key=_at)]

    def after(self, cutoff: float) -> int | None:
        index = bisect_right(self._entries, cutoff, key=_at)
        return self._entries[index].replicas if index < len(self._entries) else None

    def since(self, cutoff: float) -> int | None:
        index = bisect_left(self._entries, cutoff, key=_at)
        return self._entries[index].replicas if index < len(self._entries) else None


@final
class _Scaled:
    """By how many replicas it was scaled: each entry has the sum of all up to it."""

    def __init__(self) -> None:
        self._sums: list[Dated] = []
        self._forgotten = 0  # the sum of what is not in them any more

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, replicas: int, at: float, longest: float) -> None:
        """``longest``: seconds that anybody looks back."""
        gone = max(bisect_left(self._sums, at - longest, key=_at), len(self._sums) - MOST_REMEMBERED + 1)
        if gone > 0:
            self._forgotten = self._sums[gone - 1].replicas
            del self._sums[:gone]
        self._sums.append(Dated(self._total() + replicas, at))

    def after(self, cutoff: float) -> int:
        index = bisect_right(self._sums, cutoff, key=_at)
        return self._total() - (self._sums[index - 1].replicas if index else self._forgotten)

    def _total(self) -> int:
        return self._sums[-1].replicas if self._sums else self._forgotten


def _at(entry: Dated) -> float:
    return entry.at


@final
class History:
    """What was recommended and done for one autoscaler, as long as a window or a policy looks back."""

    def __init__(self) -> None:
        self.highest, self.lowest = _Extremes(operator.gt), _Extremes(operator.lt)
        self.ups, self.downs = _Scaled(), _Scaled()

    def begin(self, current: int, now: float) -> None:
        """What is there at first counts as recommended."""
        if not self.highest:
            self._add(Dated(current, now))

    def recommend(self, replicas: int, now: float, window: float) -> None:
        """``window``: seconds that anybody looks back."""
        self.highest.forget(now - window)
        self.lowest.forget(now - window)
        self._add(Dated(replicas, now))

    def _add(self, entry: Dated) -> None:
        self.highest.add(entry)
        self.lowest.add(entry)

    def scaled(self, behavior: AnyObject | None, before: int, after: int, now: float) -> None:
        """Only behaviours have policies that look at it."""
        if behavior is None:
            return
        rules = behavior["scaleUp"] if after > before else behavior["scaleDown"]
        longest = max((policy["periodSeconds"] for policy in rules.get("policies") or ()), default=0)
        if after > before:
            self.ups.add(after - before, now, longest)
        else:
            self.downs.add(before - after, now, longest)


def normalized(
    behavior: AnyObject | None, history: History, current: int, proposed: int, bounds: Bounds, window: float, now: float
) -> Normalized:
    """``behavior``: with its defaults, None for none. ``window``: seconds for which no scaling down forgets what was recommended,
    where the behaviour does not say. The proposal is remembered in ``history``."""
    if behavior is None:
        recent = history.highest.since(now - window)
        stable = proposed if recent is None else max(proposed, recent)
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
    lowest, highest = history.lowest.after(now - up_window), history.highest.after(now - down_window)
    lowest = proposed if lowest is None else min(proposed, lowest)
    highest = proposed if highest is None else max(proposed, highest)
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
    return current - history.ups.after(cutoff) + history.downs.after(cutoff)
