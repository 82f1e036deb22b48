"""ValidatingAdmissionPolicies: what one says of an object. Whole requests are compared with kube-apiserver in tests/differential."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.admission.policies import evaluation
from kafila.admission.policies.evaluation import EXHAUSTED, Decision, TooLong, evaluate
from kafila.admission.policies.policy import Policy, policy_of
from kafila.core.values import Object


def policy(*validations: Object, **spec: Any) -> Policy:
    given = {"validations": list(validations), **spec}
    return policy_of({"metadata": {"name": "p"}, "spec": given}, [])


def rule(expression: str, **more: str) -> Object:
    return {"expression": expression, **more}


def said(of: Policy, obj: Object | None, **bindings: Any) -> list[str]:
    return [decision.message for decision in evaluate(of, {"object": obj, "oldObject": None, **bindings}).denied]


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (rule("object.a == 1"), ""),
        (rule("object.a == 2"), "failed expression: object.a == 2"),
        (rule(" object.a == 2 ", message=" two "), "two"),
        (rule("object.a == 2", message="two", messageExpression="'not ' + string(object.a)"), "not 1"),
        (rule("object.a == 2", message="two", messageExpression="'a\\nb'"), "two"),
        (rule("object.a == 2", message="two", messageExpression="object.nothing"), "two"),
        (rule("object.a == 2", messageExpression="' '"), "failed expression: object.a == 2"),
        (rule("object.b == 2"), "expression 'object.b == 2' resulted in error: no such key: b"),
    ],
)
def test_what_is_said(validation: Object, message: str) -> None:
    assert said(policy(validation), {"a": 1}) == ([message] if message else [])


def test_errors_count_where_failures_do() -> None:
    broken, wrong = rule("object.nothing"), rule("false", reason="Forbidden")
    found = evaluate(policy(broken, wrong), {"object": {}}).denied
    assert [(d.place, d.reason, d.error) for d in found] == [(0, "", True), (1, "Forbidden", False)]
    assert evaluate(policy(broken, wrong, failurePolicy="Ignore"), {"object": {}}).denied == (
        Decision(1, "failed expression: false", "Forbidden"),
    )


def test_variables_are_evaluated_once_and_when_they_are_asked_for() -> None:
    variables = [
        {"name": "all", "expression": "object.items"},
        {"name": "count", "expression": "size(variables.all)"},
        {"name": "broken", "expression": "object.nothing"},
    ]
    rules = rule("variables.count == 2", messageExpression="string(variables.count)"), rule("variables.broken")
    found = said(policy(*rules, variables=variables), {"items": [1]})
    wanted = 'composited variable "broken" fails to evaluate: no such key: nothing'
    assert found == ["1", f"expression 'variables.broken' resulted in error: {wanted}"]
    assert said(policy(rules[0], variables=variables), {"items": [1, 2]}) == []


def test_conditions_say_whom_it_is_about() -> None:
    not_mine = {"name": "c", "expression": "object.mine != true"}
    assert said(policy(rule("false"), matchConditions=[not_mine]), {"mine": True}) == []
    assert said(policy(rule("false"), matchConditions=[not_mine]), {"mine": False}) == ["failed expression: false"]
    text = "expression 'object.mine != true' resulted in error: no such key: mine"
    assert said(policy(rule("false"), matchConditions=[not_mine]), {}) == [text]
    assert said(policy(rule("false"), matchConditions=[not_mine], failurePolicy="Ignore"), {}) == []


def test_annotations_are_what_their_expressions_give() -> None:
    given = [
        {"key": "name", "valueExpression": "' ' + object.name"},
        {"key": "none", "valueExpression": "null"},
        {"key": "empty", "valueExpression": "' '"},
    ]
    assert evaluate(policy(auditAnnotations=given), {"object": {"name": "x"}}).annotations == (("name", "x"),)


def test_parameters() -> None:
    of = policy(rule("object.a < params.max"), paramKind={"apiVersion": "example.com/v1", "kind": "Limit"})
    assert of.param_kind == ("example.com", "v1", "Limit")
    assert of.shown_param_kind == "example.com/v1, Kind=Limit"
    assert said(of, {"a": 1}, params={"max": 2}) == []
    assert said(of, {"a": 2}, params={"max": 2}) == ["failed expression: object.a < params.max"]


COSTLY = "object.items.all(a, object.items.all(b, object.items.all(c, a + b + c >= 0)))"


def test_what_costs_too_much_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """One expression may cost a tenth of what the policy may."""
    obj = {"items": list(range(400))}
    ended = f"expression '{COSTLY}' resulted in error: operation cancelled: actual cost limit exceeded"
    assert said(policy(rule(COSTLY)), obj) == [ended]
    assert said(policy(rule(COSTLY), failurePolicy="Ignore"), obj) == []
    monkeypatch.setattr(evaluation, "BUDGET", 1_500_000)
    assert said(policy(*[rule(COSTLY)] * 2), obj) == [EXHAUSTED]


@given(st.integers(0, 12), st.integers(0, 3_000))
def test_what_is_too_long_for_here_has_the_same_outcome_elsewhere(length: int, most: int) -> None:
    of, bindings = policy(rule(COSTLY), rule("size(object.items) < 6")), {"object": {"items": list(range(length))}}
    try:
        quick = evaluate(of, bindings, most)
    except TooLong:
        return
    assert quick == evaluate(of, bindings)
