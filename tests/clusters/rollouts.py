"""What tests of staged rollouts over real members look at."""

from __future__ import annotations

import json

from cluster_federation import Federation, policy
from cluster_harness import Member

from kafila.placement.rollout.revision import REVISION

PULLED = "edge"
OLD, NEW = "nginx:1.29", "nginx:1.30"
BROKEN = "fake/web:2"  # pods with it do not get ready


def staged(name: str, **how: object) -> dict:
    strategy = {"type": "Staged", "staged": how}
    return policy(name, clusters=("member1", PULLED), rolloutStrategy=strategy)


def rollout(plane: Federation, name: str) -> dict:
    return (plane.get("resourcebinding", f"{name}-deployment").get("status") or {}).get("rollout") or {}


def phases(plane: Federation, name: str) -> dict[str, str]:
    """Of the clusters, in their order."""
    return {row["name"]: row["phase"] for row in rollout(plane, name).get("clusters") or ()}


def image(member: Member, name: str) -> str:
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return member.kubectl("get", "deployment", name, "--ignore-not-found", "-o", path)


def revision(member: Member, name: str) -> str:
    found = json.loads(member.kubectl("get", "deployment", name, "-o", "json"))
    return found["metadata"]["annotations"][REVISION]
