"""Tokens of service accounts: valid as long as the account and what they are bound to are there."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from typing import Final

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.identity.tokens import Claims, InvalidToken, Tokens
from kafila.registry import User
from kafila.watch import Cache, Entry

from .credentials import Known, TokenAuthenticator
from .users import CREDENTIAL, InvalidCredential, NotSeen, service_account_groups, service_account_name
from .verified import Verified

LEEWAY: Final = (
    60.0  # seconds that a token lives after the deletionTimestamp of what it is bound to, as in kube-apiserver
)


LAST_USED: Final = "kubernetes.io/legacy-token-last-used"  # label of a Secret: the day, in UTC
INVALID_SINCE: Final = "kubernetes.io/legacy-token-invalid-since"
Used = Callable[[Entry], None]  # told of a Secret whose token is used, once its label is not of today


def service_account_tokens(
    cache: Cache, tokens: Callable[[], Tokens | None], used: Used = lambda secret: None
) -> TokenAuthenticator:
    """What a token says is remembered for a short time; whether the objects in it live is looked up each time."""
    verified: Verified[tuple[object, Claims]] = Verified()  # by which keys

    def authenticate(token: str, audiences: Sequence[str]) -> Known | None:
        issuer = tokens()
        if issuer is None:
            return None
        by, claims = verified.get(token, audiences) or (None, None)
        if claims is None or by is not issuer.state:
            try:
                claims = issuer.verify(token, audiences)
            except InvalidToken as error:
                raise InvalidCredential(str(error)) from None
            if claims is None:
                return None
            ends = claims.ends - time.time() + LEEWAY if claims.ends else None
            verified.put(token, audiences, (issuer.state, claims), ends)
        asked = audiences or issuer.audiences
        meant = tuple(a for a in asked if a in claims.audiences)
        return Known(user_of(cache, token, claims, used), meant)

    return authenticate


def user_of(cache: Cache, token: str, claims: Claims, used: Used = lambda secret: None) -> User:
    """Raises InvalidCredential where the account, or what the token is bound to, is not there any more."""
    namespace, name = claims.namespace, claims.name
    account = cache.get("serviceaccounts", namespace, name)
    if account is None:
        raise NotSeen(f'serviceaccounts "{name}" not found')
    if account.meta.uid != claims.uid:
        raise NotSeen(f"service account UID ({account.meta.uid}) does not match claim ({claims.uid})")
    if _has_ended(account):
        raise InvalidCredential(f"service account {namespace}/{name} has been deleted")
    if claims.legacy:
        _check_secret(cache, token, claims, used)
    extra = [(CREDENTIAL, (f"JTI={claims.id}",))] if claims.id else []
    kinds = [kind for kind, _, _ in claims.bound]
    for kind, bound, uid in claims.bound:
        where = "" if kind == "node" else namespace
        only_told = kind == "node" and "pod" in kinds  # where the pod runs
        entry = None if only_told else cache.get(f"{kind}s", where, bound)
        if not only_told and (entry is None or entry.meta.uid != uid or _has_ended(entry)):
            raise NotSeen("service account token has been invalidated")
        if kind != "secret":
            prefix = f"authentication.kubernetes.io/{kind}"
            extra += [(f"{prefix}-name", (bound,)), (f"{prefix}-uid", (uid,))]
    return User(service_account_name(namespace, name), service_account_groups(namespace), claims.uid, tuple(extra))


def _check_secret(cache: Cache, token: str, claims: Claims, used: Used) -> None:
    """A token that stands in a Secret is valid as long as it stands there."""
    entry = cache.get("secrets", claims.namespace, claims.legacy)
    if entry is None or entry.meta.deletionTimestamp:
        raise NotSeen("service account token has been invalidated")
    stored = (entry.decode().get("data") or {}).get("token") or ""
    if base64.b64encode(token.encode()).decode() != stored:
        raise NotSeen("service account token does not match server's copy")
    labels = entry.meta.labels or {}
    if labels.get(LAST_USED) != rfc3339()[:10]:
        used(entry)
    if labels.get(INVALID_SINCE):
        where, account = f"{claims.namespace}/{claims.legacy}", f"{claims.namespace}/{claims.name}"
        raise InvalidCredential(
            f"the token in secret {where} for service account {account} has been marked invalid. Use tokens from the"
            " TokenRequest API or manually created secret-based tokens, or remove the"
            f" '{INVALID_SINCE}' label from the secret to temporarily allow use of this token"
        )


def _has_ended(entry: Entry) -> bool:
    """Whether it has been ending for more than what clocks may differ by."""
    ending = entry.meta.deletionTimestamp
    return ending is not None and parse_rfc3339(ending) < time.time() - LEEWAY
