"""What unit tests of several packages stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kafila.catalog.catalog import Catalog, load_catalog
from kafila.registry import Registry
from kafila.registry.bootstrap import bootstrap
from kafila.store.memory import MemoryStore
from kafila.watch import Cache


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
async def registry(catalog: Catalog) -> AsyncIterator[Registry]:
    """A registry over a store in memory, with what every cluster has."""
    store = MemoryStore()
    await store.open()
    cache = Cache(store)
    await cache.load()
    found = Registry(catalog, store, cache)
    await bootstrap(found, "127.0.0.1", 5443)
    yield found
    await store.close()
