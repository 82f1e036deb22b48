"""Webhooks and APIServices may lead anywhere, as over kube-apiserver: to the control plane itself, or to a server of the cloud. Nothing is
handed over there, and nothing is read."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kafila.core.values import Object
from kafila.identity.certificates import issue, new_authority
from tests.attack.front import Front, front
from tests.integration.api.conftest import Api, configmap
from tests.integration.webhook_server import BUNDLE, configuration
from tests.waiting import wait_until

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
TEMPLATES = "/api/v1/namespaces/default/podtemplates"  # nobody else makes any
SECRETS = "/api/v1/namespaces/default/secrets"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
SECRET = "an-answer-of-the-cloud"


@pytest.fixture(scope="module")
def believing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A control plane that believes the certificate which it shows to extension servers, as kubeadm sets kube-apiserver up."""
    folder = tmp_path_factory.mktemp("front-proxy")
    authority = new_authority("front-proxy-ca")
    pair = issue(authority, "front-proxy-client")
    flags = {
        "requestheader-client-ca-file": _written(folder / "ca.crt", authority.certificate),
        "proxy-client-cert-file": _written(folder / "client.crt", pair.certificate),
        "proxy-client-key-file": _written(folder / "client.key", pair.key),
    }
    with front(*(f"--{name}={file}" for name, file in flags.items())) as control_plane:
        yield control_plane


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def made(control_plane: Front, path: str, body: Object) -> tuple[int, bytes]:
    return control_plane.as_admin("POST", path, json.dumps(body).encode(), **{"Content-Type": "application/json"})


def test_a_webhook_that_is_the_control_plane_itself_is_asked_by_nobody(believing: Front) -> None:
    """A review that is posted to where objects are made comes without any credential."""
    bundle = base64.b64encode((believing.folder / "pki/ca.crt").read_bytes()).decode()
    hook = {
        "name": "itself.example.com",
        "clientConfig": {"url": f"https://localhost:{believing.address[1]}{TEMPLATES}", "caBundle": bundle},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    status, body = made(believing, hooks, configuration("Validating", "itself", hook))
    assert status == 201, body
    try:
        said: list[bytes] = []

        def asked() -> bool:
            said.append(made(believing, SECRETS, {"metadata": {"generateName": "s-"}})[1])
            return b"itself.example.com" in said[-1]

        wait_until(asked)
        assert rb"User \"system:anonymous\" cannot create resource \"podtemplates\"" in said[-1]
        assert json.loads(believing.as_admin("GET", TEMPLATES)[1])["items"] == []
    finally:
        believing.as_admin("DELETE", f"{hooks}/itself")


def test_an_apiservice_that_is_the_control_plane_itself_goes_round_no_circle(believing: Front) -> None:
    """It is asked whether it serves the group, which it does when it does: so it never begins to."""
    service = {"metadata": {"name": "itself"}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
    assert made(believing, "/api/v1/namespaces/default/services", service)[0] == 201
    spec = {
        "group": "loop.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 10,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": "default", "name": "itself", "port": believing.address[1]},
    }
    assert made(believing, APISERVICES, {"metadata": {"name": "v1.loop.example.com"}, "spec": spec})[0] == 201
    path = f"{APISERVICES}/v1.loop.example.com"
    try:
        wait_until(lambda: b"FailedDiscoveryCheck" in believing.as_admin("GET", path)[1])
        for _ in range(3):
            assert believing.as_admin("GET", "/apis/loop.example.com/v1/foos")[0] == 503
        [condition] = json.loads(believing.as_admin("GET", path)[1])["status"]["conditions"]
        assert condition["status"] == "False"
        assert ": 503" in condition["message"]
    finally:
        believing.as_admin("DELETE", path)


@asynccontextmanager
async def without_tls() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server as clouds have them at 169.254.169.254: whoever asks it in plain HTTP is told. Its port, and what came first."""
    came: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(1 << 16))
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(SECRET)}\r\n\r\n{SECRET}".encode())
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()


@pytest.mark.parametrize("kind", ["Mutating", "Validating"])
async def test_who_speaks_no_tls_is_told_nothing_and_tells_nothing(api: Api, kind: str) -> None:
    async with without_tls() as (port, came):
        hook: dict[str, Any] = {
            "name": "cloud.example.com",
            "clientConfig": {"url": f"https://127.0.0.1:{port}/latest/meta-data", "caBundle": BUNDLE},
            "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        path = f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}webhookconfigurations"
        await api.made(path, configuration(kind, "cloud", hook))
        answer = await api.post(CONFIGMAPS, configmap("x"))
        assert answer.status_code == 500
        assert "cloud.example.com" in answer.text
        assert SECRET not in answer.text
        assert came
        assert all(first.startswith(b"\x16\x03") for first in came), "a handshake, and nothing of the object"


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "127.0.0.1", "localhost"])
async def test_no_host_is_refused_but_plain_http_is(api: Api, host: str) -> None:
    """Kubernetes' answers: who writes configurations is trusted with where they lead."""
    hook: dict[str, Any] = {
        "name": "it.example.com",
        "clientConfig": {"url": f"https://{host}/latest/meta-data"},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    assert (await api.post(path, configuration("Validating", "a", hook))).status_code == 201
    hook["clientConfig"]["url"] = f"http://{host}/latest/meta-data"
    answer = await api.post(path, configuration("Validating", "b", hook))
    assert answer.status_code == 422
    assert "'https' is the only allowed URL scheme" in answer.text
