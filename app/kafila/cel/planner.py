"""Turns a checked expression into closures that evaluate it (cel-go's planner)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

from kafila.machinery.structural.patterns import TOO_LARGE, pattern_error

from .actual_cost import cost_of_call
from .ast import Call, Comprehension, Expr, Ident, ListExpr, Literal, MapExpr, Select, Struct
from .attributes import Attribute, computed, conditional, fixed, presence, variable
from .bounds import PATTERNS
from .declarations import Implementation, Library
from .dispatch import implementation
from .gathering import appended, fold, go_type, list_of, map_of, struct
from .patterns import all_matches, first_match, searched
from .steps import (
    FIRST_VARIABLE,
    LIST_COST,
    MAP_COST,
    STRUCT_COST,
    Constant,
    Fixed,
    Maker,
    Step,
    call,
    equality,
    logical,
    membership,
    not_strictly_false,
    otherwise,
)
from .values import EvaluationError

_CONVERSIONS: Final = frozenset(
    ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"]
)


_SEARCHES: Final[dict[str, Implementation]] = {"matches": searched, "find": first_match, "findAll": all_matches}


class Unplannable(Exception):
    """A constant part that has no value."""


@final
class Planner:
    """Of one expression. ``slots``: variable -> place in the frame."""

    def __init__(self, variables: Sequence[str], library: Library, maker: Maker) -> None:
        self._scopes: list[dict[str, int]] = [{name: at + FIRST_VARIABLE for at, name in enumerate(variables)}]
        self._library = library
        self._maker = maker
        self.size = FIRST_VARIABLE + len(variables)

    def plan(self, node: Expr) -> Step:
        """Raises Unplannable."""
        if isinstance(node, Literal):
            return Constant(node.value)
        if isinstance(node, Ident):
            return self._named(node.name)
        if isinstance(node, Select):
            return self._selected(node)
        if isinstance(node, Call):
            return self._called(node)
        if isinstance(node, ListExpr):
            return self._list(node)
        if isinstance(node, MapExpr):
            return self._map(node)
        if isinstance(node, Struct):
            return self._struct(node)
        assert isinstance(node, Comprehension)
        return self._comprehension(node)

    def _named(self, name: str) -> Step:
        slot = next((scope[name] for scope in reversed(self._scopes) if name in scope), None)
        if slot is None:
            return Constant(self._library.constants[name])
        return Attribute(variable(slot, name), slot=slot)

    def _selected(self, node: Select) -> Step:
        if node.resolved:
            return self._named(node.resolved)
        attribute = self._attribute(node.operand)
        if node.test_only:
            attribute.presence_of(node.field_name)
            return presence(attribute)
        attribute.field(node.field_name)
        return attribute

    def _attribute(self, node: Expr) -> Attribute:
        step = self.plan(node)
        return step if isinstance(step, Attribute) else Attribute(step)

    def _called(self, node: Call) -> Step:
        name = node.function
        if name in ("_[_]", "_[?_]", "_?._"):
            return self._indexed(node, name != "_[_]")
        if node.overloads == ("add_list",) and (element := _only_element(node.args[1])) is not None:
            return self._appended(node, element)
        parts = [*([node.target] if node.target is not None else ()), *node.args]
        steps = []
        for part in parts:  # no comprehension: it would take a frame of the stack for each level
            steps.append(self.plan(part))
        if name in ("_&&_", "_||_"):
            return logical(steps[0], steps[1], name == "_||_")
        if name == "_?_:_":
            return conditional(*steps)
        if name in ("_==_", "_!=_"):
            return equality(name, steps[0], steps[1])
        if name == "@not_strictly_false":
            return not_strictly_false(steps[0])
        if name in ("or", "orValue") and len(steps) == 2:
            return otherwise(steps[0], steps[1], name == "orValue")
        overload = node.overloads[0] if len(node.overloads) == 1 else ""
        if overload == "in_list" and isinstance(steps[1], Constant) and (step := membership(steps[0], steps[1].value)):
            return step
        return self._function(name, overload, parts, steps)

    def _function(self, name: str, overload: str, parts: list[Expr], steps: list[Step]) -> Step:
        run = implementation(self._library, name, overload, parts)
        constant = len(steps) == 1 and isinstance(steps[0], Constant) and name in _CONVERSIONS
        if constant:
            try:
                return Constant(run(steps[0].value))  # type: ignore[attr-defined]
            except EvaluationError as problem:
                raise Unplannable(str(problem)) from None
        if name in _SEARCHES and isinstance(steps[1], Constant):
            _check_pattern(steps[1].value)
            run = _SEARCHES[name]
        return call(run, cost_of_call(name, overload), steps)

    def _appended(self, node: Call, element: Expr) -> Step:
        """What comprehensions collect with."""
        collected, step = self.plan(node.args[0]), self.plan(element)
        if isinstance(step, Constant):  # a list of it is there already, and costs nothing
            return self._function(node.function, node.overloads[0], node.args, [collected, Constant([step.value])])
        return appended(collected, step)

    def _indexed(self, node: Call, optionally: bool) -> Step:
        attribute = self._attribute(node.args[0])
        index = self.plan(node.args[1])
        if isinstance(index, Constant):
            if not isinstance(index.value, str | bool | int | float):
                raise Unplannable(f"invalid qualifier type: {go_type(index.value)}")
            qualifier = fixed(index.value)
        elif isinstance(index, Attribute):
            qualifier = computed(index.resolve)
        else:
            qualifier = computed(index)
        attribute.qualifiers.append((qualifier, "", optionally))
        return attribute

    def _list(self, node: ListExpr) -> Step:
        steps = [self.plan(element) for element in node.elements]
        if not node.optionals and all(isinstance(step, Constant) for step in steps):
            return Constant([step.value for step in steps])  # type: ignore[attr-defined]
        step = list_of(steps, node.optionals)
        return step if node.optionals else _known(step, LIST_COST, steps)

    def _map(self, node: MapExpr) -> Step:
        entries = [(self.plan(it.key), self.plan(it.value), it.optional) for it in node.entries]
        step = map_of(entries)
        if all(isinstance(key, Constant) and isinstance(value, Constant) for key, value, _ in entries):
            try:
                return Constant(step([0, MAP_COST]))
            except EvaluationError as problem:
                raise Unplannable(str(problem)) from None
        return step

    def _struct(self, node: Struct) -> Step:
        entries = [(it.key, self.plan(it.value), it.optional) for it in node.entries]
        step = struct(node.type_name, entries, self._maker)
        if any(optional for _, _, optional in entries):
            return step
        return _known(step, STRUCT_COST, [value for _, value, _ in entries])

    def _slot(self) -> int:
        self.size += 1
        return self.size - 1

    def _comprehension(self, node: Comprehension) -> Step:
        over = self.plan(node.range)
        init = self.plan(node.init)
        accu, var = self._slot(), self._slot()
        var2 = self._slot() if node.var2 else 0
        self._scopes.append({node.accu: accu})
        self._scopes.append({node.var: var, node.var2: var2} if node.var2 else {node.var: var})
        condition, step = self.plan(node.condition), self.plan(node.step)
        self._scopes.pop()
        result = self.plan(node.result)
        self._scopes.pop()
        return fold(over, init, condition, step, result, accu, var, var2)


def _only_element(node: Expr) -> Expr | None:
    """Of a list of one element."""
    return node.elements[0] if isinstance(node, ListExpr) and len(node.elements) == 1 and not node.optionals else None


def _known(step: Step, cost: int, parts: list[Step]) -> Step:
    """``step``, which puts ``parts`` together; where these are known, so is its value."""
    for part in parts:
        if isinstance(part, Fixed):
            cost += part.cost
        elif not isinstance(part, Constant):
            return step
    try:
        return Fixed(step([0, cost]), cost)
    except EvaluationError:
        return step


def _check_pattern(pattern: Any) -> None:
    if not isinstance(pattern, str):
        return
    if not PATTERNS.take(pattern):
        raise Unplannable(f"error parsing regexp: {TOO_LARGE}: all patterns together")
    if error := pattern_error(pattern):
        raise Unplannable(error)
