"""A member whose API is slow, errs, throttles, has another certificate or clock, permits little, or is dead: the Cluster says what is
wrong, nothing is lost, and it leaves. All of it on real members; the faults are made on the way to them (``gateway.py``)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_federation import EXAMPLES, Federation, condition, deployment, policy, replicas
from cluster_gateway import Gateway, failing, slow
from cluster_harness import Member

RESPONSIVE, CLOCK = "kafila.io/Responsive", "kafila.io/ClockInSync"
HEARTBEAT, PERMITTED = "kafila.io/Heartbeat", "kafila.io/PermissionsSufficient"


@pytest.fixture(scope="module")
def gateway(alone: Federation, member2: Member, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The way to member2, which is joined by it."""
    made = Gateway(member2, tmp_path_factory.mktemp("gateway"))
    made.start()
    try:
        alone.kafila("join", "member2", f"--cluster-kubeconfig={made.kubeconfig}")
        alone.eventually("member2 ready", lambda: alone.is_ready("member2"))
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def _without_faults(gateway: Gateway) -> Iterator[None]:
    yield
    gateway.fault, gateway.clock = None, 0.0


def config(name: str, *clusters: str) -> tuple[dict, dict]:
    """A ConfigMap and its policy."""
    made = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": {"a": "b"},
    }
    select = [{"apiVersion": "v1", "kind": "ConfigMap", "name": name}]
    return made, policy(name, clusters=clusters, resourceSelectors=select)


def is_there(member: Member, name: str) -> bool:
    return member.kubectl("get", "configmap", name, "--ignore-not-found", "-o", "name") != ""


def applied(plane: Federation, cluster: str, name: str) -> list[bool]:
    works = plane.get("works", "-n", f"karmada-es-{cluster}")["items"]
    return [condition(w, "Applied").get("status") == "True" for w in works if name in w["metadata"]["name"]]


def told(plane: Federation, kind: str, cluster: str = "member2") -> tuple[str, str]:
    found = condition(plane.get("cluster", cluster), kind)
    return found.get("reason", ""), found.get("message", "")


def events(plane: Federation, cluster: str) -> set[str]:
    found = plane.get("events", "--field-selector", f"involvedObject.kind=Cluster,involvedObject.name={cluster}")
    return {event["reason"] for event in found["items"] if event["type"] == "Warning"}


@pytest.mark.long  # ten probes
def test_a_member_at_rest_is_asked_little(alone: Federation, gateway: Gateway) -> None:
    """A probe, and two questions for its APIs that are answered 304: at six probes a minute, 19 requests and its watches."""
    alone.apply(*config("rest", "member2"))
    alone.eventually("a copy", lambda: is_there(gateway.member, "rest"))
    alone.eventually("its figures", lambda: told(alone, RESPONSIVE)[0] == "Responding")

    def probes() -> list[int]:
        return [at for at, (_, path) in enumerate(gateway.requests) if path == "/readyz"]

    first = len(probes())
    alone.eventually("ten probes", lambda: len(probes()) > first + 10)
    at = probes()
    window = gateway.requests[at[first] : at[first + 10]]
    others = [path for _, path in window if path not in ("/readyz", "/api", "/apis")]
    assert [path for _, path in window].count("/api") <= 11
    assert len(others) <= 3, others  # its version, a watch that began anew


@pytest.mark.long
def test_a_slow_member_is_told_and_goes_on(alone: Federation, gateway: Gateway) -> None:
    gateway.fault = slow("/", 1.2)
    alone.eventually("it is slow", lambda: told(alone, RESPONSIVE)[0] == "Slow")
    assert alone.is_ready("member2")
    alone.apply(*config("slow", "member2"))
    alone.eventually("a copy all the same", lambda: is_there(gateway.member, "slow"))
    assert "Slow" in events(alone, "member2")
    shown = alone.kubectl("get", "clusters", "member2", "-o", "wide").splitlines()
    assert shown[0].split()[:10] == [
        "NAME",
        "VERSION",
        "MODE",
        "READY",
        "AGE",
        "ZONES",
        "REGION",
        "PROVIDER",
        "API-ENDPOINT",
        "PROXY-URL",
    ]
    assert "Slow: it answers slowly" in shown[1]


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (500, {}, "Erring"),
        pytest.param(503, {}, "Erring", marks=pytest.mark.long),
        (429, {"Retry-After": "1"}, "Throttled"),
    ],
)
def test_a_member_that_errs_or_throttles_is_told_and_gets_what_it_missed(
    alone: Federation, gateway: Gateway, status: int, headers: dict[str, str], reason: str
) -> None:
    gateway.fault = failing("POST", "/configmaps", status, **headers)
    name = f"errs-{status}"
    alone.apply(*config(name, "member2"))
    alone.eventually("what it does", lambda: told(alone, RESPONSIVE)[0] == reason)
    assert not is_there(gateway.member, name)
    gateway.fault = None
    alone.eventually("what it missed", lambda: is_there(gateway.member, name))


