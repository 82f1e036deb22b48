"""``resource.Quantity``: exact decimal amounts such as ``500m``, ``1.5Gi`` or ``1e3``, and their canonical text.

Kubernetes rounds every amount up to nano, so an amount is an integer of billionths and nothing is ever inexact.
"""

from __future__ import annotations

import re
from typing import Final, Literal, final

from .remembered import remembered

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

NANO: Final = 10**9
_MAX_INT64: Final = 2**63 - 1
# Beyond this an exponent only serves to exhaust memory; 10**4096 is no amount of anything.
_MAX_EXPONENT: Final = 4096

_FORMAT_WRONG: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_MOST_DIGITS: Final = 1000
_NUMBER_WRONG: Final = "unable to parse numeric part of quantity"
_SUFFIX_WRONG: Final = "unable to parse quantity's suffix"

_SHAPE: Final = re.compile(r"([+-]?)0*([0-9]*)(?:(\.)([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)", re.ASCII)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


class QuantityError(ValueError):
    """The text is no quantity; the message is Kubernetes' own."""


@final
class Quantity:
    """An amount in billionths with the family of suffixes it was written in. Ordered and equal by amount alone."""

    __slots__ = ("_text", "format", "nano")

    def __init__(self, nano: int, format: Format = "DecimalSI", text: str = "") -> None:
        self.nano = nano
        self.format = format
        self._text = text

    def __str__(self) -> str:
        if not self._text:
            self._text = _canonical_text(self.nano, self.format)
        return self._text

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nano == other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __le__(self, other: Quantity) -> bool:
        return self.nano <= other.nano

    def __gt__(self, other: Quantity) -> bool:
        return self.nano > other.nano

    def __ge__(self, other: Quantity) -> bool:
        return self.nano >= other.nano

    def __bool__(self) -> bool:
        return self.nano != 0

    # A sum keeps the format of its left side, except that zero has none: "0" + "1Gi" is "1Gi".
    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano, self.format if self.nano else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano - other.nano, self.format if self.nano else other.format)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nano, self.format)


@remembered(8192)
def parse(text: str) -> Quantity:
    """Raises QuantityError."""
    if not text:
        raise QuantityError(_FORMAT_WRONG)
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise QuantityError(_FORMAT_WRONG)
    sign, whole, point, fraction, suffix = found.groups()
    fraction = fraction or ""
    if not whole and not suffix and point is None:
        return Quantity(0, "DecimalSI", "0" if text == "0" else "")  # "", "+", "000": Kubernetes reads nothing as zero
    base, exponent, format = _interpret(suffix)
    if abs(exponent) > _MAX_EXPONENT:
        raise QuantityError(_NUMBER_WRONG)
    digits = (whole or "0") + fraction
    if len(digits) > _MOST_DIGITS:
        raise QuantityError(_NUMBER_WRONG)
    nano = _scaled(int(digits), base, exponent, len(fraction))
    if format == "BinarySI":
        nano = min(nano, _MAX_INT64 * NANO)
    kept = text if _is_kept(whole or "0", fraction, format, exponent) else ""
    if not kept and format == "BinarySI" and 0 < nano < NANO:
        format = "DecimalSI"
    return Quantity(-nano if sign == "-" else nano, format, kept)


def _interpret(suffix: str) -> tuple[int, int, Format]:
    if suffix in _DECIMAL:
        return 10, _DECIMAL[suffix], "DecimalSI"
    if suffix in _BINARY:
        return 2, _BINARY[suffix], "BinarySI"
    if suffix[0] in "eE" and len(suffix) > 1:
        try:
            return 10, int(suffix[1:]), "DecimalExponent"
        except ValueError:
            pass
    raise QuantityError(_SUFFIX_WRONG)


