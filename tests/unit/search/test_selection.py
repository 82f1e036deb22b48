"""What ResourceRegistries select."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.catalog import load_catalog
from kafila.search.selection import ALL, kinds_of, selected, unknown, wanted

KIND_OF = kinds_of(load_catalog())
POD, NODE = ("v1", "Pod"), ("v1", "Node")


def spec(*selectors: tuple[str, ...], **target: Any) -> dict[str, Any]:
    rows = [dict(zip(("apiVersion", "kind", "namespace"), each, strict=False)) for each in selectors]
    return {"targetCluster": target, "resourceSelectors": rows}


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        ([POD], {"/v1/pods": ALL}),
        ([(*POD, "a")], {"/v1/pods": {"a"}}),
        ([(*POD, "a"), (*POD, "b")], {"/v1/pods": {"a", "b"}}),
        ([(*POD, "a"), POD], {"/v1/pods": ALL}),
        ([POD, (*POD, "a")], {"/v1/pods": ALL}),
        ([(*NODE, "a")], {"/v1/nodes": ALL}),  # lies in no namespace
        ([("apps/v1", "Deployment")], {"apps/v1/deployments": ALL}),
        ([("a/b/c", "Pod"), ("v1", ""), ("", "Pod"), ("example.io/v1", "Thing")], {}),
        ([("authorization.k8s.io/v1", "SubjectAccessReview")], {}),  # nothing is stored of it
    ],
)
def test_selectors(selectors: list[tuple[str, ...]], expected: dict[str, set[str]]) -> None:
    assert {name: each.namespaces for name, each in selected(spec(*selectors), KIND_OF).items()} == expected


def test_what_selects_nothing_is_named() -> None:
    assert unknown(spec(POD, ("example.io/v1", "Thing")), KIND_OF) == ["Thing of example.io/v1"]


def test_registries_together() -> None:
    specs = [spec((*POD, "a")), spec((*POD, "b"), NODE, clusterNames=["m1"])]
    found = {name: wanted(specs, {"metadata": {"name": name}, "spec": {}}, KIND_OF) for name in ("m1", "m2")}
    assert {name: each.namespaces for name, each in found["m1"].items()} == {"/v1/pods": {"a", "b"}, "/v1/nodes": ALL}
    assert {name: each.namespaces for name, each in found["m2"].items()} == {"/v1/pods": {"a"}}
