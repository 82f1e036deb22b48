"""What somebody who is refused is told: after how many seconds to come again. The more are refused, the later."""

from __future__ import annotations

from collections import deque
from typing import Final, final

LONGEST: Final = 32  # seconds


@final
class Drops:
    """Of one priority level. Doubled while three a second are refused for as long as was last said, and less by one second
    when fewer than one a second are, as TCP's congestion window."""

    def __init__(self) -> None:
        self.retry_after = 1
        self._raised = 0
        self._second = 0
        self._count = 0
        self._history: deque[tuple[int, int]] = deque()  # (second, refused in it), oldest first

    def record(self, now: float) -> None:
        """One is refused. ``now``: seconds."""
        second = int(now)
        if second == self._second:
            self._count += 1
            return
        self._history.append((self._second, self._count))
        while self._second - self._history[0][0] > min(2 * self.retry_after, LONGEST):
            self._history.popleft()
        self._second, self._count = second, 1
        self._reconsider(second)

    def _reconsider(self, second: int) -> None:
        refused = sum(count for at, count in self._history if second - at <= self.retry_after and at < second)
        if second - self._raised >= self.retry_after and refused >= 3 * self.retry_after:
            self.retry_after = min(2 * self.retry_after, LONGEST)
            self._raised = second
        elif refused < self.retry_after and self.retry_after > 1:
            self.retry_after -= 1
