"""What Works say of services over several clusters: which are exported where, and which EndpointSlices were collected for them.

An export counts where a binding has brought it: a Work of the control plane's own. Neither a member nor its agent can make it seem
that a service is exported which nobody here has exported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeVar, final

from kafila.core import sets
from kafila.core.conditions import conditions_of, is_true
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.placement.services.collected import LABELS, managers
from kafila.reconcile.karmada.kinds import WORKS, stored_work
from kafila.watch import Cache, Entry, Event, needles

K = TypeVar("K")
V = TypeVar("V")
_EXPORT: Final = needles.field("kind", constants.SERVICE_EXPORT_KIND)
_MCS: Final = needles.field("kind", constants.MCS_KIND)
_BINDING_S: Final = (constants.RB_PERMANENT_ID, constants.CRB_PERMANENT_ID)


class Service(NamedTuple):
    """A service in a cluster, and who asks for its slices: ServiceExport or MultiClusterService."""

    space: str  # the execution namespace of the cluster
    manager: str
    namespace: str
    name: str


class Asking(NamedTuple):
    """A Work that asks for the slices of a service."""

    service: Service
    applied: bool  # the member has the ServiceExport; a MultiClusterService is not sent there


@final
class ServiceWorks:
    """Kept from the events of Works."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._asking: dict[Key, Asking] = {}
        self._asked: dict[Service, set[Key]] = {}
        self._services: dict[str, set[Service]] = {}  # asked for, by execution namespace
        self._collected: dict[Key, tuple[Service, ...]] = {}
        self._works: dict[Service, set[Key]] = {}  # with collected slices
        self._by_space: dict[str, set[Key]] = {}  # Works with collected slices
        self._spaces: dict[tuple[str, str, str], set[Service]] = {}  # with slices, by manager, namespace and name
        self._listeners: list[Callable[[Iterable[Service]], None]] = []
        cache.listen(WORKS, self._observe)
        cache.on_reset(self.load)
        self.load()

    def listen(self, listener: Callable[[Iterable[Service]], None]) -> None:
        """``listener`` is told of services that are asked for by other Works than before."""
        self._listeners.append(listener)

    def load(self) -> None:
        for table in (self._asking, self._asked, self._services, self._collected, self._works):
            table.clear()
        self._by_space.clear()
        self._spaces.clear()
        for entry in self._cache.resource(WORKS).entries():
            self._put(entry.key, entry)

    # -- questions -----------------------------------------------------------------------------------------------------

    def is_asked_for(self, service: Service) -> bool:
        """Whether its slices are to be collected. An export that cannot be applied just now goes on."""
        works = self._asked.get(service, ())
        return any(self._asking[key].applied for key in works) or (bool(works) and service in self._works)

    def asked_for(self, space: str) -> list[Service]:
        return [service for service in self._services.get(space, ()) if self.is_asked_for(service)]

    def works_of(self, service: Service) -> list[Key]:
        """Those that hold its collected slices."""
        return sorted(self._works.get(service, ()))

    def collected_in(self, space: str) -> list[Key]:
        return sorted(self._by_space.get(space, ()))

    def count_in(self, space: str) -> int:
        """How many slices are collected from a cluster."""
        return len(self._by_space.get(space, ()))

    def everywhere(self, manager: str, namespace: str, name: str) -> list[Key]:
        """The Works with collected slices of a service, of all clusters."""
        services = self._spaces.get((manager, namespace, name), ())
        return sorted(key for service in services for key in self._works.get(service, ()))

    def asking(self, service: Service) -> Entry | None:
        """A Work that asks for its slices."""
        return next(
            (found for key in sorted(self._asked.get(service, ())) if (found := self._cache.get(*key)) is not None),
            None,
        )

    # -- what happens --------------------------------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        key = event.key
        before = self._asking.get(key)
        self._put(key, event.new)
        after = self._asking.get(key)
        if before != after:
            changed = {each.service for each in (before, after) if each is not None}
            for listener in self._listeners:
                listener(changed)

    def _put(self, key: Key, entry: Entry | None) -> None:
        self._note_asking(key, asking_of(entry) if entry is not None else None)
        found = collected_for(entry) if entry is not None else ()
        if found == self._collected.get(key, ()):
            return
        for service in self._collected.pop(key, ()):
            sets.discard(self._works, service, key)
            if service not in self._works:
                sets.discard(self._spaces, service[1:], service)
        if found:
            self._collected[key] = found
            self._by_space.setdefault(key.namespace, set()).add(key)
        else:
            sets.discard(self._by_space, key.namespace, key)
        for service in found:
            self._works.setdefault(service, set()).add(key)
            self._spaces.setdefault(service[1:], set()).add(service)

    def _note_asking(self, key: Key, asking: Asking | None) -> None:
        before = self._asking.get(key)
        if before == asking:
            return
        if before is not None:
            del self._asking[key]
            sets.discard(self._asked, before.service, key)
            if before.service not in self._asked:
                sets.discard(self._services, before.service.space, before.service)
        if asking is not None:
            self._asking[key] = asking
            self._asked.setdefault(asking.service, set()).add(key)
            self._services.setdefault(asking.service.space, set()).add(asking.service)


def asking_of(entry: Entry) -> Asking | None:
    """The service whose slices a Work asks for: it brings the ServiceExport there, or says that the cluster is a provider."""
    space, labels = entry.key.namespace, entry.meta.labels or {}
    if not space.startswith(constants.EXECUTION_NAMESPACE_PREFIX) or entry.meta.deletionTimestamp:
        return None
    if labels.get(constants.MCS_PERMANENT_ID) and entry.mentions(_MCS):
        return Asking(
            Service(
                space, constants.MCS_KIND, labels.get(constants.MCS_NAMESPACE, ""), labels.get(constants.MCS_NAME, "")
            ),
            True,
        )
    if not any(labels.get(label) for label in _BINDING_S) or not entry.mentions(_EXPORT):
        return None
    work = stored_work(entry)
    for manifest in (work["spec"].get("workload") or {}).get("manifests") or ():
        if manifest.get("kind") == constants.SERVICE_EXPORT_KIND and _is_of_group(manifest.get("apiVersion")):
            meta = manifest.get("metadata") or {}
            service = Service(space, constants.SERVICE_EXPORT_KIND, meta.get("namespace") or "", meta.get("name") or "")
            return Asking(service, is_true(conditions_of(work), constants.COND_APPLIED))
    return None


def _is_of_group(api_version: object) -> bool:
    return isinstance(api_version, str) and api_version.startswith("multicluster.x-k8s.io/")


def collected_for(entry: Entry) -> tuple[Service, ...]:
    """The services whose slice a Work holds."""
    labels, space = entry.meta.labels or {}, entry.key.namespace
    if constants.ENDPOINTSLICE_MANAGED_BY not in labels or not space.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
        return ()
    return tuple(
        Service(space, manager, labels.get(LABELS[manager][0], ""), labels.get(LABELS[manager][1], ""))
        for manager in sorted(managers(labels))
        if labels.get(LABELS[manager][1])
    )
