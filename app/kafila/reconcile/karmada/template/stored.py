"""What is stored of one binding: itself and its Works."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, NamedTuple, final

from kafila.placement import constants
from kafila.placement.objects import identity
from kafila.placement.spec import existing_clusters, targets_of
from kafila.placement.work.shared import SharedWorks
from kafila.reconcile.karmada.federation import Federation
from kafila.reconcile.karmada.indexes import WorkIndex
from kafila.registry.codec import decode_entry
from kafila.registry.threads import apart, on_loop
from kafila.watch import Entry

Object = dict[str, Any]


class Stored(NamedTuple):
    """The binding and its Works, as entries and decoded. ``reporting``: Works whose status counts."""

    existing: Entry | None
    before: Object | None
    entries: list[Entry]
    works: list[Object]
    reporting: Sequence[Object] = ()
    taken: Container[str] = ()  # clusters where Karmada's name for the Work is another object's


@final
class StoredSteps:
    def __init__(self, federation: Federation, works: WorkIndex) -> None:
        self._federation = federation
        self._works = works

    async def of(self, existing: Entry | None) -> Stored:
        if existing is None:
            return Stored(None, None, [], [])
        entries = self._works.of(existing)
        before = decode_entry(self._federation.kind_of_binding(existing.key), existing)
        works = await apart(sum(len(entry.body) for entry in entries), lambda: self._decoded(entries))
        return Stored(existing, before, entries, works)

    def shared(self, stored: Stored, binding: Object, template: Object, shares: SharedWorks) -> Stored:
        """With the Works that others have written in the clusters of ``binding``, without those that it leaves to others."""
        taken = shares.needed_by_others(binding) - existing_clusters(binding["spec"])
        kept = [
            (work, entry)
            for work, entry in zip(stored.works, stored.entries, strict=True)
            if constants.cluster_of(entry.key.namespace) not in taken
        ]
        wanted = {target["name"] for target in targets_of(binding["spec"])}
        missing = wanted - {constants.cluster_of(entry.key.namespace) for _, entry in kept}
        found, taken_names = on_loop(lambda: self._works.named(identity(template), missing))
        own, others = [work for work, _ in kept], self._decoded(found)
        return stored._replace(
            entries=[*(entry for _, entry in kept), *found],
            works=own + others,
            reporting=own + [work for work in others if not work["metadata"].get("deletionTimestamp")],
            taken=taken_names,
        )

    def _decoded(self, works: Iterable[Entry]) -> list[Object]:
        return [decode_entry(self._federation.work_kind, entry) for entry in works]