def test_a_clock_that_is_wrong_is_told(alone: Federation, gateway: Gateway) -> None:
    gateway.clock = 3600.0
    alone.eventually("its clock", lambda: told(alone, CLOCK)[0] == "ClockSkewed")
    assert told(alone, CLOCK)[1].startswith("the member's clock is ")
    assert "ahead of ours" in told(alone, CLOCK)[1]
    assert alone.is_ready("member2")
    gateway.clock = 0.0
    alone.eventually("it is right again", lambda: told(alone, CLOCK) == ("", ""))


@pytest.mark.long
def test_another_authority_is_told_and_joining_again_makes_it_known(alone: Federation, gateway: Gateway) -> None:
    gateway.close()
    gateway.open()
    alone.eventually("why", lambda: "certificate" in told(alone, HEARTBEAT)[1])
    shown = alone.kafila("clusters", "member2")
    assert "ClusterNotReachable: not seen since" in shown or "certificate" in shown
    alone.apply(*config("again", "member2"))
    alone.kafila("join", "member2", f"--cluster-kubeconfig={gateway.kubeconfig}")
    alone.eventually("it is seen again", lambda: told(alone, HEARTBEAT) == ("", ""))
    alone.eventually("what waited", lambda: is_there(gateway.member, "again"))


def test_credentials_that_are_refused_are_told_and_joining_again_renews_them(
    alone: Federation, gateway: Gateway
) -> None:
    gateway.member.kubectl("delete", "serviceaccount", "-n", "karmada-cluster", "karmada-member2")
    alone.eventually("why", lambda: "does not take our credentials any more" in told(alone, HEARTBEAT)[1])
    alone.apply(*config("renewed", "member2"))
    assert "/readyz answered 401" in alone.kafila("clusters", "member2")
    alone.kafila("join", "member2", f"--cluster-kubeconfig={gateway.kubeconfig}")
    alone.eventually("it is seen again", lambda: told(alone, HEARTBEAT) == ("", ""))
    alone.eventually("what waited", lambda: is_there(gateway.member, "renewed"))


def test_a_dead_member_leaves_with_force_and_what_stays_is_listed(alone: Federation, gateway: Gateway) -> None:
    alone.apply(*config("stays", "member2"))
    alone.eventually("a copy", lambda: is_there(gateway.member, "stays"))
    alone.eventually("it is known to be there", lambda: all(applied(alone, "member2", "stays")))
    gateway.close()
    alone.eventually("it is missed", lambda: told(alone, HEARTBEAT)[0] == "ClusterNotReachable")
    access = (f"--kubeconfig={alone.kubeconfig}", f"--cluster-kubeconfig={gateway.kubeconfig}")
    with pytest.raises(RuntimeError, match=r"objects placed there would stay there for good\. Nothing was changed"):
        alone.kafila("unjoin", "member2", "--wait=1s")
    said = alone.kafila("unjoin", "member2", access[1], "--wait=1s", "--force")
    assert "objects stay in cluster member2. There, this removes them:" in said
    assert "  kubectl delete -n default ConfigMap/stays" in said
    assert "cluster member2 does not say what is left in it" in said
    assert alone.get("cluster", "member2") == {}
    assert alone.get("secret", "-n", "karmada-cluster", "member2") == {}
    # the commands are good for what they say
    for line in said.splitlines():
        if line.startswith("  kubectl delete "):
            gateway.member.kubectl(*line.partition("#")[0].split()[1:])
    assert not is_there(gateway.member, "stays")
    gateway.open()
    # what is left of the accounts goes too, though there is no Cluster any more
    assert "had not joined to the end" in alone.kafila("unjoin", "member2", access[1])
    role = ("get", "clusterrole", "karmada-controller-manager:karmada-member2", "--ignore-not-found")
    assert gateway.member.kubectl(*role) == ""


