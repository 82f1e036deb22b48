"""Events as client-go records them: equal ones are counted, similar ones aggregated, floods dropped.

Sources: client-go tools/record/events_cache.go (aggregation after 10 similar events in 10 minutes, a token bucket of 25
with one token each 5 minutes per source and object).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, final

import structlog

from kafila.core.clock import rfc3339
from kafila.core.errors import StatusError
from kafila.core.names import dns1123_subdomain, new_uid
from kafila.core.rates import TokenBucket
from kafila.core.values import AnyObject, Object
from kafila.registry import Options, Registry
from kafila.registry.context import Change
from kafila.telemetry.tasks import cancelled

log = structlog.get_logger(__name__)
SIMILAR = 10
WINDOW = 600.0
BURST = 25.0
REFILL = 1 / 300.0
REMEMBERED = 4096
QUEUE_LIMIT = 10_000
BATCH = 32
Similar = tuple[str, ...]  # what events have in common that are counted as one
_FIELDS: Object = {
    "f:count": {},
    "f:firstTimestamp": {},
    "f:involvedObject": {},  # one value for whoever tracks fields: an ObjectReference is atomic
    "f:lastTimestamp": {},
    "f:message": {},
    "f:reason": {},
    "f:reportingComponent": {},
    "f:source": {"f:component": {}},
    "f:type": {},
}


class NewEvent(NamedTuple):
    """``about``: apiVersion, kind and metadata. ``source``: the component, where it does not follow from object and reason."""

    about: AnyObject
    type: str  # Normal or Warning
    reason: str
    message: str
    source: str = ""


class _Seen(NamedTuple):
    name: str
    times: int


class _Composed(NamedTuple):
    who: tuple[str, ...]  # source and object, which have so many events a time
    key: Similar
    event: Object


@final
class Enclosure:
    """New events that go into the transaction of what they are about: ``changes``. The rest is counted afterwards.

    When that was committed, :meth:`committed` is to be called; when it failed there is nothing to record.
    """

    def __init__(self, recorder: Recorder, events: Iterable[NewEvent]) -> None:
        self.changes: list[Change] = []
        self._recorder = recorder
        self._new: dict[Similar, tuple[str, _Composed]] = {}
        self._others: list[_Composed] = []
        for each in events:
            composed = recorder.composed(*each)
            staged = None if composed.key in self._new else recorder.staged(composed)
            if staged is None:
                self._others.append(composed)
            else:
                self._new[composed.key] = staged[0], composed
                self.changes.append(staged[1])

    def leave(self) -> None:
        """They cannot be written together: all are recorded afterwards."""
        self._others = [composed for _, composed in self._new.values()] + self._others
        self._new, self.changes = {}, []

    def record_later(self) -> None:
        self.leave()
        self.committed()

    def committed(self) -> None:
        for name, composed in self._new.values():
            self._recorder.written(name, composed)
        for composed in self._others:
            self._recorder.count(composed)


@final
class Recorder:
    """Writes events in the background: what happens to an event never holds up the work it is about."""

    def __init__(
        self, registry: Registry, component: str = "kafila", source_of: Callable[[AnyObject, str], str] | None = None
    ) -> None:
        """``source_of``: the component to name for an object and a reason, "" for ``component``."""
        self._registry = registry
        self._component = component
        self._source_of = source_of
        self._kind = registry.kind("", "v1", "events")
        self._seen: OrderedDict[Similar, _Seen] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], list[Any]] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, ...], TokenBucket] = OrderedDict()
        self._pending: OrderedDict[Similar, Object] = OrderedDict()
        self._writing = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._write_pending())

    async def stop(self) -> None:
        await cancelled(self._task)

    async def settled(self, seconds: float) -> None:
        """Returns when what was recorded so far is written, or after ``seconds``."""
        waiting = set(self._pending)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while waiting & self._pending.keys() or self._writing:
                    await asyncio.sleep(0.01)

    def busy(self) -> bool:
        return bool(self._pending) or self._writing

    def event(self, obj: AnyObject, event_type: str, reason: str, message: str, source: str = "") -> None:
        """To be written soon. The parameters are those of :class:`NewEvent`."""
        self.count(self.composed(obj, event_type, reason, message, source))

    def enclosed(self, events: Iterable[NewEvent]) -> Enclosure:
        return Enclosure(self, events)

    def composed(self, obj: AnyObject, event_type: str, reason: str, message: str, source: str) -> _Composed:
        metadata = obj["metadata"]
        involved = {
            "kind": obj["kind"],
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
            "apiVersion": obj["apiVersion"],
            "resourceVersion": str(metadata.get("resourceVersion", "")),
        }
        involved = {k: v for k, v in involved.items() if v}
        source = source or (self._source_of(obj, reason) if self._source_of is not None else "") or self._component
        who = (source, involved["kind"], involved.get("namespace", ""), involved["name"], involved.get("uid", ""))
        message, key = self._aggregated(who, event_type, reason, message[:1024])
        now = rfc3339()
        event = {
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": event_type,
            "source": {"component": source},
            "reportingComponent": source,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        return _Composed(who, key, event)

    def count(self, composed: _Composed) -> None:
        """Soon, as one more where there is such an event."""
        if not self._take(composed.who) or len(self._pending) >= QUEUE_LIMIT:
            return
        known = self._pending.get(composed.key)
        if known is not None:
            known["count"] += 1
            known["lastTimestamp"] = composed.event["lastTimestamp"]
            return
        self._pending[composed.key] = composed.event
        self._wake.set()

    def staged(self, composed: _Composed) -> tuple[str, Change] | None:
        """The name and the creation of one that is new and may be written; None: it has to be counted, or is left out."""
        if composed.key in self._seen or composed.key in self._pending or not self._may_record(composed.who):
            return None
        name = event_name(composed.event["involvedObject"]["name"], time.time_ns())
        try:
            return name, self._staged(name, composed.event)
        except StatusError as error:
            log.debug("event not written", error=str(error))
            return None

    def written(self, name: str, composed: _Composed) -> None:
        self._take(composed.who)
        self._remember(composed.key, _Seen(name, composed.event["count"]))

    def _may_record(self, who: tuple[str, ...]) -> bool:
        bucket = self._buckets.get(who)
        return bucket is None or bucket.available(time.monotonic()) >= 1

    def _take(self, who: tuple[str, ...]) -> bool:
        """Whether there was a token."""
        bucket = self._buckets.pop(who, None) or TokenBucket(REFILL, BURST)
        self._buckets[who] = bucket
        _bound(self._buckets)
        return bucket.take(time.monotonic())

    def _aggregated(self, who: tuple[str, ...], event_type: str, reason: str, message: str) -> tuple[str, Similar]:
        group = (*who, event_type, reason)
        now = time.monotonic()
        at, texts = self._similar.pop(group, [now, set()])
        if now - at > WINDOW:
            texts = set()
        texts.add(message)
        self._similar[group] = [now, texts]
        _bound(self._similar)
        if len(texts) < SIMILAR:
            return message, (*group, message)
        texts.pop()
        return f"(combined from similar events): {message}", group

    async def _write_pending(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                batch = [self._pending.popitem(last=False) for _ in range(min(BATCH, len(self._pending)))]
                self._writing = True
                try:
                    new = [(key, event) for key, event in batch if key not in self._seen]
                    # what is remembered of them is looked up now: the new ones may push it out
                    counts = [self._count(key, event, self._seen[key]) for key, event in batch if key in self._seen]
                    await asyncio.gather(self._create(new), *counts)
                finally:
                    self._writing = False

    async def _count(self, key: Similar, event: Object, seen: _Seen) -> None:
        """Adds to one that is there; it may have expired meanwhile."""
        count = seen.times + event["count"]

        def counted(obj: Object) -> Object:
            return obj | {"count": count, "lastTimestamp": event["lastTimestamp"], "message": event["message"]}

        try:
            await self._registry.modify(self._kind, _namespace(event), seen.name, counted, self._options())
            self._remember(key, seen._replace(times=count))
        except StatusError as error:
            if error.is_not_found:
                await self._create([(key, event)])
            else:
                log.debug("event not counted", error=str(error))

    async def _create(self, events: Sequence[tuple[Similar, Object]]) -> None:
        """In one transaction, which costs less than one for each."""
        names = [event_name(event["involvedObject"]["name"], time.time_ns()) for _, event in events]
        try:
            changes = [self._staged(name, event) for name, (_, event) in zip(names, events, strict=True)]
            await self._registry.commit_together(changes)
        except StatusError as error:
            if len(events) > 1 and (
                error.code < 500 or error.by_webhook
            ):  # the namespace of one of them ends: no reason to lose the others
                await asyncio.gather(*(self._create([each]) for each in events))
            else:
                log.debug("event not written", error=str(error))
            return
        for name, (key, event) in zip(names, events, strict=True):
            self._remember(key, _Seen(name, event["count"]))

    def _staged(self, name: str, event: Object) -> Change:
        metadata = {
            "name": name,
            "namespace": _namespace(event),
            "managedFields": [self._owner(event["lastTimestamp"])],
        }
        obj = {"kind": "Event", "apiVersion": "v1", "metadata": metadata, **event}
        return self._registry.stage_create(self._kind, _namespace(event), obj, self._options(), tracked=True)

    def _options(self) -> Options:
        return Options(manager=self._component)

    def _owner(self, time: str) -> Object:
        """The entry of managedFields. All our events have the same fields; to compute it costs more than all else of a write."""
        entry = {"manager": self._component, "operation": "Update", "apiVersion": "v1", "time": time}
        return entry | {"fieldsType": "FieldsV1", "fieldsV1": _FIELDS}

    def _remember(self, key: Similar, seen: _Seen) -> None:
        self._seen.pop(key, None)
        self._seen[key] = seen
        _bound(self._seen)


def _namespace(event: Object) -> str:
    return event["involvedObject"].get("namespace") or "default"


def event_name(about: str, nanoseconds: int) -> str:
    """Not every name of an object can begin the name of an event: ``system:node``."""
    name = f"{about}.{nanoseconds:x}"
    return new_uid() if dns1123_subdomain(name) else name


def _bound(cache: OrderedDict[Any, Any]) -> None:
    while len(cache) > REMEMBERED:
        cache.popitem(last=False)
