"""Every command of an unmodified karmadactl over ``kafila demo``: a control plane with three simulated members."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import pytest
import yaml

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME}
data: {a: "1"}
"""
WITH_CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: old}
spec:
  replicas: 1
  selector: {matchLabels: {app: old}}
  template:
    metadata: {labels: {app: old}}
    spec:
      containers: [{name: c, image: nginx, envFrom: [{configMapRef: {name: settings}}]}]
"""
SCOPED = """\
apiVersion: v1
kind: Namespace
metadata: {name: NAME}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAME}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: inside, namespace: NAME}
"""
SIMULATED = """\
apiVersion: cluster.karmada.io/v1alpha1
kind: Cluster
metadata: {name: member3}
spec: {syncMode: Push, apiEndpoint: "https://member3.simulation.internal"}
"""


@final
class Program:
    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.command = command
        self.environment = environment

    def __call__(self, *arguments: str, stdin: str | None = None, code: int = 0, editor: str = "cat") -> str:
        """What it shows. Fails when it does not end with ``code``."""
        done = subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            env={**self.environment, "EDITOR": editor},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
        )
        assert done.returncode == code, f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def eventually(self, *arguments: str, holds: Callable[[str], bool], seconds: float = 90.0) -> str:
        """Repeats a command that only looks until what it shows holds."""
        deadline = time.monotonic() + seconds
        while not holds(shown := self(*arguments)):
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        return shown

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))


@pytest.fixture(scope="module")
def karmadactl(demo: Any, programs: Path) -> Program:
    return Program([str(programs / "karmadactl")], demo.environment)


@pytest.fixture(scope="module")
def kubectl(demo: Any, programs: Path) -> Program:
    return Program([str(programs / "kubectl")], demo.environment)


@pytest.fixture(scope="module")
def member1(demo: Any, programs: Path) -> Program:
    """kubectl of member1 itself."""
    config = yaml.safe_load(demo.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] += "/apis/cluster.karmada.io/v1alpha1/clusters/member1/proxy"
    own = demo.kubeconfig.with_name("member1.kubeconfig")
    own.write_text(yaml.safe_dump(config))
    return Program([str(programs / "kubectl")], {**demo.environment, "KUBECONFIG": str(own)})


def rows(shown: str, *columns: str) -> list[tuple[str, ...]]:
    """Cells of a table that stand in ``columns``, sorted: karmadactl prints clusters as they answer. None without a table."""
    head, *lines = [re.split(r" {2,}", line.strip()) for line in shown.splitlines()]
    return sorted(tuple(line[head.index(column)] for column in columns) for line in lines)


def test_the_demos_own_files_are_applied_already(karmadactl: Program) -> None:
    """First of all: later tests change them. In policies the control plane completes a list, as Karmada's webhook does, and
    an apply puts it back: they are always configured."""
    shown = karmadactl("apply", "-f", str(Path(__file__).parents[2] / "examples" / "nginx"))
    assert [line.split()[1:] for line in shown.splitlines()] == [
        ["unchanged"],
        ["configured"],
        ["configured"],
        ["unchanged"],
    ]


NOT_FOUND = 'cluster({0}): deployments.apps "{1}" not found'


def test_get_in_every_scope(karmadactl: Program) -> None:
    where = ("NAME", "CLUSTER", "READY", "ADOPTION")
    plane, *copies = [
        ("nginx", "Karmada", "2/2", "-"),
        ("nginx", "member1", "1/1", "Y"),
        ("nginx", "member2", "1/1", "Y"),
    ]
    assert rows(karmadactl("get", "deployments"), *where) == [plane]
    assert rows(karmadactl("get", "deploy", "--operation-scope=karmada"), *where) == [plane]
    assert rows(karmadactl("get", "deploy", "--operation-scope=members"), *where) == copies
    assert rows(karmadactl("get", "deploy", "--operation-scope=all"), *where) == [plane, *copies]
    assert rows(karmadactl("get", "deploy", "--operation-scope=members", "-C", "member2"), *where) == copies[1:]
    assert rows(karmadactl("get", "deploy", "-l", "app=nginx", "--operation-scope=all"), *where) == [plane, *copies]
    assert karmadactl("get", "deploy", "-l", "app=none", "--operation-scope=all").startswith("No resources found")
    # what the member made for itself is not adopted
    pods = rows(karmadactl("get", "pods", "-o", "wide", "--operation-scope=all"), "CLUSTER", "STATUS", "ADOPTION")
    assert pods == [("member1", "Running", "N"), ("member2", "Running", "N")]
    services = rows(karmadactl("get", "svc", "-A", "--operation-scope=all"), "NAMESPACE", "NAME", "CLUSTER", "ADOPTION")
    assert ("default", "nginx", "member1", "Y") in services
    assert ("default", "kubernetes", "member3", "N") in services
    assert len(rows(karmadactl("get", "nodes", "--operation-scope=members"), "NAME")) == 9


def test_get_prints_as_it_is_told(karmadactl: Program) -> None:
    assert karmadactl.json("get", "deploy", "nginx")["status"]["readyReplicas"] == 2
    replicas = karmadactl("get", "deploy", "-o", "jsonpath={.items[*].spec.replicas}", "--operation-scope=all")
    assert sorted(replicas) == ["1", "1", "2"]
    assert yaml.safe_load(karmadactl("get", "pp", "nginx", "-o", "yaml"))["kind"] == "PropagationPolicy"
    assert karmadactl("get", "deploy", "-o", "name", "--operation-scope=all") == "deployment.apps/nginx\n" * 3
    assert "app=nginx" in karmadactl("get", "pods", "--show-labels", "--operation-scope=members")
    clusters = rows(karmadactl("get", "clusters", "-o", "wide"), "NAME", "MODE", "READY", "API-ENDPOINT")
    assert clusters[0] == ("member1", "Push", "True", "https://member1.simulation.internal")
    both = karmadactl("get", "rb,work", "-A")
    assert "resourcebinding.work.karmada.io/nginx-deployment" in both
    assert "work.work.karmada.io/nginx-687f7fb96f" in both


def test_get_says_what_is_not_there(karmadactl: Program) -> None:
    shown = karmadactl("get", "deploy", "nginx", "--operation-scope=all", code=1)
    assert len(rows("".join(shown.splitlines(True)[:-1]), "NAME")) == 3
    assert NOT_FOUND.format("member3", "nginx") in shown
    shown = karmadactl("get", "deploy", "nope", "--operation-scope=all", code=1)
    assert {NOT_FOUND.format(name, "nope") for name in ("Karmada", "member1", "member3")} <= set(shown.splitlines())
    assert karmadactl("get", "deploy", "nope", "--ignore-not-found", "--operation-scope=all") == ""
    shown = karmadactl("get", "nonsense", "--operation-scope=members", "-C", "member1", code=1)
    assert shown == 'error: cluster(member1): the server doesn\'t have a resource type "nonsense"\n'
    shown = karmadactl("get", "deploy", "--operation-scope=members", "-C", "nope", code=1)
    assert shown == "error: clusters don't exist: nope\n"


@pytest.mark.parametrize(
    ("scope", "more", "less"),
    [(("--operation-scope=karmada",), "4/4", "2/2"), (("--operation-scope=members", "-C", "member1"), "2/2", "1/1")],
)
def test_get_watches(karmadactl: Program, scope: tuple[str, ...], more: str, less: str) -> None:
    """One cluster: the watches of several share a table, which karmadactl 1.18.2 does not guard; it may fall over."""
    command = [*karmadactl.command, "get", "deployments", "-w", *scope]
    with subprocess.Popen(command, env=karmadactl.environment, stdout=subprocess.PIPE, text=True) as watching:
        hang = threading.Timer(90, watching.kill)
        hang.start()
        try:
            for replicas, ready in ((2, less), (4, more), (2, less)):
                karmadactl("patch", "deploy", "nginx", "-p", json.dumps({"spec": {"replicas": replicas}}))
                assert any(ready in line.split() for line in iter(watching.stdout.readline, ""))  # type: ignore[union-attr]
        finally:
            hang.cancel()
            watching.kill()


def test_describe_and_explain(karmadactl: Program) -> None:
    summed = "2 desired | 2 updated | 2 total | 2 available"  # after what the tests before it did
    shown = karmadactl.eventually("describe", "deployment", "nginx", holds=lambda shown: summed in shown)
    assert "Successfully applied resource(default/nginx) to cluster member1" in shown
    member = ("--operation-scope=members", "-C")
    shown = karmadactl("describe", "deployment", "nginx", *member, "member1")
    assert "1 desired | 1 updated | 1 total | 1 available" in shown
    assert "work.karmada.io/namespace: karmada-es-member1" in shown
    assert "Node:         member2-node-" in karmadactl("describe", "pods", "-l", "app=nginx", *member, "member2")
    assert "Kind:         Cluster" in karmadactl("describe", "cluster", "member1")
    shown = karmadactl("describe", "deployment", "nginx", *member, "member3", code=1)
    assert shown == 'Error from server (NotFound): deployments.apps "nginx" not found\n'

    assert "clusterNames\t<[]string>" in karmadactl("explain", "pp.spec.placement.clusterAffinity")
    inside = ("--operation-scope=members", "--cluster")
    assert "KIND:       Deployment" in karmadactl("explain", "deployment.spec", *inside, "member1")
    assert 'field "nope" does not exist' in karmadactl("explain", "pods.spec.nope", code=1)


def test_what_is_served(karmadactl: Program) -> None:
    inside = ("--operation-scope=members", "--cluster")
    shown = karmadactl("api-resources", "--api-group=apps", "--sort-by=name", *inside, "member1")
    assert "deployments" in shown
    assert shown == karmadactl("api-resources", "--api-group=apps", "--sort-by=name")
    shown = karmadactl("api-resources", "--categories=karmada-io", "-o", "name")
    assert {"propagationpolicies.policy.karmada.io", "works.work.karmada.io"} <= set(shown.split())
    versions = karmadactl("api-versions").split()
    assert {"v1", "apps/v1", "cluster.karmada.io/v1alpha1", "work.karmada.io/v1alpha2"} <= set(versions)
    assert {"v1", "apps/v1"} <= set(karmadactl("api-versions", *inside, "member2").split())
    for command in (["api-resources"], ["api-versions"], ["explain", "pods"]):
        shown = karmadactl(*command, *inside, "nope", code=1)
        assert shown == 'Error from server (NotFound): clusters.cluster.karmada.io "nope" not found\n'


def test_create_change_and_delete(karmadactl: Program) -> None:
    made = CONFIG.replace("NAME", "changed")
    assert karmadactl("create", "-f", "-", stdin=made) == "configmap/changed created\n"
    assert "(AlreadyExists)" in karmadactl("create", "-f", "-", stdin=made, code=1)
    assert karmadactl("create", "deployment", "web", "--image=nginx") == "deployment.apps/web created\n"
    assert karmadactl("label", "cm", "changed", "x=1") == "configmap/changed labeled\n"
    assert "--overwrite is false" in karmadactl("label", "cm", "changed", "x=2", code=1)
    assert karmadactl("label", "cm", "changed", "x=2", "--overwrite") == "configmap/changed labeled\n"
    assert karmadactl("label", "cm", "changed", "x-") == "configmap/changed unlabeled\n"
    assert "(Conflict)" in karmadactl("label", "cm", "changed", "x=2", "--resource-version=1", code=1)
    assert karmadactl("annotate", "cm", "changed", "x=1") == "configmap/changed annotated\n"
    assert karmadactl("patch", "cm", "changed", "-p", '{"data":{"b":"2"}}') == "configmap/changed patched\n"
    gone = '[{"op":"remove","path":"/data/b"}]'
    assert karmadactl("patch", "cm", "changed", "--type=json", "-p", gone) == "configmap/changed patched\n"
    assert "the request is invalid" in karmadactl("patch", "cm", "changed", "--type=json", "-p", gone, code=1).lower()
    scaled = ("--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":3}}')
    assert karmadactl("patch", "deploy", "web", *scaled) == "scale.autoscaling/web patched\n"
    assert "Edit cancelled, no changes made." in karmadactl("edit", "cm", "changed")
    assert karmadactl("edit", "cm", "changed", editor="sed -i s/a:.*1.*/a:\\ edited/") == "configmap/changed edited\n"
    found = karmadactl.json("get", "cm", "changed")
    assert (found["data"], found["metadata"]["annotations"]) == ({"a": "edited"}, {"x": "1"})
    shown = karmadactl("edit", "deploy", "web", editor="sed -i s/replicas:.3/replicas:\\ x/", code=1)
    assert 'deployments.apps "web" is invalid' in shown
    assert karmadactl("delete", "-f", "-", stdin=made) == 'configmap "changed" deleted from default namespace\n'
    assert karmadactl("delete", "deploy", "web", "--dry-run=server").endswith("(server dry run)\n")
    assert karmadactl("delete", "deploy", "-l", "app=web").startswith('deployment.apps "web" deleted')
    assert "(NotFound)" in karmadactl("delete", "deploy", "web", code=1)


def test_apply_makes_policies(karmadactl: Program) -> None:
    def clusters(shown: str) -> list[str]:
        return [name for kind, name in rows(shown, "NAME", "CLUSTER") if kind == "applied"]

    applied = CONFIG.replace("NAME", "applied")
    apply = ("apply", "-f", "-")
    look = ("get", "cm", "--operation-scope=all")
    assert karmadactl(*apply, stdin=applied) == "configmap/applied created\n"
    shown = karmadactl(*apply, "-C", "member1,member3", stdin=applied)
    policy = "propagationpolicy.policy.karmada.io/applied-75f5f4f477"  # karmadactl's hash of kind and so on
    assert shown == f"configmap/applied unchanged\n{policy} created\n"
    karmadactl.eventually(*look, holds=lambda shown: clusters(shown) == ["Karmada", "member1", "member3"])
    shown = karmadactl(*apply, "--all-clusters", stdin=applied)
    assert shown == f"configmap/applied unchanged\n{policy} configured\n"
    karmadactl.eventually(*look, holds=lambda shown: clusters(shown) == ["Karmada", "member1", "member2", "member3"])
    shown = karmadactl(*apply, "--server-side", "-C", "member2", stdin=applied)
    warning, *lines = sorted(shown.splitlines(), key=lambda line: "Warning: " not in line)
    assert warning.endswith(
        '"Warning: spec.placement: 1 object leaves clusters that do not fit any more: member1 (1), member3 (1)"'
    )
    assert lines == ["configmap/applied serverside-applied", f"{policy} serverside-applied"]
    assert karmadactl(*apply, "-C", "nope", stdin=applied, code=1) == "error: cluster nope does not exist\n"
    karmadactl("delete", "-f", "-", stdin=applied)
    karmadactl.eventually("get", "cm", "--operation-scope=members", holds=lambda shown: "applied" not in shown)
    karmadactl("delete", policy)

    shown = karmadactl(*apply, "-C", "member1", stdin=SCOPED.replace("NAME", "shop"))
    assert [line.split()[0].rpartition("-")[0] or line.split()[0] for line in shown.splitlines()] == [
        "namespace/shop",
        "clusterpropagationpolicy.policy.karmada.io/shop",
        "clusterrole.rbac.authorization.k8s.io/shop",
        "clusterpropagationpolicy.policy.karmada.io/shop",
        "configmap/inside",
        "propagationpolicy.policy.karmada.io/inside",
    ]
    inside = ("get", "cm", "-n", "shop", "--operation-scope=members")
    karmadactl.eventually(*inside, holds=lambda shown: rows(shown, "NAME", "CLUSTER") == [("inside", "member1")])
    karmadactl("delete", "-f", "-", stdin=SCOPED.replace("NAME", "shop"))
    karmadactl("delete", "cpp", "--all")


def test_promote(karmadactl: Program, member1: Program) -> None:
    member1("create", "-f", "-", stdin=WITH_CONFIG)
    member1("create", "configmap", "alone")
    member1("create", "clusterrole", "old", "--verb=get", "--resource=pods")
    promote = ("promote", "deployment", "old", "-C", "member1")
    assert karmadactl(*promote, "--dry-run") == ""
    template, policy = yaml.safe_load_all(karmadactl(*promote, "-o", "yaml"))
    assert template["metadata"]["annotations"] == {"work.karmada.io/conflict-resolution": "overwrite"}
    assert policy["spec"]["placement"] == {"clusterAffinity": {"clusterNames": ["member1"]}}
    assert "not found" in karmadactl("get", "deploy", "old", code=1)

    shown = karmadactl(*promote, "-d=true")
    assert 'Dependency resource "/v1, Resource=configmaps"(default/settings) is promoted successfully' in shown
    assert 'Resource "apps/v1, Resource=deployments"(default/old) is promoted successfully' in shown
    scope = ("--operation-scope=all", "-C", "member1")
    adopted = [("old", "Karmada", "-"), ("old", "member1", "Y")]
    karmadactl.eventually(
        "get", "deploy", "old", *scope, holds=lambda shown: rows(shown, "NAME", "CLUSTER", "ADOPTION") == adopted
    )
    assert "already exist in karmada control plane" in karmadactl(*promote)
    assert karmadactl("promote", "clusterrole", "old", "-C", "member1").count("successfully") == 3
    shown = karmadactl("promote", "cm", "alone", "-C", "member1", "--auto-create-policy=false")
    assert "Policy" not in shown
    found = rows(karmadactl("get", "cm", "alone", *scope), "CLUSTER", "ADOPTION")
    assert found == [("Karmada", "-"), ("member1", "N")]

    shown = karmadactl("promote", "deploy", "nope", "-C", "member1", code=1)
    assert "the deploy or nope don't exist in cluster(member1)" in shown
    shown = karmadactl("promote", "deploy", "old", "-C", "nope", code=1)
    assert 'clusters.cluster.karmada.io "nope" not found' in shown
    # the policies preserve: what was promoted outlives its template
    karmadactl("delete", "deploy", "old")
    karmadactl("delete", "clusterrole", "old")
    karmadactl.eventually(
        "get",
        "deploy",
        "--operation-scope=members",
        "-C",
        "member1",
        holds=lambda shown: ("old", "N") in rows(shown, "NAME", "ADOPTION"),
    )
    karmadactl("delete", "cm", "alone", "settings")
    member1("delete", "deploy/old", "cm/alone", "cm/settings", "clusterrole/old", "--ignore-not-found")


def test_cordon_and_taint(karmadactl: Program, kubectl: Program) -> None:
    def taints() -> dict[str, tuple[str | None, str]]:
        cluster = kubectl.json("get", "cluster", "member3")
        return {taint["key"]: (taint.get("value"), taint["effect"]) for taint in cluster["spec"].get("taints", ())}

    assert karmadactl("cordon", "member3", "--dry-run") == "member3 cluster cordoned\n"
    assert taints() == {}
    assert karmadactl("cordon", "member3") == "member3 cluster cordoned\n"
    assert karmadactl("cordon", "member3") == "member3 cluster already cordoned\n"
    assert taints() == {"cluster.karmada.io/unschedulable": (None, "NoSchedule")}
    assert karmadactl("uncordon", "member3") == "member3 cluster uncordoned\n"
    assert karmadactl("uncordon", "member3") == "member3 cluster already uncordoned\n"
    missing = 'Error from server (NotFound): clusters.cluster.karmada.io "nope" not found\n'
    assert karmadactl("cordon", "nope", code=1) == missing

    taint = ("taint", "clusters", "member3")
    assert karmadactl(*taint, "a=b:NoSchedule", "c:NoExecute") == "cluster/member3 tainted\n"
    assert taints() == {"a": ("b", "NoSchedule"), "c": (None, "NoExecute")}
    assert "--overwrite is false" in karmadactl(*taint, "a=d:NoSchedule", code=1)
    assert karmadactl(*taint, "a=d:NoSchedule", "--overwrite") == "cluster/member3 modified\n"
    assert taints()["a"] == ("d", "NoSchedule")
    shown = karmadactl(*taint, "e=f:PreferNoSchedule", code=1)
    assert 'The Cluster "member3" is invalid: spec.taints[0].effect: Unsupported value: "PreferNoSchedule"' in shown
    assert "invalid taint effect: Sometimes" in karmadactl(*taint, "e=f:Sometimes", code=1)
    assert karmadactl(*taint, "a-", "c:NoExecute-") == "cluster/member3 untainted\n"
    assert 'taint "a" not found' in karmadactl(*taint, "a-", code=1)
    assert karmadactl("taint", "clusters", "nope", "a=b:NoSchedule", code=1) == missing
    assert taints() == {}


def test_apply_and_patch_in_other_ways(karmadactl: Program, tmp_path: Path) -> None:
    """Dry runs, folders, kustomizations, pruning, patches from files."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("one", "two"):
        labelled = f"{{name: {name}, labels: {{app: pruned}}}}"
        (folder / f"{name}.yaml").write_text(CONFIG.replace("{name: NAME}", labelled))
    assert karmadactl("apply", "-f", str(folder), "--dry-run=server").count("created (server dry run)") == 2
    assert karmadactl("apply", "-f", str(folder), "--dry-run=client").count("created (dry run)") == 2
    assert karmadactl("get", "cm", "-l", "app=pruned").startswith("No resources found")
    assert karmadactl("apply", "-f", str(folder)).count("created") == 2
    (folder / "two.yaml").unlink()
    prune = ("--prune", "-l", "app=pruned", "--prune-allowlist=core/v1/ConfigMap")
    assert "configmap/two pruned" in karmadactl("apply", "-f", str(folder), *prune)
    (folder / "kustomization.yaml").write_text("resources: [one.yaml]\nnamePrefix: k-\n")
    assert karmadactl("apply", "-k", str(folder)) == "configmap/k-one created\n"
    (tmp_path / "patch.yaml").write_text('data: {b: "2"}\n')
    assert karmadactl("patch", "cm", "one", "--patch-file", str(tmp_path / "patch.yaml")) == "configmap/one patched\n"
    assert karmadactl("patch", "-f", str(folder / "one.yaml"), "-p", '{"data":{"c":"3"}}') == "configmap/one patched\n"
    assert karmadactl.json("get", "cm", "one")["data"] == {"a": "1", "b": "2", "c": "3"}
    shown = karmadactl("describe", "cm", "-l", "app=pruned", "-A", "--show-events=false")
    assert shown.count("Name:         ") == 2
    assert karmadactl("delete", "cm", "-l", "app=pruned").count("deleted") == 2


