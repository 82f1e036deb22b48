"""Asks webhooks while writes are prepared: mutating ones one after the other, validating ones at once.

The event loop only sends and receives; what is big is encoded, patched and decoded in threads, as everything else of a write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, final

import orjson
import structlog

from kafila.admission.policies.policy import BINDINGS, POLICIES
from kafila.admission.webhooks import MUTATING, VALIDATING, Attributes, Call, Hook, Index, Verdict, hooks_of
from kafila.admission.webhooks.conditions import Conditions, nobody
from kafila.admission.webhooks.index import failed, selects
from kafila.admission.webhooks.reviews import (
    InvalidAnswer,
    no_dry_run,
    request_of,
    review,
    verdict_of,
    version_of,
)
from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.cel.libraries.authorizer import Ask
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.core.values import Object, same_json
from kafila.machinery import amount, jsonpatch
from kafila.watch import Cache
from kafila.webhooks import Callers, CallFailed, metrics
from kafila.webhooks.configuration import NONE, Known

from .asking import Calls, Question
from .codec import in_version
from .decoding import decoder_of, typed
from .policies import Policies
from .threads import BIG, in_thread

log = structlog.get_logger(__name__)
ADMIT: Final = "admit"
VALIDATE: Final = "validating"
_MUTATED: Final = "mutation.webhook.admission.k8s.io/"
_PATCHED: Final = "patch.webhook.admission.k8s.io/"
_OPEN: Final = "failed-open."
_VALIDATED: Final = "validating.webhook.admission.k8s.io/"


class _Failed(Exception):
    """No answer, or none that can be used. The text goes behind ``failed calling webhook "x": ``."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


@final
class Admitting:
    """``ask``: what matchConditions are told about who may do what. ``known``: as whom webhooks are asked."""

    def __init__(
        self, cache: Cache, catalog: Catalog, callers: Callers, ask: Ask = nobody, known: Known = NONE
    ) -> None:
        self._known = known
        self._cache = cache
        self._catalog = catalog
        self._callers = callers
        self._conditions = Conditions(ask)
        self._indexes: dict[str, Index] = {}
        self.idle = False  # True: there is no webhook or policy at all; asked by every write
        self.policies = Policies(cache, catalog, ask, _shown)
        for resource in (MUTATING, VALIDATING, POLICIES, BINDINGS):
            cache.listen(resource, lambda event: self._forget())
        cache.on_reset(self._forget)

    def _forget(self) -> None:
        self._indexes.clear()
        self.idle = False

    def calls(self, kind: Kind, subresource: str, operation: str) -> Calls | None:
        """The webhooks that may want to see such a write; None for none."""
        indexes = self._indexes or self._built()
        mutating, validating = indexes[MUTATING], indexes[VALIDATING]
        self.idle = not mutating and not validating and not self.policies
        if self.idle:
            return None
        found = Calls(
            mutating.calls(kind, subresource, operation),
            validating.calls(kind, subresource, operation),
            self.policies.matching(kind, subresource, operation) if self.policies else (),
        )
        return found if found.mutating or found.validates else None

    def _built(self) -> dict[str, Index]:
        for resource in (MUTATING, VALIDATING):
            objects = [entry.decode() for entry in self._cache.resource(resource).entries()]
            self._indexes[resource] = Index(hooks_of(objects), self._catalog)
        return self._indexes

    async def answered(self, question: Question, size: int) -> Object | None:
        """The object that is admitted. ``size``: bytes of it, about. Raises StatusError."""
        if question.mutating:
            return await _Mutation(self, question, size).run()
        await self._validated(question, size)
        return question.asked.new

    # -- what both have in common ----------------------------------------------------------------------------------------

    async def selects(self, call: Call, asked: Attributes, step: str, size: int) -> bool:
        """Raises StatusError."""
        hook = call.hook
        if not selects(hook, asked, self._labels):
            return False
        if not hook.conditions:
            return True
        # what conditions cost nobody knows before: a thread has them as something big
        new, old = await _shown(call.kind, asked)
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
        """Raises _Failed, StatusError."""
        hook = call.hook
        if asked.dry_run and not hook.dry_runs:
            raise no_dry_run(hook)
        try:
            version_of(hook)
        except InvalidAnswer as error:
            raise _Failed(str(error), 400) from None
        uid = new_uid()
        body = await in_thread(size, partial(_review, uid, call, asked, *await _shown(call.kind, asked)))
        try:
            known = self._known.mutating if mutating else self._known.validating
            answer = await self._callers.post(hook.client, body, hook.seconds, known)
        except CallFailed as error:
            why = f"failed to call webhook: {error}" if error.sent else f"could not get REST client: {error}"
            raise _Failed(why, error.status or 503) from None
        try:
            return await in_thread(len(answer), partial(verdict_of, uid, hook, answer, mutating=mutating))
        except InvalidAnswer as error:
            raise _Failed(str(error), 503) from None

    # -- validating --------------------------------------------------------------------------------------------------------

    async def _validated(self, question: Question, size: int) -> None:
        asked = question.asked
        if self.policies:
            found = self.policies.matching(asked.kind, asked.subresource, asked.operation)
            if found:
                await self.policies.check(found, asked, question.options, size)
        calls = [call for call in question.calls if await self.selects(call, asked, VALIDATE, size)]
        if not calls:
            return
        waiting = [
            asyncio.ensure_future(self._validate(call, index, question, size)) for index, call in enumerate(calls)
        ]
        try:
            outcomes = await asyncio.gather(*waiting)
        except BaseException:
            for each in waiting:
                each.cancel()
            raise
        for error in outcomes:
            if error is not None:
                raise error

    async def _validate(self, call: Call, index: int, question: Question, size: int) -> StatusError | None:
        with _Observed(call.hook, VALIDATE, question.asked.operation) as seen:
            try:
                verdict = await self.asked(call, question.asked, size, mutating=False)
            except _Failed as error:
                seen.failed(error)
                if not call.hook.ignores_failure:
                    return failed(call.hook, str(error))
                _annotate(question, f"{_OPEN}{_VALIDATED}round_0_index_{index}", call.hook.name)
                return None
            except StatusError as error:
                seen.refused(error, own=True)
                return error
            _said(question, call.hook, verdict)
            if verdict.refusal is not None:
                seen.refused(verdict.refusal)
            return verdict.refusal


