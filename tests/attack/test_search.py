"""The cache of members' objects: members that answer what no API answers, and callers who make up versions and tokens."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kafila.catalog.catalog import load_catalog
from kafila.members.client import MemberClient, WatchEvent
from kafila.reconcile.karmada.search.follower import Arrivals, Follower, Target
from kafila.search import versions
from kafila.settings.answers import AnswerLimits
from kafila.store.interface import StoreUnavailable
from kafila.store.memory_search import MemorySearch
from kafila.store.search import FIRST
from tests.attack.members import Hostile, answer

PODS = "/v1/pods"
PATH = "/api/v1/pods"
CATALOG = load_catalog()


def listed(*metadata: Any, version: Any = "10", **more: Any) -> bytes:
    items = [{"metadata": each, "spec": {}} for each in metadata]
    found = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items, **more}
    return answer(orjson.dumps(found))


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "default", "resourceVersion": "5", **more}


@contextlib.asynccontextmanager
async def followed(
    member: Hostile, most_bytes: int = 1 << 20, **limits: int
) -> AsyncIterator[tuple[Follower, MemorySearch]]:
    cache, changed = MemorySearch(), asyncio.Event()
    client = MemberClient("m1", member.endpoint, limits=AnswerLimits(**limits))
    kind = CATALOG.get("", "v1", "pods")
    assert kind is not None
    follower = Follower(cache, client, Target(kind, "m1", frozenset()), 1, most_bytes, False, changed.set)
    try:
        async with asyncio.timeout(60):
            await changed.wait()
        yield follower, cache
    finally:
        await follower.stop()
        await client.close()


@pytest.mark.parametrize(
    "metadata",
    [
        {"namespace": "default", "resourceVersion": "5"},
        {"name": "a", "namespace": "default"},
        named("a\0b"),
        named("a", namespace="b\0"),
        named("a", labels={"app": "x\0"}),
        named("a", labels={"app": 1}),
        named("a", resourceVersion='5","x":"'),
        named("a", resourceVersion="5\\"),
        named("a" * 2000),
    ],
)
async def test_objects_that_no_api_has_are_not_kept(member: Hostile, metadata: dict[str, Any]) -> None:
    member.answers[PATH] = listed(named("good"), metadata)
    async with followed(member) as (follower, cache):
        assert follower.trouble.startswith(f"the answer to GET {PATH}")
        (state,) = await cache.resources()
        assert (state.version, state.objects) == (0, 0)
        assert state.trouble == follower.trouble


@pytest.mark.parametrize("version", ["", "abc", "-1", "0", "9" * 40, "١", None, 7])
async def test_versions_that_are_none(member: Hostile, version: Any) -> None:
    member.answers[PATH] = listed(named("good"), version=version)
    async with followed(member) as (follower, _):
        assert follower.trouble
        assert not follower.synced


async def test_a_member_fills_no_disk(member: Hostile) -> None:
    member.answers[PATH] = listed(*(named(f"p{number}", annotations={"a": "x" * 1000}) for number in range(100)))
    async with followed(member, most_bytes=50_000) as (follower, cache):
        assert "takes more than 50000 bytes" in follower.trouble
        assert (await cache.resources())[0].version == 0
    async with followed(member, objects=50) as (follower, _):
        assert "more than 50 objects" in follower.trouble


async def test_a_member_that_had_too_much_and_has_less_now(member: Hostile) -> None:
    def pods(first: int, count: int, version: int) -> bytes:
        numbers = range(first, first + count)
        return listed(*(named(f"p{n}", annotations={"a": "x" * 1000}) for n in numbers), version=str(version))

    member.answers[PATH] = pods(0, 30, 10)
    async with followed(member, most_bytes=50_000) as (follower, cache):
        member.answers[PATH] = pods(20, 60, 20)  # also instead of a watch: it is listed again and again
        async with asyncio.timeout(20):
            while "more than 50000 bytes" not in follower.trouble:
                await asyncio.sleep(0.01)
        for first, count, version in ((75, 30, 30), (0, 1, 40)):
            member.answers[PATH] = pods(first, count, version)
            async with asyncio.timeout(20):
                while (await cache.resources())[0].version != version:
                    await asyncio.sleep(0.01)
            assert (await cache.resources())[0].objects == count


async def test_what_was_there_stays_when_a_member_goes_mad(member: Hostile) -> None:
    member.answers[PATH] = listed(named("good"))
    async with followed(member) as (follower, cache):
        assert follower.synced
        member.answers[PATH] = listed(named("a\0b"), version="20")  # also instead of a watch
        async with asyncio.timeout(60):
            while not follower.trouble:
                await asyncio.sleep(0.01)
        page = await cache.page(PODS, "m1", "", FIRST, 10)
        assert [row.name for row in page.rows] == ["good"]
        (state,) = await cache.resources()
        assert state.version == 10
        assert state.trouble == follower.trouble


async def test_a_flood_while_nothing_can_be_written(member: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The following goes on when the database is there again."""
    member.answers[PATH] = listed(named("good"))
    line = orjson.dumps({"type": "MODIFIED", "object": {"metadata": named("good", resourceVersion="11")}}) + b"\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    async with followed(member) as (follower, cache):
        write, failed = cache.write, asyncio.Event()

        async def fails(*given: Any, **more: Any) -> Any:
            if failed.is_set():
                return await write(*given, **more)
            await asyncio.sleep(0.2)  # as long as it takes until no more changes fit
            failed.set()
            raise StoreUnavailable("away")

        monkeypatch.setattr(cache, "write", fails)
        member.answers[PATH] = member.endless(head, line * 100)
        async with asyncio.timeout(20):
            await failed.wait()
            while (await cache.resources())[0].version != 11:
                await asyncio.sleep(0.01)
        assert follower.synced


