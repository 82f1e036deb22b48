"""The events of kafila beside those of kube-apiserver, for one policy and the same requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clusters.harness import wait_until

from differential.servers import Server, kafila, reference

pytestmark = [pytest.mark.clusters, pytest.mark.timeout(900)]
Object = dict[str, Any]
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
- {level: None, nonResourceURLs: ["/healthz*", "/readyz*"]}
- {level: None, users: ["system:apiserver"]}
- {level: None, namespaces: [kube-system, kube-public, kube-node-lease], userGroups: ["system:masters"]}
- {level: Metadata, resources: [{group: "", resources: [secrets, "serviceaccounts/token"]}]}
- {level: Request, resources: [{group: "", resources: [configmaps], resourceNames: [request]}]}
- {level: RequestResponse, resources: [{group: "", resources: [configmaps]}], omitStages: [RequestReceived]}
- {level: Metadata, nonResourceURLs: ["/version", "/api*"]}
- {level: Metadata, resources: [{group: "", resources: ["*"]}, {group: apps}]}
"""
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"Content-Type": "application/json"}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    },
}


def configmap(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **({"data": data} if data else {})}


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}
JANE = {"Impersonate-User": "jane", "Impersonate-Group": "team"}
REQUESTS: list[tuple[str, str, dict[str, str], Any]] = [
    ("GET", "/version", {}, None),
    ("GET", "/api/v1", {}, None),
    ("POST", CONFIGMAPS, JSON, configmap("a", x="1")),
    ("POST", CONFIGMAPS, JSON, configmap("a", x="1")),
    ("POST", CONFIGMAPS, JSON, configmap("A_b")),
    ("POST", CONFIGMAPS, JSON, {**configmap("a"), "metadata": {"generateName": "g-"}}),
    ("GET", f"{CONFIGMAPS}/a", {}, None),
    ("GET", f"{CONFIGMAPS}/nope", {}, None),
    ("GET", f"{CONFIGMAPS}/request", {}, None),
    ("PUT", f"{CONFIGMAPS}/a", JSON, configmap("a", x="2")),
    ("PUT", f"{CONFIGMAPS}/request", JSON, configmap("request", x="2")),
    ("PATCH", f"{CONFIGMAPS}/a", {"Content-Type": "application/merge-patch+json"}, {"data": {"x": "3"}}),
    ("DELETE", f"{CONFIGMAPS}/a", JSON, {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}),
    ("DELETE", f"{CONFIGMAPS}/nope", {}, None),
    ("POST", "/api/v1/namespaces/default/secrets", JSON, SECRET),
    ("GET", "/api/v1/namespaces/default/secrets?limit=5", {}, None),
    ("GET", "/api/v1/namespaces/default/secrets/s", JANE, None),
    ("GET", "/api/v1/pods?watch=true&timeoutSeconds=1", {}, None),
    ("GET", "/api/v1/nodes?watch=true&timeoutSeconds=1", JANE, None),
    ("GET", "/api/v1/namespaces/default", {"X-Forwarded-For": "10.0.0.1, nonsense", "X-Real-Ip": "10.0.0.2"}, None),
    ("GET", "/api/v1/pods", {"Authorization": "Bearer wrong"}, None),
    ("GET", "/api/v1/pods", {"User-Agent": "x" * 2000}, None),
    ("GET", "/api/v1/services?fieldSelector=metadata.name%3Dkubernetes", {}, None),
    ("GET", "/apis/apps/v1/deployments", {}, None),
    ("POST", "/apis/apps/v1/namespaces/default/deployments", JSON, DEPLOYMENT),
    ("PATCH", "/apis/apps/v1/namespaces/default/deployments/d/scale",
     {"Content-Type": "application/merge-patch+json"}, {"spec": {"replicas": 2}}),
    ("DELETE", "/apis/apps/v1/namespaces/default/deployments", {}, None),
    ("GET", "/apis/apps/v1/nothings", {}, None),
    ("GET", "/nowhere", {}, None),
]  # fmt: skip


def recorded(server: Server, log: Path) -> list[list[Object]]:
    """The events of each request."""
    ids = []
    for at, (method, path, headers, body) in enumerate(REQUESTS):
        ids.append(f"request-{at}")
        content = None if body is None else json.dumps(body).encode()
        answer = server.send(method, path, {**headers, "Audit-ID": ids[-1]}, content)
        assert answer.headers["audit-id"] == [ids[-1]]

    def read() -> list[list[Object]]:
        events = [json.loads(line) for line in log.read_bytes().splitlines()]
        return [[event for event in events if event["auditID"] == one] for one in ids]

    last = REQUESTS.index(("GET", "/apis/apps/v1/nothings", {}, None))
    wait_until("the last event", lambda: read()[last])
    return read()


VOLATILE = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink")


def steady(value: Any) -> Any:
    """Without what differs from run to run."""
    if isinstance(value, list):
        return [steady(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {name: steady(item) for name, item in value.items() if name not in VOLATILE}
    for name in ("requestReceivedTimestamp", "stageTimestamp"):
        if name in out:
            assert len(out[name]) == len("2026-11-29T14:00:00.000000Z")
            out[name] = ""
    if str(out.get("name", "")).startswith("g-"):
        out["name"] = "g-"  # generated
    if out.get("kind") == "DeleteOptions":
        out["apiVersion"] = ""  # kube-apiserver records meta.k8s.io/__internal, whatever was sent
    out.pop("authenticationMetadata", None)  # which kind of impersonation: there is one only here
    if "user" in out:
        out["user"].pop("extra", None)  # which credential
        if out["user"].get("username") == "system:admin":  # as kafila calls its administrator
            out["user"]["username"] = "admin"
    return out


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[list[Object]], list[list[Object]]]:
    folder = tmp_path_factory.mktemp("audit")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    logs = [folder / "reference.log", folder / "kafila.log"]

    def flags(log: Path) -> list[str]:
        return [f"--audit-policy-file={policy}", f"--audit-log-path={log}"]

    with reference(*flags(logs[0])) as server:
        theirs = recorded(server, logs[0])
    with kafila(*flags(logs[1])) as server:
        ours = recorded(server, logs[1])
    return theirs, ours


@pytest.mark.parametrize("at", range(len(REQUESTS)), ids=[f"{at}-{r[0]}-{r[1]}" for at, r in enumerate(REQUESTS)])
def test_the_events_are_those_of_kube_apiserver(events: tuple[list[list[Object]], list[list[Object]]], at: int) -> None:
    theirs, ours = ([steady(event) for event in side[at]] for side in events)
    assert [event["stage"] for event in ours] == [event["stage"] for event in theirs]
    assert ours == theirs
    assert [list(event) for event in ours] == [list(event) for event in theirs]
