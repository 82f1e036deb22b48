from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kafila.core import quantity
from kafila.core.quantity import Quantity, QuantityError

CANONICAL = {
    "0": "0",
    "00": "0",
    "-0": "0",
    "+0.0": "0",
    "0Ki": "0",
    "1": "1",
    "1000m": "1",
    "1500m": "1500m",
    "0.5": "500m",
    ".5": "500m",
    "1.": "1.",  # kept: Kubernetes takes what looks canonical as it is
    "1000": "1k",
    "1024": "1024",
    "1000k": "1M",
    "12345678": "12345678",
    "1024Ki": "1Mi",
    "1.5Gi": "1536Mi",
    "0.5Ki": "512",
    "0.5Mi": "512Ki",
    "1000Ki": "1000Ki",
    "100E": "100E",
    "1e3": "1e3",
    "12e2": "1200",
    "1E3": "1E3",
    "1e-3": "1e-3",
    "5e-1": "500e-3",
    "0.1n": "1n",
    "0.0000000001": "1n",
    "-0.1n": "-1n",
    "100n": "100n",
    "1000n": "1u",
    "1.500": "1.500",
    "+1": "+1",
    "007": "007",
    "9223372036854775808": "9223372036854775808",
    "8192Pi": "9223372036854775807",  # binary amounts are capped
    "1.0000000001Ki": "1024000000103n",
}


@pytest.mark.parametrize(("text", "expected"), CANONICAL.items())
def test_canonical_text(text: str, expected: str) -> None:
    assert quantity.canonical(text) == expected


@pytest.mark.parametrize("text", ["", "abc", "1..2", "1e1e1", "1 Gi", "0x10", "1Gi1G", "١"])
def test_not_a_quantity(text: str) -> None:
    with pytest.raises(QuantityError, match="quantities must match the regular expression"):
        quantity.parse(text)


@pytest.mark.parametrize("text", ["1K", "1i", "1e", "1mm", "--1", "1Gik"])
def test_unknown_suffix(text: str) -> None:
    with pytest.raises(QuantityError, match="unable to parse quantity's suffix"):
        quantity.parse(text)


def test_an_exponent_cannot_exhaust_memory() -> None:
    with pytest.raises(QuantityError, match="numeric part"):
        quantity.parse("1e999999999")


@pytest.mark.parametrize(
    ("text", "whole", "milli"),
    [("1", 1, 1000), ("1m", 1, 1), ("1500m", 2, 1500), ("1Ki", 1024, 1024000), ("1u", 1, 1), ("-1500m", -2, -1500)],
)
def test_whole_and_milli_are_rounded_away_from_zero(text: str, whole: int, milli: int) -> None:
    assert (quantity.to_int(text), quantity.to_milli(text)) == (whole, milli)


def test_sum_keeps_the_format_of_its_left_side() -> None:
    parse = quantity.parse
    assert str(parse("1Gi") + parse("1G")) == "2073741824"
    assert str(parse("512Mi") + parse("512Mi")) == "1Gi"
    assert str(parse("0") + parse("1Gi")) == "1Gi"
    assert str(parse("1") + parse("1Ki")) == "1025"
    assert str(parse("2") - parse("500m")) == "1500m"


def test_order_is_by_amount_not_by_text() -> None:
    assert quantity.parse("1000m") == quantity.parse("1")
    assert quantity.parse("1Ki") > quantity.parse("1k")
    assert not quantity.parse("0n")
    assert hash(quantity.parse("1e3")) == hash(quantity.parse("1k"))


NUMBERS = st.from_regex(r"\A[+-]?[0-9]{1,12}(\.[0-9]{0,12})?\Z")
SUFFIXES = st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e3", "e-3", "E2"])


@given(NUMBERS, SUFFIXES)
def test_canonical_text_is_a_fixed_point_and_keeps_the_amount(number: str, suffix: str) -> None:
    parsed = quantity.parse(number + suffix)
    again = quantity.parse(str(parsed))
    assert again == parsed
    assert quantity.canonical(str(parsed)) == str(parsed)


@given(st.integers(-(10**24), 10**24), st.sampled_from(["DecimalSI", "BinarySI", "DecimalExponent"]))
def test_every_amount_has_a_text_that_is_read_back(nano: int, format: quantity.Format) -> None:
    made = Quantity(nano, format)
    assert quantity.parse(str(made)).nano == nano


@given(st.integers(0, 10**17), st.sampled_from(["n", "u", "m", "", "k", "M", "G", "Ki", "Mi", "Gi"]))
@example(2**43, "Mi")  # no amount is larger than 2^63-1
@example(10**13, "M")
def test_thousandths_of_a_plain_amount_are_those_of_any_other(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    assert quantity.to_milli(text) == quantity.to_milli(quantity.parse(text))
