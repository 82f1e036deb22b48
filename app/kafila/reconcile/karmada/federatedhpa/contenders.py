"""Which autoscalers want the same workload: HorizontalPodAutoscalers in its clusters, other FederatedHPAs, replicas by the clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, NamedTuple, final

from kafila.core import sets
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Entry, Event

FEDERATED: Final = "federatedhpas.autoscaling.karmada.io"
CRON: Final = "cronfederatedhpas.autoscaling.karmada.io"
PODS: Final = "horizontalpodautoscalers.autoscaling"
SHOWN: Final = 10  # others that one message names
_KINDS: Final = {FEDERATED: "FederatedHPA", CRON: "CronFederatedHPA", PODS: "HorizontalPodAutoscaler"}


class Target(NamedTuple):
    """What an autoscaler's ``scaleTargetRef`` names."""

    namespace: str
    group: str
    kind: str
    name: str


@final
class Contenders:
    """Autoscalers by their target. ``changed`` is called with a target that has one more, or one less."""

    def __init__(self, registry: Registry, changed: Callable[[Target], None]) -> None:
        self._registry = registry
        self._changed = changed
        self._targets: dict[Key, Target] = {}
        self._by_target: dict[Target, set[Key]] = {}
        self._first: dict[Target, list[tuple[str, str]]] = {}  # kinds and names, as far as they are shown
        self.load()
        for resource in _KINDS:
            registry.cache.listen(resource, self._observe)
        registry.cache.on_reset(self.load)

    def load(self) -> None:
        for found in (self._targets, self._by_target, self._first):
            found.clear()
        for resource in _KINDS:
            for entry in self._registry.cache.resource(resource).entries():
                self._put(entry.key, self._target_of(entry))

    def of(self, target: Target) -> set[Key]:
        return self._by_target.get(target, set())

    def rivals(self, key: Key, target: Target) -> str:
        """The first of the others, as a text: ``FederatedHPA "web2", HorizontalPodAutoscaler "web"``; "" for none."""
        first = self._first.get(target)
        if first is None:  # looked for once, however many ask
            found = [(_KINDS[each.resource], each.name) for each in self.of(target)]
            first = self._first[target] = heapq.nsmallest(SHOWN + 1, found)
        own = (_KINDS[key.resource], key.name)
        return ", ".join(f'{kind} "{name}"' for kind, name in [each for each in first if each != own][:SHOWN])

    def _observe(self, event: Event) -> None:
        if event.key.resource != PODS and not event.generation_changed:  # which have no generation
            return
        new = event.new
        before, after = self._targets.get(event.key), self._target_of(new) if new is not None else None
        if before == after:
            return
        self._put(event.key, after)
        for target in (before, after):
            if target is not None and len(self.of(target)) <= SHOWN + 1:  # with more, nothing new would be said
                self._changed(target)

    def _put(self, key: Key, target: Target | None) -> None:
        before = self._targets.pop(key, None)
        if before is not None:
            self._first.pop(before, None)
            sets.discard(self._by_target, before, key)
        if target is not None:
            self._first.pop(target, None)
            self._targets[key] = target
            self._by_target.setdefault(target, set()).add(key)

    def _target_of(self, entry: Entry) -> Target | None:
        """None for one that scales nothing here: a HorizontalPodAutoscaler that goes to no cluster, or one by the clock that
        scales an autoscaler."""
        labels = entry.meta.labels or {}
        if entry.key.resource == PODS and not is_propagated(labels):
            return None
        kind = self._registry.catalog.storage_kind(entry.key.resource)
        if kind is None:
            return None
        target = target_of(decode_entry(kind, entry))
        return None if target.group == "autoscaling.karmada.io" else target


def is_propagated(labels: dict[str, str]) -> bool:
    return constants.PP_PERMANENT_ID in labels or constants.CPP_PERMANENT_ID in labels


def target_of(autoscaler: Object) -> Target:
    reference = autoscaler["spec"]["scaleTargetRef"]
    group, slash, _ = (reference.get("apiVersion") or "").partition("/")
    return Target(autoscaler["metadata"]["namespace"], group if slash else "", reference["kind"], reference["name"])
