"""Real members through ``clusters/NAME/proxy``, with kubectl and karmadactl as users have them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading

import pytest
from cluster_federation import PROXY, Federation, Proxied, condition, deployment, policy
from cluster_harness import Member

RBAC_WORK = "karmada-impersonator-7cbb6bd5c9"


def line(process: subprocess.Popen[str]) -> str:
    """The next line; a process that stays silent for a minute is ended."""
    silence = threading.Timer(60, process.kill)
    silence.start()
    try:
        assert process.stdout is not None
        return process.stdout.readline()
    finally:
        silence.cancel()


@pytest.fixture(scope="module")
def joined(federation: Federation, member1: Member, member2: Member) -> Federation:
    """Both members let their impersonator act, and member1 runs pods."""
    for name in ("member1", "member2"):

        def applied(name: str = name) -> bool:
            work = federation.get("work", "-n", f"karmada-es-{name}", RBAC_WORK)
            return condition(work, "Applied").get("status") == "True"

        federation.eventually(f"{name} knows whom it may trust", applied)
    federation.apply(deployment("nginx"), policy("nginx"))
    running = ("get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[*].status.phase}")
    federation.eventually("pods run", lambda: member1.kubectl(*running).split() == ["Running"] * 2)
    return federation


@pytest.fixture(scope="module")
def through(joined: Federation, tmp_path_factory: pytest.TempPathFactory) -> Proxied:
    return Proxied(joined, "member1", tmp_path_factory.mktemp("proxied"))


@pytest.mark.parametrize("member", ["member1", "member2"])  # joined by karmadactl, and by kafila
def test_the_administrator_reads_a_members_nodes(joined: Federation, member: str) -> None:
    nodes = json.loads(joined.kubectl("get", "--raw", PROXY.format(member) + "/api/v1/nodes"))
    assert [node["metadata"]["name"] for node in nodes["items"]] == [f"{member}-node-1", f"{member}-node-2"]


def test_the_member_sees_the_caller(through: Proxied) -> None:
    review = json.loads(through("auth", "whoami", "-o", "json"))
    assert review["status"]["userInfo"]["username"] == "system:admin"
    assert review["status"]["userInfo"]["groups"] == ["system:masters", "system:authenticated"]


def test_kubectl_works_against_a_member(through: Proxied, member1: Member) -> None:
    names = through("get", "pods", "-l", "app=nginx", "-o", "name")
    assert names == member1.kubectl("get", "pods", "-l", "app=nginx", "-o", "name")
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "proxied"}, "data": {"a": "1"}}
    manifest = json.dumps(settings)
    assert "created" in through("apply", "-f", "-", stdin=manifest)
    assert "serverside-applied" in through("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
    through("patch", "configmap", "proxied", "--type=merge", '-p={"data":{"a":"2"}}')
    assert member1.kubectl("get", "configmap", "proxied", "-o", "jsonpath={.data.a}") == "2"
    assert "FIELDS" in through("explain", "deployment.spec")
    assert "deployments" in through("api-resources", "--api-group=apps")
    through("delete", "configmap", "proxied")
    assert "NotFound" in through.error("get", "configmap", "proxied")


def test_kubectl_watches_a_member(through: Proxied, member1: Member) -> None:
    with through.started("get", "configmaps", "-n", "kube-public", "--watch-only", "-o", "name") as watch:
        with through.started("get", "configmaps", "-n", "kube-public", "-o", "name", "--watch") as all_of_them:
            line(
                all_of_them
            )  # a later watch runs, so does the earlier one in all likelihood; the loop below makes it sure
        made = threading.Event()

        def change() -> None:
            number = 0
            while not made.wait(0.2):
                number += 1
                data = json.dumps(
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen"}, "data": {"n": str(number)}}
                )
                member1.kubectl("apply", "-n", "kube-public", "-f", "-", stdin=data)

        changing = threading.Thread(target=change)
        changing.start()
        try:
            assert line(watch) == "configmap/seen\n"
        finally:
            made.set()
            changing.join()
    member1.kubectl("delete", "configmap", "-n", "kube-public", "seen")


def test_logs_are_read_and_followed(through: Proxied, joined: Federation, member1: Member) -> None:
    pod = through("get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[0].metadata.name}")
    assert through("logs", pod) == "first line\n"
    assert joined.karmadactl("logs", pod, "-C", "member1") == "first line\n"
    with through.started("logs", "-f", pod) as following:
        assert line(following) == "first line\n"
        with (member1.folder / "pod.log").open("a") as log:
            log.write("2026-01-01T00:00:01.000000000Z stdout F second line\n")
        assert line(following) == "second line\n"
    written = (member1.folder / "pod.log").read_text().splitlines(keepends=True)
    (member1.folder / "pod.log").write_text(written[0])


def test_karmadactl_looks_into_members(joined: Federation) -> None:
    table = joined.karmadactl("get", "pods", "--operation-scope=members")
    rows = [row.split() for row in table.splitlines()]
    assert rows[0][:2] == ["NAME", "CLUSTER"]
    assert {row[1] for row in rows[1:]} == {"member1"}  # member2 is light: it has no pods
    assert sum(row[0].startswith("nginx-") for row in rows) == 2
    both = joined.karmadactl("get", "deployments", "--operation-scope=all")
    own = [row.split() for row in both.splitlines() if row.startswith("nginx ")]
    assert sorted(row[1] for row in own) == ["Karmada", "member1", "member2"]
    describe = ("describe", "deployment", "nginx", "--operation-scope=members", "-C", "member1")
    assert "Name:                   nginx" in joined.karmadactl(*describe)
    joined.eventually("the member's Events", lambda: "ScalingReplicaSet" in joined.karmadactl(*describe))
    resources = joined.karmadactl("api-resources", "--operation-scope=members", "--cluster=member1", "--api-group=apps")
    assert "statefulsets" in resources


def test_karmadactl_promotes_what_a_member_has(joined: Federation, member1: Member) -> None:
    member1.kubectl("create", "deployment", "legacy", "--image=nginx")
    joined.karmadactl("promote", "deployment", "legacy", "-n", "default", "-C", "member1")
    joined.eventually("adopted", lambda: joined.get("deployment", "legacy").get("status", {}).get("readyReplicas") == 1)


def test_who_may_no_longer_is_refused_by_the_member(joined: Federation, through: Proxied) -> None:
    saved = {}
    for name in ("cluster-admin", "cluster-proxy-admin"):
        obj = joined.get("clusterrolebinding", name)
        saved[name] = {**obj, "metadata": {"name": name}}
    try:
        joined.kubectl("delete", "clusterrolebinding", *saved)
        refused = 'cannot impersonate resource "users"'

        def is_refused() -> bool:
            with contextlib.suppress(AssertionError):
                return refused in through.error("get", "--raw", "/api/v1/nodes")
            return False

        joined.eventually("the member refuses", is_refused)
    finally:
        joined.apply(*saved.values())
    joined.eventually("the member accepts", lambda: bool(through("get", "--raw", "/api/v1/nodes")))


def test_a_member_that_is_away_is_reported_at_once(joined: Federation, through: Proxied, member1: Member) -> None:
    member1.stop_api()
    try:
        assert "error trying to reach service" in through.error("get", "--raw", "/api/v1/nodes")
    finally:
        member1.start_api()
    joined.eventually("it is back", lambda: bool(through("get", "--raw", "/api/v1/nodes")))
