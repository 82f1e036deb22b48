"""``"%s".format([…])`` (cel-go's ext/formatting.go), and what is wrong with its literals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from kafila.cel.ast import Call, Expr, ListExpr, Literal, MapExpr
from kafila.cel.bounds import STEPS, CostExceeded
from kafila.cel.gotext import duration_text, general, timestamp_text
from kafila.cel.source import Issue
from kafila.cel.types import Type
from kafila.cel.values import (
    MAX_TEXT,
    Duration,
    EvaluationError,
    Timestamp,
    find,
    is_list,
    is_map,
    keys,
    type_of,
)
from kafila.core.quoting import quoted

PRECISION: Final = 6
MAX_PRECISION: Final = 1000
_CLAUSE: Final = re.compile(r"%(%|(?:\.([0-9]*))?(.?))", re.S)
_WRONG: Final = {
    "s": "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
    "d": "decimal clause can only be used on integers",
    "f": "fixed-point clause can only be used on doubles",
    "e": "scientific clause can only be used on doubles",
    "b": "only integers and bools can be formatted as binary",
    "x": "only integers, byte buffers, and strings can be formatted as hex",
    "o": "octal clause can only be used on integers",
}
_KINDS: Final[dict[str, frozenset[str]]] = {
    "s": frozenset(
        ["list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration", "type", "null"]
    ),
    "d": frozenset(["int", "uint"]),
    "f": frozenset(["double", "string"]),
    "e": frozenset(["double", "string"]),
    "b": frozenset(["int", "uint", "bool"]),
    "x": frozenset(["int", "uint", "string", "bytes"]),
    "o": frozenset(["int", "uint"]),
}
_NAMES: Final = ("NaN", "Infinity", "-Infinity")


class _Refused(Exception):
    def __init__(self, message: str, node: Expr | None = None) -> None:
        super().__init__(message)
        self.node = node


Formatter = Callable[[str, "int | None", int], str]  # clause, precision, index of the argument


def formatted(text: str, args: Any) -> str:
    """Raises EvaluationError."""
    values = list(args)

    def one(clause: str, precision: int | None, index: int) -> str:
        return _FORMATTERS[clause](values[index], precision)

    try:
        return _filled(text, len(values), one)[0]
    except _Refused as problem:
        raise EvaluationError(str(problem)) from None


def format_problems(node: Call) -> list[Issue]:
    """Of a call on literals, before it runs."""
    if not isinstance(node.target, Literal) or not isinstance(node.target.value, str) or len(node.args) != 1:
        return []
    args = node.args[0]
    if not isinstance(args, ListExpr):
        return []

    def one(clause: str, precision: int | None, index: int) -> str:
        _check(clause, args.elements[index])
        return ""

    try:
        _, seen = _filled(node.target.value, len(args.elements), one)
    except _Refused as problem:
        return [Issue((problem.node or node).at, str(problem))]
    if len(args.elements) > seen:
        many = f"too many arguments supplied to string.format (expected {seen}, got {len(args.elements)})"
        return [Issue(node.at, many)]
    return []


def _check(clause: str, node: Expr) -> None:
    kind = node.type
    assert kind is not None
    clause = clause.lower()
    if kind.kind != "dyn" and kind.kind not in _KINDS[clause]:
        raise _Refused(f"{_WRONG[clause]}, was given {kind.name}", node)
    if clause == "s":
        parts = node.elements if isinstance(node, ListExpr) else []
        if isinstance(node, MapExpr):
            parts = [part for entry in node.entries for part in (entry.key, entry.value)]
        for part in parts:
            _check(clause, part)


def _filled(text: str, count: int, one: Formatter) -> tuple[str, int]:
    """With how many arguments it took."""
    out: list[str] = []
    at = index = length = 0
    while True:
        found = _CLAUSE.search(text, at)
        if found is None:
            out.append(text[at:])
            return "".join(out), index
        out.append(text[at : found.start()])
        if found[1] == "%":
            out.append("%")
        else:
            out.append(_clause(found, index, count, one))
            index += 1
        length += len(out[-1]) + found.start() - at
        if length > MAX_TEXT:
            raise CostExceeded
        at = found.end()


def _clause(found: re.Match[str], index: int, count: int, one: Formatter) -> str:
    if index >= count:
        raise _Refused(f"index {index} out of range")
    if not found[1]:
        raise _Refused("unexpected end of string")
    head = "could not parse formatting clause: "
    if found[2] is not None and not found[3]:
        raise _Refused(f"{head}error while parsing precision: could not find end of precision specifier")
    if found[2] == "":
        what = 'strconv.Atoi: parsing "": invalid syntax'
        raise _Refused(f"{head}error while parsing precision: error while converting precision to integer: {what}")
    if found[3] not in _FORMATTERS:
        raise _Refused(f'{head}unrecognized formatting clause "{found[3]}"')
    precision = None if found[2] is None else int(found[2][:10])
    try:
        return one(found[3], precision, index)
    except _Refused as problem:
        raise _Refused(f"error during formatting: {problem}", problem.node) from None


def _wrong(clause: str, value: Any) -> _Refused:
    return _Refused(f"{_WRONG[clause]}, was given {type_of(value).name}")


def _string(value: Any, precision: int | None) -> str:
    STEPS.take()
    if isinstance(value, str):
        STEPS.take(len(value) >> 12)
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return general(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            message = "invalid UTF-8 in bytes, cannot convert to string"
            raise _Refused(f"could not convert argument {quoted(message)} to string") from None
    if isinstance(value, Duration):
        return duration_text(value)
    if isinstance(value, Timestamp):
        return timestamp_text(value)
    if isinstance(value, Type):
        return value.name
    if is_list(value):
        return "[" + ", ".join(_nested(part) for part in value) + "]"
    if is_map(value):
        pairs = sorted((_key(key), _nested(find(value, key))) for key in keys(value))
        return "{" + ", ".join(f"{key}:{part}" for key, part in pairs) + "}"
    raise _wrong("s", value)


def _key(key: Any) -> str:
    if isinstance(key, float) or key is None:
        raise _Refused(f"no formatting function for map key of type {type_of(key).name}")
    return _nested(key)


def _nested(value: Any) -> str:
    """Within a list or map."""
    if isinstance(value, float):
        STEPS.take()
        text = _number(value, f"{value:.{PRECISION}f}")
        return text if math.isfinite(value) else quoted(text)
    if isinstance(value, Duration):
        return f'duration("{duration_text(value)}")'
    if isinstance(value, Timestamp):
        return f'timestamp("{timestamp_text(value)}")'
    if not isinstance(value, str | bool | int | bytes | Type | None) and not is_list(value) and not is_map(value):
        raise _Refused(f"no formatting function for {type_of(value).name}")
    text = _string(value, None)
    if isinstance(value, str):
        return quoted(text)
    return f"b{quoted(text)}" if isinstance(value, bytes) else text


def _number(value: float, text: str) -> str:
    if math.isnan(value):
        return "NaN"
    return text if math.isfinite(value) else "+Inf" if value > 0 else "-Inf"


def _decimal(value: Any, precision: int | None) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    raise _wrong("d", value)


def _float(clause: str, value: Any) -> float:
    if isinstance(value, float):
        return value
    if isinstance(value, str) and value in _NAMES:
        return float(value.replace("Infinity", "inf"))
    raise _wrong(clause, value)


def _infinite(value: float) -> str:
    return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"


def _fixed(value: Any, precision: int | None) -> str:
    number = _float("f", value)
    if not math.isfinite(number):
        return _infinite(number)
    digits = PRECISION if precision is None else precision
    if digits > MAX_PRECISION:
        raise CostExceeded
    exact = Context(prec=digits + 20)  # with the 15 digits before the point
    rounded = (
        Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN, exact) if abs(number) < 1e15 else number
    )
    return f"{rounded:,.{digits}f}"


def _scientific(value: Any, precision: int | None) -> str:
    number = _float("e", value)
    if not math.isfinite(number):
        return _infinite(number).rjust(min(PRECISION if precision is None else precision, MAX_PRECISION))
    mantissa, _, exponent = f"{number:.{PRECISION}e}".partition("e")  # what is asked for is not looked at
    power = int(exponent)
    raised = str(abs(power)).rjust(2, "0").translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}×10{'⁻' if power < 0 else ''}{raised}"


def _whole(clause: str, spec: str) -> Callable[[Any, int | None], str]:
    def run(value: Any, precision: int | None) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return format(int(value), spec)
        if clause == "b" and isinstance(value, bool):
            return "1" if value else "0"
        if clause == "x" and isinstance(value, str | bytes):
            STEPS.take(len(value) >> 9)
            text = (value.encode() if isinstance(value, str) else value).hex()
            return text.upper() if spec == "X" else text
        raise _wrong(clause, value)

    return run


_FORMATTERS: Final[dict[str, Callable[[Any, int | None], str]]] = {
    "s": _string,
    "d": _decimal,
    "f": _fixed,
    "e": _scientific,
    "b": _whole("b", "b"),
    "x": _whole("x", "x"),
    "X": _whole("x", "X"),
    "o": _whole("o", "o"),
}
