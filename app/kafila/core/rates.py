"""How often something is done: back-off after failures, and token buckets. Time and chance come from outside."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Final, final

_MOST_STEPS: Final = 30
WEBHOOK_FACTOR: Final = 1.5  # of Kubernetes' retries of webhooks


def exponential(failures: int, first: float, longest: float = math.inf, factor: float = 2.0) -> float:
    """Seconds after so many failures before this one: ``first``, ``factor`` times as long with each, at most ``longest``."""
    grown: float = first * factor ** min(failures, _MOST_STEPS)
    return min(grown, longest)


@final
class Backoff:
    """For who fails again and again. Half of each pause is left to chance: who failed together must not come back together."""

    def __init__(self, first: float, longest: float, jitter: Callable[[], float] = random.random) -> None:
        """``jitter``: from 0 to 1."""
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self.failures = 0

    def failed(self) -> float:
        """The seconds to wait now."""
        pause = exponential(self.failures, self._first, self._longest)
        self.failures += 1
        return pause * (0.5 + 0.5 * self._jitter())

    def reset(self) -> None:
        self.failures = 0


@final
class TokenBucket:
    """At most ``burst`` at once and ``qps`` per second over time. ``qps`` 0 means no limit."""

    __slots__ = ("_at", "_burst", "_qps", "_tokens")

    def __init__(self, qps: float, burst: float) -> None:
        self._qps = qps
        self._burst = float(max(burst, 1))
        self._tokens = self._burst
        self._at = 0.0

    def available(self, now: float) -> float:
        """Below 0 while others wait."""
        return min(self._burst, self._tokens + max(0.0, now - self._at) * self._qps)

    def reserve(self, now: float) -> float:
        """Takes a token and says how many seconds to wait for it. Those who wait are served in order."""
        if self._qps <= 0:
            return 0.0
        self._tokens = self.available(now) - 1.0
        self._at = max(self._at, now)
        return 0.0 if self._tokens >= 0 else -self._tokens / self._qps

    def take(self, now: float) -> bool:
        """Takes a token where there is one."""
        if self._qps > 0 and self.available(now) < 1.0:
            return False
        self.reserve(now)
        return True
