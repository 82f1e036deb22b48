from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kafila.catalog.catalog import load_catalog
from kafila.registry import Registry
from kafila.registry.bootstrap import bootstrap
from kafila.store.memory import MemoryStore
from kafila.watch import Cache

CATALOG = load_catalog()


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    """A registry over a store in memory, with what every cluster has."""
    store = MemoryStore()
    await store.open()
    cache = Cache(store)
    await cache.load()
    found = Registry(CATALOG, store, cache)
    await bootstrap(found, "127.0.0.1", 5443)
    yield found
    await store.close()
