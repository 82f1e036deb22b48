"""Asks MutatingAdmissionPolicies while writes are prepared: in place where they are cheap, in a thread where they may not be."""

from __future__ import annotations

import re
import time
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Final, final

from kafila.admission.policies.evaluation import TooLong, Unusable, is_concerned
from kafila.admission.policies.mutation import MutationFailed, mutated
from kafila.admission.policies.policy import Mutation
from kafila.admission.reinvocation import Reinvocation
from kafila.admission.webhooks.attributes import Attributes
from kafila.catalog.kind import Kind
from kafila.catalog.tables import definition_name, schema_of
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.values import Object, unchanged
from kafila.machinery.decode import DecodeError
from kafila.machinery.schema import Schema

from .asking import Question
from .bound_policies import QUICK, BoundPolicies, Invocation, Match, Problem, Sizes
from .decoding import SCHEME
from .mutation_metrics import observe
from .threads import BIG, in_thread
from .webhook_requests import converted, shown_as


@final
class MutatingPolicies:
    def __init__(self, bound: BoundPolicies) -> None:
        self._bound = bound

    def __bool__(self) -> bool:
        return bool(self._bound)

    def matching(self, kind: Kind, subresource: str, operation: str) -> Sequence[Match]:
        """Those whose rules match, whatever the object is. Of what is deleted nothing is left to change."""
        return self._bound.matching(kind, subresource, operation) if operation != "DELETE" else ()

    async def mutate(
        self, question: Question, asked: Attributes, reinvocation: Reinvocation, number: int, size: int
    ) -> Attributes:
        """What is asked after all of them. ``number``: of the round. Raises StatusError."""
        if number and not reinvocation.again and not looks_again(question.policies):
            return asked
        problems: list[Problem] = []
        invocations: list[Invocation] = []
        patched = False
        for match in question.policies:
            for found in match.always or await self._bound.invocations(match, asked):
                if isinstance(found, Problem):
                    problems.append(found)
                else:
                    invocations.append(found)
        sizes = Sizes(size)
        for about in invocations:
            run = _Run(self._bound, about, question, sizes.of(about))
            if about.policy.conditions and not await run.concerns(asked, problems):
                continue
            if number and _identity(about) not in reinvocation.again:
                continue
            before = asked.new
            asked = await run.mutate(asked, problems)
            patched = patched or run.patched
            if reinvocation.waits and not unchanged(before, asked.new):
                reinvocation.changed()
            if about.policy.reinvoked:
                reinvocation.invoked(_identity(about))
        if patched:  # also those who were asked last are asked again, as in kube-apiserver
            reinvocation.changed()
        problems = [problem for problem in problems if not problem.policy.ignores_failure]
        if problems:
            raise _refusal(asked, problems)
        return asked


def looks_again(matches: Sequence[Match]) -> bool:
    """Whether there are match conditions: they are looked at in the second round too, whoever is asked then."""
    return any(match.policy.conditions for match in matches)


_FLOAT: Final = re.compile(r"json: cannot unmarshal number \S+ into Go struct field \S+ of type (\S+)")


def _shown(group: str, version: str, kind: str) -> str:
    """As Go prints a GroupVersionKind."""
    return f"{group}/{version}, Kind={kind}"


def _no_conversion(document: Object, error: StatusError) -> str:
    api_version, kind = str(document.get("apiVersion")), str(document.get("kind"))
    group, _, version = api_version.rpartition("/")
    if definition_name(group, version, kind) is None:
        return f'no kind "{kind}" is registered for version "{api_version}" {SCHEME}'
    return f"failed to convert object: {error}"


def _identity(about: Invocation) -> Hashable:
    param = about.param
    where = (param.key.namespace, param.key.name) if param is not None else None
    return about.policy.name, about.binding.name, where


