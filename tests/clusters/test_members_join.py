"""Joining real members. A kube-apiserver with a CRD for Cluster and Work plays the control plane; karmadactl is the measure."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster_harness import Member, Members, wait_until_established

from kafila.members.client import MemberClient
from kafila.members.transport import TLS
from tests.definitions import ANYTHING, definition
from tests.definitions import version as served


def _crd(group: str, version: str, plural: str, kind: str, scope: str) -> dict:
    found = definition(group, kind, served(version, ANYTHING), plural=plural, scope=scope)
    found["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved"}
    return found


@pytest.fixture(scope="session")
def plane(member2: Member) -> Member:
    crds = [
        _crd("cluster.karmada.io", "v1alpha1", "clusters", "Cluster", "Cluster"),
        _crd("work.karmada.io", "v1alpha1", "works", "Work", "Namespaced"),
    ]
    member2.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": crds}))
    wait_until_established(member2.kubectl, *(crd["metadata"]["name"] for crd in crds))
    return member2


@pytest.fixture(autouse=True)
def _nothing_is_left(plane: Member, member1: Member) -> Iterator[None]:
    """Whatever a test did: no member is joined and no account is left for the next one."""
    yield
    for name in plane.kubectl("get", "clusters", "-o", "name").split():
        plane.kubectl("patch", name, "--type=merge", '-p={"metadata":{"finalizers":null}}', check=False)
        plane.kubectl("delete", name, "--ignore-not-found", "--timeout=60s")
    for member in (plane, member1):
        member.kubectl("delete", "namespace", "karmada-cluster", "--ignore-not-found", "--timeout=60s")


def kafila(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from kafila.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def join(plane: Member, member: Member, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    return kafila("join", name, "--kubeconfig", plane.kubeconfig, "--cluster-kubeconfig", member.kubeconfig, *more)


def unjoin(plane: Member, member: Member, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    return kafila("unjoin", name, "--kubeconfig", plane.kubeconfig, "--cluster-kubeconfig", member.kubeconfig, *more)


def get(member: Member, *what: str) -> dict:
    return json.loads(member.kubectl("get", *what, "-o", "json"))


def in_member(member: Member, name: str) -> list[dict]:
    role = f"karmada-controller-manager:karmada-{name}"
    return [
        get(member, "namespace", "karmada-cluster"),
        get(member, "-n", "karmada-cluster", "serviceaccount", f"karmada-{name}"),
        get(member, "-n", "karmada-cluster", "serviceaccount", "karmada-impersonator"),
        get(member, "-n", "karmada-cluster", "secret", f"karmada-{name}"),
        get(member, "-n", "karmada-cluster", "secret", "karmada-impersonator"),
        get(member, "clusterrole", role),
        get(member, "clusterrolebinding", role),
    ]


def in_plane(plane: Member, name: str) -> list[dict]:
    return [
        get(plane, "cluster", name),
        get(plane, "-n", "karmada-cluster", "secret", name),
        get(plane, "-n", "karmada-cluster", "secret", f"{name}-impersonator"),
    ]


_OF_THE_MOMENT = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation")


def shape(obj: dict) -> dict:
    """An object without what differs from run to run: identities and the tokens themselves."""
    obj = json.loads(json.dumps(obj))
    for field in _OF_THE_MOMENT:
        obj["metadata"].pop(field, None)
    obj["metadata"].get("annotations", {}).pop("kubernetes.io/service-account.uid", None)
    for owner in obj["metadata"].get("ownerReferences", ()):
        owner.pop("uid")
    if obj.get("status") == {}:  # Go clients send it; a typed server drops it, our CRD here keeps it
        del obj["status"]
    if "token" in obj.get("data", {}):
        obj["data"]["token"] = "..."
    return obj


def karmadactl(lab: Members, plane: Member, member: Member, verb: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [lab.bin / "karmadactl", f"--kubeconfig={plane.kubeconfig}", verb, "alike"]
    command += [f"--cluster-kubeconfig={member.kubeconfig}", f"--cluster-context={member.name}", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_karmadactl_unjoins_what_was_joined_here(lab: Members, plane: Member, member1: Member) -> None:
    assert join(plane, member1, "alike").returncode == 0
    done = karmadactl(lab, plane, member1, "unjoin")
    assert done.returncode == 0, done.stderr
    assert plane.kubectl("get", "cluster", "alike", "--ignore-not-found") == ""
    member1.kubectl("wait", "namespace/karmada-cluster", "--for=delete", "--timeout=60s")


def test_join_leaves_what_karmadactl_leaves(lab: Members, plane: Member, member1: Member) -> None:
    done = join(plane, member1, "alike", "--cluster-provider=p", "--cluster-region=r", "--cluster-zones=z1,z2")
    assert (done.returncode, done.stdout) == (0, "cluster(alike) is joined successfully\n"), done.stderr
    ours = [shape(obj) for obj in (*in_member(member1, "alike"), *in_plane(plane, "alike"))]
    done = unjoin(plane, member1, "alike")
    assert done.returncode == 0, done.stderr
    for member in (plane, member1):
        member.kubectl("delete", "namespace", "karmada-cluster", "--ignore-not-found", "--timeout=60s")
    done = karmadactl(
        lab, plane, member1, "join", "--cluster-provider=p", "--cluster-region=r", "--cluster-zones=z1,z2"
    )
    assert (done.returncode, done.stdout) == (0, "cluster(alike) is joined successfully\n"), done.stderr
    theirs = [shape(obj) for obj in (*in_member(member1, "alike"), *in_plane(plane, "alike"))]
    assert ours == theirs
    assert unjoin(plane, member1, "alike").returncode == 0  # what karmadactl joined, we can unjoin
    gone = member1.kubectl("get", "clusterrole", "karmada-controller-manager:karmada-alike", "--ignore-not-found")
    assert gone == ""


async def test_the_stored_token_may_do_everything_in_the_member(plane: Member, member1: Member) -> None:
    assert join(plane, member1, "works").returncode == 0
    cluster, secret, impersonator = in_plane(plane, "works")
    data = {key: base64.b64decode(value) for key, value in secret["data"].items()}
    client = MemberClient(
        "works", cluster["spec"]["apiEndpoint"], tls=TLS(data["caBundle"]), token=data["token"].decode()
    )
    assert (await client.get("/api/v1/namespaces/kube-system"))["metadata"]["uid"] == cluster["spec"]["id"]
    await client.create("/api/v1/namespaces", {"metadata": {"name": "by-token"}})
    await client.delete("/api/v1/namespaces/by-token")
    await client.close()
    token = base64.b64decode(impersonator["data"]["token"]).decode()
    client = MemberClient("works", cluster["spec"]["apiEndpoint"], tls=TLS(data["caBundle"]), token=token)
    status, _ = await client.request("GET", "/api/v1/nodes")
    assert status == 403
    await client.close()
    assert unjoin(plane, member1, "works").returncode == 0


def test_joining_again_renews_the_credentials(plane: Member, member1: Member) -> None:
    assert join(plane, member1, "again", "--cluster-region=r").returncode == 0
    before = in_plane(plane, "again")
    member1.kubectl("delete", "serviceaccount", "-n", "karmada-cluster", "karmada-again")
    done = join(plane, member1, "again", "--cluster-provider=p")
    assert (done.returncode, done.stdout) == (0, "cluster(again) is updated successfully\n"), done.stderr
    after = in_plane(plane, "again")
    assert after[0]["metadata"]["uid"] == before[0]["metadata"]["uid"]
    assert (after[0]["spec"]["region"], after[0]["spec"]["provider"]) == ("r", "p")
    assert after[1]["data"]["token"] != before[1]["data"]["token"]
    # the same member under another name, or another member under this name, is refused and nothing is left behind
    other = join(plane, member1, "other")
    assert other.returncode == 1
    assert other.stderr.startswith("error: the cluster ID ")
    assert other.stderr.endswith("or the cluster name other has been registered\n")
    taken = join(plane, plane, "again")
    assert taken.returncode == 1
    assert taken.stderr.startswith("error: this cluster is the control plane itself (cluster ID ")
    assert member1.kubectl("get", "clusterrole", "karmada-controller-manager:karmada-other", "--ignore-not-found") == ""
    assert unjoin(plane, member1, "again").returncode == 0


def test_a_dry_run_changes_nothing(plane: Member, member1: Member) -> None:
    done = join(plane, member1, "dry", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "cluster(dry) would be joined (dry run)\n"), done.stderr
    assert member1.kubectl("get", "namespace", "karmada-cluster", "--ignore-not-found") == ""
    assert plane.kubectl("get", "cluster", "dry", "--ignore-not-found") == ""


def test_errors_are_one_clear_line(plane: Member, member1: Member, tmp_path: Path) -> None:
    def error(done: subprocess.CompletedProcess[str]) -> str:
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        return done.stderr.strip()

    assert error(join(plane, member1, "Bad_Name")).startswith(
        "error: invalid cluster name(Bad_Name): a lowercase RFC 1123"
    )
    assert error(join(plane, member1, "n" * 49)).endswith("must be no more than 48 characters")
    assert error(join(member1, plane, "x")).startswith(
        f"error: {member1.endpoint} serves no cluster.karmada.io/v1alpha1"
    )
    jane = ("--karmada-as=jane", "--karmada-as-group=a", "--karmada-as-group=b")
    assert 'User "jane" cannot get resource "namespaces"' in error(join(plane, member1, "x", *jane))
    assert error(unjoin(plane, member1, "none")) == "error: no cluster object none found in karmada control Plane"
    broken = yaml.safe_load(member1.kubeconfig.read_text())
    broken["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    away = tmp_path / "away"
    away.write_text(yaml.safe_dump(broken))
    done = kafila("join", "x", "--kubeconfig", plane.kubeconfig, "--cluster-kubeconfig", away)
    assert "https://127.0.0.1:1" in error(done)
    assert error(
        kafila("join", "x", "--kubeconfig", plane.kubeconfig, "--cluster-kubeconfig", away, "--cluster-context=no")
    ) == (f'error: kubeconfig {away}: context "no" does not exist')


def test_force_drops_a_cluster_whose_works_stay(plane: Member, member1: Member) -> None:
    assert join(plane, member1, "stuck").returncode == 0
    plane.kubectl(
        "patch", "cluster", "stuck", "--type=merge", '-p={"metadata":{"finalizers":["karmada.io/cluster-controller"]}}'
    )
    plane.kubectl("create", "namespace", "karmada-es-stuck")
    work = {
        "apiVersion": "work.karmada.io/v1alpha1",
        "kind": "Work",
        "metadata": {"name": "w", "namespace": "karmada-es-stuck", "finalizers": ["karmada.io/execution-controller"]},
    }
    plane.kubectl("create", "-f", "-", stdin=json.dumps(work))
    patient = unjoin(plane, member1, "stuck", "--wait=1s")
    assert patient.returncode == 1
    assert "cluster stuck was not deleted within 1s: 1 objects placed there are not taken back yet" in patient.stderr
    done = unjoin(plane, member1, "stuck", "--wait=1s", "--force")
    assert done.returncode == 0, done.stderr
    assert plane.kubectl("get", "cluster", "stuck", "--ignore-not-found") == ""


def test_pull_clusters_are_not_unjoined(plane: Member, member1: Member) -> None:
    cluster = {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "pulled"},
        "spec": {"syncMode": "Pull"},
    }
    plane.kubectl("create", "-f", "-", stdin=json.dumps(cluster))
    done = unjoin(plane, member1, "pulled")
    assert done.returncode == 1
    assert "is a Pull mode member cluster, please use command `unregister`" in done.stderr
