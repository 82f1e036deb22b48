"""Custom objects that a webhook converts: asked before something needs another version, and remembered.

What is written is converted while the write is prepared (``asking.ToStore``); what is read, before it is encoded. Whoever cannot
wait (controllers, between two of their steps) is told that it is not converted yet: then it is being converted, and is when he
comes again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Final, final

import orjson
import structlog

from kafila.admission.webhooks.hooks import client_of
from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.core.values import Object, fitted
from kafila.machinery import conversionreview
from kafila.machinery.conversionreview import ConversionFailed
from kafila.telemetry.tasks import cancelled
from kafila.watch import Entry
from kafila.webhooks import Callers, CallFailed, metrics

from .codec import is_other_version
from .threads import in_thread

log = structlog.get_logger(__name__)
SECONDS: Final = 30.0  # as kube-apiserver waits
AT_ONCE: Final = 200  # objects in one review
BYTES_AT_ONCE: Final = 2 << 20
REVIEWS: Final = 16  # of one definition that are under way
REMEMBERED: Final = 64 << 20  # bytes of converted objects
WAITING: Final = 1000  # objects that somebody wants who does not wait

_Key = tuple[str, str, str, int]  # apiVersion, definition, uid and revision of the object


@final
class Converting:
    """Used in one event loop, but for ``known``."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers
        self._bodies: OrderedDict[_Key, bytes] = OrderedDict()
        self._bytes = 0
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._wanted: dict[_Key, tuple[Kind, Entry]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        catalog.on_add(self._attach)

    def _attach(self) -> None:
        self._bodies.clear()
        self._bytes = 0
        for kind in self._catalog:
            if kind.conversion is not None and kind.converter is None:
                kind.converter = self

    async def close(self) -> None:
        await cancelled(*self._tasks)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def shown(self, kind: Kind, entries: Sequence[Entry]) -> list[Entry]:
        """Entries that ``kind`` can show, in the same order. Raises StatusError."""
        self._loop = asyncio.get_running_loop()
        out = list(entries)
        missing: list[int] = []
        size = sum(len(entry.body) for entry in entries)
        other = await in_thread(size, lambda: [is_other_version(kind, entry.decode()) for entry in entries])
        for index, (entry, converts) in enumerate(zip(entries, other, strict=True)):
            if not converts:
                continue
            body = self._found(kind, entry)
            if body is None:
                missing.append(index)
            else:
                out[index] = _with_view(kind, entry, body)
        batches = _batches([(index, len(entries[index].body)) for index in missing])
        bodies = await asyncio.gather(*(self._bodies_of(kind, [entries[i] for i in batch]) for batch in batches))
        for batch, found in zip(batches, bodies, strict=True):
            for index, body in zip(batch, found, strict=True):
                out[index] = _with_view(kind, entries[index], body)
        return out

    def known(self, kind: Kind, entry: Entry) -> bytes:
        """Also from other threads. Raises StatusError 500 where it was not converted yet, and has that done."""
        body = self._bodies.get(_key(kind, entry))
        if body is not None:
            return body
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._later, kind, entry)
        raise _failure(kind, kind.api_version, " has not answered yet")

    def _later(self, kind: Kind, entry: Entry) -> None:
        key = _key(kind, entry)
        if key in self._wanted or len(self._wanted) >= WAITING or self._loop is None:
            return
        self._wanted[key] = (kind, entry)
        task = self._loop.create_task(self._convert_later(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _convert_later(self, key: _Key) -> None:
        kind, entry = self._wanted[key]
        try:
            await self.shown(kind, [entry])
        except StatusError as error:
            log.warning("an object was not converted", error=error.message, name=entry.key.name)
        finally:
            del self._wanted[key]

    async def _bodies_of(self, kind: Kind, entries: Sequence[Entry]) -> list[bytes]:
        size = sum(len(entry.body) for entry in entries)
        originals = await in_thread(size, lambda: [self._stored(kind, entry) for entry in entries])
        answers = await self._asked(kind, originals, kind.api_version, size)
        bodies = await in_thread(size, lambda: [_body(kind, answer) for answer in answers])
        for entry, body in zip(entries, bodies, strict=True):
            self._remember(_key(kind, entry), body)
        return bodies

    def _stored(self, kind: Kind, entry: Entry) -> Object:
        """In the version that it is stored in, with the defaults of that one."""
        body = entry.decode()
        assert kind.stored_as is not None
        version = kind.stored_as(body)
        of_storage = self._catalog.get(kind.group, version.rpartition("/")[2], kind.plural)
        if of_storage is not None and of_storage.from_storage is not None:
            body = of_storage.from_storage(body)
        elif kind.from_storage is not None:
            body = {name: value for name, value in body.items() if "/" not in name}
        return {"kind": kind.kind, "apiVersion": version, **body}

    def _found(self, kind: Kind, entry: Entry) -> bytes | None:
        key = _key(kind, entry)
        body = self._bodies.get(key)
        if body is not None:
            self._bodies.move_to_end(key)
        return body

    def _remember(self, key: _Key, body: bytes) -> None:
        if not key[3]:  # never stored: a dry run
            return
        self._bytes += len(body) - len(self._bodies.pop(key, b""))
        self._bodies[key] = body
        while self._bytes > REMEMBERED:
            self._bytes -= len(self._bodies.popitem(last=False)[1])

    # -- writing -------------------------------------------------------------------------------------------------------

    async def stored(self, kind: Kind, obj: Object) -> Object:
        """``obj`` in the version that is stored. Raises StatusError."""
        version = f"{kind.group}/{kind.storage_version}"
        if version == kind.api_version:
            return obj
        return (await self._asked(kind, [obj], version, 0))[0]

    async def between(self, kind: Kind, target: Kind, obj: Object) -> Object:
        """``obj`` of one version in another. Raises StatusError."""
        found = (await self._asked(kind, [obj], target.api_version, 0))[0]
        assert target.from_storage is not None
        return {**target.from_storage(found), "kind": target.kind, "apiVersion": target.api_version}

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _asked(self, kind: Kind, objects: Sequence[Object], desired: str, size: int) -> list[Object]:
        """Raises StatusError."""
        conversion = kind.conversion
        assert conversion is not None
        source = objects[0]["apiVersion"]
        slots = self._slots.setdefault(conversion.definition, asyncio.Semaphore(REVIEWS))
        began = time.perf_counter()
        try:
            async with asyncio.timeout(SECONDS), slots:
                version = conversionreview.version_of(conversion.reviews)
                uid = new_uid()
                body = await in_thread(size, partial(conversionreview.review, uid, version, objects, desired))
                answer = await self._callers.post(client_of(conversion.client), body, SECONDS)
                found = await in_thread(
                    len(answer), partial(conversionreview.converted, uid, version, objects, desired, answer)
                )
        except ConversionFailed as error:
            why = str(error)
        except CallFailed as error:
            why = f" failed: {error}"
        except TimeoutError:
            why = " failed: context deadline exceeded"
        else:
            metrics.observe_conversion(conversion.definition, time.perf_counter() - began, failed=False)
            return found
        metrics.observe_conversion(conversion.definition, time.perf_counter() - began, failed=True)
        raise _failure(kind, source, why)


def _key(kind: Kind, entry: Entry) -> _Key:
    """What a converted body depends on; with a changed definition all of them are forgotten."""
    return kind.api_version, kind.definition, entry.meta.uid, entry.revision


def _with_view(kind: Kind, entry: Entry, body: bytes) -> Entry:
    """One of its own: readers of other versions do not take it away."""
    out = Entry.__new__(Entry)
    out.key, out.revision, out.body, out._meta = entry.key, entry.revision, entry.body, entry._meta
    out.view = kind, body
    return out


def _body(kind: Kind, answer: Object) -> bytes:
    assert kind.from_storage is not None
    shown = kind.from_storage({name: value for name, value in answer.items() if name not in ("kind", "apiVersion")})
    metadata = shown.pop("metadata")
    version = {"resourceVersion": metadata["resourceVersion"]} if "resourceVersion" in metadata else {}
    rest = {name: value for name, value in metadata.items() if name != "resourceVersion"}
    return fitted(orjson.dumps({"metadata": {**version, **rest}, **shown}))


def _failure(kind: Kind, source: str, why: str) -> StatusError:
    group, _, version = source.rpartition("/")
    return StatusError(500, "", f"conversion webhook for {group}/{version}, Kind={kind.kind}{why}")


def _batches(sizes: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Indices of objects that are asked about together. ``sizes``: index and bytes of each."""
    out: list[list[int]] = []
    left = 0
    for index, size in sizes:
        if not out or len(out[-1]) >= AT_ONCE or size > left:
            out.append([])
            left = BYTES_AT_ONCE
        out[-1].append(index)
        left -= size
    return out
