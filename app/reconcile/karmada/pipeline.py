"""The composed pass over one template: binding, schedule, Works and status, decided together and written together."""

from __future__ import annotations

from typing import Any, final

from app.catalog.kind import Kind
from app.core.errors import StatusError
from app.core.resources import Key, gvk_of
from app.placement import binding as bindings
from app.placement import names
from app.placement.clusters import is_terminating
from app.placement.interpret import Operation
from app.placement.schedule import Decision, Event, schedule, with_result, with_status
from app.placement.spec import target_names
from app.placement.trigger import Trigger, is_for_scheduler, should_schedule
from app.placement.work import Overrides, blocking_works, build_works, orphans, synced_event
from app.placement.workstatus import with_aggregated
from app.registry import Options
from app.registry.codec import decode_entry
from app.registry.context import Change, DeleteOptions
from app.registry.decoding import decode_object
from app.watch import Entry

from .federation import Federation
from .indexes import WorkIndex, binding_key_of

Object = dict[str, Any]
WHOLE = Options(manager="karmada-controller-manager", whole=True)
STATUS = Options(manager="karmada-controller-manager")
REMEMBERED = 4096  # revisions of bindings that we wrote ourselves


@final
class Pipeline:
    def __init__(self, federation: Federation, works: WorkIndex) -> None:
        self._federation = federation
        self._registry = federation.registry
        self._works = works
        self._writing: set[Key] = set()
        self._overrides: Overrides | None = None

    def wrote(self, key: Key, entry: Entry) -> bool:
        """Is this change of a binding our own, so that there is nothing new to see in it?"""
        return key in self._writing

    def forget_overrides(self) -> None:
        self._overrides = None

    async def run(self, kind: Kind, template: Object, policy: Object | None, existing: Entry | None) -> str:
        """Brings everything that follows from ``template`` up to date. Returns how to retry: "", backoff, unschedulable."""
        binding_kind = (
            self._federation.binding_kind
            if template["metadata"].get("namespace")
            else self._federation.cluster_binding_kind
        )
        before = decode_entry(binding_kind, existing) if existing is not None else None
        if policy is not None:
            interpreter = self._federation.interpreter
            binding = bindings.build_binding(template, policy, before, interpreter=interpreter)
        else:
            assert before is not None
            binding = before
        events: list[Event] = []
        binding, retry = self._schedule(binding, before, events)
        identity = _permanent_id(binding)
        entries = self._works.entries(identity)
        works = [decode_entry(self._federation.work_kind, entry) for entry in entries]
        await self._delete_orphans(binding, works, entries)
        changes = self._work_changes(binding, template, works, entries, events)
        binding = self._aggregate(binding, works)
        change = self._binding_change(binding_kind, binding, existing)
        key = binding_key_of(template)
        self._writing.add(key)
        try:
            await self._registry.commit_together([change, *changes])
        finally:
            self._writing.discard(key)
        self._tell(binding, template, events)
        await self._bring_back(kind, template, binding)
        return retry

    # -- scheduling ----------------------------------------------------------------------------------------------------

    def _schedule(self, binding: Object, before: Object | None, events: list[Event]) -> tuple[Object, str]:
        if not is_for_scheduler(binding):
            return binding, ""
        clusters = self._federation.clusters()
        leaving = frozenset(c["metadata"]["name"] for c in clusters if is_terminating(c))
        trigger = should_schedule(_with_generation(binding, before), leaving)
        if trigger.schedules:
            decision = schedule(binding, clusters)
            return self._decided(binding, before, decision, events)
        if trigger is Trigger.OBSERVE:
            generation = _generation(binding, before)
            status = {**(binding.get("status") or {}), "schedulerObservedGeneration": generation}
            return {**binding, "status": status}, ""
        return binding, ""

    def _decided(
        self, binding: Object, before: Object | None, decision: Decision, events: list[Event]
    ) -> tuple[Object, str]:
        """The binding with the decision in it. A decision that changes nothing is not told or dated again."""
        decided = with_result(binding, decision)
        old_status = binding.get("status") or {}
        generation = _generation(decided, before)
        status = with_status(decided, decision, generation)
        if (
            decided is binding
            and before is not None
            and _same_condition(old_status, status)
            and old_status.get("lastScheduledTime")
            and decision.failure is None
        ):
            status["lastScheduledTime"] = old_status["lastScheduledTime"]
        if decided is not binding or not _same_condition(old_status, status):
            events.extend(decision.events)
        return {**decided, "status": status}, decision.retry

    # -- Works ---------------------------------------------------------------------------------------------------------

    def _work_changes(
        self, binding: Object, template: Object, works: list[Object], entries: list[Entry], events: list[Event]
    ) -> list[Change]:
        if blocking_works(binding, works):
            return []
        by_cluster = {names.cluster_of(w["metadata"]["namespace"]): (w, e) for w, e in zip(works, entries, strict=True)}
        clusters = {c["metadata"]["name"]: c for c in self._federation.clusters()}
        plan = build_works(
            binding,
            template,
            clusters,
            self._overriding(template),
            {cluster: work for cluster, (work, _) in by_cluster.items()},
            interpreter=self._federation.interpreter,
        )
        events.extend(Event(*told) for told in plan.override_events)  # type: ignore[arg-type]
        changes: list[Change] = []
        kind = self._federation.work_kind
        for work in plan.works:
            cluster = names.cluster_of(work["metadata"]["namespace"])
            found = by_cluster.get(cluster)
            if found is None:
                obj = decode_object(kind, work, WHOLE)
                changes.append(self._registry.stage_create(kind, work["metadata"]["namespace"], obj, WHOLE))
            elif work is not found[0]:
                changes.append(self._registry.stage_update(kind, found[1], decode_object(kind, work, WHOLE), WHOLE))
        if changes or plan.error:
            events.append(Event(*synced_event(binding, plan.error)))  # type: ignore[arg-type]
        return changes

    def _overriding(self, template: Object) -> Overrides:
        if self._overrides is None:
            self._overrides = self._load_overrides()
        namespace = template["metadata"].get("namespace", "")
        own = [p for p in self._overrides.policies if p["metadata"]["namespace"] == namespace]
        return Overrides(self._overrides.cluster_policies, own)

    def _load_overrides(self) -> Overrides:
        found: list[list[Object]] = []
        for plural in ("clusteroverridepolicies", "overridepolicies"):
            kind = self._registry.kind("policy.karmada.io", "v1alpha1", plural)
            entries = self._registry.cache.resource(kind.resource).entries()
            found.append([decode_entry(kind, entry) for entry in entries])
        return Overrides(*found)

    async def _delete_orphans(self, binding: Object, works: list[Object], entries: list[Entry]) -> None:
        gone = {w["metadata"]["namespace"] for w in orphans(binding, works)}
        await self.delete_works([e for e in entries if e.key.namespace in gone and not e.meta.deletionTimestamp])

    async def delete_works(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.meta.deletionTimestamp:
                continue
            try:
                await self._registry.delete(
                    self._federation.work_kind, entry.key.namespace, entry.key.name, DeleteOptions(uid=entry.meta.uid)
                )
            except StatusError as error:
                if not error.is_not_found:
                    raise

    # -- status --------------------------------------------------------------------------------------------------------

    def _aggregate(self, binding: Object, works: list[Object]) -> Object:
        """The binding with the statuses of its Works; a binding that has none yet says nothing about them."""
        reported = [w for w in works if (w.get("status") or {}).get("conditions") and _is_target(binding, w)]
        if not reported and not (binding.get("status") or {}).get("aggregatedStatus"):
            return binding
        status = with_aggregated(binding, reported)
        return binding if status is binding.get("status") else {**binding, "status": status}

    async def _bring_back(self, kind: Kind, template: Object, binding: Object) -> None:
        """The template's status, summed over the clusters."""
        interpreter = self._federation.interpreter
        if not interpreter.hook_enabled(gvk_of(template), Operation.AGGREGATE_STATUS):
            return
        items = (binding.get("status") or {}).get("aggregatedStatus")
        if not items:
            return
        if interpreter.aggregate_status(template, items) is template:
            return
        metadata = template["metadata"]
        try:
            await self._registry.modify(
                kind,
                metadata.get("namespace", ""),
                metadata["name"],
                lambda current: interpreter.aggregate_status(current, items),
                STATUS,
                "status",
            )
        except StatusError as error:
            if not error.is_not_found:
                raise
        told = "Update Resource with AggregatedStatus successfully."
        self._federation.recorder.event(template, "Normal", names.EVENT_AGGREGATE_STATUS, told)

    # -- writing -------------------------------------------------------------------------------------------------------

    def _binding_change(self, kind: Kind, binding: Object, existing: Entry | None) -> Change:
        obj = decode_object(kind, binding, WHOLE)
        namespace = obj["metadata"].get("namespace", "")
        if existing is None:
            return self._registry.stage_create(kind, namespace, obj, WHOLE)
        return self._registry.stage_update(kind, existing, obj, WHOLE)

    def _tell(self, binding: Object, template: Object, events: list[Event]) -> None:
        entry = self._registry.cache.get(*binding_key_of(template))
        about = {**binding, "metadata": {**binding["metadata"], "uid": entry.meta.uid if entry is not None else ""}}
        for event in events:
            if event.reason not in (names.EVENT_APPLY_OVERRIDE, names.EVENT_APPLY_OVERRIDE_FAILED):
                self._federation.recorder.event(about, event.type, event.reason, event.message)
            self._federation.recorder.event(template, event.type, event.reason, event.message)


def _permanent_id(binding: Object) -> str:
    labels = binding["metadata"].get("labels") or {}
    return labels.get(names.RB_PERMANENT_ID) or labels.get(names.CRB_PERMANENT_ID) or ""


def _is_target(binding: Object, work: Object) -> bool:
    return names.cluster_of(work["metadata"]["namespace"]) in target_names(binding.get("spec") or {}) or bool(
        (binding.get("spec") or {}).get("requiredBy") or (binding.get("spec") or {}).get("gracefulEvictionTasks")
    )


def _generation(binding: Object, before: Object | None) -> int:
    """The generation that the binding has once it is stored."""
    if before is None:
        return 1
    generation: int = before["metadata"].get("generation", 1)
    return generation if binding.get("spec") == before.get("spec") else generation + 1


def _with_generation(binding: Object, before: Object | None) -> Object:
    return {**binding, "metadata": {**binding["metadata"], "generation": _generation(binding, before)}}


def _same_condition(old: Object, new: Object) -> bool:
    def scheduled(status: Object) -> tuple[Any, ...]:
        for found in status.get("conditions") or ():
            if found.get("type") == names.COND_SCHEDULED:
                return found.get("status"), found.get("reason"), found.get("message")
        return ()

    return scheduled(old) == scheduled(new)