@final
class _Run:
    """One policy with one parameter, on one object."""

    def __init__(self, bound: BoundPolicies, about: Invocation, question: Question, size: int) -> None:
        self._bound = bound
        self._about = about
        self._question = question
        self._size = size
        self.patched = False

    async def concerns(self, asked: Attributes, problems: list[Problem]) -> bool:
        """Whether its match conditions hold."""
        about = self._about
        new, old = await shown_as(about.target, asked)

        def held(most: int | None) -> bool:
            return is_concerned(about.policy, self._bound.variables(about, asked, new, old), most)

        try:
            try:
                return await in_thread(self._size, partial(held, QUICK))
            except TooLong:
                return await in_thread(max(self._size, BIG), partial(held, None))
        except Unusable as error:
            problems.append(Problem(about.policy, about.binding, str(error), invalid=True))
            return False

    async def mutate(self, asked: Attributes, problems: list[Problem]) -> Attributes:
        """Raises StatusError."""
        about = self._about
        for mutation in about.policy.mutations:
            if asked.new is None:
                continue
            began, outcome = time.perf_counter(), "no_error"
            try:
                asked = asked.with_new(await self._mutated(mutation, asked))
                self.patched = True
            except MutationFailed as error:
                outcome = error.kind
                problems.append(Problem(about.policy, about.binding, str(error), invalid=True))
            except StatusError:
                outcome = "invalid_error"
                raise
            finally:
                observe(about.policy.name, about.binding.name, outcome, time.perf_counter() - began)
        return asked

    async def _mutated(self, mutation: Mutation, asked: Attributes) -> Object:
        """Raises MutationFailed, StatusError."""
        about = self._about
        schema = _schema_of(about.target, asked)
        if schema is None and mutation.applies:
            why = f"no corresponding type for {_shown(*asked.shown)}"
            raise MutationFailed(f"error applying patch: failed to convert patch object to typed object: {why}")
        new, old = asked.new, asked.old
        if about.target is not asked.kind:
            new, old = await shown_as(about.target, asked)
        assert new is not None
        converts = new is not asked.new
        decodes = not converts and schema is asked.kind.schema and asked.kind.decode is None

        def work(most: int | None) -> Object:
            bindings = self._bound.variables(about, asked, new, old)
            document, decoded = mutated(about.policy, mutation, bindings, new, schema, most, decodes=decodes)
            return document if converts or document is new else self._settled(mutation, document, new, decoded)

        try:
            document = work(QUICK) if self._size < BIG else await in_thread(self._size, partial(work, QUICK))
        except TooLong:
            document = await in_thread(max(self._size, BIG), partial(work, None))
        if not converts:
            return document
        if document is new:
            assert asked.new is not None
            return asked.new
        document = await converted(about.target, asked.kind, document)
        return await in_thread(self._size, partial(self._settled, mutation, document))

    def _settled(
        self, mutation: Mutation, document: Object, was: Object | None = None, decoded: bool = False
    ) -> Object:
        try:
            return self._question.settle(document, strict=not mutation.applies, was=was, decoded=decoded)
        except StatusError as error:
            if mutation.applies and isinstance(error.__cause__, DecodeError):
                shown, why = (
                    _shown(*self._about.target.gvk),
                    _FLOAT.sub(r"cannot convert float64 to \1", str(error.__cause__)),
                )
                raise MutationFailed(f"unable to convert unstructured object to {shown}: {why}") from None
            if not error.reason:  # another kind
                raise errors.internal_error(_no_conversion(document, error)) from None
            raise
        except RecursionError:
            raise MutationFailed("the object is nested too deeply") from None


def _schema_of(target: Kind, asked: Attributes) -> Schema | None:
    """None for what a subresource takes, such as a Scale: no group publishes the schema of another's, in Kubernetes."""
    if not asked.subresource or asked.shown == asked.kind.gvk:
        return target.schema
    group, version, kind = asked.shown
    name = definition_name(group, version, kind) if group == asked.kind.group else None
    return schema_of(name) if name is not None else None


def _refusal(asked: Attributes, problems: Sequence[Problem]) -> StatusError:
    kind = asked.kind
    name = asked.name or ((asked.new or {}).get("metadata") or {}).get("generateName") or ""
    texts = [_said(problem) for problem in problems]
    error = errors.forbidden(kind.group, kind.plural, name, texts[0])
    error.message = texts[0]
    if problems[0].invalid:
        error.reason = "Invalid"
    error.details = {**(error.details or {}), "causes": [{"message": text} for text in texts]}
    return error


def _said(problem: Problem) -> str:
    if problem.binding is None:
        return f'policy "{problem.policy.name}" denied request: {problem.text}'
    return f"policy '{problem.policy.name}' with binding '{problem.binding.name}' denied request: {problem.text}"
