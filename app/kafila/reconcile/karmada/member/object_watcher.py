"""What is known of the managed objects in one member: followed per kind, with what we wrote ourselves on top.

The stream of a kind is opened when the first Work of that kind comes. Until it has caught up with our own writes, the answer
of the write counts: otherwise every write would look like drift to the next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, final

import orjson

from kafila.core.values import Object
from kafila.members.client import MemberClient, resource_path
from kafila.members.informer import Change, Informer, without_managed_fields
from kafila.members.shapes import check_stored
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.telemetry.tasks import cancelled

Observed = Callable[[Object, "MemberEvent"], None]
_APART = ("metadata", "status")  # compared in another way, or not at all
_NO_VERSION = {"resourceVersion": ""}
CHECK = 0.1  # seconds between checks of a list that does not come
TIMEOUT = 30.0


class MemberEvent(Enum):
    """What is known of an object in the member."""

    LISTED = 0  # found by the first list: nothing need have changed
    STATUS = 1  # nothing but its status changed: no drift
    CHANGED = 2
    LEFT = 3


class NotServed(Exception):
    """The member does not serve the manifest's kind."""


class Kind(NamedTuple):
    """A followed kind of the member."""

    api_version: str
    plural: str

    @property
    def path(self) -> str:
        return resource_path(self.api_version, self.plural)


class Where(NamedTuple):
    kind: Kind
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return resource_path(self.kind.api_version, self.kind.plural, self.namespace, self.name)

    @property
    def collection(self) -> str:
        return resource_path(self.kind.api_version, self.kind.plural, self.namespace)


@final
class Following:
    """An informer and the task that runs it."""

    def __init__(self, informer: Informer) -> None:
        self.informer = informer
        self._task = asyncio.create_task(informer.run())

    async def wake(self) -> None:
        """The member answers again: an informer that rests after failures goes on at once."""
        if self.informer.error:
            await self.stop()
            self.informer.start_anew()
            self._task = asyncio.create_task(self.informer.run())

    async def stop(self) -> None:
        await cancelled(self._task)


