"""The catalog finds kinds and notices change; conversions lose nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.catalog import Catalog, load_catalog, version_order
from kafila.catalog.conversion import autoscaler_from_v2, autoscaler_to_v2, event_from_core, event_to_core
from kafila.catalog.kind import Kind, Strategy
from kafila.machinery.schema import Schema


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def custom(group: str = "example.com", version: str = "v1", plural: str = "gadgets") -> Kind:
    kind = plural.removesuffix("s").capitalize()
    verbs = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    return Kind(
        group, version, kind, plural, kind.lower(), True, verbs, Schema("struct"), Strategy(),
        subresources=("status",), custom=True,
    )  # fmt: skip


def test_lookups(catalog: Catalog) -> None:
    deployments = catalog.get("apps", "v1", "deployments")
    assert deployments is not None
    assert deployments is catalog.by_kind("apps", "v1", "Deployment") is catalog.storage_kind("deployments.apps")
    assert deployments.schema.name == "io.k8s.api.apps.v1.Deployment"
    assert deployments.protobuf == "k8s.io.api.apps.v1.Deployment"
    assert deployments.scale is not None
    assert catalog.get("apps", "v1beta1", "deployments") is None
    crds = catalog.by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert crds is not None
    assert crds.protobuf == "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"


def test_kinds_of_one_storage(catalog: Catalog) -> None:
    core, new = catalog.get("", "v1", "events"), catalog.get("events.k8s.io", "v1", "events")
    assert core is not None
    assert new is not None
    assert core.resource == new.resource == "events"
    assert catalog.storage_kind("events") is core
    v1, v2 = (catalog.get("autoscaling", version, "horizontalpodautoscalers") for version in ("v1", "v2"))
    assert catalog.storage_kind("horizontalpodautoscalers.autoscaling") is v2
    assert v1 is not None
    assert v1.to_storage is not None
    assert v2 is not None
    assert v2.to_storage is None


def test_every_storage_has_one_kind_that_stores_as_it_is(catalog: Catalog) -> None:
    for kind in catalog:
        if "watch" in kind.verbs:
            stored = catalog.storage_kind(kind.resource)
            assert stored is not None, kind
            assert stored.to_storage is None
            assert stored is kind or kind.to_storage is not None or kind.storage_version


def test_change_at_run_time() -> None:
    catalog = Catalog([custom()])
    before = catalog.revision
    beta = custom(version="v1beta1")
    catalog.add([beta, custom("example.com", "v1", "apples"), custom("another.com")])
    assert catalog.revision > before
    assert [(g.name, [(v.name, [k.plural for k in v.kinds]) for v in g.versions]) for g in catalog.groups()] == [
        ("another.com", [("v1", ["gadgets"])]),
        ("example.com", [("v1", ["apples", "gadgets"]), ("v1beta1", ["gadgets"])]),
    ]
    changed = replace(beta, short_names=("gd",))
    catalog.add([changed])
    assert catalog.get("example.com", "v1beta1", "gadgets") is changed
    assert len(catalog) == 4
    before = catalog.revision
    catalog.remove([changed, custom("nowhere.com")])
    assert catalog.revision > before
    assert catalog.get("example.com", "v1beta1", "gadgets") is None
    assert [k.plural for k in catalog] == ["gadgets", "apples", "gadgets"]


def test_versions_sort_as_kubernetes_prefers_them() -> None:
    # The example of Kubernetes' documentation on versions of custom resources.
    ordered = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
    shuffled = ordered[5:] + ordered[:5]
    assert sorted(shuffled, key=version_order) == ordered


HPA_V2 = {
    "kind": "HorizontalPodAutoscaler",
    "apiVersion": "autoscaling/v2",
    "metadata": {"name": "web", "annotations": {"team": "a"}},
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"},
        "maxReplicas": 5,
        "metrics": [
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}}},
            {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "1k"}}},
            {
                "type": "Object",
                "object": {
                    "describedObject": {"kind": "Ingress", "name": "main", "apiVersion": "networking.k8s.io/v1"},
                    "target": {"type": "Value", "value": "2k"},
                    "metric": {"name": "requests", "selector": {"matchLabels": {"a": "b"}}},
                },
            },
            {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "30"}}},
            {
                "type": "ContainerResource",
                "containerResource": {"name": "cpu", "container": "app", "target": {"type": "Utilization", "averageUtilization": 60}},
            },
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}]}},
    },
    "status": {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "currentMetrics": [
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 41, "averageValue": "100m"}}},
            {"type": "External", "external": {"metric": {"name": "q"}, "current": {"value": "5", "averageValue": "2"}}},
        ],
        "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": None}],
    },
}  # fmt: skip


def test_autoscaler_v2_to_v1_and_back() -> None:
    old = autoscaler_from_v2(HPA_V2)
    assert old["apiVersion"] == "autoscaling/v1"
    assert old["spec"] == {
        "scaleTargetRef": HPA_V2["spec"]["scaleTargetRef"],
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 50,
    }
    assert old["status"] == {"currentReplicas": 2, "desiredReplicas": 3, "currentCPUUtilizationPercentage": 41}
    annotations = old["metadata"]["annotations"]
    assert set(annotations) == {
        "team",
        *(
            f"autoscaling.alpha.kubernetes.io/{name}"
            for name in ("metrics", "current-metrics", "conditions", "behavior")
        ),
    }
    assert '"targetAverageUtilization":70' in annotations["autoscaling.alpha.kubernetes.io/metrics"]
    assert '"ScaleDown"' in annotations["autoscaling.alpha.kubernetes.io/behavior"]
    assert autoscaler_to_v2(old) == HPA_V2


def test_autoscaler_v1_without_metric_means_80_percent_of_cpu() -> None:
    old = {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v1",
        "metadata": {},
        "spec": {"maxReplicas": 3},
    }
    new = autoscaler_to_v2(old)
    target = {"type": "Utilization", "averageUtilization": 80}
    assert new["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    assert old["spec"] == {"maxReplicas": 3}


@pytest.mark.parametrize("text", ["", "{", "null", "3", '{"a":1}', "[1]"])
def test_broken_annotations_are_dropped(text: str) -> None:
    names = ("metrics", "current-metrics", "conditions", "behavior")
    annotations = {f"autoscaling.alpha.kubernetes.io/{name}": text for name in names}
    old = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1", "metadata": {"annotations": annotations}}
    new = autoscaler_to_v2(old | {"spec": {"maxReplicas": 1, "targetCPUUtilizationPercentage": 9}})
    assert len(new["spec"]["metrics"]) == 1
    assert "annotations" not in new["metadata"]


@given(
    st.fixed_dictionaries(
        {"metadata": st.just({"name": "e", "namespace": "d"}), "regarding": st.just({"kind": "Pod"})},
        optional={
            "eventTime": st.just("2026-01-01T00:00:00.000000Z"),
            "note": st.text(),
            "reason": st.text(),
            "type": st.sampled_from(["Normal", "Warning"]),
            "deprecatedCount": st.integers(1, 9),
            "deprecatedSource": st.just({"component": "kubelet"}),
            "reportingController": st.text(min_size=1),
        },
    )
)
def test_events_of_both_groups_are_one(event: dict) -> None:
    event = {"kind": "Event", "apiVersion": "events.k8s.io/v1"} | event
    core = event_to_core(event)
    assert core["apiVersion"] == "v1"
    assert core["involvedObject"] == event["regarding"]
    assert core.get("message") == event.get("note")
    back = event_from_core(core)
    for key in ("deprecatedSource", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"):
        if not back[key] and key not in event:
            del back[key]
    assert back == event
