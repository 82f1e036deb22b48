"""ResourceQuotas over the whole way: nobody gets more than there is, what goes is given back, what is placed is let alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kafila.core.errors import StatusError

from .conftest import Lab


def quota(name: str, **hard: str) -> dict[str, Any]:
    named = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": named}}


def config(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


def secret(number: int) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"s{number}", "namespace": "default"}}


def pod(name: str, cpu: str) -> dict[str, Any]:
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def used(lab: Lab, name: str) -> dict[str, str]:
    return (lab.get("ResourceQuota", name).get("status") or {}).get("used") or {}


async def test_many_at_once_get_what_there_is_and_no_more(make_lab: type[Lab]) -> None:
    lab = await make_lab().start()
    try:
        await lab.create(quota("q", count__secrets="10"))
        await lab.until(lambda: used(lab, "q") == {"count/secrets": "0"})

        outcomes = await asyncio.gather(*(lab.create(secret(number)) for number in range(40)), return_exceptions=True)
        refusals = {outcome.message for outcome in outcomes if isinstance(outcome, StatusError)}
        made = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, dict)]
        assert len(made) == 10
        assert {text.partition(" is forbidden: ")[2] for text in refusals} == {
            "exceeded quota: q, requested: count/secrets=1, used: count/secrets=10, limited: count/secrets=10"
        }
        assert used(lab, "q") == {"count/secrets": "10"}
        await lab.delete("Secret", f"s{made[0]}")
        await lab.until(lambda: used(lab, "q") == {"count/secrets": "9"})
        await lab.create(secret(100))
    finally:
        await lab.close()


async def test_what_is_there_already_is_counted(make_lab: type[Lab]) -> None:
    lab = await make_lab().start()
    try:
        await lab.create(pod("a", "300m"))
        await lab.create(quota("q", requests_cpu="1", pods="5"))
        await lab.until(lambda: used(lab, "q") == {"pods": "1", "requests.cpu": "300m"})
        await lab.create(pod("b", "500m"))
        assert used(lab, "q") == {"pods": "2", "requests.cpu": "800m"}
        with pytest.raises(StatusError, match=r"exceeded quota: q, requested: requests\.cpu=300m"):
            await lab.create(pod("c", "300m"))
        await lab.delete("Pod", "a")
        await lab.until(lambda: used(lab, "q")["pods"] == "1")
        await lab.create(pod("c", "300m"))
    finally:
        await lab.close()


async def test_the_status_of_a_placed_quota_is_what_members_use(make_lab: type[Lab]) -> None:
    lab = await make_lab().start()
    try:
        await lab.join("member1")
        policy = {
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "PropagationPolicy",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {
                "resourceSelectors": [{"apiVersion": "v1", "kind": "ResourceQuota"}],
                "placement": {"clusterAffinity": {"clusterNames": ["member1"]}},
            },
        }
        await lab.create(policy)
        await lab.create(quota("q", configmaps="7"))
        await lab.rest()
        assert "propagationpolicy.karmada.io/permanent-id" in lab.get("ResourceQuota", "q")["metadata"]["labels"]
        await lab.create(config("one"))
        await lab.rest()
        assert used(lab, "q") == {}
    finally:
        await lab.close()
