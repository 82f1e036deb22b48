"""Who asks: nobody acts as somebody else than was asked for, and who is not named is nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kafila.api.proxy import MemberProxy
from kafila.authentication.credentials import Peer
from tests.integration.api.conftest import Api, Served, failure

CN, GROUP = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME
Subject = tuple[tuple[x509.ObjectIdentifier, str], ...]
SELF = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def test_kubectl_does_not_delete_as_administrator_what_was_asked_for_as_alice(served: Served) -> None:
    served.kubectl("create", "namespace", "hers")
    said = served.kubectl("delete", "namespace", "hers", "--as", "alice", check=False)
    assert "Forbidden" in said
    assert "impersonation is not served yet, and the header Impersonate-User asks for it" in said
    assert "Active" in served.kubectl("get", "namespace", "hers")


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Impersonate-User", "users"),
        ("impersonate-group", "groups"),
        ("IMPERSONATE-UID", "uids"),
        ("Impersonate-Extra-Scopes", "userextras"),
        ("Impersonate-New", "userextras"),
    ],
)
async def test_impersonation_is_refused_by_name(api: Api, header: str, kind: str) -> None:
    api.app.member_proxy = MemberProxy(api.registry)
    for path in ("/api/v1/namespaces", "/livez", "/apis", "/apis/cluster.karmada.io/v1alpha1/clusters/m1/proxy/api"):
        status = failure(await api.get(path, headers={header: "alice"}), 403, "Forbidden")
        assert f"the header {header.title()} asks for it" in status["message"]
        assert (status["details"]["kind"], status["details"]["name"]) == (kind, "alice")


def certificate(subject: Subject) -> bytes:
    """As the TLS layer hands it on once it has checked who signed it."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    return (
        builder.not_valid_before(now)
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, None)
        .public_bytes(Encoding.DER)
    )


async def ask(api: Api, headers: list[tuple[str, str]], *subject: tuple[x509.ObjectIdentifier, str]) -> httpx.Response:
    """Who it is, asked over a connection with a client certificate of ``subject``."""
    state = {"peer": Peer(certificate(subject))} if subject else {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        await api.app({**scope, "headers": [*scope["headers"], *raw], "state": state}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        return await client.post(REVIEWS, json=SELF)


async def test_headers_of_a_front_proxy_that_nobody_vouches_for_mean_nothing(api: Api) -> None:
    answer = await ask(api, [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")], (CN, "jane"))
    assert answer.json()["status"]["userInfo"]["username"] == "jane"
    failure(await ask(api, [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")]), 403, "Forbidden")


@pytest.mark.parametrize(
    "subject",
    [
        ((GROUP, "system:masters"),),
        ((CN, "a\r\nb"),),
        ((CN, "a\0"),),
        ((CN, " system:admin"),),
        ((CN, "jane"), (GROUP, "system:masters ")),
    ],
    ids=["unnamed", "lines", "nul", "space", "group"],
)
async def test_a_certificate_whose_name_is_none_is_refused(api: Api, subject: Subject) -> None:
    failure(await ask(api, [], *subject), 401, "Unauthorized")


async def test_a_name_in_any_language_is_one(api: Api) -> None:
    assert (await ask(api, [], (CN, "jörg 山"))).json()["status"]["userInfo"]["username"] == "jörg 山"


async def test_of_a_header_that_comes_twice_the_first_counts(api: Api) -> None:
    """As in Go: whoever stands between may have looked at that one only."""
    answer = await ask(api, [("Audit-ID", "one"), ("Audit-ID", "two")], (CN, "jane"))
    assert answer.headers["audit-id"] == "one"
