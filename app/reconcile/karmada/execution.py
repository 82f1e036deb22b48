"""Works of one cluster: applied to the member, kept as they should be, their status brought back.

A step leaves its outcome in memory and asks for a report; reports are written together, so that "applied" and the first
status of an object usually cost one write. After a restart everything is looked at again, behind what users change now.
"""

from __future__ import annotations

from typing import Any, NamedTuple, final

import structlog

from app.core.errors import StatusError
from app.core.resources import Key, gvk_of
from app.members.client import resource_path
from app.members.transport import Unreachable
from app.placement import names
from app.placement.conditions import with_condition
from app.placement.failures import aggregate_text
from app.placement.member import NotManaged, member_update
from app.placement.stamp import strip
from app.placement.workstatus import applied_condition, dispatching_condition, manifest_status
from app.registry.codec import decode_entry

from ..queue import WorkQueue
from .federation import OPTIONS, WORKS, Federation
from .observation import Kind, Observation, Where
from .rooms import Room

log = structlog.get_logger(__name__)
Object = dict[str, Any]
REPORT_DELAY = 0.05  # seconds; statuses that change meanwhile cost one write
REQUEUE_AWAY = 2.0  # the member is not ready


class NotServed(Exception):
    """The member does not serve the manifest's kind."""


class Outcome(NamedTuple):
    """What came of applying a Work at one generation."""

    generation: int
    total: int
    errors: tuple[str, ...]


def _path(where: Where) -> str:
    return resource_path(where.kind.api_version, where.kind.plural, where.namespace, where.name)


def _collection(where: Where) -> str:
    return resource_path(where.kind.api_version, where.kind.plural, where.namespace)


