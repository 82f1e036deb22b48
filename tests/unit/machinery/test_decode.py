from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.catalog import load_catalog
from kafila.catalog.tables import schema_of
from kafila.machinery.decode import DecodeError, compile_decoder, find_duplicates
from kafila.machinery.schema import Schema

STRING = Schema("string")
INNER = Schema(
    "struct", "x.v1.Inner", fields={"name": STRING, "size": Schema("quantity")}, drop_zero=frozenset({"name"})
)
OUTER = Schema(
    "struct",
    "x.v1.Outer",
    fields={
        "kind": STRING,
        "count": Schema("integer", format="int32"),
        "big": Schema("integer", format="int64"),
        "ratio": Schema("number"),
        "flag": Schema("boolean"),
        "pointer": Schema("integer", format="int32"),
        "port": Schema("int-or-string", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
        "at": Schema("time"),
        "exact": Schema("micro-time"),
        "data": Schema("bytes"),
        "labels": Schema("map", items=STRING),
        "sizes": Schema("map", items=Schema("quantity")),
        "names": Schema("list", items=STRING),
        "inner": INNER,
        "inners": Schema("list", items=INNER),
        "free": Schema("any"),
        "protocol": Schema("string", default="TCP"),
        "rules": Schema("list", items=INNER),
    },
    always={"inner": {}, "rules": None},
    drop_zero=frozenset(
        {"kind", "count", "big", "ratio", "flag", "data", "labels", "sizes", "names", "inners", "protocol"}
    ),
)
EMPTY = {"inner": {}, "protocol": "TCP", "rules": None}


def decode(value: Any) -> dict[str, Any]:
    out, unknown = compile_decoder(OUTER)(value)
    assert unknown == []
    return out


def test_absent_fields() -> None:
    assert decode({}) == EMPTY
    assert list(decode({})) == ["inner", "protocol", "rules"]


def test_fields_come_in_wire_order_and_maps_by_key() -> None:
    out = decode({"labels": {"b": "1", "a": "2"}, "flag": True, "count": 1, "kind": "x"})
    assert list(out) == ["kind", "count", "flag", "labels", "inner", "protocol", "rules"]
    assert list(out["labels"]) == ["a", "b"]


def test_zeros_are_dropped_where_go_drops_them() -> None:
    zeros = {"kind": "", "count": 0, "big": 0, "ratio": 0.0, "flag": False, "data": "", "labels": {}, "names": []}
    assert decode({**zeros, "inners": [], "protocol": ""}) == EMPTY
    assert decode({"pointer": 0})["pointer"] == 0
    assert decode({"rules": []})["rules"] == []


@pytest.mark.parametrize("field", sorted(OUTER.fields))
def test_null_is_absent(field: str) -> None:
    assert decode({field: None}) == EMPTY


def test_null_inside_lists_and_maps_is_the_zero_value() -> None:
    assert decode({"names": [None, "a"]})["names"] == ["", "a"]
    assert decode({"labels": {"a": None}})["labels"] == {"a": ""}
    assert decode({"sizes": {"a": None}})["sizes"] == {"a": "0"}
    assert decode({"inners": [None]})["inners"] == [{}]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("at", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("at", "2026-01-02T03:04:05.987654321+02:00", "2026-01-02T01:04:05Z"),
        ("at", "0099-01-02T03:04:05Z", "0099-01-02T03:04:05Z"),
        ("exact", "2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.100000Z"),
        ("exact", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
        ("data", "aGk=", "aGk="),
        ("data", "aG\r\nk=", "aGk="),
        ("ratio", 1.0, 1),
        ("ratio", 0.25, 0.25),
        ("port", "http", "http"),
        ("port", 80, 80),
        ("sizes", {"cpu": "1000m", "memory": 1024, "x": 0.5}, {"cpu": "1", "memory": "1024", "x": "500m"}),
        ("free", {"a": [None, {"b": 1}]}, {"a": [None, {"b": 1}]}),
    ],
)
def test_scalars_become_canonical(field: str, value: Any, expected: Any) -> None:
    assert decode({field: value})[field] == expected


def test_the_zero_time_is_absent() -> None:
    assert decode({"at": "0001-01-01T00:00:00Z"}) == EMPTY


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"count": "1"}, "json: cannot unmarshal string into Go struct field Outer.count of type int32"),
        ({"count": 2**31}, "json: cannot unmarshal number 2147483648 into Go struct field Outer.count of type int32"),
        ({"count": 1.5}, "json: cannot unmarshal number 1.5 into Go struct field Outer.count of type int32"),
        ({"count": True}, "json: cannot unmarshal bool into Go struct field Outer.count of type int32"),
        (
            {"big": 2**63},
            "json: cannot unmarshal number 9223372036854775808 into Go struct field Outer.big of type int64",
        ),
        ({"flag": "true"}, "json: cannot unmarshal string into Go struct field Outer.flag of type bool"),
        ({"labels": {"a": 1}}, "json: cannot unmarshal number into Go struct field Outer.labels of type string"),
        ({"names": "a"}, "json: cannot unmarshal string into Go struct field Outer.names of type []string"),
        ({"inner": []}, "json: cannot unmarshal array into Go struct field Outer.inner of type v1.Inner"),
        ({"inners": {}}, "json: cannot unmarshal object into Go struct field Outer.inners of type []v1.Inner"),
        (
            {"inners": [{"name": 1}]},
            "json: cannot unmarshal number into Go struct field Inner.inners.name of type string",
        ),
        ({"port": False}, "json: cannot unmarshal bool into Go struct field Outer.port of type int32"),
        (
            {"sizes": {"a": "x"}},
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ({"at": "today"}, 'parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"'),
        ({"at": "2026-13-01T00:00:00Z"}, 'parsing time "2026-13-01T00:00:00Z": out of range'),
        ({"data": "a!bc"}, "illegal base64 data at input byte 1"),
        ([], "json: cannot unmarshal array into Go value of type v1.Outer"),
    ],
)
def test_errors_are_in_gos_words(value: Any, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        compile_decoder(OUTER)(value)
    assert str(caught.value) == message


def test_unknown_fields_are_dropped_and_reported_in_document_order() -> None:
    value = {"z": 1, "inners": [{}, {"foo": {"a": 1}}], "inner": {"bar": 1, "name": "n"}, "count": 1}
    out, unknown = compile_decoder(OUTER)(value)
    assert unknown == ["z", "inners[1].foo", "inner.bar"]
    assert out == {**EMPTY, "count": 1, "inner": {"name": "n"}, "inners": [{}, {}]}
    assert compile_decoder(OUTER)(value)[1] == unknown  # the same shape again


def test_a_type_may_keep_unknown_fields() -> None:
    keeping = Schema("struct", "x", fields={"a": Schema("integer")}, preserve_unknown=True)
    out, unknown = compile_decoder(keeping)({"b": {"c": None}, "a": 1})
    assert (out, unknown) == ({"a": 1, "b": {"c": None}}, [])


def test_defaults_of_containers_are_fresh_and_decoded() -> None:
    child = Schema("struct", "c", fields={"n": Schema("integer", default=3)}, default={})
    decoder = compile_decoder(Schema("struct", "p", fields={"c": child, "zero": Schema("boolean", default=False)}))
    first = decoder({})[0]
    assert first == {"c": {"n": 3}, "zero": False}
    first["c"]["n"] = 4
    assert decoder({})[0]["c"] == {"n": 3}


def test_a_definition_may_refer_to_itself() -> None:
    tree = Schema("struct", "x.Tree", fields={"name": STRING})
    tree.fields["children"] = Schema("list", items=tree)
    out, unknown = compile_decoder(tree)({"children": [{"children": [{"name": "leaf", "bad": 1}]}]})
    assert out == {"children": [{"children": [{"name": "leaf"}]}]}
    assert unknown == ["children[0].children[0].bad"]


def test_real_deployment() -> None:
    decoder = compile_decoder(schema_of("io.k8s.api.apps.v1.Deployment"))
    out, unknown = decoder(
        {
            "metadata": {"name": "d", "creationTimestamp": None},
            "spec": {"replicas": 0, "template": {"spec": {"containers": [{"name": "c", "foo": 1}]}}},
            "kind": "Deployment",
            "apiVersion": "apps/v1",
        }
    )
    assert unknown == ["spec.template.spec.containers[0].foo"]
    assert out["spec"]["replicas"] == 0
    assert out["spec"]["template"]["spec"]["containers"][0] == {"name": "c", "resources": {}}
    assert out["status"] == {}
    assert out["metadata"] == {"name": "d"}
    with pytest.raises(DecodeError, match=r"Go struct field DeploymentSpec\.spec\.replicas of type int32"):
        decoder({"spec": {"replicas": "x"}})


def test_an_empty_list_of_managed_fields_is_a_message() -> None:
    decoder = compile_decoder(schema_of("io.k8s.api.core.v1.ConfigMap"))
    assert decoder({"metadata": {"name": "c", "managedFields": []}})[0]["metadata"]["managedFields"] == []
    assert "managedFields" not in decoder({"metadata": {"name": "c"}})[0]["metadata"]


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.text(max_size=3),
        "count": st.integers(-5, 5),
        "pointer": st.none() | st.integers(-1, 1),
        "labels": st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=3),
        "names": st.lists(st.text(max_size=2), max_size=3),
        "sizes": st.dictionaries(st.sampled_from("ab"), st.sampled_from(["1", "1000m", "1Gi", "0.5"])),
        "inners": st.lists(st.fixed_dictionaries({}, optional={"name": st.text(max_size=1), "no": JSON}), max_size=3),
        "free": JSON,
        "surplus": JSON,
    },
)


