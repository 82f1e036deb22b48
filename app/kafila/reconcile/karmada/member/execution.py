"""Works of one cluster: applied to the member, kept as they should be, their status brought back.

A step leaves its outcome in memory and asks for a report; reports are written together, so that "applied" and the first
status of an object usually cost one write. After a restart every Work is reconciled once more, behind what users change now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple, final

import structlog

from kafila.core.conditions import conditions_of, find, with_condition
from kafila.core.errors import StatusError
from kafila.core.resources import Key, gvk_of
from kafila.core.values import Object
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.placement import constants
from kafila.placement.aggregate_errors import aggregate_text
from kafila.placement.interpreter import InterpretError
from kafila.placement.work.member_object import NotManaged
from kafila.placement.work.status import (
    EventParts,
    Reflected,
    applied_condition,
    dispatching_condition,
    interpretation_events,
    manifest_status,
)
from kafila.reconcile.karmada.federation import OPTIONS, WORKS, Federation
from kafila.reconcile.karmada.indexes import binding_key_of_work
from kafila.reconcile.queue import Requeue, WorkQueue, is_expected
from kafila.reconcile.refusals import Refusals
from kafila.registry.threads import decoded
from kafila.watch import needles

from .manager import MemberConnection
from .object_watcher import MemberEvent, NotServed
from .object_writer import ObjectWriter, work_of, works_manifests
from .unreachable import UnreachableKeys

log = structlog.get_logger(__name__)
NAMESPACE_DELAY = 0.02  # seconds
INTERPRET_RETRY = 10.0  # seconds until an interpreter that could not answer for an object's health is asked again
RECREATES = "work-status-controller"  # the one of Karmada's controllers that brings back what was lost
REPORT_DELAY = 0.05  # seconds; statuses that change meanwhile cost one write
_SUSPENDED = needles.field("suspendDispatching", True)


class Outcome(NamedTuple):
    """What came of applying a Work at one generation."""

    generation: int
    total: int
    errors: tuple[str, ...]
    recreated: bool  # the object had gone from the member

    @property
    def condition(self) -> Object:
        return applied_condition(self.total, self.errors, self.recreated)


@final
class ExecutionController:
    """Applies the Works of one connected member, and brings the statuses of their objects back."""

    def __init__(self, federation: Federation, connection: MemberConnection) -> None:
        self._federation = federation
        self._registry = federation.registry
        self._refusals = Refusals(federation.registry, federation.recorder)
        self._connection = connection
        self.space = constants.execution_namespace(connection.name)
        self._outcomes: dict[Key, Outcome] = {}
        self._unread: set[Key] = set()  # Works whose object's status could not be read last time
        self._lost: set[Key] = set()  # Works whose object left the member
        self._recreated: dict[Key, Object] = {}  # objects in the member that were deleted, and are back
        self._ready = federation.is_ready(connection.name)
        self._writer = ObjectWriter(connection, federation.registry.catalog, federation.interpreting, self._observed)
        self._waking: set[asyncio.Task[None]] = set()
        self.queue: WorkQueue[Key] = WorkQueue(f"execution/{connection.name}", self._reconcile, concurrency=16)
        self.reports: WorkQueue[Key] = WorkQueue(f"workStatus/{connection.name}", self._report, concurrency=8)
        for queue in (self.queue, self.reports):
            queue.on_failure = partial(self._failed, queue.name)
        self.unreachable: UnreachableKeys[Key] = UnreachableKeys(self.queue.add, self._away_for)

    def _failed(self, controller: str, key: Key, error: Exception) -> None:
        """What nobody foresaw becomes an event on the Work, its binding and its template; a member's refusal is one already."""
        entry = self._registry.cache.get(*key)
        if entry is None or is_expected(error):
            return
        for subject in filter(None, (key, binding_key_of_work(entry))):
            self._refusals.record(controller, subject, error)

    def start(self) -> None:
        self.queue.start()
        self.reports.start()
        self.resync()

    async def stop(self) -> None:
        self.unreachable.close()
        await self.queue.stop()
        await self.reports.stop()
        for task in self._waking:
            task.cancel()
        await asyncio.gather(*self._waking, return_exceptions=True)
        await self._writer.observation.stop()

    def ready_changed(self, ready: bool) -> None:
        """A member that came back gets what it missed; Works that end need not wait for one that will not."""
        if ready != self._ready:
            self.resync(ending_only=not ready)
        self._ready = ready

    def reached(self) -> None:
        """The member answers again."""
        self.unreachable.release()
        task = asyncio.get_running_loop().create_task(self._writer.observation.wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    def resync(self, ending_only: bool = False) -> None:
        """Enqueues every Work of the cluster, with low priority."""
        for entry in self._registry.cache.resource(WORKS).entries(self.space):
            if entry.meta.deletionTimestamp or not ending_only:
                self.queue.add(entry.key, background=True)

    def interpret_again(self) -> None:
        """What some kinds mean has changed."""
        self.resync()
        for entry in self._registry.cache.resource(WORKS).entries(self.space):
            self.reports.add(entry.key, background=True)

    def _away_for(self) -> float:
        return self._connection.client.breaker.remaining(asyncio.get_running_loop().time())

    # -- applying ------------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        try:
            if entry is None:
                self._outcomes.pop(key, None)
                self._lost.discard(key)
                self._unread.discard(key)
                await self._remove_again(key)
                return
            work = await decoded(self._federation.work_kind, entry)
            if work["metadata"].get("deletionTimestamp"):
                await self._remove(work, len(entry.body))
            elif work["spec"].get("suspendDispatching") or not self._federation.is_ready(self._connection.name):
                self.reports.add(key)  # a member that becomes ready gets all its Works
            else:
                await self._apply(key, work, len(entry.body))
        except Unreachable as error:
            log.debug("member is away", cluster=self._connection.name, work=key.name, error=str(error))
            self.unreachable.add(key)

    async def _apply(self, key: Key, work: Object, size: int) -> None:
        manifests = works_manifests(work)
        failures: list[str] = []
        away: Unreachable | None = None
        backlog = self.queue.is_low_priority(key)
        before, generation = self._outcomes.get(key), work["metadata"].get("generation", 0)
        lost = key in self._lost or (before is not None and before.recreated)
        recreated = before is not None and before.generation == generation and lost
        self._lost.discard(key)
        for manifest in manifests:
            try:
                if await self._writer.apply(manifest, size, patient=lambda: self.queue.is_low_priority(key)):
                    self._event_on_template(manifest, self._applied_event(manifest), recreated)
            except UnusableAnswer as error:
                failures.append(str(error))
                self._event_on_template(manifest, self._failed_event(manifest, error), recreated)
            except Unreachable as error:
                # always the same words: how it fails changes from try to try, and is not worth a write each time
                failures.append(f"cluster {self._connection.name} is not reachable")
                away = error
            except (StatusError, NotManaged, NotServed, InterpretError) as error:
                if self._namespace_comes(error):
                    raise Requeue(NAMESPACE_DELAY) from None
                failures.append(str(error))
                self._event_on_template(manifest, self._failed_event(manifest, error), recreated)
        outcome = Outcome(generation, len(manifests), tuple(failures), recreated)
        self._outcomes[key] = outcome
        self.reports.add_after(key, REPORT_DELAY, background=backlog)
        if before != outcome and not recreated and not (backlog and before is None and _is_recorded(work, outcome)):
            self._record(key, work, outcome)
        if away is not None:
            raise away
        if self.unreachable:
            self.unreachable.release()
        if failures:
            raise StatusError(500, "", aggregate_text(failures))

    def _namespace_comes(self, error: Exception) -> bool:
        """A new namespace and what is in it are on their way at the same time: that is no failure."""
        if (
            not isinstance(error, StatusError)
            or not error.is_not_found
            or (error.details or {}).get("kind") != "namespaces"
        ):
            return False
        work = constants.work_name("Namespace", (error.details or {}).get("name", ""))
        key = Key(WORKS, self.space, work)
        entry = self._registry.cache.get(*key)
        if entry is None or entry.meta.deletionTimestamp or entry.mentions(_SUSPENDED) or key in self._outcomes:
            return False
        self.queue.add(key)  # it may wait with low priority
        return True

    def _record(self, key: Key, work: Object, outcome: Outcome) -> None:
        reference = f"work({key.namespace}/{key.name}) to cluster({self._connection.name})"
        if outcome.errors:
            message = f"Failed to sync {reference}, err: {aggregate_text(outcome.errors)}"
            self._federation.recorder.event(work, "Warning", constants.EVENT_SYNC_FAILED, message)
        else:
            self._federation.recorder.event(work, "Normal", constants.EVENT_SYNC, f"Sync {reference} successful.")

    # -- removing ------------------------------------------------------------------------------------------------------

    async def _remove(self, work: Object, size: int) -> None:
        """The end waits for the member, unless the cluster leaves and is not there to be asked."""
        if constants.FINALIZER_EXECUTION not in (work["metadata"].get("finalizers") or ()):
            return
        if self._federation.is_ready(self._connection.name):
            for manifest in works_manifests(work):
                preserve = bool(work["spec"].get("preserveResourcesOnDeletion"))
                await self._writer.remove(manifest, size, preserve)
        elif not self._federation.is_leaving(self._connection.name):
            return  # a member that becomes ready gets all its Works
        else:
            self._federation.left_behind(self._connection.name, work)
        await self._federation.drop_finalizer(self._federation.work_kind, work, constants.FINALIZER_EXECUTION)

    async def _remove_again(self, key: Key) -> None:
        """Only what we deleted ourselves: a Work that is missing may also mean that the control plane was restored."""
        if key in self._recreated:
            await self._writer.remove_again(self._recreated[key])
            del self._recreated[key]

    # -- bringing back -------------------------------------------------------------------------------------------------

    def _observed(self, obj: Object, event: MemberEvent) -> None:
        """A managed object is there, changed, or left the member."""
        key = Key(WORKS, *work_of(obj))
        if key.namespace != self.space:
            return
        if self._registry.cache.get(*key) is None:
            if event is not MemberEvent.LEFT and self._writer.is_recreated(obj):
                self._recreated[key] = obj
                self.queue.add(key)
            return
        if event is MemberEvent.LEFT:
            self._lost.add(key)
        if event is not MemberEvent.STATUS:
            self.queue.add(
                key, event is MemberEvent.LISTED
            )  # drift is what differs from the Work; equal costs no write
        if event in (MemberEvent.STATUS, MemberEvent.CHANGED):
            self.reports.add_after(key, REPORT_DELAY)

    async def _report(self, key: Key) -> None:
        """Writes conditions and the reflected status of a Work, when they differ from what is stored."""
        entry = self._registry.cache.get(*key)
        if entry is None or entry.meta.deletionTimestamp:
            return
        work = await decoded(self._federation.work_kind, entry)
        observed = self._to_reflect(work, self._outcomes.get(key))
        if observed is None:
            await self._write_status(key, work, [])
            return
        try:
            found = await self._understood(work, observed, len(entry.body))
        except InterpretError as error:
            self._unread.add(key)
            await self._write_status(key, work, [])
            self._record_for_work(work, interpretation_events(observed, None, str(error), None))
            raise
        await self._write_status(key, work, [found.status])
        stored = (work.get("status") or {}).get("manifestStatuses")
        before = stored[0] if stored and key not in self._unread else None
        self._unread.discard(key)
        self._record_for_work(work, interpretation_events(observed, found, "", before))
        if found.failure:
            self.reports.add_after(key, INTERPRET_RETRY)

    async def _write_status(self, key: Key, work: Object, reflected: list[Object]) -> None:
        if self._status(work, self._outcomes.get(key), reflected) == work.get("status"):
            return

        def reported(obj: Object) -> Object:
            obj["status"] = self._status(obj, self._outcomes.get(key), reflected)
            return obj

        try:
            await self._registry.modify(
                self._federation.work_kind, key.namespace, key.name, reported, OPTIONS, "status"
            )
        except StatusError as error:
            if not error.is_not_found:
                raise
            return
        dispatching = dispatching_condition(bool(work["spec"].get("suspendDispatching")))
        dispatched = find(conditions_of(work), constants.COND_DISPATCHING) or {}
        if dispatched.get("status") != dispatching["status"]:
            self._federation.recorder.event(work, "Normal", constants.EVENT_WORK_DISPATCHING, dispatching["message"])

    def _status(self, work: Object, outcome: Outcome | None, reflected: list[Object]) -> Object:
        """What the Work's status is to be. Without an outcome only whether it is being dispatched is known."""
        status = dict(work.get("status") or {})
        suspended = bool(work["spec"].get("suspendDispatching"))
        made = with_condition(status.get("conditions"), dispatching_condition(suspended))
        if outcome is not None and not suspended:
            made = with_condition(made, outcome.condition)
            if reflected:
                status["manifestStatuses"] = reflected
            elif outcome.errors and all(map(self._writer.is_gone, works_manifests(work))):
                status.pop("manifestStatuses", None)
        status["conditions"] = made
        return status

    def _to_reflect(self, work: Object, outcome: Outcome | None) -> Object | None:
        """Karmada keeps the status of one manifest only; Works have one.

        Also of a copy that does not take its newest manifest: it runs on.
        """
        if outcome is None or work["spec"].get("suspendDispatching"):
            return None
        for manifest in works_manifests(work):
            observed = self._writer.observed(manifest)
            if observed is not None and (not outcome.errors or _is_copy_of(work, observed)):
                return observed
        return None

    async def _understood(self, work: Object, observed: Object, size: int) -> Reflected:
        """What the member says of an object is read as its kind, as Karmada does: a template's status is aggregated from it, beside
        what other members say. Raises InterpretError."""
        kind = self._registry.catalog.by_kind(*gvk_of(observed))
        try:
            if kind is not None and not kind.custom and "status" in observed:
                compile_decoder(kind.schema)({"status": observed["status"]})
            return await self._federation.interpreting.decide(partial(manifest_status, work, observed), size)
        except (DecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InterpretError(f"the member's object is not of its kind's shape: {error}"[:512]) from error

    def _record_for_work(self, work: Object, events: Iterable[EventParts]) -> None:
        for event in events:
            self._federation.recorder.event(work, *event)

    # -- events --------------------------------------------------------------------------------------------------------

    def _applied_event(self, manifest: Object) -> tuple[str, str, str]:
        metadata = manifest["metadata"]
        where = f"{metadata.get('namespace', '')}/{metadata['name']}"
        return (
            "Normal",
            constants.EVENT_SYNC,
            f"Successfully applied resource({where}) to cluster {self._connection.name}",
        )

    def _failed_event(self, manifest: Object, error: Exception) -> tuple[str, str, str]:
        metadata = manifest["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]
        text = f"Failed to create or update resource({name}) in member cluster({self._connection.name}): {error}"
        return "Warning", constants.EVENT_SYNC_FAILED, text

    def _event_on_template(self, manifest: Object, event: tuple[str, str, str], recreated: bool) -> None:
        metadata = manifest["metadata"]
        uid = (metadata.get("annotations") or {}).get(constants.TEMPLATE_UID)
        if uid:
            template = {
                "apiVersion": manifest["apiVersion"],
                "kind": manifest["kind"],
                "metadata": {"name": metadata["name"], "namespace": metadata.get("namespace", ""), "uid": uid},
            }
            self._federation.recorder.event(template, *event, RECREATES if recreated else "")


def _is_copy_of(work: Object, observed: Object) -> bool:
    return work_of(observed) == (work["metadata"]["namespace"], work["metadata"]["name"])


def _is_recorded(work: Object, outcome: Outcome) -> bool:
    """Whether the outcome is the one that is stored: then whoever led before us has recorded it."""
    conditions = conditions_of(work)
    return bool(conditions) and with_condition(conditions, outcome.condition) == conditions
