"""Requests that delete very much of what is placed in clusters wait for an approval: they are refused until somebody says it is meant.

What controllers delete is not asked about: a Namespace that ends, say, was asked about itself. Deletions are counted in what the watch
cache hears, which are those of all processes.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, final

import structlog
from prometheus_client import Counter

from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import bulk_deletion, constants
from kafila.placement.objects import annotations_of
from kafila.placement.withdrawal import APPROVED, HELD
from kafila.store.interface import EVENTS
from kafila.watch import Cache, Entry, Event

from .context import DeleteOptions, Options

log = structlog.get_logger(__name__)
WINDOW: Final = 60.0  # seconds: deletions in a namespace within them are one
REMEMBERED: Final = 1024  # namespaces
AT_ONCE: Final = 500  # objects that are looked at before others get their turn
NAMESPACES: Final = "namespaces"
DEFINITIONS: Final = "customresourcedefinitions.apiextensions.k8s.io"
OPTIONS: Final = Options(manager="kafila")
_CLAIM: Final = constants.PP_PERMANENT_ID.encode()  # stands in that of ClusterPropagationPolicies too
_CLAIMS: Final = (constants.PP_PERMANENT_ID, constants.CPP_PERMANENT_ID)
_OURS: Final = ("resourcebindings.work.karmada.io", "clusterresourcebindings.work.karmada.io", "works.work.karmada.io")

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
        if most:
            cache.listen_to_all(self._observe)

    async def check(self, kind: Kind, namespace: str, name: str, options: DeleteOptions) -> None:
        """Of one object. Raises StatusError 403."""
        if not self._most:
            return
        entry = self._cache.get(kind.resource, namespace, name)
        if entry is None or entry.meta.deletionTimestamp:
            return
        if kind.resource == NAMESPACES:
            await self._check(kind, entry, self._in_namespace(name), 0, kind, name, options)
        elif kind.resource == DEFINITIONS:
            await self._check(kind, entry, self._cache.resource(name).entries(), 0, kind, name, options)
        else:
            await self.check_all(kind, namespace, [entry], options, name)

    async def check_all(
        self, kind: Kind, namespace: str, entries: Sequence[Entry], options: DeleteOptions, name: str = ""
    ) -> None:
        """Of those that a list has selected in a namespace, or of the one with that ``name``. Raises StatusError 403."""
        holder = self._cache.get(NAMESPACES, "", namespace) if namespace and self._most else None
        if holder is None or holder.meta.deletionTimestamp or kind.resource in _OURS:
            return
        gone = self._recently(namespace)
        if len(entries) + gone <= self._most or not any(map(_is_claimed, entries)):
            return
        namespaces = self._catalog.storage_kind(NAMESPACES)
        assert namespaces is not None
        await self._check(namespaces, holder, entries, gone, kind, name, options)

    async def _check(
        self,
        kind: Kind,
        holder: Entry,
        entries: Iterable[Entry],
        gone: int,
        deleted: Kind,
        name: str,
        options: DeleteOptions,
    ) -> None:
        count = await self._placed(entries)
        if not count or count + gone <= self._most:
            return
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

    async def _placed(self, entries: Iterable[Entry]) -> int:
        """Those whose copies go with them."""
        preserving: dict[Key, bool] = {}
        found = 0
        for index, entry in enumerate(entries):
            if index % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if not _is_claimed(entry) or entry.meta.deletionTimestamp:
                continue
            policy = _policy(entry.meta.annotations or {})
            if policy not in preserving:
                preserving[policy] = self._preserves(policy)
            found += not preserving[policy]
        return found

    def _preserves(self, policy: Key) -> bool:
        stored = self._cache.get(*policy)
        return stored is not None and bool((stored.decode().get("spec") or {}).get("preserveResourcesOnDeletion"))

    def _in_namespace(self, namespace: str) -> Iterable[Entry]:
        for resource in self._cache.resources():
            kind = self._catalog.storage_kind(resource.name) if resource.name not in _OURS else None
            if kind is not None and kind.namespaced:
                yield from list(resource.entries(namespace))

    def _observe(self, event: Event) -> None:
        where, old = event.key.namespace, event.old
        if event.new is not None or old is None or not where or event.key.resource in _OURS or not _is_claimed(old):
            return
        times = self._gone.setdefault(where, deque(maxlen=self._most))
        times.append(time.monotonic())
        self._gone.move_to_end(where)
        while len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)

    def _recently(self, namespace: str) -> int:
        times = self._gone.get(namespace)
        if times is None:
            return 0
        since = time.monotonic() - WINDOW
        while times and times[0] < since:
            times.popleft()
        return len(times)


def _is_claimed(entry: Entry) -> bool:
    """By a policy."""
    return entry.mentions(_CLAIM) and any((entry.meta.labels or {}).get(each) for each in _CLAIMS)


def _policy(annotations: dict[str, str]) -> Key:
    if name := annotations.get(constants.PP_NAME):
        return Key("propagationpolicies.policy.karmada.io", annotations.get(constants.PP_NAMESPACE, ""), name)
    return Key("clusterpropagationpolicies.policy.karmada.io", "", annotations.get(constants.CPP_NAME, ""))
