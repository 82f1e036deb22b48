"""Environments, programs and results: what others use of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, final

from . import macros
from .ast import Expr, Ident, Select, walk
from .bounds import STEPS, CostExceeded, compiled_together, steps_of
from .checker import Checker
from .declarations import Library, merged
from .estimate import Estimator
from .libraries.addresses import NETWORK
from .libraries.amounts import AMOUNTS
from .libraries.authorizer import AUTHORIZATION
from .libraries.conversions import CONVERSIONS
from .libraries.lists import EXTENDED_LISTS, KUBERNETES_LISTS, SETS
from .libraries.operators import OPERATORS
from .libraries.optionals import COMPREHENSIONS, OPTIONAL_TYPES
from .libraries.strings import REGEX, STRINGS
from .libraries.texts import NAMED_FORMATS, URLS
from .objects import NO_OBJECTS, Objects
from .parser import Unparsable, parse
from .planner import Planner, Unplannable
from .ranges import Path, Range
from .source import CompileError, Issue
from .steps import COST, FIRST_VARIABLE, LIMIT, Frame, Step
from .types import Type
from .validators import problems
from .values import MISSING, EvaluationError

PER_CALL_LIMIT: Final = 1_000_000  # of one evaluation, about 0.1 s in kube-apiserver
UNLIMITED: Final = 2**62

KUBERNETES: Final = (
    OPERATORS,
    CONVERSIONS,
    URLS,
    REGEX,
    KUBERNETES_LISTS,
    AUTHORIZATION,
    OPTIONAL_TYPES,
    AMOUNTS,
    STRINGS,
    SETS,
    NETWORK,
    NAMED_FORMATS,
    COMPREHENSIONS,
    EXTENDED_LISTS,
    Library("macros", macros=macros.STANDARD),
)
_ALL: Final = merged(KUBERNETES)
BINDINGS: Final = Library("bindings", macros=macros.BINDINGS)  # cel.bind, which Kubernetes has in few places


class Result(NamedTuple):
    """``error``: why there is no value; ``exceeded``: it was stopped at the cost limit. ``work``: what budgets are charged: its cost,
    or more where it has looked at more than that says.
    """

    value: Any
    cost: int
    error: str = ""
    exceeded: bool = False
    work: int = 0


def _unknown(path: Path) -> int | None:
    return None


def _variable(node: Expr) -> str:
    """That it refers to, "" for none."""
    return node.resolved if isinstance(node, Select) else node.name if isinstance(node, Ident) else ""


@final
class Program:
    """A compiled expression. Any number of threads may evaluate it at once."""

    def __init__(self, source: str, root: Expr, variables: Sequence[str], step: Step, size: int) -> None:
        self.source = source
        self.root = root
        self._step = step
        self._frame: Frame = [0, 0, *[MISSING] * len(variables)]
        self._frame += [None] * (size - len(self._frame))
        used = {_variable(node) for node in walk(root)}
        self._used = tuple((slot, name) for slot, name in enumerate(variables, FIRST_VARIABLE) if name in used)
        assert root.type is not None
        self.output: Type = root.type

    def uses(self, variable: str) -> bool:
        """Whether it refers to a variable of the environment."""
        return any(name == variable for _, name in self._used)

    def estimated_cost(self, sizes: Callable[[Path], int | None] = _unknown) -> Range:
        """``sizes``: the most elements or characters that is at a path (variable, fields, "@items", "@values", "@keys")."""
        return Estimator(sizes).cost(self.root)

    def evaluate(self, bindings: Mapping[str, Any], cost_limit: int = PER_CALL_LIMIT) -> Result:
        """Takes steps in proportion to the cost at most. A variable without a binding is an error where it is asked for."""
        frame = self._frame.copy()
        frame[LIMIT] = cost_limit
        for slot, name in self._used:
            frame[slot] = bindings.get(name, MISSING)
        around, steps = STEPS.left, steps_of(cost_limit)  # a variable of a policy is evaluated within what asks for it
        STEPS.begin(steps)
        value, error, exceeded = None, "", False
        try:
            value = self._step(frame)
        except EvaluationError as problem:
            error = str(problem)
        except CostExceeded as problem:
            frame[COST] = max(frame[COST], cost_limit + 1)
            error, exceeded = str(problem), True
        except RecursionError:
            error = "expression is nested too deeply"
        looked, STEPS.left = steps - STEPS.left, around
        return Result(value, frame[COST], error, exceeded, max(frame[COST], looked))


@final
class Environment:
    """Which variables, functions and types of objects an expression may use."""

    def __init__(
        self,
        variables: Mapping[str, Type],
        *,
        objects: Objects = NO_OBJECTS,
        libraries: Sequence[Library] = (),
        without: Sequence[Library] = (),
    ) -> None:
        """``libraries`` beside Kubernetes' own; ``without``: which of those are not there."""
        self.variables = dict(variables)
        self.objects = objects
        if libraries or without:
            self._library = merged([*(it for it in KUBERNETES if it not in without), *libraries])
        else:
            self._library = _ALL
        self._macros = macros.Macros(self._library.macros)

    def compile(self, source: str) -> Program:
        """Raises CompileError."""
        try:
            with compiled_together():
                return self._compiled(source)
        except Unparsable as problem:
            raise CompileError(source, problem.issues) from None
        except RecursionError:
            raise CompileError(source, [Issue(None, "expression recursion limit exceeded: 250")]) from None

    def _compiled(self, source: str) -> Program:
        root = parse(source, self._macros)
        checker = Checker(self.variables, self._library, self.objects)
        checker.check(root)
        issues = checker.issues or problems(root)
        if issues:
            raise CompileError(source, issues)
        planner = Planner(list(self.variables), self._library, self.objects)
        try:
            step = planner.plan(root)
        except Unplannable as problem:
            assert root.type is not None
            raise InstantiationError(source, str(problem), root.type) from None
        return Program(source, root, list(self.variables), step, planner.size)


class InstantiationError(CompileError):
    """It is of type ``output``, but a constant part of it has no value; ``str()`` is the reason alone."""

    def __init__(self, source: str, reason: str, output: Type) -> None:
        super().__init__(source, [])
        self.output = output
        self.args = (reason,)
