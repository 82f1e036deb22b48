"""Writes for many clusters: staged one after the other, and committed as soon as a portion of them is full."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

from kafila.registry import sizes
from kafila.registry.context import Change

PORTION: Final = 4 << 20  # bytes: what is brought to hundreds of clusters is never in memory for all of them
TOGETHER: Final = 100  # writes: few enough that none of their objects changes before they are committed


@final
class Portions:
    """``commit``: all or nothing, as ``Registry.commit_together``. ``written``: told of each cluster whose change is committed."""

    def __init__(
        self,
        commit: Callable[[Sequence[Change]], Awaitable[object]],
        written: Callable[[str], object] = lambda cluster: None,
    ) -> None:
        self._commit = commit
        self._written = written
        self._staged: list[tuple[str, Change]] = []
        self._size = 0  # bytes

    async def add(self, cluster: str, change: Change) -> None:
        """Raises what ``commit`` raises; what was committed before stays."""
        size = sizes.size_of(change)
        if self._size + size > PORTION or len(self._staged) >= TOGETHER:
            await self.finish()
        self._staged.append((cluster, change))
        self._size += size

    async def finish(self) -> None:
        """Commits what is left. Raises what ``commit`` raises."""
        staged, self._staged, self._size = self._staged, [], 0
        if not staged:
            return
        await self._commit([change for _, change in staged])
        for cluster, _ in staged:
            self._written(cluster)
