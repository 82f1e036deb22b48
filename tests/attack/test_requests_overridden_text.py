"""Text in a field that a fieldOverrider has to read: whatever it is, an event says so, and nothing waits or ends for it."""

from __future__ import annotations

import pytest

from kafila.core.values import Object
from kafila.machinery.yaml import MAX_NODES
from tests.integration.reconcile.conftest import Lab

ALIASES = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))


def overriding(form: str) -> Object:
    patch = {"fieldPath": "/data/a", form: [{"subPath": "/x", "operator": "add", "value": 1}]}
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "OverridePolicy",
        "metadata": {"name": "op", "namespace": "default"},
        "spec": {"overrideRules": [{"overriders": {"fieldOverrider": [patch]}}]},
    }


def placing(lab: Lab) -> Object:
    return lab.policy("policy", "m1", select=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}])


@pytest.mark.parametrize(
    ("form", "text", "why"),
    [
        ("yaml", ALIASES, "yaml: document contains excessive aliasing"),
        ("yaml", "[" * 30_000, "yaml: exceeded max depth"),
        ("yaml", "[" + "a," * (MAX_NODES + 1) + "]", "yaml: document has more than"),
        ("yaml", "a: [", "did not find expected node content"),
        ("yaml", "? [a]\n: b", "yaml: invalid map key"),
        ("json", "[" * 30_000, "exceeded max depth"),
        ("json", "{", "Expecting property name"),
        ("json", "9" * 10_000, "Exceeds the limit"),
    ],
)
async def test_what_cannot_be_read_is_an_event_and_a_condition(lab: Lab, form: str, text: str, why: str) -> None:
    await lab.join("m1")
    await lab.create(overriding(form))
    await lab.create(placing(lab))
    await lab.create({**lab.config(), "data": {"a": text}})
    await lab.until(lambda: lab.get("ResourceBinding", "settings-configmap").get("status"), "it was tried")
    await lab.rest()
    condition = lab.condition(lab.get("ResourceBinding", "settings-configmap"), "FullyApplied")
    assert condition.get("status") == "False", condition
    reasons = {(kind, reason) for kind, reason, *_ in lab.events("ConfigMap", "settings")}
    assert ("Warning", "ApplyOverridePolicyFailed") in reasons, reasons
    assert ("Warning", "SyncWorkFailed") in reasons
    told = [message for _, reason, message, _ in lab.events("ConfigMap", "settings") if reason == "SyncWorkFailed"]
    assert any(why in message for message in told), told
    await lab.restart()  # what is stored keeps nobody from starting
    await lab.change("ConfigMap", "settings", lambda obj: obj["data"].update(a="{}"))
    await lab.until(lambda: lab.in_clusters("ConfigMap", "settings") == ["m1"], "it is placed once it can be read")
