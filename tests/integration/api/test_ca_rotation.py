"""``kafila certs rotate-ca`` at a whole ``kafila serve``: who was served before is served on, whatever he has heard of it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import pytest
import yaml

from kafila.identity.certificates import issue, new_authority
from tests.waiting import wait_until

from .conftest import PATIENCE, serving

KAFILA = Path(sys.executable).with_name("kafila")
PROXIES = new_authority("proxies")
TOKEN = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "robot", "annotations": {"kubernetes.io/service-account.name": "default"}},
    "type": "kubernetes.io/service-account-token",
}


@final
class Plane:
    def __init__(self, data: Path, kubectl: Path) -> None:
        self.data, self._kubectl = data, kubectl
        self.before = data.parent / "kubeconfig-before"
        shutil.copy(data / "kubeconfig", self.before)  # somebody's copy

    def command(self, *arguments: str, before: bool = False) -> list[str]:
        file = self.before if before else self.data / "kubeconfig"
        return [str(self._kubectl), f"--kubeconfig={file}", f"--cache-dir={self.data.parent}/cache", *arguments]

    def kubectl(self, *arguments: str, before: bool = False, check: bool = True) -> str:
        done = subprocess.run(
            self.command(*arguments, before=before), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if check else done.stderr

    def rotate(self, *arguments: str, code: int = 0) -> str:
        command = [KAFILA, "certs", "rotate-ca", *arguments, f"--data-dir={self.data}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == code, done.stderr
        return (done.stdout or done.stderr).strip()

    def certificates(self) -> dict[str, Any]:
        command = [KAFILA, "certs", "list", "-o", "json", f"--data-dir={self.data}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return {each["name"]: each for each in json.loads(done.stdout)}

    def bundle(self) -> str:
        return (self.data / "pki/ca.crt").read_text()

    def published(self) -> set[str]:
        """What is told as the authority, wherever it is."""
        config = yaml.safe_load((self.data / "kubeconfig").read_text())
        found = {base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()}
        roots = json.loads(self.kubectl("get", "cm", "-A", "-o", "json"))["items"]
        found |= {each["data"]["ca.crt"] for each in roots if each["metadata"]["name"] == "kube-root-ca.crt"}
        (system,) = (each for each in roots if each["metadata"]["name"] == "extension-apiserver-authentication")
        found.add(system["data"]["client-ca-file"])
        secret = json.loads(self.kubectl("get", "secret", "robot", "-o", "json"))
        return found | {base64.b64decode((secret.get("data") or {}).get("ca.crt", "")).decode()}

    def events(self) -> list[tuple[str, str]]:
        found = json.loads(self.kubectl("get", "events", "-o", "json"))["items"]
        return [(each["type"], each["reason"]) for each in found if each["reason"].startswith("CertificateAuthority")]


@pytest.fixture(scope="module")
def plane(module_folder: Path, kubectl: Path) -> Iterator[Plane]:
    folder = module_folder
    data = folder / "data"
    data.mkdir(mode=0o711)
    proxies = folder / "proxies.crt"
    proxies.write_bytes(PROXIES.certificate)
    with serving(
        data,
        requestheader_client_ca_file=str(proxies),
        requestheader_allowed_names="front,other",
        requestheader_username_headers="X-Remote-User,X-User",
    ):
        plane = Plane(data, kubectl)
        (folder / "token.json").write_text(json.dumps(TOKEN))
        # without its account it would be taken away, and that is made after the start
        wait_until(lambda: plane.kubectl("get", "-n", "default", "serviceaccounts", "-o", "name") != "")
        plane.kubectl("create", "-n", "default", "-f", str(folder / "token.json"))
        wait_until(lambda: plane.published() == {plane.bundle()})
        yield plane


def test_both_are_believed_and_told_until_the_end(plane: Plane) -> None:
    first = plane.certificates()
    watching = subprocess.Popen(
        plane.command("get", "cm", "--field-selector=metadata.name=seen", "-w", "-o", "name", before=True),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    told = plane.rotate("--overlap=48h")
    assert ", CN=kafila-ca is believed beside it until 20" in told
    assert plane.rotate("--overlap=48h") == told  # asked for twice, it is one
    second = plane.certificates()
    assert second["ca-previous"]["serialNumber"] == first["ca"]["serialNumber"]
    assert {second[name]["issuer"] for name in ("apiserver", "admin")} == {second["ca"]["subject"]}
    assert plane.bundle().count("BEGIN") == 2
    wait_until(lambda: plane.published() == {plane.bundle()})
    for before in (False, True):
        assert plane.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", before=before) == (
            "system:admin"
        )
    plane.kubectl("create", "cm", "seen", before=True)
    assert watching.stdout is not None
    try:
        assert watching.stdout.readline() == "configmap/seen\n"
    finally:
        watching.kill()
        watching.communicate()
    metrics = plane.kubectl("get", "--raw", "/metrics")
    assert 'kafila_certificate_expiration_timestamp_seconds{certificate="ca-previous"}' in metrics
    assert "kafila_ca_rotation_ends_timestamp_seconds 0.0" not in metrics

    assert plane.rotate("--rollback").startswith("CN=kafila-ca signs, CN=kafila-ca@")
    assert plane.certificates()["ca"]["serialNumber"] == first["ca"]["serialNumber"]
    assert plane.kubectl("get", "cm", "seen", "-o", "name", before=True) == "configmap/seen\n"
    assert plane.rotate("--rollback").startswith("CN=kafila-ca@")

    assert plane.rotate("--finish").endswith(" signs, no other authority is believed")
    assert "ca-previous" not in plane.certificates()
    wait_until(lambda: plane.published() == {plane.bundle()} and plane.bundle().count("BEGIN") == 1)
    assert "certificate signed by unknown authority" in plane.kubectl("get", "cm", before=True, check=False)
    insecure = ("--insecure-skip-tls-verify", "get", "cm")
    assert "You must be logged in" in plane.kubectl(*insecure, before=True, check=False)  # nor is the client believed
    wait_until(lambda: len(plane.events()) >= 3)
    assert set(plane.events()) == {
        ("Normal", "CertificateAuthorityRotated"),
        ("Normal", "CertificateAuthorityRolledBack"),
        ("Normal", "CertificateAuthorityRotationFinished"),
    }


def test_an_overlap_ends_by_itself(plane: Plane) -> None:
    plane.rotate("--overlap=1s")
    wait_until(lambda: "ca-previous" not in plane.certificates() and plane.bundle().count("BEGIN") == 1)
    wait_until(lambda: plane.published() == {plane.bundle()})


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--finish"], 1, "no rotation is under way: there is nothing to finish"),
        (["--rollback"], 1, "no rotation is under way: there is nothing to go back to"),
        (["--finish", "--rollback"], 2, "--finish, --rollback and --overlap exclude each other"),
        (["--overlap=0s"], 2, "--overlap 0s must be a positive duration, e.g. 1m0s"),
        (["--overlap=99999h"], 2, "--overlap 99999h must be at most 87600h"),
        (["--overlap=x"], 2, 'invalid duration "x", e.g. 1m0s'),
    ],
)
def test_what_cannot_be_is_said_in_one_line(plane: Plane, arguments: list[str], code: int, words: str) -> None:
    assert plane.rotate(*arguments, code=code).removeprefix("kafila: ").removeprefix("error: ") == words


def test_servers_beside_ours_are_told_of_the_users_proxies(plane: Plane) -> None:
    def told() -> dict[str, str]:
        name = ("cm", "extension-apiserver-authentication", "-n", "kube-system", "-o", "json")
        found: dict[str, str] = json.loads(plane.kubectl("get", *name))["data"]
        return found

    assert told()["requestheader-client-ca-file"].encode() == PROXIES.certificate
    assert told()["requestheader-allowed-names"] == '["front","other"]'
    assert told()["requestheader-username-headers"] == '["X-Remote-User","X-User"]'
    more = PROXIES.certificate + issue(PROXIES, "x").certificate
    (plane.data.parent / "proxies.crt").write_bytes(more)  # and of another file as soon as it is read
    wait_until(lambda: told()["requestheader-client-ca-file"].encode() == more)
