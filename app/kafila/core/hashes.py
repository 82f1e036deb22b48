"""Hashes and names that Karmada derives from them; they must agree byte for byte (pkg/util/names, apimachinery rand)."""

from __future__ import annotations

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def fnv1a_32(data: bytes) -> int:
    """FNV-1a, 32 bits (Go's hash/fnv New32a)."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def safe_encode(text: str) -> str:
    """k8s.io/apimachinery/pkg/util/rand.SafeEncodeString: characters that spell no words."""
    return "".join(SAFE_ALPHABET[ord(c) % len(SAFE_ALPHABET)] for c in text)


def name_hash(text: str) -> str:
    return safe_encode(str(fnv1a_32(text.encode())))
