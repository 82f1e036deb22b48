"""search.karmada.io over real members: the cache, one API over all of them, and the same questions to Karmada's own server."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_federation import Federation, condition
from cluster_harness import LOOPBACK, Etcd, Member, Process, built, free_ports, kubectl
from cluster_opensearch import OpenSearchNode

SEARCH = "/apis/search.karmada.io/v1alpha1/search/cache"
PROXYING = "/apis/search.karmada.io/v1alpha1/proxying/karmada/proxy"
CACHED_FROM = "resource.karmada.io/cached-from-cluster"
HERE = "searched"  # the namespace of these tests in the members
REGISTRY = {
    "apiVersion": "search.karmada.io/v1alpha1",
    "kind": "ResourceRegistry",
    "metadata": {"name": "all"},
    "spec": {
        "targetCluster": {"clusterNames": ["member1", "member2"]},
        "resourceSelectors": [
            {"apiVersion": "v1", "kind": "Pod"},
            {"apiVersion": "v1", "kind": "Node"},
            {"apiVersion": "v1", "kind": "ConfigMap", "namespace": HERE},
        ],
    },
}


class Searched:
    """Both members with objects of ours, and clients that see them as one."""

    def __init__(self, plane: Federation, members: dict[str, Member], folder: Path) -> None:
        self.plane, self.members = plane, members
        self.proxied = folder / "proxied.kubeconfig"
        document = yaml.safe_load(plane.kubeconfig.read_text())
        document["clusters"][0]["cluster"]["server"] += PROXYING
        self.proxied.write_text(yaml.safe_dump(document))

    def raw(self, path: str) -> Any:
        return json.loads(self.plane.kubectl("get", "--raw", path))

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """With the proxying kubeconfig."""
        return kubectl(self.plane.lab.bin / "kubectl", self.proxied, *arguments, stdin=stdin, check=check)

    def said(self, *arguments: str, stdin: str = "") -> str:
        """What is shown, or what it is refused with."""
        try:
            return self.kubectl(*arguments, stdin=stdin)
        except RuntimeError as error:
            return str(error).partition(": ")[2]

    def names(self, *arguments: str) -> list[str]:
        return sorted(self.kubectl("get", "-n", HERE, *arguments, "-o", "name").split())

    def follows(self) -> bool:
        return condition(self.plane.get("resourceregistry", "all"), "Cached").get("status") == "True"


@pytest.fixture(scope="module")
def searched(federation: Federation, member1: Member, member2: Member, tmp_path_factory: Any) -> Iterator[Searched]:
    members = {"member1": member1, "member2": member2}
    found = Searched(federation, members, tmp_path_factory.mktemp("searched"))
    for name, member in members.items():
        member.kubectl("create", "namespace", HERE)
        member.kubectl("create", "configmap", "everywhere", "-n", HERE, f"--from-literal=where={name}")
        member.kubectl("create", "configmap", f"only-{name}", "-n", HERE, f"--from-literal=where={name}")
        member.kubectl("label", "configmap", f"only-{name}", "-n", HERE, f"at={name}")
    member1.kubectl("run", "pod", "-n", HERE, "--image=nginx:1.29", "--restart=Never")
    member1.kubectl("wait", "pod/pod", "-n", HERE, "--for=condition=Ready", "--timeout=90s")
    try:
        yield found
    finally:
        for member in members.values():
            member.kubectl("delete", "namespace", HERE, "--wait=false")


def asked(searched: Searched) -> dict[str, Any]:
    """What both servers are asked, and what they say, without what differs from run to run."""
    pods, maps = f"/api/v1/namespaces/{HERE}/pods", f"/api/v1/namespaces/{HERE}/configmaps"
    paths = {
        "cache: pods": f"{SEARCH}{pods}",
        "cache: a pod": f"{SEARCH}{pods}/pod",
        "cache: no pod": f"{SEARCH}{pods}/none",
        "cache: maps": f"{SEARCH}{maps}",
        "cache: map everywhere": f"{SEARCH}{maps}/everywhere",
        "cache: by label": f"{SEARCH}{maps}?labelSelector=at%3Dmember1",
        "cache: by no label": f"{SEARCH}{maps}?labelSelector=%21at",
        "cache: not selected": f"{SEARCH}/apis/apps/v1/deployments",
        "list": f"{PROXYING}{pods}",
        "list by label": f"{PROXYING}{maps}?labelSelector=at",
        "list by name": f"{PROXYING}{maps}?fieldSelector=metadata.name%3Deverywhere",
        "get": f"{PROXYING}{pods}/pod",
        "get one of one": f"{PROXYING}{maps}/only-member2",
        "not selected": f"{PROXYING}/api/v1/namespaces/default",
        "no resource": f"{PROXYING}/version",
    }
    found = {name: shown(searched, path) for name, path in paths.items()}
    ambiguous = searched.said("get", "configmap", "-n", HERE, "everywhere")
    found["get ambiguous"] = ambiguous.replace("[member2, member1]", "[member1, member2]")  # theirs are in no order
    found["get none"] = searched.said("get", "configmap", "-n", HERE, "none")
    found["create"] = searched.said("run", "other", "-n", HERE, "--image=nginx:1.29")
    found["names"] = searched.names("configmaps,pods", "--chunk-size=1")
    found["logs"] = searched.said("logs", "-n", HERE, "pod")
    found["table"] = [line.split()[0] for line in searched.kubectl("get", "nodes").splitlines()]
    return found


def shown(searched: Searched, path: str) -> Any:
    try:
        found = searched.raw(path)
    except RuntimeError as error:
        return str(error).partition(": ")[2]
    if found.get("kind", "").endswith("List"):
        found["items"] = sorted(
            (plain(item) for item in found["items"]), key=lambda item: json.dumps(item["metadata"], sort_keys=True)
        )
    return plain(found)


def plain(obj: Any) -> Any:
    """Versions by their clusters; without who manages which field, which is not kept."""
    metadata = obj.get("metadata") or {}
    metadata.pop("managedFields", None)
    if version := metadata.get("resourceVersion"):
        metadata["resourceVersion"] = versions(version)
    if not metadata.get("continue", "-"):
        del metadata["continue"]
    return obj


def versions(text: str) -> Any:
    with contextlib.suppress(ValueError):
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(found, dict):
            return sorted(found)
    return text


def changes(searched: Searched) -> list[Any]:
    """A watch from a list's version on, while objects come, change and go in both members."""
    path = f"{PROXYING}/api/v1/namespaces/{HERE}/configmaps"
    start = searched.raw(path)["metadata"]["resourceVersion"]
    member1, member2 = searched.members.values()
    member2.kubectl("create", "configmap", "early", "-n", HERE)
    steps = [
        (member2, "label", "configmap", "early", "seen=yes"),
        (member1, "create", "configmap", "late"),
        (member1, "delete", "configmap", "late"),
        (member2, "delete", "configmap", "early"),
    ]
    program = searched.plane.lab.bin / "kubectl"
    watch = f"{path}?watch=true&resourceVersion={start}&timeoutSeconds=120"
    command = [program, f"--kubeconfig={searched.plane.kubeconfig}", "get", "--raw", watch]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        found = [changed(process)]
        for member, *arguments in steps:
            member.kubectl(*arguments, "-n", HERE)
            found.append(changed(process))
        process.kill()
    return found


