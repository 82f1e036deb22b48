"""Certificate authorities that are believed: who may sign clients' certificates, and who those of proxies in front of us.

The TLS layer only ever learns of more of them; what is believed is looked up with each request, so that one that was taken
away counts for nothing, also on connections that are open.
"""

from __future__ import annotations

from typing import final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


@final
class Authorities:
    """``own``: PEM of authorities that are believed beside those of a file."""

    def __init__(self, own: bytes = b"") -> None:
        self._others: frozenset[bytes] = frozenset()
        self.replace_own(own)

    def __call__(self) -> frozenset[bytes]:
        return self._der

    def replace(self, pem: bytes) -> None:
        """Those of a file, beside our own. Raises ValueError, and leaves all as it was."""
        self._others = frozenset(read_authorities(pem))
        self._der = self._own | self._others

    def replace_own(self, pem: bytes) -> None:
        self._own = frozenset(read_authorities(pem)) if pem else frozenset()
        self._der = self._own | self._others


def read_authorities(pem: bytes) -> list[bytes]:
    """DER of each certificate. Raises ValueError when there is none, or one that cannot be read."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ValueError(f"has no certificates in PEM form: {error}") from None
    return [certificate.public_bytes(Encoding.DER) for certificate in found]
