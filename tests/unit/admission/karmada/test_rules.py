"""Rules of bindings, Works, quotas, autoscalers, services, interpreters, taint policies and deletion protection."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kafila.admission.karmada import AdmissionContext, admit, mutate
from kafila.catalog.karmada.kinds import kinds
from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.feature_gates import DEFAULT_GATES as GATES
from kafila.core.feature_gates import Gates, parse_gates
from kafila.core.values import Object
from kafila.registry import SYSTEM_ADMIN

KINDS: dict[str, Kind] = {kind.kind: kind for kind in reversed(kinds()) if not kind.storage_version}
OLD = {kind.kind: kind for kind in kinds() if kind.storage_version}
ALL = parse_gates("AllAlpha=true,AllBeta=true")


def made(kind: str, name: str = "x", operation: str = "CREATE", **fields: Any) -> Object:
    obj = {"metadata": {"name": name, "namespace": "ns"}, **copy.deepcopy(fields)}
    KINDS[kind].strategy.default(obj)
    mutate(KINDS[kind], operation, obj, None, None, GATES)
    return obj


def refusal(
    kind: str, obj: Object, old: Object | None = None, gates: Gates = GATES, around: AdmissionContext | None = None
) -> str:
    with pytest.raises(StatusError) as error:
        admit(KINDS[kind], "UPDATE" if old else "CREATE", obj, old, SYSTEM_ADMIN, gates, around or AdmissionContext())
    assert error.value.code == 403
    return error.value.message.partition("denied the request: ")[2]


def allow(kind: str, obj: Object, old: Object | None = None, around: AdmissionContext | None = None) -> None:
    admit(KINDS[kind], "UPDATE" if old else "CREATE", obj, old, SYSTEM_ADMIN, ALL, around or AdmissionContext())


# -- identities --------------------------------------------------------------------------------------------------------

IDENTITIES = [
    ("ResourceBinding", "resourcebinding.karmada.io/permanent-id", False),
    ("ClusterResourceBinding", "clusterresourcebinding.karmada.io/permanent-id", False),
    ("Work", "work.karmada.io/permanent-id", True),
    ("MultiClusterService", "multiclusterservice.karmada.io/permanent-id", True),
]


@pytest.mark.parametrize(("kind", "label", "on_update"), IDENTITIES)
def test_identities(kind: str, label: str, on_update: bool) -> None:
    obj = made(kind, spec={})
    identity = obj["metadata"]["labels"][label]
    assert len(identity) == 36
    mutate(KINDS[kind], "CREATE", obj, None, None, GATES)
    assert obj["metadata"]["labels"][label] == identity
    assert (label in (made(kind, operation="UPDATE", spec={})["metadata"].get("labels") or {})) == on_update


def test_old_bindings_get_an_identity_and_are_checked_too() -> None:
    kind = OLD["ResourceBinding"]
    obj: Object = {"metadata": {"annotations": {"resourcebinding.karmada.io/dependencies": "{"}}, "spec": {}}
    mutate(kind, "CREATE", obj, None, None, GATES)
    assert "resourcebinding.karmada.io/permanent-id" in obj["metadata"]["labels"]
    with pytest.raises(StatusError, match="must be a valid JSON"):
        admit(kind, "CREATE", obj, None, SYSTEM_ADMIN, GATES)


def test_manifests_of_a_work_are_pruned_and_stamped() -> None:
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "uid": "u", "resourceVersion": "7", "labels": {"b": "1"}, "annotations": {"a": "1"}},
        "status": {"replicas": 1},
    }
    obj = made("Work", spec={"workload": {"manifests": [manifest]}})
    identity = obj["metadata"]["labels"]["work.karmada.io/permanent-id"]
    (sent,) = obj["spec"]["workload"]["manifests"]
    managed = "resourcetemplate.karmada.io/managed-"
    assert sent == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "d",
            "labels": {"b": "1", "work.karmada.io/permanent-id": identity},
            "annotations": {
                "a": "1",
                f"{managed}annotations": f"a,{managed}annotations,{managed}labels",
                f"{managed}labels": "b,work.karmada.io/permanent-id",
            },
        },
    }
    again = copy.deepcopy(obj)
    mutate(KINDS["Work"], "UPDATE", again, obj, None, GATES)
    assert again == obj


BAD_MANIFESTS = [
    (None, "Object 'Kind' is missing in 'null'"),
    (5, "json: cannot unmarshal number into Go value of type map[string]interface {}"),
    ([], "json: cannot unmarshal array into Go value of type map[string]interface {}"),
    ({"metadata": {}}, "Object 'Kind' is missing in '{\"metadata\":{}}'"),
    ({"kind": "X", "metadata": "m"}, "metadata of a manifest must be an object"),
    ({"kind": "X", "metadata": {"labels": []}}, "metadata.labels of a manifest must be an object"),
]


@pytest.mark.parametrize(("manifest", "message"), BAD_MANIFESTS)
def test_manifests_that_are_no_objects(manifest: Any, message: str) -> None:
    with pytest.raises(StatusError) as error:
        made("Work", spec={"workload": {"manifests": [manifest]}})
    assert error.value.code == 500
    assert error.value.message == f'admission webhook "work.karmada.io" denied the request: {message}'


def test_a_write_that_shares_the_spec_is_not_mutated() -> None:
    old: Object = {
        "metadata": {"labels": {"work.karmada.io/permanent-id": "i"}},
        "spec": {"workload": {"manifests": [{}]}},
    }
    mutate(KINDS["Work"], "UPDATE", {"metadata": old["metadata"], "spec": old["spec"], "status": {}}, old, None, GATES)
    assert old["spec"] == {"workload": {"manifests": [{}]}}


# -- bindings and quota ------------------------------------------------------------------------------------------------


def binding(annotation: str | None = None, **spec: Any) -> Object:
    metadata: Object = {"name": "b", "namespace": "ns"}
    if annotation is not None:
        metadata["annotations"] = {"resourcebinding.karmada.io/dependencies": annotation}
    return {"metadata": metadata, "spec": spec}


@pytest.mark.parametrize("text", ["[]", "null", '[{"apiVersion":"v1","kind":"Secret","namespace":"n","name":"s"}]'])
def test_dependencies_that_are_references(text: str) -> None:
    allow("ResourceBinding", binding(text))


@pytest.mark.parametrize("text", ["{", "{}", '["a"]', '[{"kind":1}]', ""])
def test_dependencies_that_are_not(text: str) -> None:
    found = refusal("ResourceBinding", binding(text))
    assert found.startswith("metadata.annotations.resourcebinding.karmada.io/dependencies: Invalid value: ")
    assert found.endswith(": annotation value must be a valid JSON")


def test_names_of_components() -> None:
    obj = binding(components=[{"name": "a"}, {"name": ""}, {"name": "a"}])
    assert refusal("ResourceBinding", obj, gates=ALL) == (
        '[spec.components[1].name: Invalid value: "": component names must be non-empty, '
        'spec.components[2].name: Invalid value: "a": component names must be unique]'
    )
    admit(KINDS["ResourceBinding"], "CREATE", obj, None, SYSTEM_ADMIN, GATES)


def federated_quota(overall: Object, *assignments: tuple[str, Object]) -> Object:
    listed = [{"clusterName": name, "hard": hard} for name, hard in assignments]
    return {"metadata": {"name": "q", "namespace": "ns"}, "spec": {"overall": overall, "staticAssignments": listed}}


QUOTAS = [
    (
        federated_quota({"cpu": "1"}, ("m1", {"cpu": "800m"}), ("m2", {"cpu": "800m"})),
        'spec.overall[cpu]: Invalid value: "1": overall is less than assignments',
    ),
    (
        federated_quota({"cpu": "1"}, ("m1", {"memory": "1"})),
        'spec.staticAssignments[0].hard[memory]: Invalid value: "memory": '
        "assignment resourceName is not exist in overall",
    ),
    (
        federated_quota({"cpu": "1"}, ("", {})),
        'spec.staticAssignments[0].clusterName: Invalid value: "": must be not empty',
    ),
    (
        federated_quota({"cpu": "-1"}),
        '[spec.overall[cpu]: Invalid value: "-1": must be greater than or equal to 0, '
        'spec.overall[cpu]: Invalid value: "-1": overall is less than assignments]',
    ),
    (federated_quota({"pods": "500m"}), 'spec.overall[pods]: Invalid value: "500m": must be an integer'),
    (
        federated_quota({"storage": "1"}),
        'spec.overall[storage]: Invalid value: "storage": must be a standard resource for quota',
    ),
    (
        {"metadata": {"name": "q" * 64}, "spec": {"overall": {}}},
        f'metadata.name: Invalid value: "{"q" * 64}": must be no more than 63 characters',
    ),
]


@pytest.mark.parametrize(("obj", "message"), QUOTAS, ids=range(len(QUOTAS)))
def test_quota_refusals(obj: Object, message: str) -> None:
    assert refusal("FederatedResourceQuota", obj) == message


def test_quota_accepts_vendors_resources() -> None:
    allow(
        "FederatedResourceQuota",
        federated_quota({"nvidia.com/gpu": "2", "requests.cpu": "1"}, ("m1", {"requests.cpu": "1"})),
    )


# -- autoscalers -------------------------------------------------------------------------------------------------------

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def hpa(**spec: Any) -> Object:
    return made("FederatedHPA", spec={"scaleTargetRef": TARGET, "maxReplicas": 5, **spec})


def metric(**fields: Any) -> Object:
    return hpa(metrics=[fields])


def cpu(**target: Any) -> Object:
    return metric(type="Resource", resource={"name": "cpu", "target": {"type": "Utilization", **target}})


def test_defaults_of_an_autoscaler() -> None:
    spec = hpa(behavior={"scaleUp": {"stabilizationWindowSeconds": 5}})["spec"]
    assert spec["minReplicas"] == 1
    target = {"type": "Utilization", "averageUtilization": 80}
    assert spec["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
    pods = {"type": "Pods", "value": 4, "periodSeconds": 15}
    up = {"stabilizationWindowSeconds": 5, "selectPolicy": "Max", "policies": [pods, percent]}
    assert spec["behavior"] == {"scaleUp": up, "scaleDown": {"selectPolicy": "Max", "policies": [percent]}}
    allow("FederatedHPA", hpa(behavior={}))


M = "spec.metrics[0]"
HPAS = [
    (hpa(minReplicas=0), "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"),
    (hpa(minReplicas=9), "spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"),
    (hpa(scaleTargetRef={"kind": "X", "name": ""}), "spec.scaleTargetRef.name: Required value"),
    (
        hpa(scaleTargetRef={"kind": "X", "name": "a/b"}),
        "spec.scaleTargetRef.name: Invalid value: \"a/b\": may not contain '/'",
    ),
    (
        hpa(behavior={"scaleUp": {"stabilizationWindowSeconds": 3601}}),
        "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
    ),
    (
        hpa(behavior={"scaleDown": {"selectPolicy": "Some"}}),
        'spec.behavior.scaleDown.selectPolicy: Unsupported value: "Some": supported values: "Disabled", "Max", "Min"',
    ),
    (
        hpa(behavior={"scaleDown": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 1801}]}}),
        "[spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero, "
        "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800]",
    ),
    (
        cpu(),
        f"{M}.resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
    ),
    (
        cpu(averageUtilization=1, averageValue="1"),
        f"{M}.resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization",
    ),
    (cpu(averageUtilization=0), f"{M}.resource.target.averageUtilization: Invalid value: 0: must be greater than 0"),
    (cpu(averageValue="0"), f'{M}.resource.target.averageValue: Invalid value: "0": must be positive'),
    (
        metric(type="Pods"),
        f"{M}.pods: Required value: must populate information for the given metric source",
    ),
    (
        metric(type="External", external={}),
        f'{M}.type: Unsupported value: "External": supported values: "ContainerResource", "Object", "Pods", "Resource"',
    ),
    (
        metric(type="Pods", pods={"metric": {"name": "qps"}, "target": {"type": "AverageValue"}}),
        f"{M}.pods.target.averageValue: Required value: must specify a positive target averageValue",
    ),
]


@pytest.mark.parametrize(("obj", "message"), HPAS, ids=range(len(HPAS)))
def test_autoscaler_refusals(obj: Object, message: str) -> None:
    assert refusal("FederatedHPA", obj) == message


def cron(*rules: Object, target: Object | None = None) -> Object:
    listed = [{"name": f"r{i}", "schedule": "0 9 * * *", **rule} for i, rule in enumerate(rules)]
    return {"metadata": {"name": "c", "namespace": "ns"}, "spec": {"scaleTargetRef": target or TARGET, "rules": listed}}


HPA_TARGET = {"apiVersion": "autoscaling.karmada.io/v1alpha1", "kind": "FederatedHPA", "name": "h"}
R = "spec.rules[0]"
CRONS = [
    (
        cron({"targetReplicas": 1, "name": "a"}, {"targetReplicas": 1, "name": "a"}),
        'spec.rules[1].name: Duplicate value: "a"',
    ),
    (cron({"targetReplicas": 1, "schedule": "no"}), f'{R}.schedule: Invalid value: "no": invalid cron format'),
    (
        cron({"targetReplicas": 1, "timeZone": "Mars/Base"}),
        f'{R}.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base',
    ),
    (
        cron({"targetReplicas": 1, "timeZone": "../etc/passwd"}),
        f'{R}.timeZone: Invalid value: "../etc/passwd": time: invalid location name',
    ),
    (
        cron({}),
        f'{R}.targetReplicas: Invalid value: "": targetReplicas cannot be nil if you want to scale Deployment',
    ),
    (
        cron({"targetReplicas": -1}),
        f'{R}.targetReplicas: Invalid value: "": targetReplicas should be larger than or equal to 0',
    ),
    (
        cron({}, target=HPA_TARGET),
        f'{R}.targetMaxReplicas: Invalid value: "": targetMinReplicas and targetMaxReplicas cannot be nil at the same '
        "time if you want to scale FederatedHPA",
    ),
    (
        cron({"targetMinReplicas": 0}, target=HPA_TARGET),
        f'{R}.targetMinReplicas: Invalid value: "": targetMinReplicas should be larger than 0',
    ),
    (
        cron({"targetMinReplicas": 3, "targetMaxReplicas": 2}, target=HPA_TARGET),
        f'{R}.targetMinReplicas: Invalid value: "": targetMaxReplicas should be larger than or equal to targetMinReplicas',
    ),
    (
        cron({}, target={**HPA_TARGET, "kind": "CronFederatedHPA"}),
        'spec.scaleTargetRef.kind: Invalid value: "CronFederatedHPA": '
        "invalid scaleTargetRef kind: CronFederatedHPA, only support FederatedHPA",
    ),
]


@pytest.mark.parametrize(("obj", "message"), CRONS, ids=range(len(CRONS)))
def test_cron_refusals(obj: Object, message: str) -> None:
    assert refusal("CronFederatedHPA", obj) == message


def test_cron_samples() -> None:
    allow("CronFederatedHPA", cron({"targetReplicas": 0, "timeZone": "Asia/Shanghai"}))
    allow("CronFederatedHPA", cron({"targetMinReplicas": 1}, target=HPA_TARGET))


# -- services ----------------------------------------------------------------------------------------------------------


def mcs(**spec: Any) -> Object:
    return made("MultiClusterService", name="svc", spec={"types": ["CrossCluster"], **spec})


SERVICES = [
    (mcs(types=["Other"]), 'spec.types[0]: Invalid value: "Other": ExposureType Error'),
    (
        mcs(types=["CrossCluster", "LoadBalancer"]),
        'spec.types: Invalid value: ["CrossCluster","LoadBalancer"]: '
        "MultiClusterService types should not contain more than one type",
    ),
    (
        mcs(ports=[{"name": "a", "port": 1}, {"name": "a", "port": 2}]),
        'spec.ports[1].name: Duplicate value: "a"',
    ),
    (mcs(ports=[{"port": 0}]), "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
    (
        mcs(providerClusters=[{"name": ""}]),
        'spec.range.providerClusters[0]: Invalid value: "": must be not empty',
    ),
]


@pytest.mark.parametrize(("obj", "message"), SERVICES, ids=range(len(SERVICES)))
def test_service_refusals(obj: Object, message: str) -> None:
    assert refusal("MultiClusterService", obj) == message


def test_types_of_a_service_do_not_change() -> None:
    old, new = mcs(), mcs(types=["LoadBalancer"])
    assert refusal("MultiClusterService", new, old) == (
        'spec.types: Invalid value: ["CrossCluster"]: MultiClusterService types are immutable'
    )
    allow("MultiClusterService", mcs(ports=[{"port": 80}]), old)


def ingress(**spec: Any) -> Object:
    return {"metadata": {"name": "i", "namespace": "ns"}, "spec": spec}


def path(**fields: Any) -> Object:
    rule = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}, **fields}
    return ingress(rules=[{"host": "a.example.com", "http": {"paths": [rule]}}])


P = "spec.rules[0].http.paths[0]"
INGRESSES = [
    (ingress(), "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"),
    (ingress(defaultBackend={}), 'spec.defaultBackend: Invalid value: "": resource or service backend is required'),
    (
        ingress(defaultBackend={"service": {"name": "s"}}),
        "spec.defaultBackend: Required value: port name or number is required",
    ),
    (path(path="x"), f'{P}.path: Invalid value: "x": must be an absolute path'),
    (path(path="/a//b"), f"{P}.path: Invalid value: \"/a//b\": must not contain '//'"),
    (path(path="/a/.."), f"{P}.path: Invalid value: \"/a/..\": cannot end with '/..'"),
    (
        path(pathType="Some"),
        f'{P}.pathType: Unsupported value: "Some": supported values: "Exact", "ImplementationSpecific", "Prefix"',
    ),
    (path(pathType=None), f"{P}.pathType: Required value: pathType must be specified"),
]


@pytest.mark.parametrize(("obj", "message"), INGRESSES, ids=range(len(INGRESSES)))
def test_ingress_refusals(obj: Object, message: str) -> None:
    assert refusal("MultiClusterIngress", obj) == message


def test_ingress_hosts() -> None:
    allow("MultiClusterIngress", path())
    numbered = path()
    numbered["spec"]["rules"][0]["host"] = "10.0.0.1"
    assert "must be a DNS name, not an IP address" in refusal("MultiClusterIngress", numbered)
    updated = {**path(), "status": {"loadBalancer": {"ingress": [{"ip": "x"}]}}}
    message = 'status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address'
    assert refusal("MultiClusterIngress", updated, path()) == message


# -- interpreters ------------------------------------------------------------------------------------------------------


def customization(name: str, **scripts: str) -> Object:
    rules = {field: {"luaScript": script} for field, script in scripts.items()}
    target = {"apiVersion": "apps/v1", "kind": "Deployment"}
    return {"metadata": {"name": name}, "spec": {"target": target, "customizations": rules}}


def test_customizations_of_one_kind_do_not_share_an_operation() -> None:
    existing = customization("old", retention="a", dependencyInterpretation="a")
    around = AdmissionContext(customizations=lambda: [existing])
    clash = customization("new", retention="b")
    assert refusal("ResourceInterpreterCustomization", clash, around=around) == (
        "conflicting with InterpreterOperation(Retain) of existing ResourceInterpreterCustomization(old)"
    )
    allow("ResourceInterpreterCustomization", customization("new", dependencyInterpretation="b"), around=around)
    allow("ResourceInterpreterCustomization", customization("old", retention="b"), around=around)
    elsewhere = customization("new", retention="b")
    elsewhere["spec"]["target"]["kind"] = "StatefulSet"
    allow("ResourceInterpreterCustomization", elsewhere, around=around)


def test_scripts_must_compile() -> None:
    around = AdmissionContext(lua_error=lambda script: "no" if script == "bad" else None)
    found = refusal("ResourceInterpreterCustomization", customization("x", statusReflection="bad"), around=around)
    assert found == "InterpreterOperation(InterpretStatus) Lua script error: no"
    allow("ResourceInterpreterCustomization", customization("x", statusReflection="good"), around=around)


def hook(**fields: Any) -> Object:
    rule = {"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["v1"], "kinds": ["Deployment"]}
    one = {
        "name": "w.example.com",
        "clientConfig": {"url": "https://w.example.com/x"},
        "rules": [rule],
        "interpreterContextVersions": ["v1alpha1"],
        **fields,
    }
    return {"metadata": {"name": "c"}, "webhooks": [one]}


def with_rule(**fields: Any) -> Object:
    obj = hook()
    obj["webhooks"][0]["rules"][0].update(fields)
    return obj


W = "webhooks[0]"
HOOKS = [
    (
        hook(name="w"),
        f'{W}.name: Invalid value: "w": should be a domain with at least two segments separated by dots',
    ),
    (
        hook(timeoutSeconds=31),
        f"{W}.timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
    ),
    (hook(clientConfig={}), f"{W}.clientConfig: Required value: exactly one of url or service is required"),
    (
        hook(clientConfig={"url": "http://a.b"}),
        f"{W}.clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; "
        "desired format: https://host[/path]",
    ),
    (
        hook(clientConfig={"service": {"namespace": "n", "name": "s", "port": 0}}),
        f"{W}.clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
    ),
    (
        hook(clientConfig={"service": {"namespace": "n", "name": "s", "path": "xy"}}),
        f"{W}.clientConfig.service.path: Invalid value: \"xy\": must start with a '/'",
    ),
    (
        hook(interpreterContextVersions=["v9"]),
        f'{W}.interpreterContextVersions: Invalid value: ["v9"]: must include at least one of v1alpha1',
    ),
    (
        hook(interpreterContextVersions=[]),
        f"{W}.interpreterContextVersions: Required value: must specify one of v1alpha1",
    ),
    (
        with_rule(operations=["*", "Retain"]),
        f'{W}.rules[0].operations: Invalid value: ["*","Retain"]: if \'*\' is present, must not specify other operations',
    ),
    (
        with_rule(operations=["Nope"]),
        f'{W}.rules[0].operations[0]: Unsupported value: "Nope": supported values: "*", "AggregateStatus", '
        '"InterpretComponent", "InterpretDependency", "InterpretHealth", "InterpretReplica", "InterpretStatus", '
        '"Retain", "ReviseReplica"',
    ),
    (with_rule(apiVersions=[""]), f"{W}.rules[0].apiVersions[0]: Required value"),
    (with_rule(kinds=[]), f"{W}.rules[0].kinds: Required value"),
]


@pytest.mark.parametrize(("obj", "message"), HOOKS, ids=range(len(HOOKS)))
def test_webhook_refusals(obj: Object, message: str) -> None:
    assert refusal("ResourceInterpreterWebhookConfiguration", obj) == message


def test_webhook_names_are_unique() -> None:
    obj = hook()
    allow("ResourceInterpreterWebhookConfiguration", copy.deepcopy(obj))
    obj["webhooks"] *= 2
    assert (
        refusal("ResourceInterpreterWebhookConfiguration", obj) == 'webhooks[1].name: Duplicate value: "w.example.com"'
    )


# -- taints and deletion -----------------------------------------------------------------------------------------------


def test_taint_policies() -> None:
    evicting = {"metadata": {"name": "t"}, "spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}
    assert refusal("ClusterTaintPolicy", evicting).startswith(
        "spec.taints[0]: Forbidden: Configuring taint with NoExecute effect is not allowed, this capability must be"
    )
    allow("ClusterTaintPolicy", evicting, around=AdmissionContext(allow_no_execute=True))
    twice = {"metadata": {"name": "t"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}] * 2}}
    assert refusal("ClusterTaintPolicy", twice) == (
        'spec.taints[0]: Duplicate value: "Duplicate taint with the same key(a) and effect(NoSchedule) is not allowed"'
    )


@pytest.mark.parametrize("kind", KINDS)
def test_protected_objects_of_any_kind_are_not_deleted(kind: str) -> None:
    obj: Object = {"metadata": {"labels": {"resourcetemplate.karmada.io/deletion-protected": "Always"}}}
    with pytest.raises(StatusError) as error:
        admit(KINDS[kind], "DELETE", None, obj, SYSTEM_ADMIN, GATES)
    assert error.value.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'admission webhook "resourcedeletionprotection.karmada.io" denied the request: This resource is '
        "protected, please make sure to remove the label: resourcetemplate.karmada.io/deletion-protected",
        "reason": "Forbidden",
        "code": 403,
    }
    obj["metadata"]["labels"] = {"resourcetemplate.karmada.io/deletion-protected": "Never"}
    admit(KINDS[kind], "DELETE", None, obj, SYSTEM_ADMIN, GATES)
    admit(KINDS[kind], "DELETE", None, {"metadata": {}}, SYSTEM_ADMIN, GATES)