@final
class _Mutation:
    """One object on its way through the mutating webhooks: a first round, and at most one more for those that want it."""

    def __init__(self, admitting: Admitting, question: Question, size: int) -> None:
        self._admitting = admitting
        self._question = question
        self._size = size
        self._asked = question.asked
        self._invoked: set[str] = set()  # that want to be asked again when the object changes after them
        self._again: set[str] = set()
        self._changed = False

    async def run(self) -> Object | None:
        await self._round(0)
        if self._changed:
            before = orjson.dumps(self._asked.new)
            self._question.again(self._asked.new or {})
            if orjson.dumps(self._asked.new) != before:
                self._require_again()
            await self._round(1)
        return self._asked.new

    def _require_again(self) -> None:
        self._again |= self._invoked
        self._invoked = set()

    async def _round(self, number: int) -> None:
        for call in self._question.calls:
            if number and call.hook.uid not in self._again:
                continue
            if not await self._admitting.selects(call, self._asked, ADMIT, self._size):
                continue
            if await self._ask(call, number):
                self._changed = True
                self._require_again()
            if call.hook.reinvoked:
                self._invoked.add(call.hook.uid)

    async def _ask(self, call: Call, number: int) -> bool:
        """Whether the object has changed. Raises StatusError."""
        hook, place = call.hook, f"round_{number}_index_{call.position}"
        changed = False
        with _Observed(hook, ADMIT, self._asked.operation) as seen:
            try:
                verdict = await self._admitting.asked(call, self._asked, self._size, mutating=True)
                _said(self._question, hook, verdict)
                if verdict.refusal is not None:
                    seen.refused(verdict.refusal)
                    raise verdict.refusal
                changed = await self._patched(call, verdict, place)
            except _Failed as error:
                seen.failed(error)
                if not hook.ignores_failure:
                    raise failed(hook, str(error)) from None
                _annotate(self._question, f"{_OPEN}{_MUTATED}{place}", hook.name)
            except StatusError as error:
                seen.refused(error, own=True)
                raise
            finally:
                said = {"configuration": hook.configuration, "webhook": hook.name, "mutated": changed}
                _annotate(self._question, f"{_MUTATED}{place}", said)
        return changed

    async def _patched(self, call: Call, verdict: Verdict, place: str) -> bool:
        if not verdict.patch:
            return False
        before = self._asked.new
        if before is None:
            text = f'admission webhook "{call.hook.name}" attempted to modify the object, which is not supported for this operation'
            raise errors.internal_error(text)
        if verdict.patch_type != "JSONPatch":
            raise _Failed(f'unsupported patch type "{verdict.patch_type}"', 400)
        size = max(self._size, len(verdict.patch) * 100)
        shown, _ = await _shown(call.kind, self._asked)
        assert shown is not None
        document = await in_thread(size, partial(_applied, shown, verdict.patch))
        if shown is not before:
            document = await _converted(call.kind, self._asked.kind, document)
        after = await in_thread(size, partial(self._question.settle, document))
        self._asked = self._asked.with_new(after)
        said = {"configuration": call.hook.configuration, "webhook": call.hook.name, "patch": verdict.patch}
        _annotate(self._question, f"{_PATCHED}{place}", {**said, "patchType": "JSONPatch"}, body=True)
        return not same_json(before, after)


