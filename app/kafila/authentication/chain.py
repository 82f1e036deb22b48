"""The union of all authenticators, in kube-apiserver's order: the first that knows the sender decides.

Where none knows him and one of them was shown something that is not valid, he is refused: nobody becomes anonymous by a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

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
)
from .users import ANONYMOUS, InvalidCredential, authenticated

AUTHORIZATION = b"authorization"


@final
class Authentication:
    """``anonymous``: whether a path may be asked for by somebody who shows nothing."""

    def __init__(
        self,
        requests: Sequence[RequestAuthenticator] = (),
        tokens: Sequence[TokenAuthenticator] = (),
        remote: Sequence[RemoteTokenAuthenticator] = (),
        anonymous: Callable[[str], bool] = lambda path: True,
    ) -> None:
        self._requests = tuple(requests)
        self._tokens = tuple(tokens)
        self._remote = tuple(remote)
        self._anonymous = anonymous

    def at_once(self, credentials: Credentials) -> User | None:
        """None where somebody has to be asked first. Raises StatusError 401."""
        refused = False
        for authenticate in self._requests:
            try:
                user = authenticate(credentials)
                if user is not None:
                    return authenticated(user)
            except InvalidCredential:
                refused = True
        token = _token_of(credentials)
        if token:
            try:
                known = self._from_memory(token, ())
                if known is not None:
                    return authenticated(known.user)
                if self._remote:
                    return None
            except InvalidCredential:
                pass
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
        refusals: list[str] = []
        try:
            known = self._from_memory(token, audiences)
        except InvalidCredential as error:
            known = None
            refusals.append(str(error))
        for remote in self._remote:
            if known is not None or len(token) > LONGEST_TOKEN:
                break
            try:
                known = await remote.authenticate(token, audiences)
            except InvalidCredential as error:
                refusals.append(str(error))
        if known is None:
            text = "[" + ", ".join(refusals) + "]" if len(refusals) > 1 else "".join(refusals)
            raise InvalidCredential(text or "invalid bearer token")
        return known._replace(user=authenticated(known.user))

    def _from_memory(self, token: str, audiences: Sequence[str]) -> Known | None:
        """Raises InvalidCredential when one of ours refuses it and none of the others could know it."""
        if len(token) > LONGEST_TOKEN:
            raise InvalidCredential("invalid bearer token")
        refused: InvalidCredential | None = None
        for authenticate in self._tokens:
            try:
                known = authenticate(token, audiences)
            except InvalidCredential as error:
                refused = refused or error
                continue
            if known is not None:
                return known
        for remote in self._remote:
            known = remote.remembered(token, audiences)
            if known is not None:
                return known
        if refused is not None and not self._remote:
            raise refused
        return None


def _token_of(credentials: Credentials) -> str:
    for name, value in credentials.headers:
        if name == AUTHORIZATION:
            return bearer_token(value)  # the first one counts, as in Go
    return ""
