"""Which FederatedHPAs select a pod: two that do would pull it in two directions."""

from __future__ import annotations

from typing import Final, final

from kafila.autoscaling.podset import PodSet
from kafila.core import sets
from kafila.core.resources import Key
from kafila.core.selectors import Selector

MOST: Final = 11  # autoscalers of one workload that are told of
_EQUALITY: Final = ("=", "==", "in")
_Place = tuple[str, ...]  # namespace, and label and value


@final
class SelectingAutoscalers:
    """What each autoscaler selected last, found by one label that its pods must have."""

    def __init__(self) -> None:
        self._selectors: dict[Key, Selector] = {}
        self._by_label: dict[_Place, set[Key]] = {}
        self._others: dict[_Place, set[Key]] = {}  # those that name no such label

    def put(self, key: Key, selector: Selector) -> None:
        known = self._selectors.get(key)
        if known is selector or known == selector:
            return
        self.forget(key)
        self._selectors[key] = selector
        places, where = self._place(key, selector)
        places.setdefault(where, set()).add(key)

    def forget(self, key: Key) -> None:
        selector = self._selectors.pop(key, None)
        if selector is None:
            return
        places, where = self._place(key, selector)
        sets.discard(places, where, key)

    def clear(self) -> None:
        for found in (self._selectors, self._by_label, self._others):
            found.clear()

    def of(self, namespace: str, pods: PodSet) -> set[Key]:
        """Those that select one of the pods, :data:`MOST` at most."""
        found: set[Key] = set()
        for labels in pods.labels:
            places = [self._others.get((namespace,), set())]
            places += [self._by_label.get((namespace, *label), set()) for label in labels.items()]
            for place in places:
                for key in place:
                    if self._selectors[key].matches(labels):
                        found.add(key)
                    if len(found) >= MOST:
                        return found
        return found

    def _place(self, key: Key, selector: Selector) -> tuple[dict[_Place, set[Key]], _Place]:
        for each in selector.requirements:
            if each.operator in _EQUALITY and len(each.values) == 1:
                return self._by_label, (key.namespace, each.key, each.values[0])
        return self._others, (key.namespace,)
