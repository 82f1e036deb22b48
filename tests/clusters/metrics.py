"""A server of metrics.k8s.io for a member, as metrics-server is one: every node and every pod uses the same."""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cluster_harness import Member

from kafila.identity.certificates import issue, new_authority

API = "metrics.k8s.io/v1beta1"
_RESOURCES = [
    {"name": "nodes", "singularName": "", "namespaced": False, "kind": "NodeMetrics", "verbs": ["get", "list"]},
    {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]},
]
_SAMPLE = {"timestamp": "2026-01-01T00:00:00Z", "window": "10s"}


def _answer(member: Member, path: str) -> dict | None:
    root = f"/apis/{API}"
    if path == root:
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API, "resources": _RESOURCES}
    if path == f"{root}/nodes":
        nodes = json.loads(member.kubectl("get", "nodes", "-o", "json"))["items"]
        used = {**_SAMPLE, "usage": {"cpu": "640m", "memory": "1Gi"}}
        items = [{"metadata": {"name": node["metadata"]["name"]}, **used} for node in nodes]
        return {"kind": "NodeMetricsList", "apiVersion": API, "metadata": {}, "items": items}
    if path.startswith(root) and path.endswith("/pods"):
        containers = [{"name": "web", "usage": {"cpu": "25m", "memory": "16Mi"}}]
        pods = json.loads(member.kubectl("get", "pods", "-l", "app=nginx", "-o", "json"))["items"]
        shown = [{key: pod["metadata"][key] for key in ("name", "namespace", "labels")} for pod in pods]
        items = [{"metadata": metadata, **_SAMPLE, "containers": containers} for metadata in shown]
        return {"kind": "PodMetricsList", "apiVersion": API, "metadata": {}, "items": items}
    return None


@contextlib.contextmanager
def metrics_of(member: Member) -> Iterator[None]:
    """The member's API server passes metrics.k8s.io on to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = _answer(member, self.path.partition("?")[0])
            body = json.dumps(found).encode()
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
    objects = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "metrics-server", "namespace": "kube-system"},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": where,
            },
        },
    ]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    try:
        member.kubectl("apply", "-f", "-", stdin=listed)
        member.kubectl("wait", "apiservice/v1beta1.metrics.k8s.io", "--for=condition=Available", "--timeout=60s")
        yield
    finally:
        member.kubectl("delete", "-f", "-", stdin=listed, check=False)
        server.shutdown()
        server.server_close()
