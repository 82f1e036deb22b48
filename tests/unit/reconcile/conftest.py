from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.catalog.catalog import load_catalog
from app.registry import Registry
from app.registry.bootstrap import bootstrap
from app.store.memory import MemoryStore
from app.watch import Cache

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
