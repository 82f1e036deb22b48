"""Functions of expressions that cost little, whatever they are given: what they look at is counted, and stops them.

An evaluation that costs a million takes about a second; without a count each of these took minutes, or hours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kafila.admission.policies.evaluation import EXHAUSTED, Outcome, TooLong, evaluate
from kafila.admission.policies.policy import Policy, policy_of
from kafila.cel import PER_CALL_LIMIT, Environment, Program, Result
from kafila.cel.types import DYN, STRING, list_of
from kafila.core.values import Object

ENVIRONMENT = Environment({"s": STRING, "url": STRING, "digits": STRING, "pre": STRING, "l": list_of(STRING), "m": DYN})


def given(size: int) -> Object:
    return {
        "s": "a" * size,
        "url": "https://a.b/" + "%20" * (size // 3) + "?" + "a=b&" * (size // 4),
        "digits": "1" * size,
        "pre": "1.2.3-" + "a." * (size // 2) + "a",
        "l": [f"k{number}" for number in range(size // 10)],
        "m": {f"k{number}": number for number in range(size // 10)},
    }


@pytest.mark.parametrize(
    "source",
    [
        "s.findAll('').size() == i",
        "s.findAll('a').size() == i",
        "s.findAll('a.*b|a').size() == i",
        "isURL(url)",
        "url(url).getQuery().size() > i",
        "url(url).getEscapedPath() != string(i)",
        "double(digits) > 0.0",
        "'%s'.format([s]).size() > i",
        "'%x'.format([s]).size() > i",
        "'%s'.format([m]).size() > i",
        "[l, l].flatten().size() > i",
        "(l + l)[0] == 'k0'",
        "(l + l).slice(0, 1).size() == 1",
        "l.max() != string(i)",
        "l.indexOf(string(i) + 'x') < 0",
        "isSemver(pre)",
        "m[s] == i || i >= 0",
        "l == l.map(e, e)",
        "'a'.matches('[a-z]{1,1000}' + string(i)) || i >= 0",
        "'a'.find('[a-z]{1,1000}' + string(i)) != 'x'",
        "timestamp('2020-01-01T00:00:00Z').getHours('Nowhere/' + string(i)) >= 0 || i >= 0",
    ],
)
def test_what_is_called_again_and_again_is_stopped(source: str) -> None:
    program = ENVIRONMENT.compile(f"lists.range(40000).all(i, {source} || true)")
    result = program.evaluate(given(100_000))
    assert result.exceeded
    assert result.work > PER_CALL_LIMIT


@pytest.mark.parametrize(
    "source",
    ["isURL(url)", "l.max()", "'%s'.format([m])", "double(digits)", "[l, l].flatten()", "l == l"],
)
def test_what_is_looked_at_is_counted(source: str) -> None:
    program = ENVIRONMENT.compile(source)
    small, twice, large = (program.evaluate(given(size)).work for size in (10_000, 20_000, 40_000))
    assert 1.8 < (large - twice) / (twice - small) < 2.2


def test_what_ends_from_the_end_is_looked_for_from_the_end_once() -> None:
    """Python's own search takes the length of the one times that of the other: an hour for these."""
    text, part = "a" * 1_000_000, "ab" + "a" * 400_000
    program = Environment({"s": STRING, "t": STRING}).compile("s.lastIndexOf(t) + s.lastIndexOf(t, 900000)")
    assert program.evaluate({"s": text, "t": part}).value == -2


class Counting:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.evaluated = 0
        real: Callable[..., Result] = Program.evaluate

        def counted(program: Program, *args: Any) -> Result:
            self.evaluated += 1
            return real(program, *args)

        monkeypatch.setattr(Program, "evaluate", counted)


def many(number: int) -> Policy:
    """Of validations that cost a few each, and look at thousands of values."""
    validations = [{"expression": "object.l.max() != ''"}] * number
    return policy_of({"metadata": {"name": "p"}, "spec": {"validations": validations}}, [])


def test_a_policy_has_one_budget_for_what_it_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, bindings = many(40), {"object": {"l": ["x"] * 2000}}
    counting = Counting(monkeypatch)
    with pytest.raises(TooLong):
        evaluate(policy, bindings, 5_000)
    assert counting.evaluated == 3
    assert evaluate(policy, bindings) == Outcome()
    monkeypatch.setattr("kafila.admission.policies.evaluation.BUDGET", 50_000)
    counting.evaluated = 0
    assert [decision.message for decision in evaluate(policy, bindings).denied] == [EXHAUSTED]
    assert counting.evaluated == 25


def test_a_variable_does_not_give_back_what_was_looked_at() -> None:
    """It is evaluated within what asks for it."""
    spec = {
        "variables": [{"name": "v", "expression": "1"}],
        "validations": [{"expression": "object.l.max() != '' && variables.v == 1 && object.l.max() != ''"}],
    }
    policy = policy_of({"metadata": {"name": "p"}, "spec": spec}, [])
    with pytest.raises(TooLong):
        evaluate(policy, {"object": {"l": ["x"] * 7_000}}, 5_000)
