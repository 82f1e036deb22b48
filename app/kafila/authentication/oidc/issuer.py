"""One issuer: its keys, found by discovery and fetched anew when they change, and tokens that these have signed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from time import monotonic
from typing import Any, Final, final

import jwt
import structlog

from kafila.authentication.audiences import for_audiences
from kafila.authentication.credentials import Known
from kafila.authentication.users import InvalidCredential
from kafila.authentication.verified import Verified
from kafila.identity.jwk import algorithm_of, key_set
from kafila.identity.tokens import audiences_of, unverified

from .claims import user_of
from .configuration import Issuer

log = structlog.get_logger(__name__)
Fetch = Callable[[str, bytes], Awaitable[Any]]  # URL and PEM of the authority → a JSON document. Raises FetchError
SOONEST: Final = 10.0  # seconds between two fetches of the keys, whoever asks for them
LATEST: Final = 600.0  # seconds after which they are fetched anew although all are known: one may have been withdrawn
LEEWAY: Final = 10.0  # seconds that clocks may differ by
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


class FetchError(Exception):
    """A document could not be fetched."""


@final
class OIDCIssuer:
    """``ours``: the audiences of this API server: what is asked about others is not answered by these tokens."""

    def __init__(
        self,
        issuer: Issuer,
        ours: Sequence[str],
        fetch: Fetch,
        now: Callable[[], float] = monotonic,
        verified: Verified[Known] | None = None,
    ) -> None:
        self.issuer = issuer
        self._ours = tuple(ours)
        self._fetch = fetch
        self._now = now
        self._keys: dict[str, list[Any]] = {}
        self._fetched = self._attempted = -float("inf")
        self._fetching = asyncio.Lock()
        self._verified = Verified() if verified is None else verified

    def remembered(self, token: str, audiences: Sequence[str]) -> Known | None:
        return self._verified.get(token, audiences)

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Known | None:
        """Raises InvalidCredential."""
        said = unverified(token)
        if said is None or said[1].get("iss") != self.issuer.url:
            return None
        if audiences and not set(audiences).intersection(self._ours):
            return None
        claims = await self._verified_claims(token, said[0])
        if self.issuer.has_expressions:  # which may run long
            user = await asyncio.to_thread(user_of, claims, self.issuer)
        else:
            user = user_of(claims, self.issuer)
        known = for_audiences(Known(user), audiences, self._ours)
        if known is None:
            return None
        return self._verified.put(token, audiences, known, float(claims["exp"]) - time.time())

    async def _verified_claims(self, token: str, header: dict[str, Any]) -> dict[str, Any]:
        """Raises InvalidCredential."""
        if self._now() - self._fetched > LATEST:
            await self.refresh()
        claims = self._decoded(token, header)
        if claims is None:  # signed with a key that came after we last looked
            await self.refresh()
            claims = self._decoded(token, header)
        if claims is None:
            raise InvalidCredential("oidc: the token is signed with none of the issuer's keys")
        try:
            meant = set(audiences_of(claims)).intersection(self.issuer.audiences)
        except TypeError:
            meant = set()
        if not meant:
            raise InvalidCredential("oidc: the token is for another audience")
        return claims

    def _decoded(self, token: str, header: dict[str, Any]) -> dict[str, Any] | None:
        """None when no known key has signed it. Raises InvalidCredential."""
        for key in self._candidates(header):
            family = algorithm_of(key)
            try:
                return jwt.decode(
                    token,
                    key,
                    _RSA if family == "RS256" else [family],
                    issuer=self.issuer.url,
                    leeway=LEEWAY,
                    options={"require": ["exp", "iss"], "verify_aud": False, "verify_iat": False, "verify_sub": False},
                )
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
                continue
            except jwt.ExpiredSignatureError:
                raise InvalidCredential("oidc: the token has expired") from None
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
                raise InvalidCredential("oidc: the token is not valid") from None
        return None

    def _candidates(self, header: dict[str, Any]) -> Iterator[Any]:
        named = header.get("kid")
        if isinstance(named, str) and named:
            return iter(self._keys.get(named, ()))
        return (key for keys in self._keys.values() for key in keys)

    async def refresh(self) -> None:
        """Fetches the keys, unless that was done or tried a moment ago. Without an answer the old ones stay."""
        async with self._fetching:
            if self._now() - self._attempted < SOONEST:
                return
            self._attempted = self._now()
            try:
                self._keys = await self._fetched_keys()
            except (FetchError, ValueError) as error:
                log.warning("keys of an OpenID Connect issuer not fetched", issuer=self.issuer.url, error=str(error))
            else:
                self._fetched = self._now()

    async def _fetched_keys(self) -> dict[str, list[Any]]:
        """Raises FetchError, ValueError."""
        url = self.issuer.discovery_url or self.issuer.url.rstrip("/") + "/.well-known/openid-configuration"
        document = await self._fetch(url, self.issuer.authority)
        if not isinstance(document, dict) or document.get("issuer") != self.issuer.url:
            raise ValueError("the discovery document is of another issuer")
        where = document.get("jwks_uri")
        if not isinstance(where, str) or not where.startswith("https://"):
            raise ValueError("the discovery document has no jwks_uri that begins with https://")
        return key_set(await self._fetch(where, self.issuer.authority))
