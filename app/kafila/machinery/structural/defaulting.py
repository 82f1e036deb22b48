"""Fills in the defaults of a schema (apiextensions-apiserver's structural defaulting).

What one object may be given has a limit: a list of 100,000 times ``{}`` is 300 kB, and 100 MB with a default in each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import orjson

from kafila.core.errors import request_entity_too_large
from kafila.core.values import copy_json

from .props import Props, additional, items, properties

LIMIT: Final = 8 << 20  # bytes of defaults, as JSON, that are put into one object
_CONTAINER: Final = 64  # bytes more for each list and map: empty ones are two bytes of JSON and many in memory
Fill = Callable[[Any], None]


@final
class _Budget:
    """What may still be added to one object."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = LIMIT


@final
class _Default:
    """A value that is filled in, and what it takes."""

    __slots__ = ("_cost", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value
        self._cost = len(orjson.dumps(value)) + _CONTAINER * _containers(value)

    def copy(self, budget: _Budget) -> Any:
        budget.left -= self._cost
        if budget.left < 0:
            raise request_entity_too_large(LIMIT)
        return copy_json(self._value)


_Into = Callable[[Any, _Budget], None]


def compile_defaulting(props: Props | None) -> Fill | None:
    """A function that fills an object in place, or None when the schema has no default anywhere.

    The function raises StatusError 413 before more than LIMIT is added.
    """
    into = _compile(props)
    if into is None:
        return None
    return lambda value: into(value, _Budget())


def _compile(props: Props | None) -> _Into | None:
    if props is None:
        return None
    values = {
        n: (_Default(c["default"]), not c.get("nullable"))
        for n, c in properties(props).items()
        if c.get("default") is not None
    }
    inner = {name: into for name, child in properties(props).items() if (into := _compile(child)) is not None}
    others, elements = additional(props), items(props)
    rest, each = _compile(others), _compile(elements)
    rest_null, each_null = _for_null(others), _for_null(elements)
    if not values and not inner and rest is None and each is None and rest_null is None and each_null is None:
        return None
    known = frozenset(properties(props))

    def fill(value: Any, budget: _Budget) -> None:
        if value.__class__ is dict:
            for name, (default, replaces_null) in values.items():
                if name not in value or (replaces_null and value[name] is None):
                    value[name] = default.copy(budget)
            for name, into in inner.items():
                if name in value:
                    into(value[name], budget)
            if rest is not None or rest_null is not None:
                _fill_each(value, [name for name in value if name not in known], rest, rest_null, budget)
        elif value.__class__ is list and (each is not None or each_null is not None):
            _fill_each(value, range(len(value)), each, each_null, budget)

    return fill


def _fill_each(container: Any, places: Any, into: _Into | None, for_null: _Default | None, budget: _Budget) -> None:
    for place in places:
        if container[place] is None and for_null is not None:
            container[place] = for_null.copy(budget)
        if into is not None:
            into(container[place], budget)


def _for_null(props: Props | None) -> _Default | None:
    """What stands for a null of this schema, None when null stays."""
    if props is None or props.get("nullable") or props.get("default") is None:
        return None
    return _Default(props["default"])


def _containers(value: Any) -> int:
    """How many lists and maps a JSON value consists of."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + sum(map(_containers, inside))
