"""What protects a member from us, and us from a member that is dead or hostile. Time comes from outside."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, final

from kafila.core.rates import Backoff

DEFAULT_QPS = 1000.0
DEFAULT_BURST = 2000


@final
class Faults:
    """What of a member's answers cannot be used. A fault ends when the same is answered well, or is not recorded again."""

    LASTING: Final = 120.0  # seconds; longer than any pause before something is asked for again
    MOST: Final = 100

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, float]] = {}

    def record(self, what: str, message: str, now: float) -> None:
        if what in self._found or len(self._found) < self.MOST:
            self._found[what] = message, now

    def mended(self, what: str) -> None:
        self._found.pop(what, None)

    def of(self, what: str) -> str:
        """Empty when there is none."""
        return self._found.get(what, ("", 0.0))[0]

    def current(self, now: float) -> str:
        """The first one's message, empty when there is none."""
        for what, (_, at) in list(self._found.items()):
            if now - at > self.LASTING:
                del self._found[what]
        return next((message for message, _ in self._found.values()), "")


@final
class CircuitBreaker:
    """Refuses quickly while a member is away, so that its work costs nothing until it may be back.

    After ``threshold`` failures in a row it opens; when its pause is over, one request at a time may try. Each failed try doubles the
    pause up to ``longest``. Only connection failures count: a member that answers, with whatever status, is there.
    """

    def __init__(
        self,
        threshold: int = 5,
        shortest: float = 0.5,
        longest: float = 15.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._threshold = threshold
        self._failures = 0
        self._backoff = Backoff(shortest, longest, jitter)
        self._until = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        return self._failures >= self._threshold

    def admits(self, now: float) -> bool:
        """Whether a request may go out. A caller that got True must report with ``succeeded``, ``failed`` or ``left``."""
        if not self.open:
            return True
        if now < self._until or self._trying:
            return False
        self._trying = True
        return True

    def remaining(self, now: float) -> float:
        """Seconds until a try makes sense; 0 when closed."""
        return max(0.0, self._until - now) if self.open else 0.0

    def succeeded(self) -> None:
        self._failures, self._trying = 0, False
        self._backoff.reset()

    def failed(self, now: float) -> None:
        self._failures += 1
        # Requests that were under way when it opened fail late; only the first failure and failed tries set the pause.
        if self._failures == self._threshold or self._trying:
            self._until = now + self._backoff.failed()
        self._trying = False

    def left(self) -> None:
        """The request ended without telling anything about the member (it was cancelled here)."""
        self._trying = False
