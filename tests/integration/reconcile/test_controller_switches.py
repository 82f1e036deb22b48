"""``--controllers`` and ``--feature-gates`` reach the code."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.errors import StatusError

Lab = Any  # of conftest


async def test_a_controller_that_is_switched_off_does_nothing(make_lab: type[Lab]) -> None:
    lab = await make_lab(controllers="*,-binding").start()
    try:
        await lab.join("m1")
        await lab.create(lab.policy("policy", "m1"))
        await lab.create(lab.deployment())
        await lab.rest()
        assert lab.list("ResourceBinding") == []
    finally:
        await lab.close()


@pytest.mark.parametrize(("gates", "wanted"), [("", {"priority": 7}), ("PriorityBasedScheduling=false", None)])
async def test_a_gate_of_scheduling(make_lab: type[Lab], gates: str, wanted: Any) -> None:
    lab = await make_lab(feature_gates=gates).start()
    try:
        await lab.join("m1")
        metadata = {"name": "urgent"}
        await lab.create(
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": metadata, "value": 7}
        )
        asked = {"priorityClassSource": "KubePriorityClass", "priorityClassName": "urgent"}
        await lab.create(lab.policy("policy", "m1", schedulePriority=asked))
        await lab.create(lab.deployment())
        await lab.rest()
        assert lab.get("ResourceBinding", "web-deployment")["spec"].get("schedulePriority") == wanted
    finally:
        await lab.close()


@pytest.mark.parametrize(("gates", "allowed"), [("", False), ("MultiplePodTemplatesScheduling=true", True)])
async def test_a_gate_of_admission(make_lab: type[Lab], gates: str, allowed: bool) -> None:
    lab = await make_lab(feature_gates=gates).start()
    try:
        binding = {
            "apiVersion": "work.karmada.io/v1alpha2",
            "kind": "ResourceBinding",
            "metadata": {"name": "b", "namespace": "default"},
            "spec": {
                "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "b", "namespace": "default"},
                "components": [{"name": "one", "replicas": 1}, {"name": "one", "replicas": 1}],
            },
        }
        try:
            await lab.create(binding)
            refused = False
        except StatusError:
            refused = True
        assert refused is allowed
    finally:
        await lab.close()
