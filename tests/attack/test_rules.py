"""Rules of custom kinds that would hold the server up, or take its memory."""

from __future__ import annotations

import pytest

from kafila.catalog.builtin.validation.apiextensions import MOST_RULES
from kafila.catalog.custom.strategy import SLOW
from kafila.core.values import Object
from tests.integration.api.test_custom_resources import CRDS, WIDGETS, Server, definition, server, widget

__all__ = ["server"]


def with_rules(*rules: Object) -> Object:
    made = definition()
    spec = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["x-kubernetes-validations"] = list(rules)
    return made


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "self.ports.all(a, self.ports.all(b, self.ports.all(c, a.port + b.port + c.port > 0)))",
            "exceeds budget by factor",
        ),
        ("(" * 5000 + "true" + ")" * 5000, "expression recursion limit exceeded"),
        ("optional.of(1)" + ".optMap(v, v + 1)" * 200 + ".value() == 1", "expression is too large"),
        ("true" + " && true" * 200_000, "have more than"),
        ("self.size.matches('(((a{99}){99}){99}){99}')", "invalid matches argument"),
        ("'" + "a" * (MOST_RULES + 1) + "' == 'a'", "have more than"),
    ],
)
async def test_a_definition_with_a_bomb_is_refused(server: Server, rule: str, said: str) -> None:
    answer = await server.api.post(CRDS, with_rules({"rule": rule}))
    assert answer.status_code == 422
    assert said in answer.text


async def test_a_rule_that_runs_long_is_stopped_and_does_so_in_a_thread(server: Server) -> None:
    rule = "self.count == 1 || lists.range(1000).all(i, lists.range(400).all(j, i + j >= 0))"
    await server.define(with_rules({"rule": rule}))
    kind = server.api.registry.catalog.by_kind("example.com", "v1", "Widget")
    assert kind is not None
    assert kind.strategy.slow_to_check
    answer = await server.api.post(WIDGETS, widget(count=2))
    assert answer.status_code == 422
    assert "operation cancelled: actual cost limit exceeded" in answer.text
    assert (await server.api.post(WIDGETS, widget(count=1))).status_code == 201


async def test_a_cheap_rule_is_checked_at_once(server: Server) -> None:
    await server.define(with_rules({"rule": "self.count > 0"}))
    kind = server.api.registry.catalog.by_kind("example.com", "v1", "Widget")
    assert kind is not None
    assert not kind.strategy.slow_to_check
    assert SLOW >= 1000
