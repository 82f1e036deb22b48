"""MutatingAdmissionPolicies: what becomes of writes. Their texts are compared with kube-apiserver's in tests/differential."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from tests.integration.webhook_server import WebhookServer, configuration
from tests.integration.webhook_server import patch as changed

from .conftest import Api, configmap, deployment, failure

GROUP = "/apis/admissionregistration.k8s.io/v1"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CONFIGMAP = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
DEPLOYMENT = {**CONFIGMAP, "apiGroups": ["apps"], "resources": ["deployments"]}


def apply(expression: str) -> Object:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patch(expression: str) -> Object:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def label(name: str, value: str) -> Object:
    return apply(f"Object{{metadata: Object.metadata{{labels: {{'{name}': {value}}}}}}}")


async def bound(
    api: Api, name: str, *mutations: Object, rule: Object = CONFIGMAP, params: Any = None, **spec: Any
) -> None:
    given = {
        "matchConstraints": {"resourceRules": [rule]},
        "mutations": list(mutations),
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
        **spec,
    }
    policy = {"kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": given}
    binding = {"kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {"policyName": name}}
    if params is not None:
        binding["spec"]["paramRef"] = params
    answer = await api.post(f"{GROUP}/mutatingadmissionpolicies", policy)
    assert answer.status_code == 201, answer.text
    assert "warning" not in answer.headers
    await api.made(f"{GROUP}/mutatingadmissionpolicybindings", binding)


async def test_a_configuration_is_merged_as_server_side_apply_does(api: Api) -> None:
    sidecar = "Object.spec.template.spec.containers{name: 'side', image: 'side:1'}"
    spec = (
        f"Object.spec{{template: Object.spec.template{{spec: Object.spec.template.spec{{containers: [{sidecar}]}}}}}}"
    )
    await bound(api, "sidecar", apply(f"Object{{spec: {spec}}}"), rule=DEPLOYMENT)
    made = await api.made(DEPLOYMENTS, deployment("d"))
    containers = made["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in containers] == ["c", "side"]
    assert containers[1]["imagePullPolicy"] == "IfNotPresent"  # defaulted, as what a user sends
    owned = made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert list(owned) == ['k:{"name":"c"}']


async def test_what_is_patched_and_what_a_test_says_no_to(api: Api) -> None:
    note = "JSONPatch{op: 'add', path: '/metadata/annotations', value: {}}"
    add = "JSONPatch{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey('a.io/b'), value: object.data.k}"
    never = "[JSONPatch{op: 'test', path: '/data/k', value: 'other'}, JSONPatch{op: 'remove', path: '/data/k'}]"
    await bound(api, "patches", patch(f"[{note}, {add}]"), patch(never))
    made = await api.made(CONFIGMAPS, configmap("x", k="v"))
    assert made["data"] == {"k": "v"}
    assert made["metadata"]["annotations"] == {"a.io/b": "v"}
    again = await api.patch(f"{CONFIGMAPS}/x", {"metadata": {"annotations": None}, "data": {"k": "w"}})
    assert again.json()["metadata"]["annotations"] == {"a.io/b": "w"}


async def test_mutations_see_those_before_them_and_variables_are_evaluated_anew(api: Api) -> None:
    count = [{"name": "count", "expression": "string(size(object.?data.orValue({})))"}]
    more = "[JSONPatch{op: 'add', path: '/data/' + 'n' + variables.count, value: variables.count}]"
    await bound(api, "counts", patch(more), patch(more), variables=count)
    assert (await api.made(CONFIGMAPS, configmap("x", k="v")))["data"] == {"k": "v", "n1": "1", "n2": "2"}


async def test_parameters_and_conditions(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("limits", tier="gold"))
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    mine = [{"name": "mine", "expression": "object.metadata.name.startsWith('my-')"}]
    params = {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}
    await bound(api, "tier", label("tier", "params.data.tier"), paramKind=kind, matchConditions=mine, params=params)
    assert (await api.made(CONFIGMAPS, configmap("my-x")))["metadata"]["labels"] == {"tier": "gold"}
    assert "labels" not in (await api.made(CONFIGMAPS, configmap("x")))["metadata"]
    assert (await api.delete(f"{CONFIGMAPS}/limits")).status_code == 200
    status = failure(await api.post(CONFIGMAPS, configmap("my-y")), 403, "Forbidden")
    text = "no params found for policy binding with `Deny` parameterNotFoundAction"
    assert status["message"] == f"policy 'tier' with binding 'tier' denied request: failed to configure binding: {text}"


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_failures(api: Api, policy: str) -> None:
    """With Ignore what the other mutations made stays."""
    broken = label("a", "object.nothing")
    await bound(api, "broken", broken, label("b", "'1'"), failurePolicy=policy)
    answer = await api.post(CONFIGMAPS, configmap("x"))
    if policy == "Ignore":
        assert answer.json()["metadata"]["labels"] == {"b": "1"}
        return
    expression = broken["applyConfiguration"]["expression"]
    text = f"expression '{expression}' resulted in error: no such key: nothing"
    by = "policy 'broken' with binding 'broken' denied request: "
    assert failure(answer, 403, "Invalid")["message"] == by + text


async def test_dry_runs_are_changed_and_nothing_is_stored(api: Api) -> None:
    await bound(api, "labels", label("dry", "string(request.dryRun)"))
    made = await api.made(f"{CONFIGMAPS}?dryRun=All", configmap("x"))
    assert made["metadata"]["labels"] == {"dry": "true"}
    assert (await api.get(f"{CONFIGMAPS}/x")).status_code == 404


async def test_policies_come_before_webhooks_and_both_are_asked_again(api: Api) -> None:
    seen = "[JSONPatch{op: 'add', path: '/data/policy', value: object.?data.?policy.orValue('') + 'p'}]"
    await bound(api, "counts", patch(seen), reinvocationPolicy="IfNeeded")
    await bound(api, "once", patch(seen.replace("policy", "once")))
    async with WebhookServer().serving() as hooks:
        hook = hooks.hook("h", changed({"op": "add", "path": "/data/hook", "value": "h"}))
        await api.made(f"{GROUP}/mutatingwebhookconfigurations", configuration("Mutating", "h", hook))
        made = await api.made(CONFIGMAPS, configmap("x", k="v"))
        (request,) = hooks.reviews("/h")
    assert made["data"] == {"k": "v", "policy": "pp", "once": "p", "hook": "h"}
    assert request["object"]["data"] == {"k": "v", "policy": "p", "once": "p"}


@pytest.mark.parametrize("changed", [False, True])
async def test_nobody_owns_what_his_write_could_not_change(api: Api, changed: bool) -> None:
    """The same with a policy, for which owners are noted before what is reset, as without."""
    if changed:
        rule = {**DEPLOYMENT, "resources": ["deployments", "deployments/status"]}
        await bound(api, "labelled", label("x", "'y'"), rule=rule)
    made = await api.made(DEPLOYMENTS, deployment("d"))
    sent = {**made, "status": {"replicas": 5}, "spec": {**made["spec"], "replicas": 4}}
    through_main = (await api.put(f"{DEPLOYMENTS}/d", sent)).json()
    (owned,) = through_main["metadata"]["managedFields"]
    assert "f:spec" in owned["fieldsV1"]
    assert "f:status" not in owned["fieldsV1"]
    sent = {**through_main, "status": {"replicas": 5}, "spec": {**made["spec"], "replicas": 9, "minReadySeconds": 3}}
    through_status = (await api.put(f"{DEPLOYMENTS}/d/status", sent)).json()
    owned = next(each for each in through_status["metadata"]["managedFields"] if each.get("subresource") == "status")
    assert set(owned["fieldsV1"]) - {"f:metadata"} == {"f:status"}


async def test_a_scale_is_changed(api: Api) -> None:
    rule = {**DEPLOYMENT, "resources": ["deployments/scale"]}
    most = patch("object.spec.replicas > 3 ? [JSONPatch{op: 'replace', path: '/spec/replicas', value: 3}] : []")
    await bound(api, "three", most, rule=rule)
    await api.made(DEPLOYMENTS, deployment("d"))
    answer = await api.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 9}})
    assert answer.json()["spec"] == {"replicas": 3}
    assert (await api.get(f"{DEPLOYMENTS}/d")).json()["spec"]["replicas"] == 3


async def test_another_version_is_shown_that_one(api: Api) -> None:
    scalers = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    rule = {**CONFIGMAP, "apiGroups": ["autoscaling"], "apiVersions": ["v2"], "resources": ["horizontalpodautoscalers"]}
    value = "string(object.spec.metrics[0].resource.target.averageUtilization)"
    await bound(api, "use", label("use", value), rule=rule)
    target = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
    spec = {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50, "scaleTargetRef": target}
    made = await api.made(scalers, {"metadata": {"name": "h"}, "spec": spec})
    assert made["metadata"]["labels"] == {"use": "50"}
    assert made["spec"]["targetCPUUtilizationPercentage"] == 50
