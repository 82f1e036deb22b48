"""What the claims of a verified token become: a user, by the mappings of its issuer."""

from __future__ import annotations

from typing import Any

from kafila.authentication.users import CREDENTIAL, InvalidCredential
from kafila.registry import User

from .configuration import Claim, Issuer
from .expressions import ExpressionFailed, as_json

MOST_GROUPS = 10_000


def user_of(claims: dict[str, Any], issuer: Issuer) -> User:
    """Raises InvalidCredential."""
    for claim, wanted in issuer.required:
        if claims.get(claim) != wanted or not isinstance(claims[claim], str):
            raise InvalidCredential(f"oidc: claim {claim} has not the value that is required")
    if issuer.has_expressions:
        try:
            claims = as_json(claims)
        except (OverflowError, RecursionError):
            raise InvalidCredential("oidc: a claim is no JSON that an expression can read") from None
    user = User(
        _name(claims, issuer.username), _groups(claims, issuer.groups), _uid(claims, issuer.uid), _extra(claims, issuer)
    )
    try:
        for rule in issuer.rules:
            rule.hold("claims", claims)
    except ExpressionFailed as problem:
        raise InvalidCredential(f"oidc: error evaluating claim validation expression: {problem}") from None
    try:
        for rule in issuer.user_rules:
            rule.hold("user", _user_info(user))
    except ExpressionFailed as problem:
        raise InvalidCredential(f"oidc: error evaluating user info validation rule: {problem}") from None
    return user


def _user_info(user: User) -> dict[str, Any]:
    extra = {key: list(values) for key, values in user.extra}
    return {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": extra}


def _name(claims: dict[str, Any], mapping: Claim) -> str:
    if mapping.expression is not None:
        found = _evaluated(mapping, claims, "username")
        if not found:
            raise InvalidCredential("oidc: empty username via CEL expression is not allowed")
        return found
    name = _text(claims, mapping.name)
    if mapping.name == "email" and claims.get("email_verified", True) is not True:
        raise InvalidCredential("oidc: email not verified")
    return mapping.prefix + name


def _uid(claims: dict[str, Any], mapping: Claim | None) -> str:
    if mapping is None:
        return ""
    return _evaluated(mapping, claims, "uid") if mapping.expression is not None else _text(claims, mapping.name)


def _evaluated(mapping: Claim, claims: dict[str, Any], what: str) -> str:
    """A text. Raises InvalidCredential."""
    assert mapping.expression is not None
    try:
        found = mapping.expression.value("claims", claims)
    except ExpressionFailed as problem:
        raise InvalidCredential(f"oidc: error evaluating {what} claim expression: {problem}") from None
    if not isinstance(found, str):
        why = f"{what} claim expression must return a string"
        raise InvalidCredential(f"oidc: error evaluating {what} claim expression: {why}")
    return found


def _text(claims: dict[str, Any], claim: str) -> str:
    found = claims.get(claim)
    if not isinstance(found, str) or not found:
        raise InvalidCredential(f"oidc: claim {claim} is no text, or empty")
    return found


def _groups(claims: dict[str, Any], mapping: Claim | None) -> tuple[str, ...]:
    """One group or a list of them; none where the claim is not there."""
    if mapping is None:
        return ()
    if mapping.expression is not None:
        try:
            listed = mapping.expression.texts(claims)
        except ExpressionFailed as problem:
            raise InvalidCredential(f"oidc: error evaluating group claim expression: {problem}") from None
        if len(listed) > MOST_GROUPS:
            raise InvalidCredential("oidc: error evaluating group claim expression: too many groups")
        return listed
    found = claims.get(mapping.name)
    if found is None:
        return ()
    named = [found] if isinstance(found, str) else found
    if not isinstance(named, list) or len(named) > MOST_GROUPS or not all(isinstance(g, str) for g in named):
        raise InvalidCredential(f"oidc: claim {mapping.name} is neither a text nor a list of texts")
    return tuple(mapping.prefix + group for group in named)


def _extra(claims: dict[str, Any], issuer: Issuer) -> tuple[tuple[str, tuple[str, ...]], ...]:
    identifier = claims.get("jti")
    out: list[tuple[str, tuple[str, ...]]] = []
    if isinstance(identifier, str) and identifier:
        out.append((CREDENTIAL, (f"JTI={identifier}",)))
    for extra in issuer.extra:
        try:
            values = extra.texts(claims)
        except ExpressionFailed as problem:
            raise InvalidCredential(
                f"oidc: error evaluating extra claim expression: {extra.source}: {problem}"
            ) from None
        if values:
            out.append((extra.key, values))
    return tuple(out)
