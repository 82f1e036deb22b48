"""Admission policies that cost as much as they may: a write waits for them, and nobody else does."""

from __future__ import annotations

from typing import Any

from tests.attack.turns import with_turns

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
COSTLY = "object.data.all(a, object.data.all(b, object.data.all(c, a + b + c != 'x')))"


def policy(name: str, expression: str) -> dict[str, Any]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression}],
    }
    api_version = "admissionregistration.k8s.io/v1"
    return {
        "apiVersion": api_version,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def binding(name: str) -> dict[str, Any]:
    spec = {"policyName": name, "validationActions": ["Deny"]}
    metadata = {"name": name}
    kind = "ValidatingAdmissionPolicyBinding"
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


async def test_nobody_waits_for_a_policy_but_the_write(api: Any) -> None:
    """The loop takes turns while the policy is evaluated: counted, and not by a clock."""
    await api.made(POLICIES, policy("costly", COSTLY))
    await api.made(POLICIES.replace("policies", "policybindings"), binding("costly"))
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}}
    obj["data"] = {f"k{n}": "v" for n in range(300)}
    found, turns = await with_turns(api.post("/api/v1/namespaces/default/configmaps", obj))
    assert found.status_code == 422
    assert "operation cancelled: actual cost limit exceeded" in found.json()["message"]
    assert turns > 50


async def test_nobody_waits_for_very_many_parameters_but_the_write(api: Any) -> None:
    """Each is little, and all of them are much: the loop takes turns, which are counted."""
    count = 200
    given = policy("many", "params.data.k != object.metadata.name")
    given["spec"]["paramKind"] = {"apiVersion": "v1", "kind": "ConfigMap"}
    given["spec"]["matchConstraints"]["resourceRules"][0]["resources"] = ["secrets"]
    await api.made(POLICIES, given)
    chosen = binding("many")
    selector = {"matchLabels": {"chosen": "yes"}}
    chosen["spec"]["paramRef"] = {"selector": selector, "parameterNotFoundAction": "Deny"}
    await api.made(POLICIES.replace("policies", "policybindings"), chosen)
    for number in range(count):
        metadata = {"name": f"p{number}", "labels": {"chosen": "yes"}}
        await api.made("/api/v1/namespaces/default/configmaps", {"metadata": metadata, "data": {"k": f"v{number}"}})
    found, turns = await with_turns(api.post("/api/v1/namespaces/default/secrets", {"metadata": {"name": "x"}}))
    assert found.status_code == 201, found.text
    assert turns > count / 2


async def test_a_policy_cannot_forbid_its_own_end(api: Any) -> None:
    everything = policy("all", "false")
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    everything["spec"]["matchConstraints"] = {"resourceRules": [rule]}
    await api.made(POLICIES, everything)
    await api.made(POLICIES.replace("policies", "policybindings"), binding("all"))
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    assert (await api.post("/api/v1/namespaces/default/configmaps", obj)).status_code == 422
    assert (await api.delete(f"{POLICIES}/all")).status_code == 200
    assert (await api.post("/api/v1/namespaces/default/configmaps", obj)).status_code == 201
