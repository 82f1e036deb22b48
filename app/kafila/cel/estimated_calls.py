"""What a call may cost, from the sizes of its arguments (cel-go's checker/cost.go and Kubernetes' library/cost.go)."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final

from .ast import Call, Literal
from .ranges import MOST, ONE, REGEX, TRAVERSAL, UNKNOWN, ZERO, Estimated, Knowledge, Known, Range, fixed

_IP: Final = Range(4, 16)  # bytes
_MAX_FORMAT: Final = 64  # characters of a format's name
_MAX_FORMAT_REGEX: Final = 128

Args = list[Known]
# None: nothing of its own is known
Rule = Callable[[Knowledge, "Known | None", Args], "Estimated | None"]


def estimated(
    estimator: Knowledge, node: Call, overload: str, target: Known | None, args: Args, costs: list[Range]
) -> Estimated:
    """The cost with that of the arguments, but without that of the target."""
    rule = _overload_rule(overload) or _FUNCTIONS.get(node.function)
    if overload == "cidr_ip":
        rule = _constant
    elif overload in ("cidr_contains_ip_string", "cidr_contains_cidr_string"):
        rule = _with_text(rule)
    found = rule(estimator, target, args) if rule else None
    total = ZERO
    for cost in costs:
        total = total.plus(cost)
    if found is None and node.function == "_==_":
        found = _equal_opaque(args)
    if found is not None:
        return Estimated(found.cost.plus(total), found.size)
    return _standard(estimator, node, overload, target, args, costs, total)


def _constant(estimator: Knowledge, target: Known | None, args: Args) -> Estimated:
    return Estimated(ONE)


def _first(factor: float, *, sized: bool = False) -> Rule:
    def rule(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
        if not args:
            return None
        size = estimator.size_of(args[0])
        return Estimated(size.scaled(factor), size if sized else None)

    return rule


def _of_target(factor: float) -> Rule:
    def rule(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
        if target is None:
            return None
        size = estimator.size_of(target)
        return Estimated(size.scaled(factor), size)

    return rule


def _elements(target: Known) -> Known | None:
    if not target.type.params:
        return None
    return Known((*target.path, "@items") if target.path else (), target.type.params[0], None, None)


def _walked(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    if target is None:
        return None
    size = estimator.size_of(target)
    element = _elements(target)
    if element is None:
        return Estimated(size.scaled(TRAVERSAL))
    cost = ONE
    if element.type.kind in ("string", "bytes"):
        cost = cost.plus(estimator.size_of(element).scaled(TRAVERSAL))
    return Estimated(size.times(cost))


def _selector(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    if len(args) != 1:
        return None
    length = estimator.size_of(args[0])
    return Estimated(fixed(10).plus(length.scaled(TRAVERSAL)).plus(length.scaled(0.5).scaled(50.0)))


def _replaced(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    if target is None or len(args) < 2:
        return None
    size, old, new = (estimator.size_of(it) for it in (target, args[0], args[1]))
    if old.low == 0:
        most, kept_most = min(size.high + 1, MOST), size.high
    elif new.high <= old.low:
        most, kept_most = 0, size.high
    else:
        most, kept_most = ceil(size.high / old.low), 0
    if old.high == 0:
        least, kept_least = min(size.low + 1, MOST), size.low
    elif old.high <= new.low:
        least, kept_least = 0, size.low
    else:
        least, kept_least = ceil(size.low / old.high), 0
    result = Range(least, most).times(new).plus(Range(kept_least, kept_most))
    return Estimated(size.scaled(2 * TRAVERSAL), result)


def _split(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    if target is None:
        return None
    size = estimator.size_of(target)
    most = size.high
    if len(args) > 1 and isinstance(args[1].node, Literal) and type(args[1].node.value) is int:
        most = args[1].node.value % 2**64
    return Estimated(size.scaled(2 * TRAVERSAL), Range(0, most))


def _joined(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    if target is None:
        return None
    count = estimator.size_of(target)
    element = _elements(target)
    size = count.times(estimator.size_of(element)) if element else ZERO
    if args:
        separators = Range(max(count.low - 1, 0), max(count.high - 1, 0))
        size = size.plus(estimator.size_of(args[0]).times(separators))
    return Estimated(size.scaled(TRAVERSAL), size)


def _found(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    if target is None or not args:
        return None
    size = estimator.size_of(target)
    cost = size.plus(ONE).scaled(TRAVERSAL).times(estimator.size_of(args[0]).scaled(REGEX))
    return Estimated(cost, Range(0, size.high))


def _contains_ip(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    return Estimated(_IP.plus(_IP).scaled(TRAVERSAL)) if args else None


def _contains_cidr(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    return Estimated(_IP.plus(_IP).scaled(TRAVERSAL).plus(_IP.scaled(TRAVERSAL)).plus(ONE)) if args else None


def _with_text(rule: Rule | None) -> Rule:
    """And the argument is read first."""

    def both(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
        found = rule(estimator, target, args) if rule else None
        return found and Estimated(found.cost.plus(estimator.size_of(args[0]).scaled(TRAVERSAL)))

    return both


def _validated(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    return Estimated(estimator.size_of(args[0]).scaled(TRAVERSAL).scaled(_MAX_FORMAT_REGEX * REGEX)) if args else None


def _sets(factor: float) -> Rule:
    def rule(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
        if len(args) != 2:
            return None
        return Estimated(estimator.size_of(args[0]).times(estimator.size_of(args[1])).scaled(factor).plus(ONE))

    return rule


def _allocated(factor: float, size: Range) -> Estimated:
    return Estimated(size.scaled(factor).plus(fixed(11)), size)


def _whole(known: Known, otherwise: int) -> int:
    if isinstance(known.node, Literal) and type(known.node.value) is int:
        return max(known.node.value, 0)
    return otherwise


def _sliced(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    if target is None or len(args) != 2:
        return None
    end = _whole(args[1], estimator.size_of(target).high)
    return _allocated(1, fixed((end - _whole(args[0], 0)) % 2**64))


def _ranged(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    return _allocated(1, fixed(_whole(args[0], MOST))) if target is None and len(args) == 1 else None


def _reversed(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    return _allocated(1, estimator.size_of(target)) if target is not None and not args else None


def _flattened(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    if target is None or len(args) > 1:
        return None
    return _allocated(float(_whole(args[0], MOST) if args else 1), estimator.size_of(target))


def _compared(size: Range, factor: float) -> Estimated:
    return _allocated(factor, size.times(size))


def _distinct(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
    return _compared(estimator.size_of(target), 2.0) if target is not None and not args else None


def _sorted(overload: str) -> Rule:
    factor = 2.0 + (TRAVERSAL if overload.split("_")[1] in ("string", "bytes") else 0)

    def rule(estimator: Knowledge, target: Known | None, args: Args) -> Estimated | None:
        if target is None:
            return None
        return _compared(estimator.size_of(args[0] if args else target), factor)

    return rule


_OVERLOADS: Final[dict[str, Rule]] = {
    "list_sets_contains_list": _sets(1),
    "list_sets_intersects_list": _sets(1),
    "list_sets_equivalent_list": _sets(2),
    "list_slice": _sliced,
    "list_flatten": _flattened,
    "list_flatten_int": _flattened,
    "lists_range": _ranged,
    "list_reverse": _reversed,
    "list_distinct": _distinct,
}


def _overload_rule(overload: str) -> Rule | None:
    if overload.startswith("list_") and overload.endswith(("_sort", "_sortByAssociatedKeys")):
        return _sorted(overload)
    return _OVERLOADS.get(overload)


def _asked(estimator: Knowledge, target: Known | None, args: Args) -> Estimated:
    return Estimated(fixed(350_000))


_CONSTANT: Final = (
    "serviceAccount path group resource subresource namespace name allowed reason error errored masked prefixLength family"
    " isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast format.named sign asInteger isInteger"
    " asApproximateFloat isGreaterThan isLessThan compareTo add sub major minor patch getScheme getHostname getHost getPort"
    " getEscapedPath getQuery"
)
_FUNCTIONS: Final[dict[str, Rule]] = {
    "check": _asked,
    **dict.fromkeys(_CONSTANT.split(), _constant),
    "fieldSelector": _selector,
    "labelSelector": _selector,
    **dict.fromkeys(["isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"], _walked),
    "url": _first(TRAVERSAL, sized=True),
    "jsonpatch.escapeKey": _first(TRAVERSAL, sized=True),
    **dict.fromkeys(["lowerAscii", "upperAscii", "substring", "trim"], _of_target(TRAVERSAL)),
    "replace": _replaced,
    "split": _split,
    "join": _joined,
    "find": _found,
    "findAll": _found,
    **dict.fromkeys(
        ["cidr", "isIP", "isCIDR", "ip", "quantity", "isQuantity", "semver", "isSemver"], _first(TRAVERSAL)
    ),
    "ip.isCanonical": _first(2 * TRAVERSAL),
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "validate": _validated,
}
_CHEAP: Final = frozenset(
    ["kubernetes.Quantity", "kubernetes.Semver"]
    + [
        f"kubernetes.authorization.{name}"
        for name in ("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision")
    ]
)


def _equal_opaque(args: Args) -> Estimated | None:
    """Two of one of Kubernetes' types."""
    if len(args) != 2 or args[0].type != args[1].type:
        return None
    name = args[0].type.name
    if args[0].type.kind == "opaque":
        return Estimated(ONE) if name in ("net.IP", "net.CIDR") else None
    if args[0].type.kind != "struct":
        return None
    if name in _CHEAP:
        return Estimated(ONE)
    if name == "kubernetes.NamedFormat":
        return Estimated(Range(1, _MAX_FORMAT).scaled(TRAVERSAL))
    if name == "kubernetes.URL":
        size = args[1].size
        return Estimated(Range(1, size.high if size is not None else 1).scaled(TRAVERSAL))
    return None


