"""Keys that wait for a member that does not answer: one of them is tried now and then, and all go on when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, final

K = TypeVar("K", bound=Hashable)
SHORTEST = 0.5  # seconds between tries


@final
class UnreachableKeys(Generic[K]):
    """``add(key, background)`` gives a key back to its queue; ``pause`` says for how many seconds a try is of no use."""

    def __init__(self, add: Callable[[K, bool], None], pause: Callable[[], float], shortest: float = SHORTEST) -> None:
        self._add = add
        self._pause = pause
        self._shortest = shortest
        self._keys: dict[K, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: K) -> None:
        self._keys[key] = None
        self._arm()

    def release(self) -> None:
        """The member answered."""
        keys, self._keys = self._keys, {}
        for key in keys:
            self._add(key, True)

    def close(self) -> None:
        self._keys.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is None and self._keys:
            self._timer = asyncio.get_running_loop().call_later(max(self._pause(), self._shortest), self._probe)

    def _probe(self) -> None:
        self._timer = None
        if self._keys:
            key = next(iter(self._keys))
            del self._keys[key]
            self._add(key, False)
        self._arm()  # also when the one that is tried comes to nothing: its Work may be gone
