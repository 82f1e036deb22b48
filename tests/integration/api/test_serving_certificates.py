"""Serving certificates at a whole ``kafila serve``: the user's own, exchanged while clients are served, and ours, renewed."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, final

import pytest
import yaml
from cryptography import x509

from kafila.identity.certificates import KeyPair, issue, new_authority
from kafila.workers.certificates import LOOPBACK
from tests.waiting import wait_until

from .conftest import PATIENCE, serving

KAFILA = Path(sys.executable).with_name("kafila")
USERS = new_authority("users-ca")
HOST = "kafila.example.org"


def put(folder: Path, name: str, pair: KeyPair) -> None:
    """The certificate first, then the key, as most tools do."""
    (folder / f"{name}.crt").write_bytes(pair.certificate)
    (folder / f"{name}.key").write_bytes(pair.key)


@final
class Plane:
    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self.folder, self.kubeconfig, self.data = folder, kubeconfig, kubeconfig.parent
        self.port = int(self.config()["clusters"][0]["cluster"]["server"].rpartition(":")[2])

    def config(self) -> Any:
        return yaml.safe_load(self.kubeconfig.read_text())

    def context(self) -> ssl.SSLContext:
        """The administrator's certificate; it believes the user's authority and ours."""
        user = self.config()["users"][0]["user"]
        file = self.folder / "admin.pem"
        parts = [base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")]
        file.write_bytes(b"\n".join(parts))
        context = ssl.create_default_context(cadata=USERS.certificate.decode())
        context.load_verify_locations(self.data / "pki/ca.crt")
        context.load_cert_chain(file)
        return context

    @contextlib.contextmanager
    def connected(self, name: str) -> Iterator[http.client.HTTPConnection]:
        """Asks for the server of this name, and checks that it is one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.connect()
        connection.sock = self.context().wrap_socket(connection.sock, server_hostname=name)
        with contextlib.closing(connection):
            yield connection

    def ask(self, name: str, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        with self.connected(name) as connection:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def shown(self, name: str) -> int:
        """Serial number of what is shown to who asks for the name; an address asks for nobody."""
        with self.connected(name) as connection:
            der = connection.sock.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number

    def reloads(self, status: str) -> float:
        _, metrics = self.ask(LOOPBACK, "GET", "/metrics")
        wanted = f'kafila_serving_certificate_reloads_total{{status="{status}"}} '
        return sum(float(line.split()[1]) for line in metrics.decode().splitlines() if line.startswith(wanted))

    def run(self, *arguments: str) -> str:
        command = [KAFILA, "certs", *arguments, f"--data-dir={self.data}"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def serial(pair: KeyPair) -> int:
    return x509.load_pem_x509_certificate(pair.certificate).serial_number


FIRST = issue(USERS, "users", hosts=[HOST, "127.0.0.1"])
OF_TEAMS = issue(USERS, "teams", hosts=["*.teams.example.org"])


@pytest.fixture(scope="module")
def plane(module_folder: Path) -> Iterator[Plane]:
    folder = module_folder
    put(folder, "users", FIRST)
    put(folder, "teams", OF_TEAMS)
    data = folder / "data"
    data.mkdir(mode=0o711)
    with serving(
        data,
        tls_cert_file=str(folder / "users.crt"),
        tls_private_key_file=str(folder / "users.key"),
        tls_sni_cert_key=[f"{folder}/teams.crt,{folder}/teams.key"],
    ) as kubeconfig:
        yield Plane(folder, kubeconfig)


def test_who_asks_for_a_name_is_shown_its_certificate(plane: Plane) -> None:
    assert {plane.shown(name) for name in (HOST, "127.0.0.1")} == {serial(FIRST)}
    assert plane.shown("a.teams.example.org") == serial(OF_TEAMS)
    for name in (HOST, "a.teams.example.org", LOOPBACK):  # its client's certificate is believed with each of them
        assert plane.ask(name, "GET", "/api/v1/secrets")[0] == 200


def test_the_kubeconfig_of_the_administrator_fits(plane: Plane, kubectl: Path) -> None:
    done = subprocess.run(
        [kubectl, f"--kubeconfig={plane.kubeconfig}", "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "system:admin"


def test_a_certificate_is_exchanged_while_a_watch_is_open(plane: Plane) -> None:
    second = issue(USERS, "users", hosts=[HOST, "127.0.0.1"])
    path = "/api/v1/namespaces/default/configmaps"
    with plane.connected(HOST) as watching:
        watching.request("GET", f"{path}?watch=true&fieldSelector=metadata.name=seen")
        events = watching.getresponse()
        before = plane.shown(HOST)
        put(plane.folder, "users", second)
        wait_until(lambda: plane.shown(HOST) == serial(second))
        assert before != serial(second)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen"}}
        assert plane.ask(HOST, "POST", path, body)[0] == 201
        event = json.loads(events.readline())
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "seen")
    assert plane.shown("a.teams.example.org") == serial(OF_TEAMS)


def test_a_file_that_is_wrong_leaves_the_old_one_in_force(plane: Plane) -> None:
    before, failures = plane.shown(HOST), plane.reloads("failure")
    other = issue(USERS, "users", hosts=[HOST, "127.0.0.1"])
    (plane.folder / "users.crt").write_bytes(other.certificate)  # and the key of another one
    wait_until(lambda: plane.reloads("failure") > failures)
    assert plane.shown(HOST) == before
    (plane.folder / "users.key").write_bytes(other.key)
    wait_until(lambda: plane.shown(HOST) == serial(other))


def test_an_event_tells_of_an_end_that_nobody_can_put_off(plane: Plane) -> None:
    lifetime = timedelta(days=20)
    put(plane.folder, "users", issue(USERS, "users", hosts=[HOST, "127.0.0.1"], lifetime=lifetime))
    path = "/api/v1/namespaces/default/events?fieldSelector=reason=CertificateExpiring"

    def found() -> list[Any]:
        return json.loads(plane.ask(LOOPBACK, "GET", path)[1])["items"]

    wait_until(lambda: bool(found()))
    (event,) = found()
    assert (event["type"], event["involvedObject"]["kind"], event["involvedObject"]["name"]) == (
        "Warning",
        "Service",
        "kubernetes",
    )
    assert event["message"].startswith("certificate tls-cert-file (shown to clients, from ")


def test_ours_are_renewed_when_somebody_asks_for_it(plane: Plane, kubectl: Path) -> None:
    before = plane.shown(LOOPBACK)
    listed = {each["name"]: each for each in json.loads(plane.run("list", "-o", "json"))}
    assert set(listed) == {"ca", "front-proxy-ca", "apiserver", "admin", "tls-cert-file", "tls-sni-cert-key-0"}
    assert listed["apiserver"]["serialNumber"] == f"{before:x}"
    with plane.connected(LOOPBACK) as open_connection:
        assert plane.run("renew").splitlines() == ["apiserver renewed", "admin renewed"]
        open_connection.request("GET", "/api/v1/namespaces/default")
        assert open_connection.getresponse().status == 200
    assert plane.shown(LOOPBACK) != before
    renewed = {each["name"]: each for each in json.loads(plane.run("list", "-o", "json"))}
    changed = {name for name in listed if listed[name]["serialNumber"] != renewed[name]["serialNumber"]}
    assert changed == {"apiserver", "admin"}
    test_the_kubeconfig_of_the_administrator_fits(plane, kubectl)
    head, *rows = plane.run("list").splitlines()
    assert head.split() == ["NAME", "SUBJECT", "ISSUER", "EXPIRES", "IN", "USED", "BY"]
    assert [row.split()[0] for row in rows] == list(renewed)