@given(VALUES)
def test_decoding_what_was_decoded_changes_nothing(value: dict[str, Any]) -> None:
    before = copy.deepcopy(value)
    once, _ = compile_decoder(OUTER)(value)
    assert value == before
    twice, unknown = compile_decoder(OUTER)(once)
    assert twice == once
    assert unknown == []
    assert list(twice) == list(once)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a":1,"b":2}', []),
        (b'{"a":1,"a":2}', ["a"]),
        (b'{"a":1,"a":2,"a":3}', ["a"]),
        (b'{"spec":{"c":[{"n":1},{"n":1,"n":2}]}}', ["spec.c[1].n"]),
        (b'{ "a" : 1, "a" : 2 }', ["a"]),
        (b'{"a" :1,"b":1,"b":2}', ["b"]),
        (b'{"t":"\\u0022:","a":1,"a":2}', ["a"]),
        (b'{"t":"\\u003a","a":1,"a":2}', ["a"]),  # a colon that is written again as one
        (b'{"t":"\\u003A\\u003a","a" :1,"b" : ":"}', []),
        (b'{"a":":","a":"::"}', ["a"]),
        (b'{"a"\n:1,"b":2,"a"\t: 3}', ["a"]),
        (b'{"t":"x\\":","a":1}', []),
        (b'{"a":{"x":"\\":\\":"},"a":1}', ["a"]),
    ],
)
def test_duplicate_fields(raw: bytes, expected: list[str]) -> None:
    assert find_duplicates(raw) == expected
    assert find_duplicates(raw, orjson.loads(raw)) == expected


