"""What is kept of members' objects: one contract over both stores."""

from __future__ import annotations

import asyncio
import itertools
import os

import pytest

from kafila.core import selectors
from kafila.store.exports import Export
from kafila.store.interface import Store
from kafila.store.search import FIRST, LAST, CachedChange, NotTheWriter, ObjectWrite, SearchCache

from .conftest import Connect

_marks = itertools.count(1)
PODS = "/v1/pods"
ALL = (0, ("\U0010ffff", ""))


@pytest.fixture
def here() -> str:
    """A cluster of a test's own: the database is everybody's."""
    return f"m-{os.getpid()}-{next(_marks)}"


def put(name: str, version: int, labels: str = "{}", namespace: str = "default", text: str = "") -> ObjectWrite:
    body = f'{{"metadata":{{"resourceVersion":"{version}"}},"text":"{text or name}"}}'.encode()
    return ObjectWrite(namespace, name, version, str(version), labels.encode(), body)


def gone(name: str, version: int, namespace: str = "default") -> ObjectWrite:
    return ObjectWrite(namespace, name, version)


async def begun(cache: SearchCache, cluster: str, *writes: ObjectWrite, version: int = 10) -> None:
    await cache.take_over(PODS, cluster, (), 1)
    await cache.write(PODS, cluster, 1, writes, version=version)


async def names(cache: SearchCache, cluster: str, **asked: object) -> list[str]:
    labels = selectors.parse(str(asked["labels"])) if "labels" in asked else None
    page = await cache.page(PODS, cluster, str(asked.get("namespace", "")), FIRST, 100, labels)
    return [row.name for row in page.rows]


async def since(cache: SearchCache, cluster: str, version: int, upto: int = 1000) -> list[CachedChange]:
    return (await cache.changes(PODS, cluster, (version, ("\U0010ffff", "")), upto)).rows


async def state(cache: SearchCache, cluster: str):  # type: ignore[no-untyped-def]
    return next((s for s in await cache.resources(PODS) if s.cluster == cluster), None)


async def test_what_is_written_is_read_in_order(store: Store, here: str) -> None:
    cache = store.search
    await begun(cache, here, put("b", 3), put("a", 2), put("a", 5, namespace="z"))
    assert await names(cache, here) == ["a", "b", "a"]
    assert await names(cache, here, namespace="z") == ["a"]
    first = await cache.page(PODS, here, "", FIRST, 2)
    assert first.more
    rest = await cache.page(PODS, here, "", first.rows[-1][:2], 2)
    assert [(row.namespace, row.name) for row in rest.rows] == [("z", "a")]
    assert not rest.more
    found = await cache.find(PODS, [here, "other"], ("default", "b"))
    assert [(cluster, row.name) for cluster, row in found] == [(here, "b")]
    kept = await state(cache, here)
    assert (kept.version, kept.oldest, kept.objects) == (10, 10, 3)
    assert kept.bytes > 0


async def test_a_change_says_what_was_before(store: Store, here: str) -> None:
    cache = store.search
    await begun(cache, here, put("a", 2, '{"app":"x"}'), put("b", 3))
    await cache.write(PODS, here, 1, [put("a", 11, '{"app":"y"}'), gone("b", 12), put("c", 13)], version=13)
    a, b, c = await since(cache, here, 10)
    assert (a.name, a.version, a.since, a.before_version) == ("a", 11, 2, 2)
    assert (a.labels.replace(b" ", b""), (a.before or b"").replace(b" ", b"")) == (b'{"app":"y"}', b'{"app":"x"}')
    assert (b.name, b.version, b.deleted) == ("b", 12, True)
    assert b.body.endswith(b'"b"}')
    assert (c.name, c.since, c.before) == ("c", 13, None)
    assert [change.name for change in await since(cache, here, 11)] == ["b", "c"]
    assert [change.name for change in await since(cache, here, 10, 12)] == ["a", "b"]
    assert await names(cache, here) == ["a", "c"]
    kept = await state(cache, here)
    assert (kept.version, kept.objects) == (13, 2)
    await cache.write(PODS, here, 1, [put("b", 14)], version=14)  # again, another one
    (b,) = await since(cache, here, 13)
    assert (b.since, b.before, b.deleted) == (14, None, False)


async def test_what_is_unchanged_is_not_written_again(store: Store, here: str) -> None:
    """A list brings all objects with the list's version."""
    cache = store.search
    await begun(cache, here, put("a", 2), put("b", 3))
    again = put("a", 2)._replace(version=20), put("b", 15)._replace(version=20)
    await cache.write(PODS, here, 1, again, version=20)
    assert [change.name for change in await since(cache, here, 10)] == ["b"]
    await cache.write(PODS, here, 1, [put("a", 2)._replace(version=30)], version=30, anew=True)
    assert [change.name for change in await since(cache, here, 20)] == ["a"]


async def test_the_last_write_of_an_object_counts(store: Store, here: str) -> None:
    cache = store.search
    await begun(cache, here)
    writes = [put("a", 11), put("b", 12), put("a", 13, text="last"), gone("b", 14), gone("never", 15)]
    await cache.write(PODS, here, 1, writes, version=15)
    page = await cache.page(PODS, here, "", FIRST, 10)
    assert [(row.name, b"last" in row.body) for row in page.rows] == [("a", True)]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=x", ["a"]),
        ("app!=x", ["b", "c"]),
        ("app in (x,y)", ["a", "b"]),
        ("app notin (y)", ["a", "c"]),
        ("app", ["a", "b"]),
        ("!app", ["c"]),
        ("n>5", ["b"]),
        ("n<5", ["a"]),
        ("app=x,n=3", ["a"]),
        ("it's''=x", []),
    ],
)
async def test_labels_are_selected_in_the_database(store: Store, here: str, selector: str, expected: list[str]) -> None:
    cache = store.search
    rows = put("a", 1, '{"app":"x","n":"3"}'), put("b", 2, '{"app":"y","n":"7"}'), put("c", 3, '{"n":"many"}')
    await begun(cache, here, *rows)
    try:
        found = await names(cache, here, labels=selector)
    except selectors.SelectorError:
        found = []
    assert found == expected


