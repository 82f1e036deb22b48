"""The tree of an expression. The checker writes types and overloads into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .types import Type


@dataclass(slots=True, eq=False)
class Expr:
    """``at``: the character that errors point to; ``type`` and ``overloads`` come from the checker."""

    at: int
    type: Type | None = field(default=None, init=False)
    overloads: tuple[str, ...] = field(default=(), init=False)


@dataclass(slots=True, eq=False)
class Literal(Expr):
    value: Any


@dataclass(slots=True, eq=False)
class Ident(Expr):
    name: str


@dataclass(slots=True, eq=False)
class Select(Expr):
    operand: Expr
    field_name: str
    test_only: bool = False
    resolved: str = ""  # the qualified name that the whole stands for, "" for a field


@dataclass(slots=True, eq=False)
class Call(Expr):
    function: str
    args: list[Expr]
    target: Expr | None = None


@dataclass(slots=True, eq=False)
class ListExpr(Expr):
    elements: list[Expr]
    optionals: frozenset[int] = frozenset()


@dataclass(slots=True, eq=False)
class Entry:
    """Of a map (``key`` is an expression) or of a message (``key`` is a field's name)."""

    at: int
    key: Any
    value: Expr
    optional: bool = False


@dataclass(slots=True, eq=False)
class MapExpr(Expr):
    entries: list[Entry]


@dataclass(slots=True, eq=False)
class Struct(Expr):
    type_name: str
    entries: list[Entry]


@dataclass(slots=True, eq=False)
class Comprehension(Expr):
    """``accu`` is ``init``; for each element while ``condition``: ``accu`` is ``step``; then the whole is ``result``."""

    range: Expr
    var: str
    var2: str  # "" in a comprehension over one variable
    accu: str
    init: Expr
    condition: Expr
    step: Expr
    result: Expr


def children(node: Expr) -> list[Expr]:
    if isinstance(node, Select):
        return [node.operand]
    if isinstance(node, Call):
        return [*([node.target] if node.target is not None else ()), *node.args]
    if isinstance(node, ListExpr):
        return node.elements
    if isinstance(node, MapExpr):
        return [part for entry in node.entries for part in (entry.key, entry.value)]
    if isinstance(node, Struct):
        return [entry.value for entry in node.entries]
    if isinstance(node, Comprehension):
        return [node.range, node.init, node.condition, node.step, node.result]
    return []


def walk(root: Expr) -> list[Expr]:
    """The node and all below it, parents first, in reading order."""
    out, todo = [], [root]
    while todo:
        node = todo.pop()
        out.append(node)
        todo.extend(reversed(children(node)))
    return out


def copied(node: Expr) -> Expr:
    """A tree of its own, before it is checked."""
    if isinstance(node, Literal):
        return Literal(node.at, node.value)
    if isinstance(node, Ident):
        return Ident(node.at, node.name)
    if isinstance(node, Select):
        return Select(node.at, copied(node.operand), node.field_name, node.test_only)
    if isinstance(node, Call):
        target = None if node.target is None else copied(node.target)
        return Call(node.at, node.function, [copied(arg) for arg in node.args], target)
    if isinstance(node, ListExpr):
        return ListExpr(node.at, [copied(part) for part in node.elements], node.optionals)
    if isinstance(node, MapExpr):
        return MapExpr(node.at, [Entry(it.at, copied(it.key), copied(it.value), it.optional) for it in node.entries])
    if isinstance(node, Struct):
        entries = [Entry(it.at, it.key, copied(it.value), it.optional) for it in node.entries]
        return Struct(node.at, node.type_name, entries)
    assert isinstance(node, Comprehension)
    parts = (node.range, node.init, node.condition, node.step, node.result)
    over, init, condition, step, result = (copied(part) for part in parts)
    return Comprehension(node.at, over, node.var, node.var2, node.accu, init, condition, step, result)


def qualified_name(node: Expr) -> str:
    """``a.b.c`` of nested fields of a name; "" for anything else."""
    parts: list[str] = []
    while isinstance(node, Select):
        if node.test_only:
            return ""
        parts.append(node.field_name)
        node = node.operand
    if not isinstance(node, Ident):
        return ""
    return ".".join([node.name, *reversed(parts)])
