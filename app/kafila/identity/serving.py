"""Serving certificates of the user's own: what their files must have, and which of them a client is shown by the name it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from .certificates import KeyPair


class Named(NamedTuple):
    """A key pair, and the names that it was given for; none: those that its certificate has."""

    pair: KeyPair
    domains: tuple[str, ...] = ()


def check_pair(certificate: bytes, key: bytes, now: datetime) -> KeyPair:
    """What can be served now. Raises ValueError, which begins with what is wrong: the certificate or the key."""
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
    except ValueError as error:
        raise ValueError(f"the certificate cannot be read as PEM: {error}") from None
    try:
        private = serialization.load_pem_private_key(key, None)
    except TypeError:
        raise ValueError("the private key is encrypted: give one without a password") from None
    except ValueError as error:
        raise ValueError(f"the private key cannot be read as PEM: {error}") from None
    if _spki(private.public_key()) != _spki(leaf.public_key()):
        raise ValueError("the private key does not belong to the certificate")
    if leaf.not_valid_after_utc <= now:
        raise ValueError(
            f"the certificate has expired: it was valid until {leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
        )
    return KeyPair(certificate, key)


def _spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]


def names_of(certificate: bytes) -> list[str]:
    """The names that a certificate (PEM) answers to, as kube-apiserver takes them: common name, DNS names, addresses."""
    leaf = x509.load_pem_x509_certificates(certificate)[0]
    found = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        others = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return found
    found += others.get_values_for_type(x509.DNSName)
    return found + [str(address) for address in others.get_values_for_type(x509.IPAddress)]


def by_name(certificates: Sequence[Named]) -> dict[str, KeyPair]:
    """Names that were given count more than names of certificates, and what was given first more than what came later."""
    found: dict[str, KeyPair] = {}
    given = ((domain, named.pair) for named in certificates for domain in named.domains)
    own = ((n, named.pair) for named in certificates if not named.domains for n in names_of(named.pair.certificate))
    for name, pair in (*given, *own):
        found.setdefault(name.lower(), pair)
    return found


def chosen(named: Mapping[str, KeyPair], name: str) -> KeyPair | None:
    """The one for the name that a client asks for. A wildcard stands for the first label, and counts less than the name."""
    name = name.lower().rstrip(".")
    return named.get(name) or named.get(f"*.{name.partition('.')[2]}")


def ends(certificate: bytes) -> datetime:
    """When the first of a chain (PEM) to end does: it is of no use from then on."""
    return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(certificate))


def first_of(certificate: bytes) -> bytes:
    """The first certificate (PEM) of a chain, without those that it was signed by."""
    return x509.load_pem_x509_certificates(certificate)[0].public_bytes(Encoding.PEM)


def is_due(certificate: bytes, now: datetime, share: float) -> bool:
    """Whether so much of its life is over."""
    leaf = x509.load_pem_x509_certificates(certificate)[0]
    begins, ends_at = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    return now >= begins + share * (ends_at - begins)
