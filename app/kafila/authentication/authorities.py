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
    """``own``: PEM of authorities that are always believed."""

    def __init__(self, own: bytes = b"") -> None:
        self._own = frozenset(read_authorities(own)) if own else frozenset()
        self._der = self._own

    def __call__(self) -> frozenset[bytes]:
        return self._der

    def replace(self, pem: bytes) -> None:
        """Those of a file, beside our own. Raises ValueError, and leaves all as it was."""
        self._der = self._own | frozenset(read_authorities(pem))


def read_authorities(pem: bytes) -> list[bytes]:
    """DER of each certificate. Raises ValueError when there is none, or one that cannot be read."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ValueError(f"has no certificates in PEM form: {error}") from None
    return [certificate.public_bytes(Encoding.DER) for certificate in found]
