#!/usr/bin/env python3
"""An admission webhook: labels ConfigMaps with who made them, and refuses some. It prints its own configurations, and serves until it is stopped.

    python examples/admission-webhook/server.py 9444 > configurations.yaml &
    kubectl apply -f configurations.yaml

Needs the package ``cryptography``, which kafila has brought.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import ssl
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

OWNER = "example.com/owner"


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """A label with who made the object is set, and a ConfigMap that says ``forbidden`` is refused."""
    found = request["object"]
    if request["operation"] == "CREATE" and "mutate" in request["path"]:
        labels = {**(found["metadata"].get("labels") or {}), OWNER: request["userInfo"]["username"].replace(":", ".")}
        change = [{"op": "add", "path": "/metadata/labels", "value": labels}]
        return {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(change).encode()).decode()}
    if "forbidden" in (found.get("data") or {}):
        return {"allowed": False, "status": {"message": "data.forbidden may not be set"}}
    return {"warnings": ["data.old is deprecated"]} if "old" in (found.get("data") or {}) else {}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = {**review["request"], "path": self.path}
        review = {**review, "request": None, "response": {"uid": request["uid"], "allowed": True, **answer(request)}}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def certificate() -> tuple[bytes, bytes]:
    """A key and a certificate of this machine, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "admission-webhook")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain), made.public_bytes(pem)


def configurations(port: int, authority: bytes) -> dict[str, Any]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE", "UPDATE"]}
    items = []
    for kind, path in (("Mutating", "mutate"), ("Validating", "validate")):
        where = {"url": f"https://127.0.0.1:{port}/{path}", "caBundle": base64.b64encode(authority).decode()}
        hook = {
            "name": "owners.example.com",
            "rules": [rule],
            "clientConfig": where,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"owners": "noted"}},
        }
        items.append(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": f"{kind}WebhookConfiguration",
                "metadata": {"name": "owners"},
                "webhooks": [hook],
            }
        )
    return {"apiVersion": "v1", "kind": "List", "items": items}


def main(port: int) -> None:
    key, authority = certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(key + authority)
        file.flush()
        context.load_cert_chain(file.name)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(json.dumps(configurations(server.server_port, authority)), flush=True)  # JSON is YAML
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 9444)
