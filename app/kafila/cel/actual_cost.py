"""What a call costs when it runs (cel-go's runtimecost.go and Kubernetes' library/cost.go).

Costs are known from the arguments, before the call: what would cost too much is not done. ``strings.join`` alone is charged by
its result, which the call itself bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, Final

from .bounds import STEPS
from .values import (
    Opaque,
    cost_size,
    find,
    is_list,
    is_map,
    keys,
)

TRAVERSAL: Final = 0.1  # per character of a string
REGEX: Final = 0.25  # per character of a pattern
CHECK: Final = 350_000  # asking the authorizer

Args = Sequence[Any]
Cost = Callable[[Args], int]


def _one(args: Args) -> int:
    return 1


def _traversed(factor: float) -> Cost:
    def cost(args: Args) -> int:
        return ceil(cost_size(args[0]) * factor)

    return cost


def _both(args: Args) -> int:
    return ceil((cost_size(args[0]) + cost_size(args[1])) * TRAVERSAL)


def _smaller(args: Args) -> int:
    return ceil(min(cost_size(args[0]), cost_size(args[1])) * TRAVERSAL)


def _equality(args: Args) -> int:
    return 1 if isinstance(args[0], Opaque) else _smaller(args)


def _matched(args: Args) -> int:
    return ceil((1.0 + cost_size(args[0])) * TRAVERSAL) * ceil(cost_size(args[1]) * REGEX)


def _contained(args: Args) -> int:
    return ceil(cost_size(args[0]) * TRAVERSAL) * ceil(cost_size(args[1]) * TRAVERSAL)


def _in_list(args: Args) -> int:
    return cost_size(args[1])


def _walked(args: Args) -> int:
    return traversal(args[0])


def traversal(value: Any) -> int:
    STEPS.take()
    if isinstance(value, str):
        return int(len(value.encode()) * TRAVERSAL)
    if isinstance(value, bytes):
        return int(len(value) * TRAVERSAL)
    if is_list(value):
        return sum(traversal(part) for part in value)
    if is_map(value):
        return sum(traversal(key) + traversal(find(value, key)) for key in keys(value))
    return 1


def _selector(args: Args) -> int:
    length = cost_size(args[1])
    return 10 + ceil(length * TRAVERSAL) + ceil(ceil(length * 0.5) * 50)


def _contains_ip(text: bool) -> Cost:
    def cost(args: Args) -> int:
        found = ceil(2 * cost_size(args[0]) * TRAVERSAL)
        return found + (ceil(cost_size(args[1]) * TRAVERSAL) if text else 0)

    return cost


def _contains_cidr(text: bool) -> Cost:
    def cost(args: Args) -> int:
        size = cost_size(args[0])
        found = ceil(2 * size * TRAVERSAL) + ceil(size * TRAVERSAL) + 1
        return found + (ceil(cost_size(args[1]) * TRAVERSAL) if text else 0)

    return cost


def _validated(args: Args) -> int:
    size: int = getattr(args[0], "regex_size", 0)
    return ceil((1.0 + cost_size(args[1])) * TRAVERSAL) * ceil(size * REGEX)


def _sets(factor: int) -> Cost:
    def cost(args: Args) -> int:
        return 1 + cost_size(args[0]) * cost_size(args[1]) * factor

    return cost


def _allocated(factor: float, size: int) -> int:
    return int(size * factor) + 1 + 10


def _sliced(args: Args) -> int:
    start, end = args[1], args[2]
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= cost_size(args[0]):
        return _allocated(1, 1)
    return _allocated(1, end - start)


def _ranged(args: Args) -> int:
    return _allocated(1, max(args[0], 0)) if type(args[0]) is int else 1


def _reversed(args: Args) -> int:
    return _allocated(1, cost_size(args[0]))


def _flattened(args: Args) -> int:
    depth = args[1] if len(args) == 2 and type(args[1]) is int else 1
    return max(_allocated(depth, cost_size(args[0])), 1)


def _compared(at: int) -> Cost:
    def cost(args: Args) -> int:
        values = args[at]
        size = cost_size(values)
        if size == 0:
            return _allocated(2.0, 0)
        text = isinstance(next(iter(values)), str | bytes) if is_list(values) else False
        return _allocated(2.0 + (TRAVERSAL if text else 0), size * size)

    return cost


class Joined:
    """Charged by the result."""

    def __call__(self, args: Args) -> int:
        return 1

    def after(self, result: Any) -> int:
        return ceil(cost_size(result) * 2 * TRAVERSAL)


_BY_OVERLOAD: Final[dict[str, Cost]] = {
    "list_sets_contains_list": _sets(1),
    "list_sets_intersects_list": _sets(1),
    "list_sets_equivalent_list": _sets(2),
    "list_slice": _sliced,
    "list_flatten": _flattened,
    "list_flatten_int": _flattened,
    "lists_range": _ranged,
    "list_reverse": _reversed,
    "list_distinct": _compared(0),
    "cidr_ip": _one,
    "cidr_contains_ip_string": _contains_ip(True),
    "cidr_contains_cidr_string": _contains_cidr(True),
}
_BY_FUNCTION: Final[dict[str, Cost]] = {
    "check": lambda args: CHECK,
    **dict.fromkeys(
        [
            "serviceAccount",
            "path",
            "group",
            "resource",
            "subresource",
            "namespace",
            "name",
            "allowed",
            "reason",
            "error",
            "errored",
        ],
        _one,
    ),
    "fieldSelector": _selector,
    "labelSelector": _selector,
    **dict.fromkeys(["isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"], _walked),
    **dict.fromkeys(
        ["url", "lowerAscii", "upperAscii", "substring", "trim", "jsonpatch.escapeKey"], _traversed(TRAVERSAL)
    ),
    "replace": _traversed(2 * TRAVERSAL),
    "split": _traversed(2 * TRAVERSAL),
    "join": Joined(),
    "find": _matched,
    "findAll": _matched,
    **dict.fromkeys(
        ["cidr", "isIP", "isCIDR", "ip", "quantity", "isQuantity", "semver", "isSemver"], _traversed(TRAVERSAL)
    ),
    "ip.isCanonical": _traversed(2 * TRAVERSAL),
    "containsIP": _contains_ip(False),
    "containsCIDR": _contains_cidr(False),
    "validate": _validated,
    "_==_": _equality,
}
_BY_STANDARD_OVERLOAD: Final[dict[str, Cost]] = {
    **dict.fromkeys(
        [
            "starts_with_string",
            "ends_with_string",
            "string_to_bytes",
            "bytes_to_string",
            "strings_quote",
            "string_format",
        ],
        _traversed(TRAVERSAL),
    ),
    "in_list": _in_list,
    **{
        f"{name}_{kind}": _smaller
        for name in ("less", "greater", "less_equals", "greater_equals")
        for kind in ("string", "bytes")
    },
    "equals": _smaller,
    "not_equals": _smaller,
    "add_string": _both,
    "add_bytes": _both,
    "matches_string": _matched,
    "contains_string": _contained,
}


def cost_of_call(function: str, overload: str) -> Cost:
    """``overload``: "" where several fit as far as types are known."""
    by_overload = _BY_OVERLOAD.get(overload)
    if by_overload is None and overload.startswith("list_"):
        if overload.endswith("_sort"):
            by_overload = _compared(0)
        elif overload.endswith("_sortByAssociatedKeys"):
            by_overload = _compared(1)
    return by_overload or _BY_FUNCTION.get(function) or _BY_STANDARD_OVERLOAD.get(overload) or _one
