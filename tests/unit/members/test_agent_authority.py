"""An agent follows its control plane from one CA to the next, and believes nobody whom nobody has vouched for."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kafila.members.agent_authority import authority_in, followed, is_believed, is_current
from kafila.members.transport import TLS


class Signer(NamedTuple):
    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    pem: bytes

    def signed(self) -> bytes:
        """A client's certificate."""
        return certificate(x509.Name([]), self.name, self.key)


def certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> bytes:
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(hours=1))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def signer(common_name: str) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return Signer(key, name, certificate(name, name, key))


OLD, NEW, OTHER, FALSE = signer("kafila-ca"), signer("kafila-ca@2"), signer("example.org"), signer("kafila-ca")


@pytest.mark.parametrize(
    ("own", "told", "then"),
    [
        (OLD.pem, OLD.pem, OLD.pem),
        (OLD.pem, NEW.pem + OLD.pem, NEW.pem + OLD.pem),
        (NEW.pem + OLD.pem, NEW.pem, NEW.pem),  # the overlap is over
        (NEW.pem + OLD.pem, OLD.pem + NEW.pem, OLD.pem + NEW.pem),  # rolled back
        (OLD.pem + OTHER.pem, NEW.pem + OLD.pem, NEW.pem + OLD.pem + OTHER.pem),  # somebody's own stays
        (OTHER.pem, NEW.pem + OLD.pem, OTHER.pem),  # the control plane shows a certificate of its owner's
        (OLD.pem, FALSE.pem, OLD.pem),  # the same name is not the same CA
        (b"", NEW.pem + OLD.pem, b""),  # the system's roots
        (OLD.pem, b"", OLD.pem),  # it says nothing
    ],
)
def test_what_is_believed(own: bytes, told: bytes, then: bytes) -> None:
    assert followed(own, told) == then


@pytest.mark.parametrize(
    ("authority", "signs", "told", "current"),
    [
        (OLD, OLD, OLD.pem, True),
        (OLD, OLD, b"", True),
        (OLD, OLD, NEW.pem + OLD.pem, False),
        (OTHER, OLD, NEW.pem + OLD.pem, False),  # we would not be believed any more
        (OTHER, NEW, NEW.pem + OLD.pem, True),
        (OTHER, NEW, OLD.pem + NEW.pem, False),
        (OTHER, OTHER, NEW.pem + OLD.pem, True),
    ],
)
def test_whether_credentials_last(authority: Signer, signs: Signer, told: bytes, current: bool) -> None:
    assert is_current(TLS(authority.pem, signs.signed()), told) is current


@pytest.mark.parametrize(
    ("signs", "told", "believed"),
    [(OLD, OLD.pem, True), (OLD, NEW.pem + OLD.pem, False), (NEW, NEW.pem, True), (NEW, OLD.pem + NEW.pem, False)],
)
def test_whether_a_certificate_lasts_whatever_it_comes_with(signs: Signer, told: bytes, believed: bool) -> None:
    assert is_believed(TLS(OTHER.pem, signs.signed()), told) is believed
    assert is_believed(TLS(NEW.pem + OLD.pem, signs.signed()), told) is believed


def test_what_cluster_info_says() -> None:
    data = base64.b64encode(OLD.pem).decode()
    assert authority_in(f"clusters: [{{cluster: {{certificate-authority-data: {data}}}}}]") == OLD.pem
    for text in (
        "",
        "clusters: []",
        "clusters: [{cluster: {}}]",
        "clusters: [{cluster: {certificate-authority-data: eA==}}]",
        "{",
    ):
        with pytest.raises(ValueError, match=r"."):
            authority_in(text)
