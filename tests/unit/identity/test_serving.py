"""Serving certificates of the user's own: what is refused, and which one a name gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization

from kafila.identity.certificates import KeyPair, issue, new_authority
from kafila.identity.serving import Named, by_name, check_pair, chosen, ends, is_due, names_of

CA = new_authority("ca")
NOW = datetime.now(UTC)
ONE, TWO = (issue(CA, "x", hosts=["a.example.org", "*.b.example.org", "10.0.0.1"]) for _ in range(2))


def encrypted(pair: KeyPair) -> bytes:
    key = serialization.load_pem_private_key(pair.key, None)
    form, how = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    return key.private_bytes(serialization.Encoding.PEM, form, how)


def test_a_pair_that_fits_is_served() -> None:
    assert check_pair(ONE.certificate + CA.certificate, ONE.key, NOW).key == ONE.key


@pytest.mark.parametrize(
    ("certificate", "key", "later", "reason"),
    [
        (b"", ONE.key, 0, "the certificate cannot be read as PEM"),
        (ONE.certificate, b"nothing", 0, "the private key cannot be read as PEM"),
        (ONE.certificate, encrypted(ONE), 0, "the private key is encrypted: give one without a password"),
        (ONE.certificate, TWO.key, 0, "the private key does not belong to the certificate"),
        (CA.certificate + ONE.certificate, ONE.key, 0, "the private key does not belong to the certificate"),
        (ONE.certificate, ONE.key, 366, "the certificate has expired: it was valid until "),
    ],
)
def test_what_cannot_be_served(certificate: bytes, key: bytes, later: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_pair(certificate, key, NOW + timedelta(days=later))


def test_names_that_are_given_count_more_than_those_of_certificates() -> None:
    assert names_of(ONE.certificate) == ["x", "a.example.org", "*.b.example.org", "10.0.0.1"]
    named = by_name([Named(ONE), Named(TWO, ("A.example.org", "*.example.org")), Named(ONE, ("a.example.org",))])
    found = {
        name: chosen(named, name)
        for name in ("a.example.org", "c.b.example.org", "z.EXAMPLE.org.", "d.c.b.example.org")
    }
    assert found == {"a.example.org": TWO, "c.b.example.org": ONE, "z.EXAMPLE.org.": TWO, "d.c.b.example.org": None}


def test_a_certificate_is_due_when_so_much_of_its_life_is_over() -> None:
    pair = issue(CA, "x", lifetime=timedelta(days=100), now=NOW)
    assert [is_due(pair.certificate, NOW + timedelta(days=days), 0.8) for days in (0, 79, 81, 200)] == [
        False,
        False,
        True,
        True,
    ]


def test_a_chain_ends_with_the_first_of_it() -> None:
    assert ends(CA.certificate + ONE.certificate) == ends(ONE.certificate) < ends(CA.certificate)
