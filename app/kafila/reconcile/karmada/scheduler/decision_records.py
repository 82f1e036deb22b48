"""Decision records: stored beside the binding, in the same commit."""

from __future__ import annotations

from typing import final

from kafila.catalog.kind import Kind
from kafila.core.values import AnyObject, Object
from kafila.placement.objects import name, namespace
from kafila.placement.scheduler.decision_record import GROUP
from kafila.placement.types import Binding
from kafila.registry import Options, Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change
from kafila.watch import Entry

OPTIONS = Options(manager="karmada-scheduler")


@final
class DecisionRecorder:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._own: Kind = self._registry.kind(GROUP, "v1alpha1", "decisions")
        self._cluster_wide: Kind = self._registry.kind(GROUP, "v1alpha1", "clusterdecisions")

    def of(self, binding: Binding) -> Object | None:
        """What the last decision said; None when there was none."""
        kind, entry = self._stored(binding)
        return decode_entry(kind, entry) if entry is not None else None

    def staged(self, record: Object) -> Change:
        kind, entry = self._stored(record)
        if entry is None:
            record["metadata"].pop("resourceVersion", None)
            return self._registry.stage_create(kind, namespace(record), record, OPTIONS)
        return self._registry.stage_update(kind, entry, record, OPTIONS)

    def _stored(self, obj: AnyObject) -> tuple[Kind, Entry | None]:
        kind = self._own if namespace(obj) else self._cluster_wide
        return kind, self._registry.cache.get(kind.resource, namespace(obj), name(obj))
