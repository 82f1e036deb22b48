"""Tokens with which a machine joins: Secrets of the type ``bootstrap.kubernetes.io/token`` in kube-system."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

from kafila.core import bootstrap_tokens as tokens
from kafila.core.values import Object
from kafila.registry import User
from kafila.watch import Cache

from .credentials import Known, TokenAuthenticator
from .users import InvalidCredential, NotSeen

GROUP: Final = "system:bootstrappers"


def bootstrap_tokens(cache: Cache) -> TokenAuthenticator:
    def authenticate(token: str, audiences: Sequence[str]) -> Known | None:
        parts = tokens.TOKEN.fullmatch(token)
        if parts is None:
            return None
        entry = cache.get("secrets", tokens.NAMESPACE, tokens.PREFIX + parts[1])
        if entry is None:
            raise NotSeen("no such bootstrap token")
        if entry.meta.deletionTimestamp:
            raise InvalidCredential("the bootstrap token has been deleted")
        return Known(_user(entry.decode(), parts[2]))

    return authenticate


def _user(secret: Object, given: str) -> User:
    """Raises InvalidCredential."""
    found = tokens.read(secret)
    if found is None:
        raise InvalidCredential("the Secret is no bootstrap token")
    if not hmac.compare_digest(found.secret.encode(), given.encode()):
        raise InvalidCredential("the bootstrap token has another secret")
    if tokens.AUTHENTICATION not in found.usages:
        raise InvalidCredential("the bootstrap token is not for authentication")
    if found.has_expired():
        raise InvalidCredential("the bootstrap token has expired")
    if not all(tokens.EXTRA_GROUP.fullmatch(group) for group in found.groups):
        raise InvalidCredential("the bootstrap token has groups that it may not have")
    return User(f"system:bootstrap:{found.identifier}", tuple(dict.fromkeys((GROUP, *found.groups))))
