"""PriorityClasses, which the priority of bindings comes from."""

from __future__ import annotations

from typing import final

from kafila.core.feature_gates import PRIORITY_BASED_SCHEDULING, Gates
from kafila.watch import Cache

PRIORITY_CLASSES = "priorityclasses.scheduling.k8s.io"


@final
class PriorityClasses:
    def __init__(self, cache: Cache, gates: Gates) -> None:
        self._cache = cache
        self._on = PRIORITY_BASED_SCHEDULING in gates
        self._values: dict[str, int] | None = None
        cache.listen(PRIORITY_CLASSES, lambda event: self._forget())
        cache.on_reset(self._forget)

    def _forget(self) -> None:
        self._values = None

    def values(self) -> dict[str, int]:
        """The value of each PriorityClass, as far as anybody asks. Do not change it."""
        if not self._on:
            return {}
        if self._values is None:
            entries = self._cache.resource(PRIORITY_CLASSES).entries()
            self._values = {entry.key.name: entry.decode().get("value") or 0 for entry in entries}
        return self._values
