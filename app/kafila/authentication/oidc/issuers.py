"""All issuers of the configuration that is in force. A new one takes the place of the old one as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import final

from kafila.authentication.credentials import Known
from kafila.authentication.verified import Verified
from kafila.identity.tokens import unverified

from .configuration import Configuration
from .issuer import Fetch, OIDCIssuer


@final
class Issuers:
    def __init__(self, ours: Sequence[str], fetch: Fetch) -> None:
        self._ours = ours
        self._fetch = fetch
        self._issuers: dict[str, OIDCIssuer] = {}
        self._verified: Verified[Known] = Verified()
        self._asking: set[asyncio.Task[None]] = set()
        self.configuration = Configuration()

    def replace(self, configuration: Configuration) -> None:
        """Nothing is remembered of tokens that the old one knew. Keys of issuers are fetched at once, before somebody waits."""
        self.configuration = configuration
        verified = self._verified = Verified()
        self._issuers = {
            issuer.url: OIDCIssuer(issuer, self._ours, self._fetch, verified=verified)
            for issuer in configuration.issuers
        }
        for issuer in self._issuers.values():
            task = asyncio.get_running_loop().create_task(issuer.refresh())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def remembered(self, token: str, audiences: Sequence[str]) -> Known | None:
        return self._verified.get(token, audiences)

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Known | None:
        """Only the issuer that a token names is asked: a stranger's long token is not read once for each. Raises InvalidCredential."""
        said = unverified(token)
        named = said[1].get("iss") if said is not None else None
        issuer = self._issuers.get(named) if isinstance(named, str) else None
        return await issuer.authenticate(token, audiences) if issuer is not None else None

    def allows_anonymous(self, path: str) -> bool | None:
        """None where the configuration says nothing about it."""
        configuration = self.configuration
        if configuration.anonymous is None:
            return None
        paths = configuration.anonymous_paths
        return configuration.anonymous and (paths is None or path in paths)
