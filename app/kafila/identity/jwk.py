"""Public keys that verify JSON Web Tokens: read from PEM or from a key set, and which algorithm each is for.

A key decides about its algorithm, never a token: what is signed with a public key as if it were a password is not believed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_CURVES: Final = {"secp256r1": ("ES256", "P-256"), "secp384r1": ("ES384", "P-384"), "secp521r1": ("ES512", "P-521")}
SMALLEST_RSA, LARGEST_RSA = 1024, 8192  # bits; larger ones take long to verify with


class PublicKey(NamedTuple):
    id: str  # hash of the key, as kube-apiserver names it
    algorithm: str
    key: RSAPublicKey | EllipticCurvePublicKey
    jwk: dict[str, Any]


def public_keys(pem: bytes) -> list[PublicKey]:
    """The keys of a file with public keys, private keys or certificates. Raises ValueError when there is none."""
    found = [_of(_read(block.group(1), block.group(0))) for block in _BLOCK.finditer(pem)]
    if not found:
        raise ValueError("has no key in PEM form")
    return found


def _read(label: bytes, block: bytes) -> Any:
    try:
        if label == b"CERTIFICATE":
            return x509.load_pem_x509_certificate(block).public_key()
        if label.endswith(b"PRIVATE KEY"):
            return serialization.load_pem_private_key(block, None).public_key()
        return serialization.load_pem_public_key(block)
    except (ValueError, TypeError) as error:
        raise ValueError(f"has a key that cannot be read: {error}") from None


def _of(key: Any) -> PublicKey:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    name = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    algorithm = algorithm_of(key)
    body: dict[str, Any]
    if isinstance(key, RSAPublicKey):
        said = RSAAlgorithm.to_jwk(key, as_dict=True)
        body = {"n": said["n"], "e": said["e"]}
        kind = "RSA"
    else:
        said = ECAlgorithm.to_jwk(key, as_dict=True)
        body = {"crv": said["crv"], "x": said["x"], "y": said["y"]}
        kind = "EC"
    return PublicKey(name, algorithm, key, {"use": "sig", "kty": kind, "kid": name, "alg": algorithm, **body})


def algorithm_of(key: Any) -> str:
    """Raises ValueError for a key that no token is verified with."""
    if isinstance(key, RSAPublicKey):
        if not SMALLEST_RSA <= key.key_size <= LARGEST_RSA:
            raise ValueError(f"has an RSA key of {key.key_size} bits: must have {SMALLEST_RSA} to {LARGEST_RSA}")
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name][0]
    raise ValueError("has a key that is neither RSA nor on the curves P-256, P-384, P-521")


def key_set(document: Any) -> dict[str, list[Any]]:
    """The usable signature keys of a JSON Web Key Set, by their id. Raises ValueError for what is none."""
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("is no JSON Web Key Set")
    found: dict[str, list[Any]] = {}
    for said in _usable(document["keys"]):
        try:
            key = jwt.PyJWK.from_dict(said, said.get("alg") or None).key
            algorithm_of(key)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue  # of a kind that is not known here; others may do
        found.setdefault(str(said.get("kid") or ""), []).append(key)
    return found


def _usable(keys: Iterable[Any]) -> list[dict[str, Any]]:
    kinds = ("RSA", "EC")
    return [k for k in keys if isinstance(k, dict) and k.get("kty") in kinds and k.get("use", "sig") == "sig"]