def _known(known: Known) -> Range:
    return known.size if known.size is not None else UNKNOWN


def _standard(
    estimator: Knowledge,
    node: Call,
    overload: str,
    target: Known | None,
    args: Args,
    costs: list[Range],
    total: Range,
) -> Estimated:
    """Of cel-go's own functions."""
    if overload in ("logical_or", "logical_and"):
        return Estimated(Range(costs[0].low, costs[0].plus(costs[1]).high))
    if overload == "conditional":
        first, second = estimator.entries(args[1].node), estimator.entries(args[2].node)
        estimator.set_entries(node, first and first.union(second))
        return Estimated(costs[0].plus(costs[1].union(costs[2])), _known(args[1]).union(_known(args[2])))
    found = _text(overload, target, args)
    if found is not None:
        return Estimated(found.cost.plus(total), found.size)
    if overload in ("add_string", "add_bytes", "add_list"):
        size = _known(args[0]).plus(_known(args[1]))
        first, second = estimator.entries(args[0].node), estimator.entries(args[1].node)
        estimator.set_entries(node, first and first.union(second))
        cost = ONE if overload == "add_list" else size.scaled(TRAVERSAL)
        return Estimated(cost.plus(total), size)
    if overload in _COMPARED:
        most = min(_known(args[0]).high, _known(args[1]).high)
        return Estimated(Range(min(most, 1), most).scaled(TRAVERSAL).plus(total))
    return Estimated(ONE.plus(total))


