"""A real OpenSearch on loopback, by TLS and for one user: its node from Maven, started by a few lines of ours."""

from __future__ import annotations

import base64
import contextlib
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cluster_harness import LOOPBACK, Process, free_ports, wait_until
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12

from kafila.identity.certificates import issue, new_authority

USERNAME, PASSWORD = "writer", "not-so-secret"


class OpenSearchNode:
    """``authority``: PEM of the CA of its certificate."""

    def __init__(self, folder: Path) -> None:
        self.port, transport = free_ports(2)
        self.address = f"https://{LOOPBACK}:{self.port}"
        authority = new_authority("opensearch")
        self.authority = authority.certificate
        home = folder / "home"
        (home / "config").mkdir(parents=True)
        (folder / "authority.pem").write_bytes(self.authority)
        (folder / "node.p12").write_bytes(_pkcs12(authority))
        built = _built()
        command = ["java", "-Xms64m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        command += ["-cp", f"{built}/classes:{built}/lib/*", "Server", str(home), str(self.port), str(transport)]
        command += [str(folder / "node.p12"), f"{USERNAME}:{PASSWORD}"]
        self.process = Process("opensearch", command, folder / "log")
        trusted = ssl.create_default_context(cadata=self.authority.decode())
        self.client = httpx.Client(base_url=self.address, auth=(USERNAME, PASSWORD), verify=trusted, timeout=60)

    def start(self) -> None:
        self.process.start()
        wait_until("opensearch", self._answers, self.process)

    def stop(self) -> None:
        self.process.stop()

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/_cluster/health").status_code == 200
        return False

    @property
    def secret(self) -> dict[str, str]:
        """The data of a Secret with what it takes to write there."""
        found = {"username": USERNAME.encode(), "password": PASSWORD.encode(), "ca.crt": self.authority}
        return {name: base64.b64encode(value).decode() for name, value in found.items()}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()

    def documents(self, index: str) -> dict[str, Any]:
        """By their ids, as they can be read now."""
        if self.client.post(f"/{index}/_refresh").status_code == 404:
            return {}
        found = self.ask("POST", f"/{index}/_search", {"size": 10_000})
        return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}

    def clear(self) -> None:
        self.ask("DELETE", "/kubernetes-*")


@contextlib.contextmanager
def opensearch_node() -> Iterator[OpenSearchNode]:
    if missing := [program for program in ("java", "javac", "mvn") if shutil.which(program) is None]:
        pytest.skip(f"an OpenSearch is built with a JDK 17 and Maven: no {', '.join(missing)} here")
    with tempfile.TemporaryDirectory(prefix="opensearch-") as name:
        node = OpenSearchNode(Path(name))
        try:
            node.start()
            yield node
        finally:
            node.client.close()
            node.stop()


def _pkcs12(authority: Any) -> bytes:
    pair = issue(authority, "node", hosts=[LOOPBACK])
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    key: Any = load_pem_private_key(pair.key, None)
    return pkcs12.serialize_key_and_certificates(b"node", key, certificate, None, BestAvailableEncryption(b"tests"))


def _built() -> Path:
    script = Path(__file__).with_name("build.sh")
    done = subprocess.run([script, "--opensearch"], stdout=subprocess.PIPE, check=True, text=True)
    root = Path(done.stdout.splitlines()[-1])
    (found,) = list(root.glob("opensearch-*"))
    return found
