"""Asks policies and webhooks while writes are prepared: mutating ones one after the other, validating webhooks at once.

The event loop only sends and receives; what is big is encoded, patched and decoded in threads, as everything else of a write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, final

from kafila.admission.policies.policy import BINDINGS, MUTATING_BINDINGS, MUTATING_POLICIES, POLICIES
from kafila.admission.webhooks import MUTATING, VALIDATING, Call, Index, hooks_of
from kafila.admission.webhooks.conditions import nobody
from kafila.admission.webhooks.index import Remembered, failed
from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.cel.libraries.authorizer import Ask
from kafila.core.admission_plugins import ON
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.watch import Cache
from kafila.webhooks import Callers
from kafila.webhooks.configuration import NONE, Known

from .asking import Calls, Question
from .bound_policies import BoundPolicies
from .mutating_policies import MutatingPolicies
from .mutation import Mutation
from .policies import Policies
from .webhook_requests import OPEN, Failed, Observed, WebhookRequests, annotate, note_verdict

VALIDATE: Final = "validating"
_PLUGINS: Final = ((MUTATING, "MutatingAdmissionWebhook"), (VALIDATING, "ValidatingAdmissionWebhook"))
_VALIDATED: Final = "validating.webhook.admission.k8s.io/"


@final
class Admitting:
    """``ask``: what expressions are told about who may do what. ``known``: as whom webhooks are asked. ``plugins``: what
    of it is done at all.
    """

    def __init__(
        self,
        cache: Cache,
        catalog: Catalog,
        callers: Callers,
        ask: Ask = nobody,
        known: Known = NONE,
        plugins: Collection[str] = ON,
    ) -> None:
        self._cache = cache
        self._catalog = catalog
        self._plugins = plugins
        self._requests = WebhookRequests(cache, callers, ask, known)
        self._indexes: dict[str, Index] = {}
        self.idle = False  # True: there is no webhook or policy at all; asked by every write
        # the webhooks and policies that may want to see such a write; None for none
        self.calls: Remembered[Calls | None] = Remembered(catalog, self._found)
        self.policies = Policies(
            BoundPolicies(cache, catalog, ask, POLICIES, BINDINGS, on="ValidatingAdmissionPolicy" in plugins)
        )
        on = "MutatingAdmissionPolicy" in plugins
        self.mutating_policies = MutatingPolicies(
            BoundPolicies(cache, catalog, ask, MUTATING_POLICIES, MUTATING_BINDINGS, on=on)
        )
        for resource in (MUTATING, VALIDATING, POLICIES, BINDINGS, MUTATING_POLICIES, MUTATING_BINDINGS):
            cache.listen(resource, lambda event: self._forget())
        cache.on_reset(self._forget)

    def _forget(self) -> None:
        self._indexes.clear()
        self.calls.clear()
        self.idle = False

    def _found(self, kind: Kind, subresource: str, operation: str) -> Calls | None:
        indexes = self._indexes or self._built()
        mutating, validating = indexes[MUTATING], indexes[VALIDATING]
        self.idle = not (mutating or validating or self.policies or self.mutating_policies)
        if self.idle:
            return None
        found = Calls(
            mutating.calls(kind, subresource, operation),
            validating.calls(kind, subresource, operation),
            self.policies.matching(kind, subresource, operation) if self.policies else (),
            self.mutating_policies.matching(kind, subresource, operation) if self.mutating_policies else (),
        )
        return found if found.mutates or found.validates else None

    def _built(self) -> dict[str, Index]:
        for resource, plugin in _PLUGINS:
            entries = self._cache.resource(resource).entries() if plugin in self._plugins else ()
            objects = [entry.decode() for entry in entries]
            self._indexes[resource] = Index(hooks_of(objects), self._catalog)
        return self._indexes

    async def answered(self, question: Question, size: int) -> Object | None:
        """The object that is admitted. ``size``: bytes of it, about. Raises StatusError."""
        if question.mutating:
            return await Mutation(self._requests, self.mutating_policies, question, size).run()
        await self._validated(question, size)
        return question.asked.new

    # -- validating --------------------------------------------------------------------------------------------------------

    async def _validated(self, question: Question, size: int) -> None:
        asked = question.asked
        if question.policies:
            await self.policies.check(question.policies, asked, question.options, size)
        calls = [call for call in question.calls if await self._requests.selects(call, asked, VALIDATE, size)]
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
        with Observed(call.hook, VALIDATE, question.asked.operation) as seen:
            try:
                verdict = await self._requests.asked(call, question.asked, size, mutating=False)
            except Failed as error:
                seen.failed(error)
                if not call.hook.ignores_failure:
                    return failed(call.hook, str(error))
                annotate(question, f"{OPEN}{_VALIDATED}round_0_index_{index}", call.hook.name)
                return None
            except StatusError as error:
                seen.refused(error, own=True)
                return error
            note_verdict(question, call.hook, verdict)
            if verdict.refusal is not None:
                seen.refused(verdict.refusal)
            return verdict.refusal
