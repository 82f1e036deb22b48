"""What is kept of a member's EndpointSlices, and what is not taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.values import Object
from kafila.placement.services.slices import Observed, kept, observed, refusal, renamed, same_content, slice_in


def slice_of(service: str = "web", name: str = "web-1", **extra: Any) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {"kubernetes.io/service-name": service},
            "managedFields": [{}],
            "ownerReferences": [{}],
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"name": "http", "port": 80}],
        **extra,
    }


def test_of_a_slice_that_somebody_asks_for_endpoints_and_ports_are_kept() -> None:
    found = observed(kept(slice_of(), lambda namespace, service: (namespace, service) == ("shop", "web")))
    assert found.service == "web"
    assert found.slice == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"name": "http", "port": 80}],
    }


def test_of_all_others_only_the_service() -> None:
    assert kept(slice_of(), lambda namespace, service: False) == b"web"
    assert observed(b"web") == Observed("web")


@pytest.mark.parametrize("labels", [
    {},
    {"kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.karmada.io"},
    {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-dispatch-controller.karmada.io",
    },
    {"kubernetes.io/service-name": 7},
    {"kubernetes.io/service-name": "two\nlines"},
])  # fmt: skip
def test_of_no_service_or_brought_there_by_us(labels: Object) -> None:
    found = slice_of()
    found["metadata"]["labels"] = labels
    assert kept(found, lambda namespace, service: True) == b""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"endpoints": [{}] * 1001}, "it has 1001 endpoints, of which an EndpointSlice has 1000 at most"),
        ({"endpoints": [{}] * 100_000}, "it has 100000 endpoints, of which an EndpointSlice has 1000 at most"),
        ({"ports": [{}] * 101}, "it has 101 ports, of which an EndpointSlice has 100 at most"),
        ({"endpoints": "all"}, "its endpoints are no list of objects"),
        ({"endpoints": ["10.0.0.1"]}, "its endpoints are no list of objects"),
        ({"ports": {}}, ""),
    ],
)
def test_what_is_not_taken(changes: Object, why: str) -> None:
    found = slice_of(**changes)
    assert refusal(found) == why
    said = observed(kept(found, lambda namespace, service: True))
    assert said.refused == why
    assert (said.slice is None) == bool(why)
    assert len(kept(found, lambda namespace, service: True)) < 1000


@pytest.mark.parametrize("name", ["../secrets/x", "A", "a/b", "", "a" * 254, 7])
@pytest.mark.parametrize("field", ["name", "namespace"])
def test_foreign_names_are_not_taken(field: str, name: Any) -> None:
    found = slice_of()
    found["metadata"][field] = name
    assert refusal(found)


def test_a_work_of_something_else_holds_no_slice() -> None:
    def work(*manifests: Object) -> Any:
        return {"metadata": {}, "spec": {"workload": {"manifests": list(manifests)}}}

    assert slice_in(work(slice_of())) == slice_of()
    assert slice_in(work()) is None
    assert slice_in(work(slice_of(), slice_of())) is None
    assert slice_in(work({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}})) is None
    assert slice_in(work(slice_of(name="../x"))) is None
    assert slice_in({"metadata": {}, "spec": {}}) is None  # type: ignore[typeddict-item]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


@given(_JSON, _JSON)
def test_labels_and_annotations_of_a_member_never_come_through(labels: Any, annotations: Any) -> None:
    found = slice_of()
    found["metadata"] |= {"labels": labels, "annotations": annotations, "finalizers": ["x"]}
    new = renamed(found, "imported-m1-web-1", {"a": "b"}, {"c": "d"})
    head = {"name": "imported-m1-web-1", "namespace": "shop", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    assert new["metadata"] == head
    assert same_content(new, found)


def test_absent_and_empty_are_alike() -> None:
    one, other = slice_of(ports=None), slice_of()
    assert not same_content(one, other)
    other["ports"] = []
    assert same_content(one, other)
