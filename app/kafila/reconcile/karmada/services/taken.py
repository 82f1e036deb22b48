"""How many EndpointSlices are taken of one member, whoever collects them: in pull mode that is its own agent."""

from __future__ import annotations

from typing import Final, final

from kafila.core.resources import Key

MOST: Final = 20_000  # slices of one member


@final
class TakenSlices:
    """Keys are the Works that hold the slices; the first MOST of each execution namespace have a place."""

    def __init__(self) -> None:
        self._taken: dict[str, set[Key]] = {}  # by execution namespace
        self._refused: dict[str, dict[Key, None]] = {}  # the same, in order
        self._told: dict[str, set[Key]] = {}  # who knows that some are refused

    def clear(self) -> None:
        for table in (self._taken, self._refused, self._told):
            table.clear()

    def admit(self, key: Key) -> bool:
        """Whether it has a place."""
        taken = self._taken.setdefault(key.namespace, set())
        if key not in taken and len(taken) >= MOST:
            self._refused.setdefault(key.namespace, {})[key] = None
            return False
        taken.add(key)
        self._without_refused(key)
        return True

    def release(self, key: Key) -> Key | None:
        """It needs none. Returns one that was refused and may have it, which is to be looked at again."""
        space = key.namespace
        self._taken.get(space, set()).discard(key)
        self._without_refused(key)
        waiting = self._refused.get(space)
        if not self._taken.get(space):
            self._taken.pop(space, None)
        if not waiting or len(self._taken.get(space, ())) >= MOST:
            return None
        return next(iter(waiting))

    def is_news(self, key: Key, about: Key) -> bool:
        """Whether ``about`` has not been told yet that some of that member are refused."""
        told = self._told.setdefault(key.namespace, set())
        if about in told:
            return False
        told.add(about)
        return True

    def _without_refused(self, key: Key) -> None:
        waiting = self._refused.get(key.namespace)
        if waiting is not None:
            waiting.pop(key, None)
            if not waiting:
                del self._refused[key.namespace]
                self._told.pop(key.namespace, None)


def refusal(cluster: str) -> str:
    return f"EndpointSlices of cluster {cluster} are not taken: {MOST} of this cluster are taken already"
