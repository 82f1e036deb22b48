"""Documents are Karmada's (a real karmada-search is asked in tests/clusters/test_search.py), their ids ours."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.catalog import load_catalog
from kafila.catalog.kind import Kind
from kafila.search.bodies import kept_body
from kafila.search.documents import LONGEST_ID, Owner, document_of, go_json, id_of, index_of, owner_of

CATALOG = load_catalog()
CACHED_FROM = "resource.karmada.io/cached-from-cluster"


def kind_of(plural: str, group: str = "", version: str = "v1") -> Kind:
    found = CATALOG.get(group, version, plural)
    assert found is not None
    return found


PODS = kind_of("pods")


def document(obj: dict[str, Any], kind: Kind = PODS) -> Any:
    metadata = {"name": "a", "namespace": "b", "resourceVersion": "1", **obj.pop("metadata", {})}
    return orjson.loads(document_of(kept_body(kind, {"metadata": metadata, **obj}, "m1")))


def test_a_document() -> None:
    spec = {"b": "<x> & y", "a": [1, None, True]}
    labels, created = {"app": "web"}, "2026-01-01T00:00:00Z"
    metadata = {"labels": labels, "creationTimestamp": created, "uid": "u", "annotations": {"k": "v"}}
    assert document({"metadata": metadata, "spec": spec}) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "annotations": {"k": "v", CACHED_FROM: "m1"},
            "creationTimestamp": created,
            "deletionTimestamp": None,
            "labels": labels,
            "name": "a",
            "namespace": "b",
        },
        "spec": '{"a":[1,null,true],"b":"\\u003cx\\u003e \\u0026 y"}',
        "status": "null",
    }


def test_one_without_anything() -> None:
    found = document({"metadata": {"namespace": "", "creationTimestamp": {"not": "a time"}}})
    assert found["metadata"]["namespace"] == ""
    assert found["metadata"]["labels"] is None
    assert found["metadata"]["creationTimestamp"] == "0001-01-01T00:00:00Z"


def test_nothing_of_a_secret() -> None:
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    given_ = {"metadata": {"annotations": {applied: '{"data":{"p":"cw=="}}'}}, "data": {"p": "cw=="}}
    found = document(given_, kind_of("secrets"))
    assert "cw==" not in orjson.dumps(found).decode()
    kept = document({"metadata": {"annotations": {applied: "{}"}}}, kind_of("configmaps"))
    assert applied in kept["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("kind", "index"),
    [(PODS, "kubernetes-pod"), (kind_of("deployments", "apps"), "kubernetes-deployment")],
)
def test_indices(kind: Kind, index: str) -> None:
    assert index_of(kind) == index


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=600)


@given(names, names)
def test_no_id_of_one_cluster_is_anothers(namespace: str, name: str) -> None:
    found = id_of(PODS, "m1", namespace, name)
    assert len(found.encode()) <= LONGEST_ID
    assert found.startswith("m1:")
    assert found != id_of(PODS, "m1", namespace, f"{name}-")


values = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('<>&a\u2028\\"', max_size=3),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text("ab<", max_size=2), each, max_size=3),
    max_leaves=6,
)


@given(values)
def test_escapes_change_nothing(value: Any) -> None:
    written = go_json(value)
    assert orjson.loads(written) == value
    assert not set(b"<>&") & set(written)


@pytest.mark.parametrize(
    ("source", "owner"),
    [
        ({"apiVersion": "v1", "metadata": {"annotations": {CACHED_FROM: "m1"}}}, Owner("v1", "m1")),
        ({"apiVersion": "v1", "metadata": {"annotations": {CACHED_FROM: ["m1"]}}}, None),
        ({"apiVersion": "v1", "metadata": {"annotations": None}}, None),
        ({"apiVersion": "v1", "metadata": []}, None),
        (None, None),
    ],
)
def test_whose_a_document_is(source: Any, owner: Owner | None) -> None:
    assert owner_of(source) == owner
