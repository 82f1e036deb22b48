"""Whether any policy may be about an object, as policies come, change and go."""

from __future__ import annotations

from typing import Any

import orjson

from kafila.catalog.catalog import load_catalog
from kafila.core.resources import Key
from kafila.reconcile.karmada.propagation_policies import POLICIES, PolicyIndex
from kafila.store.interface import Transaction, Write
from kafila.store.memory import MemoryStore
from kafila.watch import Cache, Entry


async def test_an_object_may_be_selected_as_long_as_a_policy_names_its_kind() -> None:
    store = MemoryStore()
    cache, catalog = Cache(store), load_catalog()
    index = PolicyIndex(cache, catalog)
    await store.open()
    await cache.load()

    async def put(name: str, *selectors: dict[str, Any]) -> None:
        body = {"metadata": {"name": name, "uid": name}, "spec": {"resourceSelectors": list(selectors)}}
        await store.commit(Transaction([], [Write(Key(POLICIES, "a", name), orjson.dumps(body), name)]))

    def selected(resource: str, namespace: str, name: str) -> bool:
        kind = catalog.storage_kind(resource)
        assert kind is not None
        return index.may_select(kind, Entry(Key(resource, namespace, name), 1, b'{"metadata":{"name":"x"}}'))

    deployments, maps = {"apiVersion": "apps/v1", "kind": "Deployment"}, {"apiVersion": "v1", "kind": "ConfigMap"}
    assert not selected("deployments.apps", "a", "web")
    await put("p", deployments)
    await put("q", deployments, maps | {"name": "settings"})
    assert selected("deployments.apps", "a", "web")
    assert not selected("deployments.apps", "b", "web")
    assert selected("configmaps", "a", "settings")
    assert not selected("configmaps", "a", "other")
    await put("q", maps)
    assert selected("deployments.apps", "a", "web")
    assert selected("configmaps", "a", "other")
    await store.commit(Transaction([], [Write(Key(POLICIES, "a", "p"), None)]))
    assert not selected("deployments.apps", "a", "web")
    assert selected("configmaps", "a", "other")
    for _ in index.loading():
        assert index is not None
    assert selected("configmaps", "a", "other")
    await store.commit(Transaction([], [Write(Key(POLICIES, "a", "q"), None)]))
    assert not selected("configmaps", "a", "other")
    await store.close()
