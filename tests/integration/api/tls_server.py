"""A server with TLS that kafila asks, and the kubeconfig that leads to it."""

from __future__ import annotations

import base64
import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from kafila.identity.certificates import issue, new_authority

TOKEN = "ours"


@contextlib.contextmanager
def tls_server(handler: type[BaseHTTPRequestHandler], path: str, folder: Path) -> Iterator[Path]:
    """The kubeconfig, with ``TOKEN``."""
    authority = new_authority("webhook-ca")
    pair = issue(authority, "webhook", hosts=["127.0.0.1"])
    (folder / "server.pem").write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = f"https://127.0.0.1:{server.server_port}{path}"
    data = base64.b64encode(authority.certificate).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": where, "certificate-authority-data": data}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
    }
    (folder / "webhook.yaml").write_text(yaml.safe_dump(config))
    try:
        yield folder / "webhook.yaml"
    finally:
        server.shutdown()
        server.server_close()
