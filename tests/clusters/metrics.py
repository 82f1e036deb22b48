"""Servers of metrics for a member, as metrics-server and an adapter of custom metrics are: every node and every pod uses the same."""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from cluster_harness import Member

from kafila.identity.certificates import issue, new_authority

API = "metrics.k8s.io/v1beta1"
CUSTOM = "custom.metrics.k8s.io/v1beta1"
_RESOURCES = [
    {"name": "nodes", "singularName": "", "namespaced": False, "kind": "NodeMetrics", "verbs": ["get", "list"]},
    {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]},
]
_CUSTOM_RESOURCES = [
    {"name": "pods/requests", "singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]}
]
_SAMPLE = {"timestamp": "2026-01-01T00:00:00Z", "window": "10s"}
_NODE = {**_SAMPLE, "usage": {"cpu": "640m", "memory": "1Gi"}}
_POD = {**_SAMPLE, "containers": [{"name": "web", "usage": {"cpu": "25m", "memory": "16Mi"}}]}
_LISTS = {"apiVersion": API, "metadata": {}}


def _discovery(version: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _answer(member: Member, path: str, query: dict[str, list[str]]) -> dict | None:
    if path == f"/apis/{API}":
        return _discovery(API, _RESOURCES)
    if path == f"/apis/{CUSTOM}":
        return _discovery(CUSTOM, _CUSTOM_RESOURCES)
    group, _, rest = path.removeprefix("/apis/").partition("/")
    parts = rest.split("/")[1:]
    namespace = ""
    if parts[:1] == ["namespaces"]:
        namespace, parts = parts[1], parts[2:]
    if not parts or parts[0] not in ("pods", "nodes"):
        return None
    objects = _objects(member, parts[0], namespace, query.get("labelSelector", [""])[0])
    if len(parts) > 1 and parts[1] != "*":
        objects = [each for each in objects if each["metadata"]["name"] == parts[1]]
        if not objects:
            return None
    if group == "custom.metrics.k8s.io":
        return _custom(objects, parts[2]) if len(parts) == 3 and parts[2] == "requests" else None
    kind, used = ("PodMetrics", _POD) if parts[0] == "pods" else ("NodeMetrics", _NODE)
    shown = ("name", "namespace", "labels")
    items = [{"metadata": {k: o["metadata"][k] for k in shown if k in o["metadata"]}, **used} for o in objects]
    if len(parts) > 1:
        return {"kind": kind, "apiVersion": API, **items[0]}
    return {"kind": f"{kind}List", **_LISTS, "items": items}


def _objects(member: Member, plural: str, namespace: str, labels: str) -> list[dict[str, Any]]:
    where = ["-n", namespace] if namespace else ["-A"] if plural == "pods" else []
    return json.loads(member.kubectl("get", plural, *where, "-l", labels, "-o", "json"))["items"]


def _custom(pods: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    items = []
    for pod in pods:
        about = {"kind": "Pod", "apiVersion": "/v1", **{k: pod["metadata"][k] for k in ("namespace", "name")}}
        items.append(
            {"describedObject": about, "metricName": metric, "timestamp": _SAMPLE["timestamp"], "value": "1500m"}
        )
    return {"kind": "MetricValueList", "apiVersion": CUSTOM, "metadata": {}, "items": items}


@contextlib.contextmanager
def metrics_of(member: Member, *more: str) -> Iterator[None]:
    """The member's API server passes metrics.k8s.io on to it, and ``more`` groups with their versions."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            found = _answer(member, unquote(path), parse_qs(query))
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(missing if found is None else found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    pair = issue(new_authority("metrics-ca"), "metrics", hosts=["localhost"])
    with tempfile.TemporaryDirectory(prefix="kafila-metrics-") as name:
        file = Path(name) / "server.pem"
        file.write_bytes(pair.certificate + pair.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = {"name": "metrics-server", "namespace": "kube-system", "port": server.server_port}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "metrics-server", "namespace": "kube-system"},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    services = [_registration(api_version, where) for api_version in (API, *more)]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": [service, *services]})
    names = [f"apiservice/{each['metadata']['name']}" for each in services]
    try:
        member.kubectl("apply", "-f", "-", stdin=listed)
        member.kubectl("wait", *names, "--for=condition=Available", "--timeout=60s")
        yield
    finally:
        member.kubectl("delete", "-f", "-", stdin=listed, check=False)
        server.shutdown()
        server.server_close()


def _registration(api_version: str, where: dict[str, Any]) -> dict[str, Any]:
    group, version = api_version.split("/")
    priorities = {"groupPriorityMinimum": 100, "versionPriority": 100}
    spec = {"group": group, "version": version, **priorities, "insecureSkipTLSVerify": True, "service": where}
    head = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}
    return {**head, "metadata": {"name": f"{version}.{group}"}, "spec": spec}