def test_every_command_is_in_the_table(karmadactl: Program) -> None:
    page = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()
    told = page.split("### karmadactl\n", 1)[1].split("\n## ", 1)[0]
    commands = re.findall(r"^  ([a-z-]+) {2,}[A-Z]", karmadactl("--help"), re.MULTILINE)
    assert {"exec", "top", "interpret"} <= set(commands)
    assert [name for name in commands if f"`{name}`" not in told] == []


def test_top_and_what_goes_into_pods(karmadactl: Program) -> None:
    """Simulated members have no kubelets; tests/clusters/test_proxy.py reads logs of real ones."""
    rows = [row.split() for row in karmadactl("top", "pods", "--clusters=member1").splitlines()]
    assert rows[0] == ["NAME", "CLUSTER", "CPU(cores)", "MEMORY(bytes)"]
    assert ["member1", "25m", "16Mi"] in [row[1:] for row in rows]
    nodes = [row.split()[:2] for row in karmadactl("top", "nodes").splitlines()]
    assert ["member2-node-1", "member2"] in nodes
    assert karmadactl("top", "pods", "--clusters=nope", code=1) == "error: clusters don't exist: nope\n"
    (pod,) = karmadactl(
        "get", "pods", "-l", "app=nginx", "-o", "name", "--operation-scope=members", "-C", "member1"
    ).split()
    pod = pod.removeprefix("pod/")
    assert "no kubelet of node member1-node-" in karmadactl("logs", pod, "-C", "member1", code=1)
    assert "container c is not valid" in karmadactl("logs", pod, "-c", "c", "-C", "member1", code=1)
    assert 'pods "nope" not found' in karmadactl("logs", "nope", "-C", "member1", code=1)
    inside = ("--operation-scope=members", "--cluster=member1")
    assert 'pods "nope" not found' in karmadactl("exec", "nope", *inside, "--", "date", code=1)
    assert 'pods "nope" not found' in karmadactl("attach", "nope", *inside, code=1)
    assert f'pods "{pod}" not found' in karmadactl(
        "exec", pod, "--", "date", code=1
    )  # there are none in the control plane


