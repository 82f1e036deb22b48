"""A real OpenID Connect issuer (oidc-provider of npm, unmodified), and kubectl with its tokens."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, final

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import RSAAlgorithm

from kafila.identity.certificates import issue, new_authority, new_signing_key
from tests.integration.api.conftest import serving

SOURCE = Path(__file__).parent / "oidc"
AUDIENCE = "https://kafila.example.com"
AUTHORITY = new_authority("issuer-ca")
PATIENCE = 60.0


@pytest.fixture(scope="session")
def script(cache: Path) -> Path:
    """The issuer beside its modules, which are fetched once."""
    if shutil.which("npm") is None:
        pytest.skip("there is no Node.js")
    lock = (SOURCE / "package-lock.json").read_bytes() + (SOURCE / "issuer.js").read_bytes()
    folder = cache / f"oidc-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "issuer.js"):
        shutil.copyfile(SOURCE / name, folder / name)
    if not (folder / "node_modules/.package-lock.json").exists():
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder / "issuer.js"


@final
class RealIssuer:
    def __init__(self, script: Path, folder: Path) -> None:
        self._script = script
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        pair = issue(AUTHORITY, "issuer", hosts=["127.0.0.1"])
        (folder / "server.pem").write_bytes(pair.certificate + pair.key)
        (folder / "ca.crt").write_bytes(AUTHORITY.certificate)

    @contextlib.contextmanager
    def running(self, *names: str) -> Iterator[None]:
        """With new keys of these names; the first one signs."""
        keys = [RSAAlgorithm.to_jwk(load_pem_private_key(new_signing_key().key, None), as_dict=True) for _ in names]  # type: ignore[arg-type]
        said = [{**key, "kid": name, "use": "sig", "alg": "RS256"} for key, name in zip(keys, names, strict=True)]
        (self._folder / "keys.json").write_text(json.dumps({"keys": said}))
        files = [str(self._folder / name) for name in ("server.pem", "keys.json")]
        process = subprocess.Popen(["node", self._script, str(self.port), *files], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()
            process.communicate()

    def token(self, client: str, audience: str = AUDIENCE) -> str:
        with httpx.Client(verify=ssl.create_default_context(cafile=self._folder / "ca.crt")) as session:
            given = {"grant_type": "client_credentials", "resource": audience}
            answer = session.post(f"{self.url}/token", data=given, auth=(client, "secret"))
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]


def configuration(url: str, **changed: Any) -> str:
    jwt = {
        "issuer": {"url": url, "audiences": [AUDIENCE], "certificateAuthority": AUTHORITY.certificate.decode()},
        "claimMappings": {
            "username": {"claim": "sub", "prefix": "corp:"},
            "groups": {"claim": "groups", "prefix": "corp:"},
        },
        "claimValidationRules": [{"claim": "tenant", "requiredValue": "acme"}],
        **changed,
    }
    version = "apiserver.config.k8s.io/v1"
    return yaml.safe_dump({"apiVersion": version, "kind": "AuthenticationConfiguration", "jwt": [jwt]})


@final
class Plane:
    def __init__(self, kubeconfig: Path, programs: Path) -> None:
        self._kubeconfig = kubeconfig
        self._kubectl = programs / "kubectl"

    def whoami(self, token: str) -> dict[str, Any] | str:
        """UserInfo, or what kubectl says."""
        config = yaml.safe_load(self._kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        file = self._kubeconfig.with_name("by-token")
        file.write_text(yaml.safe_dump(config))
        done = subprocess.run(
            [self._kubectl, "auth", "whoami", "-o", "json"],
            env={**os.environ, "KUBECONFIG": str(file), "HOME": str(file.parent)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return json.loads(done.stdout)["status"]["userInfo"] if done.returncode == 0 else done.stderr

    def becomes(self, token: str, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while name not in str(found := self.whoami(token)):
            assert time.monotonic() < deadline, found
            time.sleep(0.5)


class Configured(NamedTuple):
    issuer: RealIssuer
    data: Path  # of the control plane that is told of it
    file: Path


@pytest.fixture
def configured(script: Path) -> Iterator[Configured]:
    with tempfile.TemporaryDirectory(prefix="kafila-oidc-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        data = folder / "data"
        data.mkdir(mode=0o711)
        issuer = RealIssuer(script, folder)
        file = folder / "authentication.yaml"
        file.write_text(configuration(issuer.url))
        yield Configured(issuer, data, file)


def test_users_of_an_issuer(configured: Configured, programs: Path) -> None:
    issuer, data, file = configured
    with issuer.running("one"), serving(data, authentication_config=str(file)) as kubeconfig:
        plane = Plane(kubeconfig, programs)
        jane = issuer.token("jane")
        found = plane.whoami(jane)
        assert isinstance(found, dict), found
        assert (found["username"], found["groups"]) == (
            "corp:jane",
            ["corp:dev", "corp:ops", "system:authenticated"],
        )
        assert "Unauthorized" in plane.whoami(issuer.token("joe"))  # of another tenant
        assert "Unauthorized" in plane.whoami(issuer.token("jane", "https://elsewhere.example.com"))
        assert "Unauthorized" in plane.whoami(jane[:-8] + "AAAAAAAA")

        rules = [{"claim": "tenant", "requiredValue": "other"}]
        file.write_text(configuration(issuer.url, claimValidationRules=rules))
        plane.becomes(issuer.token("joe"), "corp:joe")
        assert "Unauthorized" in plane.whoami(jane)  # although she was known a moment ago
        file.write_text("jwt: [")  # the one before stays in force
        plane.becomes(issuer.token("joe"), "corp:joe")
        file.write_text(configuration(issuer.url))
        plane.becomes(jane, "corp:jane")
    with issuer.running("two"), serving(data, authentication_config=str(file)) as kubeconfig:
        plane = Plane(kubeconfig, programs)
        assert "Unauthorized" in plane.whoami(jane)  # her key is the issuer's no longer
        plane.becomes(issuer.token("jane"), "corp:jane")


def test_keys_change_while_serving(configured: Configured, programs: Path) -> None:
    issuer, data, file = configured
    with serving(data, authentication_config=str(file)) as kubeconfig:  # before its issuer
        plane = Plane(kubeconfig, programs)
        for key in ("one", "two"):
            with issuer.running(key):
                plane.becomes(issuer.token("jane"), "corp:jane")