def changed(process: subprocess.Popen[str]) -> tuple[Any, ...]:
    """The next event; a stream that stays silent for a minute is ended."""
    silence = threading.Timer(60, process.kill)
    silence.start()
    assert process.stdout is not None
    event = json.loads(process.stdout.readline())
    silence.cancel()
    metadata = event["object"]["metadata"]
    return event["type"], metadata["name"], metadata["annotations"][CACHED_FROM], versions(metadata["resourceVersion"])


@contextlib.contextmanager
def karmadas(searched: Searched, env: dict[str, str] | None = None) -> Iterator[None]:
    """Karmada's own server takes the group over for as long as its APIService is there."""
    plane, root = searched.plane, built()
    with tempfile.TemporaryDirectory(prefix="karmada-search-") as name:
        folder, (port,) = Path(name), free_ports(1)
        etcd = Etcd(root, folder)
        flags = [
            f"--{flag}={plane.kubeconfig}"
            for flag in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        ]
        flags += [
            f"--etcd-servers={etcd.url}",
            f"--secure-port={port}",
            f"--bind-address={LOOPBACK}",
            f"--cert-dir={folder}",
        ]
        server = Process(
            "karmada-search", [root / "bin/karmada-search", *flags], folder / "log", {"HOME": name, **(env or {})}
        )
        service = {"type": "ExternalName", "externalName": "localhost"}
        registration = {
            "group": "search.karmada.io",
            "version": "v1alpha1",
            "groupPriorityMinimum": 2000,
            "versionPriority": 10,
        }
        registration |= {"insecureSkipTLSVerify": True}
        registration |= {"service": {"namespace": "karmada-system", "name": "karmada-search", "port": port}}
        try:
            etcd.start()
            server.start()
            plane.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": "karmada-search", "namespace": "karmada-system"},
                    "spec": service,
                },
                {
                    "apiVersion": "apiregistration.k8s.io/v1",
                    "kind": "APIService",
                    "metadata": {"name": "v1alpha1.search.karmada.io"},
                    "spec": registration,
                },
            )
            plane.kubectl(
                "wait", "apiservice/v1alpha1.search.karmada.io", "--for=condition=Available", "--timeout=120s"
            )
            yield
        finally:
            plane.kubectl("delete", "apiservice", "v1alpha1.search.karmada.io", check=False)
            server.stop()
            etcd.process.stop()


