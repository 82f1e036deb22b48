"""kubectl, unmodified, against a whole process over PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kafila.catalog.version import KUBERNETES_VERSION

from .conftest import Served

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: %(name)s, labels: {app: %(name)s}}
spec:
  replicas: %(replicas)d
  selector: {matchLabels: {app: %(name)s}}
  template:
    metadata: {labels: {app: %(name)s}}
    spec: {containers: [{name: c, image: "nginx:1"}]}
"""


def web(name: str, replicas: int = 1) -> str:
    return WEB % {"name": name, "replicas": replicas}


def test_apply_and_diff(served: Served) -> None:
    manifest = web("applied")
    assert "created" in served.kubectl("apply", "-f", "-", stdin=manifest)
    assert "unchanged" in served.kubectl("apply", "-f", "-", stdin=manifest)
    assert served.kubectl("diff", "-f", "-", stdin=manifest) == ""
    changed = served.kubectl("diff", "-f", "-", stdin=web("applied", 3), check=False)
    assert "+  replicas: 3" in changed
    assert "configured" in served.kubectl("apply", "-f", "-", stdin=web("applied", 3))
    assert served.kubectl("get", "deploy", "applied", "-o", "jsonpath={.spec.replicas}") == "3"


def test_apply_on_the_server_side(served: Served) -> None:
    manifest = web("serverside")
    assert "serverside-applied" in served.kubectl("apply", "--server-side", "-f", "-", stdin=manifest)
    served.kubectl("scale", "deploy", "serverside", "--replicas=5")
    refused = served.kubectl("apply", "--server-side", "-f", "-", stdin=manifest, check=False)
    assert "conflict" in refused
    served.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
    assert served.kubectl("get", "deploy", "serverside", "-o", "jsonpath={.spec.replicas}") == "1"


def test_from_client_side_to_server_side_apply(served: Served) -> None:
    served.kubectl("apply", "-f", "-", stdin=web("migrated"))
    served.kubectl("apply", "--server-side", "-f", "-", stdin=web("migrated"))
    fields = json.loads(served.kubectl("get", "deploy", "migrated", "--show-managed-fields", "-o", "json"))
    operations = {(e["manager"], e["operation"]) for e in fields["metadata"]["managedFields"]}
    assert ("kubectl", "Apply") in operations
    assert ("kubectl-client-side-apply", "Update") not in operations


def test_changing_an_object(served: Served) -> None:
    served.kubectl("create", "-f", "-", stdin=web("changed"))
    assert "AlreadyExists" in served.kubectl("create", "-f", "-", stdin=web("changed"), check=False)
    assert "Edit cancelled, no changes made." in served.kubectl("edit", "deploy", "changed", check=False)
    served.kubectl("patch", "deploy", "changed", "-p", '{"spec":{"replicas":2}}')
    served.kubectl(
        "patch", "deploy", "changed", "--type=json", "-p", '[{"op":"test","path":"/spec/replicas","value":2}]'
    )
    served.kubectl("patch", "deploy", "changed", "--subresource=status", "-p", '{"status":{"replicas":2}}')
    served.kubectl("label", "deploy", "changed", "tier=front")
    served.kubectl("annotate", "deploy", "changed", "note=yes")
    served.kubectl("set", "image", "deploy/changed", "c=nginx:2")
    served.kubectl("scale", "deploy", "changed", "--current-replicas=2", "--replicas=4")
    served.kubectl("rollout", "restart", "deploy/changed")
    shown = served.kubectl("get", "deploy", "-l", "tier=front", "-o", "wide")
    assert shown.splitlines()[0].split() == [
        "NAME",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
        "CONTAINERS",
        "IMAGES",
        "SELECTOR",
    ]
    assert shown.splitlines()[1].split()[1:3] == ["0/4", "0"]
    served.kubectl("replace", "-f", "-", stdin=web("changed"))
    served.kubectl("replace", "--force", "-f", "-", stdin=web("changed"))
    assert "deleted" in served.kubectl("delete", "deploy", "changed")
    assert "NotFound" in served.kubectl("get", "deploy", "changed", check=False)


def test_strict_validation_and_dry_run(served: Served) -> None:
    wrong = web("strict").replace("replicas:", "replicaz:")
    assert 'unknown field "spec.replicaz"' in served.kubectl("create", "-f", "-", stdin=wrong, check=False)
    assert "Warning: unknown field" in served.kubectl(
        "create", "--validate=warn", "--dry-run=server", "-f", "-", stdin=wrong, check=False
    )
    assert "(server dry run)" in served.kubectl("create", "--dry-run=server", "-f", "-", stdin=web("strict"))
    assert "NotFound" in served.kubectl("get", "deploy", "strict", check=False)


