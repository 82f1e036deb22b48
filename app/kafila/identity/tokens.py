"""Tokens of service accounts: signed, verified, bound to the account's uid, and to another object where that is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, final

import jwt

from kafila.core.names import new_uid

from .certificates import KeyPair
from .jwk import PublicKey, public_keys

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
LEGACY_ISSUER: Final = "kubernetes/serviceaccount"  # of tokens in Secrets, which have no end and no audience
BINDING: Final = ("pod", "secret", "node")  # claims below kubernetes.io
LEEWAY: Final = 60.0  # seconds that clocks may differ by, as in kube-apiserver
_LEGACY: Final = "kubernetes.io/serviceaccount/"


class InvalidToken(Exception):
    """It says that it is ours, and is not valid."""


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
    ends: float = 0.0  # seconds since the epoch; 0: never
    legacy: str = ""  # name of the Secret that such a token stands in


@final
class Tokens:
    """``issuers``: the first one is written into tokens, all are believed. ``accepted``: PEM of more keys that are believed,
    so that keys can be changed without a token that ends before its time. ``audiences``: what a token for this API server is
    meant for, by default the issuers."""

    def __init__(
        self,
        keys: KeyPair,
        issuers: Sequence[str] = (ISSUER,),
        accepted: Sequence[bytes] = (),
        audiences: Sequence[str] = (),
        jwks_uri: str = "",
        longest: int = 0,
    ) -> None:
        self.issuer = issuers[0]
        self.issuers = frozenset(issuers)
        self.audiences = tuple(audiences or issuers)
        self.jwks_uri = jwks_uri  # empty: at the address that a client has asked
        self.longest = longest  # seconds that a requested token lives at most; 0: as long as asked for
        self.replace(keys, accepted)

    def replace(self, keys: KeyPair, accepted: Sequence[bytes], retired: Sequence[str] = ()) -> None:
        """From now on these sign and are believed; what else was is not any more. ``retired``: ids of keys that were ours.
        Raises ValueError, and leaves all as it was."""
        signing = public_keys(keys.certificate)[0]
        found = [signing, *(key for pem in accepted for key in public_keys(pem))]
        self._private, self._signing = keys.key, signing
        self._keys = {key.id: key for key in found}
        self._retired = frozenset(retired) - self._keys.keys()

    def is_of_retired_key(self, token: str) -> bool:
        """Whether a token was ours and is believed no longer: its key has been exchanged."""
        if not self._retired:
            return False
        said = unverified(token)
        return said is not None and said[0].get("kid") in self._retired

    @property
    def state(self) -> object:
        """Another one after each change of keys: what was found out with others does not count any more."""
        return self._keys

    @property
    def algorithms(self) -> list[str]:
        return sorted({key.algorithm for key in self._keys.values()})

    def key_set(self) -> dict[str, Any]:
        """The public keys as a JSON Web Key Set, for those who verify tokens elsewhere (OpenID Connect discovery)."""
        return {"keys": [key.jwk for key in self._keys.values()]}

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
        return self._sign(claims), now + seconds

    def issue_legacy(self, namespace: str, name: str, uid: str, secret: str) -> str:
        """A token that stands in a Secret, and is valid as long as it stands there."""
        claims = {
            "iss": LEGACY_ISSUER,
            f"{_LEGACY}namespace": namespace,
            f"{_LEGACY}secret.name": secret,
            f"{_LEGACY}service-account.name": name,
            f"{_LEGACY}service-account.uid": uid,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        return self._sign(claims)

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._private, self._signing.algorithm, headers={"kid": self._signing.id})

    def verify(self, token: str, audiences: Sequence[str] = ()) -> Claims | None:
        """What a token says that is meant for one of ``audiences`` (by default this API server); None for one that somebody
        else has made. Raises InvalidToken."""
        said = unverified(token)
        if said is None or said[1].get("iss") not in (*self.issuers, LEGACY_ISSUER):
            return None
        legacy = said[1]["iss"] == LEGACY_ISSUER
        claims = self._decoded(token, said[0], legacy)
        try:
            found = _legacy_claims(claims, self.audiences) if legacy else _bound_claims(claims)
        except (KeyError, TypeError, ValueError):
            raise InvalidToken("the token has not the claims of a service account's") from None
        wanted = tuple(audiences or self.audiences)
        if not set(wanted).intersection(found.audiences):
            raise InvalidToken(
                f"token audiences {_listed(found.audiences)} is invalid for the target audiences {_listed(wanted)}"
            )
        return found

    def _decoded(self, token: str, header: dict[str, Any], legacy: bool) -> dict[str, Any]:
        """The claims, by the first key that has signed them. Raises InvalidToken."""
        for key in self._candidates(header):
            try:
                return jwt.decode(
                    token,
                    key.key,
                    [key.algorithm],  # never what the token asks for
                    leeway=LEEWAY,
                    options={"require": ["sub"] if legacy else ["exp", "iss", "aud", "sub"], "verify_aud": False},
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise InvalidToken("service account token has expired") from None
            except jwt.ImmatureSignatureError:
                raise InvalidToken("service account token is not valid yet") from None
            except (jwt.PyJWTError, ValueError, TypeError) as error:
                raise InvalidToken(f"invalid bearer token: {error}") from None
        raise InvalidToken("invalid bearer token")

    def _candidates(self, header: dict[str, Any]) -> Iterator[PublicKey]:
        named = header.get("kid")
        if named:
            return iter([self._keys[named]] if isinstance(named, str) and named in self._keys else [])
        return iter(self._keys.values())


def unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Header and claims as they are said, None for what is no JSON Web Token."""
    if token.count(".") != 2:
        return None
    try:
        said = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    return said["header"], said["payload"]


def _bound_claims(claims: dict[str, Any]) -> Claims:
    private = claims["kubernetes.io"]
    account = private["serviceaccount"]
    bound = tuple(
        Bound(kind, *_texts(private[kind]["name"], private[kind]["uid"])) for kind in BINDING if kind in private
    )
    namespace, name, uid, identifier = _texts(
        private["namespace"], account["name"], account["uid"], claims.get("jti", "")
    )
    _check_subject(claims, namespace, name)
    return Claims(namespace, name, uid, audiences_of(claims), identifier, bound, float(claims["exp"]))


def audiences_of(claims: dict[str, Any]) -> tuple[str, ...]:
    """Raises TypeError for what is neither a text nor a list of texts."""
    given = claims.get("aud", [])
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, list):
        raise TypeError
    return _texts(*given)


def _texts(*values: Any) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError
    return values


def _legacy_claims(claims: dict[str, Any], ours: tuple[str, ...]) -> Claims:
    """It names no audience: it is for this API server, and nobody else who asks about it."""
    parts = ("namespace", "secret.name", "service-account.name", "service-account.uid")
    namespace, secret, name, uid = _texts(*(claims[_LEGACY + part] for part in parts))
    _check_subject(claims, namespace, name)
    if not secret:
        raise ValueError
    return Claims(namespace, name, uid, ours, legacy=secret)


def _check_subject(claims: dict[str, Any], namespace: str, name: str) -> None:
    if claims["sub"] != f"system:serviceaccount:{namespace}:{name}":
        raise ValueError


def _listed(names: Sequence[str]) -> str:
    """As Go prints a list with %q."""
    return "[" + " ".join(f'"{name}"' for name in names) + "]"
