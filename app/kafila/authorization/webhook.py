"""The mode Webhook: a SubjectAccessReview decides, asked of somebody else and remembered for a while, as in kube-apiserver."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, final

import orjson

from kafila.core.selectors import Requirement
from kafila.core.webhooks import Post, WebhookError, answered

from .attributes import NO_OPINION, Attributes, Decision

ALLOWED_FOR: Final = 300.0  # seconds
REFUSED_FOR: Final = 30.0
MOST_KNOWN: Final = 8192
LONGEST: Final = 10_000  # characters of attributes that are remembered
ATTEMPTS: Final = 5
_FIRST_WAIT: Final = 0.5  # seconds, and half as long again each time
_OPERATORS: Final = {
    "=": "In",
    "==": "In",
    "in": "In",
    "!=": "NotIn",
    "notin": "NotIn",
    "exists": "Exists",
    "!": "DoesNotExist",
}


@final
class Webhook:
    """Without an answer it has no opinion: the next mode is asked."""

    def __init__(self, post: Post, allowed_for: float = ALLOWED_FOR, refused_for: float = REFUSED_FOR) -> None:
        self._post = post
        self._allowed_for = allowed_for
        self._refused_for = refused_for
        self._known: dict[bytes, tuple[float, Decision]] = {}

    async def ask(self, asked: Attributes) -> Decision:
        spec = spec_of(asked)
        key = orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": spec}
        try:
            answer = await answered(self._post, orjson.dumps(review), ATTEMPTS, _FIRST_WAIT, asyncio.sleep)
            decision = decision_of(answer)
        except WebhookError as error:
            return Decision(False, error=str(error))
        if len(key) <= LONGEST:
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            lasts = self._allowed_for if decision.allowed else self._refused_for
            self._known.pop(key, None)
            self._known[key] = (time.monotonic() + lasts, decision)
        return decision


def spec_of(asked: Attributes) -> dict[str, Any]:
    user = asked.user
    spec: dict[str, Any] = {}
    if asked.path is not None:
        spec["nonResourceAttributes"] = _set(path=asked.path, verb=asked.verb)
    else:
        resource = spec["resourceAttributes"] = _set(
            namespace=asked.namespace,
            verb=asked.verb,
            group=asked.group,
            version=asked.version,
            resource=asked.resource,
            subresource=asked.subresource,
            name=asked.name,
        )
        for field, requirements in (("fieldSelector", asked.fields), ("labelSelector", asked.labels)):
            shown = [_shown(each) for each in requirements if each.operator in _OPERATORS]
            if shown:
                resource[field] = {"requirements": shown}
    extra = {name: list(values) for name, values in user.extra}
    return spec | _set(user=user.name, groups=list(user.groups), uid=user.uid, extra=extra)


def _set(**values: Any) -> dict[str, Any]:
    """Those that Go would not leave out."""
    return {name: value for name, value in values.items() if value}


def _shown(requirement: Requirement) -> dict[str, Any]:
    return _set(key=requirement.key, operator=_OPERATORS[requirement.operator], values=list(requirement.values))


def decision_of(answer: bytes) -> Decision:
    """Raises WebhookError."""
    try:
        status = orjson.loads(answer).get("status") or {}
        allowed, denied, reason = status.get("allowed"), status.get("denied"), status.get("reason")
    except (orjson.JSONDecodeError, AttributeError):
        raise WebhookError("the webhook's answer is no SubjectAccessReview", again=False) from None
    reason = reason if isinstance(reason, str) else ""
    if denied is True:
        both = "webhook subject access review returned both allow and deny response" if allowed is True else ""
        return Decision(False, denied=True, reason=reason, error=both)
    return Decision(True, reason=reason) if allowed is True else NO_OPINION._replace(reason=reason)
