"""Works of controllers beside the template's: where one may be written now, what is staged for it, and how it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

from kafila.core.errors import ignoring_not_found
from kafila.placement import constants
from kafila.placement.types import Work
from kafila.registry import Registry
from kafila.registry.context import Change, DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.watch import Entry

from .clusters import Clusters
from .deleted_works import DeletedWorks
from .kinds import OPTIONS, WORKS, Kinds


class Place(NamedTuple):
    """Of a Work in an execution namespace. ``entry``: None where it is to be created."""

    space: str
    entry: Entry | None


@final
class ControlledWorks:
    def __init__(self, registry: Registry, clusters: Clusters) -> None:
        self._registry = registry
        self._clusters = clusters
        self._kinds = Kinds(registry)

    def takes(self, cluster: str) -> bool:
        """Whether Works can be written for a cluster: it stays, and so does its execution namespace."""
        namespace = self._registry.cache.get("namespaces", "", constants.execution_namespace(cluster))
        return namespace is not None and not namespace.meta.deletionTimestamp and not self._clusters.is_leaving(cluster)

    def place(self, cluster: str, name: str) -> Place | None:
        """None while the Work cannot be written. A deleted one comes again: its maker is told when it is gone, or a while later."""
        space = constants.execution_namespace(cluster)
        entry = self._registry.cache.get(WORKS, space, name)
        if not self.takes(cluster) or (entry is not None and entry.meta.deletionTimestamp):
            return None
        if entry is None and self._clusters.deleted_works.holds(cluster, name):
            return None
        return Place(space, entry)

    def stored(self, place: Place) -> Work | None:
        return self._kinds.read_work(place.entry) if place.entry is not None else None

    def change(self, place: Place, make: Callable[[Work | None], Work]) -> Change | None:
        """What is to be written of the Work that ``make`` answers to the stored one; None where that one is answered.

        Needs nothing of the event loop. Raises StatusError.
        """
        existing = self.stored(place)
        work = make(existing)
        return self.staged(place, work) if work is not existing else None

    def staged(self, place: Place, work: Work) -> Change:
        """Raises StatusError."""
        obj = decode_object(self._kinds.work, work, OPTIONS)
        if place.entry is None:
            return self._registry.stage_create(self._kinds.work, place.space, obj, OPTIONS)
        return self._registry.stage_update(self._kinds.work, place.entry, obj, OPTIONS)

    async def delete(self, entry: Entry) -> None:
        await delete_work(self._registry, self._clusters.deleted_works, entry)


async def delete_work(registry: Registry, deleted_works: DeletedWorks, entry: Entry) -> int:
    """Unless it is on its way out. The revision of that, 0 where there was nothing to do. Raises StatusError."""
    if entry.meta.deletionTimestamp:
        return 0
    deleted_works.by_us(entry)
    kind = registry.kind("work.karmada.io", "v1alpha1", "works")
    with ignoring_not_found():
        options = DeleteOptions(uid=entry.meta.uid)
        return (await registry.delete(kind, entry.key.namespace, entry.key.name, options))[0].revision
    return 0