def test_waiting(served: Served) -> None:
    served.kubectl("create", "configmap", "waited", "--from-literal=a=b")
    served.kubectl("wait", "--for=jsonpath={.data.a}=b", "configmap/waited", "--timeout=90s")
    served.kubectl("delete", "configmap", "waited")
    served.kubectl("wait", "--for=delete", "configmap/waited", "--timeout=90s")


def test_a_namespace_ends_with_its_content(served: Served) -> None:
    served.kubectl("create", "namespace", "short")
    served.kubectl("create", "configmap", "inside", "-n", "short")
    served.kubectl("delete", "namespace", "short", "--timeout=90s")
    assert "NotFound" in served.kubectl("get", "namespace", "short", check=False)


READING = [
    (("api-resources", "-o", "name"), "deployments.apps"),
    (("api-versions",), "policy.karmada.io/v1alpha1"),
    (("explain", "deployment.spec.replicas"), "FIELD: replicas <integer>"),
    (("explain", "propagationpolicy.spec.placement"), "clusterAffinity"),
    (("explain", "deployment.spec.replicas", "--output=plaintext-openapiv2"), "replicas <integer>"),
    (("auth", "can-i", "create", "pods"), "yes"),
    (("auth", "can-i", "--list"), "*.*"),
    (("auth", "whoami"), "system:admin"),
    (("get", "--raw", "/api/v1/namespaces/default"), '"name":"default"'),
    (("get", "--raw", "/readyz?verbose"), "[+]ping ok"),
    (("version",), f"Server Version: {KUBERNETES_VERSION}"),
    (("cluster-info",), "is running at https://"),
    (("get", "all", "-A"), "service/kubernetes"),
    (("get", "ns", "--sort-by=.metadata.name", "-o", "name"), "namespace/default"),
    (("describe", "service", "kubernetes"), "ClusterIP"),
    (("describe", "namespace", "default"), "Active"),
    (("get", "events"), ""),
    (("events",), ""),
    (("get", "ns", "--chunk-size=1"), "kube-system"),
    (("get", "clusters,propagationpolicies,resourcebindings,works", "-A"), ""),
]


@pytest.mark.parametrize(("arguments", "expected"), READING, ids=lambda v: "-".join(v) if isinstance(v, tuple) else "")
def test_reading(served: Served, arguments: tuple[str, ...], expected: str) -> None:
    assert expected in served.kubectl(*arguments)


def test_tokens(served: Served) -> None:
    served.kubectl("create", "serviceaccount", "robot")
    token = served.kubectl("create", "token", "robot", "--duration=15m").strip()
    refused = served.kubectl(
        "--kubeconfig=/dev/null",
        f"--server={served.server}",
        "--insecure-skip-tls-verify",
        f"--token={token}",
        "get",
        "pods",
        check=False,
    )
    assert 'User "system:serviceaccount:default:robot" cannot list resource "pods"' in refused


def test_events_are_watched_described_and_selected(served: Served) -> None:
    served.kubectl(
        "create", "configmap", "told"
    )  # no workload: nobody else has something to tell of it, however long this takes
    uid = served.kubectl("get", "configmap", "told", "-o", "jsonpath={.metadata.uid}")
    template = 'go-template={{.metadata.name}}={{.count}}{{"\\n"}}'
    with served.started("get", "events", "-w", "--field-selector=involvedObject.name=told", "-o", template) as lines:
        served.kubectl("create", "-f", "-", stdin=json.dumps(event("told.1", uid)))
        assert next(lines) == "told.1=1\n"  # listed or watched, whichever was first
        served.kubectl("patch", "event", "told.1", "--type=strategic", "-p", '{"count": 2}')
        assert next(lines) == "told.1=2\n"
        served.kubectl("create", "-f", "-", stdin=json.dumps(event("told.2", uid)))
        assert next(lines) == "told.2=1\n"
    assert "it is told" in served.kubectl("describe", "configmap", "told")
    listed = served.kubectl("events", "--for", "configmap/told")
    assert "Told" in listed
    served.kubectl("delete", "events", "--field-selector", "involvedObject.name=told")
    assert "No events found" in served.kubectl("events", "--for", "configmap/told", check=False)


def event(name: str, uid: str) -> dict[str, Any]:
    involved = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "told", "uid": uid}
    at = "2026-01-01T00:00:00Z"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": involved,
        "reason": "Told",
        "message": "it is told",
        "type": "Normal",
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
    }
