"""Tokens of service accounts: signed, verified, bound to the account's uid, and to another object where that is asked for."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kafila.core.names import new_uid

from .certificates import KeyPair

ISSUER = "https://kubernetes.default.svc.cluster.local"
ALGORITHM = "RS256"
BINDING = ("pod", "secret", "node")  # claims below kubernetes.io


class Bound(NamedTuple):
    """An object that a token speaks of, and mostly shall not outlive."""

    kind: str  # pod, secret or node
    name: str
    uid: str


class Claims(NamedTuple):
    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...]
    id: str = ""
    bound: tuple[Bound, ...] = ()


@final
class Tokens:
    def __init__(self, keys: KeyPair, issuer: str = ISSUER) -> None:
        self.issuer = issuer
        self._private = keys.key
        self._public = serialization.load_pem_public_key(keys.certificate)
        der = self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._key_id = _base64(hashlib.sha256(der).digest())

    @property
    def audiences(self) -> tuple[str, ...]:
        """What a token for this API server is meant for."""
        return (self.issuer,)

    def key_set(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set, for those who verify tokens elsewhere (OpenID Connect discovery)."""
        assert isinstance(self._public, RSAPublicKey)
        numbers = self._public.public_numbers()
        key = {"use": "sig", "kty": "RSA", "kid": self._key_id, "alg": ALGORITHM}
        return {"keys": [key | {"n": _number(numbers.n), "e": _number(numbers.e)}]}

    def issue(
        self,
        namespace: str,
        name: str,
        uid: str,
        audiences: Sequence[str],
        seconds: int,
        bound: dict[str, Any] | None = None,
    ) -> tuple[str, int]:
        """The token and when it ends (seconds since the epoch). ``bound``: more claims below ``kubernetes.io``."""
        now = int(time.time())
        private = {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}, **(bound or {})}
        claims = {
            "aud": list(audiences) or list(self.audiences),
            "exp": now + seconds,
            "iat": now,
            "iss": self.issuer,
            "jti": new_uid(),
            "kubernetes.io": private,
            "nbf": now,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        return jwt.encode(claims, self._private, ALGORITHM, headers={"kid": self._key_id}), now + seconds

    def verify(self, token: str, audiences: Sequence[str] = ()) -> Claims | None:
        """What a token says, None unless we signed it, it has not ended and is meant for one of ``audiences`` (by
        default this API server)."""
        try:
            claims = jwt.decode(
                token,
                self._public,  # type: ignore[arg-type]
                [ALGORITHM],
                audience=list(audiences) or list(self.audiences),
                issuer=self.issuer,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            private = claims["kubernetes.io"]
            account = private["serviceaccount"]
            given = claims["aud"]
            audience = (given,) if isinstance(given, str) else tuple(given)
            bound = tuple(
                Bound(kind, private[kind]["name"], private[kind]["uid"]) for kind in BINDING if kind in private
            )
            told = private["namespace"], account["name"], account["uid"], audience
            return Claims(*told, claims.get("jti") or "", bound)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError):
            return None


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