_COMPARED: Final = frozenset(
    f"{name}_{kind}" for name in ("less", "greater", "less_equals", "greater_equals") for kind in ("string", "bytes")
) | {"equals", "not_equals"}


def _text(overload: str, target: Known | None, args: Args) -> Estimated | None:
    """What reads strings, and the search of a list."""
    if overload == "string_format" and target is not None:
        return Estimated(_known(target).scaled(TRAVERSAL))
    if overload == "matches_string" and target is not None and len(args) == 1:
        regex = _known(args[0]).scaled(REGEX)
        return Estimated(_known(target).plus(ONE).scaled(TRAVERSAL).times(regex))
    if overload == "contains_string" and target is not None and len(args) == 1:
        return Estimated(_known(target).scaled(TRAVERSAL).times(_known(args[0]).scaled(TRAVERSAL)))
    if overload == "in_list" and len(args) == 2:
        return Estimated(_known(args[1]).scaled(1))
    if len(args) != 1:
        return None
    size = _known(args[0])
    if overload == "string_to_bytes":
        return Estimated(size.scaled(TRAVERSAL), Range(size.low, size.high * 4 % 2**64))
    if overload == "bytes_to_string":
        return Estimated(size.scaled(TRAVERSAL), Range(size.low // 4, size.high))
    if overload == "strings_quote":
        return Estimated(size.scaled(TRAVERSAL), Range(size.low + 2, (size.high * 2 + 2) % 2**64))
    return Estimated(size.scaled(TRAVERSAL)) if overload in ("starts_with_string", "ends_with_string") else None
