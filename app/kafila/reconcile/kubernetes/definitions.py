"""CustomResourceDefinitions: names accepted, kinds established, instances removed before the definition goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, final

from kafila.catalog.builtin.deletion import CUSTOM_RESOURCE_CLEANUP
from kafila.catalog.custom.conditions import api_approval, non_structural_schema
from kafila.catalog.custom.definition import RESOURCE, storage_version
from kafila.catalog.custom.kinds import storage_kind_of
from kafila.catalog.custom.naming import accept_names
from kafila.catalog.kind import Kind
from kafila.core.conditions import condition, conditions_of, find, is_true, with_condition
from kafila.core.errors import ignoring_not_found
from kafila.core.metadata import remove_finalizer
from kafila.core.values import Object
from kafila.reconcile.controller import QueueController
from kafila.reconcile.queue import Requeue
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions
from kafila.registry.threads import in_thread
from kafila.watch import Entry, Event
from kafila.watch.definitions import Definitions

OPTIONS = Options(manager="kube-apiserver")
BATCH = 200
RETRY = 5.0  # seconds, while finalizers of instances are worked off; deletions wake us sooner


class _Structure(NamedTuple):
    """The condition about a definition's schemas, None when there is none, as of one generation of it."""

    uid: str
    generation: int
    condition: Object | None


class _Seen(NamedTuple):
    crd: Object
    names: Object
    accepted: Object  # the condition about them
    structure: _Structure


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
        self._installing: set[str] = set()  # wait for their kinds to be served
        self._structures: dict[str, _Structure] = {}
        definitions.on_settled(self._wake)
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
                self._structures.pop(key.name, None)
                self._wake_group(key.name)
        elif event.new is None and key.resource in self._ending:
            self.queue.add(self._ending[key.resource])

    def _wake_group(self, name: str) -> None:
        """Names that have become free may be those that others of the group wait for."""
        for entry in self._of_group(_group(name)):
            if entry.key.name != name:
                self.queue.add(entry.key.name)

    def _of_group(self, group: str) -> list[Entry]:
        return [one for one in self._registry.cache.resource(RESOURCE).entries() if _group(one.key.name) == group]

    def _wake(self, name: str) -> None:
        if name in self._installing:
            self._installing.discard(name)
            self.queue.add(name)

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(RESOURCE, "", name)
        if entry is None:
            return
        if entry.meta.deletionTimestamp:
            if CUSTOM_RESOURCE_CLEANUP in (entry.meta.finalizers or ()):
                await self._clean_up(name, await in_thread(len(entry.body), entry.decode))
            return
        others = [each for each in self._of_group(_group(name)) if each.key.name != name]
        size = sum(len(one.body) for one in (entry, *others))
        known = self._structures.get(name)
        crd, names, accepted, structure = await in_thread(size, lambda: _seen(entry, others, known))
        self._structures[name] = structure
        wanted = [accepted, *_established_before(crd, accepted)]
        wanted += [c for c in (api_approval(crd),) if c is not None]
        released = names != ((crd.get("status") or {}).get("acceptedNames") or {})
        await self._report(name, wanted, names, structure.condition)
        if released:
            self._wake_group(name)
        if accepted["status"] == "True" and not is_true(conditions_of(crd), "Established"):
            # other processes have had a commit's time to serve the kind before clients hear of it
            if not self._definitions.is_settled(name):
                self._installing.add(name)
                return
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

        await self._modify_status(name, reported)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _clean_up(self, name: str, crd: Object) -> None:
        if self._is_builtin(crd):
            text = "instances overlap with built-in resources in storage"
            await self._release(name, _terminating("False", "OverlappingBuiltInResource", text))
            return
        if not is_true(conditions_of(crd), "Established"):
            await self._release(name, _terminating("False", "NeverEstablished", "resource was never established"))
            return
        kind = await self._stored(crd)
        self._ending[kind.resource] = name
        text = "CustomResource deletion is in progress"
        await self._report(name, [_terminating("True", "InstanceDeletionInProgress", text)])
        resource = self._registry.cache.resource(kind.resource)
        fresh = [entry for entry in resource.entries() if not entry.meta.deletionTimestamp]
        for start in range(0, len(fresh), BATCH):
            await self._registry.delete_collection(kind, fresh[start : start + BATCH], DeleteOptions())
        await self._registry.wait_for_consistent_read()
        if any(True for _ in resource.entries()):
            raise Requeue(RETRY)  # something holds them; the end of the last one wakes us
        await self._release(name, _terminating("False", "InstanceDeletionCompleted", "removed all instances"))
        self._ending.pop(kind.resource, None)

    def _is_builtin(self, crd: Object) -> bool:
        """Whether the instances are objects of a kind that the server has by itself."""
        kind = self._registry.catalog.storage_kind(_instances(crd))
        return kind is not None and not self._definitions.owns(kind)

    async def _stored(self, crd: Object) -> Kind:
        """The kind in the version that is stored; compiled where it is not served."""
        kind = self._registry.catalog.storage_kind(_instances(crd))
        if kind is not None and kind.version == storage_version(crd):
            return kind
        return await asyncio.to_thread(storage_kind_of, crd)

    async def _release(self, name: str, terminating: Object) -> None:
        def released(crd: Object) -> Object:
            status = crd.setdefault("status", {})
            status["conditions"] = with_condition(status.get("conditions"), terminating)
            remove_finalizer(crd["metadata"], CUSTOM_RESOURCE_CLEANUP)
            return crd

        await self._modify_status(name, released)

    async def _modify_status(self, name: str, change: Callable[[Object], Object]) -> None:
        kind = self._registry.kind("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        with ignoring_not_found():
            await self._registry.modify(kind, "", name, change, OPTIONS, "status")


INITIAL = "the initial names have been accepted"


def _instances(crd: Object) -> str:
    """Their resource."""
    return f"{crd['spec']['names']['plural']}.{crd['spec']['group']}"


def _group(name: str) -> str:
    """A definition is named after its plural, which has no dot, and its group."""
    return name.partition(".")[2]


def _seen(entry: Entry, others: Sequence[Entry], known: _Structure | None) -> _Seen:
    """What has to be read for that. ``others``: of the group."""
    crd = entry.decode()
    names, accepted = accept_names(crd, [other.decode() for other in others])
    state = entry.meta.uid, entry.meta.generation
    if known is None or known[:2] != state:
        known = _Structure(*state, non_structural_schema(crd))
    return _Seen(crd, names, accepted, known)


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
