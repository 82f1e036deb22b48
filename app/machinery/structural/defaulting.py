"""Fills in the defaults of a schema (apiextensions-apiserver's structural defaulting)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.core.values import copy_json

from .props import Props, additional, items, properties

Fill = Callable[[Any], None]


def compile_defaulting(props: Props | None) -> Fill | None:
    """A function that fills an object in place, or None when the schema has no default anywhere."""
    if props is None:
        return None
    values = {
        n: (c["default"], not c.get("nullable")) for n, c in properties(props).items() if c.get("default") is not None
    }
    inner = {name: into for name, child in properties(props).items() if (into := compile_defaulting(child)) is not None}
    others, elements = additional(props), items(props)
    rest, each = compile_defaulting(others), compile_defaulting(elements)
    rest_null, each_null = _for_null(others), _for_null(elements)
    if not values and not inner and rest is None and each is None and rest_null is None and each_null is None:
        return None
    known = frozenset(properties(props))

    def fill(value: Any) -> None:
        if value.__class__ is dict:
            for name, (default, replaces_null) in values.items():
                if name not in value or (replaces_null and value[name] is None):
                    value[name] = copy_json(default)
            for name, into in inner.items():
                if name in value:
                    into(value[name])
            if rest is not None or rest_null is not None:
                _fill_each(value, [name for name in value if name not in known], rest, rest_null)
        elif value.__class__ is list and (each is not None or each_null is not None):
            _fill_each(value, range(len(value)), each, each_null)

    return fill


def _fill_each(container: Any, places: Any, into: Fill | None, for_null: Any) -> None:
    for place in places:
        if container[place] is None and for_null is not None:
            container[place] = copy_json(for_null)
        if into is not None:
            into(container[place])


def _for_null(props: Props | None) -> Any:
    """What stands for a null of this schema, None when null stays."""
    return props.get("default") if props is not None and not props.get("nullable") else None
