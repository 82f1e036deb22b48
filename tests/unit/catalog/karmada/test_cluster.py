"""The Cluster's strategy: canonical form, resource models and validation."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.karmada.cluster_strategy import (
    MAX_INT64,
    canonicalize,
    cluster_name,
    cluster_strategy,
    default_resource_models,
    standardize,
)


def cluster(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "member1"}, "spec": {"syncMode": "Push", **spec}}


def grade(number: int, low: str, high: str, name: str = "cpu") -> dict[str, Any]:
    return {"grade": number, "ranges": [{"name": name, "min": low, "max": high}]}


TOP = str(MAX_INT64)
MODELS = "spec.resourceModels: Invalid value: "

MESSAGES: list[tuple[dict[str, Any], list[str]]] = [
    (cluster(), []),
    (
        cluster(syncMode=""),
        [
            "spec.syncMode: Required value",
            'spec.syncMode: Unsupported value: "": supported values: "Pull", "Push"',
        ],
    ),
    (cluster(syncMode="push"), ['spec.syncMode: Unsupported value: "push": supported values: "Pull", "Push"']),
    (cluster(apiEndpoint="https://10.0.0.1:6443"), []),
    (
        cluster(apiEndpoint="10.0.0.1"),
        [
            'spec.apiEndpoint: Invalid value: "": host must be provided; '
            "desired format: hostname, hostname:port, IP or IP:port"
        ],
    ),
    (
        cluster(apiEndpoint="https://u:p@h/x?q=1#f"),
        [
            'spec.apiEndpoint: Invalid value: "u:p": user information is not permitted in the URL',
            'spec.apiEndpoint: Invalid value: "f": fragments are not permitted in the URL',
            'spec.apiEndpoint: Invalid value: "q=1": query parameters are not permitted in the URL',
        ],
    ),
    (
        cluster(secretRef={"namespace": "", "name": ""}, impersonatorSecretRef={"namespace": "a"}),
        [
            "spec.secretRef.namespace: Required value",
            "spec.secretRef.name: Required value",
            "spec.impersonatorSecretRef.name: Required value",
        ],
    ),
    (
        cluster(proxyURL="ftp://x"),
        ['spec.proxyURL: Invalid value: "ftp://x": unsupported scheme "ftp", must be http, https, or socks5'],
    ),
    (cluster(proxyURL="socks5://x"), []),
    (cluster(provider="p", region="r", zones=["a", "b"]), []),
    (
        cluster(taints=[{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]),
        [
            'spec.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule"}: '
            "taints must be unique by key and effect pair"
        ],
    ),
    (cluster(taints=[{"key": "a"}]), ["spec.taints[0].effect: Required value"]),
    (
        cluster(taints=[{"key": "a", "effect": "PreferNoSchedule"}]),
        ['spec.taints[0].effect: Unsupported value: "PreferNoSchedule": supported values: "NoSchedule", "NoExecute"'],
    ),
]


@pytest.mark.parametrize(("obj", "messages"), MESSAGES)
def test_messages(obj: dict[str, Any], messages: list[str]) -> None:
    assert [str(e) for e in cluster_strategy().validate(obj)] == messages


GRADES = [
    ([grade(0, "0", "1"), grade(1, "1", TOP)], ""),
    ([grade(0, "0", "1"), grade(0, "1", TOP)], "The grade of each models should not be the same"),
    (
        [grade(0, "0", "1"), {"grade": 1, "ranges": []}],
        "The number of resource types should be the same",
    ),
    ([grade(0, "0", "0")], "The max value of each resource must be greater than the min value"),
    ([grade(0, "1", TOP)], "The min value of each resource in the first model should be 0"),
    (
        [grade(0, "0", "1"), grade(1, "1", TOP, "memory")],
        "The resource types of each models should be the same",
    ),
    (
        [grade(0, "0", "1"), grade(1, "2", TOP)],
        "Model intervals for resources must be contiguous and non-overlapping",
    ),
    (
        [grade(0, "0", "1"), grade(1, "1", "2")],
        "The max value of each resource in the last model should be MaxInt64",
    ),
]


@pytest.mark.parametrize(("models", "message"), GRADES)
def test_resource_models(models: list[dict[str, Any]], message: str) -> None:
    found = [str(e) for e in cluster_strategy().validate(cluster(resourceModels=models))]
    assert len(found) == bool(message)
    assert all(text.startswith(MODELS) and text.endswith(f": {message}") for text in found)


def test_places_must_be_label_values() -> None:
    found = cluster_strategy().validate(cluster(provider="a b", region="a b", zones=["a b"]))
    assert [e.field for e in found] == ["spec.provider", "spec.region", "spec.Zones"]
    both = cluster_strategy().validate(cluster(zone="a", zones=["b"]))
    assert [e.field for e in both] == ["spec.spec"]
    assert '"Zone":"a","zones":["b"],"Taints":null' in str(both[0]), "by the names of the Go struct"
    odd = cluster(zone="a b")
    cluster_strategy().default(odd)
    assert [e.field for e in cluster_strategy().validate(odd)] == ["spec.Zone"]


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("127.0.0.1:1", "first path segment in URL cannot contain colon"),
        (":1", "missing protocol scheme"),
        ("host:1", "host must be provided"),  # a scheme, and something opaque
    ],
)
def test_endpoints_are_read_as_go_reads_urls(endpoint: str, why: str) -> None:
    (found,) = cluster_strategy().validate(cluster(apiEndpoint=endpoint))
    assert why in str(found)


def test_names() -> None:
    assert cluster_name("member1") == []
    assert cluster_name("") == ["must be not empty"]
    assert cluster_name("a" * 48) == []
    assert cluster_name("a" * 49) == ["must be no more than 48 characters"]
    assert cluster_name("A") != []


def test_canonical_form() -> None:
    obj = cluster(zone="z", taints=[{"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoSchedule"}])
    canonicalize(obj)
    assert obj["spec"]["zones"] == ["z"]
    assert "zone" not in obj["spec"]
    evicting, other = obj["spec"]["taints"]
    assert evicting["timeAdded"].endswith("Z")
    assert "timeAdded" not in other
    added = evicting["timeAdded"] = "2020-01-01T00:00:00Z"
    canonicalize(obj)
    assert evicting["timeAdded"] == added


def test_default_models_are_valid_and_only_there_with_the_gate() -> None:
    obj = cluster()
    cluster_strategy().prepare_for_create(obj)
    models = obj["spec"]["resourceModels"]
    assert models == default_resource_models()
    assert [m["grade"] for m in models] == list(range(9))
    assert models[7]["ranges"][1] == {"name": "memory", "min": "512Gi", "max": "1Ti"}
    assert cluster_strategy().validate(obj) == []
    without = cluster()
    cluster_strategy(resource_models=False).prepare_for_create(without)
    assert "resourceModels" not in without["spec"]


def test_given_models_are_sorted_and_opened_at_both_ends() -> None:
    models = [grade(2, "3", "4"), grade(1, "1", "3")]
    standardize(models)
    assert models == [grade(1, "0", "3"), grade(2, "3", TOP)]
    obj = cluster(resourceModels=[grade(2, "3", "4"), grade(1, "1", "3")])
    cluster_strategy().prepare_for_update(obj, cluster())
    assert obj["spec"]["resourceModels"] == models
