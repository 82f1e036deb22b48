"""What is known of the managed objects in one member: followed per kind, with what we wrote ourselves on top.

The stream of a kind is opened when the first Work of that kind comes. Until it has caught up with our own writes, the answer
of the write counts: otherwise every write would look like drift to the next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, final

import orjson

from app.members.client import MemberClient, resource_path
from app.members.informer import Change, Informer, without_managed_fields

Object = dict[str, Any]
Observed = Callable[[Object, bool], None]  # (object, has it left?)


class Kind(NamedTuple):
    """A followed kind of the member."""

    api_version: str
    plural: str


class Where(NamedTuple):
    kind: Kind
    namespace: str
    name: str


def _keep(obj: Object) -> bytes:
    return orjson.dumps(without_managed_fields(obj))


@final
class Observation:
    def __init__(self, client: MemberClient, on_change: Observed) -> None:
        self._client = client
        self._on_change = on_change
        self._informers: dict[Kind, Informer] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._written: dict[Where, Object] = {}  # newer than what the stream has brought

    async def follow(self, kind: Kind) -> None:
        """Returns when the current objects of the kind are known, or the member could not be asked."""
        informer = self._informers.get(kind)
        if informer is None:
            path = resource_path(kind.api_version, kind.plural)
            informer = Informer(self._client, path, lambda change: self._changed(kind, change), keep=_keep)
            self._informers[kind] = informer
            self._tasks.append(asyncio.create_task(informer.run()))
        if not informer.synced.is_set():
            async with asyncio.timeout(30):
                await informer.synced.wait()

    def get(self, where: Where) -> Object | None:
        """The newest known state, a copy that the caller may change."""
        written = self._written.get(where)
        if written is not None:
            return orjson.loads(orjson.dumps(written))
        informer = self._informers.get(where.kind)
        seen = informer.get(where.namespace, where.name) if informer is not None else None
        return orjson.loads(seen.kept) if seen is not None else None

    def wrote(self, where: Where, obj: Object) -> None:
        """The member's answer to a write of ours."""
        informer = self._informers.get(where.kind)
        seen = informer.get(where.namespace, where.name) if informer is not None else None
        metadata = obj["metadata"]
        # the stream may be ahead of the answer: what it brought since then is newer
        if seen is None or seen.uid != metadata.get("uid") or is_older(seen.resource_version, metadata["resourceVersion"]):
            self._written[where] = without_managed_fields(obj)

    def forget(self, where: Where) -> None:
        self._written.pop(where, None)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _changed(self, kind: Kind, change: Change) -> None:
        where = Where(kind, change.name.namespace, change.name.name)
        written = self._written.get(where)
        if change.after is None:
            if written is not None and change.before is None:
                return  # an end older than our write
            self._written.pop(where, None)
            if change.before is not None:
                self._on_change(orjson.loads(change.before.kept), True)
            return
        obj = orjson.loads(change.after.kept)
        if written is not None:
            version = written["metadata"]["resourceVersion"]
            if is_older(change.after.resource_version, version) and change.after.uid == written["metadata"].get("uid"):
                return  # the stream is still behind our write
            self._written.pop(where)
            if change.after.resource_version == version:
                return  # the echo of our own write
        self._on_change(obj, False)


def is_older(version: str, than: str) -> bool:
    """resourceVersions of one resource can be compared as numbers (promised by Kubernetes since 1.35, true before)."""
    if version.isdigit() and than.isdigit():
        return int(version) < int(than)
    return version != than