async def test_only_who_took_it_over_writes(connect: Connect, here: str) -> None:
    old, new = (await connect()).search, (await connect()).search
    await begun(old, here, put("a", 2))
    taken = await new.take_over(PODS, here, (), 2)
    assert taken.version == 10
    with pytest.raises(NotTheWriter):
        await old.write(PODS, here, 1, [put("a", 11)], version=11)
    with pytest.raises(NotTheWriter):
        await old.say(PODS, here, 1, "away")
    await new.say(PODS, here, 2, "away")
    assert (await state(old, here)).trouble == "away"
    await new.write(PODS, here, 2, [], version=11)
    assert (await state(old, here)).trouble == ""
    other = await new.take_over(PODS, here, ("team-a",), 2)
    assert (other.version, other.namespaces) == (0, ("team-a",))  # to be listed again


async def test_who_begins_anew_and_what_is_dropped(store: Store, here: str) -> None:
    cache = store.search
    await begun(cache, here, put("a", 2), put("b", 3))
    await cache.write(PODS, here, 1, [gone("b", 11)], version=11)
    await cache.start_over(PODS, here, 1)
    assert (await state(cache, here)).version == 0
    await cache.write(PODS, here, 1, [put("a", 2)._replace(version=4)], version=4, anew=True)
    kept = await state(cache, here)
    assert (kept.version, kept.oldest) == (4, 4)
    assert [change.name for change in await since(cache, here, 0)] == ["a"]
    await cache.drop(PODS, here)
    assert await state(cache, here) is None
    assert await names(cache, here) == []
    with pytest.raises(NotTheWriter):
        await cache.write(PODS, here, 1, [put("a", 12)], version=12)


async def test_deleted_rows_end(store: Store, here: str) -> None:
    cache = store.search
    await begun(cache, here, put("a", 2), put("b", 3))
    await cache.write(PODS, here, 1, [gone("b", 11)], version=12)
    await cache.forget(3600)
    assert len(await since(cache, here, 10)) == 1
    await cache.forget(-1)
    assert await since(cache, here, 10) == []
    assert (await state(cache, here)).oldest == 11
    assert await cache.places(PODS, here, FIRST, 10) == [("default", "a")]


async def test_others_are_told(connect: Connect, here: str) -> None:
    writer, reader = (await connect()).search, (await connect()).search
    told: asyncio.Queue[str] = asyncio.Queue()
    unlisten = reader.listen(told.put_nowait)
    await begun(writer, here, put("a", 2))
    async with asyncio.timeout(30):
        while await told.get() != PODS:
            pass
    unlisten()


async def test_large_objects_come_in_pages_of_their_own(store: Store, here: str) -> None:
    cache = store.search
    await begun(cache, here, *(put(f"n{number}", number + 1, text="x" * (3 << 20)) for number in range(4)))
    after, found, more = FIRST, [], True
    while more:
        page = await cache.page(PODS, here, "", after, 100)
        found += [row.name for row in page.rows]
        after, more = page.rows[-1][:2] if page.rows else after, page.more
    assert found == ["n0", "n1", "n2", "n3"]
    assert [change.name for change in await since(cache, here, 0)][:1] == ["n0"]


async def test_of_an_older_state_nothing_came_later(store: Store, here: str) -> None:
    cache = store.search
    await begun(cache, here, put("a", 80), put("b", 90), version=100)
    await cache.start_over(PODS, here, 1)
    await cache.write(PODS, here, 1, [put("a", 40)._replace(version=50), put("b", 45)._replace(version=50)], anew=True)
    await cache.write(PODS, here, 1, [], version=50)
    await cache.write(PODS, here, 1, [put("a", 55), gone("b", 60)], version=60)
    assert [(change.name, change.since, change.deleted) for change in await since(cache, here, 50)] == [
        ("a", 50, False),
        ("b", 50, True),
    ]


async def test_what_is_kept_of_one_cluster(store: Store, here: str) -> None:
    cache = store.search
    for resource, cluster in ((PODS, here), ("/v1/secrets", here), (PODS, f"{here}-other")):
        await cache.take_over(resource, cluster, (), 1)
    found = [(each.resource, each.cluster) for each in await cache.resources(cluster=here)]
    assert found == [(PODS, here), ("/v1/secrets", here)]
    assert [each.cluster for each in await cache.resources(PODS, here)] == [here]


async def test_how_far_it_was_written_elsewhere(store: Store, here: str) -> None:
    exports = store.search.exports
    first = Export(PODS, here, (), "kubernetes-pod", "uid")
    other = first._replace(namespaces=("a", "b"), reached=(7, ("a", "b")))
    await exports.put(f"{here}-1", first)
    await exports.put(f"{here}-2", other)
    assert await exports.of(f"{here}-1") == [first]
    assert await exports.of(f"{here}-2") == [other]
    then = first._replace(reached=(9, LAST), swept=True)
    await exports.put(f"{here}-1", then)
    assert await exports.of(f"{here}-1") == [then]
    await exports.end(f"{here}-1", PODS, here)
    assert await exports.of(f"{here}-1") == []
    await exports.keep([f"{here}-3"])
    assert await exports.of(f"{here}-2") == []
