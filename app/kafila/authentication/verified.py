"""What was found out about tokens, for a short time: verifying a signature, or asking somebody, is not done for each request."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, Generic, NamedTuple, TypeVar, final

FOR: Final = 10.0  # seconds, as kube-apiserver
MOST: Final = 4096  # tokens

V = TypeVar("V")


class _Found(NamedTuple, Generic[V]):
    value: V
    until: float


@final
class Verified(Generic[V]):
    """Bounded in time and in number; tokens themselves are not kept. Only for what was found valid."""

    def __init__(self, seconds: float = FOR, most: int = MOST, now: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._most = most
        self._now = now
        self._found: dict[tuple[bytes, tuple[str, ...]], _Found[V]] = {}

    def get(self, token: str, audiences: Sequence[str] = ()) -> V | None:
        key = _key(token, audiences)
        found = self._found.get(key)
        if found is None:
            return None
        if found.until <= self._now():
            del self._found[key]
            return None
        return found.value

    def put(self, token: str, audiences: Sequence[str], value: V, seconds: float | None = None) -> V:
        """``seconds``: how long it is valid in any case, where that is known."""
        lasts = self._seconds if seconds is None else min(self._seconds, seconds)
        if lasts <= 0:
            return value
        key = _key(token, audiences)
        self._found.pop(key, None)
        while len(self._found) >= self._most:
            del self._found[next(iter(self._found))]
        self._found[key] = _Found(value, self._now() + lasts)
        return value

    def __len__(self) -> int:
        return len(self._found)


def _key(token: str, audiences: Sequence[str]) -> tuple[bytes, tuple[str, ...]]:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest(), tuple(audiences)
