"""What can be exchanged while serving: our certificate authority, and the key that signs service account tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, final

from kafila.identity import authority, token_keys
from kafila.identity.authority import Authority, Refused
from kafila.identity.keys import AUTHORITY, TOKEN_KEYS, Keys, stored_authority, stored_token_keys
from kafila.identity.token_keys import TokenKeys
from kafila.store.interface import Store
from kafila.watch import Cache, Entry

from .rotation import Apply, Rotation

AUTHORITY_FILE: Final = "rotate-ca"
TOKEN_KEYS_FILE: Final = "rotate-service-account-key"
_REASONS: Final = {"rotate": "Rotated", "rollback": "RolledBack", "finish": "RotationFinished"}


@final
class AuthorityRotation:
    key, what, file = AUTHORITY, "certificate authority", AUTHORITY_FILE

    def stored(self, cache: Cache) -> tuple[Authority, Entry]:
        return stored_authority(cache)

    def body(self, state: Authority) -> dict[str, Any]:
        return authority.to_body(state)

    def described(self, state: Authority) -> str:
        return authority.described(state)

    def request(self, state: Authority) -> str:
        return state.request

    def asked(
        self, before: Authority, action: str, request: dict[str, Any], now: datetime, identifier: str
    ) -> Authority:
        if action == "rollback":
            return authority.rolled_back(before, now, identifier)
        if action == "finish":
            return authority.finished(before, identifier)
        overlap = _duration(request.get("overlap"), "overlap", authority.LONGEST_OVERLAP)
        return authority.rotated(before, now, overlap, identifier)

    def due(self, before: Authority, now: datetime) -> Authority | None:
        return authority.finished(before) if authority.is_over(before, now) else None

    def reason(self, action: str, after: Authority) -> str:
        return "CertificateAuthority" + _REASONS.get(action, "RotationFinished")


@final
class TokenKeyRotation:
    """``instead``: the file of the user's whose key signs, so that ours does not; "" for none."""

    key, what, file = TOKEN_KEYS, "service account key", TOKEN_KEYS_FILE

    def __init__(self, instead: str) -> None:
        self._instead = instead

    def stored(self, cache: Cache) -> tuple[TokenKeys, Entry]:
        return stored_token_keys(cache)

    def body(self, state: TokenKeys) -> dict[str, Any]:
        return token_keys.to_body(state)

    def described(self, state: TokenKeys) -> str:
        return token_keys.described(state)

    def request(self, state: TokenKeys) -> str:
        return state.request

    def asked(
        self, before: TokenKeys, action: str, request: dict[str, Any], now: datetime, identifier: str
    ) -> TokenKeys:
        if action == "rollback":
            return token_keys.rolled_back(before, identifier)
        if action == "finish":
            return token_keys.finished(before, identifier)
        if self._instead:
            raise Refused(f"tokens are signed by the key in {self._instead}: exchange that file")
        overlap = _duration(request.get("overlap"), "overlap", token_keys.LONGEST_OVERLAP)
        published = _duration(request.get("published"), "time before it signs", token_keys.LONGEST_PUBLISHED)
        if published < token_keys.SHORTEST_PUBLISHED:
            raise Refused(f"the time before it signs must be at least {token_keys.SHORTEST_PUBLISHED.seconds} s")
        return token_keys.rotated(before, now, published, overlap, identifier)

    def due(self, before: TokenKeys, now: datetime) -> TokenKeys | None:
        return token_keys.due(before, now)

    def reason(self, action: str, after: TokenKeys) -> str:
        if action == "rotate" and after.next is not None:
            return "ServiceAccountKeyPublished"
        return "ServiceAccountKey" + _REASONS.get(action, "Rotated" if after.previous else "RotationFinished")


@final
class Rotations:
    """Of both; ``authority`` and ``token_keys`` are called with what they have to be now."""

    def __init__(
        self, store: Store, cache: Cache, authority: Apply[Authority], token_keys: Apply[TokenKeys], instead: str
    ) -> None:
        self._authority = Rotation(AuthorityRotation(), store, cache, authority)
        self._token_keys = Rotation(TokenKeyRotation(instead), store, cache, token_keys)
        self.again = self._authority.again

    def asked(self, folder: Path, record: Callable[[str, str], None]) -> None:
        """``folder``: where requests are looked for; ``record``: records an event."""
        self._authority.folder = self._token_keys.folder = folder
        self._authority.record = self._token_keys.record = record

    def follow(self, keys: Keys) -> list[asyncio.Task[None]]:
        """Until these are cancelled. ``keys``: what this process began with."""
        following = self._authority.follow(keys.authority), self._token_keys.follow(keys.service_accounts)
        return [asyncio.create_task(each) for each in following]


def _duration(given: object, name: str, longest: timedelta) -> timedelta:
    """Of seconds. Raises Refused."""
    if isinstance(given, int | float) and 0 < given <= longest.total_seconds():
        return timedelta(seconds=given)
    raise Refused(f"the {name} must be more than 0 s and at most {longest.days} days")
