"""Events in their own table: one contract over both stores."""

from __future__ import annotations

import asyncio
import itertools

import asyncpg
import pytest

from kafila.core.resources import Key
from kafila.store import events
from kafila.store.interface import (
    EVENTS,
    EVENTS_PAGE,
    Compacted,
    EventQuery,
    Guard,
    GuardFailed,
    Row,
    Store,
    StoredObject,
    Transaction,
    Write,
)
from kafila.store.postgres import PostgresStore

from .conftest import Connect, Subscriber

POD = Key("pods", "a", "p")
EVENT = (
    b'{"metadata":{"name":"web.18ec7c5611cdf4fd","namespace":"a","uid":"9df95cb1-86bb-453a-943c-003b9db89bac"},'
    b'"involvedObject":{"kind":"Deployment","namespace":"a","name":"web","apiVersion":"apps/v1"},"reason":"Tested",'
    b'"message":"%s","type":"Normal","count":1}'
)
NOW = EventQuery()
_PAST = itertools.count(10**6, 10**5)  # seconds
_YOUNG = "SELECT name FROM event_partitions WHERE attached AND until > extract(epoch FROM clock_timestamp())"


def key(name: str, namespace: str = "a") -> Key:
    return Key(EVENTS, namespace, name)


async def put(store: Store, *keys: Key, body: bytes = b"1") -> list[int]:
    return await store.commit(Transaction([], [Write(k, body) for k in keys]))


async def listed(store: Store, asked: EventQuery = NOW) -> list[tuple[Key, int]]:
    return [(o.key, o.revision) for o in (await store.list_events(asked)).objects]


async def changes(store: Store, after: int) -> list[Row]:
    """All of them, over expiries."""
    rows: list[Row] = []
    while True:
        page = await store.read_events(after)
        rows += page.rows
        if page.revision == after and not page.expiry:
            return rows
        after = page.expiry or page.revision


async def test_they_are_in_no_snapshot_and_in_no_row(store: Store) -> None:
    subscriber = await Subscriber(store).begin()
    (first,) = await put(store, key("x"))
    marker, written = await store.commit(Transaction([], [Write(POD, b"p"), Write(key("y"), b"2")]))
    assert [(r.revision, r.key, r.deleted) for r in subscriber.rows] == [
        (first + 1, Key(EVENTS, "", ""), False),  # nothing but Events
        (marker, POD, False),
    ]
    assert (first, written, marker) == (subscriber.start + 1, first + 2, first + 3)  # Events come first
    assert [o.key for o in (await store.snapshot())[1]] == [POD]
    assert [row.key for row in (await store.read_log(first - 1)).rows] == [Key(EVENTS, "", ""), POD]
    assert [o.key async for o in store.listing()] == [POD]
    assert await store.head() == marker


async def test_guards(store: Store) -> None:
    one = key("x")
    (revision,) = await store.commit(Transaction([Guard(one, absent=True)], [Write(one, b"1")]))
    for guards, writes in (
        ([Guard(one, absent=True)], [Write(one, b"2")]),
        ([Guard(one, revision=revision + 1)], [Write(one, b"2")]),
        ([], [Write(key("none"), None)]),
        ([Guard(key("none"), revision=1)], [Write(POD, b"p")]),
    ):
        with pytest.raises(GuardFailed):
            await store.commit(Transaction(guards, writes))
    assert await store.event("a", "x") == StoredObject(one, revision, b"1")
    (changed,) = await store.commit(Transaction([Guard(one, revision=revision)], [Write(one, b"2")]))
    assert await store.event("a", "x") == StoredObject(one, changed, b"2")
    await store.commit(Transaction([Guard(one, revision=changed)], [Write(one, None, last=b"3")]))
    assert await store.event("a", "x") is None
    with pytest.raises(GuardFailed):
        await store.commit(Transaction([], [Write(one, None)]))
    await store.commit(Transaction([Guard(one, absent=True)], [Write(one, b"4")]))
    assert [(r.body, r.deleted, r.previous, r.previous_body) for r in await changes(store, revision - 1)] == [
        (b"1", False, 0, None),
        (b"2", False, revision, b"1"),
        (b"3", True, changed, b"2"),
        (b"4", False, 0, None),
    ]


async def test_events_of_one_transaction_are_written_with_it_or_not_at_all(store: Store) -> None:
    await put(store, POD)
    with pytest.raises(GuardFailed):
        await store.commit(Transaction([Guard(POD, absent=True)], [Write(POD, b"2"), Write(key("x"), b"1")]))
    assert await listed(store) == []
    with pytest.raises(GuardFailed):
        await store.commit(Transaction([Guard(key("x"), revision=7)], [Write(POD, b"2")]))
    assert (await store.snapshot())[1][0].body == b"1"


