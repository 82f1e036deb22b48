"""CustomResourceDefinitions: names accepted, kinds established, instances removed before the definition goes."""

from __future__ import annotations

from typing import Any, final

from app.catalog.custom.conditions import api_approval, non_structural_schema
from app.catalog.custom.definition import CLEANUP, RESOURCE
from app.catalog.custom.kinds import storage_kind_of
from app.catalog.custom.naming import accept_names
from app.core.conditions import condition, conditions_of, find, is_true, with_condition
from app.core.errors import StatusError
from app.registry import Options, Registry
from app.registry.context import DeleteOptions
from app.watch import Event
from app.watch.definitions import Definitions

from ..controller import QueueController
from ..queue import Requeue

OPTIONS = Options(manager="kube-apiserver")
BATCH = 200
RETRY = 5.0  # seconds, while finalizers of instances are worked off; deletions wake us sooner
Object = dict[str, Any]


@final
class DefinitionController(QueueController[str]):
    name = "customresourcedefinition"
    about = "customresourcedefinitions.apiextensions.k8s.io"

    def __init__(self, registry: Registry, definitions: Definitions) -> None:
        # names are given to one definition after the other: two must not get the same one
        super().__init__(registry.cache, self.name, concurrency=1)
        self._registry = registry
        self._definitions = definitions
        self._ending: dict[str, str] = {}  # resource of the instances -> definition that waits for their end
        registry.cache.listen_to_all(self._observe)

    def resync(self) -> None:
        for entry in self._registry.cache.resource(RESOURCE).entries():
            self.queue.add(entry.key.name)

    def _observe(self, event: Event) -> None:
        key = event.key
        if key.resource == RESOURCE:
            self.queue.add(key.name)
            if event.new is None:
                self._ending.pop(key.name, None)
                self._wake_group(key.name)
        elif event.new is None and key.resource in self._ending:
            self.queue.add(self._ending[key.resource])

    def _wake_group(self, name: str) -> None:
        """Names that have become free may be those that others of the group wait for."""
        group = name.partition(".")[2]
        for entry in self._registry.cache.resource(RESOURCE).entries():
            if entry.key.name != name and entry.key.name.partition(".")[2] == group:
                self.queue.add(entry.key.name)

    def _object(self, name: str) -> Object | None:
        entry = self._registry.cache.get(RESOURCE, "", name)
        return entry.decode() if entry is not None else None

    async def _reconcile(self, name: str) -> None:
        crd = self._object(name)
        if crd is None:
            return
        if crd["metadata"].get("deletionTimestamp"):
            if CLEANUP in (crd["metadata"].get("finalizers") or ()):
                await self._clean_up(name, crd)
            return
        group = crd["spec"]["group"]
        entries = self._registry.cache.resource(RESOURCE).entries()
        all_of_group = (entry.decode() for entry in entries if entry.key.name.endswith(f".{group}"))
        others = [o for o in all_of_group if o["spec"]["group"] == group and o["metadata"]["name"] != name]
        names, accepted = accept_names(crd, others)
        wanted = [accepted, *_established_before(crd, accepted)]
        wanted += [c for c in (api_approval(crd),) if c is not None]
        released = names != ((crd.get("status") or {}).get("acceptedNames") or {})
        await self._report(name, wanted, names, non_structural_schema(crd))
        if released:
            self._wake_group(name)
        if accepted["status"] == "True" and not is_true(conditions_of(crd), "Established"):
            # other processes have had a commit's time to serve the kind before clients hear of it
            await self._definitions.settled()
            await self._report(name, [condition("Established", "True", "InitialNamesAccepted", INITIAL)])

    async def _report(
        self, name: str, wanted: list[Object], names: Object | None = None, structure: Object | None = None
    ) -> None:
        """Sets conditions, when there is anything new in them."""

        def reported(crd: Object) -> Object:
            status = crd.setdefault("status", {})
            for each in wanted:
                status["conditions"] = with_condition(status.get("conditions"), each)
            if names is not None:
                status["acceptedNames"] = names
                kept = [c for c in status["conditions"] if c["type"] != "NonStructuralSchema"]
                status["conditions"] = with_condition(status["conditions"], structure) if structure else kept
            return crd

        kind = self._registry.kind("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        try:
            await self._registry.modify(kind, "", name, reported, OPTIONS, "status")
        except StatusError as error:
            if not error.is_not_found:
                raise

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _clean_up(self, name: str, crd: Object) -> None:
        if self._is_builtin(crd):
            text = "instances overlap with built-in resources in storage"
            await self._release(name, _terminating("False", "OverlappingBuiltInResource", text))
            return
        if not is_true(conditions_of(crd), "Established"):
            await self._release(name, _terminating("False", "NeverEstablished", "resource was never established"))
            return
        kind = storage_kind_of(crd)
        self._ending[kind.resource] = name
        text = "CustomResource deletion is in progress"
        await self._report(name, [_terminating("True", "InstanceDeletionInProgress", text)])
        resource = self._registry.cache.resource(kind.resource)
        fresh = [entry for entry in resource.entries() if not entry.meta.deletionTimestamp]
        for start in range(0, len(fresh), BATCH):
            await self._registry.delete_collection(kind, fresh[start : start + BATCH], DeleteOptions())
        await self._registry.barrier()
        if any(True for _ in resource.entries()):
            raise Requeue(RETRY)  # something holds them; the end of the last one wakes us
        await self._release(name, _terminating("False", "InstanceDeletionCompleted", "removed all instances"))
        self._ending.pop(kind.resource, None)

    def _is_builtin(self, crd: Object) -> bool:
        """Whether the instances are objects of a kind that the server has by itself."""
        resource = f"{crd['spec']['names']['plural']}.{crd['spec']['group']}"
        kind = self._registry.catalog.storage_kind(resource)
        return kind is not None and not self._definitions.owns(kind)

    async def _release(self, name: str, terminating: Object) -> None:
        def released(crd: Object) -> Object:
            status = crd.setdefault("status", {})
            status["conditions"] = with_condition(status.get("conditions"), terminating)
            metadata = crd["metadata"]
            metadata["finalizers"] = [f for f in metadata.get("finalizers") or () if f != CLEANUP]
            if not metadata["finalizers"]:
                del metadata["finalizers"]
            return crd

        kind = self._registry.kind("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        try:
            await self._registry.modify(kind, "", name, released, OPTIONS, "status")
        except StatusError as error:
            if not error.is_not_found:
                raise


INITIAL = "the initial names have been accepted"


def _terminating(status: str, reason: str, message: str) -> Object:
    return condition("Terminating", status, reason, message)


def _established_before(crd: Object, accepted: Object) -> list[Object]:
    """Established as long as the kind is not served yet; once established it stays so."""
    if is_true(conditions_of(crd), "Established"):
        return []
    if accepted["status"] == "True":
        return [condition("Established", "False", "Installing", INITIAL)]
    if find(conditions_of(crd), "Established") is None:
        return [condition("Established", "False", "NotAccepted", "not all names are accepted")]
    return []
