"""One object on its way through what may change it: policies and webhooks, in a first round and at most one more."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, final

from kafila.admission.reinvocation import Reinvocation
from kafila.admission.webhooks import Call, Verdict
from kafila.admission.webhooks.index import failed
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.values import Object, unchanged
from kafila.machinery import amount, jsonpatch

from .asking import Question
from .mutating_policies import MutatingPolicies, looks_again
from .threads import in_thread
from .webhook_requests import OPEN, Failed, Observed, WebhookRequests, annotate, converted, note_verdict, shown_as

ADMIT: Final = "admit"
_MUTATED: Final = "mutation.webhook.admission.k8s.io/"
_PATCHED: Final = "patch.webhook.admission.k8s.io/"


@final
class Mutation:
    """Policies are asked before webhooks. Who wants to be asked again when the object changes after him is, once."""

    def __init__(self, requests: WebhookRequests, policies: MutatingPolicies, question: Question, size: int) -> None:
        self._requests = requests
        self._policies = policies
        self._question = question
        self._size = size
        self._asked = question.asked
        self._of_policies, self._of_webhooks = Reinvocation(), Reinvocation()
        self._changed = False

    async def run(self) -> Object | None:
        await self._round(0)
        if self._changed:
            self._question.again(self._asked.new or {})
            if self._asks_again():
                await self._round(1)
        return self._asked.new

    def _asks_again(self) -> bool:
        if self._of_policies.pending or self._of_webhooks.pending:
            return True
        return looks_again(self._question.policies)

    async def _round(self, number: int) -> None:
        if self._question.policies:
            self._of_policies.begin(self._asked.new)
            before = self._asked.new
            self._asked = await self._policies.mutate(
                self._question, self._asked, self._of_policies, number, self._size
            )
            self._changed = self._changed or not unchanged(before, self._asked.new)
            self._of_policies.end(self._asked.new)
        if self._question.calls:
            await self._ask_webhooks(number)

    async def _ask_webhooks(self, number: int) -> None:
        self._of_webhooks.begin(self._asked.new)
        for call in self._question.calls:
            if number and call.hook.uid not in self._of_webhooks.again:
                continue
            if not await self._requests.selects(call, self._asked, ADMIT, self._size):
                continue
            if await self._ask(call, number):
                self._changed = True
                self._of_webhooks.changed()
            if call.hook.reinvoked:
                self._of_webhooks.invoked(call.hook.uid)
        self._of_webhooks.end(self._asked.new)

    async def _ask(self, call: Call, number: int) -> bool:
        """Whether the object has changed. Raises StatusError."""
        hook, place = call.hook, f"round_{number}_index_{call.position}"
        changed = False
        with Observed(hook, ADMIT, self._asked.operation) as seen:
            try:
                verdict = await self._requests.asked(call, self._asked, self._size, mutating=True)
                note_verdict(self._question, hook, verdict)
                if verdict.refusal is not None:
                    seen.refused(verdict.refusal)
                    raise verdict.refusal
                changed = await self._patched(call, verdict, place)
            except Failed as error:
                seen.failed(error)
                if not hook.ignores_failure:
                    raise failed(hook, str(error)) from None
                annotate(self._question, f"{OPEN}{_MUTATED}{place}", hook.name)
            except StatusError as error:
                seen.refused(error, own=True)
                raise
            finally:
                said = {"configuration": hook.configuration, "webhook": hook.name, "mutated": changed}
                annotate(self._question, f"{_MUTATED}{place}", said)
        return changed

    async def _patched(self, call: Call, verdict: Verdict, place: str) -> bool:
        if not verdict.patch:
            return False
        before = self._asked.new
        if before is None:
            text = f'admission webhook "{call.hook.name}" attempted to modify the object, which is not supported for this operation'
            raise errors.internal_error(text)
        if verdict.patch_type != "JSONPatch":
            raise Failed(f'unsupported patch type "{verdict.patch_type}"', 400)
        size = max(self._size, len(verdict.patch) * 100)
        shown, _ = await shown_as(call.kind, self._asked)
        assert shown is not None
        document = await in_thread(size, partial(_applied, shown, verdict.patch))
        if shown is not before:
            document = await converted(call.kind, self._asked.kind, document)
        after = await in_thread(size, partial(self._question.settle, document))
        self._asked = self._asked.with_new(after)
        said = {"configuration": call.hook.configuration, "webhook": call.hook.name, "patch": verdict.patch}
        annotate(self._question, f"{_PATCHED}{place}", {**said, "patchType": "JSONPatch"}, body=True)
        return not unchanged(before, after)


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