def _scaled(mantissa: int, base: int, exponent: int, places: int) -> int:
    """``mantissa * base**exponent / 10**places`` in billionths, rounded up so that "some" never becomes "nothing"."""
    numerator, denominator = mantissa * NANO, 10**places
    if exponent >= 0:
        numerator *= base**exponent
    else:
        denominator *= base**-exponent
    return -(-numerator // denominator)


def _is_kept(whole: str, fraction: str, format: Format, exponent: int) -> bool:
    """Does Kubernetes keep the text as it was written? It does where it takes its fast path and the text looks canonical."""
    if format == "BinarySI":
        if fraction or 15 - len(whole) - exponent * 3 // 10 - 1 < 0:
            return False
        value = int(whole)
        return value & 7 != 0 and value << exponent <= _MAX_INT64
    digits = whole + fraction
    scale = exponent - len(fraction)
    if len(digits) > 18 or scale < -9:
        return False
    return scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _canonical_text(nano: int, format: Format) -> str:
    if not nano:
        return "0"
    if format == "BinarySI" and abs(nano) >= 1024 * NANO and nano % NANO == 0:
        amount, times = _without_factor(nano // NANO, 1024)
        # Above Ei there is no suffix to move the factor into.
        while times >= len(_BINARY_SUFFIX):
            amount, times = amount * 1024, times - 1
        return f"{amount}{_BINARY_SUFFIX[times]}"
    amount, times = _without_factor(nano, 10)
    exponent = times - 9
    while exponent % 3:
        amount, exponent = amount * 10, exponent - 1
    if format == "DecimalExponent":
        return f"{amount}e{exponent}" if exponent else str(amount)
    # Kubernetes drops a suffix that it has no letter for, which would change the amount; digits are exact.
    while exponent > 18:
        amount, exponent = amount * 1000, exponent - 3
    return f"{amount}{_DECIMAL_SUFFIX[exponent]}"


def _without_factor(value: int, factor: int) -> tuple[int, int]:
    times = 0
    while value and value % factor == 0:
        value //= factor
        times += 1
    return value, times


@remembered(8192)
def canonical(text: str) -> str:
    """The text that Kubernetes answers for ``text``. Raises QuantityError."""
    return str(parse(text.strip()))


def of(value: Quantity | str | int | float) -> Quantity:
    """A quantity as JSON may carry it. Raises QuantityError."""
    if isinstance(value, Quantity):
        return value
    return parse(value if isinstance(value, str) else str(value))


_PLAIN: Final = re.compile(r"([0-9]{1,12})(n|u|m|k|M|Ki|Mi|)").fullmatch  # so few digits that none is cut off at 2^63-1
_MILLI: Final = {  # thousandths in one of it, as a fraction
    "n": (1, 10**6),
    "u": (1, 10**3),
    "m": (1, 1),
    "": (10**3, 1),
    "k": (10**6, 1),
    "M": (10**9, 1),
    "Ki": (1024 * 10**3, 1),
    "Mi": (1024**2 * 10**3, 1),
}


def to_int(value: Quantity | str | int | float) -> int:
    """Whole units, away from zero (Go's ``Value()``)."""
    return _away_from_zero(of(value).nano, NANO)


def to_milli(value: Quantity | str | int | float) -> int:
    """Thousandths, away from zero (Go's ``MilliValue()``). Raises QuantityError."""
    if isinstance(value, str) and (plain := _PLAIN(value)) is not None:
        # what metrics servers say: no two amounts are the same, so that none is remembered
        digits, suffix = plain.groups()
        times, divided = _MILLI[suffix]
        return -(-int(digits) * times // divided)
    return _away_from_zero(of(value).nano, 10**6)


def _away_from_zero(nano: int, unit: int) -> int:
    return -(-nano // unit) if nano >= 0 else nano // unit


def from_int(value: int, format: Format = "DecimalSI") -> Quantity:
    return Quantity(value * NANO, format)


def from_milli(value: int, format: Format = "DecimalSI") -> Quantity:
    return Quantity(value * 10**6, format)
