"""Sealing with keys that are here. What is stored begins with the provider and the key's name: ``kafila:enc:aesgcm:v1:key1:``.

Kubernetes' providers by name and key, not by format: all of ours bind a body to its *place* (resource, namespace, name), and
notice when one bit was changed, also aescbc. And no key is worn out by writes: aesgcm derives one for each of them, as
Kubernetes' KMS v2 does (its own aesgcm has to be rotated every 200,000 writes, for its nonces are short).
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher as Block
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from kafila.store.sealing import MARK, CannotOpen

from .configuration import Local

if TYPE_CHECKING:
    from .configuration import NamedKey

_SALT, _NONCE, _TAG, _BLOCK, _MAC = 32, 12, 16, 16, 32  # bytes
WRONG: Final = "cipher: message authentication failed"  # Go's crypto/cipher


class Cipher(Protocol):
    """One key. ``prefix``: what everything sealed under it begins with."""

    prefix: bytes

    def seal(self, body: bytes, place: bytes) -> bytes:
        """With the prefix. Raises CannotSeal."""
        ...

    def open(self, stored: bytes, place: bytes) -> bytes:
        """``stored`` begins with the prefix. Raises CannotOpen."""
        ...


def derived(key: bytes, use: bytes, size: int) -> bytes:
    """HKDF-Expand of RFC 5869 with SHA-256 for at most 32 bytes, which is one HMAC."""
    return hmac.digest(key, use + b"\x01", "sha256")[:size]


def seal_gcm(key: bytes, body: bytes, place: bytes) -> bytes:
    """Salt, nonce, and what AES-GCM makes of it under a key that is this body's alone."""
    fresh = os.urandom(_SALT + _NONCE)
    return fresh + AESGCM(derived(key, fresh[:_SALT], len(key))).encrypt(fresh[_SALT:], body, place)


def open_gcm(key: bytes, sealed: bytes, place: bytes) -> bytes:
    """Raises CannotOpen."""
    if len(sealed) < _SALT + _NONCE + _TAG:
        raise CannotOpen(WRONG)
    try:
        own = AESGCM(derived(key, sealed[:_SALT], len(key)))
        return own.decrypt(sealed[_SALT : _SALT + _NONCE], sealed[_SALT + _NONCE :], place)
    except InvalidTag:
        raise CannotOpen(WRONG) from None


@final
class AESGCMCipher:
    def __init__(self, key: NamedKey) -> None:
        self.prefix = b"%baesgcm:v1:%b:" % (MARK, key.name.encode())
        self._key = bytes(key.secret)

    def seal(self, body: bytes, place: bytes) -> bytes:
        return self.prefix + seal_gcm(self._key, body, place)

    def open(self, stored: bytes, place: bytes) -> bytes:
        return open_gcm(self._key, stored[len(self.prefix) :], place)


@final
class AESCBCCipher:
    """AES-CBC, then HMAC-SHA256 over all of it and the place; both keys come of the one in the file."""

    def __init__(self, key: NamedKey) -> None:
        self.prefix = b"%baescbc:v1:%b:" % (MARK, key.name.encode())
        self._aes = AES(derived(key.secret, b"kafila aescbc encryption", len(key.secret)))
        self._mac = derived(key.secret, b"kafila aescbc authentication", _MAC)

    def seal(self, body: bytes, place: bytes) -> bytes:
        start = os.urandom(_BLOCK)
        padder, writer = padding.PKCS7(8 * _BLOCK).padder(), Block(self._aes, CBC(start)).encryptor()
        text = writer.update(padder.update(body) + padder.finalize()) + writer.finalize()
        return b"".join((self.prefix, start, text, self._tag(start + text, place)))

    def open(self, stored: bytes, place: bytes) -> bytes:
        sealed, tag = stored[len(self.prefix) : -_MAC], stored[-_MAC:]
        if len(stored) < len(self.prefix) + 2 * _BLOCK + _MAC or len(sealed) % _BLOCK:
            raise CannotOpen("the stored data was shorter than the required size")
        if not hmac.compare_digest(tag, self._tag(sealed, place)):
            raise CannotOpen(WRONG)
        reader, unpadder = Block(self._aes, CBC(sealed[:_BLOCK])).decryptor(), padding.PKCS7(8 * _BLOCK).unpadder()
        text = reader.update(sealed[_BLOCK:]) + reader.finalize()
        return unpadder.update(text) + unpadder.finalize()

    def _tag(self, sealed: bytes, place: bytes) -> bytes:
        return hmac.digest(self._mac, len(place).to_bytes(4) + place + sealed, "sha256")


@final
class SecretboxCipher:
    """XSalsa20 and Poly1305. It authenticates nothing beside the text, so that the place is the beginning of it."""

    def __init__(self, key: NamedKey) -> None:
        from nacl import bindings  # libsodium is loaded only where it is used
        from nacl.exceptions import CryptoError

        self.prefix = b"%bsecretbox:v1:%b:" % (MARK, key.name.encode())
        self._key = bytes(key.secret)
        self._nacl: Any = bindings
        self._wrong = CryptoError

    def seal(self, body: bytes, place: bytes) -> bytes:
        nonce = os.urandom(self._nacl.crypto_secretbox_NONCEBYTES)
        text = b"".join((len(place).to_bytes(4), place, body))
        return self.prefix + nonce + self._nacl.crypto_secretbox(text, nonce, self._key)

    def open(self, stored: bytes, place: bytes) -> bytes:
        size = self._nacl.crypto_secretbox_NONCEBYTES
        sealed = stored[len(self.prefix) :]
        try:
            text: bytes = self._nacl.crypto_secretbox_open(sealed[size:], sealed[:size], self._key)
        except (self._wrong, ValueError):
            raise CannotOpen(WRONG) from None
        head = len(place).to_bytes(4) + place
        if not text.startswith(head):
            raise CannotOpen(WRONG)
        return text[len(head) :]


_CIPHERS: Final[dict[str, Any]] = {"aesgcm": AESGCMCipher, "aescbc": AESCBCCipher, "secretbox": SecretboxCipher}


def ciphers_of(provider: Local) -> list[Cipher]:
    """One for each key, in the file's order."""
    return [_CIPHERS[provider.algorithm](key) for key in provider.keys]
