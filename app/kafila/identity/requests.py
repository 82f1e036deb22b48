"""Certificate signing requests: what each signer of Kubernetes signs, and the signature (k8s.io/kubernetes/pkg/controller/certificates)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from kafila.core import agents

from .certificates import BACKDATE, KeyPair, name_of, private_key

CLIENT: Final = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT: Final = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING: Final = "kubernetes.io/kubelet-serving"
SHORTEST: Final = timedelta(minutes=10)
REGISTERING: Final = timedelta(hours=1)  # longer than any registration
SHORT: Final = timedelta(hours=8)  # of which the backdating would be much
_NODES: Final = ["system:nodes"]
_NODE: Final = "system:node:"
_KEY_USAGES: Final = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
# in the order of Go's constants, in which they stand in a certificate
_EXTENDED: Final = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec end system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft sgc": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": ObjectIdentifier("2.16.840.1.113730.4.1"),
}
_NAMES: Final = (
    (x509.DNSName, "DNS subjectAltNames are not allowed"),
    (x509.RFC822Name, "Email subjectAltNames are not allowed"),
    (x509.IPAddress, "IP subjectAltNames are not allowed"),
    (x509.UniformResourceIdentifier, "URI subjectAltNames are not allowed"),
)


class NotSigned(Exception):
    """Why a signer refuses a request, in Kubernetes' words."""


def read(pem: bytes) -> x509.CertificateSigningRequest:
    """Raises ValueError."""
    return x509.load_pem_x509_csr(pem)


def common_name(request: x509.CertificateSigningRequest) -> str:
    return name_of(request.subject)


def organizations(request: x509.CertificateSigningRequest) -> list[str]:
    return [str(found.value) for found in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def _alternative_names(request: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    try:
        return request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _check_one_name(request: x509.CertificateSigningRequest) -> None:
    """Raises NotSigned where one reader could find another name than the next."""
    if len(request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)) > 1:
        raise NotSigned("subject has more than one common name")


def _check_names(request: x509.CertificateSigningRequest, allowed: Collection[type] = ()) -> None:
    """Raises NotSigned for a name of another kind than ``allowed``."""
    names = _alternative_names(request) or ()
    for kind, refusal in _NAMES:
        if kind not in allowed and any(isinstance(name, kind) for name in names):
            raise NotSigned(refusal)


def _check_usages(usages: Sequence[str], needed: str) -> None:
    """Raises NotSigned for others than those that a signer gives; without key encipherment for keys that cannot do that."""
    least = {"digital signature", needed}
    if set(usages) not in (least, least | {"key encipherment"}):
        shown = " ".join(sorted(least | {"key encipherment"}))
        raise NotSigned(f"usages did not match [{shown}]")


def _check_client(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> None:
    for usage in usages:
        if usage not in ("digital signature", "key encipherment", "client auth"):
            raise NotSigned(f"invalid usage for client certificate: {usage}")
    if "client auth" not in usages:
        raise NotSigned("missing required usage for client certificate: client auth")


def _check_kubelet_client(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> None:
    if organizations(request) != _NODES:
        raise NotSigned("subject organization is not system:nodes")
    _check_names(request)
    _check_one_name(request)
    if not common_name(request).startswith(_NODE):
        raise NotSigned(f"subject common name does not begin with {_NODE}")
    _check_usages(usages, "client auth")


def _check_kubelet_serving(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> None:
    if organizations(request) != _NODES:
        raise NotSigned("subject organization is not system:nodes")
    allowed = (x509.DNSName, x509.IPAddress)
    if not any(isinstance(name, allowed) for name in _alternative_names(request) or ()):
        raise NotSigned("DNS or IP subjectAltName is required")
    _check_names(request, allowed)
    _check_usages(usages, "server auth")
    _check_one_name(request)
    if not common_name(request).startswith(_NODE):
        raise NotSigned(f"subject common name does not begin with {_NODE}")


# signer -> raises NotSigned for a request that is none for it
SIGNERS: Final[dict[str, Callable[[x509.CertificateSigningRequest, Sequence[str]], None]]] = {
    CLIENT: _check_client,
    KUBELET_CLIENT: _check_kubelet_client,
    KUBELET_SERVING: _check_kubelet_serving,
}


def check_agent(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> None:
    """Raises NotSigned for what no agent of a member cluster would ask for (Karmada's agentcsrapproving controller)."""
    if organizations(request) != [agents.GROUP]:
        raise NotSigned(f"subject organization is not {agents.GROUP}")
    _check_names(request)
    _check_one_name(request)
    if not common_name(request).startswith(agents.PREFIX):
        raise NotSigned(f"subject common name does not begin with {agents.PREFIX} prefix")
    _check_usages(usages, "client auth")


def signed(
    request: x509.CertificateSigningRequest,
    usages: Sequence[str],
    lifetime: timedelta,
    authority: KeyPair,
    now: datetime,
) -> bytes:
    """PEM of the certificate; it ends with the authority at the latest. Raises NotSigned."""
    ca = x509.load_pem_x509_certificate(authority.certificate)
    if not request.is_signature_valid:
        raise NotSigned("unable to verify certificate request signature")
    _check_one_name(request)
    if now >= ca.not_valid_after_utc:
        text = f"refusing to sign a certificate that expired in the past: NotAfter={ca.not_valid_after_utc}"
        raise NotSigned(text)
    ends = now + (lifetime if lifetime < SHORT else lifetime - BACKDATE)
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(ca.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(min(ends, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    simple = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
    if simple:
        flags = {name: name in simple for name in _KEY_USAGES.values()}
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    extended = [oid for usage, oid in _EXTENDED.items() if usage in usages]
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(dict.fromkeys(extended))), critical=False)
    names = _alternative_names(request)
    if names is not None:
        builder = builder.add_extension(names, critical=not list(request.subject))
    certificate = builder.sign(private_key(authority), hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


def lifetime_of(seconds: int | None, longest: timedelta, subject: str = "") -> timedelta:
    """What a request of ``subject`` gets that asks for so many seconds. Who registers a cluster is done soon."""
    if subject == agents.GENERATOR:
        longest = min(longest, REGISTERING)
    return longest if seconds is None else max(SHORTEST, min(timedelta(seconds=seconds), longest))
