"""The protobuf codec: hand-made vectors, envelopes and frames, hostile bytes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.protobuf import codec
from kafila.machinery.protobuf import MAGIC, Codec, ProtobufError, decode_envelope, envelope, watch_frame
from kafila.machinery.protobuf_scalars import format_duration
from kafila.machinery.protobuf_wire import part, tag_bytes


def known(group: str, version: str, kind: str) -> Codec:
    found = codec(group, version, kind)
    assert found is not None
    return found


def text(number: int, value: str | bytes) -> bytes:
    """A length-delimited field with a number below 16, shorter than 128 bytes."""
    content = value.encode() if isinstance(value, str) else value
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def number(field: int, value: int) -> bytes:
    assert 0 <= value < 128
    return bytes([field << 3, value])


def body(obj: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in obj.items() if k not in ("kind", "apiVersion")}


# --- vectors made by hand from the field numbers: (group, version, kind, message, object) ---------------------------
VECTORS = [
    pytest.param(
        "", "v1", "ConfigMap", text(1, text(1, "a") + text(2, "") + number(7, 0)) + text(2, text(1, "k") + text(2, "v")),
        {"metadata": {"name": "a"}, "data": {"k": "v"}}, id="strings that are empty and numbers that are zero go away",
    ),
    pytest.param(
        "apps", "v1", "Deployment", text(2, number(1, 0) + number(5, 0)), {"spec": {"replicas": 0}},
        id="a pointer to zero stays",
    ),
    pytest.param("apps", "v1", "Deployment", text(2, b""), {"spec": {}}, id="an empty struct stays"),
    pytest.param(
        "", "v1", "Pod", text(2, text(1, text(1, "v") + text(2, text(2, b"")))),
        {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}, id="inlined struct",
    ),
    pytest.param(
        "", "v1", "Secret", text(2, text(1, "k") + text(2, b"\xff\x00")), {"data": {"k": "/wA="}}, id="bytes as base64",
    ),
    pytest.param(
        "", "v1", "Pod", text(1, text(8, number(1, 1) + number(2, 5)) + text(9, b"")),
        {"metadata": {"creationTimestamp": "1970-01-01T00:00:01Z", "deletionTimestamp": None}}, id="times",
    ),
    pytest.param("", "v1", "Pod", text(1, text(8, b"")), {"metadata": {}}, id="unset creationTimestamp"),
    pytest.param(
        "policy", "v1", "PodDisruptionBudget",
        text(2, text(1, number(1, 0) + number(2, 3)) + text(3, number(1, 1) + text(3, "25%"))),
        {"spec": {"minAvailable": 3, "maxUnavailable": "25%"}}, id="int or string",
    ),
    pytest.param(
        "", "v1", "ResourceQuota", text(2, text(1, text(1, "cpu") + text(2, text(1, "100m")))),
        {"spec": {"hard": {"cpu": "100m"}}}, id="map of quantities",
    ),
    pytest.param(
        "coordination.k8s.io", "v1", "Lease", text(2, text(4, number(1, 1) + bytes([2 << 3, 0x90, 0x4E]))),
        {"spec": {"renewTime": "1970-01-01T00:00:01.000010Z"}}, id="micro time",
    ),
    pytest.param(
        "authentication.k8s.io", "v1", "TokenReview",
        text(3, text(2, text(4, text(1, "k") + text(2, text(1, "a") + text(1, "b"))))),
        {"status": {"user": {"extra": {"k": ["a", "b"]}}}}, id="list in a map",
    ),
    pytest.param(
        "apps", "v1", "DeleteOptions", number(1, 0) + text(4, "Foreground") + text(5, "All"),
        {"gracePeriodSeconds": 0, "propagationPolicy": "Foreground", "dryRun": ["All"]}, id="DeleteOptions of any group",
    ),
    pytest.param(
        "apps", "v1", "ControllerRevision", text(2, text(1, b'{"a":[1]}')) + number(3, 2),
        {"data": {"a": [1]}, "revision": 2}, id="raw JSON",
    ),
    pytest.param(
        "", "v1", "Pod", b"\x12\x0b\x28" + b"\xff" * 9 + b"\x01", {"spec": {"activeDeadlineSeconds": -1}}, id="negative",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("group", "version", "kind", "raw", "obj"), VECTORS)
def test_decodes_as_go_would(group: str, version: str, kind: str, raw: bytes, obj: dict[str, Any]) -> None:
    api_version = f"{group}/{version}" if group else version
    assert known(group, version, kind).decode(raw) == {"kind": kind, "apiVersion": api_version} | obj


@pytest.mark.parametrize(("group", "version", "kind", "raw", "obj"), VECTORS)
def test_what_is_encoded_decodes_to_the_same(
    group: str, version: str, kind: str, raw: bytes, obj: dict[str, Any]
) -> None:
    both = known(group, version, kind)
    assert body(both.decode(both.encode(obj))) == obj


def test_a_field_that_comes_twice_is_merged() -> None:
    raw = text(1, text(1, "a")) + text(1, text(3, "ns"))
    assert known("", "v1", "ConfigMap").decode(raw)["metadata"] == {"name": "a", "namespace": "ns"}


def test_packed_numbers_are_read() -> None:
    groups = text(4, b"\x01\x02\x7f")  # supplementalGroups, number 4 of PodSpec.securityContext, number 14
    pod = known("", "v1", "Pod").decode(text(2, text(14, groups)))
    assert pod["spec"]["securityContext"] == {"supplementalGroups": [1, 2, 127]}


def test_unknown_fields_are_skipped() -> None:
    unknown = bytes([15 << 3 | 5]) + b"abcd" + bytes([15 << 3 | 1]) + b"abcdefgh" + number(14, 1) + text(13, "x")
    assert body(known("", "v1", "ConfigMap").decode(unknown + text(2, text(1, "k") + text(2, "v")))) == {
        "data": {"k": "v"}
    }


SCHEMAS = [
    {"type": "object", "additionalProperties": True},
    {"additionalProperties": False},
    {"additionalProperties": {"type": "string"}},
    {"items": {"type": "integer", "minimum": 1, "maximum": 2.5}},
    {"items": [{"type": "string"}, {"type": "boolean"}]},
    {"dependencies": {"a": ["b"], "c": {"required": ["d"]}}},
    {"default": {"a": None}, "enum": ["a", 1, True, None], "example": "x", "nullable": True},
    {"properties": {"a": {"$ref": "#/x", "x-kubernetes-int-or-string": True, "anyOf": [{"type": "string"}]}}},
    {"x-kubernetes-preserve-unknown-fields": True, "minLength": 0, "multipleOf": 0.5},
]


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_schemas_of_custom_resources(version: str, schema: dict[str, Any]) -> None:
    both = known("apiextensions.k8s.io", version, "CustomResourceDefinition")
    defaults = {"group": "g", "scope": "Namespaced", "names": {"plural": "as", "kind": "A"}}
    spec = defaults | {
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]
    }
    assert both.decode(both.encode({"spec": spec}))["spec"] == spec


# --- envelope, lists, watch ---------------------------------------------------------------------------------------
def test_envelope_is_what_go_writes() -> None:
    data = MAGIC + b"\x0a\x0f" + text(1, "v1") + text(2, "ConfigMap") + text(2, "raw") + b"\x1a\x00\x22\x00"
    assert envelope("v1", "ConfigMap", b"raw") == data
    assert decode_envelope(data) == ("v1", "ConfigMap", b"raw")


@pytest.mark.parametrize(
    "data",
    [b"", b"k8s", b'{"kind":"Pod"}', MAGIC + b"\x0a\x7f", MAGIC + b"\x0a\xff", MAGIC + b"\x10\x01",
     MAGIC + text(1, text(2, b"\xff")), MAGIC + text(3, "gzip")],
)  # fmt: skip
def test_what_is_no_envelope(data: bytes) -> None:
    with pytest.raises(ProtobufError):
        decode_envelope(data)


def test_watch_frame() -> None:
    data = envelope("v1", "Status", b"")
    message = text(1, "ERROR") + text(2, text(1, data))
    assert watch_frame("ERROR", data) == bytes([0, 0, 0, len(message)]) + message


# --- scalars ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("nanos", "shown"),
    [(0, "0s"), (1, "1ns"), (1500, "1.5µs"), (2_000_000, "2ms"), (1_500_000_000, "1.5s"), (60 * 10**9, "1m0s"),
     (3600 * 10**9, "1h0m0s"), (-90 * 10**9, "-1m30s"), (5025 * 10**9 + 1, "1h23m45.000000001s")],
)  # fmt: skip
def test_durations_as_go_prints_them(nanos: int, shown: str) -> None:
    assert format_duration(nanos) == shown


@given(st.datetimes())
def test_times_come_back(moment: Any) -> None:
    both = known("coordination.k8s.io", "v1", "Lease")
    spec = {"spec": {"renewTime": moment.isoformat(timespec="microseconds") + "Z"}}
    assert body(both.decode(both.encode(spec))) == spec


def test_time_with_an_offset_is_written_in_utc() -> None:
    both = known("", "v1", "Pod")
    raw = both.encode({"metadata": {"creationTimestamp": "2026-01-02T03:04:05+02:00"}})
    assert both.decode(raw)["metadata"]["creationTimestamp"] == "2026-01-02T01:04:05Z"


# --- objects that cannot be written, bytes that cannot be read ----------------------------------------------------------
@pytest.mark.parametrize(
    "obj",
    [{"spec": []}, {"spec": {"replicas": "3"}}, {"spec": {"replicas": 1 << 70}}, {"metadata": {"name": 1}},
     {"metadata": {"name": "\ud800"}}, {"metadata": {"labels": ["a"]}}, {"metadata": {"creationTimestamp": "now"}},
     {"metadata": {"creationTimestamp": "2026-01-01T00:00:00"}}],
)  # fmt: skip
def test_objects_of_another_shape_are_refused(obj: dict[str, Any]) -> None:
    with pytest.raises(ProtobufError):
        known("apps", "v1", "Deployment").encode(obj)


def nested_schema(depth: int) -> bytes:
    schema = b""
    for _ in range(depth):  # JSONSchemaProps.not = 28
        schema = _long(28, schema)
    return text(2, b"") + _long(2, _long(7, text(1, "v1") + _long(4, _long(1, schema))))


def _long(number: int, content: bytes) -> bytes:
    return part(tag_bytes(number, 2), content)


@pytest.mark.parametrize(
    "raw",
    [b"\x0a", b"\x0a\x05a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0a" + b"\xff" * 30, b"\xff" * 30,
     b"\x08\x01", b"\x12\x03\x0a\x00\x00", b"\x00\x00", b"\x7b\x7c", text(1, bytes([8 << 3 | 2, 5])),
     text(2, b"\x08"), text(1, text(11, text(1, "k") + b"\x12\x05")), text(1, text(11, b"\x08\x01")), b"\x7d\x00",
     text(1, text(8, number(1, 1)[:1] + b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))],
)  # fmt: skip
def test_malformed_messages_are_refused(raw: bytes) -> None:
    with pytest.raises(ProtobufError):
        known("apps", "v1", "Deployment").decode(raw)


def test_nesting_has_a_limit() -> None:
    both = known("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert both.decode(nested_schema(50))
    for depth in (101, 20_000):
        with pytest.raises(ProtobufError, match="deep"):
            both.decode(nested_schema(depth))


FUZZED = [("apps", "v1", "Deployment"), ("", "v1", "Pod"), ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
          ("", "v1", "PersistentVolume"), ("resource.k8s.io", "v1", "ResourceSlice")]  # fmt: skip


@given(st.sampled_from(FUZZED), st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(gvk: tuple[str, str, str], raw: bytes) -> None:
    _decode_or_refuse(known(*gvk), raw)


SAMPLE = {
    "metadata": {"name": "web", "labels": {"app": "web"}, "creationTimestamp": "2026-01-02T03:04:05Z"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
        "template": {
            "spec": {
                "containers": [
                    {"name": "c", "env": [{"name": "A", "value": "ü"}], "resources": {"limits": {"cpu": "1500m"}}}
                ],
                "volumes": [{"name": "v", "configMap": {"name": "m", "defaultMode": 420}}],
            }
        },
    },
}


@given(st.data())
def test_damaged_bytes_decode_or_are_refused(data: st.DataObject) -> None:
    both = known("apps", "v1", "Deployment")
    raw = bytearray(both.encode(SAMPLE))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert"])):
            case "set":
                raw[at] = data.draw(st.integers(0, 255))
            case "cut":
                del raw[at : at + data.draw(st.integers(1, 3))]
            case _:
                raw[at:at] = data.draw(st.binary(min_size=1, max_size=3))
        if not raw:
            break
    _decode_or_refuse(both, bytes(raw))


def _decode_or_refuse(both: Codec, raw: bytes) -> None:
    """What could be read is JSON, and can be written and read again."""
    try:
        obj = both.decode(raw)
    except ProtobufError:
        return
    orjson.dumps(obj)
    assert both.decode(both.encode(obj)).keys() == obj.keys()
