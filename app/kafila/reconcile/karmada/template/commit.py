"""The one commit: what the steps have decided about a template, and the events about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import final

from prometheus_client import Counter

from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import AnyObject, Object
from kafila.placement.allowed_clusters import EVENT_NOT_ALLOWED
from kafila.placement.cluster_scores import EVENT_NOT_USED
from kafila.placement.rollout.phases import EVENT_NOT_KEPT
from kafila.placement.rollout.phases import EVENTS as ROLLOUT_EVENTS
from kafila.placement.scheduler.schedule import Event
from kafila.placement.types import Binding
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.controlled_works import delete_work
from kafila.reconcile.karmada.deleted_works import DeletedWorks
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, WITH_STATUS, Kinds
from kafila.reconcile.karmada.scheduler.decision_records import DecisionRecorder
from kafila.registry import Options, Registry, sizes
from kafila.registry.context import Change
from kafila.registry.staging import admitted_each
from kafila.registry.threads import in_thread
from kafila.watch import Entry

from .changes import OwnWrites
from .events import committed_with, new_events
from .revisions import Revisions
from .steps.state import ChangedWork, Reservation, State

NOT_ALLOWED = Counter(
    "kafila_clusters_not_allowed_total",
    "Decisions that left out clusters which the namespace may not use.",
    ["namespace"],
)
ROLLOUTS = Counter(
    "kafila_rollout_transitions_total",
    "Transitions of staged rollouts and of clusters in them: the reasons of their events, without Rollout.",
    ["transition"],
)
SCORES_NOT_USED = Counter(
    "kafila_cluster_scores_not_used_total",
    "Decisions that did without a ClusterScore which their policy names: stale, or none.",
)
QUOTA = Options(manager="karmada-webhook")


@final
class Committer:
    def __init__(
        self, registry: Registry, recorder: Recorder, own: OwnWrites, decisions: DecisionRecorder, deleted: DeletedWorks
    ) -> None:
        self._recorder = recorder
        self._registry = registry
        self._kinds = Kinds(registry)
        self._own = own
        self._decisions = decisions
        self._deleted = deleted
        self._revisions = Revisions(registry)
        self._quota_kind = self._registry.kind("policy.karmada.io", "v1alpha1", "federatedresourcequotas")

    async def stage_works(self, works: Iterable[ChangedWork], size: int) -> tuple[list[Change], dict[str, str]]:
        """Those that may be written, and by cluster why another may not. ``size``: bytes of one, about."""
        staged: list[tuple[str, Change]] = []
        refused: dict[str, str] = {}
        for each in works:
            entry = each.stored.entry if each.stored is not None else None
            if entry is None and self._deleted.holds(each.cluster, each.work["metadata"]["name"]):
                continue  # the template is enqueued again when it may be made
            try:
                change = await in_thread(size, partial(self._staged, each.work, entry, self._kinds.work))
                staged.append((each.cluster, change))
            except StatusError as error:
                refused[each.cluster] = str(error)
        admitted: list[Change] = []
        for cluster, outcome in await admitted_each(staged):  # what a webhook says of one keeps the others from nothing
            if isinstance(outcome, StatusError):
                refused[cluster] = str(outcome)
            else:
                admitted.append(outcome)
        return admitted, refused

    async def commit(self, state: State, existing: Entry | None, works: Sequence[Change] = ()) -> bool:
        """All in one transaction; what is too large for one in several, of which the next run makes all that are missing.
        The events about it are written with it.

        Returns whether somebody else wrote meanwhile, after us. ``existing``: the binding as it is stored; ``works``: staged.
        """
        changes = list(works)
        if state.binding is not state.before:
            changes.insert(0, self._staged(state.binding, existing, self._kind_of(state.binding)))
        if state.record is not None:
            changes.append(self._decisions.staged(state.record))
        changes += map(self._reserved, state.reservations)
        changes += self._revisions.given_up(state.given_up)
        changes = [change for change in changes if not change.unchanged]
        uid = self._uid_of(state.binding, changes)
        if state.revision is not None:  # before the binding that names it
            changes = [*self._kept(state.revision, state.template), *changes]
        enclosed = self._recorder.enclosed(new_events(state.binding, uid, state.template, state.events))
        if not changes:
            enclosed.record_later()
            return False
        for event in state.events:
            if event.reason == EVENT_NOT_ALLOWED:
                NOT_ALLOWED.labels(state.binding["metadata"].get("namespace", "")).inc()
            elif event.reason in ROLLOUT_EVENTS:
                ROLLOUTS.labels(event.reason.removeprefix("Rollout")).inc()
            elif event.reason == EVENT_NOT_USED:
                SCORES_NOT_USED.inc()
        keys = [change.writes[0].key for change in changes]
        revisions: list[int] = []
        self._own.begin(keys)
        missed = False
        try:
            *first, last = sizes.chunks(changes)
            for chunk in first:
                revisions += await self._registry.commit_together(chunk)
            revisions += await committed_with(self._registry, last, enclosed)
        finally:
            revisions += [0] * (len(keys) - len(revisions))
            for key, revision in zip(keys, revisions, strict=True):
                missed |= self._own.end(key) > revision
        return missed

    async def delete_works(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            await delete_work(self._registry, self._deleted, entry)

    async def delete_orphans(self, entries: Iterable[Entry]) -> bool:
        """Works of a binding that was stored as it is without them. Returns whether somebody else wrote one meanwhile, after us."""
        missed = False
        for entry in entries:
            self._own.begin([entry.key])
            revision = 0
            try:
                revision = await delete_work(self._registry, self._deleted, entry)
            finally:
                missed |= self._own.end(entry.key) > revision
        return missed

    def record(self, binding: Binding, template: Object, events: Sequence[Event]) -> None:
        """Records events on a binding and its template that go with no write."""
        self._recorder.enclosed(new_events(binding, self._uid_of(binding, []), template, events)).record_later()

    def _staged(self, obj: AnyObject, existing: Entry | None, kind: Kind) -> Change:
        if existing is None:
            change = self._registry.stage_create(kind, obj["metadata"].get("namespace", ""), obj, WITH_STATUS)
        else:
            change = self._registry.stage_update(kind, existing, obj, WITH_STATUS)
        self._registry.transactions.check_size(change)
        return change

    def _reserved(self, reservation: Reservation) -> Change:
        quota, entry = reservation.quota
        status = {**(quota.get("status") or {}), "overallUsed": reservation.used}
        return self._registry.stage_update(self._quota_kind, entry, {**quota, "status": status}, QUOTA, "status")

    def _kept(self, revision: Object, template: Object) -> list[Change]:
        """Of one that may not be stored, say for its size, the rollout goes on: what has it stays as it is."""
        try:
            change = self._revisions.staged(revision)
            return [] if change.unchanged else [change]
        except StatusError as error:
            text = f"Revision {revision['revision']} is not kept, and nothing can be taken back to it: {error}"
            self._recorder.event(template, "Warning", EVENT_NOT_KEPT, text)
            return []

    def _kind_of(self, binding: Binding) -> Kind:
        return self._kinds.of_binding(key_of(binding))

    def _uid_of(self, binding: Binding, changes: list[Change]) -> str:
        key = key_of(binding)
        if changes and changes[0].writes[0].key == key:
            return changes[0].writes[0].uid
        entry = self._registry.cache.get(*key)
        return entry.meta.uid if entry is not None else ""


def key_of(binding: Binding) -> Key:
    metadata = binding["metadata"]
    namespace = metadata.get("namespace", "")
    return Key(BINDINGS if namespace else CLUSTER_BINDINGS, namespace, metadata["name"])
