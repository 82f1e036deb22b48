"""What each signer signs, and what comes of it. The certificates are compared with kube-controller-manager's in tests/clusters."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kafila.identity.certificates import new_authority
from kafila.identity.requests import (
    CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    SIGNERS,
    NotSigned,
    check_agent,
    lifetime_of,
    signed,
)

NOW = datetime(2026, 11, 30, tzinfo=UTC)
AUTHORITY = new_authority("ca", NOW)
KEY = ec.generate_private_key(ec.SECP256R1())
CLIENT_USAGES = ("digital signature", "key encipherment", "client auth")
SERVER_USAGES = ("digital signature", "server auth")
DNS, IP = x509.DNSName("node.example"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))


def request(name: str = "system:node:n", groups: Any = ("system:nodes",), *names: x509.GeneralName) -> Any:
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject += [x509.NameAttribute(NameOID.COMMON_NAME, each) for each in name.split(",")]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256())


@pytest.mark.parametrize(
    ("signer", "asked", "usages", "why"),
    [
        (CLIENT, request("ann", ("team",)), CLIENT_USAGES, ""),
        (CLIENT, request("ann", ("team",), DNS), ("client auth",), ""),
        (
            CLIENT,
            request("ann"),
            ("digital signature",),
            "missing required usage for client certificate: client auth",
        ),
        (CLIENT, request("ann"), (*CLIENT_USAGES, "server auth"), "invalid usage for client certificate: server auth"),
        (KUBELET_CLIENT, request(), CLIENT_USAGES, ""),
        (KUBELET_CLIENT, request(groups=("other",)), CLIENT_USAGES, "subject organization is not system:nodes"),
        (KUBELET_CLIENT, request("n"), CLIENT_USAGES, "subject common name does not begin with system:node:"),
        (
            KUBELET_CLIENT,
            request("system:node:n", ("system:nodes",), DNS),
            CLIENT_USAGES,
            "DNS subjectAltNames are not allowed",
        ),
        (
            KUBELET_CLIENT,
            request(),
            ("client auth",),
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (KUBELET_CLIENT, request("ann,system:node:n"), CLIENT_USAGES, "subject has more than one common name"),
        (KUBELET_SERVING, request("system:node:n", ("system:nodes",), DNS, IP), SERVER_USAGES, ""),
        (KUBELET_SERVING, request(), SERVER_USAGES, "DNS or IP subjectAltName is required"),
        (
            KUBELET_SERVING,
            request("system:node:n", ("system:nodes",), DNS, x509.RFC822Name("a@b.example")),
            SERVER_USAGES,
            "Email subjectAltNames are not allowed",
        ),
        (
            KUBELET_SERVING,
            request("system:node:n", ("system:nodes",), DNS),
            CLIENT_USAGES,
            "usages did not match [digital signature key encipherment server auth]",
        ),
    ],
)
def test_signers(signer: str, asked: Any, usages: tuple[str, ...], why: str) -> None:
    if not why:
        SIGNERS[signer](asked, usages)
        return
    with pytest.raises(NotSigned) as refused:
        SIGNERS[signer](asked, usages)
    assert str(refused.value) == why


AGENT = "system:karmada:agent:member1"


@pytest.mark.parametrize(
    ("asked", "usages", "why"),
    [
        (request(AGENT, ("system:karmada:agents",)), CLIENT_USAGES, ""),
        (request(AGENT, ("system:karmada:agents",)), ("digital signature", "client auth"), ""),
        (request(AGENT, ("system:karmada:agents", "x")), CLIENT_USAGES, "organization"),
        (request("member1", ("system:karmada:agents",)), CLIENT_USAGES, "common name"),
        (
            request(f"system:kube-controller-manager,{AGENT}", ("system:karmada:agents",)),
            CLIENT_USAGES,
            "more than one",
        ),
        (request(AGENT, ("system:karmada:agents",), IP), CLIENT_USAGES, "IP subjectAltNames"),
        (request(AGENT, ("system:karmada:agents",)), (*CLIENT_USAGES, "server auth"), "usages did not match"),
    ],
)
def test_agents(asked: Any, usages: tuple[str, ...], why: str) -> None:
    if not why:
        check_agent(asked, usages)
        return
    with pytest.raises(NotSigned, match=why):
        check_agent(asked, usages)


def test_what_is_signed() -> None:
    asked = request("system:node:n", ("system:nodes",), DNS, IP)
    found = x509.load_pem_x509_certificate(
        signed(asked, ("server auth", "digital signature"), timedelta(hours=1), AUTHORITY, NOW)
    )
    found.verify_directly_issued_by(x509.load_pem_x509_certificate(AUTHORITY.certificate))
    assert found.subject == asked.subject
    assert found.public_key() == KEY.public_key()
    assert found.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert found.not_valid_after_utc == NOW + timedelta(hours=1)
    assert list(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == [DNS, IP]
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, False, False)
    extended = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_nobody_is_given_two_names() -> None:
    with pytest.raises(NotSigned, match="more than one common name"):
        signed(request("ann,system:kube-controller-manager"), CLIENT_USAGES, timedelta(hours=1), AUTHORITY, NOW)


def test_it_ends_with_the_authority() -> None:
    authority = x509.load_pem_x509_certificate(AUTHORITY.certificate)
    found = signed(request(), CLIENT_USAGES, timedelta(days=100_000), AUTHORITY, NOW)
    assert x509.load_pem_x509_certificate(found).not_valid_after_utc == authority.not_valid_after_utc
    with pytest.raises(NotSigned, match="expired in the past"):
        signed(request(), CLIENT_USAGES, timedelta(days=1), AUTHORITY, authority.not_valid_after_utc)


@pytest.mark.parametrize(
    ("seconds", "lifetime"),
    [
        (None, timedelta(days=365)),
        (1, timedelta(minutes=10)),
        (7200, timedelta(hours=2)),
        (1 << 31, timedelta(days=365)),
    ],
)
def test_lifetimes(seconds: int | None, lifetime: timedelta) -> None:
    assert lifetime_of(seconds, timedelta(days=365)) == lifetime
