"""Every contract test runs over the store in memory and over PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import psycopg
import pytest

from kafila.store.interface import Leases, Row, Store, StoredObject
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.store.postgres import PostgresStore


class Subscriber:
    """Follows a store from its snapshot, as a cache does."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.start = 0
        self.snapshot: list[StoredObject] = []
        self.rows: list[Row] = []
        self.resets = 0
        store.subscribe(self.rows.extend, self._reset)

    def _reset(self) -> None:
        self.resets += 1

    async def begin(self) -> Subscriber:
        self.start, self.snapshot = await self.store.snapshot()
        return self


Connect = Callable[[], Awaitable[Store]]
Leasing = Callable[[], Awaitable[Leases]]


@pytest.fixture(params=["memory", "postgres"])
def make(request: pytest.FixtureRequest) -> Callable[[], Store]:
    if request.param == "memory":
        database = MemoryDatabase()
        return lambda: MemoryStore(database)
    dsn = request.getfixturevalue("postgres_dsn")
    return lambda: PostgresStore(dsn)


@pytest.fixture
async def connect(make: Callable[[], Store]) -> AsyncIterator[Connect]:
    """Opens stores over one database: each is what one process has."""
    opened: list[Store] = []

    async def connect() -> Store:
        store = make()
        await store.open()
        opened.append(store)
        return store

    yield connect
    for store in opened:
        await store.close()


@pytest.fixture
async def store(connect: Connect) -> Store:
    return await connect()


@pytest.fixture
async def leases(connect: Connect) -> AsyncIterator[Leasing]:
    """Of stores over one database: each is what one process asks."""
    opened: list[Leases] = []

    async def leases() -> Leases:
        opened.append((await connect()).leases())
        return opened[-1]

    yield leases
    for one in opened:
        await one.close()


@pytest.fixture
def empty_dsn(postgres_server: str) -> Iterator[str]:
    """DSN of a database with nothing in it, dropped afterwards."""
    with psycopg.connect(postgres_server.replace("/kafila?", "/postgres?"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty TEMPLATE template0")
        yield postgres_server.replace("/kafila?", "/empty?")
        connection.execute("DROP DATABASE empty WITH (FORCE)")
