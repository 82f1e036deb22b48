"""EKS' credential plugin, unmodified, in a kubeconfig as `aws eks update-kubeconfig` writes it: kafila shows what kubectl shows."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from kafila.identity.certificates import issue, new_authority
from kafila.members.kubeconfig import load
from tests.clients.conftest import built

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
NAMESPACE = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "kube-system", "uid": "u"}}


class Server:
    """An API server of one object, that keeps who asked."""

    def __init__(self) -> None:
        self.authority = new_authority("eks-ca")
        self.shown: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    async def _listen(self) -> None:
        pair = issue(self.authority, "eks", hosts=["127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(pair.certificate + b"\n" + pair.key)
            file.flush()
            context.load_cert_chain(file.name)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = [line.partition(": ") for line in head.splitlines()]
                self.shown += [value for name, _, value in lines if name.lower() == "authorization"]
                body = json.dumps(NAMESPACE).encode()
                start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
                writer.write(start + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    package = "sigs.k8s.io/aws-iam-authenticator/cmd/aws-iam-authenticator"
    return built(package, tmp_path_factory.mktemp("plugins"), "plugins")


def read(header: str) -> dict[str, Any]:
    """The signed URL in a token of EKS', without what differs from call to call."""
    token = header.removeprefix("Bearer k8s-aws-v1.")
    url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    query = {
        name: value for name, value in parse_qs(url.query).items() if name not in ("X-Amz-Date", "X-Amz-Signature")
    }
    return {"host": url.netloc, **query}


async def test_it_is_run_as_kubectl_runs_it(
    server: Server, plugins: Path, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{plugins}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "an example")
    monkeypatch.setenv("HOME", str(tmp_path))
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws-iam-authenticator",
        "args": ["token", "-i", "member1"],
        "env": [{"name": "AWS_ACCESS_KEY_ID", "value": "AKIAEXAMPLE"}, {"name": "AWS_REGION", "value": "eu-west-1"}],
        "provideClusterInfo": False,
    }
    authority = base64.b64encode(server.authority.certificate).decode()
    cluster = {"server": f"https://127.0.0.1:{server.port}", "certificate-authority-data": authority}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "eks",
        "clusters": [{"name": "eks", "cluster": cluster}],
        "users": [{"name": "eks", "user": {"exec": plugin}}],
        "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "eks"}}],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(document))
    command = [programs / "kubectl", f"--kubeconfig={kubeconfig}", "get", "--raw", "/api/v1/namespaces/kube-system"]
    await asyncio.to_thread(subprocess.run, command, check=True, stdin=subprocess.DEVNULL)
    theirs, server.shown = read(server.shown[-1]), []
    client = load(kubeconfig).client()
    try:
        for _ in range(2):  # it is asked once: what it answered lasts for a quarter of an hour
            assert (await client.get("/api/v1/namespaces/kube-system"))["metadata"]["uid"] == "u"
    finally:
        await client.close()
    assert read(server.shown[-1]) == theirs
    assert theirs["host"].startswith("sts.")
    assert len(set(server.shown)) == 1
