"""Shuffle sharding: the few queues that a flow may use, so that two flows hardly ever have all of theirs in common."""

from __future__ import annotations

import hashlib
import math
from typing import Final

MAX_HASH_BITS: Final = 60  # the last card dealt from more of a hash of 64 bits would not be even


def required_entropy_bits(deck: int, hand: int) -> int:
    """Bits of a hash that dealing ``hand`` of ``deck`` cards takes."""
    return math.ceil(math.log2(deck) * hand)


def flow_hash(schema: str, distinguisher: str) -> int:
    """64 bits of a flow, as kube-apiserver makes them."""
    digest = hashlib.sha256(f"{schema}\0{distinguisher}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "little")


def deal(value: int, deck: int, hand: int) -> tuple[int, ...]:
    """``hand`` different numbers below ``deck``, in the order dealt."""
    remainders: list[int] = []
    for dealt in range(hand):
        value, remainder = divmod(value, deck - dealt)
        remainders.append(remainder)
    cards = []
    for dealt, card in enumerate(remainders):
        for before in reversed(remainders[:dealt]):
            if card >= before:
                card += 1
        cards.append(card)
    return tuple(cards)
