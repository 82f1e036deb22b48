"""What bindings use of quotas."""

from __future__ import annotations

import pytest

from kafila.core.values import Object
from kafila.placement.quota import QuotaExceeded, quota_updates, usage


def scheduled(cpu: str, *replicas: int) -> Object:
    clusters = [{"name": f"m{i}", "replicas": n} for i, n in enumerate(replicas)]
    return {"spec": {"clusters": clusters, "replicaRequirements": {"resourceRequest": {"cpu": cpu}}}}


def quota(used: str = "0", limit: str = "2", **more: str) -> Object:
    return {
        "metadata": {"name": "q", "namespace": "ns"},
        "spec": {"overall": {"cpu": limit, **more}},
        "status": {"overallUsed": {"cpu": used}},
    }


def test_usage() -> None:
    assert {n: str(q) for n, q in usage(scheduled("100m", 2, 3)["spec"]).items()} == {"cpu": "500m"}
    needs = {"resourceRequest": {"cpu": "1", "memory": "1Gi"}}
    components = [
        {"name": "a", "replicas": 2, "replicaRequirements": needs},
        {"name": "b", "replicas": 1, "replicaRequirements": {"resourceRequest": {"cpu": "500m"}}},
    ]
    spec = {"components": components, "clusters": [{"name": "m1"}, {"name": "m2"}]}
    assert {n: str(q) for n, q in usage(spec).items()} == {"cpu": "5", "memory": "4Gi"}
    assert usage({"components": components}) == {}


def charged(new: Object, old: Object | None, *quotas: Object) -> list[dict[str, str]]:
    return [used for _, used in quota_updates(new, old, quotas)]


def test_quota_is_charged_with_the_difference() -> None:
    assert charged(scheduled("500m", 2), None, quota()) == [{"cpu": "1"}]
    assert charged(scheduled("500m", 3), scheduled("500m", 2), quota("1")) == [{"cpu": "1500m"}]
    assert charged(scheduled("500m", 1), scheduled("500m", 4), quota("2", "1")) == [{"cpu": "500m"}]


def test_quota_is_left_alone() -> None:
    assert charged(scheduled("1"), None, quota()) == []
    moved = scheduled("1", 1, 1)
    assert charged(moved, scheduled("1", 2), quota("9")) == []
    assert charged(scheduled("1", 1), None, {"metadata": {"name": "q"}, "spec": {"overall": {"pods": "1"}}}) == []


def test_quota_exceeded() -> None:
    with pytest.raises(QuotaExceeded) as refused:
        charged(scheduled("500m", 3), None, quota("1"))
    assert str(refused.value) == (
        "FederatedResourceQuota(ns/q) exceeded for resource cpu: requested sum 2500m, limit 2."
    )