@final
class _Observed:
    """What the metrics say of one call. ``own``: a refusal of this server's, about what a webhook said or cannot do."""

    def __init__(self, hook: Hook, step: str, operation: str) -> None:
        self._hook, self._step, self._operation = hook, step, operation
        self._code, self._rejected, self._seen = 200, False, False

    def __enter__(self) -> _Observed:
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

    def failed(self, error: _Failed) -> None:
        self._seen, self._code = True, error.code
        why = {"webhook": self._hook.name, "configuration": self._hook.configuration, "error": str(error)}
        if self._hook.ignores_failure:
            metrics.FAIL_OPEN.labels(self._hook.name, self._step).inc()
            log.warning("webhook gave no answer, failing open", **why)
            return
        self._rejected = True
        log.warning("webhook gave no answer, failing closed", **why)
        metrics.observe_rejection(self._hook.name, self._step, self._operation, "calling_webhook_error", error.code)


# -- pure parts ------------------------------------------------------------------------------------------------------------------


def _review(uid: str, call: Call, asked: Attributes, new: Object | None, old: Object | None) -> bytes:
    return orjson.dumps(review(uid, call, asked, new, old))


async def _shown(target: Kind, asked: Attributes) -> tuple[Object | None, Object | None]:
    """The objects in the version that rules name. A Scale or an Eviction is the same in all of them. Raises StatusError."""
    if target is asked.kind or asked.shown != asked.kind.gvk:
        return asked.new, asked.old
    new, old = asked.new, asked.old
    return (
        await _converted(asked.kind, target, new) if new is not None else None,
        await _converted(asked.kind, target, old) if old is not None else None,
    )


async def _converted(kind: Kind, target: Kind, obj: Object) -> Object:
    """Raises StatusError."""
    if kind.converter is not None:
        return await kind.converter.between(kind, target, obj)
    found = in_version(kind, target, obj)
    return found if target.custom else typed(target, decoder_of(target)(found)[0])


def _applied(shown: Object, operations: list[Any]) -> Object:
    """Raises StatusError."""
    try:
        document = jsonpatch.apply(shown, operations)
    except (jsonpatch.PatchFailed, jsonpatch.BadPatch, jsonpatch.TooManyOperations) as error:
        raise errors.internal_error(str(error)) from None
    if not isinstance(document, dict) or not isinstance(document.get("metadata", {}), (dict, type(None))):
        raise errors.internal_error("the webhook's patch leaves no object")
    amount.check_made(document, shown)
    return document


def _said(question: Question, hook: Hook, verdict: Verdict) -> None:
    question.options.warn(verdict.warnings)
    for key, value in verdict.annotations:
        _annotate(question, f"{hook.name}/{key}", value)


def _annotate(question: Question, key: str, value: str | Mapping[str, Any], *, body: bool = False) -> None:
    annotate = question.options.annotate
    if annotate is not None:
        annotate(key, value if isinstance(value, str) else orjson.dumps(value).decode(), body)