@final
class ObjectWatcher:
    def __init__(self, client: MemberClient, on_change: Observed) -> None:
        self._client = client
        self._on_change = on_change
        self._followed: dict[Kind, Following] = {}
        self._written: dict[Where, Object] = {}  # newer than what the stream has brought

    def begin(self, kind: Kind) -> Informer:
        """The kind is followed from now on, if it was not."""
        following = self._followed.get(kind)
        if following is None:
            informer = Informer(
                self._client,
                kind.path,
                lambda change: self._changed(kind, change),
                keep=_keep,
                on_relist=lambda: self._distrust(kind),
            )
            following = self._followed[kind] = Following(informer)
        return following.informer

    async def follow(self, kind: Kind, patient: Callable[[], bool] = lambda: True) -> None:
        """Returns when the current objects of the kind are known, or not ``patient`` any more. Raises Unreachable, NotServed."""
        informer = self.begin(kind)
        if informer.synced.is_set():
            return
        deadline = asyncio.get_running_loop().time() + TIMEOUT
        while not informer.synced.is_set():
            try:
                async with asyncio.timeout(CHECK):
                    await informer.synced.wait()
            except TimeoutError:
                if not patient():
                    return
                late = asyncio.get_running_loop().time() > deadline
                if informer.error.startswith("404"):
                    await self._unfollow(kind)
                    raise NotServed(f"{self._client.name} does not serve {kind.plural} of {kind.api_version}") from None
                if unusable := self._client.faults.of(f"GET {kind.path}"):
                    raise UnusableAnswer(unusable) from None
                if informer.error or late:
                    why = informer.error or "timed out"
                    raise Unreachable(f"cannot list {kind.path}: {why}", sent=False) from None

    async def _unfollow(self, kind: Kind) -> None:
        following = self._followed.pop(kind, None)
        if following is not None:
            await following.stop()
            following.informer.forget()

    def get(self, where: Where) -> Object | None:
        """The newest known state, a copy that the caller may change."""
        found = self.body(where)
        return orjson.loads(found) if found is not None else None

    def body(self, where: Where) -> bytes | None:
        """The newest known state as JSON: the same object until it has changed, but for a write that the stream has yet to bring."""
        written = self._written.get(where)
        following = self._followed.get(where.kind)
        if written is not None:
            reached = following.informer.resource_version if following is not None else ""
            if not reached or is_older(reached, written["metadata"]["resourceVersion"]):
                return orjson.dumps(written)
            del self._written[where]  # the stream is past our write: what it does not know is gone
        seen = following.informer.get(where.namespace, where.name) if following is not None else None
        return seen.kept if seen is not None else None

    def is_gone(self, where: Where) -> bool:
        """Whether the member has said that it is not there: while its list is on its way nobody knows."""
        following = self._followed.get(where.kind)
        return following is not None and following.informer.synced.is_set() and self.get(where) is None

    def wrote(self, where: Where, obj: Object) -> None:
        """The member's answer to a write of ours, or what it says is there. Raises UnusableAnswer."""
        check_stored(obj, where.path)
        following = self._followed.get(where.kind)
        seen = following.informer.get(where.namespace, where.name) if following is not None else None
        metadata = obj["metadata"]
        # the stream may be ahead of the answer: what it brought since then is newer
        if (
            seen is None
            or seen.uid != metadata.get("uid")
            or is_older(seen.resource_version, metadata["resourceVersion"])
        ):
            self._written[where] = without_managed_fields(obj)

    def _distrust(self, kind: Kind) -> None:
        """A list shows what became of our writes: a member that was restored does not know the newest ones any more."""
        for where in [where for where in self._written if where.kind == kind]:
            del self._written[where]

    def forget(self, where: Where) -> None:
        self._written.pop(where, None)

    async def wake(self) -> None:
        for following in list(self._followed.values()):
            await following.wake()

    async def stop(self) -> None:
        for kind in list(self._followed):
            await self._unfollow(kind)

    def _changed(self, kind: Kind, change: Change) -> None:
        where = Where(kind, change.name.namespace, change.name.name)
        written = self._written.get(where)
        if change.after is None:
            if written is not None and change.before is None:
                return  # an end older than our write
            self._written.pop(where, None)
            if change.before is not None:
                self._on_change(orjson.loads(change.before.kept), MemberEvent.LEFT)
            return
        obj = orjson.loads(change.after.kept)
        if written is not None:
            version = written["metadata"]["resourceVersion"]
            if is_older(change.after.resource_version, version) and change.after.uid == written["metadata"].get("uid"):
                return  # the stream is still behind our write
            self._written.pop(where)
            if change.after.resource_version == version:
                return  # the echo of our own write
        before = written or (orjson.loads(change.before.kept) if change.before is not None else None)
        listed = written is None and not self._followed[kind].informer.synced.is_set()
        if before is not None and differ_in_status_only(before, obj):
            self._on_change(obj, MemberEvent.STATUS)
        else:
            self._on_change(obj, MemberEvent.LISTED if listed else MemberEvent.CHANGED)


def differ_in_status_only(before: Object, after: Object) -> bool:
    """Versions aside."""
    if any(before.get(field) != after.get(field) for field in before.keys() | after.keys() if field not in _APART):
        return False
    return before["metadata"] | _NO_VERSION == after["metadata"] | _NO_VERSION


def _keep(obj: Object) -> bytes:
    return orjson.dumps(without_managed_fields(obj))


def is_older(version: str, than: str) -> bool:
    """resourceVersions of one resource can be compared as numbers (promised by Kubernetes since 1.35, true before)."""
    if version.isdigit() and than.isdigit():
        return int(version) < int(than)
    return version != than
