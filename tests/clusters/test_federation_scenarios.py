"""The examples that meet more than the control plane, on two real members: interpreters, overrides, dependencies, quotas, eviction, a fresh division."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from cluster_federation import EXAMPLES, Federation, condition, federation_alone, replicas
from cluster_harness import Member, Members

FLAGS = ("--feature-gates=Failover=true,FederatedQuotaEnforcement=true", "--enable-no-execute-taint-eviction")


@pytest.fixture(scope="module")
def plane(
    lab: Members, member1: Member, member2: Member, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federation]:
    with federation_alone(lab, *FLAGS, keep_logs_in=tmp_path_factory.mktemp("serve")) as plane:
        for member in (member1, member2):
            plane.join(member)
        yield plane
        for name in list(plane.joined):
            plane.unjoin(name)


def apply(plane: Federation, example: str) -> None:
    plane.kubectl("apply", "-f", str(EXAMPLES / example))


def take_back(plane: Federation, example: str, *members: Member, what: str) -> None:
    # some examples have an object twice, before and after a change: the first delete may be through before the second
    plane.kubectl("delete", "-f", str(EXAMPLES / example), "--timeout=60s", "--ignore-not-found")
    plane.eventually("gone", lambda: not any(in_member(member, *what.split()) for member in members))


def is_looked_at(plane: Federation, name: str, cluster: str) -> bool:
    """Whether the scheduler knows that a Deployment may go there."""
    binding = plane.get("resourcebinding", f"{name}-deployment")
    scheduled = binding["status"]["schedulerObservedGeneration"] == binding["metadata"]["generation"]
    return scheduled and cluster in binding["spec"]["placement"]["clusterAffinity"]["clusterNames"]


def in_member(member: Member, *what: str) -> dict:
    text = member.kubectl("get", *what, "--ignore-not-found", "-o", "json")
    return json.loads(text) if text else {}


def test_a_script_says_what_a_kind_means(plane: Federation, member1: Member, member2: Member) -> None:
    def counts() -> list[str]:
        found = [in_member(member, "configmap", "workers") for member in (member1, member2)]
        return [copy["data"]["count"] for copy in found if copy]

    apply(plane, "interpreter-customization")
    plane.eventually("a share in each", lambda: counts() == ["2", "4"])
    health = "jsonpath={.status.aggregatedStatus[*].health}"
    shown = ("get", "resourcebinding", "workers-configmap", "-o", health)
    plane.eventually("both are healthy", lambda: plane.kubectl(*shown) == "Healthy Healthy")
    take_back(plane, "interpreter-customization", member1, member2, what="configmap workers")


def test_each_member_has_an_image_of_its_own(plane: Federation, member1: Member, member2: Member) -> None:
    def images() -> list[str]:
        found = [in_member(member, "deployment", "shop") for member in (member1, member2)]
        return [copy["spec"]["template"]["spec"]["containers"][0]["image"] for copy in found if copy]

    apply(plane, "override-registry")
    wanted = [f"registry.{name}.example.org/library/nginx:1.29" for name in ("member1", "member2")]
    plane.eventually("an image for each", lambda: images() == wanted)
    take_back(plane, "override-registry", member1, member2, what="deployment shop")


def test_dependencies_follow(plane: Federation, member1: Member, member2: Member) -> None:
    needed = ("configmap/settings", "secret/token", "serviceaccount/web")
    apply(plane, "propagate-dependencies")
    plane.eventually("they are with it", lambda: all(in_member(member1, each) for each in needed))
    move = '{"spec":{"placement":{"clusterAffinity":{"clusterNames":["member2"]}}}}'
    plane.kubectl("patch", "propagationpolicy", "web", "--type=merge", "-p", move)
    plane.eventually("they have moved", lambda: all(in_member(member2, each) for each in needed))
    plane.eventually("they have left", lambda: not any(in_member(member1, each) for each in needed))
    take_back(plane, "propagate-dependencies", member2, what="configmap settings")


def test_a_quota_over_all_members(plane: Federation, member1: Member, member2: Member) -> None:
    apply(plane, "federated-resource-quota")
    for member in (member1, member2):
        plane.eventually(
            "a part in each",
            lambda member=member: in_member(member, "resourcequota", "team").get("spec") == {"hard": {"cpu": "1"}},
        )
    binding = ("resourcebinding", "greedy-deployment")  # the parts may be there before it
    plane.eventually("too much", lambda: condition(plane.get(*binding), "Scheduled").get("reason") == "QuotaExceeded")
    assert (replicas(member1, "greedy"), replicas(member2, "greedy")) == (-1, -1)
    plane.kubectl("scale", "deployment", "greedy", "--replicas=2")
    plane.eventually("one each", lambda: (replicas(member1, "greedy"), replicas(member2, "greedy")) == (1, 1))
    # the quota controller of the member reports what its part has used
    used = '{.status.aggregatedStatus[?(@.clusterName=="member1")].used.cpu}'
    shown = ("get", "federatedresourcequota", "team", "-o", f"jsonpath={used}")
    plane.eventually("what is used there", lambda: plane.kubectl(*shown) == "1")
    take_back(plane, "federated-resource-quota", member1, member2, what="resourcequota team")


def test_a_taint_drives_out_what_does_not_tolerate_it(plane: Federation, member1: Member, member2: Member) -> None:
    def placed(name: str) -> tuple[int, int]:
        return replicas(member1, name), replicas(member2, name)

    apply(plane, "eviction")
    for name in ("mover", "stayer"):
        plane.kubectl("rollout", "status", f"deployment/{name}", "--timeout=90s")
        assert placed(name) == (1, 1)
    taints = '{"spec":{"taints":[{"key":"disk","value":"broken","effect":"NoExecute"}]}}'
    plane.kubectl("patch", "cluster", "member2", "--type=merge", "-p", taints)
    plane.eventually("it has moved", lambda: placed("mover") == (2, -1))
    tasks = "jsonpath={.spec.gracefulEvictionTasks}"
    shown = ("get", "resourcebinding", "mover-deployment", "-o", tasks)
    plane.eventually("and nothing of it is left to do", lambda: plane.kubectl(*shown) == "")
    assert placed("stayer") == (1, 1)
    plane.kubectl("patch", "cluster", "member2", "--type=merge", "-p", '{"spec":{"taints":null}}')
    take_back(plane, "eviction", member1, member2, what="deployment stayer")


def test_a_rebalancer_divides_anew(plane: Federation, member1: Member, member2: Member) -> None:
    example = EXAMPLES / "workload-rebalancer"
    plane.kubectl("apply", "-f", str(example / "workload.yaml"))
    plane.eventually("all in one", lambda: replicas(member1, "settled") == 6)
    plane.kubectl("apply", "-f", str(example / "wider.yaml"))
    plane.eventually("the new policy is looked at", lambda: is_looked_at(plane, "settled", "member2"))
    plane.kubectl("rollout", "status", "deployment/settled", "--timeout=90s")
    assert replicas(member2, "settled") == -1, "what runs stays where it is"
    at = plane.kubectl("get", "resourcebinding", "settled-deployment", "-o", "jsonpath={.status.lastScheduledTime}")
    plane.eventually("another second", lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > at)
    plane.kubectl("create", "-f", str(example / "rebalancer.yaml"))
    plane.eventually("some in the other", lambda: replicas(member2, "settled") > 0)
    plane.eventually("six in all", lambda: replicas(member1, "settled") + replicas(member2, "settled") == 6)
    take_back(plane, "workload-rebalancer", member1, member2, what="deployment settled")
