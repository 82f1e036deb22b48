"""Users from client certificates: CN is the name, O the groups (Kubernetes' x509 authenticator)."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

AUTHENTICATED = "system:authenticated"


@lru_cache(maxsize=1024)
def user_of(der: bytes) -> tuple[str, tuple[str, ...], str]:
    """``(name, groups, credential id)`` of a verified leaf certificate. The TLS layer has checked its chain and dates.

    The name is empty when the subject has none, or cannot be read.
    """
    try:
        subject = x509.load_der_x509_certificate(der).subject
    except ValueError:  # OpenSSL is less strict
        subject = x509.Name([])
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return (
        (str(names[0].value) if names else ""),
        (*groups, AUTHENTICATED),
        f"X509SHA256={hashlib.sha256(der).hexdigest()}",
    )
