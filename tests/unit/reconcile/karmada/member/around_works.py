"""The Works of one cluster, and its objects, as plain data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from kafila.core.resources import Key
from kafila.placement.interpreter import InterpretError
from kafila.placement.work.status import Reflected, manifest_status
from kafila.watch import Entry

Object = dict[str, Any]
KEY = Key("works.work.karmada.io", "karmada-es-m1", "web")
MANIFEST: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default", "annotations": {"resourcetemplate.karmada.io/uid": "template"}},
}


def work(generation: int = 1, status: Object | None = None, **spec: Any) -> Object:
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "generation": generation}
    metadata |= spec.pop("metadata", {})
    made = {"metadata": metadata, "spec": {"workload": {"manifests": [MANIFEST]}, **spec}}
    return made if status is None else {**made, "status": status}


def in_member(ready: int = 1) -> Object:
    marks = {"work.karmada.io/namespace": KEY.namespace, "work.karmada.io/name": KEY.name}
    return {**MANIFEST, "metadata": {**MANIFEST["metadata"], "annotations": marks}, "status": {"readyReplicas": ready}}


class Around:
    """What is stored, what the member has, and what was asked of both."""

    cluster = "m1"
    namespace = KEY.namespace

    def __init__(self, *works: Object) -> None:
        self.works = {Key(KEY.resource, KEY.namespace, each["metadata"]["name"]): each for each in works}
        self.objects: list[Object] = []
        self.did: list[str] = []
        self.changed = asyncio.Event()
        self.ready = True
        self.leaving = False
        self.time_left = 300.0
        self.removed = False
        self.recreated = False
        self.fails: Exception | None = None
        self.refuses: Exception | None = None
        self.unreadable = ""

    def note(self, what: str) -> None:
        self.did.append(what)
        self.changed.set()

    async def until(self, what: str) -> None:
        while what not in self.did:
            self.changed.clear()
            await self.changed.wait()

    # Works
    def is_ready(self) -> bool:
        return self.ready

    def leaves_within(self) -> float | None:
        return self.time_left if self.leaving else None

    def away_for(self) -> float:
        return 0.0

    def get(self, key: Key) -> Entry | None:
        return Entry(key, 1, orjson.dumps(self.works[key])) if key in self.works else None

    def entries(self) -> Iterable[Entry]:
        return [entry for key in self.works if (entry := self.get(key)) is not None]

    async def decoded(self, entry: Entry) -> Object:
        return entry.decode()

    async def write_status(self, key: Key, change: Callable[[Object], Object]) -> bool:
        if key not in self.works:
            return False
        self.works[key] = change(self.works[key])
        self.note("write status")
        return True

    async def release(self, work: Object) -> None:
        self.note("release")

    def leave_behind(self, work: Object, why: str) -> None:
        self.note("leave behind")

    async def understand(self, work: Object, observed: Object, size: int) -> Reflected:
        if self.unreadable:
            raise InterpretError(self.unreadable)
        return manifest_status(work, observed)

    def failed(self, controller: str, key: Key, error: Exception) -> None:
        self.note(f"{controller} failed")

    def event(self, obj: Object, event_type: str, reason: str, message: str, source: str = "") -> None:
        self.note(f"{event_type} {reason} on {obj.get('kind', 'Work')}")

    # Member
    async def apply(self, manifest: Object, size: int, patient: Callable[[], bool]) -> bool:
        self.note("apply")
        if self.fails is not None:
            raise self.fails
        return True

    async def remove(self, manifest: Object, size: int, preserve: bool) -> None:
        self.note("preserve" if preserve else "remove")
        if self.refuses is not None:
            raise self.refuses

    async def remove_again(self, recreated: Object) -> None:
        self.note("remove again")

    def was_removed(self, obj: Object) -> bool:
        return self.removed

    def is_recreated(self, obj: Object) -> bool:
        return self.recreated

    def observed(self, manifest: Object) -> Object | None:
        return next(iter(self.objects), None)

    def is_gone(self, manifest: Object) -> bool:
        return not self.objects

    async def wake(self) -> None:
        self.note("wake")

    async def stop(self) -> None: ...
