"""Structural validation, defaults, columns and conversion of Karmada's kinds."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.karmada.conversion import to_v1alpha1, to_v1alpha2
from kafila.catalog.karmada.kinds import _ROWS, kinds
from kafila.catalog.karmada.model import Model
from kafila.catalog.karmada.shapes import members
from kafila.catalog.kind import Kind
from kafila.core.clock import parse_rfc3339
from kafila.core.cluster_report import COLUMNS
from kafila.machinery.decode import compile_decoder
from kafila.machinery.schema import Schema

KINDS = {(kind.kind, kind.version): kind for kind in kinds()}


def kind_of(name: str, version: str = "v1alpha1") -> Kind:
    return KINDS[name, version]


def policy(**spec: Any) -> dict[str, Any]:
    selector = {"apiVersion": "apps/v1", "kind": "Deployment"}
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": {"resourceSelectors": [selector], **spec}}


def placement(**fields: Any) -> dict[str, Any]:
    return policy(placement=fields)


def weights(weight: Any) -> dict[str, Any]:
    listed = [{"targetCluster": {}, "weight": weight}]
    return placement(replicaScheduling={"weightPreference": {"staticWeightList": listed}})


def cron(**rule: Any) -> dict[str, Any]:
    rule = {"name": "r", "schedule": "* * * * *", **rule}
    return {"metadata": {}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "x"}, "rules": [rule]}}


CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Yes",
    "message": "",
    "lastTransitionTime": "2026-11-23T05:00:00Z",
}


def export(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {}, "status": {"conditions": list(conditions)}}


MESSAGES = [
    ("PropagationPolicy", {"metadata": {}}, "spec: Required value"),
    ("PropagationPolicy", {"spec": {}}, "spec.resourceSelectors: Required value"),
    (
        "PropagationPolicy",
        policy(resourceSelectors=[]),
        "spec.resourceSelectors: Invalid value: 0: spec.resourceSelectors in body should have at least 1 items",
    ),
    (
        "PropagationPolicy",
        policy(resourceSelectors=[{"kind": "X"}]),
        "spec.resourceSelectors[0].apiVersion: Required value",
    ),
    (
        "PropagationPolicy",
        policy(priority="high"),
        'spec.priority: Invalid value: "string": spec.priority in body must be of type integer: "string"',
    ),
    (
        "PropagationPolicy",
        policy(placement=[]),
        'spec.placement: Invalid value: "array": spec.placement in body must be of type object: "array"',
    ),
    (
        "PropagationPolicy",
        policy(propagateDeps="yes"),
        'spec.propagateDeps: Invalid value: "string": spec.propagateDeps in body must be of type boolean: "string"',
    ),
    (
        "PropagationPolicy",
        policy(preemption="Maybe"),
        'spec.preemption: Unsupported value: "Maybe": supported values: "Always", "Never"',
    ),
    (
        "PropagationPolicy",
        placement(clusterAffinities=[{"affinityName": ""}]),
        'spec.placement.clusterAffinities[0].affinityName: Invalid value: "": '
        "spec.placement.clusterAffinities[0].affinityName in body should be at least 1 chars long",
    ),
    (
        "PropagationPolicy",
        placement(clusterAffinities=[{"affinityName": "x" * 33}]),
        "spec.placement.clusterAffinities[0].affinityName: Too long: may not be more than 32 bytes",
    ),
    (
        "PropagationPolicy",
        weights(0),
        "spec.placement.replicaScheduling.weightPreference.staticWeightList[0].weight: Invalid value: 0: "
        "spec.placement.replicaScheduling.weightPreference.staticWeightList[0].weight in body "
        "should be greater than or equal to 1",
    ),
    (
        "PropagationPolicy",
        placement(clusterAffinity={"labelSelector": {"matchExpressions": [{"key": "a"}]}}),
        "spec.placement.clusterAffinity.labelSelector.matchExpressions[0].operator: Required value",
    ),
    (
        "CronFederatedHPA",
        cron(failedHistoryLimit=33),
        "spec.rules[0].failedHistoryLimit: Invalid value: 33: "
        "spec.rules[0].failedHistoryLimit in body should be less than or equal to 32",
    ),
    (
        "ServiceImport",
        {"spec": {"type": "Headless", "ports": [], "ips": ["1", "2"]}},
        "spec.ips: Too many: 2: must have at most 1 item",
    ),
    (
        "ServiceExport",
        export({**CONDITION, "reason": "not one"}),
        'status.conditions[0].reason: Invalid value: "not one": status.conditions[0].reason in body '
        "should match '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$'",
    ),
    ("ServiceExport", export(CONDITION, CONDITION), 'status.conditions[1]: Duplicate value: {"type":"Ready"}'),
    (
        "ServiceExport",
        export({**CONDITION, "lastTransitionTime": "yesterday"}),
        'status.conditions[0].lastTransitionTime: Invalid value: "yesterday": '
        'status.conditions[0].lastTransitionTime in body must be of type date-time: "yesterday"',
    ),
    ("FederatedHPA", {"spec": {"maxReplicas": 1}}, "spec.scaleTargetRef: Required value"),
    (
        "FederatedHPA",
        {"spec": {"maxReplicas": 1, "scaleTargetRef": {"kind": "X"}}},
        "spec.scaleTargetRef.name: Required value",
    ),
]


@pytest.mark.parametrize(("name", "obj", "message"), MESSAGES)
def test_structural_messages(name: str, obj: dict[str, Any], message: str) -> None:
    assert [str(e) for e in kind_of(name).strategy.validate(obj)] == [message]


# answers of a real kube-apiserver 1.36.3 with Karmada's definitions
NULLS = [
    ("PropagationPolicy", policy(resourceSelectors=None), ["spec.resourceSelectors: Required value"]),
    ("PropagationPolicy", {"spec": None}, ["spec: Required value"]),
    ("PropagationPolicy", placement(clusterAffinity={"clusterNames": None}), []),
    ("PropagationPolicy", policy(placement=None), []),
    ("FederatedResourceQuota", {"spec": {"overall": {"cpu": None}}}, []),
    (
        "PropagationPolicy",
        placement(clusterTolerations=[None]),
        [
            'spec.placement.clusterTolerations[0]: Invalid value: "null": '
            'spec.placement.clusterTolerations[0] in body must be of type object: "null"'
        ],
    ),
    (
        "ServiceExport",
        export({**CONDITION, "lastTransitionTime": "2026-11-23"}),
        [
            'status.conditions[0].lastTransitionTime: Invalid value: "2026-11-23": '
            'status.conditions[0].lastTransitionTime in body must be of type date-time: "2026-11-23"'
        ],
    ),
    ("ServiceExport", export({**CONDITION, "lastTransitionTime": "2026-11-23T05:00:00.123+01:00"}), []),
    (
        "ResourceInterpreterWebhookConfiguration",
        {"webhooks": [{"name": "x", "clientConfig": {"caBundle": "!!!"}, "interpreterContextVersions": []}]},
        [
            'webhooks[0].clientConfig.caBundle: Invalid value: "!!!": '
            'webhooks[0].clientConfig.caBundle in body must be of type byte: "!!!"'
        ],
    ),
]


@pytest.mark.parametrize(("name", "obj", "messages"), NULLS)
def test_nulls_and_formats(name: str, obj: dict[str, Any], messages: list[str]) -> None:
    assert [str(e) for e in kind_of(name).strategy.validate(obj)] == messages


def test_quantities_must_match_the_pattern() -> None:
    quota = {"spec": {"overall": {"cpu": "many", "memory": "1Gi", "pods": 3}}}
    (found,) = kind_of("FederatedResourceQuota").strategy.validate(quota)
    assert str(found).startswith('spec.overall.cpu: Invalid value: "many": spec.overall.cpu in body should match')


def test_all_findings_are_reported() -> None:
    broken = policy(priority="x", preemption="x", placement={"spreadConstraints": [{"spreadByField": "x"}]})
    fields = [e.field for e in kind_of("PropagationPolicy").strategy.validate(broken)]
    assert fields == ["spec.priority", "spec.preemption", "spec.placement.spreadConstraints[0].spreadByField"]


def test_defaults_of_a_policy() -> None:
    obj = policy(
        priority=None,
        placement={"replicaScheduling": {}},
        failover={"application": {"decisionConditions": {}}, "cluster": {}},
    )
    kind_of("PropagationPolicy").strategy.default(obj)
    spec = obj["spec"]
    assert (spec["priority"], spec["preemption"], spec["conflictResolution"]) == (0, "Never", "Abort")
    assert spec["schedulerName"] == "default-scheduler"
    assert spec["placement"] == {"replicaScheduling": {"replicaSchedulingType": "Divided"}}
    application = {"decisionConditions": {"tolerationSeconds": 300}, "purgeMode": "Gracefully"}
    assert spec["failover"] == {"application": application, "cluster": {"purgeMode": "Gracefully"}}


def test_defaults_reach_into_lists() -> None:
    obj = cron()
    kind_of("CronFederatedHPA").strategy.default(obj)
    limits = {"suspend": False, "successfulHistoryLimit": 3, "failedHistoryLimit": 3}
    assert obj["spec"]["rules"] == [{"name": "r", "schedule": "* * * * *", **limits}]


def test_defaulting_is_idempotent_and_keeps_what_is_given() -> None:
    obj = policy(priority=7, schedulerName="mine", conflictResolution="Overwrite", preemption="Always")
    kind_of("PropagationPolicy").strategy.default(obj)
    once = copy.deepcopy(obj)
    kind_of("PropagationPolicy").strategy.default(obj)
    assert obj == once
    assert (obj["spec"]["priority"], obj["spec"]["schedulerName"]) == (7, "mine")


def test_decoding_prunes_keeps_raw_fields_and_fills_defaults() -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": None}, "deep": [1, {"x": 2.5}]}
    work = {"apiVersion": "work.karmada.io/v1alpha1", "kind": "Work", "metadata": {"name": "w", "namespace": "n"}}
    work["spec"] = {"workload": {"manifests": [manifest]}, "unknown": 1}
    out, unknown = compile_decoder(kind_of("Work").schema)(work)
    assert out["spec"] == {"workload": {"manifests": [manifest]}}
    assert unknown == ["spec.unknown"]
    decoded, _ = compile_decoder(kind_of("PropagationPolicy").schema)(policy())
    assert decoded["spec"]["schedulerName"] == "default-scheduler"


def test_quantities_of_custom_resources_stay_as_written_and_those_of_clusters_become_canonical() -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"overall": {"cpu": "1000m", "pods": 3}}}
    out, _ = compile_decoder(kind_of("FederatedResourceQuota").schema)(quota)
    assert out["spec"]["overall"] == {"cpu": "1000m", "pods": 3}
    member = {"metadata": {"name": "c"}, "spec": {"syncMode": "Push"}, "status": {}}
    member["status"] = {"resourceSummary": {"allocatable": {"cpu": "1000m"}}}
    out, _ = compile_decoder(kind_of("Cluster").schema)(member)
    assert out["status"]["resourceSummary"]["allocatable"] == {"cpu": "1"}


def test_clusters_are_written_as_go_writes_them() -> None:
    decode = compile_decoder(kind_of("Cluster").schema)
    out, _ = decode({"metadata": {"name": "c"}})
    assert (out["spec"], out["status"]) == ({"syncMode": ""}, {})
    spec = {
        "syncMode": "Push",
        "insecureSkipTLSVerification": False,
        "zones": [],
        "proxyHeader": {},
        "region": "",
        "secretRef": {},
        "resourceModels": [{"ranges": [{"name": "cpu", "max": "1000m"}]}],
    }
    status = {"nodeSummary": {"totalNum": 0, "readyNum": 0}, "conditions": []}
    out, _ = decode({"metadata": {"name": "c"}, "spec": spec, "status": status})
    ranges = [{"name": "cpu", "min": "0", "max": "1"}]
    assert out["spec"] == {
        "syncMode": "Push",
        "secretRef": {"namespace": "", "name": ""},
        "resourceModels": [{"grade": 0, "ranges": ranges}],
    }
    assert out["status"] == {"nodeSummary": {}}


def test_embedded_definitions_carry_nothing_of_go() -> None:
    toleration = {"key": "a", "operator": "Exists", "value": ""}
    out, unknown = compile_decoder(kind_of("PropagationPolicy").schema)(placement(clusterTolerations=[toleration]))
    assert (out["spec"]["placement"]["clusterTolerations"], unknown) == ([toleration], [])


@pytest.mark.parametrize("key", KINDS, ids=str)
def test_schemas_are_whole_objects(key: tuple[str, str]) -> None:
    schema = KINDS[key].schema
    assert list(schema.fields)[:3] == ["apiVersion", "kind", "metadata"]
    assert schema.name.endswith(f".{key[1]}.{key[0]}")
    assert _dangling_list_types(schema, key[0]) == []


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: f"{row.kind}-{row.version}")
def test_every_field_is_described_in_our_own_words(row: Any) -> None:
    assert row.model.__doc__
    assert _undescribed(row.model) == []


def _undescribed(model: type[Model]) -> list[str]:
    out = []
    for member in members(model):
        if not member.description:
            out.append(f"{model.__name__}.{member.name}")
        inner = (member.shape.items or member.shape).model
        out += _undescribed(inner) if inner is not None else []
    return out


def _dangling_list_types(schema: Schema, path: str) -> list[str]:
    out = [path] if schema.list_type == "map" and not schema.list_map_keys else []
    for name, child in schema.fields.items():
        if name != "metadata":
            out += _dangling_list_types(child.items or child, f"{path}.{name}")
    return out


NOW = parse_rfc3339("2026-11-23T05:00:00Z")
META = {"name": "x", "creationTimestamp": "2026-11-23T04:55:00Z"}


def conditions(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"conditions": [{"type": t, "status": s} for t, s in pairs]}


# of a cluster that says nothing of itself: tests/unit/core/test_cluster_report.py has the others
UNREPORTED = [
    "Enabled",
    "<unknown>",
    "<none>",
    "<unknown>",
    "<unknown>",
    "<none>",
    "<unknown>",
    "?/?",
    "?/?",
    "<none>",
    "<none>",
]

ROWS = [
    ("WorkloadRebalancer", "v1alpha1", {}, ["x", "5m"]),
    (
        "CronFederatedHPA",
        "v1alpha1",
        {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}},
        ["x", "Deployment", "web", "5m"],
    ),
    (
        "FederatedHPA",
        "v1alpha1",
        {
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 9},
            "status": {"currentReplicas": 4},
        },
        ["x", "Deployment", "web", 1, 9, 4, "5m"],
    ),
    (
        "ResourceInterpreterCustomization",
        "v1alpha1",
        {"spec": {"target": {"apiVersion": "a/v1", "kind": "K"}}},
        ["x", "a/v1", "K", "5m"],
    ),
    ("ServiceExport", "v1alpha1", {}, ["x", "5m"]),
    (
        "ServiceImport",
        "v1alpha1",
        {"spec": {"type": "ClusterSetIP", "ips": ["10.0.0.1"]}},
        ["x", "ClusterSetIP", '["10.0.0.1"]', "5m"],
    ),
    ("PropagationPolicy", "v1alpha1", policy(priority=3, conflictResolution="Abort"), ["x", "Abort", "3", "5m"]),
    ("ClusterPropagationPolicy", "v1alpha1", policy(priority=0), ["x", None, "0", "5m"]),
    (
        "FederatedResourceQuota",
        "v1alpha1",
        {"status": {"overall": {"cpu": "2"}}},
        ["x", '{"cpu":"2"}', None],
    ),
    (
        "ResourceBinding",
        "v1alpha2",
        {"status": conditions(("Scheduled", "True"), ("FullyApplied", "False"))},
        ["x", "True", "False", "5m"],
    ),
    ("ClusterResourceBinding", "v1alpha2", {"status": conditions(("Scheduled", "True"))}, ["x", "True", None, "5m"]),
    ("ResourceBinding", "v1alpha1", {}, ["x", "5m"]),
    (
        "Work",
        "v1alpha1",
        {
            "spec": {"workload": {"manifests": [{"kind": "Deployment"}, {"kind": "Secret"}]}},
            "status": conditions(("Applied", "True")),
        },
        ["x", "Deployment", "True", "5m"],
    ),
    ("OverridePolicy", "v1alpha1", {}, ["x", "5m"]),
    (
        "Cluster",
        "v1alpha1",
        {
            "spec": {"syncMode": "Push", "apiEndpoint": "https://a", "zones": ["a", "b"]},
            "status": conditions(("Ready", "True")),
        },
        ["x", "", "Push", "True", "5m", "a,b", "<none>", "<none>", "https://a", "<none>", *UNREPORTED],
    ),
    (
        "Cluster",
        "v1alpha1",
        {
            "spec": {"syncMode": "Pull", "region": "r", "provider": "p", "proxyURL": "http://p"},
            "status": {"kubernetesVersion": "v1.30.1"},
        },
        ["x", "v1.30.1", "Pull", "Unknown", "5m", "<none>", "r", "p", "", "http://p", *UNREPORTED],
    ),
]


@pytest.mark.parametrize(("name", "version", "obj", "row"), ROWS)
def test_printer_columns(name: str, version: str, obj: dict[str, Any], row: list[Any]) -> None:
    kind = kind_of(name, version)
    assert kind.cells is not None
    cells = kind.cells({**obj, "metadata": META}, NOW)
    assert cells == row
    assert len(cells) == len(kind.columns)


def test_wide_columns_of_clusters() -> None:
    columns = kind_of("Cluster").columns
    assert [c.name for c in columns if c.priority == 0] == ["Name", "Version", "Mode", "Ready", "Age"]
    wide = [c.name for c in columns if c.priority == 1]
    assert wide[:5] == ["Zones", "Region", "Provider", "API-Endpoint", "Proxy-URL"]  # Karmada's
    assert wide[5:] == [name for name, _ in COLUMNS]


names = st.text("abc", min_size=1, max_size=3)
references = st.fixed_dictionaries(
    {"apiVersion": names, "kind": names, "name": names},
    optional={
        "namespace": names,
        "resourceVersion": names,
        "replicas": st.integers(1, 9),
        "resourcePerReplicas": st.dictionaries(names, st.sampled_from(["1", "500m", "2Gi"]), min_size=1),
    },
)
targets = st.lists(st.fixed_dictionaries({"name": names}, optional={"replicas": st.integers(0, 9)}), min_size=1)
aggregated = st.lists(
    st.fixed_dictionaries({"clusterName": names}, optional={"applied": st.booleans(), "appliedMessage": names}),
    min_size=1,
)
bindings = st.fixed_dictionaries(
    {
        "apiVersion": st.just("work.karmada.io/v1alpha1"),
        "kind": st.just("ResourceBinding"),
        "metadata": st.just({"name": "b"}),
        "spec": st.fixed_dictionaries({"resource": references}, optional={"clusters": targets}),
    },
    optional={"status": st.fixed_dictionaries({}, optional={"aggregatedStatus": aggregated})},
)


@given(bindings)
def test_v1alpha1_survives_storage_as_v1alpha2(binding: dict[str, Any]) -> None:
    stored = to_v1alpha2(binding)
    assert stored["apiVersion"] == "work.karmada.io/v1alpha2"
    assert stored["spec"]["conflictResolution"] == "Abort"  # the stored version's default: a write of it adds nothing
    assert kind_of("ResourceBinding", "v1alpha2").strategy.validate(stored) == []
    assert to_v1alpha1(stored) == binding


def test_v1alpha2_as_v1alpha1_leaves_out_what_is_newer() -> None:
    new = {
        "metadata": {"name": "b"},
        "spec": {
            "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u"},
            "replicas": 2,
            "replicaRequirements": {"resourceRequest": {"cpu": "1"}, "namespace": "n"},
            "clusters": [{"name": "m", "replicas": 2}],
            "placement": {},
        },
        "status": {"schedulerObservedGeneration": 1, "aggregatedStatus": [{"clusterName": "m", "health": "Healthy"}]},
    }
    assert to_v1alpha1(new) == {
        "metadata": {"name": "b"},
        "spec": {
            "resource": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": "d",
                "resourcePerReplicas": {"cpu": "1"},
                "replicas": 2,
            },
            "clusters": [{"name": "m", "replicas": 2}],
        },
        "status": {"aggregatedStatus": [{"clusterName": "m"}]},
    }


def test_a_written_status_is_checked_alone_and_its_texts_begin_there() -> None:
    quota = {"metadata": {}, "spec": {"overall": 3}, "status": {"overallUsed": {"cpu": "x"}}}
    validate = kind_of("FederatedResourceQuota").strategy.validate_status
    assert validate is not None
    (found,) = validate(quota, quota)
    assert found.field == "status.overallUsed.cpu"
    assert found.detail.startswith("overallUsed.cpu in body should match")
    assert validate({**quota, "status": {}}, quota) == validate({"metadata": {}}, quota) == []


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if kind.strategy.validate_status], ids=lambda k: k.kind
)
def test_a_status_that_is_none(kind: Kind) -> None:
    found = kind.strategy.validate_status({"metadata": {}, "status": 5}, {})  # type: ignore[misc]
    assert [(error.field, error.reason) for error in found] == [("status", "FieldValueTypeInvalid")]