@given(JSON)
def test_no_duplicates_in_what_was_written_from_dicts(value: Any) -> None:
    assert find_duplicates(orjson.dumps({"root": value})) == []
    assert find_duplicates(orjson.dumps({"root": value}, option=orjson.OPT_INDENT_2)) == []
    doubled = b'{"root":' + orjson.dumps(value) + b',"root":' + orjson.dumps(value) + b"}"
    assert find_duplicates(doubled) == ["root"]


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"flag": 1, "count": "x"}, "Outer.flag of type bool"),
        ({"inners": [{"name": 1}], "count": "x"}, "Inner.inners.name of type string"),
        ({"flag": 1, "at": 1, "count": "x"}, "Outer.at of type string"),  # types that read themselves come first
        ({"flag": 1, "sizes": {"a": "x"}}, "quantities must match"),
    ],
)
def test_of_several_errors_the_one_is_reported_that_go_reports(value: Any, where: str) -> None:
    with pytest.raises(DecodeError) as caught:
        compile_decoder(OUTER)(value)
    assert where in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("apps.v1.Deployment", {"spec": {"strategy": {"type": 1}}}, "number DeploymentStrategy.spec.strategy.type v1.DeploymentStrategyType"),
        ("core.v1.Pod", {"spec": {"containers": [{"resources": {"limits": []}}]}}, "array ResourceRequirements.spec.containers.resources.limits v1.ResourceList"),
        ("core.v1.PersistentVolume", {"spec": {"accessModes": {}}}, "object PersistentVolumeSpec.spec.accessModes []v1.PersistentVolumeAccessMode"),
        ("core.v1.PersistentVolume", {"spec": {"accessModes": [1]}}, "number PersistentVolumeSpec.spec.accessModes v1.PersistentVolumeAccessMode"),
        ("core.v1.Pod", {"spec": {"volumes": [{"configMap": {"name": 1}}]}}, "number ConfigMapVolumeSource.spec.volumes.VolumeSource.configMap.LocalObjectReference.name string"),
        ("core.v1.Pod", {"spec": {"volumes": [{"hostPath": []}]}}, "array Volume.spec.volumes.VolumeSource.hostPath v1.HostPathVolumeSource"),
    ],
)  # fmt: skip
def test_errors_name_gos_own_types_and_the_structs_that_fields_are_embedded_by(kind: str, body: Any, said: str) -> None:
    given, path, expected = said.split()
    with pytest.raises(DecodeError) as refused:
        compile_decoder(schema_of(f"io.k8s.api.{kind}"))(body)
    assert str(refused.value) == f"json: cannot unmarshal {given} into Go struct field {path} of type {expected}"


