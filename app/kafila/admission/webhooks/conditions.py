"""``matchConditions``: CEL expressions that have to hold for a webhook to be asked (k8s.io/apiserver matchconditions)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, NamedTuple, final

from kafila.cel import CompileError, Program, admission
from kafila.cel.libraries.authorizer import Answer, Ask, Authorizer, Question, ResourceCheck
from kafila.core.errors import forbidden
from kafila.core.values import Object

from .attributes import Attributes
from .hooks import Condition, Hook

BUDGET: Final = 2_500_000  # of all conditions of one webhook
MOST_COMPILED: Final = 4096
EXHAUSTED: Final = "validation failed due to running out of cost budget, no further validation rules will be run"


class Outcome(NamedTuple):
    """``errors``: of expressions that gave no value."""

    holds: bool
    errors: int = 0


def nobody(asked: Question) -> Answer:
    return Answer(False, "", "there is nobody to ask")


@final
class Conditions:
    """Remembers what is compiled, by expression. ``ask``: what the variable ``authorizer`` is answered with."""

    def __init__(self, ask: Ask = nobody) -> None:
        self._ask = ask
        self._compiled: OrderedDict[str, Program | CompileError] = OrderedDict()

    def hold(self, hook: Hook, asked: Attributes, request: Object, new: Object | None, old: Object | None) -> Outcome:
        """``request``: the review's, which has the object as the webhook is shown it. Raises StatusError 403."""
        budget, problems = BUDGET, []
        bindings = self._bindings(asked, request, new, old)
        for condition in hook.conditions:
            value, cost, problem = self._evaluated(condition, bindings)
            budget -= cost
            if budget < 0:
                problems = [EXHAUSTED]
                break
            if value is False:
                return Outcome(False, len(problems))
            if problem:
                problems.append(problem)
        if problems and not hook.ignores_failure:
            kind, text = asked.kind, problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            raise forbidden(kind.group, kind.plural, asked.name, text)
        return Outcome(not problems, len(problems))

    def _evaluated(self, condition: Condition, bindings: Object) -> tuple[Any, int, str]:
        program = self._program(condition.expression)
        if isinstance(program, CompileError):
            return None, 0, f"compilation error: compilation failed: {program}"
        result = program.evaluate(bindings)
        problem = f"expression '{condition.expression}' resulted in error: {result.error}" if result.error else ""
        return result.value, result.work, problem

    def _program(self, expression: str) -> Program | CompileError:
        found = self._compiled.get(expression)
        if found is None:
            try:
                found = admission.environment(params=False, authorizer=True).compile(expression)
            except CompileError as error:
                found = error
            self._compiled[expression] = found
            if len(self._compiled) > MOST_COMPILED:
                self._compiled.popitem(last=False)
        return found

    def _bindings(self, asked: Attributes, request: Object, new: Object | None, old: Object | None) -> Object:
        authorizer = Authorizer(asked.user, self._ask)
        resource = ResourceCheck(
            authorizer, asked.kind.group, asked.kind.plural, asked.subresource, asked.namespace, asked.name
        )
        return {
            "object": new,
            "oldObject": old,
            "namespaceObject": None,
            "request": {name: value for name, value in request.items() if name in _FIELDS and value is not None},
            "authorizer": authorizer,
            "authorizer.requestResource": resource,
        }


_FIELDS: Final = frozenset(admission.FIELDS["kubernetes.AdmissionRequest"])
