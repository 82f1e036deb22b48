"""What every store promises about writes: guards, revisions, transactions, and who sees what when."""

from __future__ import annotations

import asyncio

import pytest

from kafila.core.resources import Key
from kafila.store.interface import Guard, GuardFailed, OutcomeUnknown, Store, StoreUnavailable, Transaction, Write
from kafila.store.postgres import PostgresStore

from .conftest import Connect, Subscriber

POD = Key("pods", "default", "a")
NAMESPACE = Key("namespaces", "", "default")


def body(text: str) -> bytes:
    return b'{"metadata":{"name":"%s"}}' % text.encode()


def create(key: Key, text: str = "x", *guards: Guard) -> Transaction:
    return Transaction([Guard(key, absent=True), *guards], [Write(key, body(text), uid="uid")])


def update(key: Key, revision: int, text: str = "y") -> Transaction:
    return Transaction([Guard(key, revision=revision)], [Write(key, body(text), uid=f"uid-{key.name}")])


async def test_revisions_start_above_zero_and_rise(store: Store) -> None:
    start = await store.head()
    assert start >= 1
    first = await store.commit(create(POD))
    second = await store.commit(update(POD, first[0]))
    assert start < first[0] < second[0] == await store.head()


async def test_a_process_reads_its_own_write_before_commit_returns(store: Store) -> None:
    subscriber = await Subscriber(store).begin()
    [revision] = await store.commit(create(POD))
    [row] = subscriber.rows
    assert row[:5] == (revision, POD, body("x"), False, 0)
    [later] = await store.commit(update(POD, revision))
    assert subscriber.rows[-1][:5] == (later, POD, body("y"), False, revision)


async def test_create_fails_when_it_exists(store: Store) -> None:
    [revision] = await store.commit(create(POD))
    with pytest.raises(GuardFailed) as failed:
        await store.commit(create(POD))
    assert failed.value.revision == revision
    assert failed.value.guard == Guard(POD, absent=True)


@pytest.mark.parametrize("exists", [True, False])
async def test_update_fails_on_another_revision(store: Store, exists: bool) -> None:
    current = (await store.commit(create(POD)))[0] if exists else 0
    subscriber = await Subscriber(store).begin()
    with pytest.raises(GuardFailed) as failed:
        await store.commit(update(POD, current + 7))
    assert failed.value.revision == current
    assert subscriber.rows == []
    assert await store.head() == subscriber.start


async def test_update_without_precondition_overwrites_and_creates(store: Store) -> None:
    [first] = await store.commit(Transaction([], [Write(POD, body("1"))]))
    [second] = await store.commit(Transaction([], [Write(POD, body("2"))]))
    rows = (await store.read_log(first - 1)).rows
    assert [(r.revision, r.previous, r.previous_body) for r in rows] == [(first, 0, None), (second, first, body("1"))]


@pytest.mark.parametrize("last", [None, body("final")])
async def test_delete_sends_the_last_body(store: Store, last: bytes | None) -> None:
    subscriber = await Subscriber(store).begin()
    [created] = await store.commit(create(POD))
    [deleted] = await store.commit(Transaction([Guard(POD, revision=created)], [Write(POD, None, last=last)]))
    assert subscriber.rows[-1][:5] == (deleted, POD, last or body("x"), True, created)
    assert (await store.snapshot())[1] == []
    [again] = await store.commit(create(POD))
    assert subscriber.rows[-1][:5] == (again, POD, body("x"), False, 0)


async def test_deleting_what_is_not_there_fails(store: Store) -> None:
    with pytest.raises(GuardFailed) as failed:
        await store.commit(Transaction([], [Write(POD, None)]))
    assert failed.value.revision == 0


async def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    other = Key("pods", "default", "b")
    [revision] = await store.commit(create(POD))
    both = [Write(other, body("b")), Write(POD, body("a"))]
    with pytest.raises(GuardFailed):
        await store.commit(Transaction([Guard(POD, revision=revision + 1)], both))
    assert [o.key for o in (await store.snapshot())[1]] == [POD]
    revisions = await store.commit(Transaction([Guard(POD, revision=revision), Guard(other, absent=True)], both))
    assert revisions == [revision + 1, revision + 2]
    assert [(o.key, o.revision) for o in (await store.snapshot())[1]] == [(POD, revision + 2), (other, revision + 1)]


async def test_guards_without_writes_only_ask(store: Store) -> None:
    [revision] = await store.commit(create(POD))
    assert await store.commit(Transaction([Guard(POD, revision=revision)], [])) == []
    with pytest.raises(GuardFailed):
        await store.commit(Transaction([Guard(POD, absent=True)], []))
    assert await store.head() == revision


async def test_alive_means_there_and_not_terminating(store: Store) -> None:
    alive = Guard(NAMESPACE, alive=True)
    with pytest.raises(GuardFailed) as failed:
        await store.commit(create(POD, "x", alive))
    assert (failed.value.guard, failed.value.revision, failed.value.terminating) == (alive, 0, False)
    [revision] = await store.commit(create(NAMESPACE))
    await store.commit(create(POD, "x", alive))
    [ending] = await store.commit(
        Transaction([Guard(NAMESPACE, revision=revision)], [Write(NAMESPACE, body("n"), terminating=True)])
    )
    with pytest.raises(GuardFailed) as failed:
        await store.commit(create(Key("pods", "default", "late"), "x", alive))
    assert (failed.value.revision, failed.value.terminating) == (ending, True)