def test_null_bytes_inside_a_map_are_no_bytes() -> None:
    secret, _ = compile_decoder(schema_of("io.k8s.api.core.v1.Secret"))({"data": {"a": None, "b": "eA=="}})
    assert secret["data"] == {"a": "", "b": "eA=="}


def _containers(value: Any) -> Iterator[int]:
    if isinstance(value, dict | list):
        yield id(value)
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item)


def test_what_is_decoded_shares_no_map_and_no_list_with_what_it_was_made_of() -> None:
    """A patch hands it an object whose parts are still the stored one's."""
    metadata = {
        "name": "a",
        "labels": {"a": "b"},
        "finalizers": ["x/y"],
        "managedFields": [{"manager": "m", "fieldsV1": {"f:data": {"f:a": {}}}}],
    }
    container = {"name": "c", "args": ["x"], "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 80}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container], "nodeSelector": {"a": "b"}}}
    strategy = {"rollingUpdate": {"maxSurge": "25%"}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template, "strategy": strategy}
    work = {"workload": {"manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}]}}
    cases = [("apps", "v1", "Deployment", spec), ("work.karmada.io", "v1alpha1", "Work", work)]
    catalog = load_catalog()
    for group, version, name, given_spec in cases:
        kind = catalog.by_kind(group, version, name)
        assert kind is not None
        given = {"apiVersion": kind.api_version, "kind": name, "metadata": metadata, "spec": given_spec}
        found, unknown = compile_decoder(kind.schema)(given)
        assert not unknown
        assert set(_containers(found)).isdisjoint(_containers(given))
