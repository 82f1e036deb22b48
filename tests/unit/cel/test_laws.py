"""Laws of CEL that hold for whatever values."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.cel import Environment, Result
from kafila.cel.types import DYN
from kafila.cel.values import INT_MAX, INT_MIN, UINT_MAX, Uint

ENVIRONMENT = Environment({"a": DYN, "b": DYN, "c": DYN})
PROGRAMS: dict[str, Any] = {}

# what a term of a condition may be: true, false, an error, and what is no bool at all
terms = st.sampled_from(["true", "false", "1/0 == 1", "dyn(1)"])
ints = st.integers(INT_MIN, INT_MAX)
uints = st.integers(0, UINT_MAX).map(Uint)
numbers = ints | uints | st.floats()
scalars = st.none() | st.booleans() | ints | uints | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


def run(source: str, **bindings: Any) -> Result:
    if source not in PROGRAMS:
        PROGRAMS[source] = ENVIRONMENT.compile(source)
    result: Result = PROGRAMS[source].evaluate(bindings)
    return result


def outcome(result: Result) -> Any:
    return "error" if result.error else result.value


@given(terms, terms, terms)
@pytest.mark.parametrize("sign", ["&&", "||"])
def test_and_and_or_are_commutative_and_associative(sign: str, one: str, two: str, three: str) -> None:
    forms = [
        f"{one} {sign} {two} {sign} {three}",
        f"{three} {sign} {two} {sign} {one}",
        f"{one} {sign} ({two} {sign} {three})",
        f"({two} {sign} {one}) {sign} {three}",
    ]
    assert len({outcome(run(form)) for form in forms}) == 1


@given(terms, terms)
def test_de_morgan(one: str, two: str) -> None:
    assert outcome(run(f"!({one} && {two})")) == outcome(run(f"!({one}) || !({two})"))


@given(st.lists(st.sampled_from(["true", "false", "error"]), max_size=6))
def test_all_is_and_over_the_elements_and_exists_is_or(found: list[str]) -> None:
    test = "v == 'error' ? 1/0 == 1 : v == 'true'"
    every, some = run(f"a.all(v, {test})", a=found), run(f"a.exists(v, {test})", a=found)
    assert outcome(every) == (False if "false" in found else "error" if "error" in found else True)
    assert outcome(some) == (True if "true" in found else "error" if "error" in found else False)


@given(ints, ints)
@pytest.mark.parametrize("sign", ["+", "-", "*"])
def test_integers_are_exact_or_overflow(sign: str, one: int, two: int) -> None:
    exact = {"+": one + two, "-": one - two, "*": one * two}[sign]
    result = run(f"a {sign} b", a=one, b=two)
    if INT_MIN <= exact <= INT_MAX:
        assert result.value == exact
    else:
        assert result.error == "integer overflow"


@given(uints, uints)
@pytest.mark.parametrize("sign", ["+", "-", "*"])
def test_unsigned_integers_are_exact_or_overflow(sign: str, one: Uint, two: Uint) -> None:
    exact = {"+": int(one) + two, "-": int(one) - two, "*": int(one) * two}[sign]
    result = run(f"a {sign} b", a=one, b=two)
    if 0 <= exact <= UINT_MAX:
        assert result.value == exact
        assert isinstance(result.value, Uint)
    else:
        assert result.error == "unsigned integer overflow"


@given(ints, ints.filter(bool))
def test_quotient_and_remainder(one: int, two: int) -> None:
    if (one, two) == (INT_MIN, -1):
        assert run("a / b", a=one, b=two).error == "integer overflow"
        return
    quotient, remainder = run("a / b", a=one, b=two).value, run("a % b", a=one, b=two).value
    assert quotient * two + remainder == one
    assert abs(remainder) < abs(two)
    assert remainder == 0 or (remainder < 0) == (one < 0)


@given(numbers, numbers)
def test_numbers_of_all_types_are_ordered_with_each_other(one: Any, two: Any) -> None:
    found = [run(f"a {sign} b", a=one, b=two) for sign in ("<", "==", ">")]
    if math.isnan(one) or math.isnan(two):
        assert found[0].error == found[2].error == "NaN values cannot be ordered"
        assert found[1].value is False
        return
    assert [result.value for result in found].count(True) == 1
    assert run("b > a", a=one, b=two).value is found[0].value
    assert run("a <= b", a=one, b=two).value is not found[2].value


@given(values, values)
def test_equality(one: Any, two: Any) -> None:
    assert run("a == a", a=one).value is True
    assert run("a == b", a=one, b=two).value is run("b == a", a=one, b=two).value
    assert run("a != b", a=one, b=two).value is not run("a == b", a=one, b=two).value
    assert run("[a] == [b] && {'k': a} == {'k': b}", a=one, b=two).value is run("a == b", a=one, b=two).value
    assert run("a in [b]", a=one, b=two).value is run("a == b", a=one, b=two).value


@given(st.lists(values, max_size=5), st.lists(values, max_size=5))
def test_lists(one: list[Any], two: list[Any]) -> None:
    assert run("size(a + b) == size(a) + size(b)", a=one, b=two).value is True
    assert list(run("(a + b).map(v, v)", a=one, b=two).value) == [*one, *two]
    assert run("a.filter(v, true) == a && a.filter(v, false) == []", a=one).value is True
    assert run("(a + b) == a.map(v, v) + b", a=one, b=two).value is True


@given(values)
def test_a_dry_run_costs_what_a_run_costs(value: Any) -> None:
    result = run("[a, a].map(v, [v, v]) == [[a, a], [a, a]] ? 1 : 2", a=value)
    assert run("[a, a].map(v, [v, v]) == [[a, a], [a, a]] ? 1 : 2", a=value) == result
    stopped = PROGRAMS["[a, a].map(v, [v, v]) == [[a, a], [a, a]] ? 1 : 2"].evaluate({"a": value}, result.cost - 1)
    assert stopped.exceeded


@given(st.text("ab", max_size=60), st.text("ab", min_size=10, max_size=24), st.integers(0, 70))
def test_the_last_place_of_a_part(text: str, part: str, start: int) -> None:
    found = run("a.lastIndexOf(b)", a=text, b=part).value
    assert found == text.rfind(part)
    assert run("(a + b + a).lastIndexOf(b)", a=text, b=part).value == (text + part + text).rfind(part)
    within = run("a.lastIndexOf(b, c)", a=text, b=part, c=start).value
    assert within == (-1 if start >= len(text) else text.rfind(part, 0, start + len(part)))


LONG = st.builds(
    "{}{}{}{}.{}{}e{}".format,
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 900).map("0".__mul__),
    st.integers(0, 10**20),
    st.integers(0, 1500).map("9".__mul__),
    st.integers(0, 1500).map("0".__mul__),
    st.integers(0, 10**20),
    st.integers(-2000, 400),
)


@given(LONG)
def test_the_double_of_many_digits(text: str) -> None:
    wanted = float(text)
    found = run("double(a)", a=text)
    assert found.error if math.isinf(wanted) else found.value == wanted
