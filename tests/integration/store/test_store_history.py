"""The past: log pages, lists at a revision, compaction, resuming, leases."""

from __future__ import annotations

import asyncio
import random

import pytest

from kafila.core.resources import Key
from kafila.store.interface import (
    Compacted,
    Guard,
    GuardFailed,
    Lease,
    LeaseLost,
    Store,
    StoredObject,
    Transaction,
    Write,
)
from kafila.store.memory import MemoryDatabase, MemoryStore

from .conftest import Connect, Leasing, Subscriber


def write(key: Key, text: bytes | None) -> Transaction:
    return Transaction([], [Write(key, text)])


async def _random_history(store: Store, steps: int) -> list[tuple[int, dict[Key, StoredObject]]]:
    """The state after each of many random writes, by a model."""
    rng = random.Random(steps)
    state: dict[Key, StoredObject] = {}
    states = [(await store.head(), {})]
    for step in range(steps):
        key = Key(rng.choice(["pods", "services"]), rng.choice(["a", "b"]), f"n{rng.randrange(6)}")
        if key in state and rng.random() < 0.3:
            [revision] = await store.commit(write(key, None))
            del state[key]
        else:
            text = b"%d" % step
            [revision] = await store.commit(write(key, text))
            state[key] = StoredObject(key, revision, text)
        states.append((revision, dict(state)))
    return states


def _expected(state: dict[Key, StoredObject], resource: str) -> list[StoredObject]:
    return [state[key] for key in sorted(state) if key.resource == resource]


async def test_lists_are_exact_at_every_revision(store: Store) -> None:
    states = await _random_history(store, 120)
    for revision, state in states:
        assert await store.list_at("pods", revision) == _expected(state, "pods")
    assert await store.list_at("nothing", states[-1][0]) == []


async def test_log_pages_join_and_know_what_was_before(store: Store) -> None:
    states = await _random_history(store, 60)
    start, head = states[0][0], states[-1][0]
    rows = []
    while True:
        page = await store.read_log(rows[-1].revision if rows else start, 7)
        rows += page.rows
        assert (page.compacted, page.head) == (0, head)
        if len(page.rows) < 7:
            break
    assert [row.revision for row in rows] == [revision for revision, _ in states[1:]]
    for row, (_, before), (_, after) in zip(rows, states, states[1:], strict=False):
        found = before.get(row.key)
        assert (row.previous, row.previous_body) == ((found.revision, found.body) if found else (0, None))
        assert row.deleted == (row.key not in after)
        assert row.body == (after[row.key].body if not row.deleted else found.body)


async def test_compaction_keeps_the_present_and_refuses_the_past(store: Store) -> None:
    states = await _random_history(store, 50)
    head, state = states[-1]
    assert await store.compact(3600) == 0
    assert await store.compact(0) == head
    for ask in (store.read_log(head - 1), store.list_at("pods", head - 1)):
        with pytest.raises(Compacted) as refused:
            await ask
        assert (refused.value.asked, refused.value.compacted) == (head - 1, head)
    assert (await store.read_log(head)).rows == []
    assert await store.list_at("pods", head) == _expected(state, "pods")
    [revision] = await store.commit(write(Key("pods", "a", "n0"), b"new"))
    [row] = (await store.read_log(head)).rows
    before = state.get(row.key)
    assert (row.revision, row.previous_body) == (revision, before.body if before else None)
    assert await store.list_at("pods", head) == _expected(state, "pods")
    assert await store.compact(3600) == head  # never goes back


async def test_a_new_process_resumes_where_another_stopped(connect: Connect) -> None:
    first = await connect()
    revisions = [(await first.commit(write(Key("pods", "a", f"p{i}"), b"%d" % i)))[0] for i in range(10)]
    await first.close()
    second = await connect()
    subscriber = await Subscriber(second).begin()
    assert subscriber.start == revisions[-1]
    assert [o.revision for o in subscriber.snapshot] == revisions
    assert [row.revision for row in (await second.read_log(revisions[3])).rows] == revisions[4:]
    [last] = await second.commit(write(Key("pods", "a", "new"), b"x"))
    assert [row.revision for row in subscriber.rows] == [last]
    assert [o.key.name async for o in second.listing()] == ["new", *(f"p{i}" for i in range(10))]


async def test_no_rows_before_the_snapshot(connect: Connect) -> None:
    store = await connect()
    rows: list[object] = []
    store.subscribe(rows.extend, lambda: None)
    await store.commit(write(Key("pods", "a", "early"), b"x"))
    assert rows == []
    await store.snapshot()
    await store.commit(write(Key("pods", "a", "late"), b"x"))
    assert len(rows) == 1


async def test_memory_forgets_by_itself() -> None:
    store = MemoryStore(MemoryDatabase(keep_rows=10))
    await store.open()
    for i in range(30):
        await store.commit(write(Key("pods", "a", f"p{i % 3}"), b"%d" % i))
    with pytest.raises(Compacted) as refused:
        await store.read_log(1)
    kept = (await store.read_log(refused.value.compacted)).rows
    assert 10 <= len(kept) <= 20
    assert kept[-1].revision == await store.head()
    await store.close()


async def test_leases_exclude_and_count(leases: Leasing) -> None:
    one, two = await leases(), await leases()
    held = await one.acquire("shard-1", "one", 60)
    assert held is not None
    assert await two.acquire("shard-1", "two", 60) is None
    assert await one.acquire("shard-1", "one", 60) == held  # renewed
    assert await two.acquire("shard-2", "two", 60) is not None
    await one.release(["shard-1"], "one")
    taken = await two.acquire("shard-1", "two", 60)
    assert taken is not None
    assert taken.token > held.token
    await one.release(["shard-1"], "one")  # no longer its own: nothing happens
    assert await one.acquire("shard-1", "one", 60) is None


