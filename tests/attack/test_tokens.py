"""Tokens that somebody made, changed or kept for too long: 401, and not a word more."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kafila.identity.certificates import KeyPair, new_signing_key
from kafila.identity.tokens import Tokens
from tests.integration.api.conftest import Api

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
SELF = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
KEYS = new_signing_key()


async def ask(api: Api, *headers: tuple[str, str]) -> httpx.Response:
    """Who it is, asked by somebody who has no certificate."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        await api.app({**scope, "headers": [*scope["headers"], *raw], "state": {}}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        return await client.post(REVIEWS, json=SELF)


@pytest.fixture
async def claims(api: Api) -> dict[str, Any]:
    """What a good token of the account ``robot`` says."""
    api.app.tokens = Tokens(KEYS)
    await api.made(ACCOUNTS, {"metadata": {"name": "robot"}})
    token = (await api.post(f"{ACCOUNTS}/robot/token", {})).json()["status"]["token"]
    assert (await ask(api, ("Authorization", f"Bearer {token}"))).status_code == 201
    return jwt.decode(token, options={"verify_signature": False})


def signed(claims: dict[str, Any], algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode(claims, KEYS.key, algorithm, headers=header)


async def refused(api: Api, token: str) -> None:
    answer = await ask(api, ("Authorization", f"Bearer {token}"))
    assert answer.status_code == 401
    assert answer.json()["message"] == "Unauthorized"
    assert "details" not in answer.json()


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
async def test_a_token_that_nobody_signed_is_refused(api: Api, claims: dict[str, Any], algorithm: str) -> None:
    for signature in ("", "AAAA", signed(claims).split(".")[2]):
        await refused(api, f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims)}.{signature}")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_the_public_key_is_no_password(api: Api, claims: dict[str, Any], algorithm: str) -> None:
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    said = f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims)}"
    for secret in (KEYS.certificate, KEYS.certificate.strip(), b""):
        signature = hmac.new(secret, said.encode(), digest).digest()
        await refused(api, f"{said}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


async def test_only_the_algorithm_of_the_key_counts(api: Api, claims: dict[str, Any]) -> None:
    assert (await ask(api, ("Authorization", f"Bearer {signed(claims)}"))).status_code == 201
    for algorithm in ("RS384", "RS512", "PS256"):
        await refused(api, signed(claims, algorithm))
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    await refused(api, jwt.encode(claims, other, "ES256"))


async def test_headers_of_a_token_lead_to_no_other_key(api: Api, claims: dict[str, Any]) -> None:
    stranger = new_signing_key()
    public = Tokens(stranger).key_set()["keys"][0]
    for header in ({"jwk": public}, {"jku": "http://127.0.0.1:1/keys"}, {"kid": public["kid"]}, {"kid": "../../x"}):
        await refused(api, jwt.encode(claims, stranger.key, "RS256", headers=header))
    await refused(api, signed(claims, crit=["exp"], exp=1))


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1_000_000_000},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": float("1e400")},
        {"aud": "vault"},
        {"aud": []},
        {"aud": None},
        {"aud": {"https://kubernetes.default.svc.cluster.local": 1}},
        {"iss": "https://elsewhere.example.com"},
        {"iss": ["https://kubernetes.default.svc.cluster.local"]},
        {"sub": "system:serviceaccount:kube-system:admin"},
        {"sub": None},
        {"kubernetes.io": None},
        {"kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "robot", "uid": "another"}}},
        {"kubernetes.io": {"namespace": ["default"], "serviceaccount": {"name": "robot", "uid": "x"}}},
    ],
    ids=str,
)
async def test_what_is_signed_has_to_hold(api: Api, claims: dict[str, Any], changed: dict[str, Any]) -> None:
    said = {name: value for name, value in (claims | changed).items() if value is not None}
    try:
        token = signed(said)
    except (TypeError, ValueError):  # what the library does not write
        body = orjson.dumps(said)
        made = jwt.PyJWS().encode(body, KEYS.key, "RS256")
        token = made
    await refused(api, token)


async def test_an_account_and_what_a_token_is_bound_to_have_to_be_there(api: Api, claims: dict[str, Any]) -> None:
    private = claims["kubernetes.io"]
    for kind in ("pod", "secret", "node"):
        gone = {**private, kind: {"name": "gone", "uid": "1"}}
        await refused(api, signed({**claims, "kubernetes.io": gone}))
    token = signed(claims)
    assert (await ask(api, ("Authorization", f"Bearer {token}"))).status_code == 201
    await api.delete(f"{ACCOUNTS}/robot")
    await refused(api, token)  # although it was found valid a moment ago


async def test_what_is_too_long_or_no_token_is_refused(api: Api, claims: dict[str, Any]) -> None:
    await refused(api, signed({**claims, "much": "x" * 100_000}))
    for bad in ("a" * 500_000, ".".join(["a"] * 50_000), "..", "a.b.c", "\u00e4.\u00e4.\u00e4", "e30.e30."):
        await refused(api, bad)
    deep = base64.urlsafe_b64encode(b'{"a":' * 10_000 + b"1" + b"}" * 10_000).decode().rstrip("=")
    await refused(api, f"{_part({'alg': 'RS256'})}.{deep}.AAAA")


async def test_of_two_tokens_the_first_counts(api: Api, claims: dict[str, Any]) -> None:
    good, bad = f"Bearer {signed(claims)}", "Bearer bad"
    assert (await ask(api, ("Authorization", good), ("Authorization", bad))).status_code == 201
    assert (await ask(api, ("Authorization", bad), ("Authorization", good))).status_code == 401


async def test_keys_change_without_an_end_of_tokens_and_one_taken_away_is_believed_no_longer(
    api: Api, claims: dict[str, Any]
) -> None:
    old, token = KEYS, signed(claims)
    new = new_signing_key()
    api.app.tokens = Tokens(new, accepted=[KeyPair(*old).certificate])
    assert (await ask(api, ("Authorization", f"Bearer {token}"))).status_code == 201
    assert len(api.app.tokens.key_set()["keys"]) == 2
    fresh = (await api.post(f"{ACCOUNTS}/robot/token", {})).json()["status"]["token"]
    assert jwt.get_unverified_header(fresh)["kid"] == api.app.tokens.key_set()["keys"][0]["kid"]
    assert (await ask(api, ("Authorization", f"Bearer {fresh}"))).status_code == 201
    api.app.tokens = Tokens(new)
    await refused(api, token)
    assert (await ask(api, ("Authorization", f"Bearer {fresh}"))).status_code == 201
