"""Rules (x-kubernetes-validations) and selectable fields of custom kinds, over HTTP."""

from __future__ import annotations

import json
from typing import Any

from kafila.core.values import Object

from .test_custom_resources import CRDS, MERGE, WIDGETS, Server, definition, server, widget

__all__ = ["server"]

RULE = {
    "rule": "self.count <= 5",
    "messageExpression": "'at most 5, not %d'.format([self.count])",
    "fieldPath": ".count",
}


def with_rules(*rules: Object, selectable: tuple[str, ...] = ()) -> Object:
    made = definition()
    version = made["spec"]["versions"][0]
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = list(rules)
    if selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in selectable]
    return made


async def test_an_object_that_breaks_a_rule_is_refused_and_says_where(server: Server) -> None:
    await server.define(with_rules(RULE))
    answer = await server.api.post(WIDGETS, widget(count=9))
    assert answer.status_code == 422
    causes = answer.json()["details"]["causes"]
    said = {"reason": "FieldValueInvalid", "message": "Invalid value: at most 5, not 9", "field": "spec.count"}
    assert causes == [said]
    assert (await server.api.post(WIDGETS, widget(count=5))).status_code == 201
    assert (await server.api.patch(f"{WIDGETS}/a", {"spec": {"count": 6}}, MERGE)).status_code == 422
    answer = await server.api.patch(f"{WIDGETS}/a/status", {"spec": {"count": 9}, "status": {"count": 1}}, MERGE)
    assert answer.status_code == 200, answer.text


async def test_a_rule_that_comes_later_leaves_what_does_not_change(server: Server) -> None:
    await server.define(definition())
    await server.api.made(WIDGETS, widget(count=9))

    def tighten(crd: Any) -> None:
        crd["spec"]["versions"] = with_rules(RULE)["spec"]["versions"]

    await server.redefine("widgets.example.com", tighten)
    answer = await server.api.patch(f"{WIDGETS}/a", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    assert answer.status_code == 200
    assert "at most 5, not 9" in answer.headers["warning"]
    assert (await server.api.patch(f"{WIDGETS}/a", {"spec": {"count": 8}}, MERGE)).status_code == 422


async def test_a_definition_whose_rule_does_not_compile_is_refused(server: Server) -> None:
    answer = await server.api.post(CRDS, with_rules({"rule": "self.nope > 1"}))
    assert answer.status_code == 422
    (cause,) = answer.json()["details"]["causes"]
    assert cause["field"] == "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule"
    assert "compilation failed: ERROR: <input>:1:5: undefined field 'nope'" in cause["message"]


async def test_rules_are_published(server: Server) -> None:
    await server.define(with_rules(RULE))
    document = (await server.api.get("/openapi/v3/apis/example.com/v1")).json()
    spec = document["components"]["schemas"]["com.example.v1.Widget"]["properties"]["spec"]
    assert spec["x-kubernetes-validations"] == [RULE]


async def test_objects_are_selected_by_their_fields(server: Server) -> None:
    await server.define(with_rules(selectable=(".spec.size", ".spec.count")))
    for name, spec in (("a", {"count": 1}), ("b", {"size": "m"}), ("c", {"count": 3})):
        await server.api.made(WIDGETS, widget(name, **spec))

    async def names(selector: str) -> list[str]:
        answer = await server.api.get(f"{WIDGETS}?fieldSelector={selector}")
        assert answer.status_code == 200, answer.text
        return [item["metadata"]["name"] for item in answer.json()["items"]]

    assert await names("spec.size=m") == ["b"]
    assert await names("spec.size!=m") == ["a", "c"]
    assert await names("spec.count=1,spec.size=s") == ["a"]
    refused = await server.api.get(f"{WIDGETS}?fieldSelector=spec.ports=1")
    assert (refused.status_code, refused.json()["message"]) == (400, "field label not supported: spec.ports")
    watched = await server.api.get(f"{WIDGETS}?watch=1&timeoutSeconds=1&fieldSelector=spec.size%3Dm")
    events = [json.loads(line) for line in watched.text.splitlines()]
    assert [event["object"]["metadata"]["name"] for event in events if event["type"] == "ADDED"] == ["b"]