def test_join_and_unjoin_refuse(karmadactl: Program, member1: Program, tmp_path: Path) -> None:
    access = f"--cluster-kubeconfig={member1.environment['KUBECONFIG']}"
    shown = karmadactl("join", "member1", access, code=1)
    assert shown.endswith("or the cluster name member1 has been registered\n")
    assert "invalid cluster name(UPPER)" in karmadactl("join", "UPPER", access, code=1)
    assert 'context "nope" does not exist' in karmadactl("join", "other", access, "--cluster-context=nope", code=1)
    assert 'context "nope" does not exist' in karmadactl("join", "other", access, "--karmada-context=nope", code=1)
    nowhere = tmp_path / "nowhere"
    assert "failed to get joining cluster config" in karmadactl(
        "join", "other", f"--cluster-kubeconfig={nowhere}", code=1
    )
    assert "no cluster object nope found in karmada control Plane" in karmadactl("unjoin", "nope", code=1)
    assert karmadactl("unjoin", "member1", "--dry-run") == ""
    assert 'deployments.apps "karmada-agent" not found' in karmadactl("unregister", "member1", access, code=1)
    assert len(rows(karmadactl("get", "clusters"), "NAME")) == 3


def test_unjoin(karmadactl: Program, kubectl: Program) -> None:
    karmadactl("apply", "-f", "-", "-C", "member3", stdin=CONFIG.replace("NAME", "left"))
    karmadactl("unjoin", "member3", "--wait=90s")
    assert [name for (name,) in rows(karmadactl("get", "clusters"), "NAME")] == ["member1", "member2"]
    kubectl.eventually("get", "namespaces", holds=lambda shown: "karmada-es-member3" not in shown)
    karmadactl("create", "-f", "-", stdin=SIMULATED)
    kubectl("wait", "cluster/member3", "--for=condition=Ready", "--timeout=90s")
    karmadactl.eventually(
        "get",
        "cm",
        "--operation-scope=members",
        holds=lambda shown: ("left", "member3") in rows(shown, "NAME", "CLUSTER"),
    )
    karmadactl("delete", "cm", "left")


