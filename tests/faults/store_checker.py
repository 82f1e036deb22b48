"""Compares what writers were told and what subscribers saw with the log: the judge of every fault test of the store.

A writer's record is lines in a file, so that it outlives a process that is killed: ``try``, then at most one of ``ack``,
``refused`` (certainly not written) and ``unknown``. Every write has a body of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import IO

from kafila.core.resources import Key
from kafila.store.interface import (
    Guard,
    GuardFailed,
    OutcomeUnknown,
    Row,
    Store,
    StoredObject,
    StoreUnavailable,
    Transaction,
    Write,
)
from kafila.store.postgres import PostgresStore


class Recorder:
    """Writes the record of one process: its writes and what its subscriber saw."""

    def __init__(self, path: Path, name: str) -> None:
        self._file: IO[str] = path.open("a", buffering=1)
        self._name = name
        self._numbers = itertools.count()
        self.acknowledged = 0

    def line(self, *words: object) -> None:
        self._file.write(" ".join(map(str, words)) + "\n")

    def rows(self, rows: list[Row]) -> None:
        self._file.write("".join(f"saw {row.revision} {row.body.decode()}\n" for row in rows))

    async def follow(self, store: Store) -> None:
        store.subscribe(self.rows, lambda: self.line("reset"))
        revision, _ = await store.snapshot()
        self.line("start", revision)

    async def write(self, store: Store, key: Key, guards: tuple[Guard, ...] = ()) -> int:
        """One write with a unique body; its revision, or 0."""
        text = f"{self._name}-{next(self._numbers)}"
        self.line("try", text)
        try:
            [revision] = await store.commit(Transaction(guards, [Write(key, text.encode())]))
        except (GuardFailed, StoreUnavailable):
            self.line("refused", text)
        except OutcomeUnknown:
            self.line("unknown", text)
        else:
            self.line("ack", text, revision)
            self.acknowledged += 1
            return revision
        return 0

    async def keep_writing(self, store: Store, keys: int, done: Callable[[], bool], tasks: int = 8) -> None:
        """Many tasks that update a few keys, with and without preconditions."""

        async def one(seed: int) -> None:
            rng = random.Random(seed)
            known: dict[Key, int] = {}
            while not done():
                key = Key("pods", "default", f"p{rng.randrange(keys)}")
                guards = (Guard(key, revision=known[key]),) if key in known and rng.random() < 0.5 else ()
                known[key] = await self.write(store, key, guards)
                if not known[key]:
                    del known[key]
                await asyncio.sleep(0)

        await asyncio.gather(*(one(seed) for seed in range(tasks)))


async def whole_log(store: Store) -> list[Row]:
    rows: list[Row] = []
    while True:
        page = await store.read_log(rows[-1].revision if rows else 1, 500)
        rows += page.rows
        if len(page.rows) < 500:
            return rows


async def check(dsn: str, *records: Path) -> int:
    """Raises AssertionError; returns how many writes were acknowledged."""
    store = PostgresStore(dsn)
    await store.open()
    try:
        rows = await whole_log(store)
        _, objects = await store.snapshot()
    finally:
        await store.close()
    _check_log(rows, objects)
    return sum(_check_record(rows, path.read_text().rpartition("\n")[0].splitlines()) for path in records)


def _check_log(rows: list[Row], objects: list[StoredObject]) -> None:
    revisions = [row.revision for row in rows]
    assert revisions == list(range(2, len(rows) + 2)), "revisions have gaps"
    bodies = [row.body for row in rows]
    assert len(bodies) == len(set(bodies)), "a write was carried out twice"
    state: dict[Key, Row] = {}
    for row in rows:
        before = state.get(row.key)
        assert row.previous == (before.revision if before else 0), "an update was lost"
        assert row.previous_body == (before.body if before else None)
        state[row.key] = row
    assert objects == [StoredObject(k, state[k].revision, state[k].body) for k in sorted(state)]


def _check_record(rows: list[Row], lines: list[str]) -> int:
    log = {row.body.decode(): row.revision for row in rows}
    by_revision = {row.revision: row.body.decode() for row in rows}
    acknowledged, position = 0, 0
    for line in lines:
        what, *words = line.split(" ")
        if what == "ack":
            acknowledged += 1
            assert log.get(words[0]) == int(words[1]), f"an acknowledged write is not in the log: {line}"
        elif what == "refused":
            assert words[0] not in log, f"a refused write is in the log: {line}"
        elif what == "start":
            position = int(words[0])
        elif what == "saw":
            position += 1
            assert (int(words[0]), words[1]) == (position, by_revision[position]), (
                f"the subscriber missed a row: {line}"
            )
        else:
            assert what in ("try", "unknown"), line
    return acknowledged
