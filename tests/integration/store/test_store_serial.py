"""Random transactions: both stores agree step by step, and what ran together could have run one after the other."""

from __future__ import annotations

import asyncio
import random

import pytest

from kafila.core.resources import Key
from kafila.store.interface import Guard, GuardFailed, Store, Transaction, Write
from kafila.store.memory import MemoryStore
from kafila.store.postgres import PostgresStore

from .conftest import Connect, Subscriber

KEYS = [Key("pods", "", f"p{i}") for i in range(5)]
State = dict[Key, tuple[int, bool]]  # revision, terminating


def random_transaction(rng: random.Random, state: State, number: int) -> Transaction:
    """Guards mostly hold in ``state``, which may be old by the time it is carried out."""
    guards = []
    for key in rng.sample(KEYS, rng.randrange(3)):
        revision = state.get(key, (0, False))[0]
        if rng.random() < 0.2:
            revision += 1
        kind = rng.randrange(3) if revision else 1
        guards.append(Guard(key, revision=revision if kind == 0 else 0, absent=kind == 1, alive=kind == 2))
    writes = [
        Write(
            key,
            None if rng.random() < 0.3 else b"%d-%d" % (number, i),
            terminating=rng.random() < 0.2,
            last=b"last" if rng.random() < 0.5 else None,
        )
        for i, key in enumerate(rng.sample(KEYS, rng.randrange(4)))
    ]
    return Transaction(guards, writes)


def holds(guard: Guard, state: State) -> bool:
    revision, terminating = state.get(guard.key, (0, False))
    if guard.absent:
        return revision == 0
    if guard.alive:
        return revision > 0 and not terminating
    return revision == guard.revision


def apply(state: State, transaction: Transaction, revisions: list[int]) -> None:
    for write, revision in zip(transaction.writes, revisions, strict=True):
        if write.body is None:
            del state[write.key]
        else:
            state[write.key] = (revision, write.terminating)


async def outcome(store: Store, transaction: Transaction) -> list[int] | tuple[int, bool]:
    try:
        return await store.commit(transaction)
    except GuardFailed as failed:
        return failed.revision, failed.terminating


@pytest.mark.parametrize("seed", range(3))
async def test_memory_and_postgres_agree(postgres_dsn: str, seed: int) -> None:
    rng = random.Random(seed)
    memory, postgres = MemoryStore(), PostgresStore(postgres_dsn)
    await memory.open()
    await postgres.open()
    subscribers = [await Subscriber(store).begin() for store in (memory, postgres)]
    state: State = {}
    for number in range(150):
        transaction = random_transaction(rng, state, number)
        expected = await outcome(memory, transaction)
        assert await outcome(postgres, transaction) == expected
        if isinstance(expected, list):
            apply(state, transaction, expected)
    assert subscribers[0].rows == subscribers[1].rows
    assert await memory.snapshot() == await postgres.snapshot()
    start = subscribers[0].start
    assert (await memory.read_log(start)).rows == (await postgres.read_log(start)).rows
    await postgres.close()


@pytest.mark.parametrize("seed", range(3))
async def test_what_ran_together_could_have_run_one_by_one(connect: Connect, seed: int) -> None:
    """In the order of revisions, every guard of every committed transaction held at its moment."""
    rng = random.Random(seed)
    stores = [await connect(), await connect()]
    committed: list[tuple[list[int], Transaction]] = []
    state: State = {}
    for moment in range(25):
        together = [random_transaction(rng, state, moment * 20 + i) for i in range(20)]
        results = await asyncio.gather(*(outcome(stores[i % 2], t) for i, t in enumerate(together)))
        new = [(r, t) for r, t in zip(results, together, strict=True) if isinstance(r, list) and r]
        for revisions, transaction in sorted(new, key=lambda pair: pair[0]):
            assert all(holds(guard, state) for guard in transaction.guards)
            assert revisions == list(range(revisions[0], revisions[0] + len(revisions)))
            apply(state, transaction, revisions)
            committed.append((revisions, transaction))
    flat = sorted(revision for revisions, _ in committed for revision in revisions)
    assert flat == list(range(2, len(flat) + 2))
    assert {o.key: o.revision for o in (await stores[0].snapshot())[1]} == {k: r for k, (r, _) in state.items()}
