"""Policies that change objects: they make no other object of one, end where they cost too much, and hold nobody up."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.registry import User
from tests.attack.turns import with_turns

GROUP = "/apis/admissionregistration.k8s.io/v1"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}


async def bound(api: Any, expression: str, *, applies: bool = False, rule: Any = RULE, **spec: Any) -> None:
    patch = {"expression": expression}
    mutation: Any = {"patchType": "JSONPatch", "jsonPatch": patch}
    if applies:
        mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": patch}
    given = {
        "matchConstraints": {"resourceRules": [rule]},
        "mutations": [mutation],
        "reinvocationPolicy": "Never",
        **spec,
    }
    await api.made(f"{GROUP}/mutatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": given})
    binding = {"metadata": {"name": "p"}, "spec": {"policyName": "p"}}
    await api.made(f"{GROUP}/mutatingadmissionpolicybindings", binding)


def configmap(**data: str) -> Any:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data}


def replaced(path: str, value: str) -> str:
    return f"[JSONPatch{{op: 'replace', path: '{path}', value: {value}}}]"


@pytest.mark.parametrize(
    "expression",
    [
        replaced("/kind", "'Secret'"),
        replaced("/apiVersion", "'v2'"),
        replaced("/metadata/uid", "'another'"),
        replaced("/metadata/name", "'another'"),
        replaced("/metadata/namespace", "'kube-system'"),
        replaced("/metadata/resourceVersion", "'1'"),
        replaced("/metadata/managedFields", "[{'manager': 'x'}]"),
        replaced("/metadata/ownerReferences", "[{'apiVersion': 'v1', 'kind': 'Pod', 'name': 'x', 'uid': ''}]"),
        replaced("/metadata", "1"),
        replaced("/data", "[1]"),
        replaced("", "{'metadata': {'name': 'another'}}"),
        "[JSONPatch{op: 'remove', path: '/metadata'}]",
        "[JSONPatch{op: 'remove', path: '/metadata/name'}]",
        replaced("/spec", "{}"),
    ],
)
async def test_no_other_object(api: Any, expression: str) -> None:
    made = await api.made(CONFIGMAPS, configmap(k="v"))
    await bound(api, expression)
    answer = await api.patch(f"{CONFIGMAPS}/x", {"data": {"k": "w"}})
    after = (await api.get(f"{CONFIGMAPS}/x")).json()
    for field in ("name", "namespace", "uid", "creationTimestamp"):
        assert after["metadata"][field] == made["metadata"][field]
    assert after["kind"] == "ConfigMap"
    assert "ownerReferences" not in after["metadata"]
    assert after["data"] == {"k": "w" if answer.status_code == 200 else "v"}
    assert (await api.get("/api/v1/namespaces/kube-system/configmaps/x")).status_code == 404
    assert (await api.get(f"{CONFIGMAPS}/another")).status_code == 404


async def test_a_policy_cannot_change_policies(api: Any) -> None:
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    rule = {**everything, "operations": ["CREATE", "UPDATE"]}
    await bound(api, "Object{metadata: Object.metadata{labels: {'mine': object.nothing}}}", applies=True, rule=rule)
    assert (await api.post(CONFIGMAPS, configmap())).status_code == 403
    label = {"metadata": {"labels": {"a": "b"}}}
    for resource in ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"):
        answer = await api.patch(f"{GROUP}/{resource}/p", label)
        assert answer.json()["metadata"]["labels"] == {"a": "b"}
        assert (await api.delete(f"{GROUP}/{resource}/p")).status_code == 200
    assert (await api.post(CONFIGMAPS, configmap())).status_code == 201


def tenfold(depth: int, first: str) -> list[Any]:
    found = [{"name": "v0", "expression": first}]
    for number in range(1, depth):
        ten = ", ".join([f"variables.v{number - 1}"] * 10)
        found.append({"name": f"v{number}", "expression": f"[{ten}]"})
    return found


def nested(depth: int) -> list[Any]:
    found = [{"name": "v0", "expression": "'x'"}]
    return found + [{"name": f"v{n}", "expression": f"{{'a': variables.v{n - 1}}}"} for n in range(1, depth)]


@pytest.mark.parametrize(
    ("expression", "variables", "text"),
    [
        (replaced("/data/x", "variables.v19"), tenfold(20, "'x'"), "has more than 200000 values"),
        (replaced("/data/x", "variables.v120"), nested(121), "nested too deeply"),
        (
            "object.data.map(a, object.data.map(b, JSONPatch{op: 'put', path: b}))[0]",
            [],
            "Unexpected kind: put",
        ),
        (
            f"lists.range(50).map(i, [{', '.join(['JSONPatch{}'] * 300)}]).flatten()",
            [],
            "allowed maximum operations in a JSON patch is 10000",
        ),
    ],
)
async def test_bombs(api: Any, expression: str, variables: list[Any], text: str) -> None:
    await bound(api, expression, variables=variables)
    answer = await api.post(CONFIGMAPS, configmap(**{f"k{n}": "v" for n in range(50)}))
    assert answer.status_code in (403, 413, 500), answer.text
    assert text in answer.json()["message"]
    assert (await api.get(f"{CONFIGMAPS}/x")).status_code == 404


async def test_a_copy_that_grows_and_grows(api: Any) -> None:
    grow = "JSONPatch{op: 'copy', from: '/data', path: '/data/x' + string(i)}"
    await bound(api, f"lists.range(60).map(i, {grow})")
    answer = await api.post(CONFIGMAPS, configmap(k="v" * 1000))
    assert answer.status_code == 403, answer.text
    assert (await api.get(f"{CONFIGMAPS}/x")).status_code == 404


async def test_nobody_waits_for_a_mutation_but_the_write(api: Any) -> None:
    """The loop takes turns while the policy is evaluated: counted, and not by a clock."""
    costly = "object.data.all(a, object.data.all(b, object.data.all(c, a + b + c != 'x')))"
    await bound(api, f"Object{{metadata: Object.metadata{{labels: {{'x': string({costly})}}}}}}", applies=True)
    answer, turns = await with_turns(api.post(CONFIGMAPS, configmap(**{f"k{n}": "v" for n in range(200)})))
    assert answer.status_code == 403
    assert "operation cancelled: actual cost limit exceeded" in answer.json()["message"]
    assert turns > 50


@pytest.mark.parametrize("kind", ["Validating", "Mutating"])
async def test_nobody_reads_secrets_through_parameters(api: Any, kind: str) -> None:
    """Who may write policies and no more: neither a policy nor a binding gives him what he may not get."""
    admin = api.user
    rules = [{"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]}]
    await api.made("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "writer"}, "rules": rules})
    subject = {"kind": "User", "name": "writer", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "ClusterRole", "name": "writer", "apiGroup": "rbac.authorization.k8s.io"}
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    await api.made(bindings, {"metadata": {"name": "writer"}, "roleRef": reference, "subjects": [subject]})
    secrets = {"apiVersion": "v1", "kind": "Secret"}
    spec: Any = {"matchConstraints": {"resourceRules": [RULE]}, "paramKind": secrets}
    bound: Any = {
        "policyName": "p",
        "paramRef": {"name": "s", "namespace": "default", "parameterNotFoundAction": "Deny"},
    }
    if kind == "Validating":
        spec["validations"] = [{"expression": "false", "messageExpression": "string(params.data.password)"}]
        bound["validationActions"] = ["Deny"]
    else:
        leak = "Object{metadata: Object.metadata{annotations: {'x': string(params.data.password)}}}"
        spec |= {"mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": leak}}]}
        spec["reinvocationPolicy"] = "Never"
    policies = f"{GROUP}/{kind.lower()}admissionpolicies"
    policy, binding = {"metadata": {"name": "p"}, "spec": spec}, {"metadata": {"name": "p"}, "spec": bound}
    api.user = User("writer", ("system:authenticated",))
    refused = await api.post(policies, policy)
    assert refused.status_code == 422, refused.text
    who = "&{writer  [system:authenticated] map[]}"
    text = (
        f'user {who} must have "get" permission on all objects of the referenced paramKind (kind=Secret, apiVersion=v1)'
    )
    assert f"spec.paramKind: Forbidden: {text}" in refused.json()["message"]
    api.user = admin
    await api.made(policies, policy)
    api.user = User("writer", ("system:authenticated",))
    refused = await api.post(policies.replace("policies", "policybindings"), binding)
    assert (
        f'user {who} does not have "get" permission on the object referenced by paramRef' in refused.json()["message"]
    )
    assert refused.status_code == 422
    api.user = admin
    await api.made(policies.replace("policies", "policybindings"), binding)
