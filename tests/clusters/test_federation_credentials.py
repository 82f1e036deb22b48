"""Credentials that go, come back and are renewed, and clusters that leave without them."""

from __future__ import annotations

import base64
import json
import re
import signal
from collections.abc import Iterator

import pytest
from cluster_federation import Federation, condition, deployment, policy, replicas
from cluster_harness import Member, Members, Options

SECRET = ("secret", "-n", "karmada-cluster", "member2")


@pytest.fixture(scope="module")
def joined(alone: Federation, member2: Member) -> Iterator[Federation]:
    alone.join(member2)
    yield alone
    for name in list(alone.joined):
        alone.unjoin(name)


def test_a_renewed_token_is_used(joined: Federation, member2: Member) -> None:
    joined.apply(deployment("one"), policy("one", clusters=("member2",)))
    joined.eventually("it", lambda: replicas(member2, "one") == 2)
    token = member2.kubectl("create", "token", "-n", "karmada-cluster", "karmada-member2").strip()
    data = {"data": {"token": base64.b64encode(token.encode()).decode()}}
    joined.kubectl("patch", *SECRET, "--type=merge", f"-p={json.dumps(data)}")
    # the old one is worth nothing any more
    member2.kubectl("delete", "secret", "-n", "karmada-cluster", "karmada-member2")
    joined.kubectl("scale", "deployment", "one", "--replicas=3")
    joined.eventually("three", lambda: replicas(member2, "one") == 3)
    # unlike the one of a token Secret it expires, which is told
    joined.eventually("its expiry", lambda: valid(joined).get("reason") == "TokenExpires")
    assert re.match(r"the token expires at 20\d\d-\S+Z: join the cluster again, or ", valid(joined)["message"])
    joined.kafila("join", "member2", f"--cluster-kubeconfig={member2.kubeconfig}", "--cluster-context=member2")
    joined.eventually("a token that does not expire", lambda: valid(joined) == {})
    joined.kubectl("scale", "deployment", "one", "--replicas=2")
    joined.eventually("two", lambda: replicas(member2, "one") == 2)


def valid(plane: Federation) -> dict:
    return condition(plane.get("cluster", "member2"), "kafila.io/CredentialsValid")


def test_a_cluster_without_credentials_is_not_ready(joined: Federation, member2: Member) -> None:
    secret = joined.get(*SECRET)
    joined.kubectl("delete", *SECRET)
    joined.eventually("it noticed", lambda: not joined.is_ready("member2"))
    ready = condition(joined.get("cluster", "member2"), "Ready")
    assert ready["reason"] == "StatusCollectionFailed"
    message = 'failed to create a ClusterClient: secrets "member2" not found in namespace karmada-cluster'
    assert ready["message"] == message
    joined.apply(deployment("two"), policy("two", clusters=("member2",)))
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        secret["metadata"].pop(field, None)
    joined.apply(secret)
    joined.eventually("ready again", lambda: joined.is_ready("member2"))
    joined.eventually("what waited", lambda: replicas(member2, "two") == 2)


def test_a_cluster_leaves_without_its_credentials(joined: Federation, lab: Members) -> None:
    (member,) = lab.start("member4", options=Options(light=True))
    joined.join(member)
    joined.apply(deployment("four"), policy("four", clusters=("member4",)))
    joined.eventually("it", lambda: replicas(member, "four") == 2)
    joined.kubectl("delete", "secret", "-n", "karmada-cluster", "member4")
    joined.kubectl("delete", "cluster", "member4", "--timeout=90s")
    joined.joined.pop("member4")
    assert replicas(member, "four") == 2  # nobody could take it back
    member.stop(signal.SIGKILL)


def test_a_dead_member_leaves(joined: Federation, lab: Members) -> None:
    (member,) = lab.start("member5", options=Options(light=True))
    joined.join(member)
    joined.apply(deployment("five"), policy("five", clusters=("member5",)))
    joined.eventually("it", lambda: replicas(member, "five") == 2)
    member.stop(signal.SIGKILL)
    joined.kubectl("delete", "cluster", "member5", "--timeout=110s")
    joined.joined.pop("member5")
    joined.eventually("no works", lambda: joined.kubectl("get", "works", "-n", "karmada-es-member5") == "")
