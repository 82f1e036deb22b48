"""Asks ValidatingAdmissionPolicies while writes are prepared: in place where they are cheap, in a thread where they may not be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple, final

import orjson
from prometheus_client import Histogram

from kafila.admission.policies.evaluation import Decision, Outcome, TooLong, evaluate
from kafila.admission.policies.policy import Binding, Policy
from kafila.admission.webhooks.attributes import Attributes
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.values import Object

from .bound_policies import QUICK, BoundPolicies, Invocation, Match, Problem, Sizes
from .threads import BIG, in_thread
from .webhook_requests import shown_as

LONGEST_ANNOTATION: Final = 10 * 1024  # characters
FAILURE: Final = "validation.policy.admission.k8s.io/validation_failure"
SECONDS: Final = Histogram(
    "apiserver_validating_admission_policy_check_duration_seconds",
    "What policies found, by what became of it: a request that a binding denies, warns of or records, or an error.",
    ["policy", "policy_binding", "error_type", "enforcement_action"],
)
_CODES: Final = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}


class _Denied(NamedTuple):
    policy: Policy
    binding: Binding | None
    decision: Decision


@final
class Policies:
    """ValidatingAdmissionPolicies."""

    def __init__(self, bound: BoundPolicies) -> None:
        self._bound = bound

    def __bool__(self) -> bool:
        return bool(self._bound)

    def matching(self, kind: Kind, subresource: str, operation: str) -> Sequence[Match]:
        """Those whose rules match, whatever the object is."""
        return self._bound.matching(kind, subresource, operation)

    async def check(self, matches: Sequence[Match], asked: Attributes, options: Any, size: int) -> None:
        """Warns and annotates by ``options``. Raises StatusError."""
        denied: list[_Denied] = []
        sizes = Sizes(size)
        for match in matches:
            denied += await self._checked(match, asked, options, sizes)
        if denied:
            raise _refusal(asked, denied[0])

    async def _checked(self, match: Match, asked: Attributes, options: Any, sizes: Sizes) -> list[_Denied]:
        policy, denied = match.policy, []
        annotations: dict[str, list[str]] = {}
        for found in match.always or await self._bound.invocations(match, asked):
            if isinstance(found, Problem):
                if not policy.ignores_failure:
                    denied.append(_Denied(policy, found.binding, Decision(0, found.text, error=True)))
                continue
            outcome = await self._evaluated(found, asked, sizes.of(found))
            binding = found.binding
            denied += [_Denied(policy, binding, d) for d in self._acted_on(policy, binding, outcome, options)]
            for key, value in outcome.annotations:
                values = annotations.setdefault(key, [])
                if value[:LONGEST_ANNOTATION] not in values:
                    values.append(value[:LONGEST_ANNOTATION])
        if options.annotate is not None:
            for key, values in annotations.items():
                options.annotate(f"{policy.name}/{key}", ", ".join(values), False)
        return denied

    def _acted_on(self, policy: Policy, binding: Binding, outcome: Outcome, options: Any) -> list[Decision]:
        """What the binding says of each decision; those that it denies the request for."""
        for decision in outcome.denied:
            if "Warn" in binding.actions:
                by = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}'"
                options.warn([f"Validation failed for {by}: {decision.message}"])
            if "Audit" in binding.actions and options.annotate is not None:
                said = {
                    "message": decision.message,
                    "policy": policy.name,
                    "binding": binding.name,
                    "expressionIndex": decision.place,
                    "validationActions": list(binding.actions),
                }
                options.annotate(FAILURE, orjson.dumps([said]).decode(), False)
        return list(outcome.denied) if "Deny" in binding.actions else []

    async def _evaluated(self, about: Invocation, asked: Attributes, size: int) -> Outcome:
        began = time.perf_counter()
        policy, binding = about.policy, about.binding
        work = partial(self._outcome, about, asked, *await shown_as(about.target, asked))
        try:
            outcome = await in_thread(size, partial(work, QUICK))
        except TooLong:
            outcome = await in_thread(max(size, BIG), partial(work, None))
        if outcome.denied:
            seconds, error = time.perf_counter() - began, outcome.denied[0].error
            for action in binding.actions:
                kind = "invalid_error" if error else "no_error"
                SECONDS.labels(policy.name, binding.name, kind, action.lower()).observe(seconds)
        return outcome

    def _outcome(
        self, about: Invocation, asked: Attributes, new: Object | None, old: Object | None, most: int | None
    ) -> Outcome:
        return evaluate(about.policy, self._bound.variables(about, asked, new, old), most)


def _refusal(asked: Attributes, denied: _Denied) -> StatusError:
    by = f"ValidatingAdmissionPolicy '{denied.policy.name}'"
    if denied.binding is not None:
        by += f" with binding '{denied.binding.name}'"
    text = f"{by} denied request: {denied.decision.message}"
    kind = asked.kind
    name = asked.name or ((asked.new or {}).get("metadata") or {}).get("generateName") or ""
    error = errors.forbidden(kind.group, kind.plural, name, text)
    error.reason = denied.decision.reason or "Invalid"
    error.code = _CODES.get(error.reason, 422)
    error.details = {**(error.details or {}), "causes": [{"message": text}]}
    return error
