"""Discovery lists exactly what a stock kube-apiserver lists, and custom kinds in the same form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kafila.catalog import discovery
from kafila.catalog.catalog import Catalog, load_catalog
from kafila.catalog.kind import Kind, Strategy
from kafila.machinery.schema import Schema

VERBS = {
    "c": "create", "d": "delete", "D": "deletecollection", "g": "get",
    "l": "list", "p": "patch", "u": "update", "w": "watch",
}  # fmt: skip
STOCK_GROUPS = [
    "", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling",
    "batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io",
    "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io", "node.k8s.io",
    "discovery.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io",
]  # fmt: skip


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def stock() -> dict[str, list[dict[str, Any]]]:
    """Rows by groupVersion in the form of APIResource, without singularName."""
    out: dict[str, list[dict[str, Any]]] = {}
    for line in (Path(__file__).parent / "stock_discovery.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        group_version, name, kind, scope, verbs, short, categories, digest = line.split()
        row: dict[str, Any] = {"name": name, "namespaced": scope == "N", "verbs": [VERBS[v] for v in verbs]}
        *foreign, row["kind"] = kind.split("/")
        if foreign:
            row["group"], row["version"] = foreign
        lists = (("shortNames", short), ("categories", categories))
        row |= {key: value.split(",") for key, value in lists if value != "-"}
        if digest != "-":
            row["storageVersionHash"] = digest
        out.setdefault(group_version, []).append(row)
    return out


@pytest.mark.parametrize("group_version", stock())
def test_legacy_lists_equal_stock(catalog: Catalog, group_version: str) -> None:
    group, version = group_version.split("/") if "/" in group_version else ("", group_version)
    document = discovery.api_resource_list(catalog, group, version)
    assert document is not None
    assert document["groupVersion"] == group_version
    rows = [{k: v for k, v in row.items() if k != "singularName"} for row in document["resources"]]
    assert rows == stock()[group_version]


def test_groups_stand_in_stock_order_and_others_behind(catalog: Catalog) -> None:
    names = [group["name"] for group in discovery.api_group_list(catalog)["groups"]]
    assert names[: len(STOCK_GROUPS) - 1] == STOCK_GROUPS[1:]
    autoscaling = discovery.api_group(catalog, "autoscaling")
    assert autoscaling == {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "autoscaling",
        "versions": [
            {"groupVersion": "autoscaling/v2", "version": "v2"},
            {"groupVersion": "autoscaling/v1", "version": "v1"},
        ],
        "preferredVersion": {"groupVersion": "autoscaling/v2", "version": "v2"},
    }
    assert discovery.api_group(catalog, "") is None
    assert discovery.api_group(catalog, "nowhere.io") is None


def test_karmada_groups_follow_by_priority(catalog: Catalog) -> None:
    names = [group.name for group in catalog.groups()][len(STOCK_GROUPS) :]
    assert names[:3] == ["cluster.karmada.io", "metrics.k8s.io", "search.karmada.io"]
    assert names[3:] == sorted(names[3:])
    assert {"policy.karmada.io", "work.karmada.io", "config.karmada.io"} <= set(names)
    work = next(group for group in catalog.groups() if group.name == "work.karmada.io")
    assert [version.name for version in work.versions] == ["v1alpha2", "v1alpha1"]


def test_singular_names(catalog: Catalog) -> None:
    document = discovery.api_resource_list(catalog, "", "v1")
    assert document is not None
    names = {row["name"]: row["singularName"] for row in document["resources"]}
    assert names["endpoints"] == "endpoints"
    assert names["pods"] == "pod"
    assert names["pods/log"] == ""


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_aggregated(catalog: Catalog, version: discovery.AggregatedVersion) -> None:
    core = discovery.aggregated(catalog, True, version)
    assert core["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    assert [item["metadata"] for item in core["items"]] == [{}]
    pods = next(r for r in core["items"][0]["versions"][0]["resources"] if r["resource"] == "pods")
    assert pods["scope"] == "Namespaced"
    assert pods["responseKind"] == {"group": "", "version": "", "kind": "Pod"}
    eviction = next(s for s in pods["subresources"] if s["subresource"] == "eviction")
    assert eviction["responseKind"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
    others = discovery.aggregated(catalog, False, version)["items"]
    assert [item["metadata"]["name"] for item in others] == [group.name for group in catalog.groups() if group.name]


def gadgets(**more: Any) -> Kind:
    verbs = ("delete", "get", "create", "list", "watch")
    head = ("example.com", "v1", "Gadget", "gadgets", "gadget", False, verbs, Schema("struct"), Strategy())
    return Kind(*head, custom=True, subresources=("status", "scale"), **more)


def test_custom_kinds() -> None:
    catalog = Catalog([gadgets(short_names=("gd",), categories=("all",))])
    document = discovery.api_resource_list(catalog, "example.com", "v1")
    assert document is not None
    assert [(row["name"], row.get("group"), row["verbs"]) for row in document["resources"]] == [
        ("gadgets", None, ["create", "delete", "get", "list", "watch"]),
        ("gadgets/scale", "autoscaling", ["get", "patch", "update"]),
        ("gadgets/status", None, ["get", "patch", "update"]),
    ]
    (item,) = discovery.aggregated(catalog, False, "v2")["items"]
    (row,) = item["versions"][0]["resources"]
    assert row["responseKind"] == {"group": "example.com", "version": "v1", "kind": "Gadget"}
    assert (row["shortNames"], row["categories"]) == (["gd"], ["all"])


def test_etag_follows_content() -> None:
    catalog = Catalog([gadgets()])
    body, tag = discovery.encode(discovery.aggregated(catalog, False, "v2"))
    assert len(tag) == 128
    assert tag == tag.upper() == discovery.etag(body)
    assert discovery.encode(discovery.aggregated(catalog, False, "v2")) == (body, tag)
    catalog.add([gadgets(short_names=("gd",))])
    assert discovery.encode(discovery.aggregated(catalog, False, "v2"))[1] != tag


def test_address_of_the_server() -> None:
    assert discovery.api_versions("10.0.0.1:6443")["serverAddressByClientCIDRs"] == [
        {"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}
    ]
    assert discovery.api_resource_list(Catalog(), "apps", "v1") is None
