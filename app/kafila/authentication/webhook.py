"""Tokens that a webhook knows: asked with a TokenReview and remembered for a while, as in kube-apiserver."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, final

import orjson
import structlog

from kafila.core.webhooks import Post, WebhookError, answered
from kafila.registry import User

from .audiences import for_audiences
from .credentials import Known
from .users import InvalidCredential
from .verified import Verified

log = structlog.get_logger(__name__)
AT_ONCE: Final = 32  # questions under way; more wait
ATTEMPTS: Final = 3
FIRST_WAIT: Final = 0.5  # seconds, and half as long again each time
VERSIONS: Final = ("v1", "v1beta1")


@final
class TokenWebhook:
    """``ours``: the audiences of this API server. A webhook that says nothing about audiences knows none but these."""

    def __init__(self, post: Post, ours: Sequence[str], remembered_for: float, version: str = "v1beta1") -> None:
        self._post = post
        self._ours = tuple(ours)
        self._version = f"authentication.k8s.io/{version}"
        self._verified: Verified[Known] = Verified(remembered_for)
        self._slots = asyncio.Semaphore(AT_ONCE)

    def remembered(self, token: str, audiences: Sequence[str]) -> Known | None:
        return self._verified.get(token, audiences)

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Known | None:
        asked = tuple(audiences or self._ours)
        review = {
            "apiVersion": self._version,
            "kind": "TokenReview",
            "metadata": {"creationTimestamp": None},
            "spec": {"token": token, "audiences": list(asked)},
            "status": {"user": {}},
        }
        async with self._slots:
            known = self.remembered(token, audiences)  # somebody else has asked meanwhile
            if known is not None:
                return known
            try:
                answer = await answered(self._post, orjson.dumps(review), ATTEMPTS, FIRST_WAIT, asyncio.sleep)
                known = known_of(answer, asked, self._ours)
            except WebhookError as error:
                log.warning("token webhook", error=str(error))
                raise InvalidCredential(f"the token webhook gave no answer: {error}") from None
        return None if known is None else self._verified.put(token, audiences, known)


def known_of(answer: bytes, asked: Sequence[str], ours: Sequence[str]) -> Known | None:
    """Raises WebhookError for what is no TokenReview."""
    try:
        status = orjson.loads(answer)["status"]
        user = status.get("user") or {}
        groups, extra = user.get("groups") or [], user.get("extra") or {}
        found = User(
            _text(user.get("username", "")),
            _texts(groups),
            _text(user.get("uid", "")),
            tuple((_text(name), _texts(values)) for name, values in extra.items()),
        )
        audiences = _texts(status.get("audiences") or [])
        valid = status.get("authenticated") is True
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WebhookError("the webhook's answer is no TokenReview", again=False) from None
    if not valid or not found.name:
        return None
    if not audiences:
        return for_audiences(Known(found), asked, ours)
    meant = tuple(audience for audience in asked if audience in audiences)
    return Known(found, meant) if meant else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError
    return tuple(_text(value) for value in values)
