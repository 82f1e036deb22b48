"""kr8s: an asynchronous client without generated types."""

from __future__ import annotations

import asyncio
from typing import Any

import kr8s
import pytest
from kr8s.asyncio.objects import ConfigMap, Deployment, new_class


@pytest.fixture
async def api(served: Any) -> Any:
    return await kr8s.asyncio.api(kubeconfig=str(served.kubeconfig))


async def test_life_of_a_deployment(api: Any, namespace: str) -> None:
    labels = {"app": "web"}
    resource = {
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}},
        },
    }
    web = await Deployment(resource, api=api)
    await web.create()
    assert await web.exists()
    await web.patch({"metadata": {"labels": {"tier": "front"}}})
    assert web.labels["tier"] == "front"
    await web.patch([{"op": "replace", "path": "/spec/paused", "value": True}], type="json")
    assert web.spec.paused is True
    found = [d.name async for d in api.get("deployments", namespace=namespace, label_selector="tier=front")]
    assert found == ["web"]
    await web.scale(2)
    assert web.replicas == 2
    await web.delete()
    assert not await web.exists()


async def test_a_watch_sees_every_change(api: Any, namespace: str) -> None:
    seen: list[tuple[str, str]] = []
    begun = asyncio.Event()

    async def follow() -> None:
        async for event, obj in api.watch("configmaps", namespace=namespace):
            begun.set()
            if obj.name.startswith("c-"):
                seen.append((event, obj.name))
            if obj.name == "c-9" and event == "DELETED":
                return

    marker = await ConfigMap({"metadata": {"name": "marker", "namespace": namespace}}, api=api)
    await marker.create()
    follower = asyncio.create_task(follow())
    await asyncio.wait_for(begun.wait(), 90)
    wanted = []
    for number in range(10):
        name = f"c-{number}"
        one = await ConfigMap({"metadata": {"name": name, "namespace": namespace}, "data": {"n": "0"}}, api=api)
        await one.create()
        await one.patch({"data": {"n": "1"}})
        await one.delete()
        wanted += [(event, name) for event in ("ADDED", "MODIFIED", "DELETED")]
    await asyncio.wait_for(follower, 90)
    assert seen == wanted


async def test_karmada_kinds_by_discovery(api: Any, namespace: str) -> None:
    policies = new_class(
        kind="PropagationPolicy", version="policy.karmada.io/v1alpha1", namespaced=True, plural="propagationpolicies"
    )
    resource = {
        "metadata": {"name": "all", "namespace": namespace},
        "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "Secret"}], "placement": {}},
    }
    policy = await policies(resource, api=api)
    await policy.create()
    assert [p.name async for p in api.get("propagationpolicies.policy.karmada.io", namespace=namespace)] == ["all"]
    await policy.delete()
