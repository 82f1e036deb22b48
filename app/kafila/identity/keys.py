"""Key pairs that every process of a control plane shares: made once, kept in the store, never changed by us."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson

from kafila.core.resources import Key
from kafila.store.interface import Guard, GuardFailed, Store, Transaction, Write
from kafila.watch import Cache

from .certificates import KeyPair, new_authority, new_signing_key

RESOURCE = "keypairs.internal"  # in no catalogue, so no API serves it


class Keys(NamedTuple):
    authority: KeyPair  # signs servers' and clients' certificates
    service_accounts: KeyPair  # signs service account tokens
    front_proxy: KeyPair  # CA of the aggregation layer


async def shared_keys(store: Store, cache: Cache) -> Keys:
    """Reads the keys, or makes them; of several processes that start together exactly one wins."""
    return Keys(
        authority=await _pair(store, cache, "ca", lambda: new_authority("kafila-ca")),
        service_accounts=await _pair(store, cache, "service-accounts", new_signing_key),
        front_proxy=await _pair(store, cache, "front-proxy-ca", lambda: new_authority("kafila-front-proxy-ca")),
    )


async def _pair(store: Store, cache: Cache, name: str, make: Callable[[], KeyPair]) -> KeyPair:
    key = Key(RESOURCE, "", name)
    entry = cache.get(*key)
    if entry is None:
        pair = make()
        body = {"metadata": {"name": name}, "certificate": pair.certificate.decode(), "key": pair.key.decode()}
        try:
            await store.commit(Transaction([Guard(key, absent=True)], [Write(key, orjson.dumps(body))]))
            return pair
        except GuardFailed:
            await store.head()
            entry = cache.get(*key)
            assert entry is not None
    stored = entry.decode()
    return KeyPair(stored["certificate"].encode(), stored["key"].encode())
