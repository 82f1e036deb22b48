"""Informers against a real API server: what they see, and what they see again after the member was away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from cluster_harness import Member, Members, Options

from kafila.members.client import MemberClient, resource_path
from kafila.members.informer import Change, Informer, Name

MAPS = resource_path("v1", "configmaps", "default")
MANAGED = {"karmada.io/managed": "true"}


def config_map(name: str, value: str = "1", labels: dict | None = None) -> dict:
    metadata = {"name": name, "labels": MANAGED if labels is None else labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"v": value}}


class Watching:
    """An informer with the changes it saw."""

    def __init__(self, client: MemberClient, **options) -> None:
        self.changes: asyncio.Queue[Change] = asyncio.Queue()
        self.informer = Informer(client, MAPS, self.changes.put_nowait, **options)
        self.task = asyncio.create_task(self.informer.run())

    async def next(self) -> tuple[str, str | None, str | None]:
        """Name, value before and value after of the next change."""
        change = await asyncio.wait_for(self.changes.get(), 60)
        value = lambda seen: seen and seen.kept["data"]["v"]  # noqa: E731
        return change.name.name, value(change.before), value(change.after)

    async def until(self, wanted: tuple[str, str | None, str | None]) -> None:
        while await self.next() != wanted:
            pass

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def client(member2: Member) -> AsyncIterator[MemberClient]:
    client = member2.client()
    yield client
    for item in (await client.list(MAPS, query={"labelSelector": "karmada.io/managed=true"}))[0]:
        await client.delete(f"{MAPS}/{item['metadata']['name']}")
    await client.close()


@pytest.fixture
async def watch(client: MemberClient) -> AsyncIterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def start(on: MemberClient = client, **options) -> Watching:
        started.append(Watching(on, **options))
        return started[-1]

    yield start
    for one in started:
        await one.stop()


async def test_changes_of_managed_objects_are_watched(client: MemberClient, watch) -> None:
    await client.create(MAPS, config_map("there"))
    await client.create(MAPS, config_map("foreign", labels={}))
    seen = watch()
    assert await seen.next() == ("there", None, "1")
    await asyncio.wait_for(seen.informer.synced.wait(), 30)
    await client.create(MAPS, config_map("new"))
    assert await seen.next() == ("new", None, "1")
    await client.patch(f"{MAPS}/new", {"data": {"v": "2"}})
    assert await seen.next() == ("new", "1", "2")
    await client.delete(f"{MAPS}/new")
    assert await seen.next() == ("new", "2", None)
    kept = seen.informer.get("default", "there")
    assert kept is not None
    assert "managedFields" not in kept.kept["metadata"]
    await client.delete(f"{MAPS}/foreign")


async def test_losing_the_label_looks_like_leaving(client: MemberClient, watch) -> None:
    seen = watch()
    await client.create(MAPS, config_map("stripped"))
    await seen.until(("stripped", None, "1"))
    await client.patch(f"{MAPS}/stripped", {"metadata": {"labels": None}})
    assert await seen.next() == ("stripped", "1", None)
    assert await client.find(f"{MAPS}/stripped") is not None  # why the caller has to look
    await client.delete(f"{MAPS}/stripped")


async def test_a_resumed_informer_has_only_what_changed_since(client: MemberClient, watch) -> None:
    await client.create(MAPS, config_map("old"))
    first = watch()
    await first.until(("old", None, "1"))
    await asyncio.wait_for(first.informer.synced.wait(), 30)
    version = first.informer.resource_version
    await first.stop()
    await client.create(MAPS, config_map("while-away"))
    second = watch(resume=version)
    assert second.informer.synced.is_set()
    assert await second.next() == ("while-away", None, "1")


async def test_a_compacted_version_leads_to_a_new_list(client: MemberClient, watch) -> None:
    await client.create(MAPS, config_map("listed"))
    seen = watch(resume="1")
    assert await seen.next() == ("listed", None, "1")


async def test_a_missing_resource_is_waited_for(client: MemberClient) -> None:
    informer = Informer(client, resource_path("example.io/v1", "widgets"), lambda change: None)
    task = asyncio.create_task(informer.run())
    while not informer.error:
        await asyncio.sleep(0.01)
    assert informer.error.startswith("404 ")
    assert not informer.synced.is_set()
    task.cancel()


@pytest.fixture(scope="module")
def fragile(lab: Members) -> Member:
    (member,) = lab.start("fragile", options=Options(light=True, nodes=1))
    return member


async def test_an_informer_survives_its_member(fragile: Member, watch) -> None:
    client = fragile.client()
    await client.create(MAPS, config_map("kept"))
    await client.create(MAPS, config_map("lost"))
    seen = watch(client, jitter=lambda: 0.0)
    assert {await seen.next(), await seen.next()} == {("kept", None, "1"), ("lost", None, "1")}
    await asyncio.wait_for(seen.informer.synced.wait(), 30)

    fragile.kill_api()
    while not seen.informer.error:
        await asyncio.sleep(0.01)
    assert len(seen.informer) == 2  # what it knows stays available
    fragile.start_api()
    fragile.kubectl("delete", "configmap", "lost")
    fragile.kubectl("patch", "configmap", "kept", '-p={"data":{"v":"2"}}')
    changes = {await seen.next(), await seen.next()}
    assert changes == {("lost", "1", None), ("kept", "1", "2")}
    assert seen.informer.get("default", "kept") is not None
    assert Name("default", "lost") not in dict(seen.informer.items())
    await client.close()


async def test_a_silent_member_is_noticed_and_watched_again(fragile: Member) -> None:
    client = fragile.client(timeout=5.0)
    _, version = await client.list(MAPS)
    fragile.pause()
    try:
        events = client.watch(MAPS, version, idle=1.0)
        with pytest.raises(Exception, match=r"(?i)time"):
            await anext(events)
        with pytest.raises(Exception, match=r"(?i)time"):
            await client.get(MAPS)
    finally:
        fragile.resume()
    assert await client.find(f"{MAPS}/none") is None
    await client.close()
