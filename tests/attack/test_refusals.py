"""A write of ours that is refused is recorded for the user: an event on the template, a condition where there is one."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.admission.karmada import rules
from kafila.admission.karmada.errors import Denied
from kafila.core.values import Object
from kafila.registry import sizes
from tests.integration.reconcile.conftest import Lab, _known_queues, lab, make_lab, two

__all__ = ["_known_queues", "lab", "make_lab", "two"]
CONFIGS = [{"apiVersion": "v1", "kind": "ConfigMap"}]
LIMIT = 64 << 10


def warnings(lab: Lab, kind: str, name: str) -> set[tuple[str, str]]:
    return {(reason, message) for level, reason, message, _ in lab.events(kind, name) if level == "Warning"}


async def test_a_work_that_is_too_large_keeps_the_others_from_nothing(make_lab: type[Lab]) -> None:
    lab = await make_lab(max_object_bytes=LIMIT).start()
    try:
        await lab.join("m1", "m2")
        big = {"path": "/data/big", "operator": "add", "value": "x" * 60_000}
        await lab.create(
            {
                "apiVersion": "policy.karmada.io/v1alpha1",
                "kind": "OverridePolicy",
                "metadata": {"name": "big", "namespace": "default"},
                "spec": {
                    "resourceSelectors": CONFIGS,
                    "overrideRules": [
                        {"targetCluster": {"clusterNames": ["m1"]}, "overriders": {"plaintext": [big]}},
                    ],
                },
            }
        )
        await lab.create(lab.policy(select=CONFIGS))
        config = lab.config()
        config["data"]["more"] = "y" * 8_000
        await lab.create(config)
        await lab.until(lambda: lab.in_clusters("ConfigMap", "settings") == ["m2"], "the other one is there")
        text = f"Request entity too large: limit is {LIMIT}"
        await lab.until(lambda: ("SyncWorkFailed", text) in warnings(lab, "ConfigMap", "settings"), "an event")
        binding = lab.get("ResourceBinding", "settings-configmap")
        assert lab.condition(binding, "FullyApplied")["status"] == "False"
        item = next(i for i in binding["status"]["aggregatedStatus"] if i["clusterName"] == "m1")
        assert item["appliedMessage"] == f"the Work cannot be written: {text}"
        await lab.delete("OverridePolicy", "big")
        await lab.rest()
        assert lab.in_clusters("ConfigMap", "settings") == ["m1", "m2"]
        assert lab.is_true(lab.get("ResourceBinding", "settings-configmap"), "FullyApplied")
    finally:
        await lab.close()


async def test_a_binding_that_is_too_large(make_lab: type[Lab]) -> None:
    """The placement is in it twice."""
    lab = await make_lab(max_object_bytes=LIMIT).start()
    try:
        await lab.join("m1")
        await lab.create(lab.policy("wide", *(f"cluster-{number:04}" for number in range(3_500)), "m1", select=CONFIGS))
        await lab.create(lab.config())
        await lab.rest()
        assert lab.list("ResourceBinding") == []
        text = f"Apply policy(default/wide) failed: Request entity too large: limit is {LIMIT}"
        assert warnings(lab, "ConfigMap", "settings") == {("ApplyPolicyFailed", text)}
    finally:
        await lab.close()


async def test_works_that_are_too_much_for_one_transaction(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "MAX_TRANSACTION_BYTES", 20_000)
    await two.create(two.policy(select=CONFIGS))
    config = two.config()
    config["data"]["more"] = "y" * 8_000
    await two.create(config)
    await two.rest()
    assert two.in_clusters("ConfigMap", "settings") == ["m1", "m2"]


def refusing(monkeypatch: pytest.MonkeyPatch, resource: str, text: str) -> None:
    """As a webhook or a quota would."""

    def refuse(new: Object, *around: Any) -> None:
        raise Denied(text)

    monkeypatch.setitem(rules._VALIDATORS, resource, ("all.example.com", refuse))


async def test_every_binding_is_refused(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, "resourcebindings.work.karmada.io", "not today")
    await two.create(two.policy())
    await two.create(two.deployment())
    await two.rest()
    denied = 'admission webhook "all.example.com" denied the request: not today'
    assert warnings(two, "Deployment", "web") == {
        ("ApplyPolicyFailed", f"Apply policy(default/policy) failed: {denied}")
    }


async def test_a_claim_is_refused(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    await two.create(two.config())
    await two.rest()
    refusing(monkeypatch, "configmaps", "hands off")
    await two.create(two.policy(select=CONFIGS))
    await two.rest()
    denied = 'admission webhook "all.example.com" denied the request: hands off'
    assert warnings(two, "ConfigMap", "settings") == {
        ("ApplyPolicyFailed", f"Apply policy(default/policy) failed: {denied}")
    }


async def test_a_rebalancers_write_is_refused(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told on the object that the user has made."""
    await two.create(two.policy())
    await two.create(two.deployment())
    await two.rest()
    refusing(monkeypatch, "resourcebindings.work.karmada.io", "not today")
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "web"}
    await two.create(
        {
            "apiVersion": "apps.karmada.io/v1alpha1",
            "kind": "WorkloadRebalancer",
            "metadata": {"name": "again"},
            "spec": {"workloads": [workload]},
        }
    )
    await two.rest()
    ((reason, message),) = warnings(two, "WorkloadRebalancer", "again")
    assert (reason, message.endswith("denied the request: not today")) == ("ReconcileFailed", True)


async def test_what_goes_with_its_owner_is_protected(two: Lab) -> None:
    """A controller of Kubernetes' own; the namespace controller tells its own in conditions."""
    await two.create(two.deployment())
    owner = two.get("Deployment", "web")["metadata"]["uid"]
    config = two.config(**{"resourcetemplate.karmada.io/deletion-protected": "Always"})
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": owner}
    config["metadata"]["ownerReferences"] = [reference]
    await two.create(config)
    await two.delete("Deployment", "web")
    await two.until(lambda: warnings(two, "ConfigMap", "settings"), "an event")
    ((reason, message),) = warnings(two, "ConfigMap", "settings")
    assert reason == "ReconcileFailed"
    assert "This resource is protected" in message


async def test_an_error_of_ours_is_recorded_too(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafila.reconcile.karmada.template.steps.schedule_binding.schedule", lambda *arguments: 1 // 0)
    await two.create(two.policy())
    await two.create(two.deployment())
    await two.until(lambda: warnings(two, "Deployment", "web"), "an event")
    text = "resource-template failed: unexpectedly: ZeroDivisionError: integer division or modulo by zero"
    assert warnings(two, "Deployment", "web") == {("ReconcileFailed", text)}


async def test_an_error_of_ours_on_the_way_to_a_member_is_recorded_where_users_look(
    two: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.rest()
    monkeypatch.setattr("kafila.reconcile.karmada.member.works.manifest_status", lambda *arguments: [][0])
    two.resync_controllers()
    (work,) = two.list("Work")
    told_of = {("ReconcileFailed", "workStatus/m1 failed: unexpectedly: IndexError: list index out of range")}
    for kind, name in (
        ("Work", work["metadata"]["name"]),
        ("ResourceBinding", "web-deployment"),
        ("Deployment", "web"),
    ):
        await two.until(lambda kind=kind, name=name: warnings(two, kind, name) == told_of, f"an event on the {kind}")
    await two.until(lambda: next(e[3] for e in two.events("Deployment", "web") if e[1] == "ReconcileFailed") > 2)
    assert len([e for e in two.events("Deployment", "web") if e[1] == "ReconcileFailed"]) == 1, "counted, not told anew"
