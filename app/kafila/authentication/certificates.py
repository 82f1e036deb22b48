"""Users from client certificates: CN is the name, O the groups (Kubernetes' x509 authenticator)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from kafila.identity.certificates import name_of
from kafila.registry import User

from .credentials import Credentials, RequestAuthenticator
from .users import AUTHENTICATED, CREDENTIAL, InvalidCredential, fits_header

UID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")


@lru_cache(maxsize=1024)
def _life(der: bytes) -> tuple[float, float]:
    """When it begins and ends, in seconds since the epoch; never, where that cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:  # OpenSSL is less strict
        return 0.0, 0.0
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()


def check_life(chain: Iterable[bytes], now: float) -> None:
    """Of certificates (DER) that the TLS layer has verified, but for the time, as in Go with those above them. Raises InvalidCredential."""
    for begins, ends in map(_life, chain):
        if not begins <= now <= ends:
            raise InvalidCredential("x509: certificate has expired or is not yet valid")


@lru_cache(maxsize=1024)
def user_of(der: bytes) -> User | None:
    """None for a certificate that names nobody, or whose names cannot be passed on."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        subject = certificate.subject
    except ValueError:  # OpenSSL is less strict
        return None
    name = name_of(subject)
    groups = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    uids = [str(a.value) for a in subject.get_attributes_for_oid(UID)]
    if not name or len(uids) > 1 or not fits_header(name, *groups, *uids):
        return None
    known = [] if AUTHENTICATED in groups else [AUTHENTICATED]
    extra = ((CREDENTIAL, (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)),)
    return User(name, (*groups, *known), uids[0] if uids else "", extra)


def client_certificates(authorities: Callable[[], frozenset[bytes]] | None = None) -> RequestAuthenticator:
    """``authorities``: DER of those that may say who a client is, as of now: one that is taken away is believed no longer,
    also on connections that are open. None: all that the TLS layer knows."""

    def authenticate(credentials: Credentials) -> User | None:
        peer = credentials.peer
        if peer is None:
            return None
        if authorities is not None and authorities().isdisjoint(peer.chain):
            raise InvalidCredential("x509: certificate signed by unknown authority")
        user = user_of(peer.certificate)
        if user is None:  # it names nobody, and whoever shows it does not mean to be nobody
            raise InvalidCredential("x509: subject without a usable common name")
        check_life(peer.chain or (peer.certificate,), time.time())
        return user

    return authenticate
