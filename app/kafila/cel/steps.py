"""The closures that an expression is made of; each counts what it costs (cel-go's interpreter and cost tracker).

A closure gets the *frame*: ``[cost, limit, variables …]``. Costs are counted for what fails too, as cel-go does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, final

from .actual_cost import cost_of_call
from .bounds import CostExceeded
from .declarations import Implementation
from .values import (
    NO_OVERLOAD,
    EvaluationError,
    Optional,
    equal,
    key_of,
)

Frame = list[Any]
Step = Callable[[Frame], Any]
Cost = Callable[[Any], int]

COST: Final = 0
LIMIT: Final = 1
FIRST_VARIABLE: Final = 2
LIST_COST: Final = 10
MAP_COST: Final = 30
STRUCT_COST: Final = 40


class Maker(Protocol):
    def making(self, type_name: str) -> Callable[[dict[str, Any]], Any]:
        """What makes an object of the type from its fields, and may raise EvaluationError."""


def charge(frame: Frame, cost: int) -> None:
    frame[COST] += cost
    if frame[COST] > frame[LIMIT]:
        raise CostExceeded


@final
class Constant:
    """A step whose value is known."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, frame: Frame) -> Any:
        return self.value


@final
class Fixed:
    """A step whose value is known, but costs something."""

    __slots__ = ("cost", "value")

    def __init__(self, value: Any, cost: int) -> None:
        self.value = value
        self.cost = cost

    def __call__(self, frame: Frame) -> Any:
        charge(frame, self.cost)
        return self.value


def logical(left: Step, right: Step, absorbing: bool) -> Step:
    """``||`` where ``absorbing`` is True, ``&&`` where it is False: that value wins over errors."""

    def run(frame: Frame) -> Any:
        problem = None
        for step in (left, right):
            try:
                value = step(frame)
            except EvaluationError as raised:
                problem = problem or raised
                continue
            if value is absorbing:
                return absorbing
            if value is not (not absorbing):
                problem = problem or EvaluationError(NO_OVERLOAD)
        if problem is not None:
            raise problem
        return not absorbing

    return run


def _both(left: Step, right: Step, frame: Frame, cost: Cost) -> tuple[Any, Any]:
    """Both values, charged. What fails is charged too, and the first failure raised after both were evaluated."""
    problem: EvaluationError | None = None
    first: Any = 0
    second: Any = 0
    try:
        first = left(frame)
    except EvaluationError as raised:
        problem = raised
    try:
        second = right(frame)
    except EvaluationError as raised:
        problem = problem or raised
    args = first, second
    charge(frame, cost(args))
    if problem is not None:
        raise problem
    return args


def equality(name: str, left: Step, right: Step) -> Step:
    cost = cost_of_call(name, "equals" if name == "_==_" else "not_equals")
    wanted = name == "_==_"

    def run(frame: Frame) -> Any:
        first, second = _both(left, right, frame, cost)
        try:
            return equal(first, second) is wanted
        except EvaluationError:
            if wanted:
                raise
            return True  # an error is not equal

    return run


def not_strictly_false(step: Step) -> Step:
    def run(frame: Frame) -> Any:
        try:
            value = step(frame)
        except EvaluationError:
            value = True
        charge(frame, 1)
        return value if type(value) is bool else True

    return run


def otherwise(left: Step, right: Step, unwrap: bool) -> Step:
    def run(frame: Frame) -> Any:
        value = left(frame)
        if type(value) is not Optional:
            return value
        if value.present:
            return value.value if unwrap else value
        return right(frame)

    return run


def membership(step: Step, values: Any) -> Step | None:
    """``in`` a list of constants: a look-up, which costs nothing. None where they are of other types."""
    if not all(isinstance(value, str | bool | int | float) for value in values):
        return None
    if not values:
        return Constant(False)
    known = {key_of(value) for value in values}

    def run(frame: Frame) -> Any:
        value = step(frame)
        if not isinstance(value, str | bool | int | float):
            return False
        return key_of(value) in known

    return run


def call(run: Implementation, cost: Cost, steps: list[Step]) -> Step:
    after = getattr(cost, "after", None)  # a cost that looks at the result
    if after is not None:
        return _charged_after(run, after, steps)
    if len(steps) == 2:
        left, right = steps

        def binary(frame: Frame) -> Any:
            return run(*_both(left, right, frame, cost))

        return binary
    if len(steps) == 1:
        step = steps[0]

        def unary(frame: Frame) -> Any:
            try:
                value = step(frame)
            except EvaluationError:
                charge(frame, cost((0,)))
                raise
            charge(frame, cost((value,)))
            return run(value)

        return unary

    def many(frame: Frame) -> Any:
        args = [step(frame) for step in steps]
        charge(frame, cost(args))
        return run(*args)

    return many


def _charged_after(run: Implementation, after: Callable[[Any], int], steps: list[Step]) -> Step:
    def resulting(frame: Frame) -> Any:
        args = [step(frame) for step in steps]
        try:
            result = run(*args)
        except EvaluationError:
            charge(frame, after(0))
            raise
        charge(frame, after(result))
        return result

    return resulting