def test_tokens(karmadactl: Program, demo: Any) -> None:
    own = f"--kubeconfig={demo.kubeconfig}"
    assert karmadactl("token", "list") == ""
    token = karmadactl("token", "create", "--ttl=1h", "--description=mine").strip()
    (shown,) = rows(karmadactl("token", "list"), "TOKEN", "DESCRIPTION", "USAGES")
    assert shown == (token, "mine", "authentication,signing")
    command = karmadactl("token", "create", "--print-register-command", own)
    assert command.startswith(f"karmadactl register {demo.server.removeprefix('https://')} --token ")
    for line in rows(karmadactl("token", "list"), "TOKEN"):
        name = line[0].partition(".")[0]
        assert karmadactl("token", "delete", line[0]) == f'bootstrap token "{name}" deleted\n'
    assert "not found" in karmadactl("token", "delete", token, code=1)


def test_help_for_the_shell(karmadactl: Program) -> None:
    assert "karmadactl version: version.Info" in karmadactl("version")
    assert "--kubeconfig" in karmadactl("options")
    for shell in ("bash", "zsh", "fish"):
        assert "karmadactl" in karmadactl("completion", shell)
    assert karmadactl("__complete", "get", "deploy", "").startswith("nginx\n")
    assert karmadactl("__complete", "get", "-C", "").splitlines()[:3] == ["member1", "member2", "member3"]
    assert "propagationpolicies.policy.karmada.io\n" in karmadactl("__complete", "get", "propa")
