"""A ``kafila serve`` as strangers meet it: bare TLS connections, its log, its metrics and its memory."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

import yaml

from kafila.core.values import Object
from tests.integration.conftest import KAFILA
from tests.waiting import wait_until

PATIENCE = 60.0  # seconds for anything that has to come


@final
class Front:
    def __init__(self, folder: Path, process: subprocess.Popen[str], lines: list[str]) -> None:
        self.folder = folder
        self.process = process
        self.lines = lines  # of its log so far
        given = yaml.safe_load((folder / "kubeconfig").read_text())
        at = urlsplit(given["clusters"][0]["cluster"]["server"])
        self.address = (at.hostname or "", at.port or 0)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._admin = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._admin.load_verify_locations(folder / "pki/ca.crt")
        user = given["users"][0]["user"]
        self._admin.load_cert_chain(_written(folder, user, "certificate"), _written(folder, user, "key"))

    def plain(self, source: str = "") -> socket.socket:
        return socket.create_connection(self.address, PATIENCE, (source, 0) if source else None)

    def connect(self, source: str = "") -> ssl.SSLSocket:
        """As nobody."""
        return self._tls.wrap_socket(self.plain(source))

    def as_admin(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        source = ("127.0.0.3", 0) if path == "/metrics" else None
        connection = http.client.HTTPSConnection(
            *self.address, context=self._admin, timeout=PATIENCE, source_address=source
        )
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def admin(self) -> ssl.SSLSocket:
        return self._admin.wrap_socket(self.plain(), server_hostname=self.address[0])

    def refused(self, reason: str) -> int:
        """How often, as Prometheus is told, who has an address of his own."""
        text = self.as_admin("GET", "/metrics")[1].decode()
        found = re.search(rf'^kafila_refused_total{{reason="{reason}"}} (\S+)', text, re.M)
        return int(float(found[1])) if found else 0

    def logged(self, **fields: Any) -> list[Object]:
        """Lines of the log, every one of which is JSON."""
        found = [json.loads(line) for line in self.lines]
        return [line for line in found if fields.items() <= line.items()]

    def logs(self, **fields: Any) -> list[Object]:
        """What it has logged once it has logged this: its log is read by a thread."""
        wait_until(lambda: bool(self.logged(**fields)))
        return self.logged(**fields)

    def memory(self, field: str = "VmHWM") -> int:
        """Bytes: VmHWM, the most that it ever had, VmRSS, VmSize."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M)[1]) << 10  # type: ignore[index]

    def forget_peak(self) -> int:
        """VmHWM from now on is of what comes; what it is now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.memory()


def once_in_a_while(told: list[Object]) -> bool:
    """Whether there is a minute between two lines about the same refusal, however long the tests took."""
    at = [datetime.fromisoformat(line["timestamp"]) for line in told]
    return all(later - earlier > timedelta(seconds=59) for earlier, later in itertools.pairwise(at))


def _written(folder: Path, user: Object, what: str) -> Path:
    import base64

    file = folder / f"admin.{what}"
    file.write_bytes(base64.b64decode(user[f"client-{what}-data"]))
    return file


def exchange(stream: socket.socket, sent: bytes) -> bytes:
    """Everything that is answered until the server hangs up."""
    stream.sendall(sent)
    return rest(stream)


def rest(stream: socket.socket) -> bytes:
    found = []
    with contextlib.suppress(ConnectionError, ssl.SSLError):  # cut, not closed: it is over all the same
        while part := stream.recv(1 << 16):
            found.append(part)
    return b"".join(found)


def flood(stream: socket.socket, piece: bytes, most: int) -> tuple[int, bytes]:
    """Sends until the server hangs up or ``most`` bytes are gone: how many went, and the answer."""
    sent = 0
    try:
        while sent < most:
            stream.sendall(piece)
            sent += len(piece)
    except (ConnectionError, ssl.SSLError):
        pass
    return sent, rest(stream)


@contextlib.contextmanager
def front(*flags: str, limits: Callable[[], None] | None = None, folder: Path | None = None) -> Iterator[Front]:
    """``limits`` is called in the process before the program begins. ``folder``: of its data, else a new one."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            made = tempfile.TemporaryDirectory(prefix="kafila-front-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
        folder.chmod(0o711)  # as root PostgreSQL is another user, who passes through
        command = [KAFILA, "serve", "--data-dir", folder, "--bind", "127.0.0.1:0", *flags]
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=limits, cwd=folder
        )
        assert process.stderr is not None
        stderr, lines, ready = process.stderr, list[str](), threading.Event()

        def read() -> None:
            for line in stderr:
                lines.append(line)
                if '"event": "ready"' in line:
                    ready.set()
            ready.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            assert ready.wait(PATIENCE), "".join(lines)
            assert process.poll() is None, "".join(lines)
            yield Front(folder, process, lines)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            reader.join()
            stderr.close()
