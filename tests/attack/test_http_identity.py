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
from kafila.registry import User
from tests.integration.api.conftest import Api, Served, failure

CN, GROUP = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME
Subject = tuple[tuple[x509.ObjectIdentifier, str], ...]
SELF = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def test_kubectl_acts_as_who_is_asked_for(served: Served) -> None:
    served.kubectl("create", "namespace", "hers")
    said = served.kubectl("delete", "namespace", "hers", "--as", "alice", check=False)
    assert 'namespaces "hers" is forbidden: User "alice" cannot delete resource "namespaces"' in said
    assert "Active" in served.kubectl("get", "namespace", "hers")
    who = served.kubectl("auth", "whoami", "--as", "alice", "--as-group", "dev", "--as-uid", "7", "-o", "yaml")
    assert "username: alice" in who
    assert "- dev" in who
    assert 'uid: "7"' in who
    served.kubectl("delete", "namespace", "hers", "--as", "alice", "--as-group", "system:masters")


@pytest.mark.parametrize(
    ("header", "needs", "name"),
    [
        ("Impersonate-User", 'resource "users" in API group "" at the cluster scope', "alice"),
        ("impersonate-user", 'resource "serviceaccounts" in API group "" in the namespace "ns"', "sa"),
        ("impersonate-group", 'resource "groups" in API group "" at the cluster scope', "alice"),
        ("IMPERSONATE-UID", 'resource "uids" in API group "authentication.k8s.io" at the cluster scope', "alice"),
        (
            "Impersonate-Extra-A.com%2fScopes",
            'resource "userextras/a.com/scopes" in API group "authentication.k8s.io" at the cluster scope',
            "alice",
        ),
    ],
)
async def test_impersonation_without_the_right_is_refused(api: Api, header: str, needs: str, name: str) -> None:
    api.app.member_proxy = MemberProxy(api.registry)
    value = "alice" if name == "alice" else "system:serviceaccount:ns:sa"
    headers = {header: value} if "ser" in header else {"Impersonate-User": "jane", header: value}
    api.user = User("jane", ("system:authenticated",))
    for path in ("/api/v1/namespaces", "/livez", "/apis", "/apis/cluster.karmada.io/v1alpha1/clusters/m1/proxy/api"):
        status = failure(await api.get(path, headers=headers), 403, "Forbidden")
        assert 'User "jane" cannot impersonate' in status["message"]
        if "ser" in header.lower():
            assert (status["details"]["name"], needs in status["message"]) == (name, True)


async def test_each_thing_that_is_impersonated_is_asked_for(api: Api) -> None:
    needed = [
        ("", "users", "alice"),
        ("", "groups", "dev"),
        ("", "groups", "ops"),
        ("authentication.k8s.io", "uids", "7"),
        ("authentication.k8s.io", "userextras/scopes", "view"),
        ("authentication.k8s.io", "userextras/scopes", "edit"),
    ]
    rules = [
        {"verbs": ["impersonate"], "apiGroups": [group], "resources": [resource], "resourceNames": [name]}
        for group, resource, name in needed
    ]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    metadata = {"name": "impersonator"}
    await api.made(
        f"{rbac}/clusterroles", {"kind": "ClusterRole", "apiVersion": rbac[6:], "metadata": metadata, "rules": rules}
    )
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **metadata}
    subjects = [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]
    binding = {
        "kind": "ClusterRoleBinding",
        "apiVersion": rbac[6:],
        "metadata": metadata,
        "roleRef": reference,
        "subjects": subjects,
    }
    await api.made(f"{rbac}/clusterrolebindings", binding)
    headers = [
        ("Impersonate-User", "alice"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Extra-Scopes", "view"),
        ("Impersonate-Extra-Scopes", "edit"),
    ]
    user = (await ask(api, headers, (CN, "jane"))).json()["status"]["userInfo"]
    assert user == {
        "username": "alice",
        "uid": "7",
        "groups": ["dev", "ops", "system:authenticated"],
        "extra": {"scopes": ["view", "edit"]},
    }
    for without, (_, resource, name) in zip(rules, needed, strict=True):
        await api.patch(f"{rbac}/clusterroles/impersonator", {"rules": [rule for rule in rules if rule is not without]})
        status = failure(await ask(api, headers, (CN, "jane")), 403, "Forbidden")
        assert f'User "jane" cannot impersonate resource "{resource}"' in status["message"]
        assert status["details"]["name"] == name


@pytest.mark.parametrize(
    "headers",
    [
        [("Impersonate_User", "admin"), ("Impersonate_Group", "system:masters")],
        [("X-Impersonate-User", "admin")],
        [("Impersonate-User", "alice"), ("Impersonate-User", "system:admin")],
        [("Impersonate-Userx", "admin")],
    ],
    ids=["underscores", "prefixed", "twice", "longer"],
)
async def test_headers_that_look_like_others_make_nobody_an_administrator(
    api: Api, headers: list[tuple[str, str]]
) -> None:
    answer = await ask(api, headers, (CN, "jane"), (GROUP, "system:masters"))
    assert answer.json()["status"]["userInfo"]["username"] in ("jane", "alice")
    answer = await ask(api, headers, (CN, "jane"))
    assert answer.status_code == 403 or answer.json()["status"]["userInfo"]["username"] == "jane"


async def test_nobody_is_impersonated_in_part(api: Api) -> None:
    for headers in ({"Impersonate-Group": "dev"}, {"Impersonate-Uid": "7"}, {"Impersonate-Extra-A": "b"}):
        assert (await api.delete("/api/v1/namespaces/default", headers=headers)).status_code == 400
    for user in ("a\x01b", "a\x7f"):
        assert (await api.get("/api", headers={"Impersonate-User": user})).status_code in (400, 403)


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
