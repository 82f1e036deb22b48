"""Which policy gets a template, and what happens when policies come, change and go."""

from __future__ import annotations

from typing import Any

Lab = Any  # of conftest


def claim_of(obj: dict[str, Any]) -> tuple[str, str]:
    notes = obj["metadata"].get("annotations") or {}
    return (
        notes.get("propagationpolicy.karmada.io/name", ""),
        notes.get("clusterpropagationpolicy.karmada.io/name", ""),
    )


async def test_policy_before_template(two: Lab) -> None:
    policy = await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment())
    await two.until(lambda: two.is_true(two.get("ResourceBinding", "web-deployment"), "FullyApplied"))
    binding, template = two.get("ResourceBinding", "web-deployment"), two.get("Deployment", "web")
    identity = policy["metadata"]["labels"]["propagationpolicy.karmada.io/permanent-id"]
    for obj in (binding, template):
        assert obj["metadata"]["labels"]["propagationpolicy.karmada.io/permanent-id"] == identity
        assert claim_of(obj) == ("policy", "")
    assert binding["metadata"]["finalizers"] == ["karmada.io/binding-controller"]
    assert binding["status"]["schedulerObservedGeneration"] == binding["metadata"]["generation"]
    assert two.in_clusters("Deployment", "web") == ["m1"]


async def test_policy_after_template(two: Lab) -> None:
    await two.create(two.deployment())
    await two.rest()
    assert two.list("ResourceBinding") == []
    await two.create(two.policy("policy", "m2"))
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m2"])
