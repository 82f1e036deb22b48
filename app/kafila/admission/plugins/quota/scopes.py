"""The scopes of a quota: which objects it is about."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import NamedTuple

from kafila.core.values import Object


class Scope(NamedTuple):
    name: str
    operator: str = "Exists"
    values: tuple[str, ...] = ()


def scopes_of(quota: Object) -> Iterator[Scope]:
    """All of them have to match."""
    spec = quota.get("spec") or {}
    for name in spec.get("scopes") or ():
        yield Scope(name)
    for term in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        yield Scope(term.get("scopeName", ""), term.get("operator", ""), tuple(term.get("values") or ()))


def names_match(scope: Scope, names: Set[str]) -> bool:
    """Whether one of the classes that an object names is meant; without any, as a label that is not there."""
    match scope.operator:
        case "Exists":
            return bool(names)
        case "DoesNotExist":
            return not names
        case "In":
            return any(name in scope.values for name in names)
        case "NotIn":
            return not names or any(name not in scope.values for name in names)
    return False
