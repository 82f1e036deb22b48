"""An object that was read from the cache goes back to its member as the member knows it."""

from __future__ import annotations

import orjson
import pytest

from kafila.api.proxying import restored
from kafila.catalog.catalog import load_catalog
from kafila.catalog.protobuf import codec
from kafila.core.errors import StatusError
from kafila.machinery import protobuf
from kafila.machinery.protobuf import decode_envelope
from kafila.search.versions import encode

KIND = load_catalog().get("", "v1", "configmaps")
CACHED_FROM = "resource.karmada.io/cached-from-cluster"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"resourceVersion": encode({"m1": 5, "m2": 6})}, {"resourceVersion": "5"}),
        ({"resourceVersion": "5"}, {"resourceVersion": "5"}),
        ({"annotations": {CACHED_FROM: "m1", "a": "b"}}, {"annotations": {"a": "b"}}),
        ({"annotations": [], "resourceVersion": 5}, {"annotations": [], "resourceVersion": 5}),
    ],
)
def test_json(metadata: dict, expected: dict) -> None:
    assert KIND is not None
    sent = orjson.dumps({"metadata": metadata, "data": {"a": "b"}})
    assert orjson.loads(restored(sent, "application/json", KIND, "m1")) == {"metadata": expected, "data": {"a": "b"}}


def test_what_was_read_in_another_cluster_is_a_conflict() -> None:
    assert KIND is not None
    sent = orjson.dumps({"metadata": {"name": "a", "resourceVersion": encode({"m2": 6})}})
    with pytest.raises(StatusError, match='on configmaps "a": the object has been modified'):
        restored(sent, "application/json", KIND, "m1")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"metadata":[]}', b"k8s\0nothing", b"[" * 100_000])
@pytest.mark.parametrize("media_type", ["", "application/json", "application/vnd.kubernetes.protobuf"])
def test_what_cannot_be_read_goes_as_it_is(body: bytes, media_type: str) -> None:
    assert KIND is not None
    assert restored(body, media_type, KIND, "m1") == body


def test_protobuf() -> None:
    assert KIND is not None
    found = codec(*KIND.gvk)
    assert found is not None
    obj = {"metadata": {"name": "a", "resourceVersion": encode({"m1": 5}), "annotations": {CACHED_FROM: "m1"}}}
    sent = protobuf.envelope("v1", "ConfigMap", found.encode(obj))
    read = found.decode(decode_envelope(restored(sent, "application/vnd.kubernetes.protobuf", KIND, "m1"))[2])
    assert read["metadata"]["resourceVersion"] == "5"
    assert not read["metadata"].get("annotations")
