"""Statuses of FederatedHPAs: written where a look has something new to say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, final

from kafila.autoscaling.evaluation import Verdict, status_after
from kafila.catalog.kind import Kind
from kafila.core.conditions import with_condition
from kafila.core.resources import Key
from kafila.core.values import AnyObject, Object
from kafila.reconcile.karmada.writes import modify_status
from kafila.registry import Registry
from kafila.watch import Entry

from .autoscalers import Autoscaler, Autoscalers

SOLE = "kafila.io/SoleAutoscaler"


class Conclusion(NamedTuple):
    """What a look has to say. ``current``: replicas of the template, None where nothing is known of them. ``said``: conditions to be
    set before those of the verdict. ``contended``: the condition about other autoscalers, None where there is none."""

    verdict: Verdict
    current: int | None
    said: Sequence[Object]
    contended: Object | None
    scaled_at: str = ""


def concluded(before: AnyObject, conclusion: Conclusion, now: float) -> Object:
    """The whole status."""
    verdict, current, said, contended, scaled_at = conclusion
    known = before.get("currentReplicas", 0) if current is None else current
    status = status_after(before, verdict, known, said, scaled_at, now)
    conditions = status.get("conditions") or []
    if contended is not None:
        return {**status, "conditions": with_condition(conditions, contended, now)}
    kept = [each for each in conditions if each["type"] != SOLE]
    return {**status, "conditions": kept} if kept != conditions else status


@final
class StatusWriter:
    def __init__(self, registry: Registry, kind: Kind, autoscalers: Autoscalers) -> None:
        self._registry = registry
        self._kind = kind
        self._autoscalers = autoscalers
        self._nothing_new: dict[Key, tuple[Entry, Conclusion]] = {}  # what is said already, of which revision

    async def write(self, autoscaler: Autoscaler, conclusion: Conclusion) -> None:
        """If it says anything new. Of an autoscaler that was replaced meanwhile nothing is written. Raises StatusError."""
        entry = autoscaler.entry
        known = self._nothing_new.get(entry.key)
        if known is not None and known[0] is entry and known[1] == conclusion:
            return
        now = time.time()
        before = self._autoscalers.decode(entry).get("status") or {}
        if concluded(before, conclusion, now) == before:
            self._nothing_new[entry.key] = entry, conclusion
            return

        def judged(obj: Object) -> Object:
            return {**obj, "status": concluded(obj.get("status") or {}, conclusion, now)}

        await modify_status(self._registry, self._kind, entry.key, autoscaler.uid, judged)

    def forget(self, key: Key) -> None:
        self._nothing_new.pop(key, None)

    def clear(self) -> None:
        self._nothing_new.clear()
