"""The messages of a KMS v2 plugin (k8s.io/kms/apis/v2/api.proto) and the header of what is sealed with it, as bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from kafila.machinery.protobuf_wire import (
    LENGTH,
    ProtobufError,
    bytes_field,
    fail,
    read_length,
    read_varint,
    scan,
    skip,
    text_field,
)

SERVICE: Final = "/v2.KeyManagementService/"
LARGEST_KEY_ID: Final = 1 << 10  # bytes, as of the following
LARGEST_SEED: Final = 1 << 10
LARGEST_ANNOTATIONS: Final = 32 << 10
_DOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")


class Status(NamedTuple):
    version: str
    healthz: str
    key_id: str


class SealedSeed(NamedTuple):
    """A seed as only the KMS can read it, and what it wants to be told then."""

    key_id: str
    ciphertext: bytes
    annotations: Mapping[str, bytes]


def status_of(message: bytes) -> Status:
    """Raises ValueError, as the following do."""
    found = _scanned(message)
    return Status(_text(found, 1), _text(found, 2), _text(found, 3))


def encrypt_request(seed: bytes, uid: str) -> bytes:
    return bytes_field(1, seed) + text_field(2, uid)


def sealed_seed_of(message: bytes) -> SealedSeed:
    """Of an EncryptResponse."""
    return _checked(_seed(message, 2, 1))


def decrypt_request(seed: SealedSeed, uid: str) -> bytes:
    head = bytes_field(1, seed.ciphertext) + text_field(2, uid) + text_field(3, seed.key_id)
    return head + _annotations(4, seed.annotations)


def seed_of(message: bytes) -> bytes:
    """Of a DecryptResponse."""
    found = _scanned(message).get(1, b"")
    if not isinstance(found, bytes) or len(found) != 32:
        raise ValueError("the KMS gave no seed")
    return found


def header(seed: SealedSeed) -> bytes:
    """Before what is sealed with the seed; the key's name comes first."""
    content = text_field(1, seed.key_id) + bytes_field(2, seed.ciphertext) + _annotations(3, seed.annotations)
    return len(content).to_bytes(4) + content


def header_in(stored: bytes, start: int) -> bytes:
    """The header that begins at ``start``."""
    end = start + 4 + int.from_bytes(stored[start : start + 4])
    if end > len(stored):
        raise ValueError("the header is cut off")
    return stored[start:end]


def sealed_seed_in(found: bytes) -> SealedSeed:
    """Of a header."""
    return _checked(_seed(found[4:], 1, 2))


def _checked(seed: SealedSeed) -> SealedSeed:
    check_key_id(seed.key_id)
    if not seed.ciphertext:
        raise ValueError("failed to validate encrypted DEK source: encrypted DEK source is empty")
    if len(seed.ciphertext) > LARGEST_SEED:
        size = f"encrypted DEK source is {len(seed.ciphertext)} bytes, which exceeds the max size of {LARGEST_SEED}"
        raise ValueError(f"failed to validate encrypted DEK source: {size}")
    size_of_all = sum(len(name.encode()) + len(value) for name, value in seed.annotations.items())
    if size_of_all > LARGEST_ANNOTATIONS:
        size = f"total size of annotations is {size_of_all}, which exceeds the max size of {LARGEST_ANNOTATIONS}"
        raise ValueError(f"failed to validate annotations: {size}")
    for name in seed.annotations:
        if len(name) > 253 or not _DOMAIN.fullmatch(name):
            raise ValueError("failed to validate annotations: a name is no fully qualified domain name")
    return seed


def check_key_id(key_id: str) -> None:
    if not key_id:
        raise ValueError("keyID is empty")
    if (size := len(key_id.encode())) > LARGEST_KEY_ID:
        raise ValueError(f"keyID is {size} bytes, which exceeds the max size of {LARGEST_KEY_ID}")


def _scanned(message: bytes) -> dict[int, int | bytes]:
    try:
        return scan(message, 0, len(message))
    except (ProtobufError, IndexError):
        raise ValueError("not an answer of a KMS v2 plugin") from None


def _text(found: Mapping[int, int | bytes], number: int) -> str:
    value = found.get(number, b"")
    if not isinstance(value, bytes):
        raise ValueError("not an answer of a KMS v2 plugin")
    return value.decode()


def _seed(message: bytes, key_id: int, ciphertext: int) -> SealedSeed:
    found = _scanned(message)
    text, sealed = _text(found, key_id), found.get(ciphertext, b"")
    if not isinstance(sealed, bytes):
        raise ValueError("not an answer of a KMS v2 plugin")
    return SealedSeed(text, sealed, _read_annotations(message, 3))


def _annotations(number: int, found: Mapping[str, bytes]) -> bytes:
    pairs = (text_field(1, name) + bytes_field(2, value) for name, value in sorted(found.items()))
    return b"".join(bytes_field(number, pair) for pair in pairs)


def _read_annotations(message: bytes, number: int) -> dict[str, bytes]:
    """The entries of a map, of which :func:`scan` keeps one."""
    found: dict[str, bytes] = {}
    position, end = 0, len(message)
    try:
        while position < end:
            tag, position = read_varint(message, position)
            if tag >> 3 != number:
                position = skip(message, position, end, tag)
                continue
            if tag & 7 != LENGTH:
                fail("no entry of a map")
            start, position = read_length(message, position, end)
            pair = scan(message, start, position)
            value = pair.get(2, b"")
            found[_text(pair, 1)] = value if isinstance(value, bytes) else b""
    except (ProtobufError, IndexError):
        raise ValueError("not an answer of a KMS v2 plugin") from None
    return found
