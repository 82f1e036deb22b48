"""What others do to propagated objects in a member, and what was there before us."""

from __future__ import annotations

import json

import pytest
from cluster_federation import Federation, condition, deployment, policy, replicas
from cluster_harness import Member

OVERWRITE = "-p=" + json.dumps({"spec": {"conflictResolution": "Overwrite"}})


def applied(federation: Federation, cluster: str, name: str) -> dict:
    """The Applied condition of a Deployment's Work, {} when there is none."""
    works = json.loads(federation.kubectl("get", "works", "-n", f"karmada-es-{cluster}", "-o", "json"))["items"]
    found = [w for w in works if w["spec"]["workload"]["manifests"][0]["metadata"]["name"] == name]
    return condition(found[0], "Applied") if found else {}


@pytest.fixture(scope="module")
def web(federation: Federation, member1: Member, member2: Member) -> Federation:
    federation.apply(deployment("web"), policy("web"))
    federation.eventually("web", lambda: (replicas(member1, "web"), replicas(member2, "web")) == (2, 2))
    return federation


def test_an_edit_is_undone(web: Federation, member2: Member) -> None:
    member2.kubectl("scale", "deployment", "web", "--replicas=7")
    member2.kubectl("set", "image", "deployment/web", "web=other:1")
    member2.kubectl("label", "deployment", "web", "app-")
    spec = "{.spec.replicas} {.spec.template.spec.containers[0].image} {.metadata.labels.app}"
    read = ("get", "deployment", "web", "-o", f"jsonpath={spec}")
    web.eventually("what was wanted", lambda: member2.kubectl(*read) == "2 nginx:1.29 web")


def test_what_the_member_adds_stays(web: Federation, member2: Member) -> None:
    member2.kubectl("label", "deployment", "web", "theirs=yes")
    member2.kubectl("annotate", "deployment", "web", "theirs=yes")
    web.kubectl("scale", "deployment", "web", "--replicas=3")
    web.eventually("three", lambda: replicas(member2, "web") == 3)
    read = ("get", "deployment", "web", "-o", "jsonpath={.metadata.labels.theirs} {.metadata.annotations.theirs}")
    assert member2.kubectl(*read) == "yes yes"
    web.kubectl("scale", "deployment", "web", "--replicas=2")
    web.eventually("two", lambda: replicas(member2, "web") == 2)


def test_a_deletion_is_undone(web: Federation, member1: Member, member2: Member) -> None:
    uid = ("get", "deployment", "web", "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
    for member in (member1, member2):
        before = member.kubectl(*uid)
        member.kubectl("delete", "deployment", "web", "--timeout=60s")
        web.eventually("another", lambda m=member, old=before: m.kubectl(*uid) not in ("", old))
    ready = ("get", "deployment", "web", "--no-headers")
    web.eventually("4/2", lambda: web.kubectl(*ready).split()[1] == "4/2")  # as Karmada counts duplicates


def test_who_takes_the_label_off_takes_the_object_over(web: Federation, member2: Member) -> None:
    web.eventually("applied", lambda: applied(web, "member2", "web").get("status") == "True")
    member2.kubectl("label", "deployment", "web", "karmada.io/managed-")
    web.eventually("noticed", lambda: applied(web, "member2", "web").get("status") == "False")
    assert "Karmada will not manage this resource" in applied(web, "member2", "web")["message"]
    member2.kubectl("label", "deployment", "web", "karmada.io/managed=true")
    web.eventually("managed again", lambda: applied(web, "member2", "web").get("status") == "True")


def test_an_object_of_others_is_left_alone_until_a_policy_overwrites_it(
    federation: Federation, member1: Member, member2: Member
) -> None:
    member1.kubectl("create", "deployment", "theirs", "--image=theirs:1", "--replicas=1")
    federation.apply(deployment("theirs"), policy("theirs"))
    federation.eventually("it in member2", lambda: replicas(member2, "theirs") == 2)
    federation.eventually("refusal", lambda: applied(federation, "member1", "theirs").get("status") == "False")
    assert applied(federation, "member1", "theirs") | {"lastTransitionTime": ""} == {
        "type": "Applied",
        "status": "False",
        "reason": "AppliedFailed",
        "message": "Failed to apply all manifests (0/1): resource(kind=Deployment, default/theirs) already exists in the "
        "cluster member1 and the work.karmada.io/conflict-resolution strategy value is empty, Karmada will not manage "
        "this resource",
        "lastTransitionTime": "",
    }
    assert replicas(member1, "theirs") == 1
    federation.kubectl("patch", "propagationpolicy", "theirs", "--type=merge", OVERWRITE)
    federation.eventually("it overwritten", lambda: replicas(member1, "theirs") == 2)
    federation.eventually("applied", lambda: applied(federation, "member1", "theirs").get("status") == "True")
    binding = ("resourcebinding", "theirs-deployment")
    federation.eventually("both", lambda: condition(federation.get(*binding), "FullyApplied")["status"] == "True")


def test_a_namespace_deleted_in_a_member_comes_back_with_what_was_in_it(
    federation: Federation, member1: Member
) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "both"}}
    federation.apply(namespace, policy("in", "both"), deployment("in", "both"))
    federation.eventually("it", lambda: replicas(member1, "in", "both") == 2)
    # what is in a new namespace waits for it, and that is nobody's failure
    events = federation.get("events", "-n", "both")["items"]
    assert [e["message"] for e in events if e["type"] == "Warning"] == []
    member1.kubectl("delete", "namespace", "both", "--timeout=90s")
    federation.eventually("it again", lambda: replicas(member1, "in", "both") == 2)
    federation.eventually("applied", lambda: applied(federation, "member1", "in").get("status") == "True")
    federation.kubectl("delete", "namespace", "both", "--timeout=90s")
