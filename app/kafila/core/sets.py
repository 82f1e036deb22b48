"""Sets by key, none of them empty: what indexes are made of."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def discard(sets: dict[K, set[V]], key: K, value: V) -> bool:
    """Takes the value out of the set at ``key``; whether that was its last one, and the set is gone with it."""
    found = sets.get(key)
    if found is None:
        return False
    found.discard(value)
    if not found:
        del sets[key]
    return not found
