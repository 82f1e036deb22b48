"""How webhooks are asked while writes are prepared, and what is noted of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, final

import orjson
import structlog

from kafila.admission.webhooks import Attributes, Call, Hook, Verdict
from kafila.admission.webhooks.conditions import Conditions
from kafila.admission.webhooks.index import selects
from kafila.admission.webhooks.reviews import InvalidAnswer, no_dry_run, request_of, review, verdict_of, version_of
from kafila.catalog.kind import Kind
from kafila.cel.libraries.authorizer import Ask
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.core.values import Object
from kafila.watch import Cache
from kafila.webhooks import Callers, CallFailed, metrics
from kafila.webhooks.configuration import Known

from .asking import Question
from .codec import in_version
from .decoding import decoder_of, typed
from .threads import BIG, in_thread

log = structlog.get_logger(__name__)
OPEN: Final = "failed-open."


class Failed(Exception):
    """No answer, or none that can be used. The text goes behind ``failed calling webhook "x": ``."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


@final
class WebhookRequests:
    """``ask``: what matchConditions are told about who may do what. ``known``: as whom webhooks are asked."""

    def __init__(self, cache: Cache, callers: Callers, ask: Ask, known: Known) -> None:
        self._known = known
        self._cache = cache
        self._callers = callers
        self._conditions = Conditions(ask)

    async def selects(self, call: Call, asked: Attributes, step: str, size: int) -> bool:
        """Raises StatusError."""
        hook = call.hook
        if not selects(hook, asked, self._labels):
            return False
        if not hook.conditions:
            return True
        # what conditions cost nobody knows before: a thread has them as something big
        new, old = await shown_as(call.kind, asked)
        held = partial(self._conditions.hold, hook, asked, request_of(call, asked), new, old)
        outcome = await in_thread(max(size, BIG), held)
        if outcome.errors:
            metrics.CONDITION_ERRORS.labels(hook.name, "webhook", step, asked.operation).inc(outcome.errors)
        elif not outcome.holds:
            metrics.CONDITION_EXCLUSIONS.labels(hook.name, "webhook", step, asked.operation).inc()
        return outcome.holds

    def _labels(self, namespace: str) -> Object | None:
        entry = self._cache.get("namespaces", "", namespace)
        return dict(entry.meta.labels or {}) if entry is not None else None

    async def asked(self, call: Call, asked: Attributes, size: int, *, mutating: bool) -> Verdict:
        """Raises Failed, StatusError."""
        hook = call.hook
        if asked.dry_run and not hook.dry_runs:
            raise no_dry_run(hook)
        try:
            version_of(hook)
        except InvalidAnswer as error:
            raise Failed(str(error), 400) from None
        uid = new_uid()
        body = await in_thread(size, partial(_review, uid, call, asked, *await shown_as(call.kind, asked)))
        try:
            known = self._known.mutating if mutating else self._known.validating
            answer = await self._callers.post(hook.client, body, hook.seconds, known)
        except CallFailed as error:
            why = f"failed to call webhook: {error}" if error.sent else f"could not get REST client: {error}"
            raise Failed(why, error.status or 503) from None
        try:
            return await in_thread(len(answer), partial(verdict_of, uid, hook, answer, mutating=mutating))
        except InvalidAnswer as error:
            raise Failed(str(error), 503) from None


@final
class Observed:
    """What the metrics say of one call. ``own``: a refusal of this server's, about what a webhook said or cannot do."""

    def __init__(self, hook: Hook, step: str, operation: str) -> None:
        self._hook, self._step, self._operation = hook, step, operation
        self._code, self._rejected, self._seen = 200, False, False

    def __enter__(self) -> Observed:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *of: object) -> None:
        if of[0] is not None and not self._seen:
            return  # cancelled: whoever asked is gone
        seconds = time.perf_counter() - self._began
        metrics.observe(self._hook.name, self._step, self._operation, self._code, seconds, rejected=self._rejected)

    def refused(self, error: StatusError, own: bool = False) -> None:
        if self._seen:
            return
        self._seen = self._rejected = True
        self._code = 0 if own else error.code
        kind = "apiserver_internal_error" if own else "no_error"
        metrics.observe_rejection(self._hook.name, self._step, self._operation, kind, self._code)

    def failed(self, error: Failed) -> None:
        self._seen, self._code = True, error.code
        why = {"webhook": self._hook.name, "configuration": self._hook.configuration, "error": str(error)}
        if self._hook.ignores_failure:
            metrics.FAIL_OPEN.labels(self._hook.name, self._step).inc()
            log.warning("webhook gave no answer, failing open", **why)
            return
        self._rejected = True
        log.warning("webhook gave no answer, failing closed", **why)
        metrics.observe_rejection(self._hook.name, self._step, self._operation, "calling_webhook_error", error.code)


def _review(uid: str, call: Call, asked: Attributes, new: Object | None, old: Object | None) -> bytes:
    return orjson.dumps(review(uid, call, asked, new, old))


async def shown_as(target: Kind, asked: Attributes) -> tuple[Object | None, Object | None]:
    """The objects in the version that rules name. A Scale or an Eviction is the same in all of them. Raises StatusError."""
    if target is asked.kind or asked.shown != asked.kind.gvk:
        return asked.new, asked.old
    new, old = asked.new, asked.old
    return (
        await converted(asked.kind, target, new) if new is not None else None,
        await converted(asked.kind, target, old) if old is not None else None,
    )


async def converted(kind: Kind, target: Kind, obj: Object) -> Object:
    """Raises StatusError."""
    if kind.converter is not None:
        return await kind.converter.between(kind, target, obj)
    found = in_version(kind, target, obj)
    return found if target.custom else typed(target, decoder_of(target)(found)[0])


def note_verdict(question: Question, hook: Hook, verdict: Verdict) -> None:
    question.options.warn(verdict.warnings)
    for key, value in verdict.annotations:
        annotate(question, f"{hook.name}/{key}", value)


def annotate(question: Question, key: str, value: str | Mapping[str, Any], *, body: bool = False) -> None:
    note = question.options.annotate
    if note is not None:
        note(key, value if isinstance(value, str) else orjson.dumps(value).decode(), body)
