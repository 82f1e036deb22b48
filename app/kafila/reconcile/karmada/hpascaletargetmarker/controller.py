"""Puts the label ``resourcetemplate.karmada.io/retain-replicas`` on what a HorizontalPodAutoscaler that goes to members scales there.

Its keys are targets: whether one is to have the label follows from the autoscalers that name it. It is taken away where the last of
them let go, and never from a workload that no autoscaler has named: then somebody else has put it there. Who does not lead
remembers for a while who let go of what, in case whoever leads ends before it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple, final

from kafila.catalog.kind import Kind
from kafila.core import sets
from kafila.core.errors import ignoring_not_found, not_found
from kafila.core.resources import Key, split_api_version
from kafila.core.values import Object
from kafila.placement import constants
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Entry, Event

AUTOSCALERS: Final = "horizontalpodautoscalers.autoscaling"
SOURCE: Final = "hpa-scale-target-marker"
KEPT: Final = 120.0  # seconds after which somebody who led will have done what was let go of


class ScaleTarget(NamedTuple):
    """What an autoscaler names, in its namespace."""

    namespace: str
    api_version: str
    kind: str
    name: str


@final
class HPAScaleTargetMarker(QueueController[ScaleTarget]):
    name = "hpaScaleTargetMarker"

    def __init__(self, registry: Registry, recorder: Recorder, now: Callable[[], float] = time.monotonic) -> None:
        """``now``: a clock, seconds."""
        super().__init__(registry.cache, SOURCE, concurrency=2)
        self._registry = registry
        self._recorder = recorder
        self._now = now
        self._leads = False
        self._kind = registry.kind("autoscaling", "v2", "horizontalpodautoscalers")
        self._targets: dict[Key, ScaleTarget] = {}  # of autoscalers that go to members
        self._marking: dict[ScaleTarget, set[Key]] = {}
        self._let_go: dict[ScaleTarget, float] = {}  # and when, the oldest first
        registry.cache.listen(AUTOSCALERS, self._observe)

    async def start(self) -> None:
        self._forget_old()
        self._leads = True
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        self._leads = False

    def resync(self) -> None:
        self._targets.clear()
        self._marking.clear()
        for entry in self._registry.cache.resource(AUTOSCALERS).entries():
            if (target := self._marked_by(entry)) is not None:
                self._mark(entry.key, target)
                self.queue.add(target, background=True)
        for target in self._let_go:
            self.queue.add(target, background=True)

    def _observe(self, event: Event) -> None:
        old, new = event.old, event.new
        before = self._targets.get(event.key)
        after = self._target_of(new) if new is not None else None
        if before is None and old is not None and (new is None or after != self._target_of(old)):
            before = self._target_of(old)  # one that went to no member lets go, too: as in Karmada
        marked = after if new is not None and _is_propagated(new) else None
        if before is not None and before != after:
            self._unmark(event.key, before)
        if marked is not None:
            self._mark(event.key, marked)
            self.queue.add(marked)

    def _mark(self, key: Key, target: ScaleTarget) -> None:
        self._targets[key] = target
        self._marking.setdefault(target, set()).add(key)
        self._let_go.pop(target, None)

    def _unmark(self, key: Key, target: ScaleTarget) -> None:
        self._targets.pop(key, None)
        sets.discard(self._marking, target, key)
        if target not in self._marking:
            self._let_go.pop(target, None)
            self._let_go[target] = self._now()
            if not self._leads:
                self._forget_old()
            self.queue.add(target)

    def _forget_old(self) -> None:
        """By now whoever led has taken the label off, and a user may have put one there."""
        oldest = self._now() - KEPT
        while self._let_go and self._let_go[target := next(iter(self._let_go))] < oldest:
            del self._let_go[target]

    def _target_of(self, entry: Entry) -> ScaleTarget:
        reference = decode_entry(self._kind, entry)["spec"]["scaleTargetRef"]
        return ScaleTarget(entry.key.namespace, reference.get("apiVersion") or "", reference["kind"], reference["name"])

    def _marked_by(self, entry: Entry) -> ScaleTarget | None:
        return self._target_of(entry) if _is_propagated(entry) else None

    async def _reconcile(self, target: ScaleTarget) -> None:
        wanted = target in self._marking
        if not wanted and target not in self._let_go:
            return
        try:
            group, version = split_api_version(target.api_version)
        except ValueError:
            group, version = "", target.api_version
        kind = self._registry.catalog.by_kind(group, version, target.kind)
        if kind is None or not kind.namespaced:
            self._tell(target, _why_not(target, kind))
            self._let_go.pop(target, None)
            return
        entry = self._registry.cache.get(kind.resource, target.namespace, target.name)
        if entry is not None and _has_label(entry) is not wanted:
            with ignoring_not_found():
                change = _labelled if wanted else _without_label
                await self._registry.modify(kind, target.namespace, target.name, change, OPTIONS)
        if not wanted:  # who wanted it may have let go while it was written
            self._let_go.pop(target, None)

    def _tell(self, target: ScaleTarget, text: str) -> None:
        """On the first of the autoscalers."""
        for key in sorted(self._marking.get(target, ()))[:1]:
            entry = self._registry.cache.get(*key)
            if entry is not None:
                about = decode_entry(self._kind, entry)
                self._recorder.event(about, "Warning", "FailedMarkScaleTarget", text, SOURCE)


def _why_not(target: ScaleTarget, kind: Kind | None) -> str:
    """``kind``: None for one that is not served here. What has no namespace is not for whoever writes in one of them to mark."""
    if kind is None:
        return f'no matches for kind "{target.kind}" in version "{target.api_version}"'
    return not_found(kind.group, kind.plural, target.name).message


def _is_propagated(entry: Entry) -> bool:
    labels = entry.meta.labels or {}
    return constants.PP_PERMANENT_ID in labels or constants.CPP_PERMANENT_ID in labels


def _has_label(entry: Entry) -> bool:
    return (entry.meta.labels or {}).get(constants.RETAIN_REPLICAS) == constants.TRUE


def _labelled(obj: Object) -> Object:
    labels = {**(obj["metadata"].get("labels") or {}), constants.RETAIN_REPLICAS: constants.TRUE}
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


def _without_label(obj: Object) -> Object:
    kept = {
        key: value for key, value in (obj["metadata"].get("labels") or {}).items() if key != constants.RETAIN_REPLICAS
    }
    return {**obj, "metadata": {**obj["metadata"], "labels": kept}}
