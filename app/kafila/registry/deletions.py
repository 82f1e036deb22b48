"""Requests that delete very much of what is placed in clusters wait for an approval: they are refused until somebody says it is meant.

What controllers delete is neither asked about nor counted: a Namespace that ends, say, was asked about itself. Deletions are counted in
what the watch cache hears, which are those of all processes; who has deleted is seen in the objects. Namespaces and
CustomResourceDefinitions (holders) that are deleted one after the other count together.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, final

import structlog
from prometheus_client import Counter

from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import bulk_deletion, constants
from kafila.placement.constants import Identity, binding_names
from kafila.placement.objects import annotations_of
from kafila.placement.withdrawal import APPROVED, HELD
from kafila.store.interface import EVENTS
from kafila.watch import Cache, Entry, Event, needles

from .context import DeleteOptions, Options

log = structlog.get_logger(__name__)
WINDOW: Final = 60.0  # seconds: deletions in a namespace within them are one
REMEMBERED: Final = 1024  # namespaces
AT_ONCE: Final = 500  # objects that are looked at before others get their turn
NAMESPACES: Final = "namespaces"
DEFINITIONS: Final = "customresourcedefinitions.apiextensions.k8s.io"
JOBS: Final = "jobs.batch"
OPTIONS: Final = Options(manager="kafila")
_CLAIM: Final = constants.PP_PERMANENT_ID.encode()  # stands in that of ClusterPropagationPolicies too
_TIMED: Final = needles.field("ttlSecondsAfterFinished")
_DELETED: Final = needles.field("deletionTimestamp")
_PLACEMENT: Final = needles.field("placement")
_PRESERVING: Final = needles.field("preserveResourcesOnDeletion", True)
_CLAIMS: Final = (constants.PP_PERMANENT_ID, constants.CPP_PERMANENT_ID)
_BINDINGS: Final = "resourcebindings.work.karmada.io"
_CLUSTER_BINDINGS: Final = "clusterresourcebindings.work.karmada.io"
# They have the labels of claims, and are placed nowhere themselves.
_OURS: Final = frozenset(
    {
        _BINDINGS,
        _CLUSTER_BINDINGS,
        "works.work.karmada.io",
        "propagationpolicies.policy.karmada.io",
        "clusterpropagationpolicies.policy.karmada.io",
    }
)

EVENT_HELD: Final = "WithdrawalHeld"
EVENT_APPROVED: Final = "WithdrawalApproved"
HELD_TOTAL: Final = Counter(
    "kafila_deletions_held_total", "Deletions that were refused until somebody approves of them.", ["kind"]
)


class Writes(Protocol):
    """What the registry does of it."""

    async def modify(
        self, kind: Kind, namespace: str, name: str, compute: Callable[[Any], Object], options: Options
    ) -> Entry: ...

    async def create(self, kind: Kind, namespace: str, obj: Object, options: Options) -> Entry: ...


@final
class Deletions:
    def __init__(self, cache: Cache, catalog: Catalog, writes: Writes, most: int) -> None:
        """``most``: objects that may go at once; 0 for any number."""
        self._cache = cache
        self._catalog = catalog
        self._writes = writes
        self._most = most
        self._gone: OrderedDict[str, deque[float]] = OrderedDict()  # by namespace, when objects went, newest last
        self._gone_with_holders: deque[float] = deque(maxlen=most)  # the same of objects whose holder ends
        self._under_way: dict[str, set[Key]] = {}  # by namespace, what requests are about to delete
        self._holders_under_way: dict[Key, int] = {}  # the same, with how many placed objects each holds
        if most:
            cache.listen_to_all(self._observe)

    @asynccontextmanager
    async def asked(self, kind: Kind, namespace: str, name: str, options: DeleteOptions) -> AsyncIterator[None]:
        """Around the deletion of one object. Raises StatusError 403."""
        entry = self._cache.get(kind.resource, namespace, name) if self._most else None
        if entry is None or entry.meta.deletionTimestamp:
            yield
        elif kind.resource in (NAMESPACES, DEFINITIONS):
            count = await self._check_holder(kind, entry, options)
            self._holders_under_way[entry.key] = count
            try:
                yield
            finally:
                self._holders_under_way.pop(entry.key, None)
        else:
            async with self.all_asked(kind, namespace, [entry], options, name):
                yield

    @asynccontextmanager
    async def all_asked(
        self, kind: Kind, namespace: str, entries: Sequence[Entry], options: DeleteOptions, name: str = ""
    ) -> AsyncIterator[None]:
        """Around the deletion of those that a list has selected in a namespace, or of the one with that ``name``. Meanwhile they
        count for others: clients such as Helm delete many at the same moment. Raises StatusError 403.
        """
        placed = await self._check_all(kind, namespace, entries, options, name)
        if not placed:
            yield
            return
        self._under_way.setdefault(namespace, set()).update(placed)
        try:
            yield
        finally:
            left = self._under_way.get(namespace, set())
            left.difference_update(placed)
            if not left:  # two requests may have asked for one object
                self._under_way.pop(namespace, None)

    async def _check_all(
        self, kind: Kind, namespace: str, entries: Sequence[Entry], options: DeleteOptions, name: str
    ) -> list[Key]:
        """Those that count until they are deleted. Nothing is waited for after they were counted: others begin after them."""
        holder = self._cache.get(NAMESPACES, "", namespace) if namespace and self._most else None
        if holder is None or holder.meta.deletionTimestamp or kind.resource in _OURS:
            return []
        placed = await self._placed(entries)
        under_way = self._under_way.get(namespace, set()).difference(placed)
        gone = _recent(self._gone.get(namespace, deque())) + len(under_way)
        if placed and len(placed) + gone > self._most:
            namespaces = self._catalog.storage_kind(NAMESPACES)
            assert namespaces is not None
            await self._refuse(namespaces, holder, len(placed), gone, kind, name, options)
            return []  # it is approved: whoever asks in this namespace is let through
        return [] if options.dry_run else placed

    async def _check_holder(self, kind: Kind, holder: Entry, options: DeleteOptions) -> int:
        """How many count until it is deleted."""
        count, others = len(await self._placed(self._held_by(holder))), await self._with_others()
        for key, found in self._holders_under_way.items():
            other = self._cache.get(*key) if key != holder.key else None
            if other is not None and not other.meta.deletionTimestamp:
                others += found
        if count and count + others > self._most:
            await self._refuse(kind, holder, count, others, kind, holder.key.name, options)
            return 0
        return 0 if options.dry_run else count

    async def _refuse(
        self, kind: Kind, holder: Entry, count: int, gone: int, deleted: Kind, name: str, options: DeleteOptions
    ) -> None:
        """Unless it is approved. Raises StatusError 403."""
        obj, now = holder.decode(), time.time()
        was_told, is_said = bool(bulk_deletion.held(obj, now)), not options.dry_run
        if bulk_deletion.is_approved(obj, now):
            if was_told and is_said:
                await self._say(kind, holder, None, "Normal", EVENT_APPROVED, "What waited is carried out")
            return
        before = f", after {gone} within {WINDOW:.0f} s" if gone else ""
        what = "object is" if count == 1 else "objects are"
        text = f"{count} {what} to be deleted that policies have placed in clusters{before}"
        how = f"kafila approve {kind.singular} {holder.key.name}, or annotation {APPROVED} of it: until when"
        why = f"{text}: more than {self._most} at once wait for an approval ({how})"
        if not was_told and is_said:
            await self._say(kind, holder, bulk_deletion.mark(text, now), "Warning", EVENT_HELD, why)
            HELD_TOTAL.labels(kind.kind).inc()
        raise errors.forbidden(deleted.group, deleted.plural, name, why)

    async def _say(self, kind: Kind, holder: Entry, held: str | None, type: str, reason: str, message: str) -> None:
        """On the object, and by an event. ``held``: what is to be shown of it; None: nothing any more."""

        def marked(current: Object) -> Object:
            annotations = {key: value for key, value in annotations_of(current).items() if key != HELD}
            if held is not None:
                annotations[HELD] = held
            return {**current, "metadata": {**current["metadata"], "annotations": annotations}}

        events = self._catalog.storage_kind(EVENTS)
        assert events is not None
        about = {"apiVersion": kind.api_version, "kind": kind.kind, "name": holder.key.name, "uid": holder.meta.uid}
        now = rfc3339()
        event: Object = {
            "metadata": {"namespace": "default", "generateName": f"{holder.key.name}."},
            "involvedObject": about,
            "type": type,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": OPTIONS.manager},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._writes.modify(kind, "", holder.key.name, marked, OPTIONS)
            await self._writes.create(events, "default", event, OPTIONS)
        except errors.StatusError as error:
            log.warning("it could not be told", kind=kind.kind, name=holder.key.name, event=reason, error=str(error))

    async def _with_others(self) -> int:
        """Placed objects that go, or went a short while ago, with holders that nobody has approved of."""
        found, now = _recent(self._gone_with_holders), time.time()
        for resource in (NAMESPACES, DEFINITIONS):
            for index, holder in enumerate(list(self._cache.resource(resource).entries())):
                if index % AT_ONCE == AT_ONCE - 1:
                    await asyncio.sleep(0)
                asked = holder.meta.deletionTimestamp if holder.mentions(_DELETED) else None
                if asked and now - parse_rfc3339(asked) < WINDOW and not _is_approved(holder):
                    found += len(await self._placed(self._held_by(holder), True))
                    await asyncio.sleep(0)  # each is looked for in all resources, also where it holds nothing
        return found

    async def _placed(self, entries: Iterable[Entry], ending: bool = False) -> list[Key]:
        """Those whose copies go with them. ``ending``: also those that somebody deletes already."""
        preserving: dict[Key, bool] = {}
        found: list[Key] = []
        for index, entry in enumerate(entries):
            if index % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            says = self._says(entry)
            if says is None or (entry.meta.deletionTimestamp and not ending):
                continue
            if says not in preserving:
                preserving[says] = self._preserves(says)
            if not preserving[says]:
                found.append(entry.key)
        return found

    def _says(self, entry: Entry) -> Key | None:
        """What says whether the copies of a placed object stay when it is deleted: its policy; its binding, where the policy
        is gone, for the copies have outlived that. None: it is placed by no policy.
        """
        if entry.key.resource in _OURS:
            return None
        if _is_claimed(entry):
            return _policy(entry.meta.annotations or {})
        bindings = self._cache.resource(_BINDINGS if entry.key.namespace else _CLUSTER_BINDINGS)
        kind = self._catalog.storage_kind(entry.key.resource) if bindings.objects else None
        if kind is None:
            return None
        for name in binding_names(Identity(kind.group, kind.kind, entry.key.namespace, entry.key.name)):
            binding = bindings.get(entry.key.namespace, name)
            if binding is not None and _is_binding_of(binding, entry):
                return binding.key
        return None

    def _preserves(self, says: Key) -> bool:
        stored = self._cache.get(*says)
        if stored is None or not stored.mentions(_PRESERVING):
            return False
        return bool((stored.decode().get("spec") or {}).get("preserveResourcesOnDeletion"))

    def _held_by(self, holder: Entry) -> Iterable[Entry]:
        name = holder.key.name
        if holder.key.resource == DEFINITIONS:
            yield from list(self._cache.resource(name).entries())
            return
        for resource in self._cache.resources():
            kind = self._catalog.storage_kind(resource.name) if resource.name not in _OURS else None
            if kind is not None and kind.namespaced:
                yield from list(resource.entries(name))

    def _observe(self, event: Event) -> None:
        """Counts what was asked to go, which finalizers may hold up; where the holder was asked, what has gone."""
        key, old, new = event.key, event.old, event.new
        if old is None or (new is not None and not new.mentions(_DELETED)):
            return
        if key.resource == NAMESPACES and new is None:
            self._gone.pop(key.name, None)  # one of that name that is made anew is another one
        was_asked = bool(old.meta.deletionTimestamp)
        if new is not None and (was_asked or not new.meta.deletionTimestamp):
            return
        says = self._says(old)
        if says is None or self._preserves(says):
            return
        holder = self._ending_holder(key)
        if holder is not None:
            if new is None and not _is_approved(holder):
                self._gone_with_holders.append(time.monotonic())
        elif key.namespace and not was_asked and not _is_of_controllers(old):
            self._under_way.get(key.namespace, set()).discard(key)
            self._count(key.namespace)

    def _ending_holder(self, key: Key) -> Entry | None:
        for resource, name in ((NAMESPACES, key.namespace), (DEFINITIONS, key.resource)):
            holder = self._cache.get(resource, "", name)
            if holder is not None and holder.meta.deletionTimestamp:
                return holder
        return None

    def _count(self, namespace: str) -> None:
        self._gone.setdefault(namespace, deque(maxlen=self._most)).append(time.monotonic())
        self._gone.move_to_end(namespace)
        while len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)


def _recent(times: deque[float]) -> int:
    since = time.monotonic() - WINDOW
    while times and times[0] < since:
        times.popleft()
    return len(times)


def _is_of_controllers(entry: Entry) -> bool:
    """Goes with its owner, or when it has been finished for long enough."""
    return bool(entry.meta.ownerReferences) or (entry.key.resource == JOBS and entry.mentions(_TIMED))


def _is_approved(holder: Entry) -> bool:
    return bulk_deletion.is_approved({"metadata": {"annotations": holder.meta.annotations or {}}}, time.time())


def _is_claimed(entry: Entry) -> bool:
    """By a policy."""
    return entry.mentions(_CLAIM) and any((entry.meta.labels or {}).get(each) for each in _CLAIMS)


def _is_binding_of(binding: Entry, template: Entry) -> bool:
    """Of a policy: one that only dependents or a MultiClusterService have names no controller, or no placement."""
    owners = binding.meta.ownerReferences or ()
    return binding.mentions(_PLACEMENT) and any(owner.controller and owner.uid == template.meta.uid for owner in owners)


def _policy(annotations: dict[str, str]) -> Key:
    if name := annotations.get(constants.PP_NAME):
        return Key("propagationpolicies.policy.karmada.io", annotations.get(constants.PP_NAMESPACE, ""), name)
    return Key("clusterpropagationpolicies.policy.karmada.io", "", annotations.get(constants.CPP_NAME, ""))
