from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.karmada.registry_strategy import validate_registry


def registry(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "r"}, "spec": {"targetCluster": {}, "resourceSelectors": [], **spec}}


MESSAGES = [
    (registry(), []),
    (
        registry(targetCluster={"fieldSelector": {"matchExpressions": [{"key": "x", "operator": "In"}]}}),
        [
            'spec.targetCluster.fieldSelector: Invalid value: {"matchExpressions":[{"key":"x","operator":"In"}]}: '
            'unsupported key "x", must be provider, region, or zone'
        ],
    ),
    (
        registry(resourceSelectors=[{"apiVersion": "a/b/c", "kind": "X"}]),
        ['spec.resourceSelectors[0].apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c'],
    ),
    (
        registry(backendStore={"openSearch": {"addresses": ["https://a:9200", "a:9200"]}}),
        [
            'spec.backendStore.openSearch.addresses[1]: Invalid value: "a:9200": '
            "must be a valid http or https URL with non-empty scheme and host"
        ],
    ),
    (
        registry(backendStore={"openSearch": {"addresses": ["https://a"] * 17}}),
        ["spec.backendStore.openSearch.addresses: Too many: 17: must have at most 16 items"],
    ),
]


@pytest.mark.parametrize(("obj", "messages"), MESSAGES, ids=range(len(MESSAGES)))
def test_messages(obj: dict[str, Any], messages: list[str]) -> None:
    assert [str(e) for e in validate_registry(obj)] == messages
