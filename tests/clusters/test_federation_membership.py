"""Members that come later and members that leave."""

from __future__ import annotations

import pytest
from cluster_federation import Federation, deployment, policy, replicas
from cluster_harness import Member


@pytest.mark.parametrize("tool", ["kafila", "karmadactl"])
def test_a_member_gets_what_was_there_and_gives_it_back(
    alone: Federation, member1: Member, member2: Member, tool: str
) -> None:
    if "member1" not in alone.joined:
        alone.join(member1)
        alone.kubectl("create", "namespace", "team")
        alone.apply(deployment("web", "team"), policy("web", "team"))
        alone.eventually("web", lambda: replicas(member1, "web", "team") == 2)
    alone.join(member2, tool)
    alone.eventually("namespace and workload", lambda: replicas(member2, "web", "team") == 2)
    alone.eventually(
        "4/2", lambda: alone.kubectl("get", "deployment", "-n", "team", "web", "--no-headers").split()[1] == "4/2"
    )
    print(alone.unjoin("member2", tool))
    for what in (
        "namespace/team",
        "namespace/karmada-cluster",
        "clusterrole/karmada-controller-manager:karmada-member2",
    ):
        found = ("get", what, "--ignore-not-found", "-o", "name")
        alone.eventually(f"no {what}", lambda f=found: member2.kubectl(*f) == "")
    assert alone.kubectl("get", "cluster", "member2", "--ignore-not-found") == ""
    works = ("get", "namespace", "karmada-es-member2", "--ignore-not-found")
    alone.eventually("no place for works", lambda: alone.kubectl(*works) == "")
    for secret in ("member2", "member2-impersonator"):
        gone = ("get", "secret", "-n", "karmada-cluster", secret, "--ignore-not-found", "-o", "name")
        alone.eventually(f"no secret {secret}", lambda g=gone: alone.kubectl(*g) == "")
    assert replicas(member1, "web", "team") == 2
    alone.eventually(
        "2/2", lambda: alone.kubectl("get", "deployment", "-n", "team", "web", "--no-headers").split()[1] == "2/2"
    )


def test_the_last_one_leaves(alone: Federation, member1: Member) -> None:
    alone.unjoin("member1")
    alone.eventually("no namespace", lambda: member1.kubectl("get", "namespace", "team", "--ignore-not-found") == "")
    assert alone.kubectl("get", "clusters") == ""
    alone.eventually("no works", lambda: alone.kubectl("get", "works", "-A") == "")
