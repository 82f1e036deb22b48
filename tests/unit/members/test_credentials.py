from __future__ import annotations

import base64
from typing import Any

import pytest

from kafila.members.credentials import Connection, CredentialsError, connection, secret_name, token_expiry
from kafila.members.discovery import APIResource
from kafila.members.transport import TLS

DEPLOYMENTS = APIResource("apps/v1", "deployments", "Deployment", True, ("get",))


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def cluster(**spec: Any) -> dict[str, Any]:
    base = {"apiEndpoint": "https://m", "secretRef": {"namespace": "karmada-cluster", "name": "m"}}
    return {"metadata": {"name": "m"}, "spec": {**base, **spec}}


def secret(**data: str) -> dict[str, Any]:
    return {"data": {key: b64(value) for key, value in data.items()}}


GOOD = secret(token="t\n", caBundle="CA")


def test_a_connection_of_a_cluster() -> None:
    assert secret_name(cluster()) == ("karmada-cluster", "m")
    assert connection(cluster(), GOOD) == Connection("https://m", TLS(authority=b"CA"), "t")
    assert connection(cluster(insecureSkipTLSVerification=True), secret(token="t")).tls == TLS(insecure=True)
    proxied = connection(cluster(proxyURL="http://p", proxyHeader={"b": "2", "a": "1"}), GOOD)
    assert (proxied.proxy_url, proxied.proxy_headers) == ("http://p", (("a", "1"), ("b", "2")))


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        ({"apiEndpoint": ""}, GOOD, "the api endpoint of cluster m is empty"),
        ({"secretRef": None}, GOOD, "cluster m does not have a secret"),
        ({}, None, 'secrets "m" not found in namespace karmada-cluster'),
        ({}, secret(caBundle="x"), 'the secret for cluster m is missing a non-empty value for "token"'),
        ({}, secret(token="t"), 'the secret for cluster m is missing the CA data key "caBundle"'),
        (
            {},
            {"data": {"token": "***", "caBundle": ""}},
            'the secret for cluster m has a value for "token" that is no base64',
        ),
    ],
)
def test_what_is_wrong_with_credentials(spec: dict, given: dict | None, message: str) -> None:
    with pytest.raises(CredentialsError) as error:
        connection(cluster(**spec), given)
    assert str(error.value) == message


def test_a_proxy_that_is_not_supported_is_a_matter_of_credentials() -> None:
    with pytest.raises(CredentialsError, match="only http, https and socks5 proxies are"):
        connection(cluster(proxyURL="socks4://p"), GOOD).client("m")


@pytest.mark.parametrize(
    ("claims", "expires"),
    [('{"exp":1800000000}', 1.8e9), ('{"sub":"a"}', None), ("[1]", None), ("no json", None), ('{"exp":"x"}', None)],
)
def test_the_expiry_of_a_token(claims: str, expires: float | None) -> None:
    middle = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
    assert token_expiry(f"head.{middle}.signature") == expires


@pytest.mark.parametrize("token", ["", "opaque", "a.b", "a.é.c", "a.b.c", "a.b.c.d"])
def test_a_token_that_says_nothing_does_not_expire(token: str) -> None:
    assert token_expiry(token) is None