async def test_changes_that_wait_are_few_and_small() -> None:
    def event(size: int) -> WatchEvent:
        return WatchEvent("ADDED", {}, size)

    async def fits(size: int) -> bool:
        putting = asyncio.create_task(waiting.put(event(size)))
        await asyncio.sleep(0)
        return putting.cancel() is False

    waiting = Arrivals(3, 100)
    assert await fits(500)  # one is always taken
    assert not await fits(1)
    assert len(waiting.take()) == 1
    assert [await fits(size) for size in (50, 51, 50, 1)] == [True, False, True, False]
    assert len(waiting.take()) == 2
    assert [await fits(0) for _ in range(4)] == [True, True, True, False]
    waiting.end()
    assert await waiting.some()
    waiting.take()
    assert not await waiting.some()


async def test_a_member_names_no_other_cluster_and_no_other_kind(member: Hostile) -> None:
    theirs = {"resource.karmada.io/cached-from-cluster": "m2", "kept": "yes"}
    item = {"kind": "Secret", "apiVersion": "v2", "metadata": named("a", annotations=theirs), '"metadata":{"': "x"}
    body = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "10"}, "items": [item]}
    member.answers[PATH] = answer(orjson.dumps(body))
    async with followed(member) as (_, cache):
        page = await cache.page(PODS, "m1", "", FIRST, 10)
        obj = orjson.loads(page.rows[0].body)
        assert (obj["kind"], obj["apiVersion"]) == ("Pod", "v1")
        assert obj["metadata"]["annotations"] == {"resource.karmada.io/cached-from-cluster": "m1", "kept": "yes"}


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "%00",
        "a" * 1_000_000,
        base64.urlsafe_b64encode(b"[" * 5000).decode(),
        base64.urlsafe_b64encode(b'{"rv":1,"cluster":"m1"}').decode(),
        base64.urlsafe_b64encode(b'{"rv":"","cluster":"m\\u00001"}').decode(),
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b"null").decode(),
    ],
)
def test_tokens_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="not one of this list"):
        versions.parse_continue(text.rstrip("="))


@pytest.mark.parametrize(
    "content", ['{"m1":1}', '{"m1":{}}', "[1]", '"m1"', "{", '{"m1":"' + "9" * 100 + '"}', '{"m1":"-1"}', '{"m1":"١"}']
)
def test_versions_that_say_nothing(content: str) -> None:
    found = versions.parse(base64.urlsafe_b64encode(content.encode()).decode().rstrip("="))
    assert found.number("m1") is None
