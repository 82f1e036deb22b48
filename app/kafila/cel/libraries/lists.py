"""Lists: Kubernetes' library, cel-go's ext.Lists version 3 and ext.Sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any, Final

from kafila.cel.bounds import STEPS, CostExceeded
from kafila.cel.declarations import Library, Overload, member, overload
from kafila.cel.macros import LISTS as MACROS
from kafila.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    INT,
    LIST_A,
    LIST_DYN,
    STRING,
    TIMESTAMP,
    UINT,
    A,
    Type,
    list_of,
    param,
)
from kafila.cel.values import (
    MAX_ELEMENTS,
    Duration,
    EvaluationError,
    Uint,
    compare,
    contains,
    equal,
    is_list,
    type_of,
)

from .operators import add

_T: Final = param("T")
_LIST_T: Final = list_of(_T)
_COMPARABLE: Final[dict[str, Type]] = {
    "int": INT,
    "uint": UINT,
    "double": DOUBLE,
    "bool": BOOL,
    "duration": DURATION,
    "timestamp": TIMESTAMP,
    "string": STRING,
    "bytes": BYTES,
}
_ZEROS: Final[dict[str, Any]] = {"int": 0, "uint": Uint(0), "double": 0.0, "duration": Duration(0)}


def _is_sorted(values: Any) -> bool:
    previous = None
    for index, value in enumerate(values):
        if index and compare(previous, value) > 0:
            return False
        previous = value
    return True


def _summed(zero: Any) -> Callable[[Any], Any]:
    def run(values: Any) -> Any:
        total = zero
        for value in values:
            total = add(total, value)
        return total

    return run


def _extreme(name: str, sign: int) -> Callable[[Any], Any]:
    def run(values: Any) -> Any:
        best: Any = None
        first = True
        for value in values:
            if first or compare(best, value) == sign:
                best, first = value, False
        if first:
            raise EvaluationError(f"{name} called on empty list")
        return best

    return run


def _equals(first: Any, second: Any) -> bool:
    try:
        return equal(first, second)
    except EvaluationError:
        return False


def _index_of(values: Any, wanted: Any) -> int:
    return next((index for index, value in enumerate(values) if _equals(value, wanted)), -1)


def _last_index_of(values: Any, wanted: Any) -> int:
    found = _index_of(list(values)[::-1], wanted)
    return found if found < 0 else len(values) - 1 - found


def _each(
    name: str, kinds: dict[str, Any], run: Callable[[str], Callable[..., Any]], result: bool
) -> tuple[Overload, ...]:
    """An overload per type: ``list_int_max_int``."""
    out = []
    for kind in kinds:
        id = f"list_{kind}_{name}_{kind}" if result else f"list_{kind}_{name}_bool"
        out.append(member(id, (list_of(_COMPARABLE[kind]),), _COMPARABLE[kind] if result else BOOL, run(kind)))
    return tuple(out)


KUBERNETES_LISTS: Final = Library(
    "kubernetes lists",
    {
        "isSorted": _each("is_sorted", _COMPARABLE, lambda kind: _is_sorted, False),
        "sum": _each("sum", _ZEROS, lambda kind: _summed(_ZEROS[kind]), True),
        "max": _each("max", _COMPARABLE, lambda kind: _extreme("max", -1), True),
        "min": _each("min", _COMPARABLE, lambda kind: _extreme("min", 1), True),
        "indexOf": (member("list_a_index_of_int", (LIST_A, A), INT, _index_of),),
        "lastIndexOf": (member("list_a_last_index_of_int", (LIST_A, A), INT, _last_index_of),),
    },
)


def _sliced(values: Any, start: int, end: int) -> list[Any]:
    head = f"cannot slice({start}, {end}), "
    if start < 0 or end < 0:
        raise EvaluationError(f"{head}negative indexes not supported")
    if start > end:
        raise EvaluationError(f"{head}start index must be less than or equal to end index")
    if len(values) < end:
        raise EvaluationError(f"{head}list is length {len(values)}")
    return values[start:end] if isinstance(values, list) else [values.at(at) for at in range(start, end)]


def _flattened(values: Any, depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    out: list[Any] = []
    todo = [(iter(values), depth)]
    while todo:
        source, left = todo[-1]
        for value in source:
            if left and is_list(value):
                STEPS.take(1 + (len(value) >> 4))
                todo.append((iter(value), left - 1))
                break
            out.append(value)
            if len(out) > MAX_ELEMENTS:
                raise CostExceeded
        else:
            todo.pop()
    return out


def _sorted_by(values: Any, keys: Any) -> list[Any]:
    if len(values) != len(keys):
        raise EvaluationError(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, "
            f"but got {len(values)} and {len(keys)} elements respectively"
        )
    if not len(values):
        return list(values)
    ordered: list[Any] = list(keys)
    kind = type_of(ordered[0])
    if kind.kind not in ("bool", "int", "uint", "double", "string", "bytes", "duration", "timestamp"):
        raise EvaluationError("list elements must be comparable")
    if any(type_of(key) != kind for key in ordered):
        raise EvaluationError("list elements must have the same type")
    by_key: Any = cmp_to_key(lambda one, two: compare(ordered[one], ordered[two]))
    order: list[int] = sorted(range(len(ordered)), key=by_key)
    read: list[Any] = list(values)
    return [read[index] for index in order]


def _sorted(values: Any) -> list[Any]:
    return _sorted_by(values, values)


def _range(count: int) -> list[int]:
    if count > MAX_ELEMENTS:
        raise CostExceeded
    return list(range(count))


def _distinct(values: Any) -> list[Any]:
    out: list[Any] = []
    for value in values:
        for other in out:
            STEPS.take()
            if _equals(value, other):
                break
        else:
            out.append(value)
    return out


EXTENDED_LISTS: Final = Library(
    "lists",
    {
        "slice": (member("list_slice", (LIST_A, INT, INT), LIST_A, _sliced),),
        "flatten": (
            member("list_flatten", (list_of(_LIST_T),), _LIST_T, _flattened),
            member("list_flatten_int", (LIST_DYN, INT), LIST_DYN, _flattened),
        ),
        "sort": tuple(
            member(
                f"list_{_COMPARABLE[kind].name}_sort",
                (list_of(_COMPARABLE[kind]),),
                list_of(_COMPARABLE[kind]),
                _sorted,
            )
            for kind in _COMPARABLE
        ),
        "@sortByAssociatedKeys": tuple(
            member(
                f"list_{_COMPARABLE[kind].name}_sortByAssociatedKeys",
                (_LIST_T, list_of(_COMPARABLE[kind])),
                _LIST_T,
                _sorted_by,
            )
            for kind in _COMPARABLE
        ),
        "lists.range": (overload("lists_range", (INT,), list_of(INT), _range),),
        "reverse": (member("list_reverse", (_LIST_T,), _LIST_T, lambda values: list(values)[::-1]),),
        "distinct": (member("list_distinct", (_LIST_T,), _LIST_T, _distinct),),
    },
    macros=MACROS,
)


def _intersects(first: Any, second: Any) -> bool:
    return any(contains(second, value) for value in first)


def _contains_all(values: Any, wanted: Any) -> bool:
    return all(contains(values, value) for value in wanted)


def _equivalent(first: Any, second: Any) -> bool:
    return _contains_all(first, second) and _contains_all(second, first)


SETS: Final = Library(
    "sets",
    {
        "sets.contains": (overload("list_sets_contains_list", (_LIST_T, _LIST_T), BOOL, _contains_all),),
        "sets.equivalent": (overload("list_sets_equivalent_list", (_LIST_T, _LIST_T), BOOL, _equivalent),),
        "sets.intersects": (overload("list_sets_intersects_list", (_LIST_T, _LIST_T), BOOL, _intersects),),
    },
)
