"""YAML that is deep, wide or refers to itself, in every body that is read: each is refused, and the process lives on."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from kafila.machinery.yaml import MAX_DEPTH
from tests.integration.api.conftest import APPLY_PATCH, serving

YAML = "application/yaml"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
MAPS = "/api/v1/namespaces/default/configmaps"
BODIES = {
    "deep sequence": b"- " * 30_000,
    "deep flow sequence": b"[" * 30_000,
    "deep mapping": b"{a: " * 30_000,
    "deep keys": b"? " * 30_000,
    "aliases": b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d,*a%d]\n" % (i, i, i - 1, i - 1) for i in range(1, 60)),
    "wide": b"[" + b"a," * 210_000 + b"]",
    "directives": b"".join(b"%%TAG !%d! x\n" % i for i in range(100_000)) + b"---\na: 1\n",
}
PLACES = {
    "review": ("POST", REVIEWS, YAML),
    "create": ("POST", MAPS, YAML),
    "update": ("PUT", f"{MAPS}/one", YAML),
    "apply": ("PATCH", f"{MAPS}/one?fieldManager=me", APPLY_PATCH),
    "delete": ("DELETE", f"{MAPS}/one", YAML),
    "token": ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", YAML),
    "eviction": ("POST", "/api/v1/namespaces/default/pods/one/eviction", YAML),
    "scale": ("PUT", "/apis/apps/v1/namespaces/default/deployments/one/scale", YAML),
}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """An administrator of a process that only these tests ask."""
    with tempfile.TemporaryDirectory(prefix="kafila-yaml-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root PostgreSQL is another user, who passes through
        with serving(folder) as kubeconfig:
            document = yaml.safe_load(kubeconfig.read_text())
            user = document["users"][0]["user"]
            pem = folder / "client.pem"
            pem.write_bytes(
                base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
            )
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.load_cert_chain(pem)
            server = document["clusters"][0]["cluster"]["server"]
            with httpx.Client(base_url=server, verify=context, timeout=60) as found:
                yield found


@pytest.mark.parametrize("body", BODIES)
def test_no_yaml_ends_the_process(client: httpx.Client, body: str) -> None:
    for method, path, media_type in PLACES.values():
        answer = client.request(method, path, content=BODIES[body], headers={"content-type": media_type})
        assert answer.status_code in (400, 404), answer.text
        assert answer.json()["kind"] == "Status"
    assert client.get("/livez").status_code == 200


def test_the_refusal_says_what_is_too_much(client: httpx.Client) -> None:
    answer = client.post(MAPS, content=BODIES["deep sequence"], headers={"content-type": YAML})
    assert answer.json()["reason"] == "BadRequest"
    assert f"yaml: exceeded max depth of {MAX_DEPTH}" in answer.json()["message"]