def kafila(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from kafila.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


def test_a_cluster_gives_no_more_than_policies_need(alone: Federation, member1: Member) -> None:
    """examples/least-privilege."""
    alone.kubectl("apply", "-f", str(EXAMPLES / "least-privilege"))
    access = f"--cluster-kubeconfig={member1.kubeconfig}"
    said = alone.kafila("join", "member1", access, "--permissions=policies")
    permitted = said.splitlines()[0]
    assert permitted.startswith("permissions in cluster(member1): namespaces, nodes, pods, ")
    assert permitted.endswith(", configmaps")
    alone.eventually("member1 ready", lambda: alone.is_ready("member1"))
    alone.eventually("what is permitted", lambda: is_there(member1, "greeting"))
    account = "--as=system:serviceaccount:karmada-cluster:karmada-member1"
    for allowed in ("create configmaps -A", "list pods -A", "create namespaces"):
        assert member1.kubectl("auth", "can-i", *allowed.split(), account).strip() == "yes"
    for denied in (
        "get secrets -A",
        "create pods -A",
        "create deployments -A",
        "impersonate users",
        "escalate clusterroles",
    ):
        assert member1.kubectl("auth", "can-i", *denied.split(), account, check=False).strip() == "no", denied
    # those who may be let through are, though our account could not have said so
    who = ("get", "clusterrole", "karmada-impersonator", "-o", "jsonpath={.rules[*].resourceNames[*]}")
    assert "system:masters" in member1.kubectl(*who)
    alone.eventually("callers are let through", lambda: all(applied(alone, "member1", "karmada-impersonator")))

    alone.apply(deployment("later"), policy("later", clusters=("member1",)))
    alone.eventually("what is missing", lambda: "create deployments.apps" in told(alone, PERMITTED, "member1")[1])
    assert "Forbidden" in events(alone, "member1")
    assert "Forbidden: our account may not " in alone.kafila("clusters", "member1")
    alone.kafila("join", "member1", access)  # as it was joined, with what policies need by now
    alone.eventually("what was refused", lambda: replicas(member1, "later") == 2)
    assert member1.kubectl("auth", "can-i", "get", "secrets", "-A", account, check=False).strip() == "no"


def test_what_does_not_end_in_the_member_does_not_hold_its_cluster(alone: Federation, member1: Member) -> None:
    """A copy with somebody's finalizer, in a namespace that therefore does not end either; and another control plane's account."""
    alone.kubectl("create", "namespace", "ending")
    held = deployment("held", "ending")
    alone.apply(held, policy("held", "ending", clusters=("member1",)))
    alone.eventually("a copy", lambda: replicas(member1, "held", "ending") == 2)
    finalizer = '-p={"metadata":{"finalizers":["example.com/hold"]}}'
    member1.kubectl("patch", "deployment", "-n", "ending", "held", "--type=merge", finalizer)
    member1.kubectl("create", "serviceaccount", "-n", "karmada-cluster", "karmada-other")
    done = kafila("unjoin", "member1", f"--kubeconfig={alone.kubeconfig}", f"--cluster-kubeconfig={member1.kubeconfig}")
    try:
        assert done.returncode == 0, done.stderr
        assert alone.get("cluster", "member1") == {}
        lines = done.stdout.splitlines()
        stays = "  kubectl delete -n ending Deployment.v1.apps/held  # it is being deleted, and waits for its finalizers: example.com/hold"
        assert stays in lines
        assert any(line.startswith("  kubectl delete Namespace/ending  # it is being deleted") for line in lines)
        assert any("ConfigMap: greeting" in line for line in lines[lines.index("Removed from cluster member1:") :])
        assert "namespace karmada-cluster stays in cluster member1: it has accounts of others (karmada-other)" in lines
        accounts = json.loads(member1.kubectl("get", "serviceaccounts", "-n", "karmada-cluster", "-o", "json"))["items"]
        names = {account["metadata"]["name"] for account in accounts}
        assert names >= {"karmada-other", "karmada-impersonator"}
        assert "karmada-member1" not in names
    finally:
        free = '-p={"metadata":{"finalizers":null}}'
        member1.kubectl("patch", "deployment", "-n", "ending", "held", "--type=merge", free, check=False)
        member1.kubectl("delete", "namespace", "karmada-cluster", "ending", "--ignore-not-found", "--timeout=60s")


def test_what_a_broken_off_join_left_is_removed(alone: Federation, member1: Member, tmp_path: Path) -> None:
    access = f"--cluster-kubeconfig={member1.kubeconfig}"
    with pytest.raises(RuntimeError, match="no cluster object member1 found in karmada control Plane"):
        alone.kafila("unjoin", "member1", access)
    alone.kafila("join", "member1", access)
    # as if it had ended before the Cluster was made
    alone.kubectl("delete", "cluster", "member1", "--timeout=60s")
    assert "would be removed (dry run)" in alone.kafila("unjoin", "member1", access, "--dry-run")
    said = alone.kafila("unjoin", "member1", access)
    assert "  serviceaccount: karmada-member1" in said.replace("-n karmada-cluster ", "")
    member1.kubectl("wait", "namespace/karmada-cluster", "--for=delete", "--timeout=60s")
    with pytest.raises(RuntimeError, match="no cluster object member1 found"):
        alone.kafila("unjoin", "member1", access)