async def test_many_at_once_from_several_processes(connect: Connect) -> None:
    stores = [await connect(), await connect()]
    subscribers = [await Subscriber(store).begin() for store in stores]

    async def write(number: int) -> list[int]:
        told = [Write(key(f"e{number}", f"n{number % 3}"), b"e")]
        wrote = [Write(Key("pods", "", f"p{number}"), b"p")] if number % 2 else []
        return await stores[number % 2].commit(Transaction([], [*wrote, *told]))

    revisions = await asyncio.gather(*(write(number) for number in range(60)))
    head = max([await store.head() for store in stores])
    events_at = sorted(given[-1] for given in revisions)
    assert [row.revision for row in await changes(stores[0], subscribers[0].start)] == events_at
    for subscriber in subscribers:
        told = [row.revision for row in subscriber.rows]
        assert told == sorted(told)
        assert told[-1] == head
        assert not set(told) & set(events_at)
        assert set(told) | set(events_at) == set(range(subscriber.start + 1, head + 1))
        assert [row.key.name for row in subscriber.rows if row.key.name] == [
            row.key.name for row in subscribers[0].rows if row.key.name
        ]
    assert len(await listed(stores[1])) == 60


async def test_lists_are_paged_as_of_one_revision(store: Store) -> None:
    keys = [key(f"e{number:02}", namespace) for namespace in ("a", "b") for number in range(6)]
    revisions = dict(zip(keys, await put(store, *keys), strict=True))
    page = await store.list_events(EventQuery(limit=5, counted=True))
    assert ([o.key for o in page.objects], page.remaining) == (keys[:5], 7)
    await put(store, keys[7], body=b"2")
    await store.commit(Transaction([], [Write(keys[8], None), Write(key("e99", "b"), b"3")]))
    after = (page.objects[-1].key.namespace, page.objects[-1].key.name)
    rest = await store.list_events(EventQuery(page.revision, after=after))
    assert [(o.key, o.revision) for o in rest.objects] == [(k, revisions[k]) for k in keys[5:]]
    assert rest.remaining == 0
    assert [k for k, _ in await listed(store, EventQuery(namespace="b"))] == [*keys[6:8], *keys[9:], key("e99", "b")]
    assert [k for k, _ in await listed(store, EventQuery(containing=b"2"))] == [keys[7]]


async def test_expiry(connect: Connect) -> None:
    store, other = await connect(), await connect()
    subscribers = [await Subscriber(store).begin(), await Subscriber(other).begin()]
    start = subscribers[0].start
    one, two, three = await put(store, key("x"), key("y"), key("z"))
    await store.commit(Transaction([], [Write(key("y"), None)]))
    before = await store.head()
    await end_all(store)
    (expiry,) = {await each.head() for each in (store, other)}  # both have read up to there
    assert expiry == before + 1
    for subscriber in subscribers:
        assert subscriber.rows[-1][:4] == (expiry, Key(EVENTS, "", ""), b"", True)
    assert await listed(store) == []
    assert await store.event("a", "x") is None
    assert [k.name for k, _ in await listed(store, EventQuery(before))] == ["x", "z"]
    page = await other.read_events(start)
    assert ([row.revision for row in page.rows][:3], page.revision, page.expiry) == ([one, two, three], before, expiry)
    assert [o.key.name for o in await other.events_ended(expiry, 0)] == ["x", "z"]
    assert [o.key.name for o in await other.events_ended(expiry, one)] == ["z"]
    (again,) = await store.commit(Transaction([Guard(key("x"), absent=True)], [Write(key("x"), b"new")]))
    assert [(r.revision, r.previous) for r in (await other.read_events(expiry)).rows] == [(again, 0)]

    await end_all(store, 0.0)
    assert await listed(store) == []
    newest = await store.head()
    for ask in (
        store.read_events(before),
        store.list_events(EventQuery(before)),
        store.events_ended(newest, 0),
        store.read_events(newest - 1),
    ):
        with pytest.raises(Compacted):
            await ask
    assert (await store.read_events(newest)).rows == []
    await end_all(store, 0.0)
    assert await store.head() == newest  # nothing ended
    (last,) = await put(store, key("x"))
    assert await listed(other) == [(key("x"), last)]