async def test_an_expired_lease_can_be_taken(leases: Leasing) -> None:
    one, two = await leases(), await leases()
    held = await one.acquire("shard", "one", 0)
    taken = None
    while taken is None:  # the database's clock has to move on
        taken = await two.acquire("shard", "two", 60)
    assert held is not None
    assert taken.token == held.token + 1
    assert await one.acquire("shard", "one", 60) is None


async def test_the_lease_of_a_holder_known_to_be_dead_can_be_taken_over(leases: Leasing) -> None:
    one, two = await leases(), await leases()
    held = await one.acquire("shard", "one", 60)
    assert held is not None
    assert await two.holder("shard") == "one"
    assert await two.holder("another") == ""
    assert await two.acquire("shard", "two", 60, replacing="somebody") is None
    taken = await two.acquire("shard", "two", 60, replacing="one")
    assert taken is not None
    assert taken.token == held.token + 1
    assert await one.acquire("shard", "one", 60) is None
    assert await one.holder("shard") == "two"
    await two.release(["shard"], "two")
    assert await one.holder("shard") == ""


async def test_a_lease_that_had_ended_is_another_one_also_for_its_holder(leases: Leasing) -> None:
    """What rested on it may be somebody else's by now."""
    one = await leases()
    held = await one.acquire("shard", "one", 0)
    assert held is not None
    again = held
    while again.token == held.token:  # the database's clock has to move on
        again = await one.acquire("shard", "one", 0) or held
    assert again == held._replace(token=held.token + 1)


async def test_leases_that_rest_on_a_registration_are_taken_by_who_is_registered(leases: Leasing) -> None:
    one, two = await leases(), await leases()
    assert await one.take(["m/1", "m/2"], "w/", "one") == {}, "it is not registered"
    await one.acquire("w/one", "one", 60)
    taken = await one.take(["m/1", "m/2"], "w/", "one")
    assert taken == {name: Lease(name, "one", 1) for name in ("m/1", "m/2")}
    assert await one.take(["m/2"], "w/", "one") == {"m/2": taken["m/2"]}
    await two.acquire("w/two", "two", 60)
    assert await two.take(["m/1", "m/3"], "w/", "two") == {"m/3": Lease("m/3", "two", 1)}
    await one.release(["m/1"], "one")
    assert await two.take(["m/1", "m/2"], "w/", "two") == {"m/1": Lease("m/1", "two", 2)}
    held = {lease.name: lease.holder for lease in await one.held()}
    assert held == {"w/one": "one", "w/two": "two", "m/1": "two", "m/2": "one", "m/3": "two"}


async def test_what_rests_on_a_registration_is_free_when_that_has_ended(store: Store, leases: Leasing) -> None:
    """And whoever had it writes nothing under it, though its row names him until somebody takes it."""
    one, two = await leases(), await leases()
    await one.acquire("w/one", "one", 60)
    await two.acquire("w/two", "two", 60)
    [held] = (await one.take(["m/1"], "w/", "one")).values()
    await one.acquire("w/one", "one", 0)
    taken: dict[str, Lease] = {}
    while not taken:  # the database's clock has to move on
        taken = await two.take(["m/1"], "w/", "two")
    assert taken == {"m/1": Lease("m/1", "two", held.token + 1)}
    await one.acquire("w/one", "one", 60)
    assert await one.take(["m/1"], "w/", "one") == {}
    with pytest.raises(LeaseLost):
        await store.commit(Transaction([], [Write(Key("pods", "a", "x"), b"late")], held))
    await store.commit(Transaction([], [Write(Key("pods", "a", "x"), b"1")], taken["m/1"]))


async def test_a_guard_on_a_deleted_object_fails_with_revision_zero(store: Store) -> None:
    key = Key("pods", "a", "x")
    [revision] = await store.commit(write(key, b"x"))
    await store.commit(write(key, None))
    with pytest.raises(GuardFailed) as failed:
        await store.commit(Transaction([Guard(key, revision=revision)], [Write(key, b"y")]))
    assert failed.value.revision == 0


async def test_only_who_holds_the_lease_writes_under_it(connect: Connect, leases: Leasing) -> None:
    """Also when it does not know yet that another took over; who writes without a lease is not concerned."""
    one, two = await connect(), await connect()
    of_one, of_two = await leases(), await leases()
    key, other = Key("pods", "a", "led"), Key("pods", "a", "other")
    held = await of_one.acquire("work", "one", 60)
    assert held is not None
    [first] = await one.commit(Transaction([], [Write(key, b"1")], held))
    assert await of_one.acquire("work", "one", 60) == held
    await one.commit(Transaction([Guard(key, revision=first)], [Write(key, b"2")], held))
    taken = await of_two.acquire("work", "two", 60, replacing="one")
    assert taken is not None
    refused, free, failed = await asyncio.gather(
        one.commit(Transaction([], [Write(key, b"late")], held)),
        one.commit(Transaction([], [Write(other, b"free")])),
        one.commit(Transaction([Guard(key, revision=first)], [Write(key, b"late")], held)),
        return_exceptions=True,
    )
    assert isinstance(refused, LeaseLost)
    assert isinstance(failed, LeaseLost)  # and not a conflict, after which it would look again and write
    assert isinstance(free, list)
    await two.commit(Transaction([], [Write(key, b"3")], taken))
    await of_two.release(["work"], "two")
    with pytest.raises(LeaseLost):
        await two.commit(Transaction([], [Write(key, b"late")], taken))
    assert [row.body for row in (await one.read_log(first - 1)).rows] == [b"1", b"2", b"free", b"3"]
