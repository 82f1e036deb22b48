"""The two servers: kube-apiserver with etcd, started as members are in ``tests/clusters``, and ``kafila serve``."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

import yaml
from clusters.harness import LOOPBACK, ControlPlane, Etcd, Member, Options, built, wait_until

# As Karmada starts its kube-apiserver: objects are templates, so no account's token is mounted into them.
ADMISSION = "--disable-admission-plugins=ServiceAccount,StorageObjectInUseProtection"
FAIRNESS = "--enable-priority-and-fairness=true"  # Kubernetes' default
ISSUER = "--service-account-issuer=https://kubernetes.default.svc.cluster.local"  # as kafila's
CIDR = "10.96.0.0/16"
IDLE = 30.0  # seconds after which a connection is not used again
READY_AFTER = ("/api/v1/namespaces/default", "/api/v1/namespaces/default/services/kubernetes")


class Answer(NamedTuple):
    status: int
    headers: dict[str, list[str]]
    body: bytes


@final
class Server:
    """One of the two, over TLS with an administrator's certificate. A connection per thread."""

    def __init__(
        self, name: str, port: int, authority: bytes, certificate: bytes, key: bytes, kubeconfig: Path
    ) -> None:
        self.name, self.kubeconfig = name, kubeconfig
        self._port = port
        self._threads = threading.local()
        self._context = ssl.create_default_context(cadata=authority.decode())
        self._without_certificate = ssl.create_default_context(cadata=authority.decode())
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(certificate + b"\n" + key)
            pem.flush()
            self._context.load_cert_chain(pem.name)

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        connection = getattr(self._threads, "connection", None)
        if connection is not None and time.monotonic() > self._threads.used + IDLE:  # the server may close it any time
            connection.close()
            connection = None
        if "Authorization" in headers:  # who asks is said by the token
            connection = http.client.HTTPSConnection(
                LOOPBACK, self._port, timeout=60, context=self._without_certificate
            )
        elif connection is None:
            connection = http.client.HTTPSConnection(LOOPBACK, self._port, timeout=60, context=self._context)
            self._threads.connection = connection
        try:
            connection.request(method, path, body, {"User-Agent": "diff/1", **headers})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # what comes next gets a new connection
            self._threads.connection = None
            raise
        if "Authorization" in headers:
            connection.close()
        else:
            self._threads.used = time.monotonic()
        found: dict[str, list[str]] = {}
        for name, value in response.getheaders():
            found.setdefault(name.lower(), []).append(value)
        return Answer(response.status, found, content)

    def read(self, path: str) -> Any:
        """The document at ``path``; None where there is none."""
        answer = self.send("GET", path, {}, None)
        return json.loads(answer.body) if answer.status == 200 else None


class _Reference(Member):
    def __init__(self, root: Path, folder: Path, etcd: Etcd, flags: Sequence[str]) -> None:
        self._more = flags
        super().__init__("reference", root, folder, etcd, Options())

    def _apiserver_flags(self, etcd: Etcd) -> list[str]:
        flags = [flag for flag in super()._apiserver_flags(etcd) if not flag.startswith("--service-account-issuer=")]
        return [*flags, ADMISSION, FAIRNESS, ISSUER, *self._more]


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kafila-diff-", dir=shared) as folder:
        Path(folder).chmod(0o711)  # as root, kafila runs its PostgreSQL as another user, who has to pass through
        yield Path(folder)


@contextlib.contextmanager
def reference(*flags: str) -> Iterator[Server]:
    """kube-apiserver without controller manager, with more ``flags``."""
    with _folder() as folder:
        root = built()
        etcd = Etcd(root, folder)
        member = _Reference(root, folder / "reference", etcd, flags)
        try:
            etcd.start()
            member.launch()
            member.wait_ready()
            tls = member.tls
            server = Server(
                "kube-apiserver", member.port, tls.authority, tls.certificate, tls.key, kubeconfig=member.kubeconfig
            )
            for path in READY_AFTER:  # made by hooks after the start
                wait_until(path, lambda path=path: server.send("GET", path, {}, None).status == 200, member.apiserver)
            yield server
        finally:
            member.apiserver.stop(signal.SIGKILL)
            etcd.process.stop(signal.SIGKILL)


@contextlib.contextmanager
def kafila(*flags: str) -> Iterator[Server]:
    """``kafila serve`` with none of the controllers that kube-apiserver has not."""
    with _folder() as folder:
        plane = ControlPlane(folder / "kafila", folder, "--controllers=", f"--service-cidr={CIDR}", *flags)
        try:
            plane.start()
            config = yaml.safe_load(plane.kubeconfig.read_text())
            cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
            pem = [
                base64.b64decode(where[field])
                for where, field in (
                    (cluster, "certificate-authority-data"),
                    (user, "client-certificate-data"),
                    (user, "client-key-data"),
                )
            ]
            yield Server("kafila", plane.port, *pem, kubeconfig=plane.kubeconfig)
        finally:
            plane.stop()