async def end_all(store: Store, grace: float = 60.0) -> None:
    """As when all partitions that there are lie in the past."""
    if isinstance(store, PostgresStore):
        connection, past = await asyncpg.connect(store.dsn), next(_PAST)
        for (name,) in await connection.fetch(_YOUNG):
            lower, upper = (int(part) - past for part in name.split("_")[1:])
            await connection.execute(
                f"ALTER TABLE events DETACH PARTITION {name};"
                f"ALTER TABLE {name} DROP CONSTRAINT {name}_at_check; UPDATE {name} SET at = at - interval '{past} s';"
                f"ALTER TABLE {name} RENAME TO events_{lower}_{upper};"
                f"ALTER TABLE events ATTACH PARTITION events_{lower}_{upper}"
                f" FOR VALUES FROM (to_timestamp({lower})) TO (to_timestamp({upper}))"
            )
        await connection.close()
    await store.expire_events(0.0 if not isinstance(store, PostgresStore) else 3600.0, grace)


async def test_room_is_given_back_by_the_partition(postgres_dsn: str) -> None:
    store = PostgresStore(postgres_dsn)
    await store.open()
    await store.snapshot()
    connection = await asyncpg.connect(postgres_dsn)

    async def tables() -> set[str]:
        return {r["name"] for r in await connection.fetch("SELECT name FROM event_partitions")}

    await put(store, *(key(f"e{number}") for number in range(50)))
    await end_all(store)
    old = {name for name in await tables() if await connection.fetchval(f"SELECT count(*) FROM {name}")}
    assert len(old) == 1
    await end_all(store, 0.0)
    assert not old & await tables()
    assert await connection.fetchval("SELECT count(*) FROM expiries") == 1
    assert await connection.fetchval("SELECT count(*) FROM objects") == 0
    # the next write makes its partition itself when nobody did
    for name in await tables():
        await connection.execute(f"ALTER TABLE events DETACH PARTITION {name}; DROP TABLE {name}")
    await put(store, key("late"))
    assert len(await listed(store)) == 1
    await connection.close()
    await store.close()


async def test_partitions_of_another_width_stay(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    for ttl in (3600.0, 60.0, 36000.0):
        await connection.execute(events.extension(ttl))
    found = await connection.fetch("SELECT since, until FROM event_partitions ORDER BY since")
    bounds = [tuple(record) for record in found]
    now = await connection.fetchval("SELECT floor(extract(epoch FROM clock_timestamp()))::bigint")
    assert all(one[1] == other[0] for one, other in itertools.pairwise(bounds))
    assert bounds[0][0] <= now
    assert bounds[-1][1] >= now + events.width(36000.0)
    await connection.close()


async def test_postgresql_has_them_packed_and_gives_them_whole(postgres_dsn: str) -> None:
    store = PostgresStore(postgres_dsn)
    await store.open()
    connection = await asyncpg.connect(postgres_dsn)
    start = await store.head()
    body = EVENT % b"first"
    (first,) = await put(store, key("x"), body=body)
    assert await connection.fetchval("SELECT octet_length(body) FROM events WHERE revision = $1", first) < 170
    await connection.execute("UPDATE events SET body = $1 WHERE revision = $2", body, first)  # as it was stored before
    await put(store, key("x"), body=EVENT % b"second")
    (other,) = await put(store, key("y"), body=EVENT % b"other")
    await store.commit(Transaction([], [Write(key("x"), None)]))
    await put(store, key("z"), body=EVENT % b"last")
    assert [(row.key.name, row.body, row.previous_body) for row in await changes(store, start)] == [
        ("x", body, None),
        ("x", EVENT % b"second", body),
        ("y", EVENT % b"other", None),
        ("x", EVENT % b"second", EVENT % b"second"),
        ("z", EVENT % b"last", None),
    ]
    assert await store.event("a", "y") == StoredObject(key("y"), other, EVENT % b"other")
    assert [o.body for o in (await store.list_events(EventQuery(first))).objects] == [body]
    await end_all(store)
    ended = [found.body for found in await store.events_ended(await store.head(), 0)]
    assert ended == [EVENT % b"other", EVENT % b"last"]
    await connection.close()
    await store.close()


@pytest.mark.parametrize("limit", [1, EVENTS_PAGE])
async def test_what_they_contain_is_looked_for_in_all_pages(store: Store, limit: int) -> None:
    keys = [key(f"e{number:04}") for number in range(2 * EVENTS_PAGE + 2)]
    await put(store, *keys)
    wanted = [keys[EVENTS_PAGE - 1], keys[EVENTS_PAGE], keys[-1]]
    await put(store, *wanted, body=b"2")
    asked, found = EventQuery(containing=b"2", limit=limit), []
    while True:
        page = await store.list_events(asked)
        found += [o.key for o in page.objects]
        if not page.remaining:
            break
        asked = asked._replace(after=(found[-1].namespace, found[-1].name))
    assert found == wanted
