"""Each way to be known, over TLS, at a whole ``kafila serve``."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar, final

import httpx
import pytest
import yaml

from kafila.identity.certificates import KeyPair, issue, new_authority, new_signing_key
from kafila.identity.tokens import InvalidToken, Tokens
from tests.waiting import wait_until

from .conftest import PATIENCE, serving
from .tls_server import tls_server

SELF = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
MASTERS = {"X-Remote-User": "jane", "X-Remote-Group": "system:masters", "X-Remote-Extra-Acme.com%2fTeam": "one"}


@final
class Plane:
    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self.folder = folder
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = cluster["server"]
        self.authority = base64.b64decode(cluster["certificate-authority-data"])
        self.admin = KeyPair(*(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))

    def client(self, pair: KeyPair | None = None) -> httpx.Client:
        context = ssl.create_default_context(cadata=self.authority.decode())
        if pair is not None:
            file = self.folder / "client.pem"
            file.write_bytes(pair.certificate + b"\n" + pair.key)
            context.load_cert_chain(file)
        return httpx.Client(base_url=self.server, verify=context)

    def who(self, pair: KeyPair | None = None, token: str = "", **headers: str) -> dict[str, Any] | int:
        """UserInfo, or the status."""
        given = {"Authorization": f"Bearer {token}"} if token else {}
        with self.client(pair) as client:
            answer = client.post(REVIEWS, json=SELF, headers={**given, **headers})
        return answer.json()["status"]["userInfo"] if answer.status_code == 201 else answer.status_code

    def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.client(self.admin) as client:
            answer = client.post(path, json=body)
            assert answer.status_code == 201, answer.text
            return answer.json()

    def metrics(self) -> str:
        with self.client(self.admin) as client:
            return client.get("/metrics").text

    def failures(self) -> float:
        wanted = 'automatic_reloads_total{status="failure"} '
        return sum(float(line.rpartition(" ")[2]) for line in self.metrics().splitlines() if wanted in line)


CLIENTS, OTHERS, PROXIES = new_authority("clients"), new_authority("others"), new_authority("proxies")
OLD_KEYS = new_signing_key()


class Hook(BaseHTTPRequestHandler):
    """Knows tokens that begin with ``hook-``; what follows is the user."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Hook.asked.append(review | {"authorization": self.headers["authorization"]})
        token = review["spec"]["token"]
        user = {"username": token.removeprefix("hook-"), "groups": ["hooked"]}
        status = {"authenticated": True, "user": user} if token.startswith("hook-") else {"authenticated": False}
        body = json.dumps({**review, "status": status}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a server with TLS."""
    with tls_server(Hook, "/authenticate", tmp_path_factory.mktemp("webhook")) as kubeconfig:
        yield kubeconfig


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, webhook: Path) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("authentication")
    for part in (folder, *folder.parents[:3]):
        os.chmod(part, 0o711)
    (folder / "clients.crt").write_bytes(CLIENTS.certificate)
    (folder / "proxies.crt").write_bytes(PROXIES.certificate)
    (folder / "tokens.csv").write_text('secret-of-ci,ci,42,"builders,dev"\nplain,plain,7\n')
    (folder / "old.pub").write_bytes(OLD_KEYS.certificate)
    (folder / "signing.key").write_bytes(new_signing_key().key)
    data = folder / "data"
    data.mkdir(mode=0o711)
    with serving(
        data,
        client_ca_file=str(folder / "clients.crt"),
        requestheader_client_ca_file=str(folder / "proxies.crt"),
        requestheader_allowed_names="aggregator",
        token_auth_file=str(folder / "tokens.csv"),
        enable_bootstrap_token_auth=True,
        authentication_token_webhook_config_file=str(webhook),
        service_account_key_file=str(folder / "old.pub"),
        service_account_signing_key_file=str(folder / "signing.key"),
        service_account_issuer="https://new.example.com,https://old.example.com",
        service_account_max_token_expiration=7200,
    ) as kubeconfig:
        yield Plane(folder, kubeconfig)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_resumes_a_session_is_still_who_he_was(plane: Plane, version: ssl.TLSVersion) -> None:
    """No certificate is shown again then: that of the session counts."""
    file, session = plane.folder / "resumed.pem", None
    file.write_bytes(plane.admin.certificate + b"\n" + plane.admin.key)
    context = ssl.create_default_context(cadata=plane.authority.decode())
    context.load_cert_chain(file)
    context.maximum_version = version
    where = httpx.URL(plane.server)
    for resumed in (False, True, True):
        plain = socket.create_connection((where.host, where.port or 0), PATIENCE)
        with context.wrap_socket(plain, server_hostname=where.host, session=session) as stream:
            stream.sendall(b"GET /api/v1/namespaces/default HTTP/1.1\r\nHost: x\r\n\r\n")
            assert stream.recv(12) == b"HTTP/1.1 200"
            assert stream.session_reused == resumed
            session = stream.session


def test_certificates_of_our_own_and_of_another_authority(plane: Plane) -> None:
    assert plane.who(plane.admin)["username"] == "system:admin"
    found = plane.who(issue(CLIENTS, "jane", ["dev"]))
    assert (found["username"], found["groups"]) == ("jane", ["dev", "system:authenticated"])
    with pytest.raises(httpx.HTTPError):
        plane.who(issue(OTHERS, "jane"))


@pytest.mark.parametrize("days", [-2, 2])
def test_who_shows_a_certificate_that_has_ended_or_not_begun_is_told(plane: Plane, days: int) -> None:
    """By an answer, as of kube-apiserver: kubectl tries again for minutes where a handshake is cut off."""
    now, day = datetime.now(UTC) + timedelta(days=days), timedelta(days=1)
    wrong = issue(CLIENTS, "jane", lifetime=day, now=now)
    assert plane.who(wrong) == 401
    assert plane.who(wrong, token="plain")["username"] == "plain"
    assert plane.who(issue(PROXIES, "aggregator", lifetime=day, now=now), **MASTERS) == 401


def test_servers_beside_ours_can_read_both_authorities(plane: Plane) -> None:
    with plane.client(plane.admin) as client:
        found = client.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication").json()
    assert found["data"]["client-ca-file"].encode() == plane.authority + CLIENTS.certificate


def test_an_authority_is_exchanged_while_serving(plane: Plane) -> None:
    file, jane = plane.folder / "clients.crt", issue(CLIENTS, "jane")
    with plane.client(jane) as open_before:
        assert open_before.post(REVIEWS, json=SELF).status_code == 201
        file.write_bytes(OTHERS.certificate)
        try:
            wait_until(lambda: open_before.post(REVIEWS, json=SELF).status_code == 401)
            assert plane.who(issue(OTHERS, "joe"))["username"] == "joe"
            assert plane.who(jane) == 401
            file.write_text("nonsense")
            wait_until(lambda: 'reloads_total{status="failure"} 1.0' in plane.metrics())
            assert plane.who(issue(OTHERS, "joe"))["username"] == "joe"
        finally:
            file.write_bytes(CLIENTS.certificate)
        wait_until(lambda: open_before.post(REVIEWS, json=SELF).status_code == 201)


def test_a_front_proxy_says_who_asks(plane: Plane) -> None:
    found = plane.who(issue(PROXIES, "aggregator"), **MASTERS)
    assert (found["username"], found["groups"]) == ("jane", ["system:masters", "system:authenticated"])
    assert found["extra"] == {"acme.com/team": ["one"]}
    assert plane.who(issue(PROXIES, "somebody"), **MASTERS) == 401  # not a name that is allowed
    assert plane.who(issue(PROXIES, "aggregator")) == 401  # a proxy is no client by itself
    for pair in (issue(CLIENTS, "aggregator"), None):
        found = plane.who(pair, **MASTERS)
        assert found in (401, 403) or found["username"] == "aggregator"


def test_static_tokens(plane: Plane) -> None:
    found = plane.who(token="secret-of-ci")
    assert found == {"username": "ci", "uid": "42", "groups": ["builders", "dev", "system:authenticated"]}
    assert plane.who(token="plain")["groups"] == ["system:authenticated"]
    assert plane.who(token="plain2") == 401


def test_bootstrap_tokens(plane: Plane) -> None:
    def secret(identifier: str, **data: str) -> None:
        values = {
            "token-id": identifier,
            "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
            **{name.replace("_", "-"): value for name, value in data.items()},
        }
        metadata = {"name": f"bootstrap-token-{identifier}", "namespace": "kube-system"}
        body = {"metadata": metadata, "type": "bootstrap.kubernetes.io/token", "stringData": values}
        plane.make("/api/v1/namespaces/kube-system/secrets", body)

    secret("abcdef", auth_extra_groups="system:bootstrappers:karmada:default-cluster-token")
    found = plane.who(token="abcdef.0123456789abcdef")
    assert found["username"] == "system:bootstrap:abcdef"
    groups = ["system:bootstrappers", "system:bootstrappers:karmada:default-cluster-token", "system:authenticated"]
    assert found["groups"] == groups
    assert plane.who(token="abcdef.0123456789abcdee") == 401
    secret("aaaaa1", expiration="2020-01-01T00:00:00Z")
    secret("aaaaa2", usage_bootstrap_authentication="false")
    secret("aaaaa3", auth_extra_groups="system:masters")
    secret("aaaaa4", expiration="soon")
    for identifier in ("aaaaa1", "aaaaa2", "aaaaa3", "aaaaa4", "aaaaa5"):
        assert plane.who(token=f"{identifier}.0123456789abcdef") == 401


def test_keys_of_service_accounts_change_without_an_end_of_tokens(plane: Plane) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    uid = plane.make(accounts, {"metadata": {"name": "robot"}})["metadata"]["uid"]
    issuer = "https://old.example.com"
    old, _ = Tokens(OLD_KEYS, [issuer]).issue("default", "robot", uid, ["https://new.example.com"], 3600)
    assert plane.who(token=old)["username"] == "system:serviceaccount:default:robot"
    answer = plane.make(f"{accounts}/robot/token", {"spec": {"expirationSeconds": 100_000}})
    assert answer["spec"]["expirationSeconds"] == 7200
    assert plane.who(token=answer["status"]["token"])["uid"] == uid
    with plane.client(plane.admin) as client:
        keys = client.get("/openid/v1/jwks").json()["keys"]
        known = client.get("/.well-known/openid-configuration", headers={"Host": "evil.example.com"}).json()
    assert len({key["kid"] for key in keys}) == 3  # our own, the one that signs, the one before
    assert known["issuer"] == "https://new.example.com"
    assert known["jwks_uri"] == f"{plane.server}/openid/v1/jwks"


def test_files_with_keys_of_service_accounts_are_exchanged_while_serving(plane: Plane) -> None:
    """First a new key is published beside the one before, then it signs, and the one before is withdrawn."""
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    uid = plane.make(accounts, {"metadata": {"name": "worker"}})["metadata"]["uid"]
    believed, signing, new = plane.folder / "old.pub", plane.folder / "signing.key", new_signing_key()

    def made_by(keys: KeyPair) -> str:
        issuer, audience = "https://old.example.com", "https://new.example.com"
        return Tokens(keys, [issuer]).issue("default", "worker", uid, [audience], 3600)[0]

    def published() -> int:
        with plane.client(plane.admin) as client:
            return len(client.get("/openid/v1/jwks").json()["keys"])

    old = made_by(OLD_KEYS)
    assert plane.who(token=old)["username"] == "system:serviceaccount:default:worker"
    assert plane.who(token=made_by(new)) == 401
    try:
        believed.write_bytes(OLD_KEYS.certificate + new.certificate)
        wait_until(lambda: published() == 4)
        for keys in (OLD_KEYS, new):
            assert plane.who(token=made_by(keys))["uid"] == uid

        failures = plane.failures()
        signing.write_bytes(b"no key")  # which leaves all as it is
        wait_until(lambda: plane.failures() > failures)
        assert plane.who(token=made_by(new))["uid"] == uid

        signing.write_bytes(new.key)

        def signed_by_the_new_one() -> bool:
            token = plane.make(f"{accounts}/worker/token", {"spec": {}})["status"]["token"]
            try:
                return Tokens(new, ["https://new.example.com"]).verify(token) is not None
            except InvalidToken:
                return False

        wait_until(signed_by_the_new_one)
        believed.write_bytes(new.certificate)
        wait_until(lambda: plane.who(token=old) == 401)  # though it was known to be valid a moment ago
        assert plane.who(token=made_by(new))["uid"] == uid
    finally:
        believed.write_bytes(OLD_KEYS.certificate)
        wait_until(lambda: isinstance(plane.who(token=old), dict))


def test_the_use_of_a_token_in_a_secret_is_noted(plane: Plane) -> None:
    """As kube-apiserver does, for who ends those that nobody uses; one that is marked invalid is refused."""
    where, name = "/api/v1/namespaces/default", "used"
    plane.make(f"{where}/serviceaccounts", {"metadata": {"name": name}})
    metadata = {"name": name, "annotations": {"kubernetes.io/service-account.name": name}}
    plane.make(f"{where}/secrets", {"metadata": metadata, "type": "kubernetes.io/service-account-token"})
    with plane.client(plane.admin) as client:

        def stored() -> dict[str, Any]:
            return client.get(f"{where}/secrets/{name}").json()

        wait_until(lambda: stored().get("data", {}).get("token"))
        token = base64.b64decode(stored()["data"]["token"]).decode()
        assert plane.who(token=token)["username"] == f"system:serviceaccount:default:{name}"
        wait_until(lambda: "labels" in stored()["metadata"])
        labels = stored()["metadata"]["labels"]
        day = datetime.now(UTC)
        last = labels["kubernetes.io/legacy-token-last-used"]
        assert last in {f"{day - timedelta(minutes=5):%Y-%m-%d}", f"{day:%Y-%m-%d}"}
        managers = [each["manager"] for each in stored()["metadata"]["managedFields"]]
        assert "kube-apiserver" in managers
        patch = {"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": last}}}
        kind = {"Content-Type": "application/merge-patch+json"}
        client.patch(f"{where}/secrets/{name}", json=patch, headers=kind).raise_for_status()
        assert plane.who(token=token) == 401


def test_a_webhook_knows_tokens_that_nobody_else_knows(plane: Plane) -> None:
    Hook.asked.clear()
    for _ in range(3):
        found = plane.who(token="hook-jane")
        assert (found["username"], found["groups"]) == ("jane", ["hooked", "system:authenticated"])
    assert plane.who(token="other") == 401
    assert plane.who(token="secret-of-ci")["username"] == "ci"
    assert [review["spec"]["token"] for review in Hook.asked] == ["hook-jane", "other"]  # answers are remembered
    review = Hook.asked[0]
    assert (review["apiVersion"], review["kind"]) == ("authentication.k8s.io/v1beta1", "TokenReview")
    assert review["spec"]["audiences"] == ["https://new.example.com", "https://old.example.com"]
    assert review["authorization"].lower() == "bearer ours"


def test_a_token_review_knows_them_all(plane: Plane) -> None:
    for token, name in (("secret-of-ci", "ci"), ("abcdef.0123456789abcdef", "system:bootstrap:abcdef")):
        spec = {"token": token}
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status = plane.make("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        assert status["user"]["username"] == name
        assert status["audiences"] == ["https://new.example.com", "https://old.example.com"]
        spec["audiences"] = ["vault"]
        assert "authenticated" not in plane.make("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        assert json.dumps(review)
