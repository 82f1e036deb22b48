"""Key pairs that every process of a control plane shares: made once, kept in the store, and exchanged when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from kafila.core.resources import Key
from kafila.store.interface import Guard, GuardFailed, Store, Transaction, Write
from kafila.store.sealing import KeysNeeded
from kafila.watch import Cache, Entry

from . import token_keys
from .authority import NAME, Authority, from_body
from .certificates import KeyPair, new_authority, new_signing_key
from .token_keys import TokenKeys

RESOURCE = "keypairs.internal"  # in no catalogue, so no API serves it
AUTHORITY: Final = Key(RESOURCE, "", "ca")
TOKEN_KEYS: Final = Key(RESOURCE, "", "service-accounts")


class Keys(NamedTuple):
    authority: Authority  # signs servers' and clients' certificates
    service_accounts: TokenKeys  # sign service account tokens
    front_proxy: KeyPair  # CA of the aggregation layer


async def shared_keys(store: Store, cache: Cache) -> Keys:
    """Reads the keys, or makes them; of several processes that start together exactly one wins. Raises KeysNeeded."""
    await _body(store, cache, "ca", lambda: new_authority(NAME))
    await _body(store, cache, TOKEN_KEYS.name, new_signing_key)
    return Keys(
        authority=stored_authority(cache)[0],
        service_accounts=stored_token_keys(cache)[0],
        front_proxy=await _pair(store, cache, "front-proxy-ca", lambda: new_authority("kafila-front-proxy-ca")),
    )


def stored_authority(cache: Cache) -> tuple[Authority, Entry]:
    """As this process has seen it last. Raises KeysNeeded."""
    entry = _entry(cache, AUTHORITY)
    return from_body(entry.decode()), entry


def stored_token_keys(cache: Cache) -> tuple[TokenKeys, Entry]:
    """As this process has seen them last. Raises KeysNeeded."""
    entry = _entry(cache, TOKEN_KEYS)
    return token_keys.from_body(entry.decode()), entry


async def replace(store: Store, current: Entry, body: Mapping[str, Any]) -> None:
    """Raises GuardFailed where another process was faster, and what a commit raises."""
    guard = Guard(current.key, revision=current.revision)
    await store.commit(Transaction([guard], [Write(current.key, _stored(current.key.name, body))]))


async def _pair(store: Store, cache: Cache, name: str, make: Callable[[], KeyPair]) -> KeyPair:
    stored = await _body(store, cache, name, make)
    return KeyPair(stored["certificate"].encode(), stored["key"].encode())


async def _body(store: Store, cache: Cache, name: str, make: Callable[[], KeyPair]) -> dict[str, Any]:
    key = Key(RESOURCE, "", name)
    if cache.get(*key) is None:
        pair = make()
        body = _stored(name, {"certificate": pair.certificate.decode(), "key": pair.key.decode()})
        try:
            await store.commit(Transaction([Guard(key, absent=True)], [Write(key, body)]))
        except GuardFailed:
            await store.head()
    return _entry(cache, key).decode()


def _entry(cache: Cache, key: Key) -> Entry:
    """Raises KeysNeeded: they are made at the start of each process, and never deleted."""
    entry = cache.get(*key)
    if entry is None:
        found = cache.unreadable(key)
        why = found.reason if found is not None else "they are gone"
        raise KeysNeeded(f"the control plane's own keys cannot be decrypted: {why}")
    return entry


def _stored(name: str, body: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"metadata": {"name": name}, **body})
