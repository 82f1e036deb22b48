"""What the claims of a verified token become: a user, by the mappings of its issuer."""

from __future__ import annotations

from typing import Any

from kafila.authentication.users import CREDENTIAL, InvalidCredential
from kafila.registry import User

from .configuration import Issuer

MOST_GROUPS = 10_000


def user_of(claims: dict[str, Any], issuer: Issuer) -> User:
    """Raises InvalidCredential."""
    for claim, wanted in issuer.required:
        if claims.get(claim) != wanted or not isinstance(claims[claim], str):
            raise InvalidCredential(f"oidc: claim {claim} has not the value that is required")
    name = _text(claims, issuer.username.name)
    if issuer.username.name == "email" and claims.get("email_verified", True) is not True:
        raise InvalidCredential("oidc: email not verified")
    uid = _text(claims, issuer.uid) if issuer.uid else ""
    identifier = claims.get("jti")
    extra = ((CREDENTIAL, (f"JTI={identifier}",)),) if isinstance(identifier, str) and identifier else ()
    return User(issuer.username.prefix + name, _groups(claims, issuer), uid, extra)


def _text(claims: dict[str, Any], claim: str) -> str:
    found = claims.get(claim)
    if not isinstance(found, str) or not found:
        raise InvalidCredential(f"oidc: claim {claim} is no text, or empty")
    return found


def _groups(claims: dict[str, Any], issuer: Issuer) -> tuple[str, ...]:
    """One group or a list of them; none where the claim is not there."""
    if issuer.groups is None or claims.get(issuer.groups.name) is None:
        return ()
    found = claims[issuer.groups.name]
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or len(listed) > MOST_GROUPS or not all(isinstance(g, str) for g in listed):
        raise InvalidCredential(f"oidc: claim {issuer.groups.name} is neither a text nor a list of texts")
    return tuple(issuer.groups.prefix + group for group in listed)
