"""OpenAPI v2 of extension servers: what is read of a document, and how it becomes part of ours."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.aggregation import openapi_reading
from kafila.aggregation.openapi_merging import merge
from kafila.aggregation.openapi_reading import DEFINITIONS, KINDS, read, references

Json = dict[str, Any]
GROUP = "wardle.example.com"
FISH = f"/apis/{GROUP}/v1/fish"
OTHERS = "/apis/apps/v1/deployments"


def ref(name: str) -> Json:
    return {"$ref": DEFINITIONS + name}


def operation(schema: Json) -> Json:
    return {"operationId": "op", "responses": {"200": {"description": "OK", "schema": schema}}}


def swagger(paths: Json | None = None, definitions: Json | None = None, **more: Any) -> Json:
    paths = {FISH: {"get": operation(ref("Fish"))}} if paths is None else paths
    definitions = {"Fish": {"type": "object"}} if definitions is None else definitions
    return {"swagger": "2.0", "info": {}, "paths": paths, "definitions": definitions, **more}


def kept(document: Json) -> Json:
    found: Json = orjson.loads(read(orjson.dumps(document), GROUP, "v1"))
    return found


def kind(group: str, name: str = "Fish") -> Json:
    return {"group": group, "version": "v1", "kind": name}


# -- reading -----------------------------------------------------------------------------------------------------------


def test_only_paths_of_its_own_version_are_kept() -> None:
    strangers = [OTHERS, f"/apis/{GROUP}/v2/fish", f"/apis/{GROUP}/v1", f"/apis/{GROUP}/v11/fish", "/", "/version"]
    paths = {path: {"get": operation(ref("Other"))} for path in strangers}
    definitions = {"Fish": {"properties": {"a": ref("Part")}}, "Part": {"type": "string"}, "Other": {}, "Unused": {}}
    found = kept(swagger({FISH: {"get": operation(ref("Fish"))}, **paths}, definitions))
    assert list(found["paths"]) == [FISH]
    assert set(found["definitions"]) == {"Fish", "Part", "Unused"}  # as in Go: what no path needed before stays


def test_a_server_speaks_of_its_own_kinds_only() -> None:
    definitions = {"Fish": {KINDS: [kind(GROUP), kind("apps", "Deployment"), kind("")]}, "Lie": {KINDS: [kind("apps")]}}
    found = kept(swagger(definitions=definitions))["definitions"]
    assert found == {"Fish": {KINDS: [kind(GROUP)]}, "Lie": {}}


def test_what_openapi_does_not_know_is_left_out() -> None:
    schema = {"type": "object", "x-kubernetes-y": {"a": [1]}, "oneOf": [{}], "externalDocs": 3, "title": None}
    assert kept(swagger(definitions={"Fish": schema}))["definitions"]["Fish"] == {
        "type": "object",
        "x-kubernetes-y": {"a": [1]},
    }


def test_parameters_are_shared() -> None:
    pretty = {"name": "pretty", "in": "query", "type": "string", "uniqueItems": True}
    path = {"get": operation(ref("Fish")), "parameters": [{"$ref": "#/parameters/pretty"}]}
    found = kept(swagger({FISH: path}, parameters={"pretty": pretty}))
    assert found["parameters"] == {"pretty": pretty}
    assert found["paths"][FISH]["parameters"] == [{"$ref": "#/parameters/pretty"}]


def deep(levels: int) -> Json:
    schema: Json = {"type": "string"}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    "document",
    [
        [],
        7,
        {},
        {"swagger": "3.0"},
        swagger({FISH: []}),
        swagger({FISH: {"get": []}}),
        swagger({FISH: {"get": {"tags": "a"}}}),
        swagger({FISH: {"get": {"responses": {"200": "OK"}}}}),
        swagger({FISH: {"parameters": [{}]}}),
        swagger({FISH: {"parameters": [{"name": "a", "in": "cookie", "type": "string"}]}}),
        swagger({FISH: {"parameters": [{"name": "a", "in": "query"}]}}),
        swagger({FISH: {"parameters": [{"name": "a", "in": "body"}]}}),
        swagger(definitions={"Fish": "a"}),
        swagger(definitions={"Fish": {"type": 1}}),
        swagger(definitions={"Fish": {"type": [1]}}),
        swagger(definitions={"Fish": {"properties": []}}),
        swagger(definitions={"Fish": {"properties": {"a": 1}}}),
        swagger(definitions={"Fish": {"minLength": -1}}),
        swagger(definitions={"Fish": {"minLength": 1 << 60}}),
        swagger(definitions={"Fish": {"maximum": True}}),
        swagger(definitions={"Fish": {"required": "a"}}),
        swagger(definitions={"Fish": {"$ref": {}}}),
        swagger(definitions={"Fish": {KINDS: {}}}),
        swagger(definitions={"Fish": {KINDS: [{"group": GROUP}]}}),
        swagger(definitions={"Fish": deep(100)}),
        swagger(definitions={"Fish": {"x-a": deep(100)}}),
        swagger(definitions={str(number): {} for number in range(openapi_reading.MOST_DEFINITIONS + 1)}),
    ],
)
def test_what_is_no_document_is_none_of_it(document: Any) -> None:
    with pytest.raises(ValueError, match=r"it (is|has)|has no type|is no list"):
        read(orjson.dumps(document), GROUP, "v1")


def test_what_is_kept_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi_reading, "LARGEST", 100)
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        kept(swagger(definitions={"Fish": {"description": "x" * 100}}))


# -- merging -----------------------------------------------------------------------------------------------------------


def ours() -> Json:
    paths = {OTHERS: {"get": operation(ref("Deployment"))}}
    definitions = {"Deployment": {"type": "object"}, "Status": {"type": "object", KINDS: [kind("", "Status")]}}
    return {"swagger": "2.0", "paths": paths, "definitions": definitions}


def theirs(paths: Json, definitions: Json, parameters: Json | None = None) -> Json:
    return {"paths": paths, "definitions": definitions, "parameters": parameters or {}}


def test_a_path_that_is_there_stays() -> None:
    into = ours()
    merge(into, theirs({OTHERS: {"get": operation(ref("Lie"))}}, {"Lie": {"type": "string"}}))
    assert into == ours()
    paths = {OTHERS: {"get": operation(ref("Lie"))}, FISH: {"get": operation(ref("Fish"))}}
    merge(into, theirs(paths, {"Lie": {}, "Fish": {}}))
    assert into["paths"][OTHERS] == ours()["paths"][OTHERS]
    assert set(into["definitions"]) == {"Deployment", "Status", "Fish"}


def test_another_definition_of_the_same_name_gets_a_new_one() -> None:
    into = ours()
    fish = {"properties": {"status": ref("Status"), "all": {"items": ref("Status")}}}
    merge(into, theirs({FISH: {"get": operation(ref("Fish"))}}, {"Fish": fish, "Status": {"type": "string"}}))
    assert into["definitions"]["Status"] == ours()["definitions"]["Status"]
    assert into["definitions"]["Status_v2"] == {"type": "string"}
    assert into["definitions"]["Fish"] == {
        "properties": {"status": ref("Status_v2"), "all": {"items": ref("Status_v2")}}
    }
    # a second server that says the same as the first one uses the name that was found for it; one with other words does not
    for number, schema in ((2, {"type": "string"}), (3, {"type": "integer"})):
        path = f"/apis/{GROUP}/v{number}/fish"
        merge(into, theirs({path: {"get": operation(ref("Status"))}}, {"Status": schema}))
        assert into["paths"][path]["get"]["responses"]["200"]["schema"] == ref(f"Status_v{number}")


def test_a_new_name_is_nobody_elses() -> None:
    into = ours()
    merge(
        into,
        theirs(
            {FISH: {"get": operation(ref("Status")), "put": operation(ref("Status_v2"))}},
            {"Status": {"type": "string"}, "Status_v2": {"type": "integer"}},
        ),
    )
    assert into["definitions"]["Status_v2"] == {"type": "integer"}
    assert into["definitions"]["Status_v3"] == {"type": "string"}
    assert into["paths"][FISH]["get"]["responses"]["200"]["schema"] == ref("Status_v3")


def test_definitions_that_say_the_same_have_the_kinds_of_both() -> None:
    into = ours()
    status = {"type": "object", KINDS: [kind(GROUP, "Status")]}
    merge(into, theirs({FISH: {"get": operation(ref("Status"))}}, {"Status": status}))
    assert into["definitions"]["Status"][KINDS] == [kind("", "Status"), kind(GROUP, "Status")]
    assert "Status_v2" not in into["definitions"]


def test_another_parameter_of_the_same_name_gets_a_new_one() -> None:
    into = ours()
    text, number = ({"name": "a", "in": "query", "type": kind} for kind in ("string", "integer"))
    for version, parameter in (("v1", text), ("v2", number), ("v3", text)):
        path = f"/apis/{GROUP}/{version}/fish"
        merge(into, theirs({path: {"parameters": [{"$ref": "#/parameters/a"}]}}, {}, {"a": parameter}))
    assert into["parameters"] == {"a": text, "a_v2": number}
    used = [into["paths"][f"/apis/{GROUP}/{v}/fish"]["parameters"][0]["$ref"] for v in ("v1", "v2", "v3")]
    assert used == ["#/parameters/a", "#/parameters/a_v2", "#/parameters/a"]


NAMES = st.sampled_from(["A", "A_v2", "A_v3", "B", "Deployment", "Status"])
SCHEMAS = st.recursive(
    st.one_of(st.builds(ref, NAMES), st.sampled_from([{"type": "object"}, {"type": "string"}])),
    lambda inner: st.builds(lambda a, b: {"properties": {"a": a, "b": b}}, inner, inner),
    max_leaves=4,
)
PATHS = st.sampled_from([OTHERS, *(f"/apis/{GROUP}/v1/{letter}" for letter in "abc")])
SOURCES = st.builds(
    lambda paths, definitions: theirs({path: {"get": operation(s)} for path, s in paths.items()}, definitions),
    st.dictionaries(PATHS, SCHEMAS, max_size=4),
    st.dictionaries(NAMES, SCHEMAS, max_size=5),
)


@given(st.lists(SOURCES, max_size=4))
def test_ours_stays_and_theirs_means_what_it_meant(sources: list[Json]) -> None:
    into = ours()
    for source in sources:
        before, given_ = copy.deepcopy(into), copy.deepcopy(source)
        merge(into, source)
        assert source == given_
        for name, schema in before["definitions"].items():
            assert into["definitions"][name] == schema
        for path, item in before["paths"].items():
            assert into["paths"][path] == item
        whole = {**source, "definitions": before["definitions"] | source["definitions"]}
        for path, item in source["paths"].items():
            assert path in into["paths"]
            if path in before["paths"]:
                continue
            said = item["get"]["responses"]["200"]["schema"]
            if all(name in source["definitions"] for name in _reachable(source, said)):
                shown = into["paths"][path]["get"]["responses"]["200"]["schema"]
                assert _shape(into, shown, 3) == _shape(whole, said, 3)


def _reachable(source: Json, schema: Json) -> set[str]:
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        for reference in references(waiting.pop()):
            name = reference.removeprefix(DEFINITIONS)
            if name not in found:
                found.add(name)
                waiting.append(source["definitions"].get(name, {}))
    return found


def _shape(document: Json, schema: Json, left: int) -> Any:
    """What a schema means, whatever its parts are called."""
    if "$ref" in schema:
        return (
            _shape(document, document["definitions"][schema["$ref"].removeprefix(DEFINITIONS)], left - 1) if left else 0
        )
    if "properties" in schema:
        return {name: _shape(document, part, left) for name, part in schema["properties"].items()}
    return {key: value for key, value in schema.items() if key != KINDS}
