"""Decision records: stored beside the binding, in the same commit."""

from __future__ import annotations

from typing import Any, final

from kafila.catalog.kind import Kind
from kafila.placement.detector.match import why_others_lost
from kafila.placement.objects import name, namespace
from kafila.placement.scheduler.decision_record import GROUP, decision_record, with_policy
from kafila.placement.scheduler.reschedule import RescheduleReason
from kafila.placement.scheduler.schedule import Decision
from kafila.reconcile.karmada.federation import Federation
from kafila.reconcile.karmada.propagation_policies import PolicyIndex
from kafila.registry import Options
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change
from kafila.watch import Entry

Object = dict[str, Any]
OPTIONS = Options(manager="karmada-scheduler")


@final
class DecisionRecorder:
    def __init__(self, federation: Federation, policies: PolicyIndex) -> None:
        self._registry = federation.registry
        self._policies = policies
        self._own: Kind = self._registry.kind(GROUP, "v1alpha1", "decisions")
        self._cluster_wide: Kind = self._registry.kind(GROUP, "v1alpha1", "clusterdecisions")

    def record(
        self,
        binding: Object,
        template: Object,
        decision: Decision,
        trigger: RescheduleReason,
        generation: int,
        policy: Object | None,
        is_new: bool,
    ) -> Object | None:
        """What is to be stored about the decision; None when that is stored already."""
        kind, entry = self._stored(binding)
        before = decode_entry(kind, entry) if entry is not None else None
        record = decision_record(binding, template, decision, trigger, generation, before)
        if record is None or policy is None:
            return record
        own, cluster_wide = self._policies.candidates(template)
        return with_policy(record, policy, why_others_lost(template, policy, own, cluster_wide, claimed=not is_new))

    def placed(self, binding: Object) -> str | None:
        """What the last decision said in short; None when there is none."""
        kind, entry = self._stored(binding)
        if entry is None:
            return None
        return str((decode_entry(kind, entry).get("scheduling") or {}).get("placed") or "")

    def staged(self, record: Object) -> Change:
        kind, entry = self._stored(record)
        if entry is None:
            record["metadata"].pop("resourceVersion", None)
            return self._registry.stage_create(kind, namespace(record), record, OPTIONS)
        return self._registry.stage_update(kind, entry, record, OPTIONS)

    def _stored(self, obj: Object) -> tuple[Kind, Entry | None]:
        kind = self._own if namespace(obj) else self._cluster_wide
        return kind, self._registry.cache.get(kind.resource, namespace(obj), name(obj))
