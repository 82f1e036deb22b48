"""Expressions that would take all memory or time: stopped at the cost limit, or at a bound of what one call makes."""

from __future__ import annotations

import pytest

from kafila.cel import PER_CALL_LIMIT, CompileError, Environment
from kafila.cel.types import DYN, STRING
from kafila.cel.values import Optional

ENVIRONMENT = Environment({"x": DYN, "s": STRING})


def doubled(value: str, twice: str, times: int = 60) -> str:
    """``value`` doubled so many times, each time for a cost of a few."""
    return f"[{value}]" + f".map(v, {twice})" * times + "[0]"


@pytest.mark.parametrize(
    "source",
    [
        "lists.range(300).all(i, lists.range(300).all(j, lists.range(300).all(k, i + j + k >= 0)))",
        "lists.range(1000000000)",
        "x.map(i, x.map(j, x.map(k, 1)))",
        "s.replace('a', s).replace('a', s).replace('a', s).size() > 0",
        "s.replace('', s).replace('', s).size() > 0",
        "[s, s, s].map(p, [s, s, s].join(s)).join(s).replace('a', s)",
        "'%s%s%s'.format([s.replace('a', s), s.replace('a', s), s.replace('a', s)])",
        "'%.999999999f'.format([1.5])",
        "x.distinct()",
        "sets.contains(x, x.map(i, -i))",
        "x.map(i, s.matches('(a|b)*c(a*)*(b*)*'))",
    ],
)
def test_stopped(source: str) -> None:
    result = ENVIRONMENT.compile(source).evaluate({"x": list(range(3000)), "s": "a" * 10_000})
    assert result.exceeded
    assert result.error == "operation cancelled: actual cost limit exceeded"
    assert result.cost > PER_CALL_LIMIT


@pytest.mark.parametrize(
    "source",
    [
        doubled("[1]", "v + v") + ".map(i, i)",
        "[" + doubled("[1]", "v + v") + "].flatten()",
        doubled("[1]", "v + v") + "[5]",
        doubled("[1]", "v + v") + ".exists(i, i == 1)",
        doubled("[1]", "[v, v]") + " == " + doubled("[1]", "[v, v]"),
        doubled("[1]", "[v, v]") + " in [" + doubled("[1]", "[v, v]") + "]",
        "'%s'.format([" + doubled("[1]", "[v, v]") + "])",
        doubled("'ab'", "'%s%s'.format([v, v])"),
        doubled("'ab'", "[v, v].join()"),
        doubled("'ab'", "v + v"),
        doubled("'ab'", "v.replace('b', v)"),
        doubled("b'ab'", "v + v"),
        doubled("{'a': 1}", "{'a': v, 'b': v}") + " == " + doubled("{'a': 1}", "{'a': v, 'b': v}"),
        "sets.contains(" + doubled("[1]", "v + v") + ", [2])",
        doubled("[1]", "v + v") + ".sum()",
        "1 in " + doubled("[2]", "v + v"),
    ],
)
def test_what_doubles_is_bounded(source: str) -> None:
    assert ENVIRONMENT.compile(source).evaluate({}).exceeded


def test_a_list_that_is_only_joined_takes_no_memory() -> None:
    assert ENVIRONMENT.compile(doubled("[1]", "v + v") + ".size()").evaluate({}).value == 2**60


def test_a_macro_that_repeats_its_target_does_not_grow_without_end() -> None:
    assert ENVIRONMENT.compile("optional.of(1)" + ".optMap(v, v + 1)" * 8).evaluate({}).value == Optional(9, True)
    with pytest.raises(CompileError, match="macros make more than 20000 parts of it"):
        ENVIRONMENT.compile("optional.of(1)" + ".optMap(v, v + 1)" * 100)


def test_the_cost_of_asking_and_of_nothing() -> None:
    program = ENVIRONMENT.compile("x == x")
    assert program.evaluate({"x": 1}, 0).exceeded
    assert program.evaluate({"x": 1}, 3) == (True, 3, "", False, 3)


@pytest.mark.parametrize("digits", [27, 28, 29, 100, 999])
def test_a_number_has_as_many_digits_as_are_asked_for(digits: int) -> None:
    found = ENVIRONMENT.compile(f"'%.{digits}f'.format([1.5])").evaluate({})
    assert (found.value, found.error) == ("1.5" + "0" * (digits - 1), "")
