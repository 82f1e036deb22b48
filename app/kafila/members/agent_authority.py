"""The control plane's CA as an agent knows it, and as the control plane says it: during ``kafila certs rotate-ca`` both are believed,
and afterwards only the new one, so that an agent has to follow in between.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kafila.core import bootstrap_tokens as tokens
from kafila.core.errors import StatusError
from kafila.machinery import yaml

from .client import resource_path
from .kubeconfig import Access
from .transport import TLS, Unreachable

_OURS: Final = "kafila-ca"  # begins the names of all CAs that a control plane makes
_PATH: Final = resource_path("v1", "configmaps", tokens.CLUSTER_INFO_NAMESPACE, tokens.CLUSTER_INFO)


def authority_in(cluster_info: str) -> bytes:
    """PEM of what is believed, the one that signs first. Raises ValueError."""
    try:
        found, _ = yaml.load(cluster_info.encode())
        (cluster,) = found["clusters"]
        authority = base64.b64decode(cluster["cluster"]["certificate-authority-data"])
        x509.load_pem_x509_certificates(authority)
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    return authority


async def told(plane: Access) -> bytes:
    """What the control plane says of it, to whom it has proved itself by what is believed already. b"" where it says nothing."""
    client = plane.anonymous().client("control plane")
    try:
        data = ((await client.find(_PATH)) or {}).get("data") or {}
        return authority_in(str(data.get(tokens.KUBECONFIG)))
    except (StatusError, Unreachable, ValueError):
        return b""
    finally:
        await client.close()


def followed(own: bytes, told: bytes) -> bytes:
    """What to believe after the control plane has said it: also what others have added to ``own``. A control plane that is believed by other
    CAs only, such as one behind a certificate of its owner's, changes nothing."""
    mine, theirs = _certificates(own), _certificates(told)
    if not set(mine) & set(theirs):
        return own
    added = [each for each in mine if each not in theirs and not _is_ours(each)]
    return b"".join(map(_pem, [*theirs, *added]))


def is_current(tls: TLS, told: bytes) -> bool:
    """Whether who has this will be believed, and believe the control plane, after a rotation too."""
    return _certificates(followed(tls.authority, told)) == _certificates(tls.authority) and is_believed(tls, told)


def is_believed(tls: TLS, told: bytes) -> bool:
    """Whether the control plane will believe it after a rotation too."""
    issuer = x509.load_pem_x509_certificate(tls.certificate).issuer
    return all(previous.subject != issuer for previous in _certificates(told)[1:])


def _certificates(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem) if pem.strip() else []


def _is_ours(certificate: x509.Certificate) -> bool:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(str(name.value).startswith(_OURS) for name in names)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
