"""The Works that bring slices of MultiClusterServices to the clusters that use them, by the Works that these slices come from."""

from __future__ import annotations

from typing import NamedTuple, final

from kafila.core import sets
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.placement.services.collected import work_name
from kafila.placement.services.slices import slice_in
from kafila.reconcile.karmada.kinds import WORKS, stored_work
from kafila.watch import Entry, Event


class Copy(NamedTuple):
    source: Key  # the Work of the provider's slice
    service: tuple[str, str]  # namespace and name of the MultiClusterService
    target: tuple[str, str, str]  # execution namespace of the consumer; namespace and name of the slice there


@final
class Copies:
    """Kept from the events of Works, which its owner hands on."""

    def __init__(self) -> None:
        self._copies: dict[Key, Copy] = {}
        self._of: dict[Key, set[Key]] = {}  # by source
        self._at: dict[tuple[str, str, str], set[Key]] = {}  # by target
        self._sources: dict[tuple[str, str], dict[Key, int]] = {}  # by service, with the number of copies

    def clear(self) -> None:
        for table in (self._copies, self._of, self._at, self._sources):
            table.clear()

    def of(self, source: Key) -> list[Key]:
        return sorted(self._of.get(source, ()))

    def sources(self, namespace: str, name: str) -> list[Key]:
        """The Works whose slices were brought somewhere for a MultiClusterService."""
        return sorted(self._sources.get((namespace, name), ()))

    def all_sources(self) -> list[Key]:
        return sorted(self._of)

    def others_at(self, target: tuple[str, str, str], source: Key) -> bool:
        """Does another Work bring an EndpointSlice of this name there?"""
        return any(self._copies[key].source != source for key in self._at.get(target, ()))

    def observe(self, event: Event) -> set[Key]:
        """The sources of the copy, before and after."""
        before = self._copies.get(event.key)
        after = copy_of(event.new) if event.new is not None else None
        self.put(event.key, after)
        return {copy.source for copy in (before, after) if copy is not None}

    def put(self, key: Key, copy: Copy | None) -> None:
        before = self._copies.get(key)
        if before == copy:
            return
        if before is not None:
            del self._copies[key]
            sets.discard(self._of, before.source, key)
            sets.discard(self._at, before.target, key)
            counts = self._sources[before.service]
            counts[before.source] -= 1
            if not counts[before.source]:
                del counts[before.source]
            if not counts:
                del self._sources[before.service]
        if copy is not None:
            self._copies[key] = copy
            self._of.setdefault(copy.source, set()).add(key)
            self._at.setdefault(copy.target, set()).add(key)
            counts = self._sources.setdefault(copy.service, {})
            counts[copy.source] = counts.get(copy.source, 0) + 1


def is_copy(entry: Entry) -> bool:
    return bool((entry.meta.annotations or {}).get(constants.PROVISION_CLUSTER)) and bool(
        (entry.meta.labels or {}).get(constants.MCS_NAME)
    )


def copy_of(entry: Entry) -> Copy | None:
    """None for a Work that brings no slice of another cluster."""
    space = entry.key.namespace
    if not is_copy(entry) or not space.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
        return None
    provider, labels = (entry.meta.annotations or {})[constants.PROVISION_CLUSTER], entry.meta.labels or {}
    found = slice_in(stored_work(entry))
    prefix = constants.dispatched_slice(provider, "")
    if found is None or not found["metadata"]["name"].startswith(prefix):
        return None
    where, name = found["metadata"]["namespace"], found["metadata"]["name"]
    source = Key(WORKS, constants.execution_namespace(provider), work_name(where, name.removeprefix(prefix)))
    service = labels.get(constants.MCS_NAMESPACE, ""), labels[constants.MCS_NAME]
    return Copy(source, service, (space, where, name))
