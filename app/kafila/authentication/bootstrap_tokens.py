"""Tokens with which a machine joins: Secrets of the type ``bootstrap.kubernetes.io/token`` in kube-system."""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Sequence
from typing import Any, Final

from kafila.core.clock import parse_rfc3339
from kafila.registry import User
from kafila.watch import Cache

from .credentials import Known, TokenAuthenticator
from .users import InvalidCredential, NotSeen

TYPE: Final = "bootstrap.kubernetes.io/token"
GROUP: Final = "system:bootstrappers"
_TOKEN: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP: Final = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


def bootstrap_tokens(cache: Cache) -> TokenAuthenticator:
    def authenticate(token: str, audiences: Sequence[str]) -> Known | None:
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        entry = cache.get("secrets", "kube-system", f"bootstrap-token-{parts[1]}")
        if entry is None:
            raise NotSeen("no such bootstrap token")
        if entry.meta.deletionTimestamp:
            raise InvalidCredential("the bootstrap token has been deleted")
        return Known(_user(entry.decode(), parts[1], parts[2]))

    return authenticate


def _user(secret: dict[str, Any], identifier: str, given: str) -> User:
    """Raises InvalidCredential."""
    data = {name: _decoded(value) for name, value in (secret.get("data") or {}).items()}
    if secret.get("type") != TYPE or data.get("token-id") != identifier:
        raise InvalidCredential("the Secret is no bootstrap token")
    if not hmac.compare_digest(data.get("token-secret", "").encode(), given.encode()):
        raise InvalidCredential("the bootstrap token has another secret")
    if data.get("usage-bootstrap-authentication") != "true":
        raise InvalidCredential("the bootstrap token is not for authentication")
    if _has_expired(data.get("expiration", "")):
        raise InvalidCredential("the bootstrap token has expired")
    extra = [group.strip() for group in data.get("auth-extra-groups", "").split(",") if group.strip()]
    if not all(_GROUP.fullmatch(group) for group in extra):
        raise InvalidCredential("the bootstrap token has groups that it may not have")
    return User(f"system:bootstrap:{identifier}", tuple(dict.fromkeys((GROUP, *extra))))


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        return ""


def _has_expired(text: str) -> bool:
    """What cannot be read has expired."""
    if not text:
        return False
    try:
        return parse_rfc3339(text) <= time.time()
    except ValueError:
        return True
