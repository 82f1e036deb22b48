"""Admission policies that cost as much as they may: a write waits for them, and nobody else does."""

from __future__ import annotations

from typing import Any

from kafila.core.selectors import Selector
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


async def test_objects_that_a_selector_does_not_choose_are_looked_at_once(api: Any, monkeypatch: Any) -> None:
    """However many there are: the first write after a start looks at all of them, in turns with others."""
    given = policy("chosen", "params.data.k != object.metadata.name")
    given["spec"]["paramKind"] = {"apiVersion": "v1", "kind": "ConfigMap"}
    given["spec"]["matchConstraints"]["resourceRules"][0]["resources"] = ["secrets"]
    await api.made(POLICIES, given)
    chosen = binding("chosen")
    chosen["spec"]["paramRef"] = {"selector": {"matchLabels": {"chosen": "yes"}}, "parameterNotFoundAction": "Deny"}
    await api.made(POLICIES.replace("policies", "policybindings"), chosen)
    configmaps, secrets = "/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/secrets"
    await api.made(configmaps, {"metadata": {"name": "p", "labels": {"chosen": "yes"}}, "data": {"k": "v"}})
    calls, made, found = 0, 0, []
    real = Selector.matches

    def matches(selector: Selector, labels: Any) -> bool:
        nonlocal calls
        calls += str(selector) == "chosen=yes"
        return real(selector, labels)

    monkeypatch.setattr(Selector, "matches", matches)
    for count in (250, 500, 1_000):
        for number in range(made, count):
            await api.made(configmaps, {"metadata": {"name": f"c{number}"}})
        made, calls = count, 0
        await api.made(secrets, {"metadata": {"name": f"s{count}"}})
        found.append(calls)
    assert found[0] >= 250
    assert found[1:] == [0, 0]


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
