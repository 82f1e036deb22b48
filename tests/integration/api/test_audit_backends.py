"""A whole ``kafila serve`` that records: into a file and to a webhook over TLS, by a policy that changes."""

from __future__ import annotations

import base64
import itertools
import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import yaml

from tests.waiting import wait_until

from .conftest import serving
from .tls_server import tls_server

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
OF_CONFIGMAPS = HEAD + "rules: [{level: Metadata, resources: [{resources: [configmaps]}]}]\n"
OF_SECRETS = HEAD + "rules: [{level: Metadata, resources: [{resources: [secrets]}]}]\n"
WRONG = HEAD + "rules: [{level: Everything}]\n"


class Hook(BaseHTTPRequestHandler):
    """Takes what comes, the first batch at its second attempt."""

    attempts: ClassVar[int] = 0
    events: ClassVar[list[dict[str, Any]]] = []
    tokens: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Hook.attempts += 1
        Hook.tokens.add(self.headers["authorization"])
        if Hook.attempts > 1:
            assert sent["kind"] == "EventList"
            Hook.events.extend(sent["items"])
        self.send_response(200 if Hook.attempts > 1 else 503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of a server with TLS."""
    with tls_server(Hook, "/audit", tmp_path) as kubeconfig:
        yield kubeconfig


def administrator(kubeconfig: Path, folder: Path) -> httpx.Client:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    pair = [base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")]
    (folder / "client.pem").write_bytes(b"\n".join(pair))
    context.load_cert_chain(folder / "client.pem")
    return httpx.Client(base_url=cluster["server"], verify=context)


def test_what_is_recorded_leaves_the_process(tmp_path: Path, webhook: Path) -> None:
    data, policy, log = tmp_path / "data", tmp_path / "policy.yaml", tmp_path / "audit.log"
    for part in (tmp_path, *tmp_path.parents[:3]):
        part.chmod(0o711)  # as root PostgreSQL is another user, who passes through
    data.mkdir(mode=0o711)
    policy.write_text(OF_CONFIGMAPS)
    settings = {
        "audit_policy_file": str(policy),
        "audit_log_path": str(log),
        "audit_webhook_config_file": str(webhook),
        "audit_webhook_initial_backoff": 0.05,
        "audit_webhook_batch_max_size": 10,
        "audit_webhook_batch_max_wait": 0.05,
    }

    def recorded() -> list[tuple[str, str]]:
        """Resource and name of each event in the log, whose last line may be on its way."""
        lines = log.read_bytes().split(b"\n")[:-1]
        refs = [json.loads(line)["objectRef"] for line in lines]
        return [(ref["resource"], ref["name"]) for ref in refs]

    def sent() -> list[tuple[str, str]]:
        return [(event["objectRef"]["resource"], event["objectRef"]["name"]) for event in Hook.events]

    asked: list[tuple[str, str]] = []  # what is recorded has two stages each

    with serving(data, **settings) as kubeconfig, administrator(kubeconfig, tmp_path) as client:

        def ask(resource: str, name: str, by_policy: bool) -> None:
            client.get(f"/api/v1/namespaces/default/{resource}/{name}")
            asked.extend([(resource, name)] * 2 * by_policy)

        for number in range(20):
            ask("configmaps", f"c{number}", True)
            ask("secrets", f"s{number}", False)
        wait_until(lambda: len(sent()) >= 40 <= len(recorded()))
        assert sorted(sent()) == sorted(recorded()) == sorted(asked)
        assert Hook.tokens == {"Bearer ours"}
        policy.write_text(OF_SECRETS)

        probes = (f"probe{number}" for number in itertools.count())

        def exchanged() -> bool:
            ask("secrets", next(probes), False)  # which is the first that the new policy wants is not known
            return any(resource == "secrets" for resource, _ in recorded())

        wait_until(exchanged)
        policy.write_text(WRONG)
        wait_until(lambda: 'kafila_audit_policy_reloads_total{status="failure"} 1.0' in client.get("/metrics").text)
        asked.clear()
        for number in range(50):
            ask("secrets", f"kept{number}", True)
            ask("configmaps", f"kept{number}", False)
    kept = [event for event in recorded() if event[1].startswith("kept")]
    assert sorted(kept) == sorted(asked), "what was recorded is written before the process ends"
    assert sorted(sent()) == sorted(recorded()), "and sent"
