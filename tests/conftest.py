"""One PostgreSQL for the whole run, a database of its own for each test that asks for one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from app.store.embedded import EmbeddedPostgres
from app.store.migrate import upgrade

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DSN of a migrated database that nobody connects to: the template of the others."""
    folder: Path = tmp_path_factory.getbasetemp()
    for parent in (folder, folder.parent):  # as root the server is another user, who has to pass through
        parent.chmod(0o711)
    server = EmbeddedPostgres(folder / "database")
    dsn = asyncio.run(server.start())
    try:
        asyncio.run(upgrade(dsn))
        yield dsn
    finally:
        asyncio.run(server.stop())


@pytest.fixture
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """DSN of an empty migrated database, dropped afterwards."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_server.replace("/kafila?", "/postgres?"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE kafila")
        yield postgres_server.replace("/kafila?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
