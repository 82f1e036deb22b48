"""Which Works are not made again at once in clusters in pull mode, for how long, and what is kept of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kafila.core.resources import Key
from kafila.placement import constants
from kafila.reconcile.karmada import deleted_works
from kafila.reconcile.karmada.deleted_works import DeletedWorks
from kafila.reconcile.karmada.kinds import WORKS
from kafila.store.interface import Transaction, Write
from kafila.store.memory import MemoryStore
from kafila.watch import Cache, Event

PAUSE = 0.3


class Works:
    """Of the cluster edge."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.cache = Cache(self.store)
        self.deleted = DeletedWorks(self.cache, lambda cluster: cluster == "edge")
        self.told: list[Event] = []
        self.deleted.replay(self.told.append)

    async def open(self) -> Works:
        await self.store.open()
        await self.cache.load()
        return self

    async def make(self, name: str, **metadata: Any) -> None:
        body = orjson.dumps({"metadata": {"name": name, "uid": f"uid-{name}", **metadata}})
        await self.store.commit(Transaction([], [Write(key(name), body, f"uid-{name}")]))

    async def delete(self, name: str) -> None:
        await self.store.commit(Transaction([], [Write(key(name), None)]))

    def holds(self, name: str) -> bool:
        return self.deleted.holds("edge", name)


def key(name: str) -> Key:
    return Key(WORKS, "karmada-es-edge", name)


@pytest.fixture
async def works(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Works]:
    monkeypatch.setattr(deleted_works, "PAUSE", PAUSE)
    made = await Works().open()
    yield made
    await made.store.close()


async def test_one_comes_back_in_time_whatever_else_is_deleted(works: Works) -> None:
    await works.make("web")
    await works.delete("web")
    assert works.holds("web")
    for number in range(8):  # for longer than the pause
        await works.make(f"job-{number}")
        await works.delete(f"job-{number}")
        await asyncio.sleep(PAUSE / 5)
    assert not works.holds("web")
    assert works.holds("job-7")
    assert "web" in [event.key.name for event in works.told]
    await asyncio.sleep(2 * PAUSE)
    assert not works.holds("job-7")
    assert sorted(event.key.name for event in works.told) == sorted(["web", *(f"job-{n}" for n in range(8))])


async def test_what_we_deleted_ourselves_is_made_again_at_once(works: Works) -> None:
    for name in ("ours", "theirs"):
        await works.make(name)
    entry = works.cache.get(*key("ours"))
    assert entry is not None
    works.deleted.by_us(entry)
    await works.delete("ours")
    await works.delete("theirs")
    assert not works.holds("ours")
    assert works.holds("theirs")
    await works.make("ours")
    await works.delete("ours")  # this time somebody else
    assert works.holds("ours")


async def test_one_that_is_there_again_is_not_told_of(works: Works) -> None:
    await works.make("web")
    await works.delete("web")
    await works.make("web")
    assert not works.holds("web")
    await asyncio.sleep(2 * PAUSE)
    assert works.told == []


async def test_of_a_work_is_kept_for_whom_it_was(works: Works) -> None:
    labels = {constants.FRQ_NAMESPACE: "shop", constants.FRQ_NAME: "quota", "other": "label"}
    annotations = {constants.RB_NAMESPACE: "shop", constants.RB_NAME: "web-deployment", "large": "x" * 100_000}
    owners = [{"kind": "Namespace", "name": "shop", "uid": "1"}]
    await works.make("web", labels=labels, annotations=annotations, ownerReferences=owners)
    await works.delete("web")
    await works.make("long", annotations={constants.CRB_NAME: "x" * 100_000})
    await works.delete("long")
    await asyncio.sleep(2 * PAUSE)
    (web, long) = works.told
    assert web.key == key("web")
    assert web.new is None
    assert web.old is not None
    assert long.old is not None
    assert web.old.meta.labels == {constants.FRQ_NAMESPACE: "shop", constants.FRQ_NAME: "quota"}
    assert web.old.meta.annotations == {constants.RB_NAMESPACE: "shop", constants.RB_NAME: "web-deployment"}
    assert [(owner.kind, owner.name) for owner in web.old.meta.ownerReferences or ()] == [("Namespace", "shop")]
    assert web.size < 2000
    assert long.size < 2000


async def test_no_more_are_held_than_a_cluster_may_have(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleted_works, "MOST", 3)
    for number in range(5):
        await works.make(f"job-{number}")
        await works.delete(f"job-{number}")
    assert [works.holds(f"job-{number}") for number in range(5)] == [False, False, True, True, True]
    assert [event.key.name for event in works.told] == ["job-0", "job-1"]
    await asyncio.sleep(2 * PAUSE)
    assert len(works.told) == 5
