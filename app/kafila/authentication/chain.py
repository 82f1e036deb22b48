"""The union of all authenticators, in kube-apiserver's order: the first that knows the sender decides.

Where none knows him and one of them was shown something that is not valid, he is refused: nobody becomes anonymous by a mistake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

from kafila.core import errors
from kafila.registry import User

from .credentials import (
    LONGEST_TOKEN,
    Credentials,
    Known,
    RemoteTokenAuthenticator,
    RequestAuthenticator,
    TokenAuthenticator,
    bearer_token,
    websocket_token,
)
from .users import ANONYMOUS, InvalidCredential, NotSeen, authenticated

AUTHORIZATION: Final = b"authorization"
INVALID: Final = "invalid bearer token"


@final
class Authentication:
    """``anonymous``: whether a path may be asked for by somebody who shows nothing. ``settle``: waits until this process has
    heard of all that others have written."""

    def __init__(
        self,
        requests: Sequence[RequestAuthenticator] = (),
        tokens: Sequence[TokenAuthenticator] = (),
        remote: Sequence[RemoteTokenAuthenticator] = (),
        anonymous: Callable[[str], bool] = lambda path: True,
        settle: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._requests = tuple(requests)
        self._tokens = tuple(tokens)
        self._remote = tuple(remote)
        self._anonymous = anonymous
        self._settle = settle

    def at_once(self, credentials: Credentials) -> User | None:
        """None where somebody has to be asked, or waited for, first. Raises StatusError 401."""
        refused = False
        for authenticate in self._requests:
            try:
                user = authenticate(credentials)
                if user is not None:
                    return user
            except InvalidCredential:
                refused = True
        try:
            token = _token_of(credentials)
        except InvalidCredential:
            token, refused = "", True
        if token:
            known, refusal = self._from_memory(token, ())
            try:
                if known is not None:
                    return authenticated(known.user)
            except InvalidCredential as error:
                refusal = error
            if self._may_come(token, refusal):
                return None
            refused = True
        if refused or not self._anonymous(credentials.path):
            raise errors.unauthorized()
        return ANONYMOUS

    async def authenticate(self, credentials: Credentials) -> User:
        """Raises StatusError 401."""
        user = self.at_once(credentials)
        if user is not None:
            return user
        try:
            return (await self.token(_token_of(credentials))).user
        except InvalidCredential:
            raise errors.unauthorized() from None

    async def token(self, token: str, audiences: Sequence[str] = ()) -> Known:
        """Whose a token is that is meant for one of ``audiences``. Raises InvalidCredential."""
        known, refusal = self._from_memory(token, audiences)
        if isinstance(refusal, NotSeen) and self._settle is not None:
            await self._settle()
            known, refusal = self._from_memory(token, audiences)
        for remote in self._remote if len(token) <= LONGEST_TOKEN else ():
            if known is not None:
                break
            try:
                known = await remote.authenticate(token, audiences)
            except InvalidCredential as error:
                refusal = refusal or error
        if known is None:
            raise InvalidCredential(f"[{INVALID}, {refusal}]" if refusal is not None else INVALID)
        return known._replace(user=authenticated(known.user))

    def _from_memory(self, token: str, audiences: Sequence[str]) -> tuple[Known | None, InvalidCredential | None]:
        """Who is known without asking anybody; else why the one that it belongs to refuses it."""
        refusal: InvalidCredential | None = None
        if len(token) > LONGEST_TOKEN:
            return None, None
        for authenticate in self._tokens:
            try:
                known = authenticate(token, audiences)
            except InvalidCredential as error:
                refusal = refusal or error
                continue
            if known is not None:
                return known, None
        for remote in self._remote:
            known = remote.remembered(token, audiences)
            if known is not None:
                return known, None
        return None, refusal

    def _may_come(self, token: str, refusal: InvalidCredential | None) -> bool:
        if len(token) > LONGEST_TOKEN:
            return False
        return bool(self._remote) or (isinstance(refusal, NotSeen) and self._settle is not None)


def _token_of(credentials: Credentials) -> str:
    """Raises InvalidCredential."""
    for name, value in credentials.headers:
        if name == AUTHORIZATION:
            return bearer_token(value)  # the first one counts, as in Go
    return websocket_token(credentials.headers)
