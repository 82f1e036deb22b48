"""What an agent writes to the control plane: again where somebody was faster, nothing where nothing changes, each event once."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from kafila.agent.forwarding import RemoteRecorder, RemoteRegistry
from kafila.catalog.catalog import load_catalog
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.members.client import MemberClient
from kafila.registry import Options
from kafila.watch import Cache

WORK = {
    "apiVersion": "work.karmada.io/v1alpha1",
    "kind": "Work",
    "metadata": {"name": "a", "namespace": "karmada-es-x"},
}


class Plane:
    """One object; the first ``conflicts`` writes come too late."""

    def __init__(self, conflicts: int = 0) -> None:
        self.obj: Object = {**WORK, "status": {}}
        self.conflicts = conflicts
        self.written: list[tuple[str, Object]] = []

    async def get(self, path: str) -> Object:
        return {**self.obj, "metadata": {**self.obj["metadata"]}}

    async def update(self, path: str, obj: Object) -> Object:
        if self.conflicts:
            self.conflicts -= 1
            self.obj["metadata"] = {**self.obj["metadata"], "labels": {"of": "somebody"}}
            raise StatusError(409, "Conflict", "somebody was faster")
        self.written.append((path, obj))
        return obj

    async def create(self, path: str, obj: Object) -> Object:
        self.written.append((path, obj))
        return obj


async def modified(plane: Plane, change: Any) -> None:
    catalog = load_catalog()
    registry = RemoteRegistry(cast(MemberClient, plane), catalog, cast(Cache, None))
    kind = registry.kind("work.karmada.io", "v1alpha1", "works")
    await registry.modify(kind, "karmada-es-x", "a", change, Options(manager="agent"), "status")


async def test_it_is_worked_out_again_where_somebody_was_faster() -> None:
    plane = Plane(conflicts=2)
    await modified(plane, lambda work: {**work, "status": {"conditions": []}})
    ((path, written),) = plane.written
    assert path == "/apis/work.karmada.io/v1alpha1/namespaces/karmada-es-x/works/a/status"
    assert written["metadata"]["labels"] == {"of": "somebody"}
    assert written["status"] == {"conditions": []}


async def test_what_changes_nothing_is_not_written() -> None:
    plane = Plane()
    await modified(plane, lambda work: work)
    assert plane.written == []


async def test_it_gives_up_where_everybody_is_faster() -> None:
    with pytest.raises(StatusError, match="faster"):
        await modified(Plane(conflicts=100), lambda work: {**work, "status": {"conditions": []}})


async def test_an_event_is_told_once() -> None:
    plane = Plane()
    recorder = RemoteRecorder(cast(MemberClient, plane))
    recorder.start()
    for message in ("one", "one", "two"):
        recorder.event(WORK, "Normal", "SyncSucceed", message)
    while len(plane.written) < 2:
        await asyncio.sleep(0)
    await recorder.stop()
    assert [(path, event["message"]) for path, event in plane.written] == [
        ("/api/v1/namespaces/karmada-es-x/events", "one"),
        ("/api/v1/namespaces/karmada-es-x/events", "two"),
    ]
    assert plane.written[0][1]["source"] == {"component": "execution-controller"}
