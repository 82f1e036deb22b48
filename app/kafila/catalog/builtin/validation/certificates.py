"""CertificateSigningRequest."""

from __future__ import annotations

import base64
import re
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from kafila.core import names
from kafila.core.values import Object, repeats

from .common import Found, duplicate, invalid, not_supported, required

LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
_PEM = re.compile(r"^-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?\n(.*?)-----END \1-----", re.S | re.M)
_USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_is_signer_path = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.I).fullmatch


def validate_csr(obj: Object) -> Found:
    found: Found = []
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if why := _request_error(spec.get("request") or ""):
        found.append(invalid("spec.request", spec.get("request"), why))
    usages = spec.get("usages") or []
    if not usages:
        found.append(required("spec.usages"))
    for i, usage in enumerate(usages):
        if usage not in _USAGES:
            found.append(not_supported(f"spec.usages[{i}]", usage, _USAGES))
    for i, (usage, again) in enumerate(zip(usages, repeats(usages), strict=True)):
        if again:
            found.append(duplicate(f"spec.usages[{i}]", usage))
    signer = spec.get("signerName") or ""
    if signer == LEGACY_SIGNER:
        text = "the legacy signerName is not allowed via this API version"
        found.append(invalid("spec.signerName", signer, text))
    else:
        check_signer_name(signer, "spec.signerName", found)
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        found.append(
            invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 600 seconds (10 minutes)")
        )
    _check_conditions(status.get("conditions") or (), found)
    if status.get("certificate") and (why := _certificate_error(status["certificate"])):
        found.append(invalid("status.certificate", "<certificate data>", why))
    return found


def _blocks(data: str) -> list[tuple[str, bool, bytes]]:
    """Type, whether there are headers, and content of each PEM block of base64 ``data``."""
    try:
        text = base64.b64decode(data).decode("latin-1")
    except ValueError:
        return []
    out = []
    for match in _PEM.finditer(text):
        head, empty, body = match[2].rpartition("\n\n")
        try:
            out.append((match[1], bool(empty and ":" in head), base64.b64decode("".join(body.split()), validate=True)))
        except ValueError:
            continue
    return out


def _request_error(data: str) -> str:
    blocks = _blocks(data)
    if not blocks or blocks[0][0] != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        request = x509.load_der_x509_csr(blocks[0][2])
        return "" if request.is_signature_valid else "x509: the signature does not fit the request"
    except ValueError as error:
        return f"asn1: structure error: {error}"
    except UnsupportedAlgorithm:
        return "x509: cannot verify signature: algorithm unimplemented"


def organizations_of(data: str) -> list[str]:
    """The groups that a request is for; of what is no request, none."""
    blocks = _blocks(data)
    try:
        subject = x509.load_der_x509_csr(blocks[0][2]).subject if blocks else ()
    except ValueError:
        return []
    return [str(attribute.value) for attribute in subject if attribute.oid == NameOID.ORGANIZATION_NAME]


def _certificate_error(data: str) -> str:
    blocks = _blocks(data)
    for kind, headers, content in blocks:
        if kind != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{kind}"'
        if headers:
            return "no PEM block headers are permitted"
        try:
            x509.load_der_x509_certificate(content)
        except ValueError as error:
            return f"x509: malformed certificate: {error}"
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"


def _check_conditions(conditions: Any, found: Found) -> None:
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        path, kind, value = f"status.conditions[{i}]", condition.get("type") or "", condition.get("status") or ""
        if not kind:
            found.append(required(f"{path}.type"))
        allowed = ("True",) if kind in ("Approved", "Denied", "Failed") else ("False", "True", "Unknown")
        if value not in allowed:
            found.append(not_supported(f"{path}.status", value, allowed) if value else required(f"{path}.status"))
        if kind in seen:
            found.append(duplicate(f"{path}.type", kind))
        seen.add(kind)


def check_signer_name(name: str, path: str, found: Found) -> None:
    """``example.com/signer``: a domain of at least two segments, and a path."""
    if not name:
        found.append(required(path))
        return
    domain, _, rest = name.partition("/")
    if not domain or not rest or "/" in rest:
        text = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        found.append(invalid(path, name, text))
        return
    reasons = names.dns1123_subdomain(domain)
    if reasons:
        found.extend(invalid(path, domain, f"validating label {domain!r}: {why}") for why in reasons)
    elif "." not in domain:
        found.append(invalid(path, domain, "should be a domain with at least two segments separated by dots"))
    if not _is_signer_path(rest):
        for why in names.dns1123_subdomain(rest.lower()):
            found.append(invalid(path, rest, why))
