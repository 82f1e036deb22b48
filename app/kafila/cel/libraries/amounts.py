"""Quantities and semantic versions (Kubernetes' libraries)."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Any, Final, final

from kafila.cel.bounds import STEPS
from kafila.cel.declarations import Library, member, overload
from kafila.cel.types import BOOL, DOUBLE, INT, STRING, Type, struct
from kafila.cel.values import (
    INT_MAX,
    INT_MIN,
    NO_OVERLOAD,
    UINT_MAX,
    EvaluationError,
    Opaque,
)
from kafila.core import quantity
from kafila.core.quoting import quoted

QUANTITY_TYPE: Final = struct("kubernetes.Quantity")
SEMVER_TYPE: Final = struct("kubernetes.Semver")
_FRACTION: Final = re.compile(r"[+-]?[0-9]*(?:\.([0-9]*))?([KMGTPE]i|[numkMGTPE]|[eE]([-+]?[0-9]+))?", re.ASCII)
_SCALES: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


@final
class Amount(Opaque):
    """``scale``: the power of ten that it counts in; Kubernetes takes one below zero for no integer, whatever its value is.

    ``made``: by arithmetic, which Kubernetes compares with nothing when it stands on the right.
    """

    __slots__ = ("made", "scale", "value")
    cel_type: Type = QUANTITY_TYPE

    def __init__(self, value: quantity.Quantity, scale: int, made: bool = False) -> None:
        self.value = value
        self.scale = scale
        self.made = made

    def equals(self, other: Any) -> bool:
        if not isinstance(other, Amount) or other.made:
            raise EvaluationError(NO_OVERLOAD)
        return self.value == other.value

    def whole(self) -> int | None:
        """None for what is no integer of 64 bits."""
        value, rest = divmod(self.value.nano, quantity.NANO)
        return None if rest or self.scale < 0 or not INT_MIN <= value <= INT_MAX else value

    def plus(self, other: Amount, sign: int = 1) -> Amount:
        value = self.value + other.value if sign > 0 else self.value - other.value
        return Amount(value, min(self.scale, other.scale), True)


def _amount(text: str) -> Amount:
    """Raises EvaluationError."""
    try:
        value = quantity.parse(text)
    except quantity.QuantityError as problem:
        raise EvaluationError(str(problem)) from None
    found = _FRACTION.fullmatch(text)
    scale = 0
    if found is not None:
        scale = (int(found[3]) if found[3] else _SCALES.get(found[2] or "", 0)) - len(found[1] or "")
    return Amount(value, scale)


def _is_quantity(text: str) -> bool:
    try:
        quantity.parse(text)
    except quantity.QuantityError:
        return False
    return True


def _of_int(value: int) -> Amount:
    return Amount(quantity.Quantity(value * quantity.NANO, "DecimalExponent"), 0)


def _as_integer(amount: Amount) -> int:
    found = amount.whole()
    if found is None:
        raise EvaluationError("cannot convert value to integer")
    return found


def _sign(first: Any, second: Any) -> int:
    return (first > second) - (first < second)


@final
@total_ordering
class Semver(Opaque):
    """``build`` does not count."""

    __slots__ = ("build", "numbers", "pre")
    cel_type: Type = SEMVER_TYPE

    def __init__(self, numbers: tuple[int, int, int], pre: tuple[int | str, ...], build: tuple[str, ...]) -> None:
        self.numbers = numbers
        self.pre = pre
        self.build = build

    def _key(self) -> tuple[Any, ...]:
        STEPS.take(len(self.pre) >> 2)
        # a number is below a name, and no release at all is above every one
        pre = tuple((0, part, "") if isinstance(part, int) else (1, 0, part) for part in self.pre)
        return self.numbers, not pre, pre

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and self._key() == other._key()

    def __lt__(self, other: Semver) -> bool:
        return self._key() < other._key()

    __hash__ = None  # type: ignore[assignment]

    def equals(self, other: Any) -> bool:
        if not isinstance(other, Semver):
            raise EvaluationError(NO_OVERLOAD)
        return self == other


_ALPHANUMERIC: Final = re.compile(r"[0-9A-Za-z-]+", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)


def _number(name: str, text: str) -> int:
    if not _DIGITS.fullmatch(text) and text:
        raise EvaluationError(f"Invalid character(s) found in {name.lower()} number {quoted(text)}")
    if len(text) > 1 and text[0] == "0":
        raise EvaluationError(f"{name} number must not contain leading zeroes {quoted(text)}")
    if not text:
        raise EvaluationError('strconv.ParseUint: parsing "": invalid syntax')
    if len(text) > 20 or int(text) > UINT_MAX:
        raise EvaluationError(f"strconv.ParseUint: parsing {quoted(text)}: value out of range")
    return int(text)


def _pre_release(text: str) -> int | str:
    STEPS.take()
    if not text:
        raise EvaluationError("Prerelease is empty")
    if _DIGITS.fullmatch(text):
        if len(text) > 1 and text[0] == "0":
            raise EvaluationError(f"Numeric PreRelease version must not contain leading zeroes {quoted(text)}")
        if len(text) > 20 or int(text) > UINT_MAX:
            raise EvaluationError(f"strconv.ParseUint: parsing {quoted(text)}: value out of range")
        return int(text)
    if not _ALPHANUMERIC.fullmatch(text):
        raise EvaluationError(f"Invalid character(s) found in prerelease {quoted(text)}")
    return text


def _build(text: str) -> str:
    STEPS.take()
    if not text:
        raise EvaluationError("Build meta data is empty")
    if not _ALPHANUMERIC.fullmatch(text):
        raise EvaluationError(f"Invalid character(s) found in build meta data {quoted(text)}")
    return text


def to_semver(text: str, normalize: bool = False) -> Semver:
    """Raises EvaluationError."""
    if normalize:
        text = _normalized(text)
    if not text:
        raise EvaluationError("Version string empty")
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise EvaluationError("No Major.Minor.Patch elements found")
    major, minor = _number("Major", parts[0]), _number("Minor", parts[1])
    rest, plus, build = parts[2].partition("+")
    patch, minus, pre = rest.partition("-")
    numbers = (major, minor, _number("Patch", patch))
    pres = tuple(_pre_release(part) for part in pre.split(".")) if minus else ()
    return Semver(numbers, pres, tuple(_build(part) for part in build.split(".")) if plus else ())


def _normalized(text: str) -> str:
    parts = text.removeprefix("v").split(".", 2)
    for index, part in enumerate(parts):
        if len(part) > 1:
            stripped = part.lstrip("0")
            parts[index] = stripped if stripped[:1] in tuple("0123456789") else f"0{stripped}"
    if len(parts) < 3 and any(char in parts[-1] for char in "+-"):
        raise EvaluationError("short version cannot contain PreRelease/Build meta data")
    return ".".join([*parts, *["0"] * (3 - len(parts))])


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        to_semver(text, normalize)
    except EvaluationError:
        return False
    return True


_TWO: Final = (QUANTITY_TYPE, QUANTITY_TYPE)
_VERSIONS: Final = (SEMVER_TYPE, SEMVER_TYPE)

AMOUNTS: Final = Library(
    "amounts",
    {
        "quantity": (overload("string_to_quantity", (STRING,), QUANTITY_TYPE, _amount),),
        "isQuantity": (overload("is_quantity_string", (STRING,), BOOL, _is_quantity),),
        "sign": (overload("quantity_sign", (QUANTITY_TYPE,), INT, lambda amount: _sign(amount.value.nano, 0)),),
        "isGreaterThan": (
            member("quantity_is_greater_than", _TWO, BOOL, lambda one, two: one.value > two.value),
            member("semver_is_greater_than", _VERSIONS, BOOL, lambda one, two: one > two),
        ),
        "isLessThan": (
            member("quantity_is_less_than", _TWO, BOOL, lambda one, two: one.value < two.value),
            member("semver_is_less_than", _VERSIONS, BOOL, lambda one, two: one < two),
        ),
        "compareTo": (
            member("quantity_compare_to", _TWO, INT, lambda one, two: _sign(one.value, two.value)),
            member("semver_compare_to", _VERSIONS, INT, _sign),
        ),
        "asApproximateFloat": (
            member("quantity_get_float", (QUANTITY_TYPE,), DOUBLE, lambda one: one.value.nano / quantity.NANO),
        ),
        "asInteger": (member("quantity_get_int", (QUANTITY_TYPE,), INT, _as_integer),),
        "isInteger": (
            member("quantity_is_integer", (QUANTITY_TYPE,), BOOL, lambda amount: amount.whole() is not None),
        ),
        "add": (
            member("quantity_add", _TWO, QUANTITY_TYPE, Amount.plus),
            member("quantity_add_int", (QUANTITY_TYPE, INT), QUANTITY_TYPE, lambda one, two: one.plus(_of_int(two))),
        ),
        "sub": (
            member("quantity_sub", _TWO, QUANTITY_TYPE, lambda one, two: one.plus(two, -1)),
            member(
                "quantity_sub_int", (QUANTITY_TYPE, INT), QUANTITY_TYPE, lambda one, two: one.plus(_of_int(two), -1)
            ),
        ),
        "semver": (
            overload("string_to_semver", (STRING,), SEMVER_TYPE, to_semver),
            overload("string_bool_to_semver", (STRING, BOOL), SEMVER_TYPE, to_semver),
        ),
        "isSemver": (
            overload("is_semver_string", (STRING,), BOOL, _is_semver),
            overload("is_semver_string_bool", (STRING, BOOL), BOOL, _is_semver),
        ),
        "major": (member("semver_major", (SEMVER_TYPE,), INT, lambda one: one.numbers[0]),),
        "minor": (member("semver_minor", (SEMVER_TYPE,), INT, lambda one: one.numbers[1]),),
        "patch": (member("semver_patch", (SEMVER_TYPE,), INT, lambda one: one.numbers[2]),),
    },
)
