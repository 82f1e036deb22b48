"""Whether objects keep the rules of their schema (x-kubernetes-validations), as the API server of extensions checks them.

A write may cost ``BUDGET`` in all; what a rule finds in a part that the write does not change is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, final

from kafila.core.errors import FieldError
from kafila.machinery.structural.props import (
    LIST_MAP_KEYS,
    LIST_TYPE,
    RULES,
    Props,
    additional,
    anywhere,
    items,
    properties,
)

from .rules import Rule, compiled
from .schema import Declared, declared, escaped
from .typed import Shape
from .values import NO_OVERLOAD, NONE, Optional

BUDGET: Final = 10_000_000  # cost of all rules of one write
LONGEST_MESSAGE: Final = 5 * 1024  # bytes
_OUT: Final = "validation failed due to running out of cost budget, no further validation rules will be run"


class _OutOfBudget(Exception):
    """Nothing more is evaluated."""


def compile_rules(props: Props | None) -> Rules | None:
    """None where there is no rule anywhere."""
    node = _compiled(props) if props is not None else None
    return None if props is None or node is None else Rules(node, props)


def _compiled(props: Props) -> _Node | None:
    known = declared(props, True) if anywhere(props, RULES) else None
    return _node(props, known, True) if known is not None else None


@final
class DefaultRules:
    """Whether the defaults of a schema keep its rules, as what an object had and as what it has not had yet."""

    def __init__(self, schema: Props) -> None:
        self._schema = schema
        self._nodes: dict[int, _Node] | None = None  # by the schema's part
        self._left = BUDGET

    def __call__(self, props: Props, path: str, default: Any) -> list[FieldError]:
        if self._left < 0 or not anywhere(props, RULES):
            return []
        if self._nodes is None:
            root = _compiled(self._schema)
            self._nodes = {id(node.props): node for node in root.all()} if root is not None else {}
        node = self._nodes.get(id(props))
        if node is None:
            return []
        runs = [_Run(self._left), _Run(self._left)]
        for run, old in zip(runs, (default, None), strict=True):
            run.all(node, path, default, old, None)
            if run.found:
                break
        self._left = min(run.left for run in runs)
        return run.found


@final
class Rules:
    """Of a kind. ``cost``: what one write may cost at most, as far as the schema bounds it."""

    def __init__(self, root: _Node, props: Props) -> None:
        self._root = root
        self._props = props
        self.cost = root.total()

    def new(self, obj: Any, budget: int = BUDGET) -> list[FieldError]:
        return self._run(obj, None, None, budget)[0]

    def changed(self, new: Any, old: Any) -> tuple[list[FieldError], list[str]]:
        """And warnings: about what was wrong before in the same way."""
        return self._run(new, old, Correlated(new, old, self._props), BUDGET)

    def _run(
        self, new: Any, old: Any, correlated: Correlated | None, budget: int
    ) -> tuple[list[FieldError], list[str]]:
        run = _Run(budget)
        run.all(self._root, "", new, old, correlated)
        return run.found, run.warnings


@final
class Correlated:
    """A value and what it was before, as far as the schema says what belongs together."""

    __slots__ = ("_children", "_equal", "_old_items", "_props", "new", "old")

    def __init__(self, new: Any, old: Any, props: Props) -> None:
        self.new = new
        self.old = old
        self._props = props
        self._children: dict[Any, Correlated | None] = {}
        self._equal: bool | None = None
        self._old_items: dict[Any, Any] | None = None

    def key(self, name: str) -> Correlated | None:
        if name not in self._children:
            self._children[name] = self._key(name)
        return self._children[name]

    def _key(self, name: str) -> Correlated | None:
        if not isinstance(self.old, dict) or not isinstance(self.new, dict):
            return None
        if name not in self.old or name not in self.new:
            return None
        props = properties(self._props).get(name)
        props = additional(self._props) if props is None else props
        return None if props is None else Correlated(self.new[name], self.old[name], props)

    def index(self, at: int) -> Correlated | None:
        if at not in self._children:
            self._children[at] = self._index(at)
        return self._children[at]

    def _index(self, at: int) -> Correlated | None:
        inner = items(self._props)
        old = self.old_element(self.new[at]) if isinstance(self.new, list) else None
        return None if inner is None or old is None else Correlated(self.new[at], old, inner)

    def old_element(self, element: Any) -> Any:
        """None where there was none, or nothing says which one it was."""
        if self._props.get(LIST_TYPE) != "map" or not isinstance(self.old, list):
            return None
        if self._old_items is None:
            self._old_items = by_keys(self.old, self._props)
        return self._old_items.get(keys_of(element, self._props))

    @property
    def equal(self) -> bool:
        """Whether nothing has changed."""
        if self._equal is None:
            self._equal = self.new == self.old and type(self.new) is type(self.old)
        return self._equal


def keys_of(element: Any, props: Props) -> Any:
    if not isinstance(element, dict):
        return None
    names = props.get(LIST_MAP_KEYS) or ()
    return tuple(
        (value.__class__, value) if not isinstance(value := element.get(name), list | dict) else None for name in names
    )


def by_keys(elements: list[Any], props: Props) -> dict[Any, Any]:
    return {keys_of(element, props): element for element in elements}


@final
class _Node:
    """A part of a schema with rules in it or below it."""

    __slots__ = ("additional", "items", "kind", "properties", "props", "rules", "shape")

    def __init__(self, props: Props) -> None:
        self.props = props
        self.kind: str = props.get("type") or ""
        self.rules: list[Rule] = []
        self.shape: Shape | None = None
        self.items: _Node | None = None
        self.additional: _Node | None = None
        self.properties: dict[str, _Node] = {}

    def all(self) -> Iterator[_Node]:
        """It and what is below it."""
        yield self
        inner = [node for node in (self.items, self.additional) if node is not None]
        for node in [*inner, *self.properties.values()]:
            yield from node.all()

    def total(self) -> int:
        return sum(rule.cost + rule.message_cost for node in self.all() for rule in node.rules)


def _node(props: Props, known: Declared, root: bool = False) -> _Node | None:
    node = _Node(props)
    if props.get(RULES):
        node.rules = compiled(props, known)
        node.shape = Shape(props, root)
    if (inner := items(props)) is not None and known.element is not None and anywhere(inner, RULES):
        node.items = _node(inner, known.element)
    if (inner := additional(props)) is not None and known.element is not None and anywhere(inner, RULES):
        node.additional = _node(inner, known.element)
    for name, child in properties(props).items():
        if not anywhere(child, RULES):
            continue
        key = escaped(name)
        found = (known.fields or {}).get(key) if key is not None else declared(child)
        below = _node(child, found) if found is not None else None
        if below is not None:
            node.properties[name] = below
    return node


@final
class _Run:
    """The check of one write."""

    def __init__(self, budget: int) -> None:
        self.found: list[FieldError] = []
        self.warnings: list[str] = []
        self.left = budget  # negative: there was not enough

    def all(self, root: _Node, path: str, new: Any, old: Any, correlated: Correlated | None) -> None:
        try:
            self.validate(root, path, new, old, correlated, None)
        except _OutOfBudget:
            self.left = -1

    def validate(
        self, node: _Node, path: str, new: Any, old: Any, current: Correlated | None, parent: Correlated | None
    ) -> None:
        """``current``: the value with what it was before, where that is known; ``parent``: the nearest above where it is."""
        if new is None:
            return
        if node.rules:
            self._rules(node, path, new, old, current if current is not None else parent)
        if isinstance(new, list) and node.items is not None:
            before = old if isinstance(old, list) else []
            olds = by_keys(before, node.props) if node.props.get(LIST_TYPE) == "map" else {}
            for index, element in enumerate(new):
                was = olds.get(keys_of(element, node.props)) if olds else None
                inner = current.index(index) if current is not None else None
                nearest = current if current is not None else parent
                self.validate(node.items, f"{path}[{index}]", element, was, inner, nearest)
        elif isinstance(new, dict):
            self._members(node, path, new, old if isinstance(old, dict) else {}, current, parent)

    def _members(
        self,
        node: _Node,
        path: str,
        new: dict[str, Any],
        old: dict[str, Any],
        current: Correlated | None,
        parent: Correlated | None,
    ) -> None:
        nearest = current if current is not None else parent
        for name, value in new.items() if node.additional is not None else ():
            assert node.additional is not None
            inner = current.key(name) if current is not None else None
            self.validate(node.additional, f"{path}[{name}]", value, old.get(name), inner, nearest)
        for name, child in node.properties.items():
            if name in new:
                inner = current.key(name) if current is not None else None
                where = f"{path}.{name}" if path else name
                self.validate(child, where, new[name], old.get(name), inner, nearest)

    def _rules(self, node: _Node, path: str, new: Any, old: Any, correlated: Correlated | None) -> None:
        if self.left <= 0:
            self._stop(path, node, _OUT)
        assert node.shape is not None
        bindings: dict[str, Any] = {"self": node.shape.value(new)}
        optionally: dict[str, Any] = {**bindings, "oldSelf": NONE}
        if old is not None:
            bindings["oldSelf"] = node.shape.value(old)
            optionally["oldSelf"] = Optional(bindings["oldSelf"], True)
        for rule in node.rules:
            if rule.error:
                self._refuse(path, node, f"rule compile error: {rule.error}")
            elif rule.program is not None and (not rule.uses_old or old is not None or rule.optional_old):
                self._rule(rule, node, path, new, optionally if rule.optional_old else bindings, correlated)

    def _rule(
        self, rule: Rule, node: _Node, path: str, new: Any, bindings: dict[str, Any], correlated: Correlated | None
    ) -> None:
        assert rule.program is not None
        result = rule.program.evaluate(bindings)
        if result.work > self.left:
            self._stop(path, node, _OUT)
        self.left -= result.work
        if result.exceeded:
            why = f"'{result.error}': no further validation rules will be run due to call cost exceeds limit for rule: {rule.text}"
            self._stop(path, node, why)
        if result.error.startswith(NO_OVERLOAD):
            what = "call arguments did not match a supported operator, function or macro signature for rule"
            self._refuse(path, node, f"'{result.error}': {what}: {rule.text}")
        elif result.error:
            self._refuse(path, node, f"{result.error} evaluating rule: {rule.text}")
        elif result.value is not True:
            self._broken(rule, node, path, new, bindings, correlated)

    def _broken(
        self, rule: Rule, node: _Node, path: str, new: Any, bindings: dict[str, Any], correlated: Correlated | None
    ) -> None:
        where = path
        if rule.field:
            where = f"{path}.{rule.field}" if path else rule.field
        unchanged = not rule.uses_old and correlated is not None and correlated.equal
        detail = rule.source.get("message", "").strip() if rule.source.get("message") else f"failed rule: {rule.text}"
        if rule.message is not None:
            said, why = self._message(rule, bindings)
            if why:
                self._add(FieldError.invalid(where or "<nil>", node.kind, why), unchanged)
                raise _OutOfBudget
            detail = said or detail
        self._add(_finding(rule.source.get("reason"), where or "<nil>", node.kind, new, detail), unchanged)

    def _message(self, rule: Rule, bindings: dict[str, Any]) -> tuple[str, str]:
        """What its expression says, "" for nothing of use; and why nothing more is evaluated."""
        assert rule.message is not None
        source = rule.source["messageExpression"]
        result = rule.message.evaluate(bindings)
        if result.work > self.left:
            return (
                "",
                "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run",
            )
        if result.exceeded:
            head = "no further validation rules will be run due to call cost exceeds limit for messageExpression"
            return "", f'{head}: "{source}"'
        self.left -= result.work
        text = result.value.strip() if isinstance(result.value, str) else ""
        return ("" if len(text.encode()) > LONGEST_MESSAGE or "\n" in text else text), ""

    def _add(self, error: FieldError, unchanged: bool) -> None:
        if unchanged:
            self.warnings.append(str(error))
        else:
            self.found.append(error)

    def _refuse(self, path: str, node: _Node, why: str) -> None:
        self.found.append(FieldError.invalid(path or "<nil>", node.kind, why))

    def _stop(self, path: str, node: _Node, why: str) -> None:
        self._refuse(path, node, why)
        raise _OutOfBudget


def _finding(reason: str | None, path: str, kind: str, value: Any, detail: str) -> FieldError:
    if reason == "FieldValueForbidden":
        return FieldError.forbidden(path, detail)
    if reason == "FieldValueRequired":
        return FieldError.required(path, detail)
    whole = kind in ("object", "array")
    if reason == "FieldValueDuplicate":
        return FieldError("FieldValueDuplicate", path) if whole else FieldError.duplicate(path, value)
    if whole:  # Kubernetes does not show it
        return FieldError("FieldValueInvalid", path, detail=detail)
    return FieldError.invalid(path, value, detail)
