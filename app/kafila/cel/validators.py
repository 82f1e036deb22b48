"""What is wrong with literals, found before anything is evaluated (cel-go's AST validators)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafila.machinery.structural.patterns import pattern_error

from .ast import Call, Expr, ListExpr, Literal, MapExpr, walk
from .bounds import PATTERNS
from .libraries.conversions import to_duration, to_timestamp
from .libraries.formatting import format_problems
from .source import Issue
from .types import Type, unwrapped
from .values import EvaluationError


def problems(root: Expr) -> list[Issue]:
    nodes = walk(root)
    out: list[Issue] = []
    for function, check in (
        ("duration", _converts(to_duration)),
        ("timestamp", _converts(to_timestamp)),
        ("matches", _regex),
    ):
        for node in nodes:
            if isinstance(node, Call) and node.function == function and node.args:
                arg = node.args[0]
                if isinstance(arg, Literal) and not check(arg.value):
                    out.append(Issue(arg.at, f"invalid {function} argument"))
    for node in nodes:
        if isinstance(node, Call) and node.function == "format":
            out.extend(format_problems(node))
    exempt = {part for node in nodes if isinstance(node, Call) and node.function == "format" for part in walk(node)[1:]}
    for node in nodes:
        if node in exempt:
            continue
        if isinstance(node, ListExpr):
            out.extend(_mixed_list(node))
        elif isinstance(node, MapExpr):
            out.extend(_mixed_map(node))
    return out


def _converts(convert: Callable[[Any], Any]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        try:
            convert(value)
        except EvaluationError:
            return False
        return True

    return check


def _regex(value: Any) -> bool:
    """What is too much together the planner refuses."""
    return not isinstance(value, str) or not PATTERNS.take(value) or not pattern_error(value)


def _equivalent(first: Type, second: Type) -> bool:
    """The same but for parameters, which stand for anything."""
    if first.kind == "param" or second.kind == "param":
        return True
    if (first.kind, first.name, len(first.params)) != (second.kind, second.name, len(second.params)):
        return False
    return all(_equivalent(*pair) for pair in zip(first.params, second.params, strict=True))


def _kind(node: Expr, *, optionally: bool) -> Type:
    assert node.type is not None
    return unwrapped(node.type)[0] if optionally else node.type


def _mismatch(node: Expr, wanted: Type, given: Type) -> Issue:
    return Issue(node.at, f"expected type '{wanted}' but found '{given}'")


def _mixed_list(node: ListExpr) -> list[Issue]:
    wanted: Type | None = None
    for index, element in enumerate(node.elements):
        kind = _kind(element, optionally=index in node.optionals)
        if wanted is None:
            wanted = kind
        elif not _equivalent(wanted, kind):
            return [_mismatch(element, wanted, kind)]
    return []


def _mixed_map(node: MapExpr) -> list[Issue]:
    out: list[Issue] = []
    wanted: tuple[Type, Type] | None = None
    for entry in node.entries:
        key, value = _kind(entry.key, optionally=False), _kind(entry.value, optionally=entry.optional)
        if wanted is None:
            wanted = key, value
            continue
        if not _equivalent(wanted[0], key):
            out.append(_mismatch(entry.key, wanted[0], key))
        if not _equivalent(wanted[1], value):
            out.append(_mismatch(entry.value, wanted[1], value))
    return out