@final
class Executor:
    """A tenant of a room."""

    def __init__(self, federation: Federation, room: Room) -> None:
        self._federation = federation
        self._registry = federation.registry
        self._room = room
        self.space = names.execution_namespace(room.name)
        self._outcomes: dict[Key, Outcome] = {}
        self._ready = False
        self.observation = Observation(room.client, self._observed)
        self.queue: WorkQueue[Key] = WorkQueue(f"execution/{room.name}", self._reconcile, concurrency=16)
        self.reports: WorkQueue[Key] = WorkQueue(f"workStatus/{room.name}", self._report, concurrency=8)

    def start(self) -> None:
        self.queue.start()
        self.reports.start()
        self.resync()

    async def stop(self) -> None:
        await self.queue.stop()
        await self.reports.stop()
        await self.observation.stop()

    def ready_changed(self, ready: bool) -> None:
        """A member that came back gets what it missed."""
        if ready and not self._ready:
            self.resync()
        self._ready = ready

    def resync(self) -> None:
        """Looks at every Work of the cluster again, when nothing newer waits."""
        for entry in self._registry.cache.resource(WORKS).entries(self.space):
            self.queue.add(entry.key, background=True)

    # -- applying ------------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None:
            self._outcomes.pop(key, None)
            return
        work = decode_entry(self._federation.work_kind, entry)
        if work["metadata"].get("deletionTimestamp"):
            await self._remove(work)
            return
        if work["spec"].get("suspendDispatching"):
            self.reports.add(key)
            return
        if not self._federation.is_ready(self._room.name):
            raise StatusError(503, "", f"cluster({self._room.name}) not ready")
        await self._apply(key, work)

    async def _apply(self, key: Key, work: Object) -> None:
        manifests = (work["spec"].get("workload") or {}).get("manifests") or []
        failures: list[str] = []
        for manifest in manifests:
            try:
                await self._apply_manifest(key, work, manifest)
            except (StatusError, Unreachable, NotManaged, NotServed, TimeoutError) as error:
                failures.append(str(error))
                self._event_on_template(
                    manifest, "Warning", names.EVENT_SYNC_FAILED, self._failed_text(manifest, error)
                )
        outcome = Outcome(work["metadata"].get("generation", 0), len(manifests), tuple(failures))
        before = self._outcomes.get(key)
        self._outcomes[key] = outcome
        self.reports.add_after(key, REPORT_DELAY)
        reference = f"work({key.namespace}/{key.name}) to cluster({self._room.name})"
        if failures:
            why = aggregate_text(failures)
            message = f"Failed to sync {reference}, err: {why}"
            self._federation.recorder.event(work, "Warning", names.EVENT_SYNC_FAILED, message)
            raise StatusError(500, "", why)
        if before != outcome:
            self._federation.recorder.event(work, "Normal", names.EVENT_SYNC, f"Sync {reference} successful.")

    async def _apply_manifest(self, key: Key, work: Object, manifest: Object) -> None:
        where = self._where(manifest)
        await self.observation.follow(where.kind)
        observed = self.observation.get(where)
        client = self._room.client
        if observed is None:
            try:
                created = await client.create(_collection(where), manifest)
                self.observation.wrote(where, created)
                self._applied_event(manifest)
                return
            except StatusError as error:
                if not error.is_already_exists:
                    raise
            observed = await client.get(_path(where))
        for _ in range(4):
            changed = member_update(manifest, observed, self._room.name, interpreter=self._federation.interpreter)
            if changed is None:
                self.observation.wrote(where, observed)
                return
            try:
                updated = await client.update(_path(where), changed)
                self.observation.wrote(where, updated)
                self._applied_event(manifest)
                return
            except StatusError as error:
                if error.is_not_found:
                    self.observation.forget(where)
                    raise
                if not error.is_conflict:
                    raise
            observed = await client.get(_path(where))
        raise StatusError(409, "Conflict", f"{_path(where)} keeps changing")

    def _where(self, manifest: Object) -> Where:
        group, version, kind = gvk_of(manifest)
        metadata = manifest["metadata"]
        known = self._registry.catalog.by_kind(group, version, kind)
        namespace = metadata.get("namespace", "")
        if known is not None:
            plural = known.plural
            if not known.namespaced:
                namespace = ""
        else:
            plural = self._federation.plural_in_member(self._room.name, manifest["apiVersion"], kind)
            if not plural:
                raise NotServed(f'no matches for kind "{kind}" in version "{manifest["apiVersion"]}"')
        return Where(Kind(manifest["apiVersion"], plural), namespace, metadata["name"])

    # -- removing ------------------------------------------------------------------------------------------------------

    async def _remove(self, work: Object) -> None:
        metadata = work["metadata"]
        if names.FINALIZER_EXECUTION not in (metadata.get("finalizers") or ()):
            return
        cluster = self._federation.cluster(self._room.name)
        leaving = cluster is None or bool(cluster["metadata"].get("deletionTimestamp"))
        if not leaving and not self._federation.is_ready(self._room.name):
            raise StatusError(503, "", f"cluster({self._room.name}) not ready")
        for manifest in (work["spec"].get("workload") or {}).get("manifests") or []:
            try:
                await self._remove_manifest(manifest, bool(work["spec"].get("preserveResourcesOnDeletion")))
            except NotServed:
                continue
            except Unreachable:
                if not leaving:
                    raise
        await self._federation.drop_finalizer(self._federation.work_kind, work, names.FINALIZER_EXECUTION)

    async def _remove_manifest(self, manifest: Object, preserve: bool) -> None:
        where = self._where(manifest)
        client = self._room.client
        observed = await client.find(_path(where))
        if observed is None or (observed["metadata"].get("labels") or {}).get(names.MANAGED) != names.TRUE:
            return
        try:
            if preserve:
                await client.update(_path(where), strip(observed))
            else:
                await client.delete(_path(where), uid=observed["metadata"]["uid"], propagation="Background")
        except StatusError as error:
            if not error.is_not_found:
                raise
        self.observation.forget(where)

    # -- bringing back -------------------------------------------------------------------------------------------------

    def _observed(self, obj: Object, deleted: bool) -> None:
        """A managed object changed in the member."""
        annotations = obj["metadata"].get("annotations") or {}
        key = Key(WORKS, annotations.get(names.WORK_NAMESPACE, ""), annotations.get(names.WORK_NAME, ""))
        entry = self._registry.cache.get(*key)
        if entry is None or key.namespace != self.space:
            return
        self.queue.add(key)  # drift is what differs from the Work; equal costs no write
        if not deleted:
            self.reports.add_after(key, REPORT_DELAY)

    async def _report(self, key: Key) -> None:
        """Writes conditions and the reflected status of a Work, when they differ from what is stored."""
        entry = self._registry.cache.get(*key)
        if entry is None or entry.meta.deletionTimestamp:
            return
        work = decode_entry(self._federation.work_kind, entry)
        status = self._status(work, self._outcomes.get(key))
        if status == work.get("status"):
            return

        def reported(obj: Object) -> Object:
            obj["status"] = self._status(obj, self._outcomes.get(key))
            return obj

        try:
            await self._registry.modify(
                self._federation.work_kind, key.namespace, key.name, reported, OPTIONS, "status"
            )
        except StatusError as error:
            if not error.is_not_found:
                raise

    def _status(self, work: Object, outcome: Outcome | None) -> Object:
        """What the Work's status is to be. Without an outcome only whether it is being dispatched is known."""
        status = dict(work.get("status") or {})
        suspended = bool(work["spec"].get("suspendDispatching"))
        made = with_condition(status.get("conditions"), dispatching_condition(suspended))
        if outcome is not None and not suspended:
            made = with_condition(made, applied_condition(outcome.total, outcome.errors))
            if not outcome.errors and (reflected := self._manifest_statuses(work)):
                status["manifestStatuses"] = reflected
        status["conditions"] = made
        return status

    def _manifest_statuses(self, work: Object) -> list[Object]:
        """Karmada keeps the status of one manifest only; Works have one."""
        for manifest in (work["spec"].get("workload") or {}).get("manifests") or []:
            observed = self.observation.get(self._where(manifest))
            if observed is not None:
                return [manifest_status(work, observed, self._federation.interpreter)]
        return []

    # -- events --------------------------------------------------------------------------------------------------------

    def _applied_event(self, manifest: Object) -> None:
        metadata = manifest["metadata"]
        text = f"Successfully applied resource({metadata.get('namespace', '')}/{metadata['name']}) to cluster {self._room.name}"
        self._event_on_template(manifest, "Normal", names.EVENT_SYNC, text)

    def _failed_text(self, manifest: Object, error: Exception) -> str:
        metadata = manifest["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]
        return f"Failed to create or update resource({name}) in member cluster({self._room.name}): {error}"

    def _event_on_template(self, manifest: Object, event_type: str, reason: str, message: str) -> None:
        metadata = manifest["metadata"]
        uid = (metadata.get("annotations") or {}).get(names.TEMPLATE_UID)
        if uid:
            template = {
                "apiVersion": manifest["apiVersion"],
                "kind": manifest["kind"],
                "metadata": {"name": metadata["name"], "namespace": metadata.get("namespace", ""), "uid": uid},
            }
            self._federation.recorder.event(template, event_type, reason, message)