def test_as_karmadas_own(searched: Searched) -> None:
    plane = searched.plane
    plane.apply(REGISTRY)
    plane.eventually("both members are followed", searched.follows)
    ours, our_changes = asked(searched), changes(searched)
    with karmadas(searched):
        assert plane.get("resourceregistry", "all") == {}
        plane.kubectl("create", "-f", "-", stdin=json.dumps(REGISTRY))
        plane.eventually("its cache", lambda: len(searched.raw(f"{SEARCH}/api/v1/nodes")["items"]) == 4)
        plane.eventually(
            "its maps", lambda: len(searched.raw(f"{SEARCH}/api/v1/namespaces/{HERE}/configmaps")["items"]) == 6
        )
        theirs, their_changes = asked(searched), changes(searched)
    plane.eventually("ours again", searched.follows)
    for name, answer in theirs.items():
        assert ours[name] == answer, name
    assert our_changes == their_changes


def test_objects_are_changed_where_they_are(searched: Searched) -> None:
    """Through the proxying kubeconfig: PUT, PATCH, DELETE and logs go to the member, as the caller."""
    plane, (member1, member2) = searched.plane, searched.members.values()
    plane.apply(REGISTRY)
    plane.eventually("both members are followed", searched.follows)
    obj = json.loads(searched.kubectl("get", "configmap", "-n", HERE, "only-member2", "-o", "json"))
    obj["data"]["more"] = "put"
    searched.kubectl("replace", "-f", "-", stdin=json.dumps(obj))
    found = json.loads(member2.kubectl("get", "configmap", "-n", HERE, "only-member2", "-o", "json"))
    assert found["data"] == {"where": "member2", "more": "put"}
    assert CACHED_FROM not in found["metadata"].get("annotations", {})
    searched.kubectl("patch", "configmap", "-n", HERE, "only-member1", "-p", '{"data":{"more":"patch"}}')
    assert "patch" in member1.kubectl("get", "configmap", "-n", HERE, "only-member1", "-o", "yaml")
    assert "first line" in searched.kubectl("logs", "-n", HERE, "pod")
    assert searched.kubectl("exec", "-n", HERE, "pod", "--", "echo", "found") == "found\n"
    assert "STATUS" in searched.kubectl("get", "pods", "-n", HERE, "-o", "wide")
    searched.kubectl("delete", "configmap", "-n", HERE, "only-member1")
    plane.eventually("it is gone", lambda: searched.names("configmaps", "-l", "at=member1") == [])


def test_karmadactl_sees_all_members(searched: Searched) -> None:
    for scope in ("members", "all"):
        shown = searched.plane.karmadactl("get", "configmaps", "-n", HERE, f"--operation-scope={scope}")
        rows = {tuple(line.split()[:2]) for line in shown.splitlines()[1:]}
        assert {("everywhere", "member1"), ("everywhere", "member2")} <= rows, shown


def written(node: OpenSearchNode) -> list[Any]:
    """What is in the indices, but for what members change by themselves."""
    found = []
    for index in ("kubernetes-pod", "kubernetes-node", "kubernetes-configmap"):
        for document in node.documents(index).values():
            if document["kind"] == "ConfigMap" and document["metadata"]["namespace"] != HERE:
                continue  # Karmada has those of all namespaces
            if document["kind"] == "Node":
                document["status"] = sorted(json.loads(document["status"]))
            found.append(document)
    return sorted(found, key=lambda document: json.dumps(document, sort_keys=True))


@pytest.mark.long
def test_the_same_documents_as_karmadas_own(searched: Searched, opensearch: OpenSearchNode, tmp_path: Path) -> None:
    """In one OpenSearch, and when objects are deleted they go from it."""
    plane, (member1, _) = searched.plane, searched.members.values()
    opensearch.clear()
    (tmp_path / "authority.pem").write_bytes(opensearch.authority)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "opensearch", "namespace": "default"}}
    plane.apply({**secret, "data": opensearch.secret})
    store = {"addresses": [opensearch.address], "secretRef": {"namespace": "default", "name": "opensearch"}}
    registry = {**REGISTRY, "spec": {**REGISTRY["spec"], "backendStore": {"openSearch": store}}}
    plane.apply(registry)

    def ready() -> bool:
        return condition(plane.get("resourceregistry", "all"), "BackendStoreReady").get("status") == "True"

    plane.eventually("everything is written", ready)
    ours = written(opensearch)
    assert {document["kind"] for document in ours} == {"Pod", "Node", "ConfigMap"}
    member1.kubectl("create", "configmap", "short", "-n", HERE)
    plane.eventually("one more", lambda: len(written(opensearch)) == len(ours) + 1)
    member1.kubectl("delete", "configmap", "short", "-n", HERE)
    plane.eventually("it is gone", lambda: written(opensearch) == ours)
    plane.kubectl("delete", "resourceregistry", "all")
    opensearch.clear()
    with karmadas(searched, {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}):
        plane.kubectl("create", "-f", "-", stdin=json.dumps(registry))
        plane.eventually("theirs", lambda: len(written(opensearch)) == len(ours))
        theirs = written(opensearch)
        plane.kubectl("delete", "resourceregistry", "all")
    assert theirs == ours
    plane.apply(registry)
    plane.eventually("written again", ready)
    assert written(opensearch) == ours, "Karmada's own documents of these clusters have gone"
