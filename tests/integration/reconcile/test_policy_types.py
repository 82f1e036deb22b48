"""What types say of ValidatingAdmissionPolicies stands in their status, once for each generation."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object

KIND = "ValidatingAdmissionPolicy"


def policy(expression: str) -> Object:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression}]}
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": KIND, "metadata": {"name": "typed"}, "spec": spec}


async def test_each_generation_is_checked(lab: Any) -> None:
    def warnings() -> Any:
        status = lab.get(KIND, "typed").get("status") or {}
        if status.get("observedGeneration") != lab.get(KIND, "typed")["metadata"]["generation"]:
            return None
        return (status.get("typeChecking") or {}).get("expressionWarnings", [])

    await lab.create(policy("object.spec.replicass > 1"))
    await lab.until(lambda: warnings() is not None)
    text = "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replicass'\n"
    shown = " | object.spec.replicass > 1\n | ...........^\n"
    assert warnings() == [{"fieldRef": "spec.validations[0].expression", "warning": text + shown}]
    fields = [e for e in lab.get(KIND, "typed")["metadata"]["managedFields"] if e.get("subresource") == "status"]
    (entry,) = fields
    assert (entry["manager"], entry["operation"]) == ("validatingadmissionpolicy-status", "Apply")
    assert entry["fieldsV1"] == {
        "f:status": {"f:observedGeneration": {}, "f:typeChecking": {"f:expressionWarnings": {}}}
    }

    def mended(obj: Object) -> None:
        obj["spec"]["validations"][0]["expression"] = "object.spec.replicas > 1"

    await lab.change(KIND, "typed", mended)
    await lab.until(lambda: warnings() == [])
    assert lab.get(KIND, "typed")["status"]["observedGeneration"] == 2
