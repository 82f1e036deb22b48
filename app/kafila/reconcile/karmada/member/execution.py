"""Works of one cluster: applied to the member, and kept as they should be (Karmada's execution controller).

What came of it is left in memory, and `reflect_status.py` writes it together with what the member reports, so that "applied" and
the first status of an object usually cost one write. After a restart every Work is reconciled once more, behind what users change now.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol, final

import structlog

from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.placement import constants
from kafila.placement.aggregate_errors import aggregate_text
from kafila.placement.interpreter import InterpretError
from kafila.placement.types import Work
from kafila.placement.work.member_object import NotManaged
from kafila.reconcile.karmada.kinds import WORKS
from kafila.reconcile.karmada.measures import COPIES_UNDONE, WORK_SYNC, timed
from kafila.reconcile.queue import Requeue, WorkQueue
from kafila.telemetry.tasks import cancelled
from kafila.watch import Entry, needles

from . import reflect_status
from .object_watcher import MemberEvent, NotServed, Observed
from .reflect_status import StatusReflection
from .repairs import Repairs, Version, undone
from .unreachable import UnreachableKeys
from .work_status import Outcome, manifests_of, work_of

log = structlog.get_logger(__name__)
NAMESPACE_DELAY = 0.02  # seconds
RECREATES = "work-status-controller"  # the one of Karmada's controllers that brings back what was lost
REPORT_DELAY = 0.05  # seconds; statuses that change meanwhile cost one write
_SUSPENDED = needles.field("suspendDispatching", True)


class Works(reflect_status.Works, Protocol):
    """The Works of one cluster, and what is known of the cluster."""

    @property
    def namespace(self) -> str:
        """That of its Works."""
        ...

    def is_ready(self) -> bool: ...

    def leaves_within(self) -> float | None:
        """Seconds that a cluster which is being deleted still waits for its member; None: it stays."""
        ...

    def away_for(self) -> float:
        """Seconds until it is worth a try to ask a cluster that did not answer."""
        ...

    def entries(self) -> Iterable[Entry]: ...

    async def release(self, work: Work) -> None:
        """It may go: nothing of it is left in the member."""
        ...

    def leave_behind(self, work: Work, why: str) -> None:
        """The copy stays in a cluster that leaves."""
        ...

    def failed(self, controller: str, key: Key, error: Exception) -> None:
        """Something that nobody foresaw."""
        ...


class Member(reflect_status.Member, Protocol):
    """Objects in the member."""

    def observed_body(self, manifest: Object) -> bytes | None: ...

    async def apply(self, manifest: Object, size: int, patient: Callable[[], bool]) -> bool: ...

    async def remove(self, manifest: Object, size: int, preserve: bool) -> None: ...

    async def remove_again(self, recreated: Object) -> None: ...

    def was_removed(self, obj: Object) -> bool: ...

    def is_recreated(self, obj: Object) -> bool: ...

    async def wake(self) -> None: ...

    async def stop(self) -> None: ...


@final
class ExecutionController:
    """Applies the Works of one connected member. ``member``: makes the one that reports what it observes of its objects."""

    def __init__(self, works: Works, member: Callable[[Observed], Member]) -> None:
        self._works = works
        self._cluster = works.cluster
        self.space = works.namespace
        self._outcomes: dict[Key, Outcome] = {}
        self._lost: set[Key] = set()  # Works whose object left the member
        self._recreated: dict[Key, Object] = {}  # objects in the member that were deleted, and are back
        self._repairs = Repairs()
        self._ready = works.is_ready()
        self._member = member(self.observe)
        self._status = StatusReflection(works, self._member, self._outcomes)
        self._waking: set[asyncio.Task[None]] = set()
        self.queue: WorkQueue[Key] = WorkQueue(
            f"execution/{self._cluster}", self._reconcile, concurrency=16, also=("execution-controller",)
        )
        for queue in (self.queue, self._status.queue):
            queue.on_failure = partial(works.failed, queue.name)
        self.unreachable: UnreachableKeys[Key] = UnreachableKeys(self.queue.add, works.away_for)

    def start(self) -> None:
        self.queue.start()
        self._status.queue.start()
        self.resync()

    async def stop(self) -> None:
        self.unreachable.close()
        await self.queue.close()
        await self._status.queue.close()
        await cancelled(*self._waking)
        await self._member.stop()

    @property
    def waiting(self) -> int:
        """Works that are to be written to the member, or looked at."""
        return len(self.queue) + len(self.unreachable)

    def observed_body(self, copy: Object) -> bytes | None:
        """The newest known state of a managed object in the member, as JSON."""
        return self._member.observed_body(copy)

    def ready_changed(self, ready: bool) -> None:
        """A member that came back gets what it missed; Works that end need not wait for one that will not."""
        if ready != self._ready:
            self.resync(ending_only=not ready)
        self._ready = ready

    def reached(self) -> None:
        """The member answers again."""
        self.unreachable.release()
        task = asyncio.get_running_loop().create_task(self._member.wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    def resync(self, ending_only: bool = False) -> None:
        """Enqueues every Work of the cluster, with low priority."""
        for entry in self._works.entries():
            if entry.meta.deletionTimestamp or not ending_only:
                self.queue.add(entry.key, background=True)

    def interpret_again(self) -> None:
        """What some kinds mean has changed."""
        self.resync()
        for entry in self._works.entries():
            self._status.queue.add(entry.key, background=True)

    # -- applying ------------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        entry = self._works.get(key)
        try:
            if entry is None:
                self._outcomes.pop(key, None)
                self._lost.discard(key)
                self._repairs.forget(key)
                self._status.forget(key)
                await self._remove_again(key)
                return
            work = await self._works.decoded(entry)
            if work["metadata"].get("deletionTimestamp"):
                await self._remove(key, work, len(entry.body))
            elif work["spec"].get("suspendDispatching") or not self._works.is_ready():
                self._status.queue.add(key)  # a member that becomes ready gets all its Works
            else:
                self._hold_repair(key, work)
                with timed(WORK_SYNC):
                    await self._apply(key, work, len(entry.body))
        except Unreachable as error:
            log.debug("member is away", cluster=self._cluster, work=key.name, error=str(error))
            self.unreachable.add(key)

    async def _apply(self, key: Key, work: Work, size: int) -> None:
        began, manifests = time.time(), manifests_of(work)
        failures: list[str] = []
        away: Unreachable | None = None
        backlog = self.queue.is_low_priority(key)
        before, generation = self._outcomes.get(key), work["metadata"].get("generation", 0)
        if before is not None and not before.is_of(work):
            before = None
        lost = key in self._lost or (before is not None and before.recreated)
        recreated = before is not None and before.generation == generation and lost
        self._lost.discard(key)
        wrote = False
        for manifest in manifests:
            try:
                if await self._member.apply(manifest, size, patient=lambda: self.queue.is_low_priority(key)):
                    wrote = True
                    self._event_on_template(manifest, self._applied_event(manifest), recreated)
            except UnusableAnswer as error:
                failures.append(str(error))
                self._event_on_template(manifest, self._failed_event(manifest, error), recreated)
            except Unreachable as error:
                # always the same words: how it fails changes from try to try, and is not worth a write each time
                failures.append(f"cluster {self._cluster} is not reachable")
                away = error
            except (StatusError, NotManaged, NotServed, InterpretError) as error:
                if self._namespace_comes(error):
                    raise Requeue(NAMESPACE_DELAY) from None
                failures.append(str(error))
                self._event_on_template(manifest, self._failed_event(manifest, error), recreated)
        if wrote and before is not None and before.generation == generation:
            self._repairs.repaired(key, _version(work), time.monotonic())
        uid = work["metadata"].get("uid", "")
        outcome = Outcome(generation, len(manifests), tuple(failures), recreated, uid, began)
        self._outcomes[key] = outcome
        self._status.queue.add_after(key, REPORT_DELAY, background=backlog)
        if before != outcome and not recreated and not (backlog and before is None and outcome.is_recorded(work)):
            self._record(key, work, outcome)
        if away is not None:
            raise away
        if self.unreachable:
            self.unreachable.release()
        if failures:
            raise StatusError(500, "", aggregate_text(failures))

    def _hold_repair(self, key: Key, work: Work) -> None:
        """Raises Requeue where a copy was put right so often that the next time has to wait."""
        pause = self._repairs.wait(key, _version(work), time.monotonic())
        if not pause:
            return
        if self._repairs.is_told(key):
            for manifest in manifests_of(work):
                if fields := undone(manifest, self._member.observed(manifest)):
                    self._tell_undone(work, manifest, fields)
        raise Requeue(pause)

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
        entry = self._works.get(key)
        if entry is None or entry.meta.deletionTimestamp or entry.mentions(_SUSPENDED) or key in self._outcomes:
            return False
        self.queue.add(key)  # it may wait with low priority
        return True

    def _record(self, key: Key, work: Work, outcome: Outcome) -> None:
        reference = f"work({key.namespace}/{key.name}) to cluster({self._cluster})"
        if outcome.errors:
            message = f"Failed to sync {reference}, err: {aggregate_text(outcome.errors)}"
            self._works.event(work, "Warning", constants.EVENT_SYNC_FAILED, message)
        else:
            self._works.event(work, "Normal", constants.EVENT_SYNC, f"Sync {reference} successful.")

    # -- removing ------------------------------------------------------------------------------------------------------

    async def _remove(self, key: Key, work: Work, size: int) -> None:
        """The end waits for the member, unless the cluster leaves, and is not there to be asked or had its time."""
        if constants.FINALIZER_EXECUTION not in (work["metadata"].get("finalizers") or ()):
            return
        left = self._works.leaves_within()
        if self._works.is_ready():
            try:
                await self._take_back(work, size)
            except (StatusError, Unreachable, NotServed, InterpretError) as error:
                if left is None or left > 0:
                    if left is not None:
                        self.queue.add_after(key, left)
                    raise
                self._works.leave_behind(work, " ".join(str(error).split()))
        elif left is None:
            return  # a member that becomes ready gets all its Works
        else:
            self._works.leave_behind(work, "it is not ready")
        await self._works.release(work)

    async def _take_back(self, work: Work, size: int) -> None:
        """Raises StatusError, Unreachable, NotServed and InterpretError."""
        preserve = bool(work["spec"].get("preserveResourcesOnDeletion"))
        for manifest in manifests_of(work):
            await self._member.remove(manifest, size, preserve)

    async def _remove_again(self, key: Key) -> None:
        """Only what we deleted ourselves: a Work that is missing may also mean that the control plane was restored."""
        if key in self._recreated:
            await self._member.remove_again(self._recreated[key])
            del self._recreated[key]

    # -- what is observed in the member ----------------------------------------------------------------------------------

    def observe(self, obj: Object, event: MemberEvent) -> None:
        """A managed object is there, changed, or left the member."""
        key = Key(WORKS, *work_of(obj))
        if key.namespace != self.space:
            return
        if self._works.get(key) is None:
            if event is not MemberEvent.LEFT and self._member.is_recreated(obj):
                self._recreated[key] = obj
                self.queue.add(key)
            return
        if event is MemberEvent.LEFT and not self._member.was_removed(obj):
            self._lost.add(key)
        if event is not MemberEvent.STATUS:
            self.queue.add(
                key, event is MemberEvent.LISTED
            )  # drift is what differs from the Work; equal costs no write
        if event in (MemberEvent.STATUS, MemberEvent.CHANGED):
            self._status.queue.add_after(key, REPORT_DELAY)

    # -- events --------------------------------------------------------------------------------------------------------

    def _applied_event(self, manifest: Object) -> tuple[str, str, str]:
        metadata = manifest["metadata"]
        where = f"{metadata.get('namespace', '')}/{metadata['name']}"
        return (
            "Normal",
            constants.EVENT_SYNC,
            f"Successfully applied resource({where}) to cluster {self._cluster}",
        )

    def _failed_event(self, manifest: Object, error: Exception) -> tuple[str, str, str]:
        metadata = manifest["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]
        text = f"Failed to create or update resource({name}) in member cluster({self._cluster}): {error}"
        return "Warning", constants.EVENT_SYNC_FAILED, text

    def _tell_undone(self, work: Work, manifest: Object, fields: str) -> None:
        COPIES_UNDONE.labels(self._cluster).inc()
        message = (
            f"Somebody in cluster({self._cluster}) undoes again and again what is applied there ({fields}): it is put right "
            "later and later, once a minute in the end"
        )
        event = "Warning", constants.EVENT_COPY_UNDONE, message
        self._works.event(work, *event)
        self._event_on_template(manifest, event, recreated=False)

    def _event_on_template(self, manifest: Object, event: tuple[str, str, str], recreated: bool) -> None:
        metadata = manifest["metadata"]
        uid = (metadata.get("annotations") or {}).get(constants.TEMPLATE_UID)
        if uid:
            template = {
                "apiVersion": manifest["apiVersion"],
                "kind": manifest["kind"],
                "metadata": {"name": metadata["name"], "namespace": metadata.get("namespace", ""), "uid": uid},
            }
            self._works.event(template, *event, RECREATES if recreated else "")


def _version(work: Work) -> Version:
    return work["metadata"].get("uid", ""), work["metadata"].get("generation", 0)
