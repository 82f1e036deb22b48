"""What a policy says of one object with one parameter (k8s.io/apiserver policy/validating)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, final

from kafila.cel import PER_CALL_LIMIT, CompileError, Result
from kafila.cel.admission import Variables
from kafila.cel.values import EvaluationError
from kafila.core.errors import aggregate
from kafila.core.values import Object

from .policy import Expression, Policy, Validation

BUDGET: Final = 10_000_000  # of the validations of one policy
CONDITIONS_BUDGET: Final = 2_500_000
LONGEST_MESSAGE: Final = 5 * 1024  # bytes that a messageExpression may give
EXHAUSTED: Final = "validation failed due to running out of cost budget, no further validation rules will be run"


class TooLong(Exception):
    """It costs more than was allowed for now: with all of its budget it may have an outcome."""


class Decision(NamedTuple):
    """A validation that does not hold, or has no value (``error``). ``place`` is its own among the policy's."""

    place: int
    message: str
    reason: str = ""
    error: bool = False


class Outcome(NamedTuple):
    """``annotations``: of the audit event."""

    denied: tuple[Decision, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()


@final
class Budget:
    """``most``: for everything together, where the whole budget would be too much for the place where this runs."""

    def __init__(self, budget: int, most: int | None) -> None:
        self.left = budget if most is None else min(budget, most)
        self._limited = most is not None and most < budget

    def spend(self, cost: int) -> bool:
        """Whether there was enough. Raises TooLong."""
        self.left -= cost
        if self.left < 0 and self._limited:
            raise TooLong
        return self.left >= 0


def evaluate(policy: Policy, bindings: Object, most: int | None = None) -> Outcome:
    """``bindings``: values of all variables but ``variables``. ``most``: raises TooLong beyond this cost."""
    try:
        if not is_concerned(policy, bindings, most):
            return Outcome()
        return _evaluate(policy, bindings, most)
    except Unusable as error:
        return _failed(policy, str(error))


class Unusable(Exception):
    """The policy as a whole has no outcome; the text says why."""


def _failed(policy: Policy, text: str) -> Outcome:
    return Outcome() if policy.ignores_failure else Outcome((Decision(0, text, error=True),))


def is_concerned(policy: Policy, bindings: Object, most: int | None) -> bool:
    """Whether its match conditions hold."""
    budget, problems = Budget(CONDITIONS_BUDGET, most), []
    for _, expression in policy.conditions:
        result = result_of(expression, bindings, budget)
        if result.value is False:
            return False
        if result.error:
            problems.append(result.error)
    if problems:
        raise Unusable(aggregate(problems))
    return True


def _evaluate(policy: Policy, bindings: Object, most: int | None) -> Outcome:
    budget = Budget(BUDGET, most)
    known = with_variables(policy, bindings, budget)
    results = [result_of(validation.expression, known, budget) for validation in policy.validations]
    denied = []
    for index, (validation, result) in enumerate(zip(policy.validations, results, strict=True)):
        if result.error:
            if not policy.ignores_failure:
                denied.append(Decision(index, result.error, error=True))
        elif result.value is not True:
            denied.append(Decision(index, _message(validation, known, budget), validation.reason))
    annotations = []
    budget = Budget(BUDGET, most)
    known = with_variables(policy, bindings, budget)
    for key, expression in policy.annotations:
        result = result_of(expression, known, budget)
        if result.error:
            if not policy.ignores_failure:
                denied.append(Decision(0, result.error, error=True))
        elif isinstance(result.value, str) and result.value.strip():
            annotations.append((key, result.value.strip()))
    return Outcome(tuple(denied), tuple(annotations))


def _message(validation: Validation, known: Object, budget: Budget) -> str:
    text = ""
    if validation.said is not None:
        result = result_of(validation.said, known, budget)
        text = result.value.strip() if isinstance(result.value, str) and not result.error else ""
        if "\n" in text or len(text.encode()) > LONGEST_MESSAGE:
            text = ""
    return text or validation.message or f"failed expression: {validation.expression.source.strip()}"


def with_variables(policy: Policy, bindings: Object, budget: Budget) -> Object:
    """``variables``: each is evaluated once, when it is first asked for."""
    if not policy.variables:
        return bindings
    known = dict(bindings)

    def value_of(name: str, expression: Expression) -> Callable[[], Any]:
        def evaluated() -> Any:
            result = result_of(expression, known, budget, named=False)
            if result.error:
                raise EvaluationError(f'composited variable "{name}" fails to evaluate: {result.error}')
            return result.value

        return evaluated

    known["variables"] = Variables({name: value_of(name, expression) for name, expression in policy.variables})
    return known


def result_of(expression: Expression, bindings: Object, budget: Budget, *, named: bool = True) -> Result:
    """Its error is as kube-apiserver words it. Raises Unusable when nothing is left of the budget."""
    program = expression.program
    if isinstance(program, CompileError):
        return Result(None, 0, f"compilation error: compilation failed: {program}")
    limit = min(PER_CALL_LIMIT, max(0, budget.left))
    result = program.evaluate(bindings, limit)
    if not budget.spend(result.work) or (result.exceeded and limit < PER_CALL_LIMIT):
        budget.spend(budget.left + 1)  # too long for here, or for good
        raise Unusable(EXHAUSTED)
    if result.error and named:
        return result._replace(error=f"expression '{expression.source}' resulted in error: {result.error}")
    return result