async def test_one_refused_transaction_does_not_touch_its_neighbours(store: Store) -> None:
    await store.commit(create(POD))
    keys = [Key("pods", "default", f"p{i}") for i in range(20)]
    tasks = [create(key) for key in keys]
    tasks[10] = create(POD)
    results = await asyncio.gather(*(store.commit(t) for t in tasks), return_exceptions=True)
    assert isinstance(results.pop(10), GuardFailed)
    numbers = [r[0] for r in results if isinstance(r, list)]
    assert numbers == list(range(numbers[0], numbers[0] + 19))


async def test_what_cannot_be_stored_does_not_touch_its_neighbours(postgres_dsn: str) -> None:
    """Text that PostgreSQL refuses (NUL) and text that cannot even be sent (half a surrogate pair)."""
    store = PostgresStore(postgres_dsn)
    await store.open()
    names = ["a", "nul\0", "b", "half\ud800", "c"]
    results = await asyncio.gather(
        *(store.commit(create(Key("pods", "default", name), "x")) for name in names), return_exceptions=True
    )
    assert [isinstance(result, list) for result in results] == [True, False, True, False, True]
    assert not any(isinstance(result, (StoreUnavailable, OutcomeUnknown)) for result in results)
    await store.close()


def test_a_transaction_writes_a_key_once() -> None:
    with pytest.raises(ValueError, match="only once"):
        Transaction([], [Write(POD, b"1"), Write(POD, b"2")])


async def test_guards_see_earlier_writes_of_the_same_moment(store: Store) -> None:
    """Submitted together: whoever comes first wins, and the others look at what it wrote."""
    [revision] = await store.commit(create(NAMESPACE))
    ending = Transaction([Guard(NAMESPACE, revision=revision)], [Write(NAMESPACE, body("n"), terminating=True)])
    before = create(Key("pods", "default", "before"), "x", Guard(NAMESPACE, alive=True))
    after = create(Key("pods", "default", "after"), "x", Guard(NAMESPACE, alive=True))
    first, second, third = await asyncio.gather(
        store.commit(before), store.commit(ending), store.commit(after), return_exceptions=True
    )
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert first < second
    assert isinstance(third, GuardFailed)


async def test_compare_and_set_loses_nothing_between_processes(connect: Connect) -> None:
    """Two processes, many tasks, one counter: every acknowledged increment is there."""
    stores = [await connect(), await connect()]
    counter = Key("counters", "", "c")
    await stores[0].commit(Transaction([], [Write(counter, b"0")]))

    async def add(store: Store, times: int) -> None:
        for _ in range(times):
            while True:
                found = {o.key: o for o in await store.list_at("counters", await store.head())}[counter]
                write = Write(counter, str(int(found.body) + 1).encode())
                try:
                    await store.commit(Transaction([Guard(counter, revision=found.revision)], [write]))
                    break
                except GuardFailed:
                    continue

    await asyncio.gather(*(add(store, 5) for store in stores for _ in range(4)))
    assert [o.body for o in await stores[1].list_at("counters", await stores[1].head())] == [b"40"]


async def test_every_process_sees_every_row_in_order(connect: Connect) -> None:
    stores = [await connect() for _ in range(3)]
    subscribers = [await Subscriber(store).begin() for store in stores]

    async def write(number: int, store: Store) -> None:
        for i in range(40):
            key = Key("pods", f"n{number}", f"p{i % 7}")
            [revision] = await store.commit(Transaction([], [Write(key, body(f"{number}-{i}"))]))
            assert subscribers[number].rows[-1].revision >= revision

    await asyncio.gather(*(write(n, s) for n, s in enumerate(stores) for _ in range(3)))
    heads = {await store.head() for store in stores}
    assert len(heads) == 1
    expected = list(range(subscribers[0].start + 1, heads.pop() + 1))
    for subscriber in subscribers:
        assert [row.revision for row in subscriber.rows] == expected
        assert subscriber.rows == subscribers[0].rows
        assert subscriber.resets == 0


async def test_head_has_seen_what_another_process_committed(connect: Connect) -> None:
    writer, reader = await connect(), await connect()
    subscriber = await Subscriber(reader).begin()
    for i in range(10):
        [revision] = await writer.commit(Transaction([], [Write(POD, body(str(i)))]))
        heads = await asyncio.gather(*(reader.head() for _ in range(5)))
        assert min(heads) >= revision
        assert subscriber.rows[-1].revision == revision


async def test_names_keep_their_bytes(store: Store) -> None:
    keys = [Key("things", "", name) for name in ("a", "B", "ä", "z", "雪", "a-b", "a.b", "system:x")]
    for key in keys:
        await store.commit(create(key))
    assert [o.key for o in (await store.snapshot())[1]] == sorted(keys)


async def test_a_closed_store_takes_no_writes(connect: Connect) -> None:
    store = await connect()
    await store.commit(create(POD))
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.commit(create(Key("pods", "default", "b")))
